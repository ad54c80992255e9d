//go:build !unix

package proc

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

func ownGroup() *syscall.SysProcAttr { return nil }
