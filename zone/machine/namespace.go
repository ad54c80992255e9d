package machine

import (
	"fmt"
	"slices"

	"github.com/kitwork/kwnode/capsule"
)

// maxNamespaceName bounds a name, as a segment of a resource.
const maxNamespaceName = 63

func checkNamespaceName(s string) error {
	if len(s) == 0 || len(s) > maxNamespaceName {
		return fmt.Errorf("a namespace of %d characters, want 1 to %d", len(s), maxNamespaceName)
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return fmt.Errorf("the namespace %q has characters other than a-z, 0-9, \".\", \"_\" and \"-\"", s)
		}
	}
	return nil
}

func (a *apply) namespace(name string) (NamespaceRow, bool) {
	return load[NamespaceRow](a.state, row(tabNamespace, []byte(name)))
}

func (a *apply) saveNamespace(name string, ns NamespaceRow) {
	save(a.state, row(tabNamespace, []byte(name)), ns)
}

func (a *apply) giveNamespace(body []byte) *Refusal {
	var g GiveNamespace
	if r := unmarshal(body, &g); r != nil {
		return r
	}
	if err := checkNamespaceName(g.Name); err != nil {
		return refuseErr(CodeEncoding, err)
	}
	if g.Owner.Weak() || g.Quota > maxAmount {
		return refuse(CodeEncoding, "an owner that anybody can sign for, or a quota beyond 2^62")
	}
	ns, known := a.namespace(g.Name)
	if known && ns.Owner != g.Owner {
		ns.Sequence++
	}
	ns.Owner, ns.Quota = g.Owner, g.Quota
	if !known {
		ns.PaidTo = a.time
	}
	a.saveNamespace(g.Name, ns)
	if !known {
		a.collectRent(g.Name)
	}
	return nil
}

func runTransfer(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*Transfer)
	ns, ok := a.namespace(t.Namespace)
	switch {
	case !ok:
		return Result{}, refuse(CodeNamespace, "no namespace %q", t.Namespace)
	case ns.Owner == t.To && ns.Sequence == t.Sequence:
		// Whoever did not learn the outcome repeats the command, and owns nothing any more. Nothing changes, whoever signed it.
		return Result{Repeated: true, N: t.Sequence}, nil
	case ns.Owner != p.signer:
		return Result{}, refuse(CodeSignature, "only the owner can give namespace %q away", t.Namespace)
	case t.Sequence != ns.Sequence+1:
		return Result{}, refuse(CodeSequence, "change %d of the owner, the next is %d", t.Sequence, ns.Sequence+1)
	case t.To.Weak():
		return Result{}, refuse(CodeEncoding, "anybody could sign for the new owner")
	}
	ns.Owner, ns.Sequence = t.To, t.Sequence
	a.saveNamespace(t.Namespace, ns)
	return Result{N: t.Sequence}, nil
}

// collectRent takes the rent of a namespace's quota for the next period from its owner. An owner who can't
// pay keeps the data and may delete, but not write.
func (a *apply) collectRent(name string) {
	ns, ok := a.namespace(name)
	if !ok {
		return
	}
	pol := a.policy()
	due := Rent(ns.Quota, pol.Times.Rent, pol.Price.Storage)
	ns.Frozen = a.pay(ns.Owner, due) != nil
	if !ns.Frozen {
		ns.PaidTo = sum(a.time, pol.Times.Rent)
	}
	a.saveNamespace(name, ns)
	if due > 0 {
		a.setTimer(sum(a.time, pol.Times.Rent), timerNamespace, []byte(name))
	}
}

func (r *RevokeGrant) check() error {
	if len(r.Chain) == 0 || len(r.Chain) > capsule.MaxLinks {
		return fmt.Errorf("a chain of %d grants, want 1 to %d", len(r.Chain), capsule.MaxLinks)
	}
	return nil
}

// runRevoke withdraws the last grant of a chain, on the word of an issuer in it. It is kept until the grant
// would have expired.
func runRevoke(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*RevokeGrant)
	leaf, err := t.Chain.Leaf().Grant()
	if err != nil {
		return Result{}, refuseErr(CodeGrant, err)
	}
	if a.time >= leaf.Expires {
		return Result{}, refuse(CodeExpired, "the grant expired at %d ms by itself", leaf.Expires)
	}
	// The grant may start later than now: it is verified as of its own time.
	v, err := t.Chain.Verify(a.m.verified, capsule.AnyRoot, a.m.zone, leaf.NotBefore)
	if err != nil {
		return Result{}, refuseErr(CodeGrant, err)
	}
	issuers := make([]capsule.Key, v.Len())
	for i := range issuers {
		issuers[i] = v.Grant(i).Issuer
	}
	if !slices.Contains(issuers, p.signer) {
		return Result{}, refuse(CodeSignature, "%s issued no grant of this chain", p.signer)
	}
	h := v.Hash(v.Len() - 1)
	key := row(tabRevoked, h[:])
	if a.has(key) {
		return Result{Repeated: true}, nil
	}
	// Anybody can write chains for keys of his own; keeping their revocations must not be free. Who has
	// authority here is never kept from using it for lack of credits.
	if !a.ownsAny(v) {
		if r := a.pay(p.signer, Rent(uint64(len(key))+8, leaf.Expires-a.time, a.policy().Price.Storage)); r != nil {
			return Result{}, r
		}
	}
	save(a.state, key, leaf.Expires)
	a.setTimer(leaf.Expires, timerRevoked, h[:])
	z := a.zoneRow()
	z.RevokedCount++
	save(a.state, keyZone, z)
	a.dismissAll(h)
	return Result{}, nil
}

// ownsAny reports whether the chain's root has authority over something that it grants.
func (a *apply) ownsAny(v *capsule.VerifiedChain) bool {
	return slices.ContainsFunc(v.Grant(0).Caps, func(c capsule.Cap) bool { return a.authority(v.Root(), c.Resource) })
}
