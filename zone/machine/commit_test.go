package machine

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// conflicted commits and wants a conflict.
func (w *world) conflicted(cmd []byte) {
	w.t.Helper()
	w.refused(CodeConflict, cmd)
}

func TestConflict(t *testing.T) {
	w := founded(t, 2)
	w.put(put("orders/1", "one"))
	a, b := w.admit(), w.admit()
	seed := w.capsule(b).Run.Seed
	inc := func(id capsule.ID, val string) []byte {
		return w.commitCmd(id, EndDone, func(c *Commit) {
			c.Reads, c.Writes = []Read{w.read(id, "orders/1")}, []Write{put("orders/1", val)}
		})
	}
	ca, cb := inc(a, "a"), inc(b, "b")
	w.ok(ca)
	w.conflicted(cb)
	c := w.status(b, StatusRunning)
	if w.get("orders/1") != "a" || c.Lease.Number != 2 || c.Gas.Retry == 0 || c.Gas.Spent != 0 || c.Run.Seed != seed || c.Lease.Index != w.index {
		t.Fatalf("after the conflict: %q, %+v, %+v", w.get("orders/1"), c.Lease, c.Gas)
	}
	w.refused(CodeLease, cb) // the attempt is over
	w.ok(inc(b, "b"))
	if w.get("orders/1") != "b" {
		t.Fatal("the second attempt had no effect")
	}
	if o, _ := w.view().Output(b); o.Retry != c.Gas.Retry {
		t.Fatalf("retry %d, want %d", o.Retry, c.Gas.Retry)
	}
	r := w.end(b).Retries
	if r.Count != 1 || len(r.Last) != 1 || r.Last[0].Cause != CauseConflict || r.Last[0].Units != c.Gas.Retry {
		t.Fatalf("retries %+v", r)
	}
	w.checkState()
}

func TestReadSet(t *testing.T) {
	type change func(w *world)
	nothing := change(func(*world) {})
	for name, x := range map[string]struct {
		reads  func(w *world, id capsule.ID, c *Commit)
		change change
		holds  bool
	}{
		"unchanged":   {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/b")} }, nothing, true},
		"another key": {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/b")} }, func(w *world) { w.put(put("orders/x", "1")) }, true},
		"changed":     {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/b")} }, func(w *world) { w.put(put("orders/b", "2")) }, false},
		"same again":  {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/b")} }, func(w *world) { w.put(put("orders/b", "b")) }, false},
		"deleted":     {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/b")} }, func(w *world) { w.put(Write{Key: []byte("orders/b"), Delete: true}) }, false},
		"absent":      {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/z")} }, nothing, true},
		"appeared":    {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{w.read(id, "orders/z")} }, func(w *world) { w.put(put("orders/z", "")) }, false},
		"false value": {func(w *world, id capsule.ID, c *Commit) {
			c.Reads = []Read{w.read(id, "orders/b")}
			c.Reads[0].Hash[0] ^= 1
		}, nothing, false},
		"false absence":  {func(w *world, id capsule.ID, c *Commit) { c.Reads = []Read{{Key: []byte("orders/b")}} }, nothing, false},
		"scan all":       {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "", 100)} }, nothing, true},
		"scan, changed":  {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "", 100)} }, func(w *world) { w.put(put("orders/b", "2")) }, false},
		"scan, phantom":  {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "", 100)} }, func(w *world) { w.put(put("orders/bb", "2")) }, false},
		"scan, at end":   {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "", 100)} }, func(w *world) { w.put(put("orders/zz", "2")) }, false},
		"scan, gone":     {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "", 100)} }, func(w *world) { w.put(Write{Key: []byte("orders/c"), Delete: true}) }, false},
		"page":           {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "orders/a", 1)} }, nothing, true},
		"page, behind":   {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "orders/a", 1)} }, func(w *world) { w.put(put("orders/bb", "2")) }, true},
		"page, before":   {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "orders/a", 1)} }, func(w *world) { w.put(put("orders/a", "2")) }, true},
		"page, inside":   {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/", "orders/a", 1)} }, func(w *world) { w.put(put("orders/aa", "2")) }, false},
		"empty range":    {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/y", "", 5)} }, nothing, true},
		"empty, phantom": {func(w *world, id capsule.ID, c *Commit) { c.Scans = []ScanRead{w.scan(id, "orders/y", "", 5)} }, func(w *world) { w.put(put("orders/yy", "2")) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := founded(t, 1)
			w.put(put("orders/a", "a"), put("orders/b", "b"), put("orders/c", "c"))
			id := w.admit()
			cmd := w.commitCmd(id, EndDone, func(c *Commit) { x.reads(w, id, c) })
			x.change(w)
			if r := w.apply(cmd).Results[0]; (r.Refusal == nil) != x.holds {
				t.Fatalf("holds %v, want %v (%v)", r.Refusal == nil, x.holds, r.Refusal)
			}
			w.checkState()
		})
	}
}

