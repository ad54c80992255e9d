package capsule

import (
	"crypto/sha256"
	"sync"
)

// ChainCache remembers verified chains, so that a client that sends a thousand capsules under one grant
// costs one verification of it. Only chains that passed are kept, under the hash of all their bytes,
// signatures included: a forged copy neither hits nor evicts. A nil cache remembers nothing. It may be
// used by any number of goroutines.
type ChainCache struct {
	limit int

	mu sync.Mutex // owns what follows
	// Two generations: when young is full it becomes old and the former old is dropped. A chain in use
	// moves back to young. It costs no list and no clock, and a flood of one-time chains needs two
	// rounds to push out what is used between them.
	young, old map[Hash]*VerifiedChain
	youngBytes int
}

// NewChainCache returns a cache that holds about limit bytes of chains, counted as they travel. A
// 3-link chain is about 800 bytes, and about as much again once decoded.
func NewChainCache(limit int) *ChainCache {
	return &ChainCache{limit: limit, young: map[Hash]*VerifiedChain{}}
}

// cacheKey hashes all payloads and signatures. The payloads are canonical CBOR arrays, which end
// themselves, and signatures have one length: different chains never concatenate to the same bytes.
func (c Chain) cacheKey(cache *ChainCache) Hash {
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

func (cc *ChainCache) get(k Hash) *VerifiedChain {
	if cc == nil {
		return nil
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if v := cc.young[k]; v != nil {
		return v
	}
	v := cc.old[k]
	if v != nil {
		delete(cc.old, k)
		cc.add(k, v)
	}
	return v
}

func (cc *ChainCache) put(k Hash, v *VerifiedChain) {
	if cc == nil || v.bytes > cc.limit/2 {
		return
	}
	cc.mu.Lock()
	defer cc.mu.Unlock()
	if cc.young[k] == nil {
		cc.add(k, v)
	}
}

// add requires mu.
func (cc *ChainCache) add(k Hash, v *VerifiedChain) {
	if cc.youngBytes+v.bytes > cc.limit/2 {
		cc.old, cc.young, cc.youngBytes = cc.young, map[Hash]*VerifiedChain{}, 0
	}
	cc.young[k] = v
	cc.youngBytes += v.bytes
}
