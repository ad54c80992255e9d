package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/proc"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// operator speaks to the first voter as the zone's root.
func (b *bench) operator(ctx context.Context, fn func(*admin.Client, *admin.Zone, *capsule.Identity) error) error {
	root, err := capsule.LoadIdentity(filepath.Join(b.dir, "net", proc.RootKey))
	if err != nil {
		return err
	}
	var addr string
	for _, s := range b.net.State().Nodes {
		if s.Vote {
			addr = s.Addr
			break
		}
	}
	c, err := admin.Dial(ctx, addr, root)
	if err != nil {
		return err
	}
	defer c.Close()
	zones, err := c.Zones(ctx)
	if err != nil {
		return err
	}
	if len(zones) != 1 {
		return fmt.Errorf("%d zones", len(zones))
	}
	return fn(c, &zones[0], root)
}

// workerOf is the node that runs a capsule now.
func (b *bench) workerOf(ctx context.Context, id capsule.ID) (name string, err error) {
	err = b.operator(ctx, func(c *admin.Client, z *admin.Zone, _ *capsule.Identity) error {
		for req := (&admin.Request{Op: admin.OpCapsules, Rows: admin.MaxRows}); name == ""; {
			var page admin.Capsules
			if err := c.AskZone(ctx, z, req, &page); err != nil {
				return err
			}
			for _, x := range page.Capsules {
				for _, s := range b.net.State().Nodes {
					if x.ID == id && s.Worker != nil && s.Worker.String() == x.Worker {
						name = s.Name
					}
				}
			}
			if page.Next == nil {
				break
			}
			req.After = page.Next[:]
		}
		if name == "" {
			return errors.New("nobody runs the capsule; is the step too short?")
		}
		return nil
	})
	return name, err
}

// authors are clients of their own, each with an account: a gateway limits what one author hands in.
func (b *bench) authors(ctx context.Context) (clients []*sdk.Client, err error) {
	defer func() {
		if err != nil {
			for _, c := range clients {
				c.Close()
			}
		}
	}()
	book, err := sdk.OpenBook(os.Getenv(sdk.EnvZones))
	if err != nil {
		return nil, err
	}
	err = b.operator(ctx, func(c *admin.Client, z *admin.Zone, root *capsule.Identity) error {
		for range b.clients {
			id, err := capsule.NewIdentity(rand.Reader)
			if err != nil {
				return err
			}
			if err := c.Act(ctx, z, cert.OpCredit, &machine.Credit{Account: id.Key(), Amount: 1 << 40}, root); err != nil {
				return err
			}
			client, err := sdk.Dial(ctx, os.Getenv(sdk.EnvNode), sdk.WithIdentity(id), sdk.WithBook(book))
			if err != nil {
				return err
			}
			clients = append(clients, client)
		}
		return nil
	})
	return clients, err
}

// pressed has every author run capsules one after the other for a while. All ask the same, as a generator of load does that
// sends one request again and again: each capsule is signed by itself, and the function's pure part ran once before.
func (b *bench) pressed(ctx context.Context, d time.Duration, every time.Duration, look func(at time.Duration, done uint64)) (all []time.Duration, took time.Duration, err error) {
	clients, err := b.authors(ctx)
	if err != nil {
		return nil, 0, err
	}
	p, err := b.prepared(ctx)
	if err != nil {
		return nil, 0, err
	}
	var mu sync.Mutex // guards all and failed
	var failed error
	var done atomic.Uint64
	began := time.Now()
	var wg sync.WaitGroup
	for _, c := range clients {
		wg.Go(func() {
			defer c.Close()
			for time.Since(began) < d && ctx.Err() == nil {
				took, err := b.one(ctx, c, p)
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, err)
					mu.Unlock()
					return
				}
				all = append(all, took)
				mu.Unlock()
				done.Add(1)
			}
		})
	}
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				look(time.Since(began), done.Load())
			}
		}
	})
	wg.Wait()
	took = time.Since(began)
	close(stop)
	watch.Wait()
	slices.Sort(all)
	return all, took, failed
}

func (b *bench) throughput(ctx context.Context) error {
	before, client := b.cpu(), processorTime(os.Getpid())
	all, took, err := b.pressed(ctx, b.load, time.Hour, func(time.Duration, uint64) {})
	if err != nil {
		return err
	}
	b.row(fmt.Sprintf("%d clients, the same code", b.clients), "≥ 500 /s", "%.0f /s, p50 / p99 %.0f / %.0f ms", float64(len(all))/took.Seconds(),
		quantile(all, .5).Seconds()*1e3, quantile(all, .99).Seconds()*1e3)
	per := func(d time.Duration) float64 { return d.Seconds() * 1e3 / float64(len(all)) }
	b.row("processor time of all six nodes for a capsule, and of the clients", "–", "%.2f and %.2f ms", per(b.cpu()-before), per(processorTime(os.Getpid())-client))
	return nil
}

func names[V any](m map[string]V) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// cpu is the processor time of all nodes, where the system tells.
func (b *bench) cpu() (sum time.Duration) {
	for _, s := range b.net.State().Nodes {
		sum += processorTime(s.PID)
	}
	return sum
}

func processorTime(pid int) (sum time.Duration) {
	const tick = 10 * time.Millisecond // of Linux
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	for _, i := range []int{11, 12} { // of the process, without its name and number
		if i < len(f) {
			n, _ := strconv.ParseInt(f[i], 10, 64)
			sum += time.Duration(n) * tick
		}
	}
	return sum
}
