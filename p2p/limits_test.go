package p2p_test

import (
	"testing"
	"time"

	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

// A crowd gets twice HighPeers connections and no more, and is thinned out.
func TestCrowdIsBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const high = 4
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a := simHost(t, nw, 1, func(c *p2p.Config) {
			c.Limits = p2p.Limits{LowPeers: 2, HighPeers: high, ConnsPerIP: 1000, ConnsPerSec: 1000}
		})
		most := 0
		for i := range 5 * high {
			h := simHost(t, nw, 2+i)
			_, _ = h.Connect(t.Context(), a.Addrs()[0]) // a refusal may show only later
			most = max(most, len(a.Peers()))
		}
		if most != 2*high {
			t.Errorf("up to %d connections at a time, want %d", most, 2*high)
		}
		time.Sleep(5 * time.Minute) // the connection manager spares newcomers for a while
		if n := len(a.Peers()); n > high {
			t.Errorf("%d connections are left after thinning out, want at most %d", n, high)
		}
	})
}
