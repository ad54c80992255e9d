package zone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/store"
)

// A fourth voter joins under load, leadership goes round, a dead voter is removed, and a client that knows only the genesis
// follows. Nothing that was acknowledged meanwhile is lost.
func TestMembershipUnderLoad(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		w := newWriters(c, 3)
		defer w.halt()
		w.more("at first")
		// The newcomer knows the genesis and its voters.
		id := ident(299)
		c.voters = append(c.voters, id)
		c.fs, c.records, c.zones = append(c.fs, newFS()), append(c.records, &cert.MemRecord{}), append(c.zones, nil)
		cfg := c.config(3)
		cfg.Contacts = c.genesis.Voters
		n, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c.zones[3] = n
		if err := z.AddLearner(id.Key()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := n.node.WaitApplied(ctx, z.replica.Applied()); err != nil {
			t.Fatal(err)
		}
		four := append(append([]capsule.Key{}, c.genesis.Voters...), id.Key())
		sortKeys(four)
		act := c.act(cert.OpEpoch, 0, &cert.Epoch{V: cert.Version, Number: 1, Voters: four})
		out, err := z.ChangeVoters(ctx, act)
		if err != nil || out.Result.Refusal != nil {
			t.Fatalf("epoch 1: %+v %v", out, err)
		}
		waitFor(t, 10*time.Second, "the newcomer to vote", func() bool { return z.node.Members()[id.Key()] && n.node.Members()[id.Key()] })
		w.through()
		w.more("with the newcomer")

		// Leadership is handed over, to a founder and on to the newcomer.
		for _, k := range []capsule.Key{c.genesis.Voters[1], id.Key()} {
			waitFor(t, 20*time.Second, "leadership to be handed over", func() bool {
				l := c.leader()
				return l.Key() == k || l.Transfer(k) == nil
			})
			w.more("after leadership was handed over")
		}
		z = c.leader()

		// A founder dies and is voted out.
		dead := 0
		if c.zones[0] == z {
			dead = 2
		}
		gone := c.voters[dead].Key()
		c.stop(dead)
		w.through()
		w.more("with a voter less")
		var three []capsule.Key
		for _, k := range four {
			if k != gone {
				three = append(three, k)
			}
		}
		out, err = c.leader().ChangeVoters(ctx, c.act(cert.OpEpoch, 0, &cert.Epoch{V: cert.Version, Number: 2, Voters: three}))
		if err != nil || out.Result.Refusal != nil {
			t.Fatalf("epoch 2: %+v %v", out, err)
		}
		waitFor(t, 10*time.Second, "the dead voter to leave", func() bool { _, in := n.node.Members()[gone]; return !in })
		w.more("after the dead voter left")
		w.end()
		client := must(cert.NewTracker(c.raw))
		for _, s := range n.sets.acts(2) {
			if err := client.Follow(&s); err != nil {
				t.Fatal(err)
			}
		}
		admitted := c.ok(n, must(machine.NewAdmit(c.seal(now()).Bytes())))
		if err := client.Verify(admitted.Certificates[0]); err != nil {
			t.Fatal(err)
		}
		if e := admitted.Certificates[0].Decision.Epoch; e != 2 {
			t.Fatalf("certified in epoch %d", e)
		}
		c.converge(5 * time.Second)
	})
}

