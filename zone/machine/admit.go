package machine

import (
	"errors"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/plant"
	"github.com/kitwork/kwnode/zone/cert"
)

// reservedCertificates is how many certified outcomes an admission pays for ahead: admission, end, and a
// release with its close.
const reservedCertificates = 4

// AdmitBody is the content of an Admitted decision.
type AdmitBody struct {
	_             struct{} `cbor:",toarray"`
	Expires       uint64
	Gas           uint64
	Price         Price
	PolicyVersion uint64
	Held, Reserve uint64
}

// LeaseBody is the content of a Leased decision, the worker's warrant: what the segment runs and with
// which seed and time, whoever runs it.
type LeaseBody struct {
	_         struct{} `cbor:",toarray"`
	Fresh     bool
	State     capsule.CID
	StateHash capsule.Hash
	Seed      capsule.Hash
	Clock     uint64
	Units     uint64 // that may be spent
	Resume    int32
}

func leaseBody(c *CapsuleRow) *LeaseBody {
	return &LeaseBody{
		Fresh: c.Run.Fresh, State: c.Run.Saved.State, StateHash: c.Run.Saved.StateHash,
		Seed: c.Run.Seed, Clock: c.Run.Clock, Units: c.Gas.left(), Resume: c.Run.Resume,
	}
}

// runAdmit decides whether a capsule may exist here. Nothing that a gateway or the leader found is taken
// over: the envelope is verified from its bytes.
func runAdmit(a *apply, p *prepared) (Result, *Refusal) {
	c, t := p.capsule, p.body.(*AdmitState)
	if c == nil {
		var err error
		if c, err = capsule.Verify(t.Envelope, a.time, a.m.verified); err != nil {
			return Result{}, refusalOf(err)
		}
	}
	m, id := c.Manifest(), c.ID()
	// Invariant: a capsule of this home has a row only while its nonce has one. So one look tells that a capsule is new.
	nonce := row(tabNonce, m.Author[:], m.Nonce[:])
	home := m.Home == a.m.zone
	unseen := home && !a.has(nonce)
	if !unseen {
		if old, ok := a.capsule(id); ok {
			return Result{Repeated: true, Capsule: id, Status: old.Status}, nil
		}
	}
	if !home {
		return Result{Capsule: id}, refuse(CodeZone, "the capsule's home is %s, this is %s", m.Home, a.m.zone)
	}
	if r := a.checkManifest(m); r != nil {
		return Result{Capsule: id}, r
	}
	if !unseen {
		return Result{Capsule: id}, refuse(CodeReplay, "the author has used this nonce for another capsule, or cancelled it")
	}
	rights, r := a.rights(c)
	if r != nil {
		return Result{Capsule: id}, r
	}
	cr, r := a.newCapsule(m)
	if r != nil {
		return Result{Capsule: id}, r
	}
	if r := a.startState(id, &cr, m, t.State); r != nil {
		return Result{Capsule: id}, r
	}
	a.setRaw(nonce, id[:])
	// Invariant: what only the execution needs exists only while the capsule's own row does.
	a.set(a.fresh(row(tabProgram, id[:])), cellValue{obj: &ProgramRow{Envelope: c.Bytes(), Rights: rights}, ok: true})
	a.refBlob(m.Code)
	a.refBlob(m.Base)
	a.fresh(row(tabCapsule, id[:]))
	a.count(func(n *Counts) { n.Live++; n.Admitted++ })
	a.decide(&cr, cert.Slot{Capsule: id, Phase: cert.PhaseIn}, cert.Admitted, &AdmitBody{
		Expires: m.Expires, Gas: m.Gas, Price: cr.Gas.Price, PolicyVersion: a.zoneRow().PolicyVersion,
		Held: cr.Gas.Hold, Reserve: cr.Gas.Reserve,
	})
	a.requeue(id, &cr)
	a.saveCapsule(id, cr)
	return Result{Capsule: id, Status: cr.Status}, nil
}

