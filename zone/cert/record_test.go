package cert

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kitwork/kwnode/internal/faildisk"

	"github.com/kitwork/kwnode/capsule"
)

// No bit of the record's file can flip, and no tail be torn off, such that a voter believes that it has signed less than it
// has, or something else.
func TestFileRecordBitFlips(t *testing.T) {
	key := idents(1, 1)[0].Key()
	path := filepath.Join(t.TempDir(), "record")
	r := must(CreateRecord(path, key))
	for i := uint64(1); i <= 5; i++ {
		if err := r.Save(Record{Generation: 2, Index: i, Chain: chainAt(i), Root: chainAt(100 + i)}); err != nil {
			t.Fatal(err)
		}
	}
	want := must(r.Load())
	r.Close()
	good := must(os.ReadFile(path))
	check := func(what string, at int, repaired bool, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := OpenRecord(path, key)
		if err != nil {
			if repaired || !errors.Is(err, ErrAmnesia) {
				t.Fatalf("%s at %d: %v", what, at, err)
			}
			return
		}
		defer r.Close()
		if got := must(r.Load()); got != want {
			t.Fatalf("%s at %d: the record says %+v, signed was %+v", what, at, got, want)
		}
		if !repaired {
			t.Fatalf("%s at %d: the record was opened", what, at)
		}
	}
	for at := range good {
		if at%recordSector > recordBody+len(capsule.Hash{}) {
			continue // nothing stands there
		}
		b := bytes.Clone(good)
		b[at] ^= 1 << (at % 8)
		check("bit flipped", at, true, b)
	}
	for n := 0; n < len(good); n += 61 {
		check("tail torn", n, false, good[:n])
		// The newest record stands in the first area: its first copy is enough, and the older area never passes for it.
		check("tail zeroed", n, n >= recordBody+len(capsule.Hash{}), append(bytes.Clone(good[:n]), make([]byte, len(good)-n)...))
	}
}

// What the record says is saved was flushed: where flushes fail, it says so and remembers nothing of it.
func TestFileRecordFlushes(t *testing.T) {
	key := idents(1, 1)[0].Key()
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	r := must(CreateRecord(path, key))
	defer r.Close()
	old := Record{Index: 7}
	if err := r.Save(old); err != nil {
		t.Fatal(err)
	}
	faildisk.Run(t, func() {
		if err := r.Save(Record{Index: 8}); err == nil {
			t.Error("saved without a flush")
		}
		if _, err := CreateRecord(filepath.Join(dir, "other"), key); err == nil {
			t.Error("created without a flush")
		}
	})
	if rec, err := r.Load(); err != nil || rec != old {
		t.Errorf("the record is %+v (%v), want %+v", rec, err, old)
	}
}
