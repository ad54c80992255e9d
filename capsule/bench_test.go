package capsule

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"testing"
	"time"
)

// beside measures work next to limit, the part of it that cannot be avoided: both in turn, in batches of
// about 100 µs, so that whatever else the machine does meets both. It reports the fastest batch of each
// in ns, and their ratio.
func beside(b *testing.B, limit, work func()) {
	b.Helper()
	time1 := func(f func(), n int) time.Duration {
		start := time.Now()
		for range n {
			f()
		}
		return time.Since(start)
	}
	n := 1
	for n < 1<<20 && time1(work, n) < 100*time.Microsecond {
		n *= 2
	}
	best := [2]float64{1e18, 1e18}
	b.ReportAllocs()
	for b.Loop() {
		for i, f := range []func(){limit, work} {
			best[i] = min(best[i], float64(time1(f, n).Nanoseconds())/float64(n))
		}
	}
	b.ReportMetric(best[0], "limit-ns")
	b.ReportMetric(best[1], "work-ns")
	b.ReportMetric(best[1]/best[0], "x/limit")
	b.ReportMetric(0, "ns/op") // a batch is no operation
}

// Target: 1 µs, 2 allocations. The limit is the hash of the manifest, which gives the ID: the more of the
// 2 KB is input, the more there is to hash, and the more is grants, the more there is to read.
func BenchmarkPeek2KB(b *testing.B) {
	for _, links := range []int{3, 5} {
		c := sized(b, 2048, links)
		manifest := c.ManifestBytes()
		b.Run(fmt.Sprintf("links=%d/input=%d", links, len(c.Manifest().Input)), func(b *testing.B) {
			beside(b, func() { sha256.Sum256(manifest) }, func() {
				if _, err := Peek(c.Bytes(), testNow); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// Target: 1 M/s, which is 1,000 work-ns. The limit is reading the bytes once.
func BenchmarkGarbage2KB(b *testing.B) {
	whole := sized(b, 2048, 3).Bytes()
	torn := append([]byte(nil), whole...)
	torn[len(torn)-66] = 0x59 // the last signature's head: everything before it has to be read
	random := make([]byte, 2048)
	for i := range random {
		random[i] = byte(i * 131)
	}
	for _, g := range []struct {
		name string
		b    []byte
		now  uint64
	}{
		{"random", random, testNow},
		{"expired", whole, testNow + 2*testHour},
		{"truncated", whole[:len(whole)-1], testNow},
		{"torn-at-the-end", torn, testNow},
	} {
		b.Run(g.name, func(b *testing.B) {
			beside(b, func() { sumBytes(g.b) }, func() {
				if _, err := Peek(g.b, g.now); err == nil {
					b.Fatal("accepted")
				}
			})
		})
	}
}

var sink byte

func sumBytes(b []byte) {
	var s byte
	for _, c := range b {
		s += c
	}
	sink = s
}

// Target: 1.15 with no chain and with 3 links. The limit is the signatures and the hashes.
func BenchmarkVerify(b *testing.B) {
	for _, links := range []int{0, 3, 8} {
		c := testCapsule(b, links)
		cache := NewCache(1 << 20)
		limit := func() { onlySignatures(b, c, true) }
		sig := sigKey(c.ManifestBytes(), c.Sig())
		verify := func(cache *Cache) func() {
			return func() {
				if _, err := Verify(c.Bytes(), testNow, cache); err != nil {
					b.Fatal(err)
				}
				if cache != nil {
					cache.kept.Take(sig) // another capsule under the same chain
				}
			}
		}
		b.Run(fmt.Sprintf("links=%d", links), func(b *testing.B) { beside(b, limit, verify(nil)) })
		if links > 0 {
			verify(cache)()
			b.Run(fmt.Sprintf("links=%d/cached", links), func(b *testing.B) {
				beside(b, func() { onlySignatures(b, c, false) }, verify(cache))
			})
		}
	}
}

// onlySignatures does what no verifier of c can avoid, without the chains or with them.
func onlySignatures(b *testing.B, c *Capsule, chains bool) {
	check := func(k Key, msg []byte, s Sig) {
		sha256.Sum256(msg)
		if !ed25519.Verify(k[:], msg, s[:]) {
			b.Fatal("bad signature")
		}
	}
	check(c.Manifest().Author, KindManifest.message(c.ManifestBytes()), c.Sig())
	for i, v := range c.Verified() {
		for j := range v.Len() {
			s := c.Chains()[i][j]
			if chains {
				check(v.Grant(j).Issuer, KindGrant.message(s.Payload), s.Sig)
			} else {
				sha256.Sum256(s.Payload)
			}
		}
	}
}

func BenchmarkManifest(b *testing.B) {
	m := testCapsule(b, 3).Manifest()
	bytes, err := Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	hash := func() { sha256.Sum256(bytes) }
	b.Run("marshal", func(b *testing.B) {
		beside(b, hash, func() {
			if _, err := Marshal(m); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("unmarshal", func(b *testing.B) {
		beside(b, hash, func() {
			var m Manifest
			if err := Unmarshal(bytes, &m); err != nil {
				b.Fatal(err)
			}
		})
	})
	b.Run("decode", func(b *testing.B) {
		beside(b, hash, func() {
			var m Manifest
			d := decoder{b: bytes}
			if d.manifest(&m); d.fail != nil {
				b.Fatal(d.fail)
			}
		})
	})
}
