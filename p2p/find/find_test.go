package find

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/sim"
	"github.com/kitwork/kwnode/zone/api"
)

func zoneOf(i int) capsule.ZoneID {
	return capsule.ZoneID(capsule.Sum([]byte{'z', byte(i), byte(i >> 8)}))
}

// node is a host with its discovery. It proves the zones in serves by its key.
type node struct {
	h *p2p.Host
	f *Finder

	mu     sync.Mutex
	serves map[capsule.ZoneID]bool
	later  map[capsule.ZoneID]bool // says that it can't prove them yet
	asked  int
}

// answer serves api.ProtoZone.
func (n *node) answer(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
	api.Each(ctx, s, api.MaxMessage, func(req *api.ZoneRequest) error {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.asked++
		switch {
		case n.later[req.Zone]:
			return api.Refuse(s, &api.Refusal{Code: api.CodeUnavailable})
		case n.serves[req.Zone] || n.serves[capsule.ZoneID{}]:
			return api.Accept(s, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{}})
		}
		return api.Refuse(s, &api.Refusal{Code: api.CodeUnknownZone})
	})
}

// ask has a peer prove a zone.
func ask(ctx context.Context, h *p2p.Host, peer capsule.Key, zone capsule.ZoneID) error {
	s, err := h.Dial(ctx, peer, api.ProtoZone)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	_, err = api.Ask[api.Zones](s, &api.ZoneRequest{V: api.Version, Zone: zone}, api.MaxMessage)
	return err
}

func (n *node) delay(zone capsule.ZoneID, yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.later[zone] = yes
}

func (n *node) questions() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

func (n *node) serve(zone capsule.ZoneID, yes bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.serves[zone] = yes
}

// genuine are the hosts whose word counts in the tests: what a descriptor's signatures decide outside.
type genuine struct {
	mu   sync.Mutex
	keys map[capsule.Key]bool
}

func (g *genuine) add(k capsule.Key) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.keys[k] = true
}

func (g *genuine) has(k capsule.Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.keys[k]
}

// world is a network of nodes.
type world struct {
	t    *testing.T
	nw   *sim.Net
	true genuine
}

func newWorld(t *testing.T) *world {
	return &world{t: t, nw: sim.New(1, sim.Link{Delay: 10 * time.Millisecond}), true: genuine{keys: make(map[capsule.Key]bool)}}
}

// start starts node i, honest unless lies is set; at is its machine.
func (w *world) start(i, at int, cfg Config, lies bool, tweak ...func(*p2p.Config)) *node {
	w.t.Helper()
	tweak = append(tweak, func(c *p2p.Config) {
		c.Packets = w.nw.Packets(sim.Address(at))
		c.Listen = []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", sim.Address(at), sim.Port)}
	})
	h, err := w.nw.Host(i, tweak...)
	if err != nil {
		w.t.Fatal(err)
	}
	n := &node{h: h, serves: map[capsule.ZoneID]bool{{}: lies}, later: make(map[capsule.ZoneID]bool)}
	if err := h.Handle(api.ProtoZone, p2p.StreamLimits{Rate: -1, PerPeer: 64, Streams: 64}, n.answer); err != nil {
		w.t.Fatal(err)
	}
	if !lies {
		w.true.add(h.Key())
	}
	cfg.Check = func(ctx context.Context, zone capsule.ZoneID, peer capsule.Key) error {
		err := ask(ctx, h, peer, zone)
		r, refused := errors.AsType[*api.Refusal](err)
		switch {
		case !w.true.has(peer) && (err == nil || refused):
			return errors.New("the descriptor is not signed by the zone")
		case refused && r.Code == api.CodeUnavailable:
			return fmt.Errorf("%w: %w", ErrNotYet, err)
		}
		return err
	}
	if n.f, err = New(h, cfg); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(n.close)
	return n
}

func (n *node) close() {
	n.f.Close()
	n.h.Close()
}

