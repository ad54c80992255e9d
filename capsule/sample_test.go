package capsule

import (
	"fmt"
	"testing"
)

// The world that the tests share: one zone, its root, an author, and people between them.
const (
	testNow     = 1_800_000_000_000 // zone time, ms
	testHour    = 3_600_000
	testGrantIn = testNow - testHour
)

func testIdentity(name string) *Identity { return IdentityFromSeed(Sum([]byte("identity " + name))) }

func testZone(name string) ZoneID { return ZoneID(Sum([]byte("zone " + name))) }

// testChain returns a chain of n links about zone that ends at audience. Every link narrows every field
// by one, so that each field can be widened again by a test.
func testChain(t testing.TB, zone ZoneID, n int, audience Key) Chain {
	t.Helper()
	var chain Chain
	for i := range n {
		issuer := testIdentity(fmt.Sprintf("link %d", i))
		next := testIdentity(fmt.Sprintf("link %d", i+1)).Key()
		if i == n-1 {
			next = audience
		}
		var err error
		chain, err = issuer.Delegate(chain, testGrant(zone, i, next))
		if err != nil {
			t.Fatal(err)
		}
	}
	return chain
}

func testGrant(zone ZoneID, i int, audience Key) Grant {
	resource := "kv/orders/*"
	if i > 0 {
		resource = "kv/orders/eu/*"
	}
	return Grant{
		Audience: audience, Subject: zone,
		Caps: []Cap{
			{Resource: ResourceAccount, Ability: Spend},
			{Resource: resource, Ability: AllAbilities>>i&(Read|Write|Log|Emit|Spend) | Read},
		},
		Gas: 1_000_000 - uint64(i), NotBefore: testGrantIn + uint64(i), Expires: testNow + testHour - uint64(i),
		Depth: uint8(MaxLinks - 1 - i), Nonce: Nonce{byte(i)},
	}
}

// testManifest asks for little, so that any chain of testChain grants it.
func testManifest() *Manifest {
	home, eu := testZone("home"), testZone("eu")
	return &Manifest{
		Home: home, Code: RawCID([]byte("code")), Entry: "run", Input: []byte("input"),
		Itinerary: []Stop{{Name: "eu", Zone: eu}, {Name: "home", Zone: home}},
		Needs:     []Need{{Zone: home, Resource: "kv/orders/eu/17", Ability: Read}},
		Limits:    Limits{MemoryPages: 64, TableElems: 1000, Depth: 1000, StateBytes: 1 << 20},
		Gas:       500_000, MaxPrice: 3, MinUnits: 1000, Expires: testNow + testHour, NotBefore: testNow - testHour,
		Seed: Sum([]byte("seed")), Nonce: Nonce{1, 2, 3}, MeterVersion: 1,
	}
}

func testCapsule(t testing.TB, links int) *Capsule {
	t.Helper()
	author := testIdentity("author")
	m := testManifest()
	chains := []Chain{}
	if links > 0 {
		chains = append(chains, testChain(t, m.Home, links, author.Key()))
	} else {
		m.Needs = nil
	}
	c, err := Seal(author, m, chains)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// sized returns a capsule of size bytes with some links, the rest being input.
func sized(t testing.TB, size, links int) *Capsule {
	t.Helper()
	author := testIdentity("author")
	m := testManifest()
	chains := []Chain{testChain(t, m.Home, links, author.Key())}
	m.Input = nil
	short, err := Seal(author, m, chains)
	if err != nil {
		t.Fatal(err)
	}
	m.Input = make([]byte, size-len(short.Bytes())-2)
	c, err := Seal(author, m, chains)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
