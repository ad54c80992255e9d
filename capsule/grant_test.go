package capsule

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

func codeOf(err error) Code {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Code
	}
	if err != nil {
		return Code("not a refusal: " + err.Error())
	}
	return "accepted"
}

// forge signs g as it is, with the right parent and by its issuer, but with no check: what a hostile
// delegator does.
func forge(t testing.TB, issuer *Identity, parent Chain, g Grant) Chain {
	t.Helper()
	g.V, g.Issuer, g.Parent = Version, issuer.Key(), parent.Hash()
	return forgeAs(t, issuer, parent, g)
}

func forgeAs(t testing.TB, signer *Identity, parent Chain, g Grant) Chain {
	t.Helper()
	payload, err := Marshal(&g)
	if err != nil {
		t.Fatal(err)
	}
	return append(slices.Clone(parent), SignedGrant{Payload: payload, Sig: signer.Sign(KindGrant, payload)})
}

// rebuild makes the 8-link chain of testChain again with link at changed by change, every other link
// signed as its holder would, and the parents' hashes right.
func rebuild(t testing.TB, at int, change func(g *Grant)) Chain {
	t.Helper()
	var chain Chain
	for i := range MaxLinks {
		g := testGrant(testZone("home"), i, testIdentity(fmt.Sprintf("link %d", i+1)).Key())
		if i == at {
			change(&g)
		}
		chain = forge(t, testIdentity(fmt.Sprintf("link %d", i)), chain, g)
	}
	return chain
}

func TestChain(t *testing.T) {
	for n := 1; n <= MaxLinks; n++ {
		audience := testIdentity("author").Key()
		chain := testChain(t, testZone("home"), n, audience)
		v, err := chain.Verify(nil, AnyRoot, testZone("home"), testNow)
		if err != nil {
			t.Fatal(err)
		}
		if v.Len() != n || v.Root() != testIdentity("link 0").Key() || v.Audience() != audience || v.Subject() != testZone("home") ||
			v.Gas() != 1_000_000-uint64(n-1) || v.Hash(n-1) != chain.Hash() || v.Grant(0).Depth != MaxLinks-1 || len(v.Caps()) != 2 {
			t.Errorf("%d links: the verified chain says something else than the grants", n)
		}
	}
}

// TestWidened: at every link of an 8-link chain, every field that may only narrow is widened beyond the
// parent, and the chain is signed properly by everybody.
func TestWidened(t *testing.T) {
	home := testZone("home")
	if _, err := rebuild(t, -1, nil).Verify(nil, AnyRoot, home, testNow); err != nil {
		t.Fatalf("the unchanged chain: %v", err)
	}
	widen := map[string]func(parent Grant) func(*Grant){
		"subject":    func(Grant) func(*Grant) { return func(g *Grant) { g.Subject = testZone("eu") } },
		"gas":        func(p Grant) func(*Grant) { return func(g *Grant) { g.Gas = p.Gas + 1 } },
		"not before": func(p Grant) func(*Grant) { return func(g *Grant) { g.NotBefore = p.NotBefore - 1 } },
		"expires":    func(p Grant) func(*Grant) { return func(g *Grant) { g.Expires = p.Expires + 1 } },
		"depth":      func(p Grant) func(*Grant) { return func(g *Grant) { g.Depth = p.Depth } },
		"ability":    func(Grant) func(*Grant) { return func(g *Grant) { g.Caps[1].Ability |= Delete } },
		"resource":   func(Grant) func(*Grant) { return func(g *Grant) { g.Caps[1].Resource = "kv/*" } },
		"other resource": func(Grant) func(*Grant) {
			return func(g *Grant) { g.Caps = append(g.Caps, Cap{Resource: "kv/zebras", Ability: Read}) }
		},
		"a longer name": func(p Grant) func(*Grant) {
			return func(g *Grant) { g.Caps[1].Resource = strings.TrimSuffix(p.Caps[1].Resource, "/*") + "pe/*" }
		},
		"the folder itself": func(p Grant) func(*Grant) {
			return func(g *Grant) { g.Caps[1].Resource = strings.TrimSuffix(p.Caps[1].Resource, "/*") }
		},
	}
	for name, change := range widen {
		for link := 1; link < MaxLinks; link++ {
			parent := testGrant(testZone("home"), link-1, Key{})
			_, err := rebuild(t, link, change(parent)).Verify(nil, AnyRoot, home, testNow)
			r, ok := errors.AsType[*Refusal](err)
			if !ok || r.Code != CodeWider || r.Link != link {
				t.Errorf("%s at link %d: %v", name, link, err)
			}
		}
	}
}

