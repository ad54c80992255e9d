package mesh

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
	"github.com/kitwork/kwnode/p2p/sim"
)

var zone = capsule.ZoneID(capsule.Sum([]byte("zone")))

// seal returns capsule n of author, valid for an hour.
func seal(t testing.TB, author *capsule.Identity, n int, home capsule.ZoneID) *capsule.Capsule {
	t.Helper()
	return sealAt(t, author, n, home, uint64(time.Now().UnixMilli()))
}

func sealAt(t testing.TB, author *capsule.Identity, n int, home capsule.ZoneID, now uint64) *capsule.Capsule {
	t.Helper()
	m := &capsule.Manifest{
		Home: home, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: make([]byte, 1700),
		Limits: capsule.Limits{MemoryPages: 1, TableElems: 1, Depth: 1, StateBytes: 1 << 16},
		Gas:    1000, MaxPrice: 1, MinUnits: 1, NotBefore: now - 1000, Expires: now + 3_600_000, MeterVersion: 1,
	}
	binary.BigEndian.PutUint64(m.Nonce[:], uint64(n))
	c, err := capsule.Seal(author, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// node is a host with its gossip, and what was delivered to it.
type node struct {
	h *p2p.Host
	m *Mesh
	t *Topic

	mu  sync.Mutex
	got map[capsule.ID]time.Time
}

func newNode(t *testing.T, nw *sim.Net, i int, cfg Config, tweak ...func(*TopicConfig)) *node {
	t.Helper()
	h, err := nw.Host(i)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{h: h, got: make(map[capsule.ID]time.Time)}
	if n.m, err = New(h, cfg); err != nil {
		t.Fatal(err)
	}
	tc := TopicConfig{Deliver: func(_ capsule.Key, c *capsule.Capsule) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.got[c.ID()] = time.Now()
	}}
	for _, f := range tweak {
		f(&tc)
	}
	if n.t, err = n.m.Join(zone, tc); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	return n
}

func (n *node) close() {
	n.m.Close()
	n.h.Close()
}

func (n *node) has(id capsule.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.got[id]
	return ok
}

func (n *node) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.got)
}

func link(t *testing.T, a, b *p2p.Host) {
	t.Helper()
	if _, err := a.Connect(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

// attacker is a host that speaks the gossip protocol without any of our checks.
type attacker struct {
	h  *p2p.Host
	ps *pubsub.PubSub
	t  *pubsub.Topic
}

func newAttacker(t *testing.T, nw *sim.Net, i int, more ...pubsub.Option) *attacker {
	t.Helper()
	h, err := nw.Host(i)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &attacker{h: h}
	more = append(more, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(), pubsub.WithMessageIdFn(messageID),
		pubsub.WithGossipSubProtocols(protocols, features), pubsub.WithFloodPublish(true), pubsub.WithPeerOutboundQueueSize(4096))
	a.ps, err = pubsub.NewGossipSub(ctx, raw.Unwrap(h.Raw()), more...)
	if err != nil {
		t.Fatal(err)
	}
	if a.t, err = a.ps.Join(TopicName(zone)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.t.Subscribe(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		h.Close()
	})
	return a
}

func (a *attacker) send(t *testing.T, b []byte) {
	t.Helper()
	if err := a.t.Publish(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

func spoil(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[len(b)-1-1] ^= 1 // in the signature: the chains after it are an empty array of one byte
	return b
}

func TestGossipReachesEveryoneOverSeveralHops(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 10 * time.Millisecond})
		var nodes []*node
		for i := range 5 { // a line: 0 – 1 – 2 – 3 – 4
			nodes = append(nodes, newNode(t, nw, i, Config{}))
			if i > 0 {
				link(t, nodes[i].h, nodes[i-1].h)
			}
		}
		time.Sleep(3 * time.Second) // the meshes form at heartbeats
		author := sim.Identity(100)
		for n := range 20 {
			c := seal(t, author, n, zone)
			if err := nodes[0].t.Publish(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond)
			for i, n := range nodes[1:] {
				if !n.has(c.ID()) {
					t.Fatalf("node %d has nothing 200 ms after it was published 4 hops away", i+1)
				}
			}
		}
		if nodes[0].count() != 0 {
			t.Fatal("a node's own capsules were delivered to it")
		}
		other := seal(t, author, 1, capsule.ZoneID{1})
		if err := nodes[0].t.Publish(t.Context(), other); err == nil {
			t.Fatal("another zone's capsule was published")
		}
		s := nodes[2].m.Snapshot()
		if len(s.Topics) != 1 || s.Topics[0].Accepted != 20 || len(s.Topics[0].Mesh) != 2 || len(s.Topics[0].Peers) != 2 {
			t.Fatalf("snapshot of the middle: %+v", s.Topics)
		}
	})
}

