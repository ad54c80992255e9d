package capsule

import (
	"bytes"
	"slices"
)

// Chain is a linear delegation, root first: at most MaxLinks grants, each narrower than the one before.
type Chain []SignedGrant

// Leaf returns the last grant, or the zero value of an empty chain.
func (c Chain) Leaf() SignedGrant {
	if len(c) == 0 {
		return SignedGrant{}
	}
	return c[len(c)-1]
}

// Hash returns the hash of the leaf's payload, which fixes all payloads before it; zero for an empty
// chain, as the parent of a root grant is.
func (c Chain) Hash() Hash {
	if len(c) == 0 {
		return Hash{}
	}
	return c.Leaf().Hash()
}

// VerifiedChain is a chain whose signatures and narrowing were checked, root first. What depends on the
// moment (time, roots, revocation) is asked of it each time. It is immutable and may be shared.
type VerifiedChain struct {
	grants []Grant
	hashes []Hash // of the payloads
	bytes  int    // size as it travels
}

// Len returns the number of links.
func (v *VerifiedChain) Len() int { return len(v.grants) }

// Grant returns link i, 0 being the root. The caller must not change its capabilities.
func (v *VerifiedChain) Grant(i int) Grant { return v.grants[i] }

// Hash returns the hash of link i's payload, by which it is revoked.
func (v *VerifiedChain) Hash(i int) Hash { return v.hashes[i] }

func (v *VerifiedChain) leaf() *Grant { return &v.grants[len(v.grants)-1] }

// Root returns the key that the authority comes from.
func (v *VerifiedChain) Root() Key { return v.grants[0].Issuer }

// Audience returns the key that may use the chain.
func (v *VerifiedChain) Audience() Key { return v.leaf().Audience }

// Subject returns the zone whose resources the chain is about.
func (v *VerifiedChain) Subject() ZoneID { return v.leaf().Subject }

// Gas returns the ceiling for one capsule, in units.
func (v *VerifiedChain) Gas() uint64 { return v.leaf().Gas }

// Valid reports whether now, in the subject's time, is inside the leaf's period. By narrowing it then is
// inside every link's.
func (v *VerifiedChain) Valid(now uint64) bool {
	return v.leaf().NotBefore <= now && now < v.leaf().Expires
}

// Caps returns what the leaf permits. The caller must not change it.
func (v *VerifiedChain) Caps() []Cap { return v.leaf().Caps }

// Permits returns the abilities that the chain gives on a resource.
func (v *VerifiedChain) Permits(resource string) Ability { return granted(v.leaf().Caps, resource) }

// AnyRoot accepts every root key. It is for those who filter without authority over the subject, such as
// gateways; a zone passes its own roots.
func AnyRoot(Key) bool { return true }

// Verify checks the signatures, the narrowing at every link, the subject, the root and the period. cache
// may be nil; with it, a chain that was verified before costs one hash. Errors are *Refusal.
func (c Chain) Verify(cache *Cache, roots func(Key) bool, subject ZoneID, now uint64) (*VerifiedChain, error) {
	v, r := c.verifyLinks(cache)
	if r == nil {
		r = v.use(roots, subject, now)
	}
	if r != nil {
		return nil, r
	}
	return v, nil
}

// use checks what depends on the moment.
func (v *VerifiedChain) use(roots func(Key) bool, subject ZoneID, now uint64) *Refusal {
	switch {
	case v.Subject() != subject:
		return refuse(CodeRoot, "the chain is about zone %s, not %s", v.Subject(), subject)
	case !roots(v.Root()):
		return refuse(CodeRoot, "%s has no authority over the subject", v.Root())
	case !v.Valid(now):
		return refuse(CodeGrantTime, "valid from %d to %d ms, it is %d ms", v.leaf().NotBefore, v.leaf().Expires, now)
	}
	return nil
}

// verifyLinks checks what is true of the bytes for ever: encoding, signatures, narrowing.
func (c Chain) verifyLinks(cache *Cache) (*VerifiedChain, *Refusal) {
	if len(c) == 0 || len(c) > MaxLinks {
		return nil, refuse(CodeSize, "%d links, want 1 to %d", len(c), MaxLinks)
	}
	key := c.cacheKey(cache)
	if v, ok := cache.get(key); ok {
		return v, nil
	}
	v := &VerifiedChain{grants: make([]Grant, 0, len(c)), hashes: make([]Hash, 0, len(c)), bytes: c.size()}
	// Everything cheap first: a chain that breaks a rule costs no signature verification.
	for i, s := range c {
		g, r := s.grant()
		if r == nil {
			r = v.append(g, s.Hash())
		}
		if r != nil {
			r.Link = i
			return nil, r
		}
	}
	for i, s := range c {
		if !VerifySig(v.grants[i].Issuer, KindGrant, s.Payload, s.Sig) {
			r := refuse(CodeGrantSig, "not a signature of %s", v.grants[i].Issuer)
			r.Link = i
			return nil, r
		}
	}
	cache.put(key, v)
	return v, nil
}

// append adds the next link if it follows from the last one.
func (v *VerifiedChain) append(g *Grant, h Hash) *Refusal {
	if n := len(v.grants); n > 0 {
		if r := g.narrows(&v.grants[n-1], v.hashes[n-1]); r != nil {
			return r
		}
	} else if !g.Parent.IsZero() {
		return refuse(CodeLink, "the root grant names a parent; attach the chain from its root")
	}
	v.grants = append(v.grants, *g)
	v.hashes = append(v.hashes, h)
	return nil
}

func (c Chain) size() int {
	n := 0
	for _, s := range c {
		n += len(s.Payload) + len(s.Sig)
	}
	return n
}

func compareZones(a, b ZoneID) int { return bytes.Compare(a[:], b[:]) }

// sortedFunc returns a sorted copy.
func sortedFunc[T any](s []T, compare func(a, b T) int) []T {
	s = slices.Clone(s)
	slices.SortFunc(s, compare)
	return s
}
