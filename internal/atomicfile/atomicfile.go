// Package atomicfile writes whole files: whoever reads one finds all of the old content or all of the new, and what was
// reported as written survives a loss of power. It must never know what the files hold.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// Write makes the file name hold b, with permissions perm before the umask. Without an error the file has all of b from now
// on, whatever fails later: b is flushed before it gets the name, and the name before Write returns. With an error the file is
// as it was, or, if only the flush of its name failed, holds all of b until power is lost. A crash may leave a file beside it
// whose name begins with name and ends with ".new".
func Write(name string, b []byte, perm fs.FileMode) error {
	tmp, err := beside(name, b, perm, true)
	if err != nil {
		return err
	}
	return swap(tmp, name, Rename)
}

// WriteUnflushed is Write for what can be had again, such as a cache: it costs no flush. As long as the system runs the file
// has all of the old or the new; a loss of power may leave anything under the name, which who reads it has to notice.
func WriteUnflushed(name string, b []byte, perm fs.FileMode) error {
	tmp, err := beside(name, b, perm, false)
	if err != nil {
		return err
	}
	return swap(tmp, name, os.Rename)
}

// Create is Write for a file that must not exist: the error then satisfies errors.Is(err, fs.ErrExist). Another error leaves no
// file. A crash before it returns may leave a file that is cut short, which no later Create replaces.
func Create(name string, b []byte, perm fs.FileMode) error {
	err := fill(name, b, perm, true)
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if err == nil {
		err = SyncDir(filepath.Dir(name))
	}
	if err != nil {
		os.Remove(name)
	}
	return err
}

// Rename gives a file or folder another name in the same folder, in place of what has that name, and flushes it. What it holds
// must have been flushed by the caller.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// swap gives tmp the name, or removes it.
func swap(tmp, name string, rename func(from, to string) error) error {
	err := rename(tmp, name)
	if err != nil {
		os.Remove(tmp) // fails if it has the name already
	}
	return err
}

// beside writes a new file in the folder of name and returns what it is called.
func beside(name string, b []byte, perm fs.FileMode, flush bool) (string, error) {
	const attempts = 100
	for i := 0; ; i++ {
		tmp := fmt.Sprintf("%s.%08x.new", name, rand.Uint32())
		err := fill(tmp, b, perm, flush)
		if err == nil {
			return tmp, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			os.Remove(tmp)
			return "", err
		}
		if i == attempts {
			return "", err
		}
	}
}

// fill writes a file that must not exist.
func fill(name string, b []byte, perm fs.FileMode, flush bool) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && flush {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