// TestBrokenLinks: the fields that tie a link to its parent.
func TestBrokenLinks(t *testing.T) {
	home := testZone("home")
	mallory := testIdentity("mallory")
	for link := range MaxLinks {
		whole := rebuild(t, -1, nil)
		g, err := whole[link].Grant()
		if err != nil {
			t.Fatal(err)
		}
		if link > 0 {
			other := rebuild(t, 0, func(g *Grant) { g.Nonce[0]++ })
			if _, err := append(slices.Clone(other[:link]), whole[link:]...).Verify(nil, AnyRoot, home, testNow); codeOf(err) != CodeLink {
				t.Errorf("link %d after another parent: %v", link, err)
			}
			thief := *g
			thief.Issuer = mallory.Key()
			if _, err := forgeAs(t, mallory, whole[:link], thief).Verify(nil, AnyRoot, home, testNow); codeOf(err) != CodeLink {
				t.Errorf("link %d issued by somebody else: %v", link, err)
			}
			if _, err := whole[link:].Verify(nil, AnyRoot, home, testNow); codeOf(err) != CodeLink {
				t.Errorf("without the links before %d: %v", link, err)
			}
		}
		if _, err := forgeAs(t, mallory, whole[:link], *g).Verify(nil, AnyRoot, home, testNow); codeOf(err) != CodeGrantSig {
			t.Errorf("link %d signed by somebody else: %v", link, err)
		}
		dropped := slices.Delete(slices.Clone(whole), link, link+1)
		if _, err := dropped.Verify(nil, AnyRoot, home, testNow); err == nil && link != MaxLinks-1 {
			t.Errorf("accepted without link %d", link)
		}
	}
	deep := rebuild(t, -1, nil)
	if _, err := append(deep, deep[7]).Verify(nil, AnyRoot, home, testNow); codeOf(err) != CodeSize {
		t.Errorf("9 links: %v", err)
	}
	if _, err := (Chain{}).Verify(nil, AnyRoot, home, testNow); codeOf(err) != CodeSize {
		t.Errorf("no link: %v", err)
	}
}

// TestChainBits flips every bit of an 8-link chain.
func TestChainBits(t *testing.T) {
	chain := testChain(t, testZone("home"), MaxLinks, testIdentity("author").Key())
	cache := NewCache(1 << 20)
	if _, err := chain.Verify(cache, AnyRoot, testZone("home"), testNow); err != nil {
		t.Fatal(err)
	}
	for i := range chain {
		for bit := range 8 * (len(chain[i].Payload) + 64) {
			flipped := slices.Clone(chain)
			if at := bit / 8; at < len(chain[i].Payload) {
				flipped[i].Payload = slices.Clone(chain[i].Payload)
				flipped[i].Payload[at] ^= 1 << (bit % 8)
			} else {
				flipped[i].Sig[at-len(chain[i].Payload)] ^= 1 << (bit % 8)
			}
			if _, err := flipped.Verify(cache, AnyRoot, testZone("home"), testNow); err == nil {
				t.Fatalf("accepted with bit %d of link %d flipped", bit, i)
			}
		}
	}
}

