package p2p_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/sim"
)

func TestShutPeersStayOutForAsLongAsSaid(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b := simHost(t, nw, 1), simHost(t, nw, 2)
		var events []p2p.PeerEvent
		defer a.OnPeer(func(e p2p.PeerEvent) { events = append(events, e) })()
		connect(t, b, a)
		time.Sleep(time.Second)
		a.Shut(b.Key(), time.Minute)
		time.Sleep(time.Second)
		if a.Connected(b.Key()) || a.Snapshot().ShutOut != 1 {
			t.Fatal("still connected")
		}
		synctest.Wait()
		if len(events) != 2 || !events[0].Connected || events[1].Connected {
			t.Fatalf("events %+v, want up and down", events)
		}
		// The refusal comes after the handshake, so the dialler may see a connection for a moment.
		_, _ = b.Connect(t.Context(), a.Addrs()[0])
		time.Sleep(time.Second)
		if a.Connected(b.Key()) {
			t.Fatal("came back at once")
		}
		if _, err := a.Connect(t.Context(), b.Addrs()[0]); err == nil {
			t.Fatal("dialled a peer that is shut out")
		}
		time.Sleep(2 * time.Minute)
		connect(t, b, a)
		time.Sleep(time.Second)
		if !a.Connected(b.Key()) {
			t.Fatal("kept out for longer than said")
		}
	})
}

func TestDenyList(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		for i, deny := range []string{sim.Identity(2).Key().String(), sim.Address(2).String(), sim.Address(2).String() + "/16"} {
			a := simHost(t, nw, 10+i, func(c *p2p.Config) { c.Deny = []string{deny} })
			b, friend := simHost(t, nw, 2), simHost(t, nw, 3)
			_, _ = b.Connect(t.Context(), a.Addrs()[0])
			connect(t, friend, a)
			time.Sleep(time.Second)
			if a.Connected(b.Key()) {
				t.Errorf("deny %s: connected", deny)
			}
			if !a.Connected(friend.Key()) {
				t.Errorf("deny %s: a friend is kept out", deny)
			}
			b.Close()
			friend.Close()
		}
		if _, err := p2p.New(p2p.Config{Identity: sim.Identity(1), Deny: []string{"10.0.0.0/33"}}); err == nil {
			t.Error("a deny list with nonsense was taken")
		}
	})
}

func TestOtherKeysThanEd25519AreRefused(t *testing.T) {
	a := loopback(t, 1)
	rsa, _, err := crypto.GenerateKeyPairWithReader(crypto.RSA, 2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secp, _, err := crypto.GenerateKeyPairWithReader(crypto.Secp256k1, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.PrivKey{"RSA": rsa, "secp256k1": secp} {
		h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range raw.Unwrap(a.Raw()).Addrs() {
			info := h.Peerstore().PeerInfo(raw.PeerID(a.Key()))
			info.Addrs = append(info.Addrs[:0], m)
			if err := h.Connect(t.Context(), info); err == nil {
				// The handshake succeeded at their end; ours closes after it.
				if s, err := h.NewStream(t.Context(), info.ID, "/ipfs/ping/1.0.0"); err == nil {
					if _, err := s.Write(make([]byte, 32)); err == nil {
						if _, err := io.ReadFull(s, make([]byte, 32)); err == nil {
							t.Errorf("%s over %s: got a stream", name, m)
						}
					}
				}
			}
			h.Network().ClosePeer(info.ID)
		}
		if len(a.Peers()) != 0 {
			t.Errorf("%s: connected", name)
		}
		h.Close()
	}
}

func TestStreamLimits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b, c := simHost(t, nw, 1), simHost(t, nw, 2), simHost(t, nw, 3)
		release := make(chan struct{})
		hold := func(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
			select {
			case <-release:
				io.WriteString(s, "served")
			case <-ctx.Done():
			}
		}
		lim := p2p.StreamLimits{Rate: -1, PerPeer: 3, Streams: 5, Timeout: time.Minute}
		if err := c.Handle(proto, lim, hold); err != nil {
			t.Fatal(err)
		}
		if err := c.Handle("/kitwork/big/1", p2p.StreamLimits{Memory: 1 << 40}, hold); err != nil {
			t.Fatal(err)
		}
		connect(t, a, c)
		connect(t, b, c)
		answers := make(chan string, 20)
		for range 10 {
			for _, h := range []*p2p.Host{a, b} {
				go func() {
					got, _ := roundTrip(t.Context(), h, c.Key(), []byte("x"))
					answers <- string(got)
				}()
			}
		}
		time.Sleep(time.Second)
		close(release)
		served := 0
		for range 20 {
			if <-answers == "served" {
				served++
			}
		}
		if served != 5 {
			t.Errorf("served %d streams at once, want 5: at most 3 of each peer", served)
		}
		// A third peer is served although the two have taken everything.
		d := simHost(t, nw, 4)
		release = make(chan struct{})
		for range 5 {
			for _, h := range []*p2p.Host{a, b} {
				go func() { _, _ = roundTrip(t.Context(), h, c.Key(), []byte("x")) }()
			}
		}
		time.Sleep(time.Second)
		connect(t, d, c)
		go func() {
			got, _ := roundTrip(t.Context(), d, c.Key(), []byte("x"))
			answers <- string(got)
		}()
		time.Sleep(time.Second)
		close(release)
		if got := <-answers; got != "served" {
			t.Errorf("the third peer got %q", got)
		}
		s, err := a.Dial(t.Context(), c.Key(), "/kitwork/big/1")
		if err == nil {
			_, err = s.Write([]byte("x"))
			_, err2 := io.ReadAll(s)
			err = errors.Join(err, err2)
		}
		if err == nil {
			t.Error("a handler without memory was run")
		}
		for _, p := range c.Snapshot().Protocols {
			if p.ID == proto && (p.In != 11 || p.Busy != 20 || p.Open != 0) || p.ID == "/kitwork/big/1" && p.Memory != 1 {
				t.Errorf("counts %+v", p)
			}
		}
	})
}

func TestStreamsOverTheRateAreRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const all, burst = 40, 10
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b := simHost(t, nw, 1), simHost(t, nw, 2)
		if err := b.Handle(proto, p2p.StreamLimits{Rate: 1, Burst: burst, PerPeer: all}, echo); err != nil {
			t.Fatal(err)
		}
		connect(t, a, b)
		answers := make(chan error, all)
		for range all {
			go func() {
				_, err := roundTrip(t.Context(), a, b.Key(), []byte("x"))
				answers <- err
			}()
		}
		served := 0
		for range all {
			switch err := <-answers; {
			case err == nil:
				served++
			case !errors.Is(err, p2p.ErrBusy):
				t.Errorf("refused with %v", err)
			}
		}
		if served < burst || served > burst+2 {
			t.Errorf("served %d of %d at once, want %d", served, all, burst)
		}
		for _, p := range b.Snapshot().Protocols {
			if p.ID == proto && (p.Limited != uint64(all-served) || p.Open != 0) {
				t.Errorf("counts %+v", p)
			}
		}
	})
}

func TestHandlersEndWithTheirTimeoutAndWithTheHost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a := simHost(t, nw, 1)
		b, err := nw.Host(2)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 2)
		wait := func(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
			<-ctx.Done()
			ended <- ctx.Err()
		}
		if err := b.Handle(proto, p2p.StreamLimits{Timeout: 5 * time.Second}, wait); err != nil {
			t.Fatal(err)
		}
		if err := b.Handle("/kitwork/long/1", p2p.StreamLimits{}, wait); err != nil {
			t.Fatal(err)
		}
		connect(t, a, b)
		start := time.Now()
		if _, err := roundTrip(t.Context(), a, b.Key(), []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 6*time.Second {
			t.Fatalf("ended with %v after %v", err, time.Since(start))
		}
		s, err := a.Dial(t.Context(), b.Key(), "/kitwork/long/1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := b.Close(); err != nil { // waits for the handler
			t.Fatal(err)
		}
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("ended with %v", err)
		}
		if err := b.Handle("/kitwork/more/1", p2p.StreamLimits{}, wait); !errors.Is(err, p2p.ErrClosed) {
			t.Fatalf("handle after close: %v", err)
		}
	})
}

// TestOutboundOnly: a host that listens nowhere, behind a NAT, serves the peers that it dialled.
func TestOutboundOnly(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 10 * time.Millisecond})
		zone := simHost(t, nw, 1)
		nw.NAT(sim.Address(2))
		worker := newHost(t, p2p.Config{Identity: sim.Identity(2), Packets: nw.Packets(sim.Address(2))})
		if err := worker.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
			t.Fatal(err)
		}
		if len(worker.Addrs()) != 0 {
			t.Fatalf("a host that listens nowhere has addresses %v", worker.Addrs())
		}
		connect(t, worker, zone)
		time.Sleep(time.Second)
		if got, err := roundTrip(t.Context(), zone, worker.Key(), []byte("work")); err != nil || string(got) != "work" {
			t.Fatalf("a stream back over the worker's connection: %q, %v", got, err)
		}
		time.Sleep(10 * time.Minute) // longer than the NAT remembers: the connection is kept alive
		if got, err := roundTrip(t.Context(), zone, worker.Key(), []byte("later")); err != nil || string(got) != "later" {
			t.Fatalf("after ten idle minutes: %q, %v", got, err)
		}
	})
}

func TestProtectedPeersAreRedialledAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a := simHost(t, nw, 1)
		start := func() *p2p.Host {
			b, err := nw.Host(2)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
				t.Fatal(err)
			}
			return b
		}
		b := start()
		connect(t, a, b)
		a.Protect(b.Key(), "voter")
		b.Close()
		time.Sleep(2 * time.Hour) // every address of b has aged out of the peerstore
		for range 5 {             // which would put b into a back-off
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := a.Dial(ctx, b.Key(), proto); err == nil {
				t.Fatal("dialled a host that is down")
			}
			cancel()
		}
		b = start()
		defer b.Close()
		if got, err := roundTrip(t.Context(), a, b.Key(), []byte("x")); err != nil || string(got) != "x" {
			t.Fatalf("dial after the restart: %q, %v", got, err)
		}
	})
}

// TestProtectedPeersAreDialledWithoutBackOff: over TCP, where a host that is down refuses at once and libp2p would wait
// at least 5 s before it tried again.
func TestProtectedPeersAreDialledWithoutBackOff(t *testing.T) {
	a := loopback(t, 1)
	b, err := p2p.New(p2p.Config{Identity: sim.Identity(2), Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	connect(t, a, b)
	listen, _, _ := strings.Cut(b.Addrs()[0], "/p2p/")
	down := make(chan struct{}, 1)
	defer a.OnPeer(func(e p2p.PeerEvent) {
		if !e.Connected {
			down <- struct{}{}
		}
	})()
	a.Protect(b.Key(), "voter")
	b.Close()
	<-down
	for range 3 {
		if _, err := a.Dial(t.Context(), b.Key(), proto); err == nil {
			t.Fatal("dialled a host that is down")
		}
	}
	b = newHost(t, p2p.Config{Identity: sim.Identity(2), Listen: []string{listen}})
	if err := b.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
		t.Fatal(err)
	}
	if got, err := roundTrip(t.Context(), a, b.Key(), []byte("x")); err != nil || string(got) != "x" {
		t.Fatalf("%q, %v", got, err)
	}
}

func TestResolverFindsAPeerThatMoved(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b := simHost(t, nw, 1), simHost(t, nw, 2)
		if err := b.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
			t.Fatal(err)
		}
		a.Hint(b.Key(), []string{fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", sim.Address(99)), "nonsense"})
		asked := 0
		a.SetResolver(func(_ context.Context, k capsule.Key) []string {
			asked++
			return b.Addrs()
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if got, err := roundTrip(ctx, a, b.Key(), []byte("x")); err != nil || string(got) != "x" || asked != 1 {
			t.Fatalf("%q, %v after %d questions", got, err, asked)
		}
	})
}

func TestBadConfigIsRefusedWithWhatToDo(t *testing.T) {
	id := sim.Identity(1)
	for _, c := range []p2p.Config{
		{},
		{Identity: id, Listen: []string{"127.0.0.1:4001"}},
		{Identity: id, Listen: []string{"/ip4/127.0.0.1/tcp/1", "/ip4/203.0.113.9/tcp/0"}}, // not ours
		{Identity: id, Limits: p2p.Limits{LowPeers: 9, HighPeers: 3}},
		{Identity: id, Limits: p2p.Limits{Memory: 5}},
		{Identity: id, Reach: p2p.Reach{Relay: true, Relays: []string{"/ip4/127.0.0.1/tcp/1"}}},
	} {
		if h, err := p2p.New(c); err == nil {
			h.Close()
			t.Errorf("%+v was taken", c)
		}
	}
	a := loopback(t, 1)
	for _, addr := range []string{"", "/ip4/127.0.0.1/tcp/1", "/p2p/QmNnooDu7bfjPFoTZYxMNLWUQJyrVwtbZg5gBMjTezGAJN", strings.Repeat("/ip4/1.1.1.1", 1000)} {
		if _, err := a.Connect(t.Context(), addr); err == nil {
			t.Errorf("connected to %q", addr)
		}
	}
}

// FuzzRemembered feeds the file of remembered peers: a host starts whatever is in it.
func FuzzRemembered(f *testing.F) {
	f.Add(p2p.SampleBook(), false)
	f.Add(p2p.SampleBook()[40:], true)
	f.Add([]byte("kwpeers1"), false)
	f.Fuzz(func(t *testing.T, b []byte, sealed bool) {
		if sealed {
			b = p2p.SealBook(b)
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "peers"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		p2p.CheckBook(t, dir)
	})
}
