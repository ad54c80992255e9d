package zone

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// dialCounter counts the streams for calls that a voter opens.
type dialCounter struct {
	raft.Transport
	n atomic.Int64
}

func (d *dialCounter) Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error) {
	if strings.HasSuffix(proto, callProto) {
		d.n.Add(1)
	}
	return d.Transport.Dial(ctx, peer, proto)
}

// What clients bring to a follower goes to the leader on a few streams that stay, however much it is; they outlive neither
// the leader nor its return.
func TestCallsShareStreams(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var all []*dialCounter
		c := newCluster(t, 3, func(c *cluster) {
			c.change = func(cfg *Config) {
				d := &dialCounter{Transport: cfg.Transport}
				all, cfg.Transport = append(all, d), d
			}
		})
		defer c.close()
		z := c.furnish()
		at := 0
		for c.zones[at] == z {
			at++
		}
		crowd := func() {
			var wg sync.WaitGroup
			for i := range 80 {
				wg.Go(func() {
					c.ok(c.zones[at], c.data(machine.Write{Key: fmt.Appendf(nil, "orders/%d", i%7), Value: []byte("v")}))
				})
			}
			wg.Wait()
		}
		crowd()
		first := all[at].n.Load()
		if first == 0 || first > 2*callStreams {
			t.Errorf("%d streams for 80 calls, want at most %d to each peer", first, callStreams)
		}
		crowd()
		if n := all[at].n.Load(); n > 2*callStreams {
			t.Errorf("%d streams in all, the second 80 calls opened %d", n, n-first)
		}
		for i := range c.zones {
			if c.zones[i] == z {
				c.stop(i)
				c.start(i)
			}
		}
		crowd()
	})
}
