package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/mesh"
)

const loopback = "/ip4/127.0.0.1/tcp/0"

// line is four peers in a row: what the first publishes arrives at the last over three hops.
type line struct {
	publish func(*capsule.Capsule) error
	arrived chan struct{}
	formed  func() bool
	close   []func()
}

func ours(ctx context.Context) (*line, error) {
	l := &line{arrived: make(chan struct{}, 1)}
	var before *p2p.Host
	var topics []*mesh.Topic
	var meshes []*mesh.Mesh
	for i := range 4 {
		id, err := capsule.NewIdentity(rand.Reader)
		if err != nil {
			return l, err
		}
		h, err := p2p.New(p2p.Config{Identity: id, Listen: []string{loopback}})
		if err != nil {
			return l, err
		}
		l.close = append(l.close, func() { h.Close() })
		m, err := mesh.New(h, mesh.Config{Quotas: mesh.Quotas{AuthorRate: -1, PeerRate: -1}})
		if err != nil {
			return l, err
		}
		cfg := mesh.TopicConfig{}
		if i == 3 {
			cfg.Deliver = func(capsule.Key, *capsule.Capsule) { l.arrived <- struct{}{} }
		}
		t, err := m.Join(zoneID, cfg)
		if err != nil {
			return l, err
		}
		topics, meshes = append(topics, t), append(meshes, m)
		if before != nil {
			if _, err := h.Connect(ctx, before.Addrs()[0]); err != nil {
				return l, err
			}
		}
		before = h
	}
	l.publish = func(c *capsule.Capsule) error { return topics[0].Publish(ctx, c) }
	l.formed = func() bool {
		for i, m := range meshes {
			want := 2
			if i == 0 || i == 3 {
				want = 1
			}
			if len(m.Snapshot().Topics[0].Mesh) < want {
				return false
			}
		}
		return true
	}
	return l, nil
}

func messageID(m *pb.Message) string {
	h := sha256.New()
	h.Write([]byte(m.GetTopic()))
	h.Write(m.GetData())
	return string(h.Sum(nil))
}

func theirs(ctx context.Context) (*line, error) {
	l := &line{arrived: make(chan struct{}, 1)}
	var before host.Host
	var topics []*pubsub.Topic
	for i := range 4 {
		h, err := libp2p.New(libp2p.ListenAddrStrings(loopback), libp2p.DisableMetrics(), libp2p.Transport(tcp.NewTCPTransport),
			libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, yamux.DefaultTransport))
		if err != nil {
			return l, err
		}
		l.close = append(l.close, func() { h.Close() })
		ps, err := pubsub.NewGossipSub(ctx, h, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(messageID), pubsub.WithDefaultValidator(func(context.Context, peer.ID, *pubsub.Message) bool { return true }))
		if err != nil {
			return l, err
		}
		t, err := ps.Join("bench")
		if err != nil {
			return l, err
		}
		sub, err := t.Subscribe()
		if err != nil {
			return l, err
		}
		go func() {
			for {
				if _, err := sub.Next(ctx); err != nil {
					return
				}
				if i == 3 {
					l.arrived <- struct{}{}
				}
			}
		}()
		topics = append(topics, t)
		if before != nil {
			if err := h.Connect(ctx, peer.AddrInfo{ID: before.ID(), Addrs: before.Addrs()}); err != nil {
				return l, err
			}
		}
		before = h
	}
	l.publish = func(c *capsule.Capsule) error { return topics[0].Publish(ctx, c.Bytes()) }
	start := time.Now()
	l.formed = func() bool { return time.Since(start) > 5*time.Second } // heartbeats; the library does not tell
	return l, nil
}

// benchGossip passes capsules of 2 KB over three hops, one in flight, through us and the bare library in turn.
func benchGossip(rounds int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	lines := make([]*line, 2)
	for i, start := range []func(context.Context) (*line, error){ours, theirs} {
		l, err := start(ctx)
		for _, c := range l.close {
			defer c()
		}
		if err != nil {
			return err
		}
		lines[i] = l
	}
	for !lines[0].formed() || !lines[1].formed() {
		time.Sleep(50 * time.Millisecond)
	}
	author, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return err
	}
	took := make([][]time.Duration, 3)
	for n := range rounds {
		c, err := seal(author, n)
		if err != nil {
			return err
		}
		for i, l := range lines {
			start := time.Now()
			if err := l.publish(c); err != nil {
				return err
			}
			select {
			case <-l.arrived:
			case <-time.After(10 * time.Second):
				return fmt.Errorf("capsule %d did not arrive", n)
			}
			took[i] = append(took[i], time.Since(start))
		}
		start := time.Now()
		for range 3 {
			if _, err := capsule.Verify(c.Bytes(), uint64(time.Now().UnixMilli()), nil); err != nil {
				return err
			}
		}
		took[2] = append(took[2], time.Since(start))
	}
	our, bare, checks := median(took[0]), median(took[1]), median(took[2])
	fmt.Printf("gossip of a 2 KB capsule over 3 hops, one in flight, p50 of %d\n", rounds)
	fmt.Printf("  kwnode %v, bare library %v + 3 verifications %v\n", our, bare, checks)
	fmt.Printf("  ratio %.2f   want ≤ 1.20\n", float64(our)/float64(bare+checks))
	return nil
}
