package machine

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// withJournal is a checkpoint of a segment that has read and holds something back.
func withJournal(j *Journal) Saved {
	s := saved("checkpoint")
	s.Entries = must(j.Bytes())
	s.Journal = capsule.RawCID(s.Entries)
	return s
}

// A checkpoint of a segment that has read and written hands its successor the journal, and applies nothing.
func TestCheckpointJournal(t *testing.T) {
	w := founded(t, 1)
	w.put(put("orders/1", "one"))
	id := w.admit()
	j := &Journal{Reads: []Read{w.read(id, "orders/1")}, Writes: []Write{put("orders/2", "two")}, Events: []Event{{Topic: "done", Data: []byte("x")}}}
	s := withJournal(j)
	w.ok(must(NewCheckpoint(w.workerOf(id), &Checkpoint{Scope: w.scope(), Segment: w.segment(id), Gas: 7_000, Saved: s})))
	if got := w.get("orders/2"); got != "" {
		t.Fatalf("the checkpoint wrote %q", got)
	}
	w.tick(DefaultPolicy().Times.Lease)
	w.register(1, 1)
	warrant, err := w.view().Warrant(id)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(warrant.Entries, s.Entries) || warrant.Check.Journal != s.Journal {
		t.Fatalf("the successor gets a journal of %d bytes, want %d", len(warrant.Entries), len(s.Entries))
	}
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) { c.Reads, c.Writes = j.Reads, j.Writes }))
	if got := w.get("orders/2"); got != "two" {
		t.Fatalf("the commit left %q", got)
	}
	if _, err := w.view().bytes("journal", tabJournal, id); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the journal of a capsule that is over stays: %v", err)
	}
	w.checkState()
}

func TestCheckpointJournalRefused(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	cp := func(change func(*Saved)) []byte {
		s := withJournal(&Journal{Writes: []Write{put("orders/2", "two")}})
		change(&s)
		return must(NewCheckpoint(w.workerOf(id), &Checkpoint{Scope: w.scope(), Segment: w.segment(id), Gas: 1, Saved: s}))
	}
	w.refused(CodeEncoding, cp(func(s *Saved) { s.Entries = []byte("another") }))
	w.refused(CodeEncoding, cp(func(s *Saved) { s.Entries = bytes.Repeat([]byte{1}, MaxInline+1) }))
	w.refused(CodeBlob, cp(func(s *Saved) { s.Entries = nil }))
	w.refused(CodeEncoding, w.commitCmd(id, EndSleep, func(c *Commit) { c.Saved = withJournal(&Journal{}) }))
	w.ok(cp(func(*Saved) {}))
	w.ok(w.commitCmd(id, EndDry, func(c *Commit) { c.Saved = withJournal(&Journal{Writes: []Write{put("orders/3", "x")}}) }))
	w.checkState()
}

// A worker that the roots close is told to give back what it has, and gets nothing until they open it.
func TestClosedWorker(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	k := w.workerOf(id).Key()
	w.admin(cert.OpWorker, &SetWorker{Worker: k, Drain: true})
	if !slices.Contains(w.last.Effects, Effect{Kind: EffectYield, Worker: k, Capsule: id, Lease: 1}) {
		t.Fatalf("effects %+v", w.last.Effects)
	}
	w.wseq++
	w.ok(must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: w.wseq, Drop: []LeaseRef{{Capsule: id, Number: 1}}})))
	w.status(id, StatusReady)
	w.register(0, 1) // its own word doesn't open it
	w.status(id, StatusReady)
	w.admin(cert.OpWorker, &SetWorker{Worker: k})
	w.status(id, StatusRunning)
	w.checkState()
}

func FuzzJournal(f *testing.F) {
	j := &Journal{
		Reads:  []Read{{Key: []byte("orders/1"), Version: 7, Hash: capsule.Sum([]byte("v"))}},
		Scans:  []ScanRead{{Prefix: []byte("orders/"), Rows: 1}},
		Writes: []Write{put("orders/1", "one"), put("orders/2", "two")},
		Events: []Event{{Topic: "done", Data: []byte("x")}},
	}
	f.Add(must(j.Bytes()))
	f.Add(must((&Journal{}).Bytes()))
	f.Add([]byte(strings.Repeat("\x85", 64)))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := ParseJournal(b)
		if err != nil {
			return
		}
		if again := must(j.Bytes()); !bytes.Equal(again, b) {
			t.Fatalf("%x encodes as %x", b, again)
		}
	})
}

func TestKindOf(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	for want, cmd := range map[Kind][]byte{
		KindRenew:  must(NewRenew(w.workers[0], &Renew{Scope: w.scope(), Sequence: 9})),
		KindCommit: w.commitCmd(id, EndDone),
		KindAdmit:  must(NewAdmit(w.seal().Bytes())),
		0:          {0x84, 2, byte(KindRenew)},
	} {
		if got := KindOf(cmd); got != want {
			t.Errorf("%x… is %s, want %s", cmd[:3], got, want)
		}
	}
}
