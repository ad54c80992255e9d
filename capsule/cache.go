package capsule

import (
	"crypto/sha256"
	"sync"

	"github.com/kitwork/kwnode/internal/recent"
)

// Cache remembers chains and authors' signatures that were verified: a client that sends a thousand capsules under one
// grant costs one verification of the chain, and a capsule that a node hears of by gossip, is handed, and finds in its
// zone's log costs one of its signature. Every part of a node shares one. It keeps what is true of the bytes for ever; what
// depends on the moment is checked each time. It is safe for concurrent use; a nil *Cache remembers nothing.
type Cache struct {
	heaviest int

	mu   sync.Mutex                        // guards kept
	kept *recent.Map[Hash, *VerifiedChain] // nil for a signature
}

// sigBytes is what a signature is counted as: its key in a map.
const sigBytes = 64

// NewCache returns a cache that holds about limit bytes of chains, counted as they travel, and signatures at 64 bytes each.
// A 3-link chain is about 800 bytes, and about as much again once decoded.
func NewCache(limit int) *Cache {
	weigh := func(_ Hash, v *VerifiedChain) int { return v.cost() }
	return &Cache{heaviest: limit / 2, kept: recent.New(limit/2, weigh)}
}

// cacheKey hashes all payloads and signatures. The payloads are canonical CBOR arrays, which end
// themselves, and signatures have one length: different chains never concatenate to the same bytes.
func (c Chain) cacheKey(cache *Cache) Hash {
	if cache == nil {
		return Hash{}
	}
	h := sha256.New()
	for i := range c {
		h.Write(c[i].Payload)
		h.Write(c[i].Sig[:])
	}
	var k Hash
	h.Sum(k[:0])
	return k
}

// sigKey hashes an author's signature and what it signs. It begins with the signature's domain, as no chain does.
func sigKey(manifest []byte, s Sig) (k Hash) {
	h := sha256.New()
	h.Write(KindManifest.message(manifest))
	h.Write(s[:])
	h.Sum(k[:0])
	return k
}

// signed reports whether s is the author's signature of a manifest's bytes, which name the author.
func (cc *Cache) signed(author Key, manifest []byte, s Sig) bool {
	if cc == nil {
		return VerifySig(author, KindManifest, manifest, s)
	}
	k := sigKey(manifest, s)
	if _, ok := cc.get(k); ok {
		return true
	}
	if !VerifySig(author, KindManifest, manifest, s) {
		return false
	}
	cc.put(k, nil)
	return true
}

func (cc *Cache) get(k Hash) (*VerifiedChain, bool) {
	if cc == nil {
		return nil, false
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	return cc.kept.Get(k)
}

func (cc *Cache) put(k Hash, v *VerifiedChain) {
	if cc == nil || v.cost() > cc.heaviest {
		return
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	cc.kept.Put(k, v)
}

func (v *VerifiedChain) cost() int {
	if v == nil {
		return sigBytes
	}
	return v.bytes
}