// Two commits in one entry see each other.
func TestConflictInOneEntry(t *testing.T) {
	w := founded(t, 2)
	w.put(put("orders/1", "one"))
	a, b := w.admit(), w.admit()
	cmd := func(id capsule.ID) []byte {
		return w.commitCmd(id, EndDone, func(c *Commit) {
			c.Reads, c.Writes = []Read{w.read(id, "orders/1")}, []Write{put("orders/1", id.String())}
		})
	}
	out := w.apply(cmd(a), cmd(b))
	if out.Results[0].Refusal != nil || out.Results[1].Refusal == nil || out.Results[1].Refusal.Code != CodeConflict {
		t.Fatalf("results %+v", out.Results)
	}
	if w.get("orders/1") != a.String() {
		t.Fatal("the second commit overwrote the first")
	}
	w.checkState()
}

func TestHistory(t *testing.T) {
	w := founded(t, 4)
	type snap struct {
		id   capsule.ID
		want map[string]string
	}
	model := map[string]string{}
	write := func(ws ...Write) {
		w.put(ws...)
		for _, x := range ws {
			delete(model, string(x.Key))
			if !x.Delete {
				model[string(x.Key)] = string(x.Value)
			}
		}
	}
	var snaps []snap
	lease := func() {
		id := w.admit()
		s := snap{id: id, want: map[string]string{}}
		for k, v := range model {
			s.want[k] = v
		}
		snaps = append(snaps, s)
	}
	check := func() {
		t.Helper()
		for i, s := range snaps {
			at := w.capsule(s.id).Lease.Index
			rows, more, err := w.view().Scan([]byte("orders/"), nil, at, 100, 1<<20)
			if err != nil || more || len(rows) != len(s.want) {
				t.Fatalf("snapshot %d: %d rows, want %d (%v)", i, len(rows), len(s.want), err)
			}
			for _, k := range []string{"orders/a", "orders/b", "orders/c"} {
				r, err := w.view().Get([]byte(k), at)
				want, ok := s.want[k]
				if ok != (err == nil) || ok && string(r.Value) != want {
					t.Fatalf("snapshot %d: %s = %q (%v), want %q", i, k, r.Value, err, want)
				}
			}
		}
		w.checkState()
	}
	del := func(k string) Write { return Write{Key: []byte(k), Delete: true} }
	write(put("orders/a", "1"), put("orders/b", "1"))
	lease()
	write(put("orders/a", "2"), del("orders/b"), put("orders/c", "2"))
	lease()
	check()
	write(del("orders/a"), put("orders/b", "3"))
	lease()
	write(put("orders/a", "4"), del("orders/c"))
	write(put("orders/a", "5"), put("orders/c", "5"))
	lease()
	check()
	write(del("orders/a"))
	check()
	for len(snaps) > 0 {
		w.ok(w.commitCmd(snaps[0].id, EndDone))
		snaps = snaps[1:]
		check()
	}
	for _, tab := range []byte{tabHistory, tabGarbage, tabLease} {
		if err := w.tx.Scan([]byte{tab}, nil, func(k, _ []byte) bool {
			t.Errorf("row %q was not collected", k)
			return true
		}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.view().Get([]byte("orders/b"), 3); !errors.Is(err, ErrCollected) {
		t.Fatalf("a read below the floor: %v", err)
	}
	if _, err := w.view().Get([]byte("orders/b"), w.index+1); !errors.Is(err, ErrFuture) {
		t.Fatalf("a read above what is applied: %v", err)
	}
}

func TestCommitRefused(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	other := ident(88)
	big := capsule.RawCID([]byte("big"))
	for i, x := range []struct {
		code Code
		end  End
		f    func(*Commit)
	}{
		{CodeDenied, EndDone, func(c *Commit) { c.Writes = []Write{put("other/1", "x")} }},
		{CodeDenied, EndDone, func(c *Commit) { c.Writes = []Write{put("ordersx/1", "x")} }},
		{CodeDenied, EndDone, func(c *Commit) { c.Reads = []Read{{Key: []byte("other/1")}} }},
		{CodeDenied, EndDone, func(c *Commit) { c.Scans = []ScanRead{{Prefix: []byte("other/")}} }},
		{CodeDenied, EndDone, func(c *Commit) { c.Events = []Event{{Topic: "newsflash"}} }},
		{CodeEncoding, EndDone, func(c *Commit) { c.Writes = []Write{put("orders/2", ""), put("orders/1", "")} }},
		{CodeEncoding, EndDone, func(c *Commit) { c.Writes = []Write{put("noslash", "")} }},
		{CodeEncoding, 0, func(c *Commit) { c.Saved = Saved{} }},
		{CodeEncoding, EndDone, func(c *Commit) { c.Saved = saved("x") }},
		{CodeEncoding, EndSleep, func(c *Commit) { c.Saved.Inline = []byte("other bytes") }},
		{CodeEncoding, EndSleep, func(c *Commit) { c.Saved = Saved{} }},
		{CodeLimit, EndSleep, func(c *Commit) { c.Saved = Saved{State: big, Size: 1 << 20} }},
		{CodeBlob, EndSleep, func(c *Commit) { c.Saved = Saved{State: big, Size: 1 << 15} }},
		{CodeLease, EndDone, func(c *Commit) { c.Segment.Lease++ }},
		{CodeLease, EndDone, func(c *Commit) { c.Segment.Segment++ }},
		{CodeLease, EndDone, func(c *Commit) { c.Segment.Hop++ }},
		{CodeUnknown, EndDone, func(c *Commit) { c.Segment.Capsule[0] ^= 1 }},
		{CodeGas, EndDone, func(c *Commit) { c.Gas = 1_000_001 }},
		{CodeZone, EndDone, func(c *Commit) { c.Zone[0] ^= 1 }},
		{CodeGeneration, EndDone, func(c *Commit) { c.Generation++ }},
		{CodeEncoding, EndDone, func(c *Commit) { c.V++ }},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			w.t = t
			before := w.capsule(id)
			w.refused(x.code, w.commitCmd(id, x.end, x.f))
			if after := w.capsule(id); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Fatalf("the refusal changed the capsule: %+v, %+v", before, after)
			}
		})
	}
	w.t = t
	c := &Commit{Scope: w.scope(), Segment: w.segment(id), End: EndDone}
	w.refused(CodeLease, must(NewCommit(other, c)))
	w.checkState()
}

