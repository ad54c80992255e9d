//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestZonePage types docs/ZONE.md into a shell, from its first command to its last.
func TestZonePage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; go test without -short runs it")
	}
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to type the page into; install it")
	}
	page, err := os.ReadFile("../../docs/ZONE.md")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "kwnode")); err != nil {
		t.Fatal(err)
	}
	script := "set -ex\n" + withFreePorts(t, commandsOf(string(page))) + "\nwait\n"
	ctx, cancel := context.WithTimeout(t.Context(), 4*startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "HOME="+dir, "XDG_CONFIG_HOME="+dir, "KITWORK_ZONES=", "KITWORK_NODE=", "KITWORK_KEY=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the nodes that the page starts go down with the shell
	stop := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = stop
	cmd.WaitDelay = 5 * time.Second
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	stop()
	if err != nil {
		for _, log := range []string{"a.log", "b.log", "c.log", "d.log", "w.log"} {
			b, _ := os.ReadFile(filepath.Join(dir, log))
			fmt.Fprintf(out, "== %s\n%s", log, b[max(0, len(b)-2000):])
		}
		t.Fatalf("the page's commands ended with %v:\n%s", err, out)
	}
	for _, want := range []string{"written before the fall", "and this after it"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q was not printed:\n%s", want, out)
		}
	}
}

// commandsOf are the indented lines of a page. One that doesn't name ./kwnode but kwnode is an example that the page says
// not to type, with what continues it.
func commandsOf(page string) string {
	var b strings.Builder
	example := false
	for line := range strings.Lines(page) {
		command, ok := strings.CutPrefix(line, "    ")
		if !ok {
			continue
		}
		example = example || strings.HasPrefix(command, "kwnode ")
		if !example {
			b.WriteString(command)
		}
		example = example && strings.HasSuffix(command, "\\\n")
	}
	return b.String()
}

var pagePort = regexp.MustCompile(`/tcp/74\d\d`)

// withFreePorts replaces the ports of a page by ports that are free here.
func withFreePorts(t *testing.T, script string) string {
	t.Helper()
	free := map[string]net.Listener{} // all held until the last is chosen, so that no two are the same
	defer func() {
		for _, l := range free {
			l.Close()
		}
	}()
	return pagePort.ReplaceAllStringFunc(script, func(p string) string {
		if free[p] == nil {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			free[p] = l
		}
		return fmt.Sprintf("/tcp/%d", free[p].Addr().(*net.TCPAddr).Port)
	})
}
