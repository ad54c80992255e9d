package mesh

import (
	"context"
	"slices"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
	"github.com/kitwork/kwnode/p2p/sim"
)

// BenchmarkJudge is what one message costs a gateway, on one core.
func BenchmarkJudge(b *testing.B) {
	good := seal(b, sim.Identity(100), 1, zone).Bytes()
	truncated := good[:len(good)-1]
	for _, c := range []struct {
		name string
		data []byte
		want verdict
	}{
		{"noise", make([]byte, len(good)), reject},
		{"torn", truncated, reject},
		{"wrong zone", seal(b, sim.Identity(100), 1, capsule.ZoneID{1}).Bytes(), reject},
		{"bad signature", spoil(good), reject},
		{"valid", good, accept},
	} {
		b.Run(c.name, func(b *testing.B) {
			m := &Mesh{cfg: Config{}.withDefaults(), peers: quota.New[peer.ID](16, 1e12, 1e9)}
			t := &Topic{m: m, zone: zone, authors: quota.New[capsule.Key](16, 1e12, 1e9)}
			b.ReportAllocs()
			for b.Loop() {
				if _, v, reason := t.judge("peer", c.data); v != c.want {
					b.Fatal(v, reason)
				}
			}
		})
	}
}

// BenchmarkGossip passes capsules of about 2 KB over three hops on loopback, one in flight, and the same bytes with the
// bare library and no validator.
func BenchmarkGossip(b *testing.B) {
	var hosts []*p2p.Host
	for i := range 8 {
		h, err := p2p.New(p2p.Config{Identity: sim.Identity(i), Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		hosts = append(hosts, h)
		if i%4 > 0 {
			if _, err := h.Connect(b.Context(), hosts[i-1].Addrs()[0]); err != nil {
				b.Fatal(err)
			}
		}
	}
	arrived := make(chan struct{}, 1)
	var first *Topic
	for i, h := range hosts[:4] {
		m, err := New(h, Config{Quotas: Quotas{AuthorRate: -1, PeerRate: -1}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { m.Close() })
		cfg := TopicConfig{}
		if i == 3 {
			cfg.Deliver = func(capsule.Key, *capsule.Capsule) { arrived <- struct{}{} }
		}
		t, err := m.Join(zone, cfg)
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			first = t
		}
	}
	var bare *pubsub.Topic
	for i, h := range hosts[4:] {
		ps, err := pubsub.NewGossipSub(b.Context(), raw.Unwrap(h.Raw()), pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
			pubsub.WithNoAuthor(), pubsub.WithMessageIdFn(messageID))
		if err != nil {
			b.Fatal(err)
		}
		t, err := ps.Join("bare")
		if err != nil {
			b.Fatal(err)
		}
		sub, err := t.Subscribe()
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			bare = t
		}
		if i == 3 {
			go func() {
				for {
					if _, err := sub.Next(b.Context()); err != nil {
						return
					}
					arrived <- struct{}{}
				}
			}()
		}
	}
	time.Sleep(3 * time.Second) // the meshes form at heartbeats
	run := func(b *testing.B, publish func(c *capsule.Capsule) error) {
		var took []time.Duration
		for i := range b.N {
			b.StopTimer()
			c := seal(b, sim.Identity(100), i, zone)
			b.StartTimer()
			start := time.Now()
			if err := publish(c); err != nil {
				b.Fatal(err)
			}
			<-arrived
			took = append(took, time.Since(start))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs-p50")
	}
	b.Run("kwnode", func(b *testing.B) {
		run(b, func(c *capsule.Capsule) error { return first.Publish(context.Background(), c) })
	})
	b.Run("bare library", func(b *testing.B) {
		run(b, func(c *capsule.Capsule) error { return bare.Publish(context.Background(), c.Bytes()) })
	})
}
