package zone

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
	"github.com/kitwork/kwnode/zone/store"
)

// A leader that puts what it must not into the log gets no effect and no certificate of one.
func TestLyingLeader(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		defer c.close()
		z := c.furnish()
		forged := c.seal(now())
		envelope := bytes.Clone(forged.Bytes())
		envelope[len(envelope)-5] ^= 1
		hour := must(capsule.Marshal(&machine.Tick{Scope: machine.NewScope(c.id, 0), At: now() + 3_600_000}))
		alone := []cert.IndexSig{{Pos: 0, Sig: c.voters[0].Sign(machine.KindTick.SigKind(), hour)}}
		for what, cmd := range map[string][]byte{
			"forged capsule":  must(machine.NewAdmit(envelope)),
			"time by one":     must(machine.NewQuorum(machine.KindTick, hour, alone)),
			"command garbage": []byte("not a command"),
		} {
			// Past Propose's own checks, as a leader of another make would.
			a, err := z.append(must(machine.NewEntry(cmd)))
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			if a.out.Results[0].Refusal == nil || len(a.out.Decisions) != 0 {
				t.Errorf("%s had an effect: %+v", what, a.out)
			}
		}
		for _, other := range c.zones {
			if _, err := other.signTick(hour); err == nil {
				t.Error("a voter signed a time an hour ahead")
			}
		}
		v := must(z.Query())
		defer v.Close()
		if h, err := v.Head(); err != nil || h.Time > now() {
			t.Fatalf("zone time %d, clock %d: %v", h.Time, now(), err)
		}
		c.converge(5 * time.Second)
	})
}

// tamper returns a voter's signature of a statement that its replica did not compute.
func tamper(id *capsule.Identity, set *cert.VoterSet, st cert.Statement) cert.Vote {
	st.State[0] ^= 1
	p := must(st.Payload())
	return cert.Vote{Statement: st, Voter: uint8(set.Position(id.Key())), Sig: id.Sign(cert.KindStatement, p)}
}

// One voter of four signs a false state beside the true one, and sends it to everybody.
func TestLyingVoter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		defer c.close()
		z := c.furnish()
		out := c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		time.Sleep(time.Second)
		liar := c.voters[0]
		set := z.sets.newest()
		for _, victim := range c.zones[1:] {
			st, ok := victim.certs.statement(out.Index)
			if !ok {
				t.Fatal("no statement")
			}
			false1 := tamper(liar, &set, st)
			victim.voting.take(&false1, liar.Key())
			for range 8 { // and about what has not happened
				st.Index++
				false2 := tamper(liar, &set, st)
				victim.voting.take(&false2, liar.Key())
			}
			q, err := victim.certs.quorum(out.Index)
			if err != nil || q == nil || q.Statement.State != func() capsule.Hash { s, _ := victim.certs.statement(out.Index); return s.State }() {
				t.Fatalf("certified: %+v %v", q, err)
			}
			if q, _ := victim.certs.quorum(out.Index + 5); q != nil {
				t.Fatal("a false statement was certified")
			}
		}
		// The zone goes on with the liar's false votes in its way.
		for range 6 {
			c.ok(z, c.data(machine.Write{Key: []byte("orders/2"), Value: []byte("w")}))
		}
		proofs := 0
		for i, victim := range c.zones[1:] {
			if err := victim.Err(); err != nil {
				t.Errorf("voter %d stopped: %v", i+1, err)
			}
			for _, conflict := range victim.Status().Conflicts {
				proofs++
				if err := conflict.Verify(liar.Key()); err != nil {
					t.Errorf("voter %d: %v", i+1, err)
				}
			}
		}
		// Who had a quorum before the liar's true vote arrived did not look at that one; somebody did.
		if proofs == 0 {
			t.Error("nobody holds a proof against the liar")
		}
	})
}

// What a liar can do when the log was forked under two honest voters: with three voters certify both histories, with four
// neither of two.
func TestWhatThreeVotersCannotStop(t *testing.T) {
	for n, want := range map[int]int{3: 2, 4: 1} {
		ids := sortedIdents(200, n)
		set := cert.VoterSet{Zone: capsule.ZoneID{1}, Keys: keysOf(ids)}
		certified := 0
		for side := range 2 {
			st := cert.Statement{V: cert.Version, Zone: set.Zone, Index: 9, State: capsule.Hash{byte(side)}}
			q := cert.Quorate{Statement: st}
			for pos, id := range ids {
				// Voter 0 signs both; of the honest ones each signs the side that it was shown, the odd ones the second.
				if pos == 0 || pos%2 == side {
					q.Sigs = append(q.Sigs, cert.IndexSig{Pos: uint8(pos), Sig: id.Sign(cert.KindStatement, must(st.Payload()))})
				}
			}
			if q.Verify(&set) == nil {
				certified++
			}
		}
		if certified != want {
			t.Errorf("%d voters with a liar: %d of two histories certified, want %d", n, certified, want)
		}
	}
}

