//go:build !unix

package proc

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