func TestGarbageDiesAtTheFirstHopAndItsSenderIsCutOff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		edge, core := newNode(t, nw, 1, Config{}), newNode(t, nw, 2, Config{})
		bad := newAttacker(t, nw, 3)
		link(t, edge.h, core.h)
		link(t, bad.h, edge.h)
		time.Sleep(3 * time.Second)

		author := sim.Identity(100)
		for n := range 200 {
			bad.send(t, spoil(seal(t, author, n, zone).Bytes()))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		s := edge.m.Snapshot()
		if rejected := s.Topics[0].Rejected["signature"]; rejected != maxBad {
			t.Fatalf("edge verified %d bad signatures, want %d: %+v", rejected, maxBad, s.Topics[0])
		}
		if edge.h.Connected(bad.h.Key()) || s.Shut != 1 {
			t.Fatalf("the sender of garbage is still connected; %+v", s.Scores)
		}
		if _, err := bad.h.Connect(t.Context(), edge.h.Addrs()[0]); err == nil {
			time.Sleep(50 * time.Millisecond) // a refusal after the handshake shows a little later
			if edge.h.Connected(bad.h.Key()) {
				t.Fatal("the sender of garbage came back")
			}
		}
		c := core.m.Snapshot()
		if len(c.Topics[0].Rejected)+len(c.Topics[0].Ignored)+int(c.Topics[0].Accepted) != 0 {
			t.Fatalf("something passed the first hop: %+v", c.Topics[0])
		}
		for _, p := range c.Scores {
			if p.Peer == edge.h.Key() && p.Score < 0 {
				t.Fatalf("the edge lost score at the core: %+v", p)
			}
		}

		good := seal(t, author, 1000, zone)
		if err := edge.t.Publish(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if !core.has(good.ID()) {
			t.Fatal("honest gossip stopped")
		}
	})
}

// TestWhoTakesNoGossipIsCutOffToo: pubsub keeps no score of a peer that sends gossip and does not serve the protocol.
func TestWhoTakesNoGossipIsCutOffToo(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		a := newNode(t, nw, 1, Config{})
		h, err := nw.Host(2)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		link(t, h, a.h)
		time.Sleep(3 * time.Second)
		s, err := h.Dial(t.Context(), a.h.Key(), ID)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 20 {
			msg := append(field(2, spoil(seal(t, sim.Identity(100), n, zone).Bytes())), field(4, []byte(TopicName(zone)))...)
			frame := field(2, msg)
			if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(frame))), frame...)); err != nil {
				break
			}
		}
		time.Sleep(3 * time.Second)
		if a.h.Connected(h.Key()) || a.m.Snapshot().Shut != 1 {
			t.Fatalf("still connected: %+v", a.m.Snapshot())
		}
	})
}

func TestASpoiledCopyDoesNotSuppressTheGoodOne(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		a := newNode(t, nw, 1, Config{})
		bad := newAttacker(t, nw, 2)
		link(t, bad.h, a.h)
		time.Sleep(3 * time.Second)
		c := seal(t, sim.Identity(100), 1, zone)
		bad.send(t, spoil(c.Bytes()))
		time.Sleep(time.Second)
		bad.send(t, c.Bytes())
		time.Sleep(time.Second)
		if !a.has(c.ID()) {
			t.Fatal("the good copy was taken for a duplicate of the spoiled one")
		}
	})
}

