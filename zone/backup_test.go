package zone

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// A backup becomes a voter under a new key: it catches up from where the backup ends, and decides with the others.
func TestBackupBecomesAVoter(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("old")}))
		c.converge(5 * time.Second)
		var file bytes.Buffer
		if err := c.zones[1].Backup(t.Context(), &file); err != nil {
			t.Fatal(err)
		}
		info, err := CheckBackup(bytes.NewReader(file.Bytes()))
		if err != nil || info.Zone != c.id || info.Index == 0 || info.Rows == 0 {
			t.Fatalf("%+v %v", info, err)
		}
		c.ok(z, c.data(machine.Write{Key: []byte("orders/2"), Value: []byte("since")}))

		// Never again under a key that has voted, running or not.
		cfg := c.config(1)
		cfg.Dir, cfg.Record, cfg.FS = filepath.Join(t.TempDir(), "again"), nil, newFS()
		if _, err := Restore(cfg, bytes.NewReader(file.Bytes())); !errors.Is(err, ErrVoterKey) {
			t.Fatalf("restored under a voter's key: %v", err)
		}
		if _, err := os.Stat(cfg.Dir); err == nil {
			t.Fatal("a refused restore has left its folder")
		}

		id := ident(301)
		cfg.Identity, cfg.Transport, cfg.FS = id, c.net.Host(id.Key()), nil
		cfg.Contacts = keysOf(c.voters)
		got, err := Restore(cfg, bytes.NewReader(file.Bytes()))
		if err != nil || *got != *info {
			t.Fatalf("restored %+v, the backup is %+v: %v", got, info, err)
		}
		if _, err := Restore(cfg, bytes.NewReader(file.Bytes())); err == nil || !strings.Contains(err.Error(), "exists already") {
			t.Fatalf("restored over a voter's data: %v", err)
		}
		n := must(Open(cfg))
		defer n.Close()
		if a := n.db.Applied(); a.Index != info.Index {
			t.Fatalf("starts at entry %d, the backup ends at %d", a.Index, info.Index)
		}
		if err := c.leader().AddLearner(id.Key()); err != nil {
			t.Fatal(err)
		}
		waitFor(t, 10*time.Second, "the newcomer to catch up", func() bool { return n.db.Applied().Index >= c.leader().db.Applied().Index })
		voters := append(keysOf(c.voters), id.Key())
		sortKeys(voters)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		out, err := c.leader().ChangeVoters(ctx, c.act(cert.OpEpoch, 0, &cert.Epoch{V: cert.Version, Number: 1, Voters: voters}))
		if err != nil || out.Result.Refusal != nil {
			t.Fatalf("%+v %v", out, err)
		}
		// With one of the four down, three must sign: the restored one is among them.
		waitFor(t, 10*time.Second, "four voters", func() bool { return len(c.leader().node.Members()) == 4 })
		for i := range c.zones {
			if c.zones[i] != nil && c.zones[i] != c.leader() {
				c.stop(i)
				break
			}
		}
		c.ok(n, c.data(machine.Write{Key: []byte("orders/3"), Value: []byte("together")}))
		v := must(n.Query())
		defer v.Close()
		for key, want := range map[string]string{"orders/1": "old", "orders/2": "since", "orders/3": "together"} {
			if row, err := v.Get([]byte(key), 0); err != nil || string(row.Value) != want {
				t.Errorf("%s: %q %v", key, row.Value, err)
			}
		}
	})
}

// Every byte of a backup counts: flipped or cut anywhere, it is refused and leaves nothing behind.
func TestBackupDamaged(t *testing.T) {
	var good []byte
	var cfg Config
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		var file bytes.Buffer
		if err := z.Backup(t.Context(), &file); err != nil {
			t.Fatal(err)
		}
		good, cfg = file.Bytes(), c.config(0)
		cfg.Identity, cfg.Record = ident(301), nil
	})
	if _, err := CheckBackup(bytes.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	step := max(1, len(good)/500)
	for at := 0; at < len(good); at += step {
		bad := bytes.Clone(good)
		bad[at] ^= 1 << (at % 8)
		if _, err := CheckBackup(bytes.NewReader(bad)); err == nil {
			t.Fatalf("a flipped bit at byte %d of %d went unnoticed", at, len(good))
		}
		if _, err := CheckBackup(bytes.NewReader(good[:at])); err == nil {
			t.Fatalf("cut at byte %d of %d and taken", at, len(good))
		}
	}
	if _, err := CheckBackup(bytes.NewReader(append(bytes.Clone(good), 0))); err == nil {
		t.Fatal("bytes behind the end went unnoticed")
	}
	cfg.Dir, cfg.FS = filepath.Join(t.TempDir(), "z"), newFS()
	for _, at := range []int{len(good) / 3, len(good) - 20} {
		bad := bytes.Clone(good)
		bad[at] ^= 4
		if _, err := Restore(cfg, bytes.NewReader(bad)); err == nil {
			t.Fatalf("restored with a flipped bit at byte %d", at)
		}
		if l, err := filepath.Glob(cfg.Dir + "*"); err != nil || len(l) > 0 {
			t.Fatalf("a refused restore left %v", l)
		}
	}
	other := *must2(cert.ParseGenesis(cfg.Genesis))
	other.Nonce[0]++
	cfg.Genesis = must(other.Bytes())
	if _, err := Restore(cfg, bytes.NewReader(good)); err == nil || !strings.Contains(err.Error(), "not of the zone") {
		t.Fatalf("restored into another zone: %v", err)
	}
}

