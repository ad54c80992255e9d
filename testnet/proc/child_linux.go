package proc

import "syscall"

// dieWithParent has the kernel kill a child when its parent is gone, even one that is paused and would not notice that
// its standard input ends.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
