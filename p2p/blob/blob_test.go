package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

// content returns n bytes that follow from seed.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(b)
	return b
}

func TestEveryChunkIsBoundToTheDigest(t *testing.T) {
	for _, n := range []int{1, 64, ChunkSize - 1, ChunkSize, ChunkSize + 1, 3*ChunkSize + 100} {
		b := content(1, n)
		st, digest := states(b)
		if digest != capsule.Sum(b) {
			t.Fatalf("%d bytes: digest differs from SHA-256", n)
		}
		size := int64(n)
		for i := range int64(len(st)) {
			data := b[i*ChunkSize:][:chunkLen(size, i)]
			var after state
			if i+1 < int64(len(st)) {
				after = st[i+1]
			}
			if !links(digest, size, i, st[i], data, after) {
				t.Fatalf("%d bytes: true chunk %d refused", n, i)
			}
			bad := bytes.Clone(data)
			bad[len(bad)/2] ^= 1
			if links(digest, size, i, st[i], bad, after) {
				t.Fatalf("%d bytes: altered chunk %d accepted", n, i)
			}
			before := st[i]
			before[7] ^= 1
			if links(digest, size, i, before, data, after) {
				t.Fatalf("%d bytes: altered state before chunk %d accepted", n, i)
			}
			if links(digest, size+1, i, st[i], data, after) && i == int64(len(st))-1 {
				t.Fatalf("%d bytes: wrong size accepted at the last chunk", n)
			}
		}
	}
}

func openCache(t *testing.T, dir string, max int64) *Cache {
	t.Helper()
	c, err := OpenCache(dir, max)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func put(t *testing.T, c *Cache, b []byte) capsule.CID {
	t.Helper()
	id, err := c.Put(capsule.Raw, b)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestCacheEvictsLeastRecentlyUsedThatNobodyKeeps(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, 1<<20)
	a, b := content(1, 400<<10), content(2, 400<<10)
	ida, idb := put(t, c, a), put(t, c, b)
	if _, err := c.Get(ida); err != nil { // b is now the least recently used
		t.Fatal(err)
	}
	idc := put(t, c, content(3, 400<<10))
	if c.Has(idb) || !c.Has(ida) || !c.Has(idc) {
		t.Fatalf("kept a %v, b %v, c %v; want b gone", c.Has(ida), c.Has(idb), c.Has(idc))
	}
	c.Keep(ida, "zone")
	c.Keep(idc, "zone")
	if _, err := c.Put(capsule.Raw, b); !errors.Is(err, ErrFull) {
		t.Fatalf("put into a cache where everything is kept: %v", err)
	}
	c.Release(idc, "zone")
	put(t, c, b)
	if c.Has(idc) || !c.Has(ida) {
		t.Fatal("released blob stayed or kept blob went")
	}
	if n := c.Counts(); n.Bytes > n.Max || n.Kept != 1 || n.Evicted != 2 {
		t.Fatalf("counts %+v", n)
	}

	os.WriteFile(filepath.Join(dir, putPrefix+"1"), []byte("torn"), 0o600)
	again := openCache(t, dir, 1<<20)
	if got, err := again.Get(ida); err != nil || !bytes.Equal(got, a) {
		t.Fatalf("after reopening: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, putPrefix+"1")); !errors.Is(err, os.ErrNotExist) {
		t.Fatal("an unfinished put was left behind")
	}
}

func TestCacheNoticesEveryDamage(t *testing.T) {
	b := content(1, 2*ChunkSize+77)
	whole := fileSize(int64(len(b)))
	for _, damage := range []struct {
		name string
		do   func(f *os.File) error
	}{
		{"bit in content", func(f *os.File) error { return flip(f, dataAt(int64(len(b)))+ChunkSize) }},
		{"bit in size", func(f *os.File) error { return flip(f, headerSize-1) }},
		{"bit in magic", func(f *os.File) error { return flip(f, 0) }},
		{"torn tail", func(f *os.File) error { return f.Truncate(whole - 1) }},
		{"empty", func(f *os.File) error { return f.Truncate(0) }},
	} {
		for _, reopened := range []bool{false, true} {
			dir := t.TempDir()
			c := openCache(t, dir, 8<<20)
			id := put(t, c, b)
			f, err := os.OpenFile(filepath.Join(dir, id.Digest.String()), os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage.do(f); err != nil {
				t.Fatal(err)
			}
			f.Close()
			if reopened {
				c = openCache(t, dir, 8<<20)
			}
			if got, err := c.Get(id); err == nil {
				t.Errorf("%s, reopened %v: read %d bytes without an error", damage.name, reopened, len(got))
			}
			if c.Has(id) || c.Counts().Bytes != 0 {
				t.Errorf("%s, reopened %v: the damaged copy is still there", damage.name, reopened)
			}
		}
	}
}

func flip(f *os.File, at int64) error {
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		return err
	}
	b[0] ^= 1
	_, err := f.WriteAt(b[:], at)
	return err
}

// node is a host with a cache and an exchange.
type node struct {
	h   *p2p.Host
	c   *Cache
	x   *Exchange
	dir string
}

func newNode(t *testing.T, nw *sim.Net, i int, opt Options) *node {
	t.Helper()
	h, err := nw.Host(i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	n := &node{h: h, dir: t.TempDir()}
	n.c = openCache(t, n.dir, 64<<20)
	if n.x, err = New(h, n.c, opt); err != nil {
		t.Fatal(err)
	}
	return n
}

func join(t *testing.T, a, b *node) {
	t.Helper()
	if _, err := a.h.Connect(t.Context(), b.h.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
}

func TestFetch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 10 * time.Millisecond})
		a, b := newNode(t, nw, 1, Options{}), newNode(t, nw, 2, Options{})
		join(t, a, b)
		for _, n := range []int{0, 1, ChunkSize, 5*ChunkSize + 3} {
			want := content(7, n)
			id := put(t, b.c, want)
			got, err := a.x.Fetch(t.Context(), id, 1<<22, b.h.Key())
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: got %d, %v", n, len(got), err)
			}
		}
		id := put(t, b.c, content(8, 3*ChunkSize))
		if _, err := a.x.Fetch(t.Context(), id, 2*ChunkSize, b.h.Key()); !errors.Is(err, ErrTooLarge) {
			t.Fatalf("a blob over the limit: %v", err)
		}
		if _, err := a.x.Fetch(t.Context(), capsule.RawCID([]byte("nobody")), 1<<20, b.h.Key()); !errors.Is(err, ErrNotFound) {
			t.Fatalf("a blob that nobody has: %v", err)
		}
	})
}