func must2(g *cert.Genesis, _ capsule.ZoneID, err error) *cert.Genesis { return must(g, err) }

func FuzzBackupHead(f *testing.F) {
	g := must((&cert.Genesis{V: cert.Version, Dev: true, Roots: keysOf(sortedIdents(1, 1)), Voters: keysOf(sortedIdents(2, 1)), MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1}}).Bytes())
	var b bytes.Buffer
	if err := writeHead(&b, &backupHead{V: cert.Version, Genesis: g, Index: 7, Term: 2, Members: []backupMember{{Key: ident(2).Key(), Voter: true}}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := readHead(bytes.NewReader(in))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeHead(&again, h); err != nil || !bytes.HasPrefix(in, again.Bytes()) {
			t.Fatalf("read, and written otherwise: %v", err)
		}
	})
}

// Of five voters three elect a leader and order entries, but four must sign what comes of them: with two gone nothing is
// decided although there is a leader. Whoever writes is told so at once, by whatever voter; reads go on; and the first write
// after one of them is back waits for no more than its connection.
func TestTooFewToSignFailsAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 5)
		defer c.close()
		z := c.furnish()
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		c.converge(5 * time.Second)
		c.stop(0)
		c.stop(1)
		var leader, follower *Zone
		waitFor(t, time.Minute, "a leader that misses two", func() bool {
			leader, follower = nil, nil
			for _, z := range c.zones[2:] {
				if _, leads := z.node.Leading(); leads {
					leader = z
				} else {
					follower = z
				}
			}
			return leader != nil && leader.Status().NoQuorum != ""
		})
		ctx, cancel := c.ctx(time.Minute)
		defer cancel()
		began := time.Now()
		for _, z := range []*Zone{leader, follower} {
			_, err := z.Propose(ctx, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("w")}))
			if !errors.Is(err, raft.ErrNoQuorum) || !strings.Contains(err.Error(), "no answer from [") || !strings.Contains(err.Error(), "4 of the 5 voters of epoch 0 must be up") {
				t.Errorf("write: %v", err)
			}
			v, err := z.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if row, err := v.Get([]byte("orders/1"), 0); err != nil || string(row.Value) != "v" {
				t.Errorf("read: %q %v", row.Value, err)
			}
			v.Close()
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("it took %v of virtual time to refuse", d)
		}
		time.Sleep(time.Minute) // virtual: long enough for hashicorp/raft to ask the lost ones every 10 s only
		c.start(0)
		began = time.Now()
		waitFor(t, 10*time.Second, "the quorum to be back", func() bool { return leader.Status().NoQuorum == "" })
		c.ok(leader, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("back")}))
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("the first write after that took %v", d)
		}
	})
}

// A zone without its quorum says so at once and keeps answering for what it has.
func TestQuorumLostFailsAtOnce(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		z := c.furnish()
		c.ok(z, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("v")}))
		c.converge(5 * time.Second)
		c.stop(0)
		c.stop(1)
		last := c.zones[2]
		waitFor(t, time.Minute, "the loss to be noticed", func() bool { return last.Status().NoQuorum != "" })
		began := time.Now()
		ctx, cancel := c.ctx(time.Minute)
		defer cancel()
		if _, err := last.Propose(ctx, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("w")})); err == nil || !strings.Contains(err.Error(), "2 of the 3 voters of epoch 0 must be up") {
			t.Errorf("write: %v", err)
		}
		if _, err := last.Read(ctx); err == nil || !strings.Contains(err.Error(), "lost its quorum") {
			t.Errorf("read: %v", err)
		}
		if d := time.Since(began); d > 0 {
			t.Errorf("it took %v of virtual time to refuse", d)
		}
		v := must(last.Query())
		if row, err := v.Get([]byte("orders/1"), 0); err != nil || string(row.Value) != "v" {
			t.Errorf("stale read: %q %v", row.Value, err)
		}
		v.Close()
		c.start(0)
		waitFor(t, 10*time.Second, "the quorum to be back", func() bool { return last.Status().NoQuorum == "" })
		c.ok(last, c.data(machine.Write{Key: []byte("orders/1"), Value: []byte("back")}))
	})
}
