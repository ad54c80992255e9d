package faildisk

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestRun(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ran := false
	Run(t, func() {
		ran = true
		if _, err := f.WriteString("written"); err != nil {
			t.Error(err)
		}
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("a flush there ended with %v", err)
		}
	})
	if err := f.Sync(); !ran || err != nil {
		t.Errorf("ran %v; a flush elsewhere: %v", ran, err)
	}
}