// A voter that finds a quorum behind another history than its own stops and says so.
func TestForkStopsVoter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		time.Sleep(time.Second) // no nudge is on its way any more
		a := z.replica.Applied()
		victim := c.zones[2]
		if victim == z {
			victim = c.zones[1]
		}
		st, ok := z.certs.statement(a)
		if !ok {
			t.Fatal("no statement")
		}
		set := z.sets.newest()
		var sigs []cert.IndexSig
		st.Index = z.node.Status().LastLog + 1 // that of the next proposal
		for i := range 2 {
			v := tamper(c.voters[i], &set, st)
			sigs = append(sigs, cert.IndexSig{Pos: v.Voter, Sig: v.Sig})
		}
		st.State[0] ^= 1
		victim.voting.quorum(&cert.Quorate{Statement: st, Sigs: sigs})
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		<-victim.Done()
		var f *ForkError
		if !errors.As(victim.Err(), &f) {
			t.Fatalf("stopped with %v", victim.Err())
		}
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("w")}))
	})
}

// A suffix that reaches down to applied entries is not deleted; the voter stops with evidence and the others go on.
func TestTruncationBelowAppliedStopsVoter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		var victim *Zone
		for _, o := range c.zones {
			if o != z {
				victim = o
			}
		}
		last := must(victim.raftLog.LastIndex())
		var te *store.TruncateError
		if err := victim.raftLog.DeleteRange(victim.replica.Applied(), last); !errors.As(err, &te) {
			t.Fatalf("deleted: %v", err)
		}
		<-victim.Done()
		if !errors.As(victim.Err(), &te) {
			t.Fatalf("stopped with %v", victim.Err())
		}
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
	})
}

func TestFalseSnapshotIsRefused(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		take := func() (*bytes.Buffer, error) {
			s := must(z.replica.Snapshot())
			defer s.Release()
			var b bytes.Buffer
			return &b, s.Persist(t.Context(), &b)
		}
		good, err := take()
		if err != nil {
			t.Fatal(err)
		}
		// The same rows with one more, under the true proof.
		r := must(store.NewSnapshotReader(bytes.NewReader(good.Bytes())))
		db := must(store.Open("x", store.Options{FS: vfs.NewMem()}))
		defer db.Close()
		tx := must(db.Begin())
		if err := r.Rows(func(k, v []byte) error { return tx.Set(bytes.Clone(k), bytes.Clone(v)) }); err != nil {
			t.Fatal(err)
		}
		tx.Set([]byte("dorders/2"), append(make([]byte, 9), 'x'))
		if err := tx.Commit(r.Applied()); err != nil {
			t.Fatal(err)
		}
		victim := c.zones[0]
		if victim == z {
			victim = c.zones[1]
		}
		v := must(db.View())
		defer v.Close()
		var p proof
		if err := capsule.Unmarshal(r.Proof(), &p); err != nil {
			t.Fatal(err)
		}
		few := p
		few.Quorum.Sigs = few.Quorum.Sigs[:1]
		for what, b := range map[string][]byte{"another row": r.Proof(), "one signature": must(capsule.Marshal(&few))} {
			var bad bytes.Buffer
			if err := v.WriteSnapshot(&bad, b); err != nil {
				t.Fatal(err)
			}
			var mm *store.MismatchError
			if err := victim.replica.Restore(&bad); !errors.As(err, &mm) {
				t.Errorf("%s: %v", what, err)
			}
		}
		q := must(victim.Query())
		defer q.Close()
		if _, err := q.Get([]byte("orders/2"), 0); !errors.Is(err, machine.ErrNotFound) {
			t.Fatalf("a false snapshot was restored: %v", err)
		}
	})
}