func TestAZoneIsFoundFromAnyNode(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boot := w.start(0, 0, Config{Mode: Server}, false)
		var nodes []*node
		early := zoneOf(3) // announced when there was nobody but the first node to hold the record
		first := w.start(40, 40, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, false)
		if err := first.f.Provide(t.Context(), early); err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= 20; i++ {
			nodes = append(nodes, w.start(i, i, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, false))
		}
		time.Sleep(30 * time.Second)
		holders := 0
		for _, n := range nodes {
			if slices.ContainsFunc(n.f.Snapshot().Held, func(r Record) bool { return r.Zone == early }) {
				holders++
			}
		}
		if holders < 10 {
			t.Fatalf("%d of 20 nodes that came later hold the record", holders)
		}
		for i := range 3 { // three members
			nodes[i].serve(zoneOf(1), true)
			if err := nodes[i].f.Provide(t.Context(), zoneOf(1)); err != nil {
				t.Fatal(err)
			}
		}
		// A client that knows one node, which is no member.
		c := w.start(100, 100, Config{Mode: Client, Bootstrap: nodes[17].h.Addrs()}, false)
		start := time.Now()
		got, err := c.f.Find(t.Context(), zoneOf(1), 3)
		if err != nil || len(got) != 3 {
			t.Fatalf("found %v, %v", got, err)
		}
		t.Logf("found three members in %v at a round trip of 20 ms", time.Since(start))
		if _, err := c.f.Find(t.Context(), zoneOf(2), 1); !errors.Is(err, ErrNotFound) {
			t.Fatalf("a zone that nobody serves: %v", err)
		}
		held := 0
		for _, n := range append(nodes, boot) {
			s := n.f.Snapshot()
			held += len(s.Held)
			if !s.Server || len(s.Table) == 0 {
				t.Fatalf("snapshot %+v", s)
			}
		}
		if held < 3*3 {
			t.Fatalf("%d records are held in all, want several of each provider", held)
		}
		if s := c.f.Snapshot(); s.Server || len(s.Known[zoneOf(1)]) != 3 {
			t.Fatalf("the client's snapshot: %+v", s)
		}
	})
}

func TestANodeThatMovedIsFoundAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boot := w.start(0, 0, Config{Mode: Server}, false)
		for i := 1; i <= 8; i++ {
			w.start(i, i, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, false)
		}
		member := w.start(50, 50, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, false)
		member.serve(zoneOf(1), true)
		time.Sleep(20 * time.Second)
		if err := member.f.Provide(t.Context(), zoneOf(1)); err != nil {
			t.Fatal(err)
		}
		c := w.start(100, 100, Config{Mode: Client, Bootstrap: boot.h.Addrs()}, false)
		if got, err := c.f.Find(t.Context(), zoneOf(1), 1); err != nil || len(got) != 1 {
			t.Fatal(got, err)
		}
		key := member.h.Key()
		member.close()
		time.Sleep(time.Minute) // the connection is noticed dead

		moved := w.start(50, 51, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, false)
		moved.serve(zoneOf(1), true)
		time.Sleep(20 * time.Second)
		if err := moved.f.Provide(t.Context(), zoneOf(1)); err != nil {
			t.Fatal(err)
		}
		// By key alone, through the resolver, without a restart of the client.
		if err := ask(t.Context(), c.h, key, zoneOf(1)); err != nil {
			t.Fatalf("dial by key after the move: %v", err)
		}
		if got, err := c.f.Find(t.Context(), zoneOf(1), 1); err != nil || got[0] != key {
			t.Fatalf("find after the move: %v, %v", got, err)
		}
	})
}

func TestFalseRecordsAreRefutedAndAnotherWayInWorks(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boot := w.start(0, 0, Config{Mode: Server}, false)
		// The attackers have ground their keys until they were the closest to the zone, outnumber the records that a lookup
		// takes, and all of them claim the zone.
		for i, id := range closest(zoneOf(1), 40) {
			liar := w.start(id, 1+i, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, true)
			if err := liar.f.Provide(t.Context(), zoneOf(1)); err != nil {
				t.Fatal(err)
			}
		}
		member := w.start(50, 50, Config{Mode: Server}, false)
		member.serve(zoneOf(1), true)
		// The member is not in the DHT at all; the client knows one honest node that is connected to it.
		c := w.start(100, 100, Config{Mode: Client, Bootstrap: append(boot.h.Addrs(), member.h.Addrs()...)}, false)
		got, err := c.f.Find(t.Context(), zoneOf(1), 1)
		if err != nil || len(got) != 1 || got[0] != member.h.Key() {
			t.Fatalf("found %v, %v", got, err)
		}
		if s := c.f.Snapshot(); s.Refuted == 0 {
			t.Fatalf("no claim was refuted: %+v", s)
		}
	})
}