func TestQuotaFailsTheCapsule(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) {
		c.Writes = []Write{put("orders/1", "fits"), put("orders/2", string(make([]byte, 10_000)))}
	}))
	w.status(id, StatusFailed)
	if o, _ := w.view().Output(id); o.Reason != CodeQuota {
		t.Fatalf("output %+v", o)
	}
	if w.get("orders/1") != "" {
		t.Fatal("half of the writes were applied")
	}
	if ns, _ := w.view().Namespace("orders"); ns.Used != 0 {
		t.Fatalf("%d bytes are counted for nothing", ns.Used)
	}
	w.checkState()
}

func TestRevokedWhileRunning(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	w.refused(CodeSignature, must(NewRevoke(w.author, &RevokeGrant{Scope: w.scope(), Chain: w.grant()})))
	w.ok(must(NewRevoke(w.owner, &RevokeGrant{Scope: w.scope(), Chain: w.grant()})))
	if r := w.ok(must(NewRevoke(w.owner, &RevokeGrant{Scope: w.scope(), Chain: w.grant()}))); !r.Repeated {
		t.Fatal("revoked twice")
	}
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) { c.Writes = []Write{put("orders/1", "x")} }))
	w.status(id, StatusFailed)
	if o, _ := w.view().Output(id); o.Reason != CodeRevoked || w.get("orders/1") != "" {
		t.Fatalf("output %+v, row %q", o, w.get("orders/1"))
	}
	w.refused(CodeRevoked, must(NewAdmit(w.seal().Bytes())))
	w.checkState()
	w.tick(101 * 3_600_000)
	if k, ok := newState(w.tx, 0).first([]byte{tabRevoked}); ok {
		t.Fatalf("revocation %q outlives its grant", k)
	}
}