// TestChainMoment: what is asked of a chain each time, cached or not.
func TestChainMoment(t *testing.T) {
	home, cache := testZone("home"), NewCache(1<<20)
	chain := testChain(t, home, 3, testIdentity("author").Key())
	root := testIdentity("link 0").Key()
	onlyRoot := func(k Key) bool { return k == root }
	leaf, err := chain.Leaf().Grant()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, c := range []struct {
			want  Code
			roots func(Key) bool
			zone  ZoneID
			now   uint64
		}{
			{"accepted", onlyRoot, home, testNow},
			{"accepted", onlyRoot, home, leaf.NotBefore},
			{"accepted", onlyRoot, home, leaf.Expires - 1},
			{CodeGrantTime, onlyRoot, home, leaf.NotBefore - 1},
			{CodeGrantTime, onlyRoot, home, leaf.Expires},
			{CodeRoot, func(k Key) bool { return k != root }, home, testNow},
			{CodeRoot, onlyRoot, testZone("eu"), testNow},
		} {
			if _, err := chain.Verify(cache, c.roots, c.zone, c.now); codeOf(err) != c.want {
				t.Errorf("at %d: %v, want %s", c.now, err, c.want)
			}
		}
	}
}

func TestGrantRules(t *testing.T) {
	weak := Key{0: 1}
	for name, c := range map[string]struct {
		want   Code
		change func(*Grant)
	}{
		"weak audience":    {CodeField, func(g *Grant) { g.Audience = weak }},
		"no subject":       {CodeField, func(g *Grant) { g.Subject = ZoneID{} }},
		"no caps":          {CodeField, func(g *Grant) { g.Caps = nil }},
		"gas":              {CodeField, func(g *Grant) { g.Gas = MaxGas }},
		"expires":          {CodeField, func(g *Grant) { g.Expires = MaxGas }},
		"never":            {CodeField, func(g *Grant) { g.NotBefore = g.Expires }},
		"depth":            {CodeField, func(g *Grant) { g.Depth = MaxLinks }},
		"no ability":       {CodeField, func(g *Grant) { g.Caps[0].Ability = 0 }},
		"unknown ability":  {CodeField, func(g *Grant) { g.Caps[0].Ability |= AllAbilities + 1 }},
		"unsorted":         {CodeField, func(g *Grant) { slices.Reverse(g.Caps) }},
		"twice":            {CodeField, func(g *Grant) { g.Caps[1] = g.Caps[0] }},
		"parent of a root": {CodeLink, func(g *Grant) { g.Parent = Hash{1} }},
		"version":          {CodeVersion, func(g *Grant) { g.V = 2 }},
		"other issuer":     {CodeGrantSig, func(g *Grant) { g.Issuer = testIdentity("other").Key() }},
		"too many": {CodeEncoding, func(g *Grant) {
			g.Caps = nil
			for i := range MaxCaps + 1 {
				g.Caps = append(g.Caps, Cap{Resource: fmt.Sprintf("kv/%02d", i), Ability: Read})
			}
		}},
		"long resource": {CodeEncoding, func(g *Grant) { g.Caps[1].Resource = strings.Repeat("z", MaxResource+1) }},
	} {
		root := testIdentity("link 0")
		g := testGrant(testZone("home"), 0, testIdentity("author").Key())
		g.V, g.Issuer = Version, root.Key()
		c.change(&g)
		if _, err := forgeAs(t, root, nil, g).Verify(nil, AnyRoot, g.Subject, testNow); codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestDelegateRefuses(t *testing.T) {
	chain := testChain(t, testZone("home"), 2, testIdentity("author").Key())
	before := chain.Hash()
	g := testGrant(testZone("home"), 2, testIdentity("friend").Key())
	slices.Reverse(g.Caps)
	longer, err := testIdentity("author").Delegate(chain, g)
	if err != nil || len(longer) != 3 || chain.Hash() != before || g.Caps[0].Resource == ResourceAccount {
		t.Errorf("delegating changed its arguments or failed: %v", err)
	}
	if _, err := testIdentity("mallory").Delegate(chain, g); codeOf(err) != CodeLink {
		t.Errorf("somebody else delegates: %v", err)
	}
	g.Gas = MaxGas - 1
	if _, err := testIdentity("author").Delegate(chain, g); codeOf(err) != CodeWider {
		t.Errorf("delegating more than there is: %v", err)
	}
}

func TestResources(t *testing.T) {
	for s, want := range map[string]bool{
		"kv": true, "kv/a": true, "kv/a/*": true, "kv/*": true, "a.b_c-d/0": true, "account": true,
		"": false, "*": false, "/": false, "/*": false, "kv/": false, "/kv": false, "kv//a": false, "kv/*/a": false, "kv/a*": false,
		"kv/A": false, "kv/ü": false, "kv/*/*": false, "kv\x00": false, "kv/a/": false, "kv a": false, "kv/?": false,
		strings.Repeat("a", MaxResource): true, strings.Repeat("a", MaxResource+1): false,
	} {
		if got := checkResource(s) == ""; got != want {
			t.Errorf("%q: valid %t, want %t", s, got, want)
		}
	}
	for _, c := range []struct {
		cap, resource string
		want          bool
	}{
		{"kv/a", "kv/a", true}, {"kv/a", "kv/a/b", false}, {"kv/a", "kv/ab", false}, {"kv/a", "kv/a/*", false},
		{"kv/a/*", "kv/a/b", true}, {"kv/a/*", "kv/a/b/c", true}, {"kv/a/*", "kv/a/b/*", true}, {"kv/a/*", "kv/a/*", true},
		{"kv/a/*", "kv/a", false}, {"kv/a/*", "kv/ab/c", false}, {"kv/a/*", "kv/*", false}, {"kv/*", "kw/a", false},
	} {
		if got := (Cap{Resource: c.cap}).Covers(c.resource); got != c.want {
			t.Errorf("%s covers %s: %t, want %t", c.cap, c.resource, got, c.want)
		}
	}
}

// TestCoverIsSound compares covering with its meaning: the set of concrete resources that a path names.
func TestCoverIsSound(t *testing.T) {
	var paths []string
	segments := []string{"a", "b", "ab"}
	for _, x := range segments {
		paths = append(paths, x)
		for _, y := range segments {
			paths = append(paths, x+"/"+y)
			for _, z := range segments {
				paths = append(paths, x+"/"+y+"/"+z)
			}
		}
	}
	names := func(pattern, path string) bool {
		folder, all := strings.CutSuffix(pattern, "/*")
		if !all {
			return pattern == path
		}
		p, f := strings.Split(path, "/"), strings.Split(folder, "/")
		return len(p) > len(f) && slices.Equal(p[:len(f)], f)
	}
	patterns := slices.Clone(paths)
	for _, p := range paths {
		if strings.Count(p, "/") < 2 { // below a deeper folder this universe has no names
			patterns = append(patterns, p+"/*")
		}
	}
	for _, a := range patterns {
		for _, b := range patterns {
			want := true
			for _, p := range paths {
				want = want && (!names(b, p) || names(a, p))
			}
			if got := (Cap{Resource: a}).Covers(b); got != want {
				t.Errorf("%s covers %s: %t, want %t", a, b, got, want)
			}
		}
	}
}

func TestCache(t *testing.T) {
	chain := testChain(t, testZone("home"), 3, testIdentity("author").Key())
	cache := NewCache(64 << 10)
	first, err := chain.Verify(cache, AnyRoot, testZone("home"), testNow)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := chain.Verify(cache, AnyRoot, testZone("home"), testNow); err != nil || again != first {
		t.Errorf("verified a second time (%v)", err)
	}
	bad := slices.Clone(chain)
	bad[1].Sig[5] ^= 1
	for range 2 {
		if _, err := bad.Verify(cache, AnyRoot, testZone("home"), testNow); codeOf(err) != CodeGrantSig {
			t.Errorf("a forged copy of a cached chain: %v", err)
		}
	}
	// The same links divided otherwise are another chain.
	if _, err := chain[:2].Verify(cache, AnyRoot, testZone("home"), testNow); err != nil {
		t.Error(err)
	}
}

// TestCacheSigned: a capsule that is met again costs no signature, and every other one costs its own, whatever it shares
// with the first.
func TestCacheSigned(t *testing.T) {
	c, cache := testCapsule(t, 1), NewCache(64<<10)
	verify := func(b []byte) error {
		_, err := Verify(b, testNow, cache)
		return err
	}
	if err := verify(c.Bytes()); err != nil {
		t.Fatal(err)
	}
	n := cache.kept.Len()
	if err := verify(c.Bytes()); err != nil || cache.kept.Len() != n || n != 2 {
		t.Errorf("%d entries after the first time, %d after the second (%v); want a chain and a signature", n, cache.kept.Len(), err)
	}
	at := bytes.Index(c.Bytes(), c.env.Sig[:])
	for _, i := range []int{at, at + 63} {
		forged := slices.Clone(c.Bytes())
		forged[i] ^= 1
		for range 2 {
			if err := verify(forged); codeOf(err) != CodeSignature {
				t.Errorf("a copy whose signature differs at %d: %v", i-at, err)
			}
		}
	}
	at = bytes.Index(c.Bytes(), c.manifest.Nonce[:])
	other := slices.Clone(c.Bytes())
	other[at] ^= 1
	if err := verify(other); codeOf(err) != CodeSignature {
		t.Errorf("another manifest under the signature: %v", err)
	}
	if cache.kept.Len() != n {
		t.Error("what was refused is remembered")
	}
	if _, err := Verify(c.Bytes(), testNow+1<<50, cache); codeOf(err) != CodeExpired {
		t.Errorf("a remembered capsule that has expired: %v", err)
	}
}

// TestCacheBound: a flood of chains, each used once, stays within the limit, and a chain that is in
// use survives it.
func TestCacheBound(t *testing.T) {
	const limit = 20_000
	cache := NewCache(limit)
	used := &VerifiedChain{bytes: 1000}
	cache.put(Hash{0xff, 0xff}, used)
	cache.put(Hash{0xfe, 0xff}, &VerifiedChain{bytes: limit})
	if _, ok := cache.get(Hash{0xfe, 0xff}); ok {
		t.Error("holds a chain of its whole limit")
	}
	for i := range 1000 {
		cache.put(Hash{byte(i), byte(i >> 8)}, &VerifiedChain{bytes: 1000})
		cache.put(Hash{byte(i), byte(i >> 8), 1}, nil) // and the signature of its capsule
		if v, _ := cache.get(Hash{0xff, 0xff}); v != used {
			t.Fatalf("the chain in use was forgotten after %d others", i)
		}
		if held := held(cache, i); held > limit {
			t.Fatalf("%d bytes held, limit %d", held, limit)
		}
	}
}

// held is the weight of what TestCacheBound put as far as n.
func held(cache *Cache, n int) (bytes int) {
	for i := range n + 1 {
		for kind := range byte(2) {
			if v, ok := cache.kept.Peek(Hash{byte(i), byte(i >> 8), kind}); ok {
				bytes += v.cost()
			}
		}
	}
	return bytes
}

func TestCacheConcurrent(t *testing.T) {
	cache := NewCache(4000) // small: generations change all the time
	chains := make([]Chain, 6)
	for i := range chains {
		chains[i] = testChain(t, testZone(fmt.Sprint(i)), 2, testIdentity("author").Key())
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for round := range 50 {
				i := (worker + round) % len(chains)
				v, err := chains[i].Verify(cache, AnyRoot, testZone(fmt.Sprint(i)), testNow)
				if err != nil || v.Hash(1) != chains[i].Hash() {
					t.Errorf("chain %d: %v", i, err)
					return
				}
			}
		})
	}
	wg.Wait()
}
