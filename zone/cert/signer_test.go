package cert

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

func (z *zone) step(s *Signer, index uint64) error {
	return s.Observe(z.set.Generation, index, chainAt(index-1), chainAt(index))
}

func none(uint64) (capsule.Hash, bool) { return capsule.Hash{}, false }

func TestSigner(t *testing.T) {
	z := newZone(4)
	b := must(NewBatch(z.decisions(2, 7)))
	at := func(i uint64) Statement { return z.statement(b, i) }
	store := new(MemRecord)
	s := must(NewSigner(z.voters[1], z.set.Zone, store))
	if _, err := s.Sign(&z.set, at(5)); err == nil {
		t.Fatal("signed before it knew its log")
	}
	if err := s.Start(0, 5, chainAt(5), none); err != nil {
		t.Fatal(err)
	}
	for i := uint64(6); i <= 9; i++ {
		if err := z.step(s, i); err != nil {
			t.Fatal(err)
		}
	}
	if vs, err := s.Sign(&z.set, at(6), at(7)); err != nil || len(vs) != 2 {
		t.Fatal(vs, err)
	}
	again, err := s.Sign(&z.set, at(7))
	if err != nil {
		t.Fatalf("the identical statement again: %v", err)
	}
	if !capsule.VerifySig(z.voters[1].Key(), KindStatement, must(again[0].Statement.Payload()), again[0].Sig) {
		t.Fatal("bad signature")
	}
	if _, err := s.Sign(&z.set, at(6)); err == nil {
		t.Fatal("signed an older index")
	}
	lie := at(7)
	lie.Root = capsule.Sum([]byte("lie"))
	if _, err := s.Sign(&z.set, lie); !errors.Is(err, ErrForked) {
		t.Fatalf("another root for a signed index: %v", err)
	}
	lie = at(8)
	lie.Chain = capsule.Sum([]byte("another log"))
	if _, err := s.Sign(&z.set, lie); !errors.Is(err, ErrForked) {
		t.Fatalf("a chain that was not applied: %v", err)
	}
	if _, err := s.Sign(&z.set, at(12)); err == nil {
		t.Fatal("signed ahead of its log")
	}
	if err := s.Observe(0, 10, capsule.Sum([]byte("fork")), chainAt(10)); !errors.Is(err, ErrForked) {
		t.Fatalf("an entry that does not follow: %v", err)
	}
	if _, err := s.Sign(&z.set, at(9)); !errors.Is(err, ErrForked) {
		t.Fatalf("signed after the fork: %v", err)
	}
}

func TestSignerRestart(t *testing.T) {
	z := newZone(4)
	b := must(NewBatch(z.decisions(2, 7)))
	at := func(i uint64) Statement { return z.statement(b, i) }
	signedAt7 := func() *MemRecord {
		store := new(MemRecord)
		s := must(NewSigner(z.voters[1], z.set.Zone, store))
		s.Start(0, 6, chainAt(6), none)
		z.step(s, 7)
		must(s.Sign(&z.set, at(7)))
		return store
	}
	// The state was behind the record: replay reaches it.
	s := must(NewSigner(z.voters[1], z.set.Zone, signedAt7()))
	if err := s.Start(0, 5, chainAt(5), none); err != nil {
		t.Fatal(err)
	}
	z.step(s, 6)
	if err := z.step(s, 7); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(&z.set, at(7)); err != nil {
		t.Fatalf("re-sign after a crash: %v", err)
	}
	// Replay goes another way.
	s = must(NewSigner(z.voters[1], z.set.Zone, signedAt7()))
	s.Start(0, 6, chainAt(6), none)
	if err := s.Observe(0, 7, chainAt(6), capsule.Sum([]byte("rewritten"))); !errors.Is(err, ErrForked) {
		t.Fatalf("a rewritten entry: %v", err)
	}
	// Replay jumps over what was signed.
	s = must(NewSigner(z.voters[1], z.set.Zone, signedAt7()))
	s.Start(0, 6, chainAt(6), none)
	if err := s.Observe(0, 8, chainAt(6), chainAt(8)); !errors.Is(err, ErrForked) {
		t.Fatalf("a missing entry: %v", err)
	}
	// A snapshot beyond the record that remembers another history.
	s = must(NewSigner(z.voters[1], z.set.Zone, signedAt7()))
	if err := s.Start(0, 20, chainAt(20), func(uint64) (capsule.Hash, bool) { return capsule.Sum([]byte("x")), true }); !errors.Is(err, ErrForked) {
		t.Fatalf("a foreign snapshot: %v", err)
	}
	s = must(NewSigner(z.voters[1], z.set.Zone, signedAt7()))
	if err := s.Start(0, 20, chainAt(20), func(i uint64) (capsule.Hash, bool) { return chainAt(i), true }); err != nil {
		t.Fatal(err)
	}
}

