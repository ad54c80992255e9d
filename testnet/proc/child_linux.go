package proc

import "syscall"

// dieWithParent has the kernel kill a child when its parent is gone, even one that is paused and would not notice that
// its standard input ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// ownGroup keeps a Ctrl-C at the terminal from a child, which ends with its standard input.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
