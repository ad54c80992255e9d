package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	hraft "github.com/hashicorp/raft"
)

// hashOf hashes rows in order, which suffices where no row changes in place.
func hashOf(v *View) (sum [32]byte, err error) {
	h := sha256.New()
	err = v.Scan(nil, nil, func(k, val []byte) bool {
		fmt.Fprintf(h, "%d %d ", len(k), len(val))
		h.Write(k)
		h.Write(val)
		return true
	})
	h.Sum(sum[:0])
	return sum, err
}

func stateOf(t testing.TB, s *Store) (sum [32]byte, rows int) {
	t.Helper()
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if sum, err = hashOf(v); err != nil {
		t.Fatal(err)
	}
	v.Scan(nil, nil, func(_, _ []byte) bool { rows++; return true })
	return sum, rows
}

func mustOpen(t testing.TB, dir string, fs vfs.FS) *Store {
	t.Helper()
	s, err := Open(dir, Options{FS: fs})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t testing.TB, s *Store, index uint64, kv ...string) {
	t.Helper()
	b, err := s.Begin()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(kv); i += 2 {
		if err := b.Set([]byte(kv[i]), []byte(kv[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Commit(Applied{Index: index, Chain: sha256.Sum256([]byte{byte(index)})}); err != nil {
		t.Fatal(err)
	}
}

func TestBatchAndView(t *testing.T) {
	fs := vfs.NewMem()
	s := mustOpen(t, "z", fs)
	apply(t, s, 1, "a", "1", "b/1", "x", "b/2", "y", "c", "")
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := s.Begin()
	b.Set([]byte("b/3"), []byte("z"))
	b.Delete([]byte("b/1"))
	b.SetLocal([]byte("sig"), []byte("mine"))
	var keys []string
	collect := func(k, _ []byte) bool { keys = append(keys, string(k)); return true }
	if err := b.Scan([]byte("b/"), nil, collect); err != nil || fmt.Sprint(keys) != "[b/1 b/2]" {
		t.Fatalf("scan beside the batch: %v %v", keys, err)
	}
	if err := b.Commit(Applied{Index: 2}); err != nil {
		t.Fatal(err)
	}
	keys = nil
	if err := v.Scan([]byte("b/"), []byte("b/1"), collect); err != nil || fmt.Sprint(keys) != "[b/2]" {
		t.Fatalf("scan in the older view: %v %v", keys, err)
	}
	if v.Applied().Index != 1 || v.Set([]byte("a"), nil) != ErrReadOnly {
		t.Fatal("view moved, or can be written")
	}
	v.Close()
	discarded, _ := s.Begin()
	discarded.Set([]byte("never"), []byte("1"))
	discarded.Discard()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, "z", fs)
	defer s.Close()
	if s.Applied().Index != 2 {
		t.Fatalf("applied %d after reopening", s.Applied().Index)
	}
	if got, ok, err := s.GetLocal([]byte("sig")); err != nil || !ok || string(got) != "mine" {
		t.Fatalf("local row %q %v %v", got, ok, err)
	}
	keys = nil
	v, _ = s.View()
	defer v.Close()
	v.Scan(nil, nil, collect)
	if fmt.Sprint(keys) != "[a b/2 b/3 c]" {
		t.Fatalf("rows after reopening: %v", keys)
	}
}

// A loss of power may take the newest entries, never one from the middle, and never the rows without their index.
func TestPowerLossLeavesPrefix(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for round := range 20 {
		rng := rand.New(rand.NewPCG(seed, uint64(round)))
		fs := vfs.NewCrashableMem()
		s := mustOpen(t, "z", fs)
		synced := uint64(0)
		for i := uint64(1); i <= 60; i++ {
			apply(t, s, i, fmt.Sprintf("k%03d", i), fmt.Sprint(i), "last", fmt.Sprint(i))
			if rng.IntN(15) == 0 {
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
				synced = i
			}
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
		s.Close()
		s = mustOpen(t, "z", after)
		a := s.Applied().Index
		if a < synced {
			t.Fatalf("seed %d round %d: applied %d, synced %d", seed, round, a, synced)
		}
		v, _ := s.View()
		n := uint64(0)
		v.Scan([]byte("k"), nil, func(k, _ []byte) bool { n++; return true })
		last, _, _ := v.Get([]byte("last"))
		if n != a || (a > 0 && string(last) != fmt.Sprint(a)) {
			t.Fatalf("seed %d round %d: applied %d, but %d rows, last %q", seed, round, a, n, last)
		}
		v.Close()
		s.Close()
	}
}

func TestFlippedValueIsNoticed(t *testing.T) {
	s := mustOpen(t, "z", vfs.NewMem())
	defer s.Close()
	apply(t, s, 1, "good", "1", "k", "value")
	full := rowKey(spaceState, []byte("k"))
	raw, closer, err := s.cur.db.Get(full)
	if err != nil {
		t.Fatal(err)
	}
	raw = bytes.Clone(raw)
	closer.Close()
	check := func(what string, key []byte) {
		v, err := s.View()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		var c *CorruptError
		if _, _, err := v.Get(key); !errors.As(err, &c) {
			t.Errorf("%s: get returned %v", what, err)
		}
		if err := v.Scan(nil, nil, func(_, _ []byte) bool { return true }); !errors.As(err, &c) {
			t.Errorf("%s: scan returned %v", what, err)
		}
	}
	for bit := range len(raw) * 8 {
		bad := bytes.Clone(raw)
		bad[bit/8] ^= 1 << (bit % 8)
		s.cur.db.Set(full, bad, pebble.NoSync)
		check(fmt.Sprintf("bit %d", bit), []byte("k"))
	}
	s.cur.db.Set(full, raw, pebble.NoSync)
	s.cur.db.Set(rowKey(spaceState, []byte("other")), raw, pebble.NoSync) // right value, wrong place
	check("moved", []byte("other"))
}

func fillStore(t testing.TB, s *Store, n int) Applied {
	t.Helper()
	b, _ := s.Begin()
	for i := range n {
		b.Set(fmt.Appendf(nil, "key/%06d", i), bytes.Repeat([]byte{byte(i)}, i%900))
	}
	b.Commit(Applied{Index: 7})
	sum, _ := stateOf(t, s)
	a := Applied{Index: 8, Chain: sha256.Sum256([]byte("chain")), State: sum}
	b, _ = s.Begin()
	if err := b.Commit(a); err != nil {
		t.Fatal(err)
	}
	return a
}

func snapshotOf(t testing.TB, s *Store) []byte {
	t.Helper()
	v, err := s.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	var buf bytes.Buffer
	if err := v.WriteSnapshot(&buf, []byte("proof")); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func accept(Applied, []byte) error { return nil }

func TestSnapshotRestore(t *testing.T) {
	src := mustOpen(t, "z", vfs.NewMem())
	defer src.Close()
	want := fillStore(t, src, 3000)
	snap := snapshotOf(t, src)

	fs := vfs.NewMem()
	dst := mustOpen(t, "z", fs)
	apply(t, dst, 3, "old", "row")
	dst.SetLocal(LocalRow{[]byte("sig"), []byte("kept")})
	reader, _ := dst.View() // must survive the swap

	refused := errors.New("no certificate")
	if err := dst.Restore(bytes.NewReader(snap), func(Applied, []byte) error { return refused }, hashOf); err != refused {
		t.Fatalf("restore of a refused snapshot: %v", err)
	}
	var mm *MismatchError
	lying := func(*View) ([32]byte, error) { return [32]byte{1}, nil }
	if err := dst.Restore(bytes.NewReader(snap), accept, lying); !errors.As(err, &mm) {
		t.Fatalf("restore of rows with another hash: %v", err)
	}
	if dst.Applied().Index != 3 {
		t.Fatal("a refused snapshot was restored")
	}
	checked := false
	err := dst.Restore(bytes.NewReader(snap), func(a Applied, proof []byte) error {
		checked = a == want && string(proof) == "proof"
		return nil
	}, hashOf)
	if err != nil || !checked {
		t.Fatalf("restore: %v, header checked %v", err, checked)
	}
	if v, ok, _ := reader.Get([]byte("old")); !ok || string(v) != "row" {
		t.Fatal("a view lost its rows in a restore")
	}
	reader.Close()
	dst.Close()
	dst = mustOpen(t, "z", fs)
	defer dst.Close()
	if sum, rows := stateOf(t, dst); sum != want.State || rows != 3000 || dst.Applied() != want {
		t.Fatalf("after restore and restart: %d rows, applied %+v", rows, dst.Applied())
	}
	if v, ok, _ := dst.GetLocal([]byte("sig")); !ok || string(v) != "kept" {
		t.Fatal("a local row was lost in a restore")
	}
	if names, _ := fs.List("z"); len(names) != 2 {
		t.Fatalf("directories left: %v", names)
	}
}

func TestSnapshotStreamEveryFlipAndCut(t *testing.T) {
	src := mustOpen(t, "z", vfs.NewMem())
	defer src.Close()
	fillStore(t, src, 12)
	snap := snapshotOf(t, src)
	read := func(b []byte) error {
		r, err := NewSnapshotReader(bytes.NewReader(b))
		if err != nil {
			return err
		}
		return r.Rows(func(_, _ []byte) error { return nil })
	}
	if err := read(snap); err != nil {
		t.Fatal(err)
	}
	var c *CorruptError
	for i := range snap {
		if err := read(snap[:i]); !errors.As(err, &c) {
			t.Fatalf("cut at %d: %v", i, err)
		}
		bad := bytes.Clone(snap)
		bad[i] ^= 1 << (i % 8)
		if err := read(bad); !errors.As(err, &c) {
			t.Fatalf("flip in byte %d: %v", i, err)
		}
	}
	if err := read(append(bytes.Clone(snap), 0)); !errors.As(err, &c) {
		t.Fatalf("trailing byte: %v", err)
	}
}

// Each file operation of a restore fails once: the store is then the old one or the new one, and opens again.
func TestRestoreFailsAtEachOperation(t *testing.T) {
	src := mustOpen(t, "z", vfs.NewMem())
	defer src.Close()
	want := fillStore(t, src, 50)
	snap := snapshotOf(t, src)
	for n := int64(0); ; n++ {
		mem := vfs.NewCrashableMem()
		s := mustOpen(t, "z", mem)
		apply(t, s, 3, "old", "row")
		s.Sync()
		s.Close()
		var left atomic.Int64 // operations until the one that fails
		left.Store(1 << 30)
		inj := errorfs.InjectorFunc(func(errorfs.Op) error {
			if left.Add(-1) == -1 {
				return errorfs.ErrInjected
			}
			return nil
		})
		var fatal atomic.Bool
		s, err := Open("z", Options{FS: errorfs.Wrap(mem, inj), Fatal: func(error) { fatal.Store(true) }})
		if err != nil {
			t.Fatal(err)
		}
		left.Store(n)
		done := make(chan error, 1)
		go func() {
			err := errors.New("database ended its goroutine")
			defer func() { done <- err }()
			err = s.Restore(bytes.NewReader(snap), accept, hashOf)
		}()
		rerr := <-done
		exhausted := left.Swap(1<<30) >= 0
		crashed := mem.CrashClone(vfs.CrashCloneCfg{})
		if !fatal.Load() {
			s.Close()
		}
		s = mustOpen(t, "z", crashed)
		switch s.Applied().Index {
		case 3:
			if v, _ := s.View(); v != nil {
				if val, ok, _ := v.Get([]byte("old")); !ok || string(val) != "row" {
					t.Fatalf("operation %d: the old state is damaged", n)
				}
				v.Close()
			}
			if rerr == nil {
				t.Fatalf("operation %d: restore succeeded, but the old state is back", n)
			}
		case want.Index:
			if sum, _ := stateOf(t, s); sum != want.State {
				t.Fatalf("operation %d: the new state is damaged", n)
			}
		default:
			t.Fatalf("operation %d: applied %d", n, s.Applied().Index)
		}
		s.Close()
		if exhausted {
			if rerr != nil {
				t.Fatalf("no fault, but %v", rerr)
			}
			t.Logf("%d operations", n)
			return
		}
		if n > 2000 {
			t.Fatal("no end")
		}
	}
}

func TestSnapshotsStore(t *testing.T) {
	src := mustOpen(t, "z", vfs.NewMem())
	defer src.Close()
	fillStore(t, src, 20)
	snap := snapshotOf(t, src)
	fs := vfs.NewMem()
	open := func() *Snapshots {
		s, err := OpenSnapshots("snaps", fs)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	conf := hraft.Configuration{Servers: []hraft.Server{{ID: "a", Address: "a"}}}
	write := func(index uint64, b []byte) (string, error) {
		k, err := s.Create(1, index, 2, conf, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := k.Write(b); err != nil {
			t.Fatal(err)
		}
		return k.ID(), k.Close()
	}
	for i := uint64(8); i < 12; i++ {
		if _, err := write(i, snap); err != nil {
			t.Fatal(err)
		}
	}
	// A leader that never hears that its snapshot has arrived sends it again and again.
	for i := range 5 {
		id, err := write(11, snap)
		if err != nil {
			t.Fatal(err)
		}
		_, rc, err := s.Open(id)
		if err != nil {
			t.Fatalf("the snapshot of one entry, for the %dth time: %v", i+2, err)
		}
		rc.Close()
		if list, err := s.List(); err != nil || len(list) > 2 || list[0].ID != id {
			t.Fatalf("%s is not the newest of at most two: %v %v", id, list, err)
		}
	}
	if err := s.fs.RemoveAll("snaps"); err != nil {
		t.Fatal(err)
	}
	s = open()
	for i := uint64(10); i < 12; i++ {
		if _, err := write(i, snap); err != nil {
			t.Fatal(err)
		}
	}
	var c *CorruptError
	if _, err := write(12, snap[:len(snap)-1]); !errors.As(err, &c) {
		t.Fatalf("a cut snapshot was kept: %v", err)
	}
	if _, err := write(7, snap); !errors.As(err, &c) {
		t.Fatalf("a snapshot of rows from the future was kept: %v", err)
	}
	unfinished, _ := s.Create(1, 13, 2, conf, 1, nil)
	unfinished.Write(snap[:10])
	s = open() // as after a crash
	list, err := s.List()
	if err != nil || len(list) != 2 || list[0].Index != 11 || list[1].Index != 10 {
		t.Fatalf("list %v %v", list, err)
	}
	m, rc, err := s.Open(list[0].ID)
	if err != nil || m.Size != int64(len(snap)) || len(m.Configuration.Servers) != 1 {
		t.Fatalf("open: %+v %v", m, err)
	}
	got, _ := io.ReadAll(rc)
	rc.Close()
	if !bytes.Equal(got, snap) {
		t.Fatal("rows differ")
	}
	path := "snaps/" + m.ID + "/" + metaFile
	meta, _ := readFile(fs, path, 1<<20)
	for i := range meta {
		bad := bytes.Clone(meta)
		bad[i] ^= 0x10
		f, _ := fs.Create(path, writeCategory)
		f.Write(bad)
		f.Close()
		if _, err := s.List(); !errors.As(err, &c) {
			t.Fatalf("flip in byte %d of the description: %v", i, err)
		}
	}
}

func FuzzSnapshotReader(f *testing.F) {
	s := mustOpen(f, "z", vfs.NewMem())
	fillStore(f, s, 5)
	f.Add(snapshotOf(f, s))
	s.Close()
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewSnapshotReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		r.Rows(func(k, v []byte) error { return nil })
	})
}

func BenchmarkApply(b *testing.B) {
	s, err := Open(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	val := make([]byte, 256)
	for i := 0; b.Loop(); i++ {
		t, _ := s.Begin()
		for j := range 5 {
			k := binary.BigEndian.AppendUint64(nil, uint64(i*5+j))
			t.Get(k)
			t.Set(k, val)
		}
		t.Commit(Applied{Index: uint64(i)})
	}
}
