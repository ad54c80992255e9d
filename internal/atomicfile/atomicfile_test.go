package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/kitwork/kwnode/internal/faildisk"
)

// holds fails the test unless a folder has just these files, by name and content.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if _, ok := want[e.Name()]; !ok {
			t.Errorf("%s was left behind", e.Name())
		}
	}
	for name, text := range want {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != text {
			t.Errorf("%s holds %q, %v; want %q", name, b, err, text)
		}
	}
}

var writers = map[string]func(string, []byte, fs.FileMode) error{"flushed": Write, "unflushed": WriteUnflushed}

func TestWrite(t *testing.T) {
	for kind, write := range writers {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			name := filepath.Join(dir, "f")
			for _, text := range []string{"first, and long", "second", ""} {
				if err := write(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
				holds(t, dir, map[string]string{"f": text})
			}
			if st, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", st.Mode(), err)
			}
			// What can't be replaced stays, and nothing beside it.
			if err := os.MkdirAll(filepath.Join(dir, "d", "inner"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := write(filepath.Join(dir, "d"), []byte("x"), 0o600); err == nil {
				t.Error("a folder with something in it was replaced")
			}
			if err := write(filepath.Join(dir, "none", "f"), []byte("x"), 0o600); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("in a folder that isn't there: %v", err)
			}
			if err := os.RemoveAll(filepath.Join(dir, "d")); err != nil {
				t.Fatal(err)
			}
			holds(t, dir, map[string]string{"f": ""})
		})
	}
}

// Whoever reads while others write finds what one of them wrote, whole.
func TestWriteTogether(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows renames over a file only when nobody has it open")
	}
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := WriteUnflushed(name, []byte{0}, 0o600); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for i := range byte(4) {
		all.Go(func() {
			for range 50 {
				if err := WriteUnflushed(name, bytes.Repeat([]byte{i}, 1+int(i)*1000), 0o600); err != nil {
					t.Error(err)
				}
				if b, err := os.ReadFile(name); err != nil || len(b) == 0 || !bytes.Equal(b, bytes.Repeat(b[:1], 1+int(b[0])*1000)) {
					t.Errorf("read %d bytes: %v", len(b), err)
				}
			}
		})
	}
	all.Wait()
}

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := Create(name, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Create(name, []byte("two"), 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file: %v", err)
	}
	holds(t, dir, map[string]string{"f": "one"})
}

// On a disk that cannot flush, nothing is reported as written but what was promised to nobody.
func TestFlushes(t *testing.T) {
	dir := t.TempDir()
	name := func(s string) string { return filepath.Join(dir, s) }
	for _, s := range []string{"old", "cache", "from"} {
		if err := os.WriteFile(name(s), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	faildisk.Run(t, func() {
		for what, err := range map[string]error{
			"replace": Write(name("old"), []byte("new"), 0o600),
			"create":  Create(name("created"), []byte("new"), 0o600),
			"rename":  Rename(name("from"), name("to")),
			"folder":  SyncDir(dir),
		} {
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if err := WriteUnflushed(name("cache"), []byte("newer"), 0o600); err != nil {
			t.Errorf("a cache: %v", err)
		}
		holds(t, dir, map[string]string{"old": "old", "cache": "newer", "to": "from"})
	})
}
