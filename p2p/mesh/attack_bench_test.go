//go:build unix

package mesh

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

const (
	envVictim  = "KWNODE_TEST_VICTIM"
	attackTime = 3 * time.Second
	inTime     = 250 * time.Millisecond // what comes later does not count
)

// figures are what the victim's process tells of itself.
type figures struct {
	CPU time.Duration
	Cut int
}

// TestVictimProcess is the victim of BenchmarkAttack: a process of its own, so that its processor time can be told.
func TestVictimProcess(t *testing.T) {
	if os.Getenv(envVictim) == "" {
		t.Skip("runs as a child of BenchmarkAttack")
	}
	v := newVictim(t, netip.MustParsePrefix("127.0.0.1/32"))
	fmt.Printf("victim %s\n", v.h.Addrs()[0])
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var use syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(figures{time.Duration(use.Utime.Nano() + use.Stime.Nano()), v.total().cut})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("victim %s\n", b)
	}
}

// BenchmarkAttack: what honest peers offer and get through while strangers attack for 3 s, and what that costs the victim.
// They offer a third of what they get through undisturbed; beside it stands what gets through when they call flat out,
// which says more about who shares the processors. "many" are the same strangers from 64 addresses.
//
//	go test ./p2p/mesh -run '^$' -bench Attack -benchtime 1x
func BenchmarkAttack(b *testing.B) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictimProcess$", "-test.timeout=10m")
	cmd.Env = append(os.Environ(), envVictim+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	lines := bufio.NewScanner(out)
	next := func() (word string) {
		for lines.Scan() {
			if n, _ := fmt.Sscanf(lines.Text(), "victim %s", &word); n == 1 {
				return word
			}
		}
		b.Fatal("the victim's process has ended")
		return ""
	}
	addr := next()
	look := func() (f figures) {
		fmt.Fprintln(in, "look")
		if err := json.Unmarshal([]byte(next()), &f); err != nil {
			b.Fatal(err)
		}
		return f
	}
	a := newHonest(b, addr)
	full := a.flatOut(attackTime)
	before := look()
	a.offer(b, full/3, attackTime)
	quiet := look().CPU - before.CPU
	network := 0
	for name := range attacks {
		for _, places := range []int{1, 64} {
			row := map[int]string{1: "one", 64: "many"}[places]
			b.Run(name+"/"+row, func(b *testing.B) {
				for range b.N {
					network++
					before := look()
					stop := attackFrom(b, name, addr, network, places)
					calls, capsules := a.offer(b, full/3, attackTime)
					after := look()
					stop()
					network++
					stop = attackFrom(b, name, addr, network, places)
					flat := a.flatOut(attackTime)
					stop()
					b.ReportMetric(100*calls, "%calls")
					b.ReportMetric(100*capsules, "%capsules")
					b.ReportMetric(100*flat/full, "%flat-out")
					b.ReportMetric(max(0, 100*float64(after.CPU-before.CPU-quiet)/float64(attackTime)), "%core")
					b.ReportMetric(float64(after.Cut-before.Cut), "cut")
					b.ReportMetric(0, "ns/op")
				}
			})
		}
	}
	b.Logf("undisturbed %.0f calls/s flat out; a third of that takes %.0f %% of a core", full, 100*quiet.Seconds()/attackTime.Seconds())
}

// attackFrom attacks from a network of the loopback.
func attackFrom(b *testing.B, name, addr string, network, places int) (stop func()) {
	cmd := attacking(b, name, addr, 0, fmt.Sprintf("127.66.%d", network), places, attackTime)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	return func() {
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	}
}

// flatOut is how many calls a second are answered when each follows the one before.
func (a *honest) flatOut(d time.Duration) float64 {
	n := 0
	for start := time.Now(); ; {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := a.ask(ctx)
		cancel()
		if err == nil {
			n++
		}
		if took := time.Since(start); took >= d {
			return float64(n) / took.Seconds()
		}
	}
}

// offer makes calls at a rate, whether or not those before were answered, and publishes capsules. It returns the shares
// that got through in time.
func (a *honest) offer(b *testing.B, rate float64, d time.Duration) (calls, capsules float64) {
	done, sent := make(chan struct{}), make(chan []capsule.ID)
	go func() { sent <- a.publish(b, done) }()
	var all sync.WaitGroup
	var answered atomic.Int64
	offered := int(rate * d.Seconds())
	start := time.Now()
	for i := range offered {
		due := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		time.Sleep(time.Until(due))
		all.Go(func() {
			ctx, cancel := context.WithDeadline(context.Background(), due.Add(inTime))
			defer cancel()
			if a.ask(ctx) == nil {
				answered.Add(1)
			}
		})
	}
	all.Wait()
	close(done)
	ids := <-sent
	return float64(answered.Load()) / float64(offered), float64(a.arrived(b, ids)) / float64(len(ids))
}
