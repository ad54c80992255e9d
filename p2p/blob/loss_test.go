package blob

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/faildisk"
)

// What the cache says lasts was flushed: where flushes fail, it says so.
func TestPutFlushes(t *testing.T) {
	c := openCache(t, t.TempDir(), 1<<20)
	faildisk.Run(t, func() {
		if _, err := c.Put(capsule.Raw, []byte("content")); err == nil {
			t.Error("put without a flush")
		}
		id, err := c.Lend(capsule.Raw, []byte("more content"))
		if err != nil {
			t.Errorf("lent: %v", err)
		}
		if err := c.Flush(id); err == nil {
			t.Error("flushed without a flush")
		}
	})
}

// The power goes at each point of a put: what is under the blob's name, or the name that it had before, is the file up to
// somewhere, or with some of its sectors missing, or with a flipped bit. The cache then has the whole content or none, never
// another, and takes the content again.
func TestCacheAfterPowerLoss(t *testing.T) {
	const sector = 512
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	want := content(3, ChunkSize+1234)
	id := put(t, openCache(t, dir, 1<<20), want)
	whole, err := os.ReadFile(filepath.Join(dir, id.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	kept, lost := 0, 0
	check := func(what, name string, image []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), image, 0o600); err != nil {
			t.Fatal(err)
		}
		c := openCache(t, dir, 1<<20)
		switch got, err := c.Get(id); {
		case err == nil && bytes.Equal(got, want):
			kept++
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
			lost++
		default:
			t.Fatalf("seed %d, %s: %d other bytes, %v", seed, what, len(got), err)
		}
		if again, err := c.Lend(capsule.Raw, want); err != nil || again != id {
			t.Fatalf("seed %d, %s: stored again as %v: %v", seed, what, again, err)
		}
		if got, err := c.Get(id); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("seed %d, %s: after it was stored again: %d bytes, %v", seed, what, len(got), err)
		}
	}
	name := id.Digest.String()
	check("whole", name, whole)
	if kept != 1 {
		t.Fatal("the whole file is not taken for it")
	}
	for cut := 0; cut < len(whole); cut += 1 + rng.IntN(48*sector) {
		check("torn tail", name, whole[:cut])
		check("torn before it had its name", putPrefix+"1", whole[:cut])
	}
	for range 20 {
		image := bytes.Clone(whole)
		for at := 0; at < len(image); at += sector {
			if rng.IntN(8) == 0 {
				clear(image[at:min(at+sector, len(image))])
			}
		}
		check("missing sectors", name, image)
	}
	for range 60 {
		image := bytes.Clone(whole)
		bit := rng.IntN(8 * len(image))
		image[bit/8] ^= 1 << (bit % 8)
		check("flipped bit", name, image)
	}
	t.Logf("%d images had the content, %d were refused", kept, lost)
	if lost < 80 {
		t.Error("so few were refused that the test can't have met the content")
	}
}
