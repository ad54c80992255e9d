package find

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

// BenchmarkFindCold is the time from nothing to a zone's member, for a client that knows one node of a net of 40 on
// loopback: host, connection, lookup and check.
func BenchmarkFindCold(b *testing.B) {
	check := func(h *p2p.Host) func(context.Context, capsule.ZoneID, capsule.Key) error {
		return func(ctx context.Context, _ capsule.ZoneID, k capsule.Key) error {
			if k != sim.Identity(7).Key() {
				return fmt.Errorf("not a member")
			}
			_, err := h.Ping(ctx, k)
			return err
		}
	}
	start := func(i int, listen []string, mode Mode, boot []string) (*p2p.Host, *Finder) {
		h, err := p2p.New(p2p.Config{Identity: sim.Identity(i), Listen: listen})
		if err != nil {
			b.Fatal(err)
		}
		f, err := New(h, Config{Mode: mode, Bootstrap: boot, Check: check(h)})
		if err != nil {
			b.Fatal(err)
		}
		return h, f
	}
	listen := []string{"/ip4/127.0.0.1/tcp/0"}
	var hosts []*p2p.Host
	var boot []string
	var member *Finder
	for i := range 40 {
		h, f := start(i, listen, Server, boot)
		b.Cleanup(func() { f.Close(); h.Close() })
		hosts = append(hosts, h)
		boot = hosts[0].Addrs()
		if i == 7 {
			member = f
		}
	}
	if err := member.Provide(b.Context(), zoneOf(1)); err != nil {
		b.Fatal(err)
	}
	b.Run("find", func(b *testing.B) {
		var took []time.Duration
		for i := range b.N {
			begin := time.Now()
			h, f := start(1000+i, nil, Client, hosts[30].Addrs())
			if got, err := f.Find(b.Context(), zoneOf(1), 1); err != nil || len(got) != 1 {
				b.Fatal(got, err)
			}
			took = append(took, time.Since(begin))
			b.StopTimer()
			f.Close()
			h.Close()
			b.StartTimer()
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms-p50")
	})
}