// A voter whose disk was set back is told by its peers what it has signed, and signs no more.
func TestRestoredDiskSignsNoMore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		i := 0
		if c.zones[0] == z {
			i = 1
		}
		path := filepath.Join(c.dir, string(rune('0'+i)), "log")
		time.Sleep(time.Second)
		c.stop(i)
		backup := c.fs[i].CrashClone(vfs.CrashCloneCfg{}) // closing has synced everything
		oldLog := must(os.ReadFile(path))
		oldRecord := *c.records[i]
		c.start(i)
		for range 5 {
			c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		}
		time.Sleep(3 * time.Second) // after a failure Raft tries again with its commit timeout
		c.stop(i)
		newest := c.records[i].Record.Index
		if err := os.WriteFile(path, oldLog, 0o600); err != nil {
			t.Fatal(err)
		}
		c.fs[i], *c.records[i] = backup, oldRecord
		victim := c.start(i)
		for range 3 {
			c.ok(c.leader(), c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("w")}))
		}
		time.Sleep(3 * time.Second)
		if err := victim.signer.Broken(); !errors.Is(err, cert.ErrAmnesia) {
			t.Fatalf("signer: %v; record was %d, is %d, before the restore %d", err,
				oldRecord.Record.Index, victim.signer.Record().Index, newest)
		}
		if !c.records[i].Record.Burned {
			t.Fatal("a restart would let it sign again")
		}
	})
}

// With more than n−t clocks astray, time stands still and the zone says so; commands that need no time go on. With fewer,
// even the leader's, time goes on.
func TestClocksAstray(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const year = 365 * 24 * 3_600_000
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		zoneTime := func() uint64 {
			v := must(z.Query())
			defer v.Close()
			return must(v.Head()).Time
		}
		leader := 0
		for i := range c.zones {
			if c.zones[i] == z {
				leader = i
			}
		}
		c.skew[leader].Store(year)
		for range 20 {
			time.Sleep(300 * time.Millisecond)
			c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		}
		if d := int64(now() - zoneTime()); d < -1000 || d > 1000 {
			t.Fatalf("one astray: zone time is %d ms from the others' clocks", d)
		}
		c.skew[(leader+1)%3].Store(-year)
		before := zoneTime()
		for range 20 {
			time.Sleep(300 * time.Millisecond)
			c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("w")}))
		}
		if after := zoneTime(); after-before > 1000 {
			t.Fatalf("two astray: time moved by %d ms", after-before)
		}
		said := false
		for _, o := range c.zones {
			said = said || o.Status().TimeError != ""
		}
		if !said {
			t.Fatal("no voter's status says that time stands still")
		}
	})
}

// equivocator is the transport of a leader that shows one voter another log than the others: in what it sends to that one,
// some bytes are others of the same length.
type equivocator struct {
	raft.Transport
	to       atomic.Pointer[capsule.Key]
	old, new []byte
}

func (e *equivocator) Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error) {
	c, err := e.Transport.Dial(ctx, peer, proto)
	if err != nil {
		return nil, err
	}
	return &equivocalConn{c, e, peer}, nil
}

type equivocalConn struct {
	net.Conn
	e    *equivocator
	peer capsule.Key
}

func (c *equivocalConn) Write(b []byte) (int, error) {
	if to := c.e.to.Load(); to != nil && *to == c.peer {
		b = bytes.ReplaceAll(b, c.e.old, c.e.new)
	}
	return c.Conn.Write(b)
}

// A leader whose streams show one voter another entry than the rest certifies one history alone: the deceived voter's
// vote is for another, and it stops with the proof when it sees the others'. Four voters go on without it.
func TestEquivocatingTransport(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var all []*equivocator
		c := newCluster(t, 4, func(c *cluster) {
			c.change = func(cfg *Config) {
				e := &equivocator{Transport: cfg.Transport, old: []byte("the true value"), new: []byte("quite a lie by")}
				all = append(all, e)
				cfg.Transport = e
			}
		})
		defer c.close()
		z := c.furnish()
		var victim *Zone
		for i, o := range c.zones {
			if o == z {
				k := c.zones[(i+1)%4].Key()
				victim = c.zones[(i+1)%4]
				all[i].to.Store(&k)
			}
		}
		out := c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("the true value")}))
		<-victim.Done()
		var f *ForkError
		if !errors.As(victim.Err(), &f) || f.Mine.Index != out.Index || f.Mine.Chain == f.Other.Statement.Chain {
			t.Fatalf("the deceived voter stopped with %v", victim.Err())
		}
		if v := must(victim.Query()); true {
			if _, err := v.Get([]byte("orders/1"), 0); !errors.Is(err, machine.ErrNotFound) {
				t.Errorf("the deceived voter applied what nobody signed: %v", err)
			}
			v.Close()
		}
		for _, o := range c.zones {
			if o == victim {
				continue
			}
			if q, err := o.certs.wait(t.Context(), out.Index); err != nil || q.Statement != f.Other.Statement {
				t.Errorf("certified %+v, the proof says %+v: %v", q, f.Other.Statement, err)
			}
		}
		c.ok(z, c.data(machine.Write{Key: []byte("orders/2"), Value: []byte("goes on")}))
	})
}
