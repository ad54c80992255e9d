//go:build unix && !linux

package proc

import "syscall"

// dieWithParent keeps a Ctrl-C at the terminal from reaching the children before their parent stops them in order. That
// they don't outlive it is by the end of their standard input.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
