package zone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/internal/memnet"
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

// TestCallsAreBounded: a call that is longer than the other voter reads is not sent, and an answer that is longer than the
// asking one reads says so; the streams stay.
func TestCallsAreBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := memnet.New(nil)
		ids := sortedIdents(1, 2)
		var dialled *dialCounter
		var ends []*caller
		for i, id := range ids {
			d := &dialCounter{Transport: nw.Host(id.Key())}
			if i == 0 {
				dialled = d
			}
			all := func(capsule.Key) bool { return true }
			e := &caller{
				pool: api.Pool{Open: d.Dial}, proto: callProto, member: all, ctx: t.Context(), gate: make(chan struct{}, maxCalls),
				conns: map[net.Conn]bool{}, slots: map[capsule.Key]chan struct{}{},
				handle: func(_ context.Context, _ capsule.Key, _ callKind, body []byte) ([]byte, error) {
					return make([]byte, maxCall*len(body)), nil
				},
			}
			e.l = must(d.Listen(callProto, all))
			e.wg.Add(1)
			go e.accept()
			defer e.close()
			ends = append(ends, e)
		}
		to := ids[1].Key()
		if _, err := ends[0].call(t.Context(), to, callPropose, make([]byte, maxCall)); !errors.Is(err, api.ErrTooLong) {
			t.Errorf("a call of more than %d bytes: %v", maxCall, err)
		}
		if n := dialled.n.Load(); n != 0 {
			t.Errorf("%d streams for what is not sent", n)
		}
		if _, err := ends[0].call(t.Context(), to, callPropose, []byte{1}); err == nil || !strings.Contains(err.Error(), api.ErrTooLong.Error()) {
			t.Errorf("an answer of more than %d bytes: %v", maxCall, err)
		}
		if _, err := ends[0].call(t.Context(), to, callPropose, []byte{}); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		if n := dialled.n.Load(); n != 1 {
			t.Errorf("%d streams for two calls, one after the other", n)
		}
	})
}

// TestVotesFitTheirMessage: the longest message of votes that a voter makes is one that the others read.
func TestVotesFitTheirMessage(t *testing.T) {
	st := cert.Statement{V: 255, Generation: math.MaxUint64, Epoch: math.MaxUint64, Index: math.MaxUint64, Time: math.MaxUint64}
	v := &voting{last: map[capsule.Key]cert.Vote{{1}: {Statement: st, Voter: 255}}}
	p := &votePeer{hello: true, wake: make(chan struct{}, 1)}
	for range maxOutbox {
		p.send(cert.Vote{Statement: st, Voter: 255})
		p.want = append(p.want, math.MaxUint64)
		p.answer = append(p.answer, cert.Quorate{Statement: st, Sigs: slices.Repeat([]cert.IndexSig{{Pos: 255}}, cert.MaxVoters)})
	}
	m := v.next(capsule.Key{1}, p)
	if len(m.Votes) != maxVotes || len(m.Want) != maxVotes || len(m.Quorums) != maxVotes || len(m.Yours) != 1 {
		t.Fatalf("%d votes, %d wanted, %d quorums", len(m.Votes), len(m.Want), len(m.Quorums))
	}
	b, err := api.Encode(m, maxVoteMessage)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d bytes", len(b), maxVoteMessage)
}
