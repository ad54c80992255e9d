package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/internal/faildisk"
)

// What the log says is durable was flushed: where flushes fail, it says so.
func TestLogFlushes(t *testing.T) {
	l, err := OpenLog(filepath.Join(t.TempDir(), "log"), LogOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := errors.Join(l.Set([]byte("CurrentTerm"), []byte("1")), l.StoreLogs(entries(1, 3, 1))); err != nil {
		t.Fatal(err)
	}
	faildisk.Run(t, func() {
		for what, err := range map[string]error{
			"entries":        l.StoreLogs(entries(4, 6, 1)),
			"a term":         l.Set([]byte("CurrentTerm"), []byte("2")),
			"deleted prefix": l.DeleteRange(1, 2),
		} {
			if err == nil {
				t.Errorf("%s: durable without a flush", what)
			}
		}
	})
}

// logContent is everything that a log holds, as text, or why it is refused. A log that isn't takes entries.
func logContent(t *testing.T, path string) (string, error) {
	t.Helper()
	l, err := OpenLog(path, LogOptions{SnapshotIndex: 1000, NoSync: true})
	if err != nil {
		return "", err
	}
	defer l.Close()
	var b strings.Builder
	first, ferr := l.FirstIndex()
	last, lerr := l.LastIndex()
	fmt.Fprintln(&b, first, last, ferr, lerr)
	for i := first; i != 0 && i <= last; i++ {
		var e hraft.Log
		err := l.GetLog(i, &e)
		fmt.Fprintln(&b, e.Index, e.Term, e.Type, e.Data, err)
	}
	for _, k := range []string{"CurrentTerm", "LastVoteCand"} {
		v, err := l.Get([]byte(k))
		fmt.Fprintln(&b, k, v, err)
	}
	if err := l.StoreLogs(entries(last+1, last+2, 9)); err != nil {
		t.Errorf("what survived takes no entries: %v", err)
	}
	return b.String(), nil
}

// sectors lists what differs between two images, in pieces that a disk writes whole or not at all.
func sectors(before, after []byte) (diff []int) {
	const size = 512
	for at := 0; at < len(after); at += size {
		end := min(at+size, len(after))
		if at >= len(before) || !bytes.Equal(before[at:min(end, len(before))], after[at:end]) {
			diff = append(diff, at)
		}
	}
	return diff
}

// The power goes in the middle of each kind of write. bbolt writes its pages, flushes, writes one of two heads, and
// flushes: until the first flush any sectors of the pages may have arrived, until the second those of the head. The log then
// holds what it did before the write, or what it does after it, and goes on. A head that is torn inside a sector, which no
// disk should do, is refused: bbolt by itself would go back to the other head, and forget what was acknowledged.
func TestLogTornWrites(t *testing.T) {
	const size, heads = 512, 2 * pageSize
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	path, torn := filepath.Join(dir, "log"), filepath.Join(dir, "torn")
	read := func() []byte {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type write struct{ before, after []byte }
	var writes []write
	l := openLog(t, path, LogOptions{SnapshotIndex: 1000, Around: func(fn func() error) error {
		w := write{before: read()}
		err := fn()
		w.after = read()
		writes = append(writes, w)
		return err
	}})
	var errs []error
	for i := uint64(1); i <= 6; i++ {
		errs = append(errs, l.SetUint64([]byte("CurrentTerm"), i), l.StoreLogs(entries(20*i-19, 20*i, i)))
		if i%3 == 0 {
			errs = append(errs, l.DeleteRange(20*i-4, 20*i), l.StoreLogs(entries(20*i-4, 20*i, i+1)), l.DeleteRange(20*(i-3)+1, 20*(i-2)))
		}
	}
	if err := errors.Join(append(errs, l.Close())...); err != nil {
		t.Fatal(err)
	}
	content := func(image []byte) (string, error) {
		if err := os.WriteFile(torn, image, 0o600); err != nil {
			t.Fatal(err)
		}
		return logContent(t, torn)
	}
	images, refused := 0, 0
	for i, w := range writes {
		was, err := content(w.before)
		is, err2 := content(w.after)
		if err := errors.Join(err, err2); err != nil {
			t.Fatalf("write %d, whole: %v", i, err)
		}
		if was == is && i > 2 { // the first ones only make the file and the list of stable keys
			t.Fatalf("write %d changed nothing", i)
		}
		check := func(what string, image []byte, mayRefuse bool) {
			images++
			got, err := content(image)
			if c := (*CorruptError)(nil); mayRefuse && errors.As(err, &c) {
				refused++
			} else if err != nil || got != was && got != is {
				t.Fatalf("seed %d, write %d, %s: the log holds neither what it did before nor what it did after (%v):\n%s", seed, i, what, err, got)
			}
		}
		diff := sectors(w.before, w.after)
		for range 3 { // before the first flush
			image := append(bytes.Clone(w.before), make([]byte, max(0, len(w.after)-len(w.before)))...)
			for _, at := range diff {
				if at >= heads && rng.IntN(2) == 0 {
					copy(image[at:], w.after[at:min(at+size, len(w.after))])
				}
			}
			check("in its pages", image, false)
		}
		for _, at := range diff { // before the second
			if at >= heads {
				continue
			}
			image := bytes.Clone(w.after)
			copy(image[at:at+size], w.before[at:at+size])
			check("before its head", image, false)
			for range 4 {
				n := rng.IntN(128) // of a head, whose content is in its first bytes
				image := bytes.Clone(w.after)
				copy(image[at+n:at+size], w.before[at+n:at+size])
				check(fmt.Sprintf("%d bytes into a head", n), image, true)
			}
		}
	}
	t.Logf("%d writes, %d torn images, %d of them refused", len(writes), images, refused)
	if len(writes) < 16 || images-refused < 100 || refused == 0 {
		t.Error("the run is not what it was meant to be")
	}
}
