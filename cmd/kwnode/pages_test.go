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
	page := readPage(t, "ZONE.md")
	dir := t.TempDir()
	linkSelf(t, dir)
	out, err := typed(t, dir, withFreePorts(t, commandsOf(page))+"\nwait\n")
	if err != nil {
		for _, log := range []string{"a.log", "b.log", "c.log", "d.log", "w.log"} {
			b, _ := os.ReadFile(filepath.Join(dir, log))
			out += fmt.Sprintf("== %s\n%s", log, b[max(0, len(b)-2000):])
		}
		t.Fatalf("the page's commands ended with %v:\n%s", err, out)
	}
	for _, want := range []string{"written before the fall", "and this after it"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q was not printed:\n%s", want, out)
		}
	}
}

// TestQuickstart types docs/QUICKSTART.md into a shell, all but what needs the internet, with the networks in the background,
// and then the commands of docs/GUESTS.md; Ctrl-C ends the networks. The folder in which it does so is a module of its own
// that has the examples, so that nothing is written into the source tree and nothing is compiled that is compiled already.
func TestQuickstart(t *testing.T) {
	page := readPage(t, "QUICKSTART.md")
	repo, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "kwnode")
	for _, d := range []string{"examples", "testnet/scripts"} {
		if err := os.CopyFS(filepath.Join(dir, d), os.DirFS(filepath.Join(repo, d))); err != nil {
			t.Fatal(err)
		}
	}
	linkSelf(t, dir)
	out, err := typed(t, dir, strings.Join([]string{
		"cp '" + repo + "/go.mod' '" + repo + "/go.sum' .",
		"go mod edit -module example.org/page -require github.com/kitwork/kwnode@v0.0.0 -replace github.com/kitwork/kwnode='" + repo + "'",
		quickstartScript(commandsOf(page)),
		guestCommands(commandsOf(readPage(t, "GUESTS.md"))),
		"kill -INT $networks; for p in $networks; do wait $p; done",
	}, "\n"))
	if err != nil {
		logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, log := range logs {
			b, _ := os.ReadFile(log)
			out += fmt.Sprintf("== %s\n%s", log, b)
		}
		t.Fatalf("the page's commands ended with %v:\n%s", err, out)
	}
	rest := out
	for _, want := range []string{
		"home-worker-1 ", "visits: 1\n", "visits: 2\n", "notes/first\thello, zone\n", "hello Ada, number 1\n", // as the page says
		"hello Ada, number 2\n", "\"hello Ada, number 3\"\n", "hello Ada, number 4\n", "hello Ada, number 5\n", // nothing is done twice or lost
		"leader, cut off", "certified", "certified",
	} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q was not printed, or not in its turn:\n%s", want, out)
		}
		rest = after
	}
	for _, net := range []string{"testnet-data", "far"} {
		if err := noneAnswers(filepath.Join(dir, net)); err != nil {
			t.Error(err)
		}
	}
}

// quickstartScript makes a script of the quickstart's commands. What gets the source is left out, and go mod tidy, which asks the
// internet for more than go.sum has; a network runs in a terminal of its own.
func quickstartScript(commands string) string {
	var b strings.Builder
	for line := range strings.Lines(commands) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case strings.HasPrefix(line, "git clone "), line == "cd kwnode", strings.HasPrefix(line, "go build -o kwnode "):
		case strings.HasPrefix(line, "./kwnode testnet up "):
			fmt.Fprintf(&b, "n=$((n+1)); %s >$n.log 2>&1 & networks=\"$! $networks\"\n", line)
			b.WriteString("until grep -q 'in another terminal' $n.log; do kill -0 $! && sleep 0.1; done\n")
		case line == "go mod tidy":
			b.WriteString("cp ../kwnode/go.mod ../kwnode/go.sum . && go mod edit -module example.org/greet\n")
		default:
			fmt.Fprintln(&b, line)
		}
	}
	return b.String()
}

// guestCommands are those that hand modules in; the others want compilers that a machine may not have.
func guestCommands(commands string) string {
	var b strings.Builder
	for line := range strings.Lines(commands) {
		if strings.HasPrefix(line, "./kwnode ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

func readPage(t *testing.T, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes; go test without -short runs it")
	}
	page, err := os.ReadFile(filepath.Join("../../docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// linkSelf puts this program into a folder, under its own name.
func linkSelf(t *testing.T, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "kwnode")); err != nil {
		t.Fatal(err)
	}
}

// typed runs a script in a shell that stops at the first command that fails, and returns what it printed. What the script
// has started goes down with the shell.
func typed(t *testing.T, dir, script string) (string, error) {
	t.Helper()
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash to type the page into; install it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*startTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", "set -ex\n"+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asProgram+"=1", "HOME="+dir, "XDG_CONFIG_HOME="+dir, "KITWORK_ZONES=", "KITWORK_NODE=", "KITWORK_KEY=")
	cmd.Env = append(cmd.Env, goEnv(t)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the nodes that the page starts go down with the shell
	stop := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = stop
	cmd.WaitDelay = 5 * time.Second
	out := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, out
	err = cmd.Run()
	stop()
	return out.String(), err
}

// goEnv says where Go's caches are, for a shell with another home.
func goEnv(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, k := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		v, err := exec.CommandContext(t.Context(), "go", "env", k).Output()
		if err != nil {
			t.Skip("no Go toolchain for the page's commands; install it")
		}
		env = append(env, k+"="+strings.TrimSpace(string(v)))
	}
	return env
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