// startState keeps the state that the manifest names: beside the envelope, or as a blob that enough voters hold.
func (a *apply) startState(id capsule.ID, c *CapsuleRow, m *capsule.Manifest, inline []byte) *Refusal {
	s := Saved{State: m.State, StateHash: m.StateHash, Inline: inline, Size: uint64(len(inline))}
	switch {
	case len(inline) > 0 && (m.State.IsZero() || capsule.Sum(inline) != m.State.Digest):
		return refuse(CodeEncoding, "the state beside the envelope is not the one that its manifest names")
	case len(inline) == 0 && !m.State.IsZero():
		b, ok := a.blob(m.State)
		if !ok || b.Refs == 0 && b.Keep < sum(a.time, a.policy().Times.BlobMargin) {
			return refuse(CodeBlob, "no fresh attestation that the state %s is held", m.State)
		}
		s.Size = b.Size
	}
	if s.Size > m.Limits.StateBytes {
		return refuse(CodeLimit, "a state of %d bytes, the manifest declares at most %d", s.Size, m.Limits.StateBytes)
	}
	if m.State.IsZero() {
		return nil // it starts at its entry
	}
	if len(inline) > 0 {
		// Invariant: what only the execution needs exists only while the capsule's own row does.
		a.set(a.fresh(row(tabInline, id[:])), cellValue{val: inline, ok: true})
	} else {
		a.refBlob(m.State)
	}
	c.Run.Saved = SavedRow{State: s.State, StateHash: s.StateHash, Size: s.Size, Inline: len(inline) > 0}
	return nil
}

func refusalOf(err error) *Refusal {
	var r *capsule.Refusal
	if errors.As(err, &r) {
		return refuseCapsule(r)
	}
	return refuseErr(CodeEncoding, err)
}

// checkManifest checks what the zone's time, policy and room have to say.
func (a *apply) checkManifest(m *capsule.Manifest) *Refusal {
	pol, n := a.policy(), a.counts()
	switch {
	case a.time == 0:
		return refuse(CodeTime, "the zone has no time yet; wait for its first tick")
	case a.time < m.NotBefore:
		return refuse(Code(capsule.CodeNotYet), "valid from %d ms, it is %d ms", m.NotBefore, a.time)
	case a.time >= m.Expires:
		return refuse(CodeExpired, "expired at %d ms, it is %d ms", m.Expires, a.time)
	case m.Expires-a.time > pol.Times.MaxExpiry:
		return refuse(CodeLimit, "expires in %d ms, at most %d", m.Expires-a.time, pol.Times.MaxExpiry)
	case m.MeterVersion != a.genesis.MeterVersion:
		return refuse(CodeMeter, "signed for gas table %d, this zone uses %d", m.MeterVersion, a.genesis.MeterVersion)
	case pol.Price.Gas > m.MaxPrice:
		return refuse(CodePrice, "a million units cost %d credits, the author pays at most %d", pol.Price.Gas, m.MaxPrice)
	case m.Limits.MemoryPages > pol.Bounds.Pages:
		return refuse(CodeLimit, "%d memory pages, at most %d", m.Limits.MemoryPages, pol.Bounds.Pages)
	case m.Limits.StateBytes > pol.Bounds.StateBytes:
		return refuse(CodeLimit, "%d bytes of live state, at most %d", m.Limits.StateBytes, pol.Bounds.StateBytes)
	case n.Live >= pol.Bounds.Live:
		return refuse(CodeCapacity, "%d capsules live here, at most %d", n.Live, pol.Bounds.Live)
	case uint64(n.Queued) >= uint64(n.FreeSlots)+uint64(pol.Bounds.Queue):
		return refuse(CodeCapacity, "all workers are busy and %d capsules wait, at most %d", n.Queued, pol.Bounds.Queue)
	}
	return nil
}

// newCapsule prices the capsule and holds the credits.
func (a *apply) newCapsule(m *capsule.Manifest) (CapsuleRow, *Refusal) {
	price := a.policy().Price
	reserve := a.reserve(price, m.Limits.StateBytes, m.Expires)
	held := sum(GasCost(m.Gas, price.Gas), reserve)
	if held >= maxAmount {
		return CapsuleRow{}, refuse(CodeFunds, "its gas and reserve cost more than any account holds")
	}
	if r := a.hold(m.Payer, held); r != nil {
		return CapsuleRow{}, r
	}
	return CapsuleRow{
		Author: m.Author, Payer: m.Payer, Nonce: m.Nonce, Since: a.time, Expires: m.Expires,
		Pages: max(m.Limits.MemoryPages, 1), StateBytes: m.Limits.StateBytes,
		Run: RunState{Fresh: m.Fresh()},
		Gas: GasState{Limit: m.Gas, Price: price, Hold: held, Reserve: reserve, Certificates: 1},
	}, nil
}

