// Command net measures what a client of a whole network gets: three voters, a gateway and two workers as processes on
// loopback, with fsync. The client's part, signing and verifying the result's certificate, is in every figure.
//
//	go run ./net                          every row, about a minute
//	go run ./net -row 'latency|kill'      some of them
//	go run ./net -row soak -soak 10m      memory of each node under load, minute by minute, and whether it is flat
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/proc"
)

// Echo is the tiny capsule: it asks the zone for the time, so that it has to travel.
func Echo(ctx kit.Context, n int) (int, error) {
	if kit.Now(ctx) == 0 {
		return 0, kit.Fail(16, "no time")
	}
	return n, nil
}

// Burn computes for a while behind the same question.
func Burn(ctx kit.Context, rounds int) (uint64, error) {
	x := uint64(kit.Now(ctx)) | 1
	for range rounds {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	return x, nil
}

type bench struct {
	net     *proc.Net
	dir     string
	client  *sdk.Client
	echo    *sdk.Program
	clients int
	samples int
	binary  string // of a kwnode, or empty
	load    time.Duration
	soak    time.Duration
	out     *tabwriter.Writer
}

func (b *bench) row(what, target, format string, args ...any) {
	fmt.Fprintf(b.out, "%s\t%s\t%s\n", what, target, fmt.Sprintf(format, args...))
	b.out.Flush()
}

func main() {
	var b bench
	rows := flag.String("row", "ready|idle|latency|load|kill|change", "regular `expression` of the rows to measure; soak is one more")
	flag.IntVar(&b.clients, "clients", 64, "of the load")
	flag.IntVar(&b.samples, "samples", 500, "of the latency")
	flag.StringVar(&b.binary, "kwnode", "", "the `file` of a kwnode to measure, to compare two; the one of this checkout is built otherwise")
	flag.DurationVar(&b.load, "load", 10*time.Second, "how long the load lasts")
	flag.DurationVar(&b.soak, "soak", 30*time.Second, "how long the soak lasts; ten minutes for the table")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := b.run(ctx, regexp.MustCompile(*rows)); err != nil {
		fmt.Fprintln(os.Stderr, "net:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, rows *regexp.Regexp) (err error) {
	if b.dir, err = os.MkdirTemp("", "kwnode-bench-net-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	bin := filepath.Join(b.dir, "kwnode")
	if b.binary != "" {
		bin = b.binary
	} else if out, err := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", bin, "./cmd/kwnode").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w: %s", err, out)
	}
	began := time.Now()
	if b.net, err = proc.Up(ctx, proc.Options{Binary: bin, Dir: filepath.Join(b.dir, "net"), Zones: 1, Voters: 3, Workers: 2, Gateways: 1, Slots: 64, Namespaces: []string{"notes"}, Heartbeat: 250 * time.Millisecond}); err != nil {
		return err
	}
	defer b.net.Close()
	up := time.Since(began)
	b.out = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	st := b.net.State()
	for _, kv := range proc.Env(filepath.Join(b.dir, "net"), &st) {
		if err := os.Setenv(kv[0], kv[1]); err != nil {
			return err
		}
	}
	if b.client, err = sdk.FromEnv(ctx); err != nil {
		return err
	}
	defer b.client.Close()
	if b.echo, err = sdk.Build(ctx, Echo, build.Options{}); err != nil {
		return err
	}
	p, err := b.prepared(ctx)
	if err != nil {
		return err
	}
	if _, err := b.one(ctx, b.client, p); err != nil {
		return err
	}
	for _, r := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"ready", func(ctx context.Context) error { return b.ready(ctx, up) }},
		{"idle", b.idle}, {"latency", b.latency}, {"load", b.throughput}, {"kill", b.kill}, {"change", b.change}, {"soak", b.soaked},
	} {
		if !rows.MatchString(r.name) {
			continue
		}
		if err := r.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// prepared is the tiny capsule, run up to where it asks for the time.
func (b *bench) prepared(ctx context.Context) (*sdk.Prepared, error) {
	input, err := kit.Marshal(7)
	if err != nil {
		return nil, err
	}
	return sdk.Prepare(ctx, b.echo, input, sdk.PrepareOptions{})
}

// one seals a capsule anew and runs it: the time is from handing it in to its verified result.
func (b *bench) one(ctx context.Context, c *sdk.Client, p *sdk.Prepared) (time.Duration, error) {
	bundle, err := c.Seal(p)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	s, err := c.Submit(ctx, bundle)
	if err != nil {
		return 0, err
	}
	res, err := s.Await(ctx)
	if err != nil {
		return 0, err
	}
	took := time.Since(began)
	if n, err := sdk.Decode[int](res); err != nil || n != 7 {
		return 0, fmt.Errorf("the echo is %d: %w", n, err)
	}
	return took, nil
}

func (b *bench) ready(ctx context.Context, up time.Duration) error {
	b.row("whole network: keys, genesis, six processes, leader, workers", "–", "%.1f s", up.Seconds())
	for _, name := range []string{"gateway-0", "home-voter-1", "home-worker-1"} {
		if err := b.net.Kill(name); err != nil {
			return err
		}
		began := time.Now()
		if err := b.net.Start(ctx, name); err != nil {
			return err
		}
		b.row("start to ready: "+name, "≤ 1 s", "%.2f s", time.Since(began).Seconds())
	}
	return nil
}

func quantile(sorted []time.Duration, q float64) time.Duration {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

func (b *bench) latency(ctx context.Context) error {
	var all []time.Duration
	for i := range b.samples + 20 {
		p, err := b.prepared(ctx)
		if err != nil {
			return err
		}
		d, err := b.one(ctx, b.client, p)
		if err != nil {
			return err
		}
		if i >= 20 {
			all = append(all, d)
		}
	}
	slices.Sort(all)
	b.row("submit to verified result, one at a time: p50 / p99", "≤ 20 / ≤ 60 ms", "%.1f / %.1f ms",
		quantile(all, .5).Seconds()*1e3, quantile(all, .99).Seconds()*1e3)
	return nil
}

// kill has a computation of two seconds lose its worker in the middle.
func (b *bench) kill(ctx context.Context) error {
	burn, err := sdk.Build(ctx, Burn, build.Options{})
	if err != nil {
		return err
	}
	once := func(rounds int, breakIt func(capsule.ID) error) (time.Duration, error) {
		input, err := kit.Marshal(rounds)
		if err != nil {
			return 0, err
		}
		p, err := sdk.Prepare(ctx, burn, input, sdk.PrepareOptions{})
		if err != nil {
			return 0, err
		}
		bundle, err := b.client.Seal(p, sdk.Gas(1<<42))
		if err != nil {
			return 0, err
		}
		began := time.Now()
		s, err := b.client.Submit(ctx, bundle)
		if err != nil {
			return 0, err
		}
		if breakIt != nil {
			if err := breakIt(s.ID); err != nil {
				return 0, err
			}
		}
		_, err = s.Await(ctx)
		return time.Since(began), err
	}
	rounds := 1_000_000
	if _, err := once(rounds, nil); err != nil { // uploads and compiles the code
		return err
	}
	var took time.Duration
	for took < 1800*time.Millisecond {
		if took, err = once(rounds, nil); err != nil {
			return err
		}
		if took < 1800*time.Millisecond {
			rounds = int(float64(rounds) * min(20, 2/took.Seconds()))
		}
	}
	b.row("a step of two seconds, undisturbed", "–", "%.2f s", took.Seconds())
	var name string
	lost, err := once(rounds, func(id capsule.ID) (err error) {
		time.Sleep(time.Second) // the moment of the disaster, not a wait for anything
		if name, err = b.workerOf(ctx, id); err != nil {
			return err
		}
		return b.net.Kill(name)
	})
	if err != nil {
		return err
	}
	b.row("the same, its worker killed -9 after one: more than undisturbed", "≤ 1 s", "%.2f s", (lost - took).Seconds())
	return b.net.Start(ctx, name)
}
