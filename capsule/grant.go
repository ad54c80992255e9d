package capsule

import (
	"cmp"
	"fmt"
	"strings"
)

// Ability is a set of things that may be done to a resource.
type Ability uint32

const (
	Read   Ability = 1 << iota // see the value of a key, and scan
	Write                      // put
	Delete                     // remove a key
	Export                     // carry what was read out of the zone
	Spend                      // hold and pay credits of an account
	Emit                       // publish events under a topic
	Log                        // write lines into the zone's log

	// AllAbilities is every bit that this version knows. A bit beyond it is refused, never ignored: an
	// old verifier must not let pass what it cannot judge.
	AllAbilities = Read | Write | Delete | Export | Spend | Emit | Log
)

var abilityNames = [...]string{"read", "write", "delete", "export", "spend", "emit", "log"}

// String returns the names joined by "|", or "none".
func (a Ability) String() string {
	if a == 0 {
		return "none"
	}
	var names []string
	for i, name := range abilityNames {
		if a&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	if rest := a &^ AllAbilities; rest != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint32(rest)))
	}
	return strings.Join(names, "|")
}

// ParseAbility reads names joined by "|" or ",".
func ParseAbility(s string) (Ability, error) {
	var a Ability
	for name := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == '|' || r == ',' }) {
		bit := Ability(0)
		for i, known := range abilityNames {
			if name == known {
				bit = 1 << i
			}
		}
		if bit == 0 {
			return 0, fmt.Errorf("unknown ability %q; know %s", clip(name), strings.Join(abilityNames[:], ", "))
		}
		a |= bit
	}
	if a == 0 {
		return 0, fmt.Errorf("no ability in %q; know %s", clip(s), strings.Join(abilityNames[:], ", "))
	}
	return a, nil
}

// MarshalText makes JSON show an Ability as String does.
func (a Ability) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (a *Ability) UnmarshalText(b []byte) (err error) {
	*a, err = ParseAbility(string(b))
	return err
}

func (a Ability) check() string {
	if a == 0 || a&^AllAbilities != 0 {
		return "the ability is empty or has a bit that this version does not know"
	}
	return ""
}

// ResourceAccount is the resource under which an account's owner permits spending from it (ability Spend).
const ResourceAccount = "account"

// Cap permits abilities on one resource, or on everything below it when it ends in "/*".
type Cap struct {
	_        struct{} `cbor:",toarray"`
	Resource string   `json:"resource"`
	Ability  Ability  `json:"ability"`
}

// checkResource says what is wrong with a resource path: segments of [a-z0-9._-] joined by "/", at most
// one trailing "/*". There are no other patterns, so covering is a prefix test.
func checkResource(s string) string {
	if len(s) > MaxResource {
		return fmt.Sprintf("the resource has %d bytes, at most %d", len(s), MaxResource)
	}
	if !isPath(strings.TrimSuffix(s, "/*")) {
		return "the resource is not segments of [a-z0-9._-] joined by \"/\", with at most one trailing \"/*\""
	}
	return ""
}

func isPath(s string) bool {
	segment := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/':
			if segment == 0 {
				return false
			}
			segment = 0
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '.', c == '_', c == '-':
			segment++
		default:
			return false
		}
	}
	return segment > 0
}

// Covers reports whether everything that resource names is named by c.
func (c Cap) Covers(resource string) bool {
	if c.Resource == resource {
		return true
	}
	prefix, ok := strings.CutSuffix(c.Resource, "*")
	return ok && strings.HasPrefix(resource, prefix)
}

// granted returns the abilities that caps give together on resource.
func granted(caps []Cap, resource string) Ability {
	var a Ability
	for _, c := range caps {
		if c.Covers(resource) {
			a |= c.Ability
		}
	}
	return a
}

// Grant is a delegation: issuer lets audience use, or pass on, part of what issuer itself may do.
type Grant struct {
	_         struct{} `cbor:",toarray"`
	V         uint8    `json:"v"`
	Issuer    Key      `json:"issuer"`
	Audience  Key      `json:"audience"`   // may use the grant, or delegate further if Depth allows
	Subject   ZoneID   `json:"subject"`    // whose resources
	Caps      []Cap    `json:"caps"`       // Invariant: sorted by resource, each resource once
	Gas       uint64   `json:"gas"`        // ceiling for one capsule, units
	NotBefore uint64   `json:"not_before"` // zone time, ms, inclusive
	Expires   uint64   `json:"expires"`    // zone time, ms, exclusive
	Depth     uint8    `json:"depth"`      // further delegations allowed
	Nonce     Nonce    `json:"nonce"`
	Parent    Hash     `json:"parent"` // of the parent grant's payload, zero at the root
}

