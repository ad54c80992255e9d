package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/proc"
)

// Load is what Carry takes along.
type Load struct {
	Bytes int
	Seed  uint64 // so that no node has seen this data before
	Stops []string
}

// Carry takes data that doesn't compress to every stop, and says whether it is still the same.
func Carry(ctx kit.Context, in Load) (int, error) {
	data, x := make([]byte, in.Bytes), in.Seed|1
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	sum := func() (n uint64) {
		for _, b := range data {
			n = n*31 + uint64(b)
		}
		return n
	}
	before := sum()
	kit.Now(ctx) // the first effect: what is above happens at the author's
	for _, stop := range in.Stops {
		if err := kit.Goto(ctx, stop); err != nil {
			return 0, err
		}
	}
	if sum() != before {
		return 0, kit.Fail(16, "the data has changed on the way")
	}
	return len(data), nil
}

var zones = []string{"here", "there"}

// net is two joined zones and a client that may use both.
type net struct {
	*proc.Net
	dir    string
	client *sdk.Client
	code   *sdk.Program
	stops  []sdk.Option
}

// program is the kwnode to measure, built into dir if there is none.
func (o *options) program(ctx context.Context, dir string) (string, error) {
	if o.binary != "" {
		return filepath.Abs(o.binary)
	}
	name := filepath.Join(dir, "kwnode")
	if out, err := exec.CommandContext(ctx, "go", "build", "-C", "..", "-o", name, "./cmd/kwnode").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w: %s", err, out)
	}
	return name, nil
}

func up(ctx context.Context, o *options) (n *net, err error) {
	n = &net{}
	if n.dir, err = os.MkdirTemp("", "kwnode-bench-handover-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
			n = nil
		}
	}()
	bin, err := o.program(ctx, n.dir)
	if err != nil {
		return n, err
	}
	dir := filepath.Join(n.dir, "net")
	if n.Net, err = proc.Up(ctx, proc.Options{
		Binary: bin, Dir: dir, Zones: len(zones), Names: zones, Voters: 3, Work: true, Joined: true, Slots: 64,
		Heartbeat: 250 * time.Millisecond, Trace: true,
	}); err != nil {
		return n, err
	}
	st := n.State()
	for _, kv := range proc.Env(dir, &st) {
		if err := os.Setenv(kv[0], kv[1]); err != nil {
			return n, err
		}
	}
	if n.client, err = sdk.FromEnv(ctx); err != nil {
		return n, err
	}
	for _, s := range st.Nodes {
		if err := n.client.Connect(ctx, s.Addr); err != nil {
			return n, err
		}
	}
	n.stops = []sdk.Option{sdk.Gas(1 << 40), sdk.Home(st.Zones[0].ID)}
	for _, z := range st.Zones {
		n.stops = append(n.stops, sdk.Stop(z.Name, z.ID))
	}
	if n.code, err = sdk.Build(ctx, Carry, build.Options{}); err != nil {
		return n, err
	}
	_, err = n.journey(ctx, 1, 2*hops) // every node has and has compiled the code afterwards
	return n, err
}

func (n *net) close() error {
	var err error
	if n.client != nil {
		err = n.client.Close()
	}
	if n.Net != nil {
		err = errors.Join(err, n.Net.Discard())
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// prepare makes a capsule that goes to and fro with so many bytes.
func (n *net) prepare(ctx context.Context, bytes, hops int) (*sdk.Prepared, error) {
	in := Load{Bytes: bytes, Seed: rand.Uint64()}
	for i := range hops {
		in.Stops = append(in.Stops, zones[(i+1)%2])
	}
	input, err := kit.Marshal(in)
	if err != nil {
		return nil, err
	}
	return sdk.Prepare(ctx, n.code, input, sdk.PrepareOptions{})
}

// travel sends a prepared capsule on its way and waits for its certified result.
func (n *net) travel(ctx context.Context, p *sdk.Prepared, bytes int) (capsule.ID, error) {
	b, err := n.client.Seal(p, n.stops...)
	if err != nil {
		return capsule.ID{}, err
	}
	s, err := n.client.Submit(ctx, b)
	if err != nil {
		return capsule.ID{}, err
	}
	res, err := s.Await(ctx)
	if err != nil {
		return s.ID, err
	}
	got, err := sdk.Decode[int](res)
	if err == nil && got != bytes {
		err = fmt.Errorf("%d bytes arrived of %d", got, bytes)
	}
	return s.ID, err
}

func (n *net) journey(ctx context.Context, bytes, hops int) (capsule.ID, error) {
	p, err := n.prepare(ctx, bytes, hops)
	if err != nil {
		return capsule.ID{}, err
	}
	return n.travel(ctx, p, bytes)
}

// cpu is the processor time of all nodes, where the system tells.
func (n *net) cpu() (sum time.Duration) {
	const tick = 10 * time.Millisecond // of Linux
	for _, s := range n.State().Nodes {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.PID))
		if err != nil {
			continue
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, i := range []int{11, 12} { // user and system, counted without the process's number and name
			if i < len(f) {
				t, _ := strconv.ParseInt(f[i], 10, 64)
				sum += time.Duration(t) * tick
			}
		}
	}
	return sum
}
