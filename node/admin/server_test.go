package admin

import (
	"bytes"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

func TestInspector(t *testing.T) {
	identity := func(seed byte) *capsule.Identity {
		id, err := capsule.NewIdentity(bytes.NewReader(bytes.Repeat([]byte{seed}, 64)))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	node, operator, friend, stranger := identity(1), identity(2), identity(3), identity(4)
	zone, other := capsule.ZoneID{1}, capsule.ZoneID{2}
	now := time.Now()
	withdrawn := map[capsule.Hash]bool{}
	s := &server{
		cfg: Config{Zones: []capsule.ZoneID{{9}, zone}, Operators: []capsule.Key{operator.Key()}},
		key: node.Key(), chains: capsule.NewCache(1 << 16),
		revoked: func(z capsule.ZoneID, grant capsule.Hash) (bool, error) { return z == zone && withdrawn[grant], nil },
	}
	revoked := func(c capsule.Chain) capsule.Chain {
		withdrawn[c.Hash()] = true
		return c
	}
	grant := func(by *capsule.Identity, parent capsule.Chain, to *capsule.Identity, change func(*capsule.Grant)) capsule.Chain {
		g := capsule.Grant{
			Audience: to.Key(), Subject: zone, NotBefore: 1, Expires: uint64(now.Add(time.Hour).UnixMilli()), Depth: 1,
			Caps: []capsule.Cap{{Resource: CapInspect, Ability: capsule.Read}},
		}
		if parent != nil {
			g.Depth = 0
		}
		if change != nil {
			change(&g)
		}
		c, err := by.Delegate(parent, g)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		name string
		peer *capsule.Identity
		with capsule.Chain
		want bool
	}{
		{"the node itself", node, nil, true},
		{"an operator", operator, nil, true},
		{"anybody", stranger, nil, false},
		{"with an operator's grant", friend, grant(operator, nil, friend, nil), true},
		{"with the node's grant", friend, grant(node, nil, friend, nil), true},
		{"handed on", stranger, grant(friend, grant(operator, nil, friend, nil), stranger, nil), true},
		{"with a grant to somebody else", stranger, grant(operator, nil, friend, nil), false},
		{"with a grant of nobody's", friend, grant(stranger, nil, friend, nil), false},
		{"with a grant of one's own", stranger, grant(stranger, nil, stranger, nil), false},
		{"for a zone that is not here", friend, grant(operator, nil, friend, func(g *capsule.Grant) { g.Subject = other }), false},
		{"of something else", friend, grant(operator, nil, friend, func(g *capsule.Grant) { g.Caps[0].Resource = "kv/*" }), false},
		{"of another ability", friend, grant(operator, nil, friend, func(g *capsule.Grant) { g.Caps[0].Ability = capsule.Write }), false},
		{"that is over", friend, grant(operator, nil, friend, func(g *capsule.Grant) { g.Expires = uint64(now.UnixMilli()) - 1 }), false},
		{"that was revoked", friend, revoked(grant(operator, nil, friend, func(g *capsule.Grant) { g.Gas = 1 })), false},
		{"that rests on a revoked one", stranger, grant(friend, revoked(grant(operator, nil, friend, func(g *capsule.Grant) { g.Gas = 2 })), stranger, nil), false},
		{"that is not yet valid", friend, grant(operator, nil, friend, func(g *capsule.Grant) { g.NotBefore = g.Expires - 1 }), false},
	} {
		if got := s.inspector(c.peer.Key(), c.with); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}