func TestValidSpamIsBoundedByQuotas(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		known := sim.Identity(100).Key()
		cfg := Config{Quotas: Quotas{AuthorRate: 5, AuthorBurst: 20, PeerRate: 5, PeerBurst: 50}}
		var checked atomic.Int64
		a := newNode(t, nw, 1, cfg, func(tc *TopicConfig) {
			tc.Check = func(c *capsule.Capsule) error {
				checked.Add(1)
				if c.Manifest().Author != known {
					return errors.New("no account")
				}
				return nil
			}
		})
		spammer, flooder := newAttacker(t, nw, 2), newAttacker(t, nw, 3)
		link(t, spammer.h, a.h)
		link(t, flooder.h, a.h)
		time.Sleep(3 * time.Second)
		for n := range 300 { // 3 s: one author over the quota, and a new author for every capsule
			spammer.send(t, seal(t, sim.Identity(100), n, zone).Bytes())
			flooder.send(t, seal(t, sim.Identity(1000+n), n, zone).Bytes())
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := a.count(); got < 20 || got > 20+5*5 {
			t.Fatalf("%d capsules of one author passed, want the burst of 20 and 5 a second", got)
		}
		if n := int(checked.Load()); n > a.count()+50+5*5 {
			t.Fatalf("%d signatures verified, want the quotas' worth", n)
		}
		s := a.m.Snapshot()
		if s.Topics[0].Ignored[reasonAuthorQuota] == 0 || s.Topics[0].Ignored[reasonState] == 0 || s.OverQuota == 0 {
			t.Fatalf("counts %+v, %+v", s, s.Topics[0])
		}
		if n := s.Topics[0].Ignored[reasonPeerQuota]; n > s.OverQuota/4 {
			t.Fatalf("%d messages over their peer's quota were looked at, %d dropped unread", n, s.OverQuota)
		}
		if len(s.Topics[0].Rejected) != 0 {
			t.Fatalf("valid capsules were blamed: %v", s.Topics[0].Rejected)
		}
		if !a.h.Connected(spammer.h.Key()) {
			t.Fatal("who passed on an author's spam was cut off; an honest peer could be")
		}
	})
}

// TestHonestTrafficCostsNoQuota: a peer passes on far more than the quota for what comes to nothing.
func TestHonestTrafficCostsNoQuota(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		cfg := Config{Quotas: Quotas{AuthorRate: 5, AuthorBurst: 5, PeerRate: 1, PeerBurst: 10}}
		a, b := newNode(t, nw, 1, cfg), newNode(t, nw, 2, cfg)
		other := newAttacker(t, nw, 3)
		link(t, a.h, b.h)
		link(t, other.h, b.h)
		time.Sleep(3 * time.Second)
		for n := range 100 {
			if err := a.t.Publish(t.Context(), seal(t, sim.Identity(1000+n), n, zone)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		other.send(t, seal(t, sim.Identity(100), 1, capsule.ZoneID{1}).Bytes())
		time.Sleep(time.Second)
		if b.count() != 100 {
			t.Fatalf("%d of 100 valid capsules arrived", b.count())
		}
		if r := b.m.Snapshot().Topics[0].Rejected; r[reasonZone] != 1 {
			t.Fatalf("another zone's capsule was not rejected: %v", r)
		}
	})
}

func TestAttackersFramesDoNotGrowTheHeap(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		a := newNode(t, nw, 1, Config{})
		bad := newAttacker(t, nw, 2)
		link(t, bad.h, a.h)
		time.Sleep(3 * time.Second)
		for i := range 500 {
			top, err := bad.ps.Join(fmt.Sprintf("/junk/%d", i))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := top.Subscribe(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Second)
		topics := a.m.ps.GetTopics()
		if len(topics) != 1 {
			t.Fatalf("topics %v", topics)
		}
		for i := range 500 {
			if n := len(a.m.ps.ListPeers(fmt.Sprintf("/junk/%d", i))); n != 0 {
				t.Fatal("a stranger's topic is remembered")
			}
		}
	})
}

// censor takes part in the mesh and passes nothing on.
func censor() pubsub.Option {
	return pubsub.WithDefaultValidator(func(_ context.Context, from peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if from == m.ReceivedFrom && m.Local {
			return pubsub.ValidationAccept
		}
		return pubsub.ValidationIgnore
	}, pubsub.WithValidatorInline(true))
}