// TestAZoneIsFoundOnceItCanProveItself: who looks for a zone whose members can't prove it yet finds it soon after they can, in the
// same search or in one that follows at once. Until then they are asked a few times a second, and say why nobody is found. Who
// answers falsely is asked once in ten seconds, whatever it says.
func TestAZoneIsFoundOnceItCanProveItself(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boot := w.start(0, 0, Config{Mode: Server}, false)
		member := w.start(50, 50, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, false)
		liar := w.start(51, 51, Config{Mode: Server, Bootstrap: boot.h.Addrs()}, true)
		zone := zoneOf(1)
		member.serve(zone, true)
		member.delay(zone, true)
		liar.delay(zone, true)
		time.Sleep(5 * time.Second)
		for _, n := range []*node{member, liar} {
			if err := n.f.Provide(t.Context(), zone); err != nil {
				t.Fatal(err)
			}
		}
		c := w.start(100, 100, Config{Mode: Client, Bootstrap: boot.h.Addrs()}, false)
		start := time.Now()
		for time.Since(start) < forgive-patience {
			began := time.Now()
			if _, err := c.f.Find(t.Context(), zone, 1); !errors.Is(err, ErrNotFound) || !errors.Is(err, ErrNotYet) {
				t.Fatalf("a zone that can't prove itself yet: %v", err)
			}
			if took := time.Since(began); took > patience+200*time.Millisecond {
				t.Fatalf("given up after %s", took)
			}
		}
		if n, most := member.questions(), int(time.Since(start)/forgiveUndone)+6; n < most/2 || n > most {
			t.Errorf("%d questions in %s to one that can't prove it yet, want at most %d", n, time.Since(start), most)
		}
		if n := liar.questions(); n != 1 {
			t.Errorf("%d questions in %s to one that lies", n, time.Since(start))
		}
		for _, early := range []time.Duration{10 * time.Millisecond, 700 * time.Millisecond} {
			var ready time.Time
			time.AfterFunc(early, func() {
				ready = time.Now()
				member.delay(zone, false)
			})
			got, err := c.f.Find(t.Context(), zone, 1)
			if err != nil || len(got) != 1 || got[0] != member.h.Key() {
				t.Fatalf("found %v, %v", got, err)
			}
			if late := time.Since(ready); late > forgiveUndone+200*time.Millisecond {
				t.Errorf("found %s after it could prove itself", late)
			}
			member.delay(zone, true)
		}
	})
}

// TestWhoIsStartingIsAskedAgain: a member that doesn't speak the protocol yet is no liar.
func TestWhoIsStartingIsAskedAgain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boot := w.start(0, 0, Config{Mode: Server}, false)
		c := w.start(100, 100, Config{Mode: Client, Bootstrap: boot.h.Addrs()}, false)
		boot.serve(zoneOf(1), true)
		boot.h.Unhandle(api.ProtoZone)
		if _, err := c.f.Find(t.Context(), zoneOf(1), 1); !errors.Is(err, ErrNotFound) {
			t.Fatalf("found without an answer: %v", err)
		}
		if err := boot.h.Handle(api.ProtoZone, p2p.StreamLimits{}, boot.answer); err != nil {
			t.Fatal(err)
		}
		time.Sleep(forgiveAbsent)
		if _, err := c.f.Find(t.Context(), zoneOf(1), 1); err != nil {
			t.Fatal(err)
		}
	})
}

// closest returns those of 4,000 identities that lie nearest to a zone in the DHT.
func closest(zone capsule.ZoneID, n int) []int {
	target := sha256.Sum256(zoneCID(zone).Hash())
	type candidate struct {
		i    int
		away [32]byte
	}
	var all []candidate
	for i := 1000; i < 5000; i++ {
		c := candidate{i: i, away: sha256.Sum256([]byte(raw.PeerID(sim.Identity(i).Key())))}
		for j := range c.away {
			c.away[j] ^= target[j]
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b candidate) int { return bytes.Compare(a.away[:], b.away[:]) })
	out := make([]int, n)
	for i := range out {
		out[i] = all[i].i
	}
	return out
}

