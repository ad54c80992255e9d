package vm

import (
	"bytes"
	"crypto/sha256"
	"sync"
)

// pageSums are the SHA-256 of an image's pages, all zero for a page of zeros. They are made once, when they are first
// wanted: of a program's memory most is its base's, in every state that is hashed.
type pageSums struct {
	once sync.Once
	sums [][sha256.Size]byte
}

func (img *image) pageSums() [][sha256.Size]byte {
	img.sums.once.Do(func() {
		sums := make([][sha256.Size]byte, len(img.view)/deltaPage)
		for n := range sums {
			sums[n] = pageSum(img.view[n*deltaPage : (n+1)*deltaPage])
		}
		img.sums.sums = sums
	})
	return img.sums.sums
}

// pageSum is a page's entry of pageSums.
func pageSum(p []byte) (sum [sha256.Size]byte) {
	if !bytes.Equal(p, zeroPage[:]) {
		sum = sha256.Sum256(p)
	}
	return sum
}

// sumMemories writes memories as a state hash has them. Only pages that were written since they were mapped are looked at.
func (s *Store) sumMemories(w *bodyWriter) {
	for _, mem := range s.memories {
		w.uint(mem.size / pageSize)
		b := mem.bytes()
		var known [][sha256.Size]byte
		if mem.from != nil {
			known = mem.from.pageSums()
			known = known[:min(len(known), len(b)/deltaPage)]
		}
		last := -1
		add := func(n int, sum *[sha256.Size]byte) {
			if *sum != ([sha256.Size]byte{}) {
				w.uint(uint64(n - last))
				w.raw(sum[:])
				last = n
			}
		}
		at := 0
		for _, c := range append(mem.candidates(mem.from), span{len(b), len(b)}) {
			for ; at < min(c.from/deltaPage, len(known)); at++ {
				add(at, &known[at])
			}
			for at = c.from / deltaPage; at < c.to/deltaPage && w.err == nil; at++ {
				sum := pageSum(b[at*deltaPage : (at+1)*deltaPage])
				add(at, &sum)
			}
		}
		w.uint(0)
	}
}
