package zone

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// gate stops whoever comes through while it is shut.
type gate struct {
	mu   sync.Mutex    // guards what follows
	shut chan struct{} // nil while the gate is open
	at   chan struct{} // gets one for each who stands at the gate
}

func newGate() *gate { return &gate{at: make(chan struct{}, 64)} }

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) pass() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut != nil {
		g.at <- struct{}{}
		<-shut
	}
}

// flushes is what of one voter has reached its disk, and what it has told others.
type flushes struct {
	key    capsule.Key
	record cert.MemRecord
	log    *gate // before a write of the log
	sign   *gate // before the record of what was signed is on the disk

	mu    sync.Mutex // guards what follows
	saved cert.Record
	told  uint64 // greatest index of a vote that left the voter
	wrong []string
}

// Load and Save implement cert.RecordStore.
func (f *flushes) Load() (cert.Record, error) { return f.record.Load() }

func (f *flushes) Save(r cert.Record) error {
	f.sign.pass()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.saved = r
	return f.record.Save(r)
}

func (f *flushes) left(v *cert.Vote) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := &v.Statement
	f.told = max(f.told, st.Index)
	if st.Generation > f.saved.Generation || st.Generation == f.saved.Generation && st.Index > f.saved.Index {
		f.wrong = append(f.wrong, fmt.Sprintf("a vote for entry %d left %s, whose record ends at %d", st.Index, f.key, f.saved.Index))
	}
}

func (f *flushes) highest() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}

// tap is a voter's transport, and reads the votes that go through it.
type tap struct {
	raft.Transport
	f *flushes
}

func (t *tap) Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error) {
	c, err := t.Transport.Dial(ctx, peer, proto)
	if err != nil || !strings.HasSuffix(proto, votesProto) {
		return c, err
	}
	return &tappedConn{c, t.f}, nil
}

type tappedConn struct {
	net.Conn
	f *flushes
}

func (c *tappedConn) Write(b []byte) (int, error) {
	var m voteMessage
	if err := api.Read(bytes.NewReader(b), &m, maxVoteMessage); err != nil {
		panic(err) // a frame is one write
	}
	for i := range m.Votes {
		c.f.left(&m.Votes[i])
	}
	return c.Conn.Write(b)
}

// A vote leaves its voter when the record of it is on the disk, and the entry in the log; before, nobody is told anything.
// The disks stop in the middle, and everything that could happen without them happens.
func TestNothingIsSaidBeforeItIsFlushed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var disks []*flushes
		c := newCluster(t, 3, func(c *cluster) {
			c.change = func(cfg *Config) {
				f := &flushes{key: cfg.Identity.Key(), log: newGate(), sign: newGate()}
				disks = append(disks, f)
				cfg.Record, cfg.Transport = f, &tap{cfg.Transport, f}
				cfg.around = func(write func() error) error {
					f.log.pass()
					return write()
				}
			}
		})
		defer c.close()
		defer func() {
			for _, f := range disks {
				f.sign.open()
				f.log.open()
			}
		}()
		z := c.furnish()
		leader := 0
		for i, o := range c.zones {
			if o == z {
				leader = i
			}
		}
		acked := make(chan *Outcome, 1)
		propose := func() {
			cmd := c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")})
			go func() {
				out, err := z.Propose(t.Context(), cmd)
				if err != nil {
					t.Error(err)
				}
				acked <- out
			}()
		}
		quiet := func() {
			time.Sleep(50 * time.Millisecond) // votes and nudges of the entry before
			synctest.Wait()
		}

		// The records: no voter may tell others of its vote, so that nothing is certified or acknowledged.
		quiet()
		for _, f := range disks {
			f.sign.close()
		}
		before := must(z.raftLog.LastIndex())
		propose()
		for _, f := range disks {
			<-f.sign.at
		}
		synctest.Wait()
		for i, f := range disks {
			if n := f.highest(); n > before {
				t.Errorf("voter %d told others of its vote for entry %d with the record of it still unwritten", i, n)
			}
			if q, err := c.zones[i].certs.quorum(before + 1); q != nil || err != nil {
				t.Errorf("voter %d has a certificate of what nobody has recorded (%v)", i, err)
			}
		}
		if len(acked) > 0 {
			t.Error("acknowledged before anything was recorded")
		}
		if t.Failed() {
			return
		}
		for _, f := range disks {
			f.sign.open()
		}
		if out := <-acked; out != nil && out.Index != before+1 {
			t.Fatalf("the entry was %d, want %d", out.Index, before+1)
		}

		// The log: a follower whose entry is not written says nothing of it; the two others go on without.
		quiet()
		behind := (leader + 1) % 3
		f := disks[behind]
		f.log.close()
		propose()
		out := <-acked
		<-f.log.at
		synctest.Wait()
		if n := f.highest(); out != nil && n >= out.Index {
			t.Fatalf("a voter told others of its vote for entry %d, which its log does not have", n)
		}
		f.log.open()
		waitFor(t, 10*time.Second, "the vote of the voter that was behind", func() bool { return f.highest() >= out.Index })

		for _, f := range disks {
			f.mu.Lock()
			for _, w := range f.wrong {
				t.Error(w)
			}
			f.mu.Unlock()
		}
	})
}