func TestRecordStoreIsBoundedAndFair(t *testing.T) {
	r := newRecordStore(100, 10)
	ctx := t.Context()
	put := func(zone, prov string) {
		if err := r.Put(ctx, ds.NewKey("/providers/"+zone+"/"+prov), []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	for z := range 20 {
		put(fmt.Sprint("G", z), "GREEDY")
	}
	if r.count["GREEDY"] != 10 {
		t.Fatalf("one provider holds %d records, want its limit", r.count["GREEDY"])
	}
	for z := range 3 {
		put(fmt.Sprint("Z", z), "HONEST")
	}
	for s := range 20 { // sybils, each up to its limit
		for z := range 20 {
			put(fmt.Sprint("J", s, "-", z), fmt.Sprint("S", s))
		}
	}
	if r.size != 100 {
		t.Fatalf("%d records, want the bound", r.size)
	}
	for z := range 3 {
		if ok, _ := r.Has(ctx, ds.NewKey(fmt.Sprint("/providers/Z", z, "/HONEST"))); !ok {
			t.Fatal("a flood displaced the records of somebody who has few")
		}
	}
	res, err := r.Query(ctx, query.Query{Prefix: "/providers/Z1"})
	if err != nil {
		t.Fatal(err)
	}
	if all, _ := res.Rest(); len(all) != 1 || all[0].Key != "/providers/Z1/HONEST" {
		t.Fatalf("query of one zone: %v", all)
	}
	sum := 0
	for _, n := range r.count {
		if n > 10 {
			t.Fatalf("one provider holds %d records", n)
		}
		sum += n
	}
	if sum != r.size {
		t.Fatalf("counts sum to %d, size is %d", sum, r.size)
	}
}

var lookupsPerMove = flag.Int("lookups", 2, "how often TestChurn looks each of its four zones up between two moves, of which there are 30")

// TestChurn: nodes join, leave and change address for ten minutes while zones are looked up, each time by a client that
// knows nothing of them. At most one lookup of a thousand fails twice.
func TestChurn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		w := newWorld(t)
		boot := []*node{w.start(0, 0, Config{Mode: Server}, false)}
		boot = append(boot, w.start(1, 1, Config{Mode: Server, Bootstrap: boot[0].h.Addrs()}, false))
		addrs := append(boot[0].h.Addrs(), boot[1].h.Addrs()...)
		const zones, size = 4, 12
		place := 200
		nodes := make([]*node, size)
		join := func(i int) {
			place++
			nodes[i] = w.start(10+i, place, Config{Mode: Server, Bootstrap: addrs}, false)
			nodes[i].serve(zoneOf(i%zones), true)
			n := nodes[i]
			go func() { _ = n.f.Provide(context.Background(), zoneOf(i%zones)) }()
		}
		for i := range size {
			join(i)
		}
		c := w.start(100, 100, Config{Mode: Client, Bootstrap: addrs}, false)
		time.Sleep(30 * time.Second)
		lookups, again, failed, rounds := 0, 0, 0, 30
		if bubble.Race {
			rounds = 10
		}
		for round := range rounds { // 20 s each: one node moves, and every zone is looked up
			i := round * 7 % size
			nodes[i].close()
			join(i)
			next := time.Now()
			for range *lookupsPerMove {
				next = next.Add(20 * time.Second / time.Duration(*lookupsPerMove))
				time.Sleep(time.Until(next))
				c.f.mu.Lock()
				clear(c.f.known) // every lookup starts cold
				c.f.mu.Unlock()
				for z := range zones {
					lookups++
					if _, first := c.f.Find(t.Context(), zoneOf(z), 1); first != nil {
						again++
						if _, err := c.f.Find(t.Context(), zoneOf(z), 1); err != nil {
							failed++
							t.Logf("round %d, zone %d: %v, then %v", round, z, first, err)
						}
					}
				}
			}
		}
		t.Logf("%d lookups, %d of them twice, %d in vain", lookups, again, failed)
		if 1000*failed > lookups {
			t.Fatalf("%d of %d lookups failed twice", failed, lookups)
		}
	})
}

func FuzzHeld(f *testing.F) {
	f.Add([]byte{0x12, 0x20})
	f.Fuzz(func(t *testing.T, key []byte) {
		h := newHeld()
		h.note(key, capsule.Key{1}, time.Unix(0, 0))
		if h.n > 1 || (h.n == 1) != (len(key) == 34 && key[0] == 0x12 && key[1] == 0x20) {
			t.Fatalf("%x: %d records", key, h.n)
		}
	})
}
