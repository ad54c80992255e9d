package p2p_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

const relayHop = "/libp2p/circuit/relay/0.2.0/hop"

// TestHiddenHostIsReachedThroughARelay: a host behind a NAT takes a place at a relay that serves on purpose, and is
// dialled through it.
func TestHiddenHostIsReachedThroughARelay(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 10 * time.Millisecond})
		relay := simHost(t, nw, 1, func(c *p2p.Config) { c.Reach = p2p.Reach{Serve: true, Public: true} })
		client := simHost(t, nw, 3)
		nw.NAT(sim.Address(2))
		hidden := newHost(t, p2p.Config{
			Identity: sim.Identity(2), Packets: nw.Packets(sim.Address(2)),
			Reach: p2p.Reach{Relay: true, Relays: relay.Addrs(), Private: true},
		})
		time.Sleep(time.Minute)
		i := slices.IndexFunc(hidden.Addrs(), func(a string) bool { return strings.Contains(a, "/p2p-circuit") })
		if i < 0 {
			t.Fatalf("no relayed address: %v", hidden.Addrs())
		}
		if _, err := client.Connect(t.Context(), hidden.Addrs()[i]); err != nil {
			t.Fatal(err)
		}
		peers := client.Peers()
		j := slices.IndexFunc(peers, func(p p2p.PeerInfo) bool { return p.Key == hidden.Key() })
		if j < 0 || peers[j].Transport != "relay" {
			t.Fatalf("peers %+v", peers)
		}
		// Protocols wait for a direct connection: relays are for meeting, not for traffic.
		if err := hidden.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := roundTrip(ctx, client, hidden.Key(), []byte("x")); err == nil {
			t.Fatal("a stream ran over the relay")
		}
		// The hidden host dials out, and then they can talk.
		if _, err := hidden.Connect(t.Context(), client.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
		if got, err := roundTrip(t.Context(), client, hidden.Key(), []byte("x")); err != nil || string(got) != "x" {
			t.Fatalf("%q, %v", got, err)
		}
		if slices.Contains(client.Protocols(), relayHop) || !slices.Contains(relay.Protocols(), relayHop) {
			t.Fatal("who was asked to relay does not, or who was not does")
		}
	})
}
