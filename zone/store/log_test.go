package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	hraft "github.com/hashicorp/raft"
)

func entries(from, to, term uint64) []*hraft.Log {
	var out []*hraft.Log
	for i := from; i <= to; i++ {
		out = append(out, &hraft.Log{Index: i, Term: term, Type: hraft.LogCommand, Data: bytes.Repeat([]byte{byte(i)}, int(i%200))})
	}
	return out
}

func openLog(t testing.TB, path string, o LogOptions) *Log {
	t.Helper()
	o.NoSync = true
	l, err := OpenLog(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func writeLog(t testing.TB, path string) {
	l := openLog(t, path, LogOptions{})
	for i := uint64(1); i <= 60; i += 3 {
		if err := l.StoreLogs(entries(i, i+2, 1+i/20)); err != nil {
			t.Fatal(err)
		}
	}
	l.SetUint64([]byte("CurrentTerm"), 4)
	l.Set([]byte("LastVoteCand"), []byte("somebody"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// readBack returns what differs from writeLog, or the error that opening gave.
func readBack(path string) (diff string, err error) {
	l, err := OpenLog(path, LogOptions{NoSync: true})
	if err != nil {
		return "", err
	}
	defer l.Close()
	first, _ := l.FirstIndex()
	last, _ := l.LastIndex()
	if first != 1 || last != 60 {
		return fmt.Sprintf("entries %d to %d", first, last), nil
	}
	for i := uint64(1); i <= 60; i++ {
		var e hraft.Log
		if err := l.GetLog(i, &e); err != nil {
			return "", err
		}
		base := i - (i-1)%3
		if want := entries(i, i, 1+base/20)[0]; e.Term != want.Term || !bytes.Equal(e.Data, want.Data) || e.Type != want.Type {
			return fmt.Sprintf("entry %d is %+v", i, e), nil
		}
	}
	if n, err := l.GetUint64([]byte("CurrentTerm")); err != nil || n != 4 {
		return fmt.Sprintf("term %d %v", n, err), nil
	}
	if v, err := l.Get([]byte("LastVoteCand")); err != nil || string(v) != "somebody" {
		return fmt.Sprintf("vote %q %v", v, err), nil
	}
	// What survived must still take entries.
	if err := l.StoreLogs(entries(61, 70, 9)); err != nil {
		return "append: " + err.Error(), nil
	}
	return "", nil
}

func TestLogRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	writeLog(t, path)
	if diff, err := readBack(path); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	l := openLog(t, path, LogOptions{})
	defer l.Close()
	if last, _ := l.LastIndex(); last != 70 {
		t.Fatalf("last index %d", last)
	}
	if _, err := l.Get([]byte("absent")); err == nil || err.Error() != "not found" {
		t.Fatalf("absent key: %v, but raft looks for the text \"not found\"", err)
	}
	var e hraft.Log
	if err := l.GetLog(99, &e); err != hraft.ErrLogNotFound {
		t.Fatalf("absent entry: %v", err)
	}
}

// 400 flips anywhere in the file: either everything reads back as written, or opening fails.
func TestLogBitFlips(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	writeLog(t, path)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i := range 400 {
		bad := bytes.Clone(good)
		bit := rng.IntN(len(bad) * 8)
		bad[bit/8] ^= 1 << (bit % 8)
		os.WriteFile(path, bad, 0o600)
		diff, err := readBack(path)
		if diff != "" {
			t.Fatalf("seed %d flip %d, bit %d: silently read back: %s", seed, i, bit, diff)
		}
		if err != nil {
			refused++
		}
	}
	t.Logf("refused %d of 400; the rest hit bytes that nothing uses", refused)
	if refused < 10 {
		t.Error("so few were refused that the test can't have met the data")
	}
}

func TestLogTruncatedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	writeLog(t, path)
	good, _ := os.ReadFile(path)
	for cut := 1; cut < len(good); cut += 1021 {
		os.WriteFile(path, good[:cut], 0o600)
		if diff, err := readBack(path); diff != "" {
			t.Fatalf("cut at %d: silently read back: %s", cut, diff)
		} else if c := (*CorruptError)(nil); err != nil && !errors.As(err, &c) {
			t.Fatalf("cut at %d: %v is not a CorruptError", cut, err)
		}
	}
}

func TestLogRefusesToRewriteApplied(t *testing.T) {
	applied := uint64(0)
	var evidence error
	l := openLog(t, filepath.Join(t.TempDir(), "log"), LogOptions{
		Applied: func() uint64 { return applied },
		Fatal:   func(err error) { evidence = err },
	})
	defer l.Close()
	l.StoreLogs(entries(1, 20, 3))
	applied = 10
	var te *TruncateError
	if err := l.DeleteRange(10, 20); !errors.As(err, &te) || te.From != 10 || te.Term != 3 || evidence == nil {
		t.Fatalf("suffix from 10 with applied 10: %v", err)
	}
	if err := l.StoreLogs(entries(9, 12, 4)); !errors.As(err, &te) {
		t.Fatalf("overwrite of 9 with applied 10: %v", err)
	}
	if err := l.DeleteRange(11, 20); err != nil {
		t.Fatalf("suffix above applied: %v", err)
	}
	if err := l.DeleteRange(1, 5); err != nil {
		t.Fatalf("prefix below applied: %v", err)
	}
	first, _ := l.FirstIndex()
	last, _ := l.LastIndex()
	if first != 6 || last != 10 {
		t.Fatalf("entries %d to %d", first, last)
	}
}

// Many entries go in parts, so that nothing waits for all of them, and at no moment is there a hole in what is left.
func TestLogDeletesInParts(t *testing.T) {
	const all = 5*deleteAtOnce + 7
	for _, suffix := range []bool{false, true} {
		first, last := uint64(1), uint64(all)
		for from, to := range parts(1, all, suffix) {
			if to-from >= deleteAtOnce || from < first || to > last || from != first && to != last {
				t.Fatalf("suffix %v: of entries %d to %d, %d to %d go", suffix, first, last, from, to)
			}
			if suffix {
				last = from - 1
			} else {
				first = to + 1
			}
		}
		if first <= last {
			t.Errorf("suffix %v: %d to %d are left", suffix, first, last)
		}
	}

	l := openLog(t, filepath.Join(t.TempDir(), "log"), LogOptions{NoSync: true})
	defer l.Close()
	if err := l.StoreLogs(entries(1, all, 1)); err != nil {
		t.Fatal(err)
	}
	const lo, hi = 2*deleteAtOnce + 3, 3*deleteAtOnce + 5 // what is to be left
	if err := errors.Join(l.DeleteRange(1, lo-1), l.DeleteRange(hi+1, all)); err != nil {
		t.Fatal(err)
	}
	first, err := l.FirstIndex()
	if last, lerr := l.LastIndex(); first != lo || last != hi || err != nil || lerr != nil {
		t.Errorf("%d to %d are left, want %d to %d (%v, %v)", first, last, lo, hi, err, lerr)
	}
	for i := uint64(1); i <= all; i++ {
		var e hraft.Log
		if err := l.GetLog(i, &e); (err == nil) != (i >= lo && i <= hi) {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
}

func TestLogGapOnlyBelowSnapshot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := openLog(t, path, LogOptions{})
	if err := l.SetUint64([]byte("CurrentTerm"), 2); err != nil {
		t.Fatal(err)
	}
	l.StoreLogs(entries(1, 5, 1))
	l.StoreLogs(entries(21, 25, 2))
	l.Close()
	var c *CorruptError
	if _, err := OpenLog(path, LogOptions{SnapshotIndex: 19}); !errors.As(err, &c) {
		t.Fatalf("gap above the snapshot: %v", err)
	}
	openLog(t, path, LogOptions{SnapshotIndex: 20}).Close()
}

// A corrupt entry that Raft's own goroutine reads ends that goroutine and is reported; the process lives.
func TestLogCorruptionWhileServing(t *testing.T) {
	reported := make(chan error, 1)
	l := openLog(t, filepath.Join(t.TempDir(), "log"), LogOptions{Fatal: func(err error) { reported <- err }})
	defer l.Close()
	// An entry stored under the wrong index, as a flipped key would have it.
	e := entries(7, 7, 1)[0]
	if err := l.bolt.StoreLog(e); err != nil {
		t.Fatal(err)
	}
	l.Serve()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var out hraft.Log
		err := l.GetLog(7, &out)
		t.Errorf("GetLog returned %v", err)
	}()
	<-ended
	var c *CorruptError
	if err := <-reported; !errors.As(err, &c) {
		t.Fatalf("reported %v", err)
	}
}

func BenchmarkStoreLogs(b *testing.B) {
	l, err := OpenLog(filepath.Join(b.TempDir(), "log"), LogOptions{})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	i := uint64(1)
	for b.Loop() {
		if err := l.StoreLogs(entries(i, i, 1)); err != nil {
			b.Fatal(err)
		}
		i++
	}
}
