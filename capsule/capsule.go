package capsule

import (
	"slices"
	"strings"
)

// envelope is a capsule as it travels. The manifest and the grants stand inline, as structures that any
// dag-cbor reader can follow the links of.
type envelope struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Manifest RawItem
	Sig      Sig
	Chains   []Chain
}

// Capsule is a manifest, its author's signature and the chains of grants that it names. It is immutable.
type Capsule struct {
	bytes    []byte
	id       ID
	env      envelope
	manifest Manifest
	verified []*VerifiedChain // of env.Chains, nil before verification
}

// ID returns the capsule's one name.
func (c *Capsule) ID() ID { return c.id }

// Bytes returns the envelope as it travels. The caller must not change it.
func (c *Capsule) Bytes() []byte { return c.bytes }

// Manifest returns what the author signed. The caller must not change it.
func (c *Capsule) Manifest() *Manifest { return &c.manifest }

// ManifestBytes returns the signed bytes, whose hash is the ID. The caller must not change them.
func (c *Capsule) ManifestBytes() []byte { return c.env.Manifest }

// Sig returns the author's signature.
func (c *Capsule) Sig() Sig { return c.env.Sig }

// Chains returns the attached chains, in the manifest's order. The caller must not change them.
func (c *Capsule) Chains() []Chain { return c.env.Chains }

// Verified returns the chains as Verify or Seal checked them, or nil for a capsule that was only decoded.
func (c *Capsule) Verified() []*VerifiedChain { return c.verified }

// Seal signs m together with chains. It works on a copy of m: sets V and Author, fills Payer with the
// author if zero, names the chains in Grants, sorts Itinerary and Needs. It refuses what Verify would
// refuse at every moment, so that nothing is signed in vain; the periods of capsule and grants are for
// the receiver to judge.
func Seal(id *Identity, m *Manifest, chains []Chain) (*Capsule, error) {
	mm := *m
	mm.V, mm.Author = Version, id.Key()
	if mm.Payer.IsZero() {
		mm.Payer = mm.Author
	}
	mm.Itinerary = sortedFunc(m.Itinerary, func(a, b Stop) int { return strings.Compare(a.Name, b.Name) })
	mm.Needs = sortedFunc(m.Needs, compareNeeds)
	mm.Grants = make([]Hash, len(chains))
	for i, c := range chains {
		mm.Grants[i] = c.Hash()
	}
	if r := mm.check(); r != nil {
		return nil, r
	}
	payload, err := Marshal(&mm)
	if err != nil {
		return nil, err
	}
	env := envelope{V: Version, Manifest: payload, Sig: id.Sign(KindManifest, payload), Chains: slices.Clone(chains)}
	b, err := Marshal(&env)
	if err != nil {
		return nil, err
	}
	c, r := decode(b)
	if r == nil {
		r = c.verify(nil)
	}
	if r != nil {
		return nil, r
	}
	return c, nil
}

// Decode reads a capsule's structure without verifying anything about who made it: for display, and as
// the first step of Verify. Errors are *Refusal. The capsule keeps no reference to b.
func Decode(b []byte) (*Capsule, error) {
	c, r := decode(b)
	if r != nil {
		return nil, r
	}
	return c, nil
}

func decode(b []byte) (*Capsule, *Refusal) {
	if len(b) > MaxEnvelope {
		return nil, refuse(CodeSize, "%d bytes, at most %d", len(b), MaxEnvelope)
	}
	c := &Capsule{bytes: slices.Clone(b)}
	d := decoder{b: c.bytes}
	d.envelope(c)
	if d.fail != nil {
		return nil, refuseEncoding("capsule", d.fail)
	}
	if c.env.V != Version {
		return nil, refuse(CodeVersion, "envelope version %d, know %d", c.env.V, Version)
	}
	if r := c.manifest.check(); r != nil {
		return nil, r
	}
	c.id = ID(Sum(c.env.Manifest))
	return c, nil
}

// Verify is the second stage: all of Peek, the strict form of every field, the author's signature, every
// chain, and that the needs, the gas and the payer lie within the grants. now is the home zone's time in
// milliseconds; chains about other zones are checked but for their period, which is those zones' to
// judge (see VerifyIn). Roots are not checked: that a chain's root has authority is known to its zone.
// cache may be nil. Errors are *Refusal.
func Verify(b []byte, now uint64, cache *Cache) (*Capsule, error) {
	return verifyIn(b, nil, now, cache)
}