// What is only lent can be fetched by others, and is flushed before anybody here is told that it is kept.
func TestLentContentIsFlushedBeforeItCounts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b := newNode(t, nw, 1, Options{}), newNode(t, nw, 2, Options{})
		join(t, a, b)
		soft := func(n *node, id capsule.CID) bool { return n.c.blobs[id.Digest].soft }
		want := content(11, 2*ChunkSize+9)
		id, err := b.c.Lend(capsule.Raw, want)
		if err != nil || !soft(b, id) {
			t.Fatalf("lent: %v", err)
		}
		got, err := a.x.Fetch(t.Context(), id, 1<<22, b.h.Key())
		if err != nil || !bytes.Equal(got, want) || soft(a, id) {
			t.Fatalf("fetched from the lender: %d bytes, %v; flushed %v", len(got), err, !soft(a, id))
		}
		if !soft(b, id) {
			t.Error("serving it flushed it")
		}
		borrowed := put(t, a.c, content(13, 9))
		if got, err := b.x.Borrow(t.Context(), borrowed, 9, a.h.Key()); err != nil || len(got) != 9 || !soft(b, borrowed) {
			t.Fatalf("borrowed: %d bytes, %v; flushed %v", len(got), err, !soft(b, borrowed))
		}
		if err := b.c.Flush(borrowed); err != nil || soft(b, borrowed) {
			t.Errorf("flushed: %v, %v", err, !soft(b, borrowed))
		}
		if err := b.c.Flush(capsule.RawCID(content(14, 9))); !errors.Is(err, ErrNotFound) {
			t.Errorf("what isn't here was flushed: %v", err)
		}
		if got, err := b.x.Fetch(t.Context(), id, 1<<22); err != nil || !bytes.Equal(got, want) || soft(b, id) {
			t.Fatalf("fetched where it was lent: %d bytes, %v; flushed %v", len(got), err, !soft(b, id))
		}
		other, err := b.c.Lend(capsule.Raw, content(12, 5))
		if err != nil {
			t.Fatal(err)
		}
		if put(t, b.c, content(12, 5)) != other || soft(b, other) {
			t.Error("put after it was lent: not flushed")
		}
	})
}

