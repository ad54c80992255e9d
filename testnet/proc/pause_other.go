//go:build !unix

package proc

import (
	"errors"
	"os"
)

func pause(*os.Process) error {
	return errors.New("this system cannot pause a process; kill and restart it instead")
}

func resume(*os.Process) error { return nil }
