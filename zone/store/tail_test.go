package store

import (
	"bytes"
	"path/filepath"
	"testing"

	hraft "github.com/hashicorp/raft"
)

// Whatever is stored and deleted, the entries in memory are those on the disk.
func TestTail(t *testing.T) {
	l := openLog(t, filepath.Join(t.TempDir(), "log"), LogOptions{NoSync: true})
	defer l.Close()
	next, term := uint64(1), uint64(1)
	store := func(n, size int) {
		t.Helper()
		var es []*hraft.Log
		for range n {
			es = append(es, &hraft.Log{Index: next, Term: term, Type: hraft.LogCommand, Data: bytes.Repeat([]byte{byte(next)}, size)})
			next++
		}
		if err := l.StoreLogs(es); err != nil {
			t.Fatal(err)
		}
	}
	check := func(held int) {
		t.Helper()
		n := 0
		for i := uint64(0); i <= next+2; i++ {
			got, ok := l.tail.get(i)
			var want hraft.Log
			err := l.getLog(i, &want)
			if !ok {
				continue
			}
			n++
			if err != nil || got.Index != want.Index || got.Term != want.Term || got.Type != want.Type || !bytes.Equal(got.Data, want.Data) {
				t.Fatalf("entry %d: %+v in memory, %+v on disk: %v", i, got, want, err)
			}
		}
		if n != held {
			t.Fatalf("%d entries in memory, want %d", n, held)
		}
	}
	store(10, 100)
	check(10)
	// What a new leader overwrites is deleted first.
	if err := l.DeleteRange(6, 10); err != nil {
		t.Fatal(err)
	}
	check(0)
	next, term = 6, 2
	store(3, 100)
	check(3)
	// The oldest go when their bytes are too many.
	store(8, tailBytes/4)
	check(4)
	store(1, tailBytes+1)
	check(0)
	store(2, 10)
	check(2)
	// Behind a snapshot the log goes on with a gap.
	next += 100
	store(1, 10)
	check(1)
}