// VerifyIn is Verify as another zone on the itinerary does it, in that zone's time.
func VerifyIn(zone ZoneID, b []byte, now uint64, cache *Cache) (*Capsule, error) {
	return verifyIn(b, &zone, now, cache)
}

func verifyIn(b []byte, zone *ZoneID, now uint64, cache *Cache) (*Capsule, error) {
	c, r := decode(b)
	if r != nil {
		return nil, r
	}
	if r := c.manifest.checkTime(now); r != nil {
		return nil, r
	}
	if r := c.verify(cache); r != nil {
		return nil, r
	}
	here := c.manifest.Home
	if zone != nil {
		here = *zone
	}
	for i, v := range c.verified {
		if v.Subject() != here {
			continue
		}
		if r := v.use(AnyRoot, here, now); r != nil {
			r.Chain = i
			return nil, r
		}
	}
	return c, nil
}

func (m *Manifest) checkTime(now uint64) *Refusal { return checkPeriod(m.NotBefore, m.Expires, now) }

func checkPeriod(notBefore, expires, now uint64) *Refusal {
	if now >= expires {
		return &Refusal{Code: CodeExpired, Chain: NoIndex, Link: NoIndex, bound: expires, now: now}
	}
	if now < notBefore {
		return &Refusal{Code: CodeNotYet, Chain: NoIndex, Link: NoIndex, bound: notBefore, now: now}
	}
	return nil
}

// verify checks what is true of the bytes for ever.
func (c *Capsule) verify(cache *Cache) *Refusal {
	m := &c.manifest
	if r := c.checkAttached(); r != nil {
		return r
	}
	// The author's signature before the chains: only a signed envelope can ask for more verifications.
	if !cache.signed(m.Author, c.env.Manifest, c.env.Sig) {
		return refuse(CodeSignature, "not a signature of %s", m.Author)
	}
	verified := make([]*VerifiedChain, len(c.env.Chains))
	for i, chain := range c.env.Chains {
		v, r := chain.verifyLinks(cache)
		switch {
		case r != nil:
		case v.Audience() != m.Author:
			r = refuse(CodeAudience, "granted to %s, the author is %s", v.Audience(), m.Author)
		case v.Gas() < m.Gas:
			r = refuse(CodeGas, "the capsule asks for %d units, the chain grants %d", m.Gas, v.Gas())
		}
		if r != nil {
			r.Chain = i
			return r
		}
		verified[i] = v
	}
	c.verified = verified
	return c.checkGranted()
}

// checkAttached requires exactly the chains that the manifest names. It costs a hash, so it comes before
// any signature.
func (c *Capsule) checkAttached() *Refusal {
	named := c.manifest.Grants
	if len(c.env.Chains) != len(named) {
		return refuse(CodeChain, "%d chains attached, the manifest names %d", len(c.env.Chains), len(named))
	}
	for i, chain := range c.env.Chains {
		if chain.Hash() != named[i] {
			r := refuse(CodeChain, "the manifest names another chain at this place")
			r.Chain = i
			return r
		}
	}
	return nil
}

// checkGranted requires one chain for every need, and the payer's consent.
func (c *Capsule) checkGranted() *Refusal {
	m := &c.manifest
	for i, n := range m.Needs {
		if !slices.ContainsFunc(c.verified, func(v *VerifiedChain) bool {
			return v.Subject() == n.Zone && n.Ability&^v.Permits(n.Resource) == 0
		}) {
			return refuse(CodeNeed, "need %d: no chain grants %s on %s in zone %s", i, n.Ability, n.Resource, n.Zone)
		}
	}
	if m.Payer == m.Author {
		return nil
	}
	if !slices.ContainsFunc(c.verified, func(v *VerifiedChain) bool {
		return v.Root() == m.Payer && v.Subject() == m.Home && v.Permits(ResourceAccount)&Spend != 0
	}) {
		return refuse(CodePayer, "no chain from %s grants %s on %s in the home zone", m.Payer, Spend, ResourceAccount)
	}
	return nil
}
