//go:build !unix || solaris || aix

package proc

import "os"

const sweeps = false

func flock(*os.File) error { return nil }
