package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPlay plays the scripts for newcomers, with the commands and processes that they would see.
func TestPlay(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	scripts, err := filepath.Glob("../../testnet/scripts/*.txtar")
	if err != nil || len(scripts) < 7 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for _, s := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(s), ".txtar"), func(t *testing.T) {
			if out, err := play(t, filepath.Join("testnet/scripts", filepath.Base(s))); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// play runs the command in the root of the repository.
func play(t *testing.T, args ...string) (string, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, append([]string{"testnet", "play", "--timeout", "2m"}, args...)...)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestPlayStops holds that a script ends at the line that does not come out as it should, and says which.
func TestPlayStops(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"kwnode version\nstdout 'no such version'", "s.txtar:2: the last command printed"},
		{"# one\n\nkwnode keygen $WORK/a $WORK/b", "s.txtar:3: kwnode keygen"},
		{"! kwnode version", "s.txtar:1: it went well"},
		{"kwnode version\n! stdout 'kwnode'", "s.txtar:2:"},
		{"kwnode capsule inspect $WORK/x.capsule\n-- x.capsule --\nnot one", "s.txtar:1: kwnode capsule"},
		{"kwnode version 'open", "s.txtar:1: a quote has no end"},
		{"kwnode version $NO_SUCH_VARIABLE", "s.txtar:1: $NO_SUCH_VARIABLE is not set"},
		{"until x kwnode", "s.txtar:1: want until"},
		{"rm -rf", "s.txtar:1: unknown command"},
		{"stdout [", "s.txtar:1: error parsing regexp"},
		{"-- ../x --\n", "leads out of the script's folder"},
	} {
		name := filepath.Join(t.TempDir(), "s.txtar")
		if err := os.WriteFile(name, []byte(c.script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := play(t, name); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%q: %v\n%s\nwant %s", c.script, err, out, c.want)
		}
	}
}

// TestPlayKilled holds that the nodes of a script's network end with the process that plays it, however that ends.
func TestPlayKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "s.txtar")
	if err := os.WriteFile(name, []byte("net --voters 1 --workers 1\nkwnode testnet status\nuntil never kwnode version\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "testnet", "play", name)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ports []string
	for lines := bufio.NewScanner(out); len(ports) < 2 && lines.Scan(); {
		if m := regexp.MustCompile(`/ip4/127.0.0.1/tcp/(\d+)/`).FindStringSubmatch(lines.Text()); m != nil {
			ports = append(ports, m[1])
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if len(ports) < 2 {
		t.Fatalf("the script showed nodes at %v", ports)
	}
	for _, port := range ports {
		tick := time.NewTicker(20 * time.Millisecond)
		for deadline := time.Now().Add(startTimeout); ; <-tick.C {
			c, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err != nil {
				break
			}
			c.Close()
			if time.Now().After(deadline) {
				t.Fatalf("the node at port %s outlives the script", port)
			}
		}
		tick.Stop()
	}
}
