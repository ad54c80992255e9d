//go:build unix && !solaris && !aix

package proc

import (
	"os"
	"syscall"
)

// sweeps says that locks tell the dead from the living here.
const sweeps = true

func flock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
