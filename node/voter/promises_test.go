package voter

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

func cid(b byte) capsule.CID { return capsule.RawCID([]byte{b}) }

// What was promised is known after a restart until its time is over, whatever tears the file's end.
func TestPromises(t *testing.T) {
	path := filepath.Join(t.TempDir(), "promises")
	open := func(now uint64) *promises {
		t.Helper()
		p, err := openPromises(path, now)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open(0)
	for i, until := range []uint64{100, 200, 300} {
		if err := p.add([]capsule.CID{cid(byte(i))}, until, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.add([]capsule.CID{cid(0)}, 250, 0); err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	// The crash comes in the middle of a record.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(encodePromise(cid(9), 999)[:promiseSize-3]); err != nil {
		t.Fatal(err)
	}
	f.Close()
	p = open(220)
	for i, want := range map[byte]bool{0: true, 1: false, 2: true, 9: false} {
		if got := p.standing(cid(i), 220); got != want {
			t.Errorf("promise %d stands: %v, want %v", i, got, want)
		}
	}
	if err := p.add([]capsule.CID{cid(5)}, 400, 220); err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	p = open(220)
	defer p.close()
	if !p.standing(cid(5), 220) || len(p.list()) != 3 {
		t.Errorf("%d promises, and that of after the crash stands: %v", len(p.list()), p.standing(cid(5), 220))
	}
}

// A file of many promises that are over is written anew, and stays small.
func TestPromisesRewritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "promises")
	p, err := openPromises(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	ids := make([]capsule.CID, 1)
	for i := range uint64(rewriteFrom + 100) {
		ids[0] = cid(byte(i % 7))
		if err := p.add(ids, 10+i, i); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() > promiseSize*rewriteFrom/2 {
		t.Errorf("the file has %d bytes (%v)", info.Size(), err)
	}
	if !p.standing(ids[0], 10) {
		t.Error("the newest promise is gone")
	}
}

func FuzzPromises(f *testing.F) {
	f.Add(append(encodePromise(cid(1), 7), encodePromise(cid(2), 1<<63)...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		var again []byte
		good := decodePromises(b, func(id capsule.CID, until uint64) { again = append(again, encodePromise(id, until)...) })
		if !bytes.Equal(again, b[:good]) {
			t.Fatalf("%x reads as %x", b[:good], again)
		}
	})
}
