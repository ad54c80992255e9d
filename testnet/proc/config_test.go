package proc

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLoadConfig(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "node.json")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"identity":"k","dir":"d","zones":[{"genesis":"z","work":{"identity":"w","grants":"g"}}]}`)
	c, err := LoadConfig(name)
	if err != nil {
		t.Fatal(err)
	}
	w := c.Zones[0].Work
	for _, got := range []*string{&c.Identity, &c.Dir, &c.Zones[0].Genesis, &w.Identity, &w.Grants} {
		if filepath.Dir(*got) != dir {
			t.Errorf("%s is not below the file's folder", *got)
		}
	}
	write(`{"identity":"k","lisen":[]}`)
	if _, err := LoadConfig(name); err == nil {
		t.Error("a misspelt name was accepted")
	}
}