// liar answers any request with a stream that fn writes.
func liar(t *testing.T, nw *sim.Net, i int, fn func(w io.Writer, req request)) *p2p.Host {
	t.Helper()
	h, err := nw.Host(i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	err = h.Handle(ID, p2p.StreamLimits{}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
		if req, err := readRequest(s); err == nil {
			fn(s, req)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFetchSurvivesLiarsQuittersAndRestarts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		want := content(9, 6*ChunkSize+5)
		st, digest := states(want)
		id := capsule.CID{Codec: capsule.Raw, Digest: digest}
		size := int64(len(want))
		chunk := func(w io.Writer, i int64, flip byte) {
			data := bytes.Clone(want[i*ChunkSize:][:chunkLen(size, i)])
			data[0] ^= flip
			w.Write(append(bytes.Clone(st[i][:]), data...))
		}
		ok := append([]byte{statusOK}, header(size)[len(fileMagic):]...)
		first := func(req request) int64 { return min(int64(req.first&0x7fffffff), chunks(size)-1) }
		// One sends two true chunks and quits, one then sends a false one, one claims another size.
		quitter := liar(t, nw, 2, func(w io.Writer, req request) {
			w.Write(ok)
			i := first(req)
			chunk(w, i, 0)
			chunk(w, i-1, 0)
		})
		forger := liar(t, nw, 3, func(w io.Writer, req request) {
			w.Write(ok)
			chunk(w, first(req), 1)
		})
		sizer := liar(t, nw, 4, func(w io.Writer, req request) {
			w.Write(append([]byte{statusOK}, header(ChunkSize * 9)[len(fileMagic):]...))
			chunk(w, 0, 0)
		})
		var lies []capsule.Key
		a := newNode(t, nw, 1, Options{OnLie: func(k capsule.Key) { lies = append(lies, k) }})
		honest := newNode(t, nw, 5, Options{})
		put(t, honest.c, want)
		for _, h := range []*p2p.Host{quitter, forger, sizer, honest.h} {
			if _, err := a.h.Connect(t.Context(), h.Addrs()[0]); err != nil {
				t.Fatal(err)
			}
		}

		if _, err := a.x.Fetch(t.Context(), id, 1<<22, forger.Key(), quitter.Key(), sizer.Key()); err == nil {
			// quitter alone gives two chunks an attempt, three attempts: 6 of 7 chunks
			t.Fatal("fetched without an honest holder")
		}
		if len(lies) != 2 || lies[0] != forger.Key() || lies[1] != sizer.Key() {
			t.Fatalf("blamed %v, want the forger and the sizer", lies)
		}

		// The rest comes from elsewhere, also after a restart: the 6 proven chunks are not fetched again.
		c := openCache(t, a.dir, 64<<20)
		x := &Exchange{h: a.h, c: c, opt: a.x.opt, rate: a.x.rate, flights: make(map[capsule.Hash]chan struct{})}
		got, err := x.Fetch(t.Context(), id, 1<<22, honest.h.Key())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("resumed: %d bytes, %v", len(got), err)
		}
		if n := x.Counts().BytesIn; n != ChunkSize {
			t.Fatalf("%d bytes came after the restart, want the one chunk that lacked", n)
		}
	})
}

func TestDamagedBlobIsFetchedAgainAndNeverServed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		a, b, c := newNode(t, nw, 1, Options{}), newNode(t, nw, 2, Options{}), newNode(t, nw, 3, Options{})
		join(t, a, b)
		join(t, a, c)
		want := content(4, 3*ChunkSize)
		id := put(t, b.c, want)
		put(t, c.c, want)
		f, err := os.OpenFile(filepath.Join(b.dir, id.Digest.String()), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := flip(f, dataAt(int64(len(want)))+5); err != nil { // in chunk 0, which is sent last
			t.Fatal(err)
		}
		f.Close()
		got, err := a.x.Fetch(t.Context(), id, 1<<22, b.h.Key(), c.h.Key())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if b.c.Has(id) || b.c.Counts().Corrupt != 1 {
			t.Fatal("the damaged copy is still held")
		}
		if n := a.x.Counts(); n.Lies != 0 || n.Failovers == 0 {
			t.Fatalf("counts %+v: bad luck was taken for a lie, or no other holder was asked", n)
		}
		if got, err := b.x.Fetch(t.Context(), id, 1<<22, a.h.Key()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("fetched again: %d bytes, %v", len(got), err)
		}
	})
}