func TestSignerAmnesia(t *testing.T) {
	z := newZone(4)
	b := must(NewBatch(z.decisions(2, 7)))
	store := new(MemRecord)
	s := must(NewSigner(z.voters[1], z.set.Zone, store))
	s.Start(0, 6, chainAt(6), none)
	z.step(s, 7)
	old := *store // the backup
	votes := must(s.Sign(&z.set, z.statement(b, 7)))
	if err := s.SeenOwn(&votes[0]); err != nil {
		t.Fatalf("its own newest vote: %v", err)
	}

	restored := must(NewSigner(z.voters[1], z.set.Zone, &old))
	restored.Start(0, 6, chainAt(6), none)
	foreign := votes[0]
	foreign.Sig[3] ^= 1
	if err := restored.SeenOwn(&foreign); err != nil {
		t.Fatalf("a forged vote burned the key: %v", err)
	}
	if err := restored.SeenOwn(&votes[0]); !errors.Is(err, ErrAmnesia) {
		t.Fatalf("a restored voter: %v", err)
	}
	z.step(restored, 7)
	if _, err := restored.Sign(&z.set, z.statement(b, 7)); !errors.Is(err, ErrAmnesia) {
		t.Fatalf("it signed again: %v", err)
	}
	if s := must(NewSigner(z.voters[1], z.set.Zone, &old)); !errors.Is(s.Broken(), ErrAmnesia) {
		t.Fatal("a restart forgot that the key is burned")
	}
}

func TestSignerDiskFull(t *testing.T) {
	z := newZone(4)
	b := must(NewBatch(z.decisions(2, 7)))
	store := new(MemRecord)
	s := must(NewSigner(z.voters[1], z.set.Zone, store))
	s.Start(0, 6, chainAt(6), none)
	z.step(s, 7)
	store.Fail = errors.New("disk full")
	if v, err := s.Sign(&z.set, z.statement(b, 7)); err == nil || v != nil {
		t.Fatal("a signature left without its record")
	}
	store.Fail = nil
	if _, err := s.Sign(&z.set, z.statement(b, 7)); err == nil {
		t.Fatal("signed after a write of unknown outcome")
	}
}

func TestFileRecord(t *testing.T) {
	key := idents(1, 1)[0].Key()
	path := filepath.Join(t.TempDir(), "record")
	if _, err := OpenRecord(path, key); !errors.Is(err, ErrAmnesia) {
		t.Fatalf("a missing record: %v", err)
	}
	r := must(CreateRecord(path, key))
	for i := uint64(1); i <= 5; i++ {
		if err := r.Save(Record{Generation: 1, Index: i, Chain: chainAt(i)}); err != nil {
			t.Fatal(err)
		}
	}
	r.Close()
	if _, err := CreateRecord(path, key); !errors.Is(err, os.ErrExist) {
		t.Fatalf("created over a record: %v", err)
	}
	if _, err := OpenRecord(path, idents(2, 1)[0].Key()); !errors.Is(err, ErrAmnesia) {
		t.Fatalf("another key's record: %v", err)
	}
	index := func() uint64 {
		r, err := OpenRecord(path, key)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		return must(r.Load()).Index
	}
	if index() != 5 {
		t.Fatalf("index %d, want 5", index())
	}
	good := must(os.ReadFile(path))
	// Any single damaged sector leaves the newest record readable.
	for at := 0; at < recordFile; at += recordSector {
		b := bytes.Clone(good)
		for i := range recordSector {
			b[at+i] ^= 0xff
		}
		os.WriteFile(path, b, 0o600)
		if index() != 5 {
			t.Fatalf("sector at %d lost: index %d", at, index())
		}
	}
	// A torn write of record 6 leaves 5, at each length.
	os.WriteFile(path, good, 0o600)
	r = must(OpenRecord(path, key))
	r.Save(Record{Generation: 1, Index: 6, Chain: chainAt(6)})
	r.Close()
	next := must(os.ReadFile(path))
	area := 0
	for !bytes.Equal(good[(1-area)*recordArea:(2-area)*recordArea], next[(1-area)*recordArea:(2-area)*recordArea]) {
		area++
	}
	for cut := 0; cut <= recordArea; cut += 32 {
		b := bytes.Clone(good)
		copy(b[area*recordArea:area*recordArea+cut], next[area*recordArea:])
		os.WriteFile(path, b, 0o600)
		if i := index(); i != 5 && i != 6 {
			t.Fatalf("torn at %d: index %d", cut, i)
		}
	}
	os.WriteFile(path, good[:recordFile-1], 0o600)
	if _, err := OpenRecord(path, key); !errors.Is(err, ErrAmnesia) {
		t.Fatalf("a short file: %v", err)
	}
	os.WriteFile(path, make([]byte, recordFile), 0o600)
	if _, err := OpenRecord(path, key); !errors.Is(err, ErrAmnesia) {
		t.Fatalf("zeroes: %v", err)
	}
}

func BenchmarkFileRecord(b *testing.B) {
	r := must(CreateRecord(filepath.Join(b.TempDir(), "r"), idents(1, 1)[0].Key()))
	defer r.Close()
	for i := uint64(0); b.Loop(); i++ {
		if err := r.Save(Record{Index: i}); err != nil {
			b.Fatal(err)
		}
	}
}
