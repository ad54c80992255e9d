package p2p_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/sim"
)

// TestWastedStreamsCutAPeerOff: streams that name no protocol, one that nobody serves, or come too often.
func TestWastedStreamsCutAPeerOff(t *testing.T) {
	for name, open := range map[string]func(h *p2p.Host, to capsule.Key){
		"unnamed": func(h *p2p.Host, to capsule.Key) {
			if s, err := raw.Unwrap(h.Raw()).Network().NewStream(context.Background(), raw.PeerID(to)); err == nil {
				_, _ = s.Write([]byte{19})
				s.Reset()
			}
		},
		"not served": func(h *p2p.Host, to capsule.Key) {
			if s, err := h.Dial(context.Background(), to, "/kitwork/none/1"); err == nil {
				_, _ = s.Write([]byte("x"))
				s.Reset()
			}
		},
		"too often": func(h *p2p.Host, to capsule.Key) {
			if s, err := h.Dial(context.Background(), to, proto); err == nil {
				_, _ = s.Write([]byte("x"))
				s.Reset()
			}
		},
	} {
		bubble.Test(t, func(t *testing.T) {
			nw := sim.New(1, sim.Link{Delay: time.Millisecond})
			a, b := simHost(t, nw, 1), simHost(t, nw, 2)
			if err := a.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
				t.Fatal(err)
			}
			connect(t, b, a)
			n := 0
			for ; n < 5000 && a.Connected(b.Key()); n++ {
				open(b, a.Key())
				if n%16 == 0 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			synctest.Wait()
			if s := a.Snapshot(); a.Connected(b.Key()) || s.ShutOut != 1 || s.Shed != 1 || n < p2p.WasteBurst {
				t.Fatalf("%s: after %d streams: %d shut out, %d cut off", name, n, s.ShutOut, s.Shed)
			}
		})
	}
}

// TestWhoIsPatientIsNotCutOff: an honest peer that is told "busy" pauses and tries again, for minutes.
func TestWhoIsPatientIsNotCutOff(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b := simHost(t, nw, 1), simHost(t, nw, 2)
		if err := a.Handle(proto, p2p.StreamLimits{Rate: 1, Burst: 1}, echo); err != nil {
			t.Fatal(err)
		}
		connect(t, b, a)
		busy := 0
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if _, err := roundTrip(t.Context(), b, a.Key(), []byte("x")); errors.Is(err, p2p.ErrBusy) {
				busy++
			}
		}
		if busy < 2000 || !a.Connected(b.Key()) || a.Snapshot().Shed != 0 {
			t.Fatalf("refused %d times, then cut off: %+v", busy, a.Snapshot().Shed)
		}
	})
}

// TestANetworkPaysForItsPeers: five peers of an address were cut off, and nobody else comes in from there, but for whom we
// dial. Another address is none the worse.
func TestANetworkPaysForItsPeers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a := simHost(t, nw, 1)
		at := func(i, machine, port int) *p2p.Host {
			return simHost(t, nw, i, func(c *p2p.Config) {
				c.Packets = nw.Packets(sim.Address(machine))
				c.Listen = []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", sim.Address(machine), port)}
			})
		}
		tries := func(h *p2p.Host) bool {
			_, _ = h.Connect(t.Context(), a.Addrs()[0])
			time.Sleep(time.Second) // a refusal after the handshake shows a little later
			return a.Connected(h.Key())
		}
		for i := range 4 {
			if bad := at(10+i, 2, 5000+i); !tries(bad) {
				t.Fatalf("peer %d was refused before anything was held against its address", i)
			} else {
				a.Shut(bad.Key(), time.Hour)
			}
		}
		fifth := at(20, 2, 6000)
		if !tries(fifth) {
			t.Fatal("refused after four; the address had just enough to pay for them")
		}
		a.Shut(fifth.Key(), time.Hour)
		neighbour, other := at(21, 2, 6001), at(22, 3, 6002)
		if tries(neighbour) || a.Snapshot().ShutNets != 1 {
			t.Fatal("the address still gets in")
		}
		if !tries(other) {
			t.Fatal("another address was refused")
		}
		if connect(t, a, neighbour); !a.Connected(neighbour.Key()) {
			t.Fatal("a peer there cannot be dialled any more")
		}
		if err := a.Disconnect(neighbour.Key()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Minute)
		if !tries(neighbour) {
			t.Fatal("the address is kept out for longer than said")
		}
	})
}

// TestServedStreamsAreGivenBack: a peer whose streams are all taken may open any number of them.
func TestServedStreamsAreGivenBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{})
		a, b := simHost(t, nw, 1), simHost(t, nw, 2)
		if err := a.Handle(proto, p2p.StreamLimits{Rate: -1}, echo); err != nil {
			t.Fatal(err)
		}
		connect(t, b, a)
		for i := range 3 * p2p.WasteBurst {
			if _, err := roundTrip(t.Context(), b, a.Key(), []byte("x")); err != nil {
				t.Fatalf("stream %d: %v", i, err)
			}
		}
		if !a.Connected(b.Key()) || a.Snapshot().Shed != 0 {
			t.Fatal("cut off")
		}
	})
}
