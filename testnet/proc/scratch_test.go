//go:build unix && !solaris && !aix

package proc

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestScratch: a folder whose holder is gone is removed by who makes the next, one that is held is not.
func TestScratch(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	held, remove, err := Scratch("kwnode-a-")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(held, "file")
	stale := filepath.Join(os.TempDir(), "kwnode-a-stale")
	other := filepath.Join(os.TempDir(), "kwnode-b-stale")
	for _, dir := range []string{stale, other} {
		if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(dir+lockSuffix, nil, 0o600), os.WriteFile(filepath.Join(dir, "x"), nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second, removeSecond, err := Scratch("kwnode-a-")
	if err != nil {
		t.Fatal(err)
	}
	there := func(name string) bool { _, err := os.Stat(name); return err == nil }
	if there(stale) || there(stale+lockSuffix) {
		t.Error("what a process that is gone left behind is still there")
	}
	if !there(file) || !there(second) || !there(other) {
		t.Error("a folder is gone that somebody holds, or that is not of the kind")
	}
	if err := errors.Join(remove(), removeSecond()); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "kwnode-a-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
