package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kitwork/kwnode/testnet/proc"
)

// TestNetScripts runs testdata/net: networks of real processes. Beside testscript's own commands a script has
//
//	kwnode ARGS          this program; what it prints is bare in $OUT
//	until REGEXP ARGS    the same, until what it prints matches
//	net ARGS             kwnode testnet up ARGS, until the script ends; sets what clients need in the environment
//	node NAME ARGS       kwnode start ARGS, until the script ends or "end NAME"; its address is $NAME
//	end NAME             SIGKILL
//	begin NAME TEXT ARGS kwnode ARGS in the background, until it prints TEXT
//	await NAME           waits until that has ended well
//	waitfor REGEXP ARGS  kwnode ARGS again and again, until its output matches
//	atleast TIME ARGS    kwnode ARGS, which takes no less
//	forge FILE NEW       copies a capsule with its content, one bit of its last signature changed
//	orphans              waits until no node of the network answers any more
//	leader               sets $LEADER to the node that leads, $KITWORK_NODE to another voter, and $OTHER to a third
func TestNetScripts(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	guests, err := filepath.Abs("../../vm/testdata/guests")
	if err != nil {
		t.Fatal(err)
	}
	nodes := &children{self: self, procs: map[string]*exec.Cmd{}}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/net",
		Setup: func(e *testscript.Env) error {
			e.Setenv(asProgram, "1")
			e.Setenv("GUESTS", guests)
			e.Setenv("KITWORK_ZONES", filepath.Join(e.WorkDir, "book"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kwnode": func(ts *testscript.TestScript, neg bool, args []string) {
				if err := ts.Exec(self, args...); neg != (err != nil) {
					ts.Fatalf("kwnode ended with: %v", err)
				}
				ts.Setenv("OUT", strings.TrimSpace(ts.ReadFile("stdout")))
			},
			"until": func(ts *testscript.TestScript, _ bool, args []string) {
				re := regexp.MustCompile(args[0])
				deadline := time.Now().Add(startTimeout)
				for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
					if err := ts.Exec(self, args[1:]...); err == nil && re.MatchString(ts.ReadFile("stdout")) {
						tick.Stop()
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("%q did not come", args[0])
					}
				}
			},
			"net": func(ts *testscript.TestScript, _ bool, args []string) {
				nodes.start(ts, "net", append([]string{"testnet", "up"}, args...), func(line string) bool {
					k, v, _ := strings.Cut(strings.TrimPrefix(line, "export "), "=")
					ts.Setenv(k, strings.Trim(v, "'"))
					return k == "KITWORK_GRANTS"
				})
			},
			"node": func(ts *testscript.TestScript, _ bool, args []string) {
				nodes.start(ts, args[0], append([]string{"start"}, args[1:]...), func(line string) bool {
					addr, ok := strings.CutPrefix(line, "ready ")
					ts.Setenv(args[0], addr)
					return ok
				})
			},
			"end": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(nodes.of(ts, args[0]).Process.Kill())
			},
			"begin": func(ts *testscript.TestScript, _ bool, args []string) {
				nodes.start(ts, args[0], args[2:], func(line string) bool { return strings.Contains(line, args[1]) })
			},
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				if err := nodes.of(ts, args[0]).Wait(); err != nil {
					ts.Fatalf("%s ended with %v:\n%s", args[0], err, ts.ReadFile(args[0]+".log"))
				}
			},
			"waitfor": func(ts *testscript.TestScript, _ bool, args []string) {
				want := regexp.MustCompile(args[0])
				for deadline := time.Now().Add(startTimeout); ; {
					err := ts.Exec(self, args[1:]...)
					if out := ts.ReadFile("stdout"); err == nil && want.MatchString(out) {
						return
					}
					if time.Now().After(deadline) {
						ts.Fatalf("no %q within %s", args[0], startTimeout)
					}
				}
			},
			"atleast": func(ts *testscript.TestScript, _ bool, args []string) {
				least, err := time.ParseDuration(args[0])
				ts.Check(err)
				start := time.Now()
				ts.Check(ts.Exec(self, args[1:]...))
				if took := time.Since(start); took < least {
					ts.Fatalf("it took %v, and at least %v was to be expected", took, least)
				}
			},
			"forge": func(ts *testscript.TestScript, _ bool, args []string) {
				b := []byte(ts.ReadFile(args[0]))
				b[len(b)-8] ^= 1
				ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
				ts.Check(os.WriteFile(ts.MkAbs(blobsName(args[1])), []byte(ts.ReadFile(blobsName(args[0]))), 0o600))
			},
			"orphans": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(noneAnswers(ts.MkAbs("testnet-data")))
			},
			"leader": func(ts *testscript.TestScript, _ bool, _ []string) {
				ts.Check(ts.Exec(self, "testnet", "status"))
				names := []string{"KITWORK_NODE", "OTHER"}
				for _, l := range strings.Split(ts.ReadFile("stdout"), "\n") {
					f := strings.Fields(l)
					switch {
					case len(f) < 5 || f[1] != "running":
					case f[3] == "leader":
						ts.Setenv("LEADER", f[0])
					case f[3] == "voter" && len(names) > 0:
						ts.Setenv(names[0], f[4])
						names = names[1:]
					}
				}
				if ts.Getenv("LEADER") == "" {
					ts.Fatalf("nobody leads")
				}
			},
		},
	})
}

// noneAnswers waits until no node of a network answers any more.
func noneAnswers(dir string) error {
	st, err := proc.ReadState(dir)
	if err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(startTimeout)
	for _, n := range st.Nodes {
		for ; ; <-tick.C {
			c, err := net.Dial("tcp", "127.0.0.1:"+strings.Split(n.Addr, "/")[4])
			if err != nil {
				break
			}
			c.Close()
			if time.Now().After(deadline) {
				return fmt.Errorf("%s outlives its parent", n.Name)
			}
		}
	}
	return nil
}

// children are the scripts' processes in the background.
type children struct {
	self string

	mu    sync.Mutex           // guards procs: scripts run at the same time
	procs map[string]*exec.Cmd // by the script's folder and the name
}

func (c *children) of(ts *testscript.TestScript, name string) *exec.Cmd {
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd := c.procs[ts.MkAbs(name)]
	if cmd == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return cmd
}

const startTimeout = time.Minute

// start runs this program until ready says that a line of its output was what it waited for.
func (c *children) start(ts *testscript.TestScript, name string, args []string, ready func(line string) bool) {
	cmd := exec.Command(c.self, args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), asProgram+"=1")
	log, err := os.Create(ts.MkAbs(name + ".log"))
	ts.Check(err)
	defer log.Close()
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	c.mu.Lock()
	c.procs[ts.MkAbs(name)] = cmd
	c.mu.Unlock()
	ts.Defer(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
	})
	late := time.AfterFunc(startTimeout, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if ready(lines.Text()) {
			return
		}
	}
	ts.Fatalf("%s ended before it was ready:\n%s", name, ts.ReadFile(name+".log"))
}
