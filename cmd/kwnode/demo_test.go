package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/kitwork/kwnode/testnet/demo"
)

// demoTestTime bounds the demonstration on a busy machine.
const demoTestTime = 3 * time.Minute

// TestDemo runs the demonstration as a person would, each way of its comparison once, and reads its figures.
func TestDemo(t *testing.T) {
	if raceDetector {
		t.Skip("whole nets are too slow under the race detector: run it without -race")
	}
	temp := t.TempDir()
	cmd, stdout, stderr := demoCommand(t, temp, "--json", "--runs", "1", "--link-delay", "20ms")
	timer := time.AfterFunc(demoTestTime, func() { _ = cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s\n%s", err, stderr, stdout)
	}
	var r demo.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Checks) < 8 || slices.ContainsFunc(r.Checks, func(c demo.Check) bool { return !c.OK }) {
		t.Errorf("checks: %+v", r.Checks)
	}
	j := r.Journey
	if j == nil || j.Moves < 3 || len(j.Killed) != 2 || len(j.Chain) == 0 || j.Chain[len(j.Chain)-1] != r.Question.To {
		t.Errorf("journey: %+v", j)
	}
	if c := r.Compare; c == nil || len(c.Ways) != 6 || len(c.Hops) != int(j.Moves) || c.Hops[0].Bytes == 0 || c.Hops[0].Names == 0 {
		t.Errorf("comparison: %+v", c)
	}
	if _, err := os.Stat("/proc/self/smaps_rollup"); err == nil && (r.Memory < 50<<20 || r.Memory > 2<<30) {
		t.Errorf("ten processes held %d bytes of memory", r.Memory)
	}
	left(t, temp)
}

// TestDemoInterrupted holds that an interrupt leaves nothing behind either.
func TestDemoInterrupted(t *testing.T) {
	if raceDetector {
		t.Skip("whole nets are too slow under the race detector: run it without -race")
	}
	temp := t.TempDir()
	cmd, stdout, _ := demoCommand(t, temp)
	cmd.Stdout = &trigger{to: stdout, word: []byte("nine nodes run"), do: func() { _ = cmd.Process.Signal(os.Interrupt) }}
	if err := cmd.Run(); err == nil {
		t.Error("it ended well")
	}
	left(t, temp)
}

func demoCommand(t *testing.T, temp string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(self, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "TMPDIR="+temp)
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	return cmd, stdout, stderr
}

// trigger does something once a word has been written.
type trigger struct {
	to   *bytes.Buffer
	word []byte
	do   func()
}

func (w *trigger) Write(b []byte) (int, error) {
	n, err := w.to.Write(b)
	if w.do != nil && bytes.Contains(w.to.Bytes(), w.word) {
		w.do()
		w.do = nil
	}
	return n, err
}

// left holds that a demonstration has taken its files away.
func left(t *testing.T, temp string) {
	t.Helper()
	entries, err := os.ReadDir(temp)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s was left behind", e.Name())
	}
}

// TestEvacuate drains and restarts three nodes under a few computations.
func TestEvacuate(t *testing.T) {
	if raceDetector {
		t.Skip("whole nets are too slow under the race detector: run it without -race")
	}
	temp := t.TempDir()
	cmd, stdout, stderr := demoCommand(t, temp, "evacuate", "--capsules", "12", "--json")
	timer := time.AfterFunc(demoTestTime, func() { _ = cmd.Process.Signal(os.Interrupt) })
	defer timer.Stop()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s\n%s", err, stderr, stdout)
	}
	var r demo.Evacuation
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Finished != 12 || r.Lost != 0 || r.Different != 0 || r.Moved == 0 || len(r.Nodes) != 3 {
		t.Errorf("%+v", r)
	}
	left(t, temp)
}
