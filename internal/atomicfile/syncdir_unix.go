//go:build !windows

package atomicfile

import (
	"errors"
	"os"
)

// SyncDir flushes what was created, renamed and removed in a folder.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