var honestPeers = flag.Int("honest", 5, "how many honest peers TestSybils has, against four times as many")

// TestSybils: four attackers for each honest peer, every one connected to every honest peer. Half of them censor, half
// flood with capsules that lie about who signed them.
func TestSybils(t *testing.T) {
	honest, sybils := *honestPeers, 4**honestPeers
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 25 * time.Millisecond, Jitter: 10 * time.Millisecond})
		var nodes []*node
		for i := range honest {
			nodes = append(nodes, newNode(t, nw, i, Config{}))
		}
		for i := range nodes { // each knows three others
			for d := 1; d <= 3; d++ {
				if j := (i + d*d) % honest; j != i {
					link(t, nodes[i].h, nodes[j].h)
				}
			}
		}
		var bad []*attacker
		for i := range sybils {
			var opt []pubsub.Option
			if i%2 == 0 {
				opt = append(opt, censor())
			}
			a := newAttacker(t, nw, 1000+i, opt...)
			for _, n := range nodes {
				link(t, a.h, n.h)
			}
			bad = append(bad, a)
		}
		time.Sleep(5 * time.Second)
		done := make(chan struct{})
		for i, a := range bad {
			if i%2 == 0 {
				continue
			}
			go func() { // 50 spoiled capsules a second, until it notices that nobody listens
				author := sim.Identity(5000 + i)
				b := seal(t, author, i, zone).Bytes()
				for n := 0; ; n++ {
					b = spoil(b)
					b[len(b)-10] ^= byte(n)
					b[len(b)-11] ^= byte(n >> 8)
					_ = a.t.Publish(context.Background(), b)
					select {
					case <-done:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}()
		}
		var sent []*capsule.Capsule
		var at []time.Time
		for round := range 4 {
			for i, n := range nodes {
				c := seal(t, sim.Identity(100+i), round, zone)
				if err := n.t.Publish(t.Context(), c); err != nil {
					t.Fatal(err)
				}
				sent, at = append(sent, c), append(at, time.Now())
			}
			time.Sleep(2 * time.Second)
		}
		time.Sleep(3 * time.Second)
		close(done)
		missing, slowest := 0, time.Duration(0)
		for i, c := range sent {
			for j, n := range nodes {
				if j == i%honest {
					continue
				}
				if !n.has(c.ID()) {
					missing++
					continue
				}
				n.mu.Lock()
				slowest = max(slowest, n.got[c.ID()].Sub(at[i]))
				n.mu.Unlock()
			}
		}
		cut := 0
		for _, n := range nodes {
			cut += int(n.m.Snapshot().Shut)
		}
		t.Logf("%d capsules to %d peers: %d missing, slowest %v; %d connections of floods cut", len(sent), honest-1, missing, slowest, cut)
		if missing > 0 || slowest > 5*time.Second {
			t.Fatalf("%d deliveries missing, the slowest took %v; want all within 5 s", missing, slowest)
		}
		if cut < honest*sybils/2 {
			t.Fatalf("%d floods cut, want all %d", cut, honest*sybils/2)
		}
	})
}

// FuzzJudge feeds the validator. Whatever it accepts must be a capsule that verifies, and nothing may panic.
func FuzzJudge(f *testing.F) {
	const now = 1_800_000_000_000 // every process that fuzzes must make the same capsule
	good := sealAt(f, sim.Identity(100), 1, zone, now)
	f.Add(good.Bytes())
	f.Add(spoil(good.Bytes()))
	m := &Mesh{cfg: Config{Now: func() uint64 { return now }}.withDefaults()}
	m.peers = quota.New[peer.ID](16, -1, 1)
	top := &Topic{m: m, zone: zone, authors: quota.New[capsule.Key](16, -1, 1)}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, v, reason := top.judge("peer", b)
		if (v == accept) != (c != nil) || (v == accept) != (reason == "") {
			t.Fatalf("verdict %d, reason %q, capsule %v", v, reason, c)
		}
		if v == accept && string(b) != string(good.Bytes()) {
			t.Fatalf("%x was accepted", b)
		}
	})
}
