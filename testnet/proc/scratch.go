package proc

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// Scratch makes a temporary folder that lasts as long as this process wants it. One that was killed can't remove its own:
// who makes the next with the same prefix does. A lock on a file beside each folder, which the system lets go with its
// holder, says whether somebody still wants it.
func Scratch(prefix string) (dir string, remove func() error, err error) {
	sweep(prefix)
	for range 100 {
		f, err := os.CreateTemp("", prefix+"*"+lockSuffix)
		if err != nil {
			return "", nil, err
		}
		dir := strings.TrimSuffix(f.Name(), lockSuffix)
		if flock(f) != nil || !stands(f) { // somebody who sweeps was faster
			f.Close()
			continue
		}
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", nil, errors.Join(err, os.Remove(f.Name()), f.Close())
		}
		return dir, func() error { return errors.Join(os.RemoveAll(dir), os.Remove(f.Name()), f.Close()) }, nil
	}
	return "", nil, errors.New("no temporary folder could be locked")
}

const lockSuffix = ".lock"

// stands reports whether an open file is still the one that its name leads to.
func stands(f *os.File) bool {
	a, aerr := f.Stat()
	b, berr := os.Stat(f.Name())
	return aerr == nil && berr == nil && os.SameFile(a, b)
}

// sweep removes what processes that are gone left behind. It is best effort: what can't be removed is somebody else's.
func sweep(prefix string) {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), prefix+"*"+lockSuffix))
	for _, name := range locks {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if sweeps && flock(f) == nil && stands(f) && os.RemoveAll(strings.TrimSuffix(name, lockSuffix)) == nil {
			_ = os.Remove(name)
		}
		f.Close()
	}
}
