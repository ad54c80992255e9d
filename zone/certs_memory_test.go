package zone

import (
	"log/slog"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/store"
)

// decides has an entry decide about slots, as applying it does.
func decides(t *testing.T, c *certs, index uint64, slots ...cert.Slot) {
	t.Helper()
	ds := make([]cert.Decision, len(slots))
	for i, s := range slots {
		ds[i] = cert.Decision{V: cert.Version, Index: index, Slot: s, Verdict: cert.Admitted, Body: capsule.Sum([]byte{byte(index)})}
	}
	b := must(cert.NewBatch(ds))
	a := &applied{out: machine.Outcome{Decisions: ds}, batch: b, st: cert.Statement{V: cert.Version, Index: index, Root: b.Root()}}
	tx := must(c.db.Begin())
	if err := c.record(tx, a); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(store.Applied{Index: index}); err != nil {
		t.Fatal(err)
	}
	if err := c.applied(a.st); err != nil {
		t.Fatal(err)
	}
	c.keep(index, b)
}

// What is in memory never says anything else than the rows on disk: not when it is full, not when an outcome is restated,
// not when old certificates are removed.
func TestCertificatesInMemory(t *testing.T) {
	db := must(store.Open("x", store.Options{FS: vfs.NewMem()}))
	defer db.Close()
	c := newCerts(db, slog.New(slog.DiscardHandler))
	state := map[cert.Slot]uint64{}
	c.outcome = func(s cert.Slot) (uint64, error) { return state[s], nil }
	decides := func(t *testing.T, c *certs, index uint64, slots ...cert.Slot) {
		for _, s := range slots {
			state[s] = index
		}
		decides(t, c, index, slots...)
	}
	slot := func(i int) cert.Slot {
		return cert.Slot{Capsule: capsule.ID{byte(i), byte(i >> 8)}, Phase: cert.PhaseIn}
	}
	same := func(when string, all int) {
		t.Helper()
		cold := newCerts(db, c.log)
		cold.outcome = c.outcome
		for i := range all {
			at, ok, err := c.slot(slot(i))
			at2, ok2, err2 := cold.slot(slot(i))
			if at != at2 || ok != ok2 || err != nil || err2 != nil {
				t.Fatalf("%s: slot %d at %d (%v) in memory, at %d (%v) on disk: %v %v", when, i, at, ok, at2, ok2, err, err2)
			}
			if !ok || i%509 > 2 { // a certificate from the disk hashes the whole entry
				continue
			}
			st, ok := c.statement(at)
			if !ok {
				t.Fatalf("%s: no statement at %d", when, at)
			}
			q := &cert.Quorate{Statement: st}
			warm, err := c.certificate(slot(i), q)
			from, err2 := cold.certificate(slot(i), q)
			if err != nil || err2 != nil || warm.Decision != from.Decision {
				t.Fatalf("%s: slot %d: %+v in memory, %+v on disk: %v %v", when, i, warm, from, err, err2)
			}
		}
	}
	const each, entries = 512, 10
	for e := range entries {
		var slots []cert.Slot
		for i := range each {
			slots = append(slots, slot(e*each+i))
		}
		decides(t, c, uint64(e+1), slots...)
	}
	if c.decided > maxDecided || c.decided < maxDecided-each || len(c.slots) != c.decided || len(c.batches) != len(c.kept) {
		t.Fatalf("%d decisions in memory, %d slots, %d entries; at most %d", c.decided, len(c.slots), len(c.batches), maxDecided)
	}
	same("full", entries*each)
	// Restated: the newest index counts, also when the entry that had it first leaves memory.
	last := uint64(entries + 1)
	decides(t, c, last, slot(0), slot(each*entries-1))
	same("restated", entries*each)
	for c.batches[entries] != nil {
		c.forget()
	}
	if at, ok, err := c.slot(slot(each*entries - 1)); at != last || !ok || err != nil {
		t.Fatalf("restated at %d, and %d (%v) is said: %v", last, at, ok, err)
	}
	same("forgotten", entries*each)
	// Removed from the disk it is gone from memory too, or a certificate would be promised that nobody has.
	decides(t, c, last+1, slot(1), slot(2))
	for range entries {
		if err := c.prune(last+1, 3); err != nil {
			t.Fatal(err)
		}
	}
	same("pruned", entries*each)
	if _, ok, _ := c.slot(slot(0)); ok || c.batches[last] != nil {
		t.Error("pruned, and still in memory")
	}
	if at, ok, _ := c.slot(slot(1)); !ok || at != last+1 || c.batches[last+1] == nil {
		t.Error("what is above the limit was removed from memory")
	}
	if c.decided != 2 || len(c.kept) != 1 {
		t.Errorf("%d decisions of %d entries are counted, want 2 of 1", c.decided, len(c.kept))
	}
}
