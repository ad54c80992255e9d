package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const writeCategory = vfs.WriteCategoryUnspecified

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// readFile reads a whole file of at most limit bytes.
func readFile(fsys vfs.FS, path string, limit int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("file is larger than %d bytes", limit)
	}
	return b, err
}

// writeFileAtomic replaces dir/name by b: after a crash the file holds the old bytes or the new ones.
func writeFileAtomic(fsys vfs.FS, dir, name string, b []byte) error {
	tmp := fsys.PathJoin(dir, name+".tmp")
	f, err := fsys.Create(tmp, writeCategory)
	if err != nil {
		return fmt.Errorf("create %s: %w", tmp, err)
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsys.Rename(tmp, fsys.PathJoin(dir, name))
	}
	if err == nil {
		err = syncDir(fsys, dir)
	}
	if err != nil {
		return fmt.Errorf("replace %s in %s: %w", name, dir, err)
	}
	return nil
}

func syncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// mkdirSync creates dir and what is missing above it, so that they survive a loss of power.
func mkdirSync(fsys vfs.FS, dir string) error {
	var made []string
	for d := dir; ; {
		_, err := fsys.Stat(d)
		parent := fsys.PathDir(d)
		if err == nil || parent == d {
			break
		}
		if !isNotExist(err) {
			return err
		}
		made = append(made, parent)
		d = parent
	}
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, p := range made {
		if err := syncDir(fsys, p); err != nil {
			return err
		}
	}
	return nil
}
