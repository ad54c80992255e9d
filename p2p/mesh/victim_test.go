package mesh

import (
	"context"
	"errors"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
	"github.com/kitwork/kwnode/zone/api"
)

const (
	firehose = "/kitwork/test/firehose/1"
	echo     = "/kitwork/test/echo/1"
	maxEcho  = 1 << 10
)

// member is the only author whose capsules the zone would pay for.
var member = sim.Identity(100)

// victim is a node on real sockets.
type victim struct {
	*node
	malformed atomic.Int64 // requests
}

// answer sends one request back.
func (v *victim) answer(_ context.Context, _ capsule.Key, s *p2p.Stream) {
	var req api.Response
	if err := api.Read(s, &req, maxEcho); err != nil {
		v.malformed.Add(1)
		s.Fault()
		s.Reset()
		return
	}
	if s.CloseRead() != nil || api.Write(s, &req) != nil {
		s.Reset()
	}
}

// startHost starts host i on the loopback. shared are the networks where no address pays for its peers.
func startHost(t testing.TB, i int, shared ...netip.Prefix) *p2p.Host {
	t.Helper()
	h, err := p2p.New(p2p.Config{
		Identity: sim.Identity(i), Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, Limits: p2p.Limits{Shared: shared},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// joinOn takes part in the zone's gossip on h.
func joinOn(t testing.TB, h *p2p.Host) *node {
	t.Helper()
	m, err := New(h, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	n := &node{h: h, m: m, got: make(map[capsule.ID]time.Time)}
	n.t, err = m.Join(zone, TopicConfig{
		Check: func(c *capsule.Capsule) error {
			if c.Manifest().Author != member.Key() {
				return errors.New("no account")
			}
			return nil
		},
		Deliver: func(_ capsule.Key, c *capsule.Capsule) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.got[c.ID()] = time.Now()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func newVictim(t testing.TB, shared ...netip.Prefix) *victim {
	t.Helper()
	h := startHost(t, 1, shared...)
	v := &victim{node: joinOn(t, h)}
	limits := p2p.StreamLimits{Rate: -1, PerPeer: 100, Streams: 512, Memory: 2 * maxEcho, Timeout: 10 * time.Second}
	if err := h.Handle(echo, limits, v.answer); err != nil {
		t.Fatal(err)
	}
	err := h.Handle(firehose, p2p.StreamLimits{Timeout: 10 * time.Second, Memory: 64 << 10}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
		if s.CloseRead() != nil { // as our protocols do once they have the request
			return
		}
		buf := make([]byte, 64<<10)
		for {
			if _, err := s.Write(buf); err != nil {
				s.Reset()
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// honest are a client of the victim's, an author's node and a second node behind the victim: those two know each other
// through it alone.
type honest struct {
	to     capsule.Key
	client *p2p.Host
	author *node
	second *node
	n      int // capsules published
}

func newHonest(t testing.TB, addr string) *honest {
	t.Helper()
	to, err := p2p.PeerOf(addr)
	if err != nil {
		t.Fatal(err)
	}
	a := &honest{to: to, client: startHost(t, 2), second: joinOn(t, startHost(t, 3)), author: joinOn(t, startHost(t, 4))}
	for _, h := range []*p2p.Host{a.client, a.second.h, a.author.h} {
		if _, err := h.Connect(t.Context(), addr); err != nil {
			t.Fatal(err)
		}
	}
	for a.author.t.Peers() == 0 || a.second.t.Peers() == 0 || len(a.second.m.Snapshot().Topics[0].Mesh) == 0 {
		time.Sleep(10 * time.Millisecond) // between looks at the state
	}
	return a
}

// publish gossips capsules, 25 a second, until done.
func (a *honest) publish(t testing.TB, done <-chan struct{}) (sent []capsule.ID) {
	tick := time.NewTicker(40 * time.Millisecond)
	defer tick.Stop()
	for {
		a.n++
		c := sealNow(member, a.n)
		if err := a.author.t.Publish(context.Background(), c); err != nil {
			t.Error(err)
		}
		sent = append(sent, c.ID())
		select {
		case <-done:
			return sent
		case <-tick.C:
		}
	}
}

// ask makes one call.
func (a *honest) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := a.client.Dial(ctx, a.to, echo)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { s.Reset() })()
	err = api.Write(s, &api.Response{V: api.Version, Body: make([]byte, 512)})
	if err == nil {
		err = s.CloseWrite()
	}
	if err == nil {
		err = api.Read(s, new(api.Response), maxEcho)
	}
	if err != nil {
		s.Reset()
	}
	return err
}

// call makes calls, 100 a second, until done. It takes "busy" for what it says and tries again, but not for ever.
func (a *honest) call(t testing.TB, done <-chan struct{}) (offered, answered int) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for {
		select {
		case <-done:
			return offered, answered
		case <-tick.C:
		}
		offered++
		for {
			err := a.ask(ctx)
			if err == nil {
				answered++
				break
			}
			if !errors.Is(err, p2p.ErrBusy) {
				t.Errorf("call %d: %v", offered, err)
				return offered, answered
			}
			<-tick.C
		}
	}
}

// arrived waits until all of the capsules have come to the second hop.
func (a *honest) arrived(t testing.TB, sent []capsule.ID) (n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		n = 0
		for _, id := range sent {
			if a.second.has(id) {
				n++
			}
		}
		if n == len(sent) {
			break
		}
	}
	return n
}

// total is what the victim has refused so far.
type total struct{ cut, rejected, ignored, frames, unread, malformed, refused int }

func (v *victim) total() (n total) {
	s, h := v.m.Snapshot(), v.h.Snapshot()
	n.cut = int(s.Shut + h.Shed)
	for _, x := range s.Topics[0].Rejected {
		n.rejected += int(x)
	}
	n.ignored = int(s.Topics[0].Ignored[reasonState])
	n.frames, n.unread, n.malformed, n.refused = int(s.Frames), int(s.OverQuota), int(v.malformed.Load()), int(h.Refused)
	return n
}

// TestAttacks: on real sockets, whatever strangers do, they are cut off after a bounded number of messages, the heap
// stays within 64 MiB of where it was and comes back, and what honest peers offer meanwhile gets through, all of it.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process for each attack")
	}
	v := newVictim(t)
	a := newHonest(t, v.h.Addrs()[0])
	base := heap()
	// Under a limit, as a node runs: without one Go lets garbage double whatever is alive.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(base) + 48<<20))
	for name, atk := range attacks {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) { v.withstand(t, a, name, &atk, base) })
	}
	if n := a.second.m.Snapshot().Topics[0]; len(n.Rejected)+len(n.Ignored) > 0 {
		t.Errorf("something bad passed the first hop: %+v", n)
	}
	if got := a.second.count(); got > a.n {
		t.Errorf("%d capsules came to the second hop, only %d of them are honest", got, a.n)
	}
}

// withstand has strangers attack until each of them has been cut off.
func (v *victim) withstand(t *testing.T, a *honest, name string, atk *attack, base uint64) {
	keys := max(3, atk.at)
	if atk.passing {
		keys = 1
	}
	before, start := v.total(), time.Now()
	done, offered, sent := make(chan struct{}), make(chan [2]int), make(chan []capsule.ID)
	var peak atomic.Uint64
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapAlloc))
			}
		}
	}()
	go func() { sent <- a.publish(t, done) }()
	go func() {
		o, n := a.call(t, done)
		offered <- [2]int{o, n}
	}()
	out, err := attacking(t, name, v.h.Addrs()[0], keys, "", 0, 2*time.Minute).CombinedOutput()
	took := time.Since(start)
	close(done)
	calls, capsules := <-offered, <-sent
	<-watched
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	arrived, after, now := a.arrived(t, capsules), heap(), v.total()
	t.Logf("%d keys in %.1f s: heap %.1f MiB, at most %.1f, %.1f after; calls %d of %d, capsules %d of %d", keys, took.Seconds(),
		mib(base), mib(peak.Load()), mib(after), calls[1], calls[0], arrived, len(capsules))
	t.Logf("cut off %d, refused %d, rejected %d, ignored %d, dropped %d frames and %d messages, malformed %d", now.cut-before.cut,
		now.refused-before.refused, now.rejected-before.rejected, now.ignored-before.ignored, now.frames-before.frames, now.unread-before.unread, now.malformed-before.malformed)
	if calls[0] != calls[1] || arrived != len(capsules) || len(capsules) == 0 {
		t.Errorf("%d of %d honest calls were answered, %d of %d honest capsules arrived", calls[1], calls[0], arrived, len(capsules))
	}
	if peak.Load() > base+64<<20 {
		t.Errorf("the heap grew by %.1f MiB", mib(peak.Load()-base))
	}
	if after > base+24<<20 {
		t.Errorf("%.1f MiB did not come back", mib(after-base))
	}
	if cut := now.cut - before.cut; !atk.passing && cut != keys {
		t.Errorf("%d of %d strangers were cut off", cut, keys)
	}
	// Everything beside the allowances that time refills, and what was on its way to other processors.
	seconds := int(took.Seconds()) + 1
	for what, n := range map[string][2]int{
		"proven bad messages":   {now.rejected - before.rejected, keys * (maxBad + runtime.GOMAXPROCS(0))},
		"verified for nothing":  {now.ignored - before.ignored, keys*(200+runtime.GOMAXPROCS(0)) + 20*keys*seconds},
		"frames dropped":        {now.frames - before.frames, keys * (1800/frameStrike + 64)},
		"messages unread":       {now.unread - before.unread, keys * (1800 + 64*8)},
		"malformed requests":    {now.malformed - before.malformed, keys * (50 + 10*seconds + 192)},
		"connections when gone": {now.refused - before.refused, 40 * keys},
	} {
		if n[0] > n[1] {
			t.Errorf("%s: %d of %d strangers, want at most %d", what, n[0], keys, n[1])
		}
	}
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