func TestLockAfterThreeConflicts(t *testing.T) {
	w := founded(t, 3)
	w.put(put("orders/1", "0"), put("orders/2", "0"))
	lose := func(id capsule.ID, keys ...string) {
		t.Helper()
		cmd := w.commitCmd(id, EndDone, func(c *Commit) {
			for _, k := range keys {
				c.Reads = append(c.Reads, w.read(id, k))
			}
			c.Writes = []Write{put(keys[0], "won")}
		})
		w.put(put(keys[0], fmt.Sprint(w.index)))
		w.conflicted(cmd)
	}
	a := w.admit()
	lose(a, "orders/1", "orders/2")
	lose(a, "orders/1", "orders/2")
	if w.capsule(a).Lease.Locked {
		t.Fatal("locked after two conflicts")
	}
	lose(a, "orders/1", "orders/2")
	if c := w.status(a, StatusRunning); !c.Lease.Locked {
		t.Fatal("not locked after three conflicts")
	}
	w.refused(CodeLocked, w.putCmd(w.owner, nil, put("orders/2", "x")))
	w.put(put("orders/3", "free"))
	b := w.admit()
	w.refused(CodeLocked, w.commitCmd(b, EndDone, func(c *Commit) { c.Writes = []Write{put("orders/1", "b")} }))
	w.status(b, StatusRunning)
	w.checkState()
	w.ok(w.commitCmd(a, EndDone, func(c *Commit) {
		c.Reads, c.Writes = []Read{w.read(a, "orders/1")}, []Write{put("orders/1", "a")}
	}))
	if w.get("orders/1") != "a" {
		t.Fatal("the lock's holder did not get through")
	}
	w.put(put("orders/2", "unlocked"))
	w.checkState()

	// A lock ends with its time, even if its worker goes on renewing.
	c := w.admit()
	for range 3 {
		lose(c, "orders/2")
	}
	num := w.capsule(c).Lease.Number
	pol := DefaultPolicy()
	for spent := uint64(0); spent < pol.Times.Lock; spent += pol.Times.Lease - 1 {
		w.tick(pol.Times.Lease - 1)
		w.wseq++
		w.ok(must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: w.wseq, Keep: []LeaseRef{{Capsule: c, Number: num}}})))
	}
	w.status(c, StatusRunning)
	w.put(put("orders/2", "late"))
	w.checkState()
}

func TestLockOverlaps(t *testing.T) {
	lock := func(keys, ranges string) *LockRow {
		l := new(LockRow)
		for _, k := range strings.Fields(keys) {
			l.Keys = append(l.Keys, []byte(k))
		}
		for _, k := range strings.Fields(ranges) {
			l.Ranges = append(l.Ranges, []byte(k))
		}
		return l
	}
	for _, x := range []struct {
		a, b *LockRow
		want bool
	}{
		{lock("n/a n/b", ""), lock("n/c n/d", ""), false},
		{lock("n/a n/b", ""), lock("n/b n/d", ""), true},
		{lock("n/a n/b", ""), lock("", "n/"), true},
		{lock("n/a n/b", ""), lock("", "m/ n/c"), false},
		{lock("", "n/aa"), lock("", "n/a"), true},
		{lock("", "n/aa"), lock("", "n/b m/"), false},
	} {
		if x.a.overlaps(x.b) != x.want || x.b.overlaps(x.a) != x.want {
			t.Errorf("%+v and %+v: want %v", x.a, x.b, x.want)
		}
	}
}

func TestCancelWhileWaitingForLock(t *testing.T) {
	w := founded(t, 2)
	w.put(put("orders/1", "0"))
	lose := func(id capsule.ID) {
		t.Helper()
		w.conflicted(w.commitCmd(id, EndDone, func(c *Commit) { c.Reads = []Read{{Key: []byte("orders/1"), Version: 1}} }))
	}
	a, b := w.admit(), w.admit()
	for range 3 {
		lose(a)
	}
	for range 3 {
		lose(b)
	}
	w.status(b, StatusLocking)
	w.ok(must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: b})))
	w.status(b, StatusCancelled)
	// The holder's lease is lost with its lock, and the key is free.
	w.tick(DefaultPolicy().Times.Lease)
	w.put(put("orders/1", "free"))
	w.checkState()
	w.checkFree()
}

func TestManyRangesLockTheNamespace(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	for range 3 {
		cmd := w.commitCmd(id, EndDone, func(c *Commit) {
			for i := range maxRanges + 1 {
				c.Scans = append(c.Scans, w.scan(id, fmt.Sprintf("orders/%02d/", i), "", 1))
			}
		})
		w.put(put("orders/07/x", fmt.Sprint(w.index)))
		w.conflicted(cmd)
	}
	w.refused(CodeLocked, w.putCmd(w.owner, nil, put("orders/another", "x")))
	w.checkState()
}