func TestLeaderVotedOut(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		defer c.close()
		z := c.furnish()
		var rest []capsule.Key
		for _, k := range c.genesis.Voters {
			if k != z.Key() {
				rest = append(rest, k)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if out, err := z.ChangeVoters(ctx, c.act(cert.OpEpoch, 0, &cert.Epoch{V: cert.Version, Number: 1, Voters: rest})); err != nil || out.Result.Refusal != nil {
			t.Fatalf("%+v %v", out, err)
		}
		waitFor(t, 20*time.Second, "another leader without the old one", func() bool {
			for _, o := range c.zones {
				if _, ok := o.node.Leading(); ok && o != z {
					_, in := o.node.Members()[z.Key()]
					return !in
				}
			}
			return false
		})
		for i, o := range c.zones {
			if o == z {
				c.stop(i)
			}
		}
		c.ok(c.leader(), c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
	})
}

// Two of three voters are lost for good. The roots name the third's position and two new voters; the zone goes on in the
// next generation with all that the third had.
func TestRecovery(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		cap := c.seal(now())
		c.ok(z, must(machine.NewAdmit(cap.Bytes())))
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		c.converge(5 * time.Second)
		for i := range c.zones {
			c.stop(i)
		}
		survivor := c.config(0)
		z = must(Open(survivor))
		st := z.Status()
		z.Close()
		fresh := []*capsule.Identity{ident(301), ident(302)}
		voters := append(keysOf(fresh), c.voters[0].Key())
		sortKeys(voters)
		wrong := &cert.Epoch{V: cert.Version, Number: 1, Voters: voters, RetainedIndex: st.Applied - 1, RetainedChain: st.Chain}
		seq := c.seq
		if err := Recover(survivor, c.act(cert.OpRecover, 0, wrong)); err == nil {
			t.Fatal("recovered onto a position that this voter does not have")
		}
		c.seq = seq
		act := c.act(cert.OpRecover, 0, &cert.Epoch{V: cert.Version, Number: 1, Voters: voters, RetainedIndex: st.Applied, RetainedChain: st.Chain})
		if err := Recover(survivor, act); err != nil {
			t.Fatal(err)
		}
		c.start(0)
		for i, id := range fresh {
			c.voters[i+1], c.fs[i+1], *c.records[i+1] = id, newFS(), cert.MemRecord{}
			cfg := c.config(i + 1)
			cfg.Dir += "-new"
			cfg.Contacts = []capsule.Key{c.voters[0].Key()}
			c.zones[i+1] = must(Open(cfg))
		}
		client := must(cert.NewTracker(c.raw))
		out := c.ok(c.leader(), c.dataIn(1, machine.Write{Key: []byte("orders/2"), Value: []byte("w")}))
		if err := client.AcceptRecovery(act); err != nil {
			t.Fatal(err)
		}
		z = c.leader()
		q, err := z.certs.wait(t.Context(), out.Index)
		if err != nil || q.Statement.Generation != 1 {
			t.Fatalf("certified %+v %v", q, err)
		}
		if err := q.Verify(client.Set(1, 1)); err != nil {
			t.Fatal(err)
		}
		c.converge(10 * time.Second)
		for i, z := range c.zones {
			v := must(z.Query())
			if row, err := v.Get([]byte("orders/1"), 0); err != nil || string(row.Value) != "v" {
				t.Errorf("voter %d: %v", i, err)
			}
			if _, err := v.Capsule(cap.ID()); err != nil {
				t.Errorf("voter %d: %v", i, err)
			}
			v.Close()
		}
	})
}

// A voter that knows of a certified entry which it doesn't have is no ground for a recovery, whatever the roots have signed.
// One whose log has the entry gets to it by itself first.
func TestRecoveryNotBehindCertified(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.converge(5 * time.Second)
		var late int // a voter that does not lead
		for c.zones[late] == z {
			late++
		}
		c.stop(late)
		out := c.ok(c.leader(), c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		q := must(c.leader().certs.wait(t.Context(), out.Index))
		row := store.LocalRow{Key: indexKey(localQuorum, out.Index), Val: must(capsule.Marshal(q))}
		for i := range c.zones {
			c.stop(i)
		}
		recover := func(i int) (*Position, error) {
			cfg := c.config(i)
			pos := must(Look(cfg))
			voters := append(keysOf([]*capsule.Identity{ident(301), ident(302)}), c.voters[i].Key())
			sortKeys(voters)
			act := c.act(cert.OpRecover, 0, &cert.Epoch{V: cert.Version, Number: 1, Voters: voters, RetainedIndex: pos.Index, RetainedChain: pos.Chain})
			c.seq--
			return pos, Recover(cfg, act)
		}
		cfg := c.config(late)
		put := func(rows ...store.LocalRow) {
			db := must(store.Open(cfg.FS.PathJoin(cfg.Dir, "state"), store.Options{FS: cfg.FS}))
			defer db.Close()
			if err := errors.Join(db.SetLocal(rows...), db.Sync()); err != nil {
				t.Fatal(err)
			}
		}
		put(row)
		pos, err := recover(late)
		if !errors.Is(err, ErrBehind) || pos.Beyond != out.Index || pos.Index >= out.Index {
			t.Fatalf("at entry %d, behind %d: %v", pos.Index, pos.Beyond, err)
		}
		// A quorum that too few have signed counts for nothing.
		few := *q
		few.Sigs = few.Sigs[:1]
		put(store.LocalRow{Key: row.Key, Val: must(capsule.Marshal(&few))})
		if pos := must(Look(cfg)); pos.Beyond != 0 {
			t.Errorf("one signature is taken for a quorum of entry %d", pos.Beyond)
		}
		// The log has the entry: then it is no matter that the state has not.
		put(row)
		e := must(os.ReadFile(filepath.Join(c.dir, fmt.Sprint((late+1)%3), "log")))
		if err := os.WriteFile(filepath.Join(cfg.Dir, "log"), e, 0o600); err != nil {
			t.Fatal(err)
		}
		log := must(store.OpenLog(filepath.Join(cfg.Dir, "log"), store.LogOptions{SnapshotIndex: pos.Index, NoSync: true}))
		at, other := store.Applied{Index: pos.Index, Chain: pos.Chain}, q.Statement
		other.Chain[0] ^= 1
		if !leadsTo(log, at, &q.Statement) || leadsTo(log, at, &other) {
			t.Error("a log is not compared with the certified chain")
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if pos, err = recover(late); err != nil || pos.Beyond != 0 || pos.Index < out.Index {
			t.Fatalf("at entry %d, behind %d: %v", pos.Index, pos.Beyond, err)
		}
	})
}