func TestFetchesOfOneBlobShareATransfer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: 20 * time.Millisecond})
		a, b := newNode(t, nw, 1, Options{}), newNode(t, nw, 2, Options{})
		join(t, a, b)
		id := put(t, b.c, content(5, 4*ChunkSize))
		errs := make(chan error, 10)
		for range cap(errs) {
			go func() {
				_, err := a.x.Fetch(t.Context(), id, 1<<22, b.h.Key())
				errs <- err
			}()
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Fatal(err)
			}
		}
		if n := b.x.Counts(); n.Served != 1 {
			t.Fatalf("served %d times, want once", n.Served)
		}
	})
}

func TestUnfinishedFetchesDoNotFillTheDisk(t *testing.T) {
	dir := t.TempDir()
	c := openCache(t, dir, 4<<20)
	for i := range 10 {
		b := content(uint64(i), 2*ChunkSize)
		st, d := states(b)
		p, err := openPart(dir, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.put(int64(len(b)), 1, st[1], b[ChunkSize:]); err != nil {
			t.Fatal(err)
		}
		p.f.Close()
		c.prunePartsBut(nil)
	}
	var total int64
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total == 0 || total > 4<<20/partShare {
		t.Fatalf("unfinished fetches take %d bytes, want some and at most %d", total, 4<<20/partShare)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add(request{first: fromLast, count: 3}.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := readRequest(bytes.NewReader(b))
		if err == nil && !bytes.Equal(r.encode(), b[:requestSize]) {
			t.Fatalf("%x was read as %+v", b, r)
		}
	})
}

// FuzzPart feeds chunks that a holder made up: none may be taken for the blob's, none may panic.
func FuzzPart(f *testing.F) {
	want := content(1, ChunkSize+10)
	st, digest := states(want)
	f.Add(int64(len(want)), int64(1), st[1][:], want[ChunkSize:])
	f.Add(int64(10), int64(0), st[0][:], want[:10])
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, size, i int64, before, data []byte) {
		if size <= 0 || size > MaxSize || len(before) != 32 || i < 0 || i >= chunks(size) {
			return // take never calls put with these
		}
		p, err := openPart(dir, digest)
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(p.f.Name())
		defer p.f.Close()
		if err := p.put(size, i, state(before), data); err == nil && !bytes.Equal(data, want[ChunkSize:]) {
			t.Fatalf("chunk %d of %d was believed", i, size)
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	f.Add(header(5))
	f.Fuzz(func(t *testing.T, b []byte) {
		if size, err := readHeader(bytes.NewReader(b)); err == nil && (size < 0 || size > MaxSize) {
			t.Fatalf("size %d", size)
		}
	})
}

func BenchmarkHashChunks(b *testing.B) {
	data := content(1, 4<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		states(data)
	}
}

// A peer gets so many bytes a second, and another's hunger costs it nothing.
func TestServingIsLimitedByPeer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		nw := sim.New(1, sim.Link{Delay: time.Millisecond})
		b := newNode(t, nw, 1, Options{Rate: ChunkSize})
		hungry, modest := newNode(t, nw, 2, Options{}), newNode(t, nw, 3, Options{})
		join(t, hungry, b)
		join(t, modest, b)
		large, small := put(t, b.c, content(1, 8*ChunkSize)), put(t, b.c, content(2, ChunkSize))
		took := make(chan time.Duration, 1)
		start := time.Now()
		go func() {
			if _, err := hungry.x.Fetch(t.Context(), large, 1<<30, b.h.Key()); err != nil {
				t.Error(err)
			}
			took <- time.Since(start)
		}()
		time.Sleep(3 * time.Second) // its first two seconds' worth is used up
		begun := time.Now()
		if _, err := modest.x.Fetch(t.Context(), small, 1<<30, b.h.Key()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(begun); d > 500*time.Millisecond {
			t.Errorf("one chunk took the other peer %v", d)
		}
		// Two of eight chunks stand in the bucket from the start.
		if d := <-took; d < 5500*time.Millisecond || d > 8*time.Second {
			t.Errorf("8 chunks at one a second took %v, want about 6 s", d)
		}
	})
}