func TestLocksInOrder(t *testing.T) {
	w := founded(t, 8)
	w.put(put("orders/1", "0"))
	ids := []capsule.ID{w.admit(), w.admit(), w.admit()}
	var last []capsule.ID
	for _, id := range ids {
		for range 3 {
			if w.capsule(id).Status != StatusRunning {
				break
			}
			if n, _ := w.view().Counts(); n.Locks > 0 {
				// Somebody holds the key: a conflict can only come from the past.
				cmd := w.commitCmd(id, EndDone, func(c *Commit) { c.Reads = []Read{{Key: []byte("orders/1"), Version: 1}} })
				w.conflicted(cmd)
				continue
			}
			cmd := w.commitCmd(id, EndDone, func(c *Commit) { c.Reads = []Read{w.read(id, "orders/1")} })
			w.put(put("orders/1", fmt.Sprint(w.index)))
			w.conflicted(cmd)
		}
		if w.capsule(id).Status == StatusLocking {
			last = append(last, id)
		}
	}
	if len(last) != 2 {
		t.Fatalf("%d wait for the lock, want 2", len(last))
	}
	w.checkState()
	w.ok(w.commitCmd(ids[0], EndDone))
	low, high := last[0], last[1]
	if string(low[:]) > string(high[:]) {
		low, high = high, low
	}
	w.status(low, StatusRunning)
	w.status(high, StatusLocking)
	w.ok(must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: low})))
	w.ok(w.commitCmd(low, EndCancel))
	w.status(high, StatusRunning)
	w.ok(w.commitCmd(high, EndDone, func(c *Commit) { c.Reads = []Read{w.read(high, "orders/1")} }))
	if n, _ := w.view().Counts(); n.Locks != 0 {
		t.Fatalf("%d locks are left", n.Locks)
	}
	w.checkState()
}

func TestBlobs(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	big := capsule.RawCID([]byte("big"))
	hold := func(until uint64) []byte {
		return w.quorum(KindAttest, &Attest{Scope: w.scope(), Fact: FactHeld, Blob: big, Size: 1 << 15, Until: until}, 3)
	}
	w.refused(CodeBlob, hold(w.now))
	w.ok(hold(w.now + 5_000))
	sleep := func() []byte {
		return w.commitCmd(id, EndSleep, func(c *Commit) { c.Saved, c.Due = Saved{State: big, Size: 1 << 15}, w.now+1000 })
	}
	w.refused(CodeBlob, sleep()) // stale before the margin is over
	w.ok(hold(w.now + 60_000))
	w.ok(sleep())
	if b, _ := w.view().Blob(big); b.Refs != 1 {
		t.Fatalf("blob %+v", b)
	}
	w.tick(120_000)
	if b, err := w.view().Blob(big); err != nil || b.Refs != 1 {
		t.Fatalf("a blob in use went: %+v, %v", b, err)
	}
	w.wseq++
	w.ok(w.commitCmd(id, EndDone))
	if _, err := w.view().Blob(big); !errors.Is(err, ErrNotFound) {
		t.Fatalf("an unused blob stayed: %v", err)
	}
	found := false
	for _, e := range w.last.Effects {
		found = found || e.Kind == EffectCollect && e.Blob == big
	}
	if !found {
		t.Fatalf("effects %+v", w.last.Effects)
	}
	w.ok(hold(w.now + 1_000))
	fits := func(blob capsule.CID) []byte {
		return w.quorum(KindAttest, &Attest{Scope: w.scope(), Fact: FactFits, Blob: blob, Other: capsule.RawCID([]byte("code"))}, 3)
	}
	w.ok(fits(big))
	if b, _ := w.view().Blob(big); b.Fits != capsule.RawCID([]byte("code")) {
		t.Fatalf("blob %+v", b)
	}
	w.refused(CodeBlob, fits(capsule.RawCID([]byte("nowhere"))))
	w.tick(1_000)
	if _, err := w.view().Blob(big); !errors.Is(err, ErrNotFound) {
		t.Fatal("a promise without use outlived itself")
	}
	w.checkState()
}

func TestEvents(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	w.ok(w.commitCmd(id, EndYield, func(c *Commit) {
		c.Events = []Event{{Topic: "news", Data: []byte("1")}, {Topic: "news", Data: []byte("2")}}
	}))
	var got []EventRow
	read := func(after uint64) {
		got = nil
		if err := w.view().Events(after, 10, func(_ uint64, e EventRow) { got = append(got, e) }); err != nil {
			t.Fatal(err)
		}
	}
	read(0)
	if len(got) != 2 || got[1].N != 1 || got[1].Slot != (cert.Slot{Capsule: id, Phase: cert.PhaseRun}) {
		t.Fatalf("events %+v", got)
	}
	read(1)
	if len(got) != 1 {
		t.Fatalf("after the first: %+v", got)
	}
	w.tick(DefaultPolicy().Times.KeepEvent)
	if read(0); len(got) != 0 {
		t.Fatal("the outbox keeps events for ever")
	}
	w.checkState()
}