// check applies the rules that a grant keeps whatever stands before it.
func (g *Grant) check() *Refusal {
	switch {
	case g.V != Version:
		return refuse(CodeVersion, "grant version %d, know %d", g.V, Version)
	case g.Issuer.Weak() || g.Audience.Weak():
		return refuse(CodeField, "the issuer or the audience is a key that anybody can sign for")
	case g.Subject.IsZero():
		return refuse(CodeField, "the subject names no zone")
	case len(g.Caps) == 0:
		return refuse(CodeField, "a grant without capabilities")
	case len(g.Caps) > MaxCaps:
		return refuse(CodeSize, "%d capabilities, at most %d", len(g.Caps), MaxCaps)
	case g.Gas >= MaxGas || g.Expires >= MaxGas:
		return refuse(CodeField, "the gas ceiling or the expiry is not below 2^62")
	case g.NotBefore >= g.Expires:
		return refuse(CodeField, "the grant is never valid: it expires at %d ms and starts at %d ms", g.Expires, g.NotBefore)
	case g.Depth >= MaxLinks:
		return refuse(CodeField, "depth %d, but a chain has at most %d links", g.Depth, MaxLinks)
	}
	for i, c := range g.Caps {
		reason := checkResource(c.Resource)
		if reason == "" {
			reason = c.Ability.check()
		}
		if reason == "" && i > 0 && g.Caps[i-1].Resource >= c.Resource {
			reason = "capabilities are not in ascending order of resources"
		}
		if reason != "" {
			return refuse(CodeField, "capability %d: %s", i, reason)
		}
	}
	return nil
}

// narrows checks that g, the child, follows from p and gives nothing that p does not have. parent is the
// hash of p's payload.
func (g *Grant) narrows(p *Grant, parent Hash) *Refusal {
	switch {
	case g.Parent != parent:
		return refuse(CodeLink, "the parent is another grant")
	case g.Issuer != p.Audience:
		return refuse(CodeLink, "the issuer is not the parent's audience")
	case g.Subject != p.Subject:
		return refuse(CodeWider, "the subject is another zone than the parent's")
	case g.Depth >= p.Depth:
		return refuse(CodeWider, "depth %d, the parent allows %d further delegations, this one included", g.Depth, p.Depth)
	case g.Gas > p.Gas:
		return refuse(CodeWider, "gas %d, the parent has %d", g.Gas, p.Gas)
	case g.NotBefore < p.NotBefore:
		return refuse(CodeWider, "valid from %d ms, the parent from %d ms", g.NotBefore, p.NotBefore)
	case g.Expires > p.Expires:
		return refuse(CodeWider, "expires at %d ms, the parent at %d ms", g.Expires, p.Expires)
	}
	for _, c := range g.Caps {
		if more := c.Ability &^ granted(p.Caps, c.Resource); more != 0 {
			return refuse(CodeWider, "%s on %s is more than the parent has", more, c.Resource)
		}
	}
	return nil
}

// SignedGrant is a grant's canonical bytes and the issuer's signature of kind KindGrant over them.
type SignedGrant struct {
	_       struct{} `cbor:",toarray"`
	Payload RawItem  // Marshal(Grant)
	Sig     Sig
}

// Hash returns the hash of the payload: what a child names as parent and a revocation names.
func (s SignedGrant) Hash() Hash { return Sum(s.Payload) }

// Grant decodes the payload and checks the rules of a grant by itself; it does not check the signature.
func (s SignedGrant) Grant() (*Grant, error) {
	g, r := s.grant()
	if r != nil {
		return nil, r
	}
	return g, nil
}

func (s SignedGrant) grant() (*Grant, *Refusal) {
	g := new(Grant)
	d := decoder{b: s.Payload}
	d.grant(g)
	if d.fail != nil {
		return nil, refuseEncoding("grant", d.fail)
	}
	if r := g.check(); r != nil {
		return nil, r
	}
	return g, nil
}

// Delegate signs g as a chain of one link, or as the next link after parent. It sets V, Issuer and
// Parent, and sorts the capabilities; parent is not changed. It refuses what a verifier would refuse.
func (id *Identity) Delegate(parent Chain, g Grant) (Chain, error) {
	g.V, g.Issuer, g.Parent = Version, id.Key(), parent.Hash()
	g.Caps = sortedFunc(g.Caps, func(a, b Cap) int { return strings.Compare(a.Resource, b.Resource) })
	payload, err := Marshal(&g)
	if err != nil {
		return nil, err
	}
	chain := append(parent[:len(parent):len(parent)], SignedGrant{Payload: payload, Sig: id.Sign(KindGrant, payload)})
	if _, r := chain.verifyLinks(nil); r != nil {
		return nil, r
	}
	return chain, nil
}

// Revoke withdraws a grant and everything delegated from it. Whoever issued a link of the chain may sign
// one, with kind KindRevoke.
type Revoke struct {
	_     struct{} `cbor:",toarray"`
	V     uint8    `json:"v"`
	Zone  ZoneID   `json:"zone"`  // the grant's subject, which keeps the revocation until the grant would have expired
	Grant Hash     `json:"grant"` // of the revoked grant's payload
}

// compareNeeds is the canonical order of needs.
func compareNeeds(a, b Need) int {
	return cmp.Or(compareZones(a.Zone, b.Zone), strings.Compare(a.Resource, b.Resource))
}
