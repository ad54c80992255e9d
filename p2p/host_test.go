package p2p_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/sim"
)

func simHost(t *testing.T, nw *sim.Net, n int, tweak ...func(*p2p.Config)) *p2p.Host {
	t.Helper()
	h, err := nw.Host(n, tweak...)
	return closed(t, h, err)
}

func newHost(t *testing.T, cfg p2p.Config) *p2p.Host {
	t.Helper()
	h, err := p2p.New(cfg)
	return closed(t, h, err)
}

// closed closes h when the test ends.
func closed(t *testing.T, h *p2p.Host, err error) *p2p.Host {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return h
}

// loopback is a host on real sockets.
func loopback(t *testing.T, n int, listen ...string) *p2p.Host {
	t.Helper()
	if listen == nil {
		listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}
	return newHost(t, p2p.Config{Identity: sim.Identity(n), Listen: listen})
}

func connect(t *testing.T, a, b *p2p.Host) {
	t.Helper()
	if _, err := a.Connect(t.Context(), b.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

func anyone(capsule.Key) bool { return true }

const proto = "/kitwork/test/1"

func echo(_ context.Context, _ capsule.Key, s *p2p.Stream) { _, _ = io.Copy(s, s) }

// roundTrip sends msg, ends the sending side and returns the answer.
func roundTrip(ctx context.Context, h *p2p.Host, to capsule.Key, msg []byte) ([]byte, error) {
	s, err := h.Dial(ctx, to, proto)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	sent := make(chan error, 1)
	go func() { // beside the reading: an echo stops when its answer is not taken
		_, err := s.Write(msg)
		sent <- errors.Join(err, s.CloseWrite())
	}()
	got, err := io.ReadAll(s)
	if err != nil {
		s.Reset()
	}
	return got, errors.Join(err, <-sent)
}

func TestPeerIDsAreTheKeys(t *testing.T) {
	k := sim.Identity(1).Key()
	id := raw.PeerID(k)
	if id.String() != k.PeerID() {
		t.Fatalf("peer ID %s, capsule says %s", id, k.PeerID())
	}
	if back, ok := raw.Key(id); !ok || back != k {
		t.Fatalf("key %v, %v from its own peer ID", back, ok)
	}
	for _, bad := range []string{"", "\x00", string(id[:len(id)-1]), string(id) + "x", "\x12\x20" + strings.Repeat("a", 36)} {
		if _, ok := raw.Key(peer.ID(bad)); ok {
			t.Errorf("peer ID %q has an Ed25519 key", bad)
		}
	}
}

func TestStreams(t *testing.T) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			a, b := loopback(t, 1, listen), loopback(t, 2, listen)
			if err := b.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
				t.Fatal(err)
			}
			connect(t, a, b)
			msg := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB, four times the first window
			got, err := roundTrip(t.Context(), a, b.Key(), msg)
			if err != nil || !bytes.Equal(got, msg) {
				t.Fatalf("echo of %d bytes: got %d, %v", len(msg), len(got), err)
			}
			p := a.Peers()
			if len(p) != 1 || p[0].Key != b.Key() || p[0].Transport != name || p[0].Inbound {
				t.Fatalf("peers of a: %+v", p)
			}
			if rtt, err := a.Ping(t.Context(), b.Key()); err != nil || rtt <= 0 {
				t.Fatalf("ping: %v, %v", rtt, err)
			}
		})
	}
}

func TestListener(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 10 * time.Millisecond})
		voter, other, b := simHost(t, nw, 1), simHost(t, nw, 2), simHost(t, nw, 3)
		ln, err := b.Listen(proto, func(k capsule.Key) bool { return k == voter.Key() })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Listen(proto, anyone); err == nil {
			t.Fatal("the same protocol was listened on twice")
		}
		connect(t, voter, b)
		connect(t, other, b)

		s, err := voter.Dial(t.Context(), b.Key(), proto)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		c, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != voter.Key().String() {
			t.Fatalf("remote address %s, want the voter's key", c.RemoteAddr())
		}
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hello" {
			t.Fatalf("read %q, %v", buf, err)
		}
		if err := c.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(buf); !isTimeout(err) {
			t.Fatalf("read after the deadline: %v", err)
		}

		if _, err := roundTrip(t.Context(), other, b.Key(), []byte("x")); err == nil {
			t.Fatal("a peer that accept refuses got an answer")
		}
		ln.Close()
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("accept after close: %v", err)
		}
		if _, err := other.Dial(t.Context(), b.Key(), "/kitwork/none/1"); !errors.Is(err, p2p.ErrUnsupported) {
			t.Fatalf("a protocol that nobody serves: %v", err)
		}
		for _, p := range b.Snapshot().Protocols {
			if p.ID == proto && p.Denied != 1 {
				t.Fatalf("counts %+v, want one denied", p)
			}
		}
		s.Close()
		c.Close()
	})
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

func TestRememberedPeersSurviveARestart(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		dir := t.TempDir()
		b := simHost(t, nw, 2)
		if err := b.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
			t.Fatal(err)
		}
		start := func() *p2p.Host {
			h, err := p2p.New(p2p.Config{Identity: sim.Identity(1), Packets: nw.Packets(sim.Address(1)), Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		a := start()
		connect(t, a, b)
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}

		a = start()
		if got, err := roundTrip(t.Context(), a, b.Key(), []byte("again")); err != nil || string(got) != "again" {
			t.Fatalf("dial by key alone after a restart: %q, %v", got, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}

		path := filepath.Join(dir, "peers")
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file[len(file)-1] ^= 1
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		a = start()
		if n := len(a.Remembered()); n != 0 {
			t.Fatalf("%d peers believed from a damaged file", n)
		}
		if _, err := a.Dial(t.Context(), b.Key(), proto); !errors.Is(err, p2p.ErrNoAddress) {
			t.Fatalf("dial without an address: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