// reserve returns the credits that a capsule may not spend on gas: its end, a release with its close, and
// keeping its state until it expires.
func (a *apply) reserve(p Price, stateBytes, expires uint64) uint64 {
	return sum(mulDivUp(reservedCertificates, p.Certificate, 1), Rent(stateBytes, expires-min(a.time, expires), p.Storage))
}

// rights derives what the capsule may do here: each need, if a chain that is valid now, not revoked, and
// rooted in somebody with authority over that very resource, covers it.
func (a *apply) rights(c *capsule.Capsule) (Rights, *Refusal) {
	m := c.Manifest()
	r := Rights{Until: m.Expires, Seen: a.zoneRow().RevokedCount}
	use := func(v *capsule.VerifiedChain) {
		for i := range v.Len() {
			if h := v.Hash(i); !slices.Contains(r.Grants, h) {
				r.Grants = append(r.Grants, h)
			}
		}
		r.Until = min(r.Until, v.Grant(v.Len()-1).Expires)
	}
	for _, n := range m.Needs {
		if n.Zone != a.m.zone {
			continue
		}
		v, ref := a.coveringChain(c, n.Resource, n.Ability, func(root capsule.Key) bool { return a.authority(root, n.Resource) })
		if ref != nil {
			return Rights{}, ref
		}
		use(v)
		r.Caps = append(r.Caps, capsule.Cap{Resource: n.Resource, Ability: n.Ability})
	}
	// Away from home the credits come with the capsule, and nobody's account is touched.
	if m.Payer != m.Author && m.Home == a.m.zone {
		v, ref := a.coveringChain(c, capsule.ResourceAccount, capsule.Spend, func(root capsule.Key) bool { return root == m.Payer })
		if ref != nil {
			return Rights{}, ref
		}
		use(v)
	}
	return r, nil
}

// coveringChain finds a usable chain of the capsule for one resource.
func (a *apply) coveringChain(c *capsule.Capsule, resource string, ab capsule.Ability, root func(capsule.Key) bool) (*capsule.VerifiedChain, *Refusal) {
	var why *Refusal
	for _, v := range c.Verified() {
		switch {
		case v.Subject() != a.m.zone || ab&^v.Permits(resource) != 0 && !plant.SkipGrant || !root(v.Root()):
			continue
		case !v.Valid(a.time):
			why = refuse(Code(capsule.CodeGrantTime), "the chain that permits %s on %s is not valid at %d ms", ab, resource, a.time)
			continue
		}
		if r := a.checkRevoked(v); r != nil {
			why = r
			continue
		}
		return v, nil
	}
	if why == nil {
		why = refuse(CodeGrant, "no chain from a key with authority over it permits %s on %s", ab, resource)
	}
	return nil, why
}

func (a *apply) isRoot(k capsule.Key) bool { return slices.Contains(a.genesis.Roots, k) }

// authority reports whether a chain about resource may start at k: at a root of the zone, or for a
// namespace at its owner.
func (a *apply) authority(k capsule.Key, resource string) bool {
	if a.isRoot(k) {
		return true
	}
	path, ok := strings.CutPrefix(resource, ResourceData)
	if !ok {
		return false
	}
	name, _, _ := strings.Cut(path, "/")
	ns, ok := a.namespace(name)
	return ok && ns.Owner == k
}

func (a *apply) checkRevoked(v *capsule.VerifiedChain) *Refusal {
	if a.zoneRow().RevokedCount == 0 {
		return nil
	}
	for i := range v.Len() {
		if h := v.Hash(i); a.has(row(tabRevoked, h[:])) {
			return refuse(CodeRevoked, "the grant %s was revoked", h)
		}
	}
	return nil
}

// checkRights returns why rights that were valid at admission are not any more, or nothing.
func (a *apply) checkRights(r *Rights) *Refusal {
	if a.time >= r.Until {
		return refuse(Code(capsule.CodeGrantTime), "a grant expired at %d ms", r.Until)
	}
	if a.zoneRow().RevokedCount == r.Seen {
		return nil
	}
	for _, h := range r.Grants {
		if a.has(row(tabRevoked, h[:])) {
			return refuse(CodeRevoked, "the grant %s was revoked", h)
		}
	}
	return nil
}
