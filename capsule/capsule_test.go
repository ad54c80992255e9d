package capsule

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSealVerify(t *testing.T) {
	for _, links := range []int{0, 1, 3, MaxLinks} {
		c := testCapsule(t, links)
		got, err := Verify(c.Bytes(), testNow, nil)
		if err != nil {
			t.Fatalf("%d links: %v", links, err)
		}
		if got.ID() != c.ID() || !reflect.DeepEqual(got.Manifest(), c.Manifest()) || got.Sig() != c.Sig() ||
			!reflect.DeepEqual(got.Chains(), c.Chains()) || len(got.Verified()) != len(c.Chains()) || !bytes.Equal(got.Bytes(), c.Bytes()) {
			t.Errorf("%d links: another capsule came back", links)
		}
		if got.ID() != ID(Sum(got.ManifestBytes())) {
			t.Errorf("the ID is not the manifest's hash")
		}
		again, err := Marshal(got.Manifest())
		if err != nil || !bytes.Equal(again, got.ManifestBytes()) {
			t.Errorf("the manifest encodes to other bytes (%v)", err)
		}
	}
}

// TestGolden pins the format: these bytes were signed, and must be read and written alike by every later
// version of this code.
func TestGolden(t *testing.T) {
	c := testCapsule(t, 2)
	path := filepath.Join("testdata", "capsule-v1.hex")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(c.Bytes())+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(text)); hex.EncodeToString(c.Bytes()) != want {
		t.Errorf("the format changed: got\n%x\nwant\n%s", c.Bytes(), want)
	}
	const id = "bafyreib3rbipuzfrwyqujpx4nakm55p26bmehoexf545tbyfsptvdctzqy"
	if got := c.ID().String(); got != id {
		t.Errorf("ID %s, want %s", got, id)
	}
}

// TestCapsuleBits flips every bit of a capsule with 3 links and of one with 8.
func TestCapsuleBits(t *testing.T) {
	for _, links := range []int{3, MaxLinks} {
		c := testCapsule(t, links)
		cache := NewCache(1 << 20)
		b := slices.Clone(c.Bytes())
		for bit := range 8 * len(b) {
			b[bit/8] ^= 1 << (bit % 8)
			if _, err := Verify(b, testNow, cache); codeOf(err) == "accepted" || errors.As(err, new(*EncodingError)) != (codeOf(err) == CodeEncoding) {
				t.Fatalf("%d links, bit %d of byte %d flipped: %v", links, bit%8, bit/8, err)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}

// TestCapsuleRespelled: another spelling of any item is refused for its encoding, not for the signature
// that it breaks as well. What the change makes another field value is refused somehow.
func TestCapsuleRespelled(t *testing.T) {
	c := testCapsule(t, 3)
	for name, b := range respell(c.Bytes()) {
		_, err := Verify(b, testNow, nil)
		want := CodeEncoding
		if got := codeOf(err); got != want && !errors.As(err, new(*Refusal)) || got == "accepted" {
			t.Errorf("%s: %v", name, err)
		} else if strings.HasPrefix(name, "head") && got != want {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
		if strings.HasPrefix(name, "head") || strings.HasPrefix(name, "indefinite") {
			if _, err := Peek(b, testNow); codeOf(err) != CodeEncoding {
				t.Errorf("%s: Peek says %v", name, err)
			}
		}
	}
	for n := range c.Bytes() {
		if _, err := Verify(c.Bytes()[:n], testNow, nil); codeOf(err) != CodeEncoding {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}

func TestSize(t *testing.T) {
	for name, f := range map[string]func([]byte) error{
		"Peek":   func(b []byte) error { _, err := Peek(b, testNow); return err },
		"Verify": func(b []byte) error { _, err := Verify(b, testNow, nil); return err },
	} {
		if err := f(make([]byte, MaxEnvelope+1)); codeOf(err) != CodeSize {
			t.Errorf("%s: %v", name, err)
		}
		if err := f(make([]byte, MaxEnvelope)); codeOf(err) != CodeEncoding {
			t.Errorf("%s at the limit: %v", name, err)
		}
	}
}

// TestManifestRules breaks one rule at a time; signed or not, such a capsule does not exist.
func TestManifestRules(t *testing.T) {
	weak := Key{0: 1}
	state := RawCID([]byte("state"))
	for name, c := range map[string]struct {
		want   Code
		change func(*Manifest)
	}{
		"no home":              {CodeField, func(m *Manifest) { m.Home = ZoneID{} }},
		"weak payer":           {CodeField, func(m *Manifest) { m.Payer = weak }},
		"never valid":          {CodeField, func(m *Manifest) { m.NotBefore = m.Expires }},
		"expires":              {CodeField, func(m *Manifest) { m.Expires = MaxGas }},
		"no code":              {CodeField, func(m *Manifest) { m.Code = CID{} }},
		"code is a structure":  {CodeField, func(m *Manifest) { m.Code = CID{Codec: DagCBOR, Digest: Sum(nil)} }},
		"state without hash":   {CodeField, func(m *Manifest) { m.Input, m.State = nil, state }},
		"hash without state":   {CodeField, func(m *Manifest) { m.StateHash = Sum(nil) }},
		"base without state":   {CodeField, func(m *Manifest) { m.Base = state }},
		"no entry":             {CodeField, func(m *Manifest) { m.Entry = "" }},
		"input beside a state": {CodeField, func(m *Manifest) { m.State, m.StateHash = state, Sum(nil) }},
		"long entry":           {CodeSize, func(m *Manifest) { m.Entry = strings.Repeat("e", MaxEntry+1) }},
		"large input":          {CodeSize, func(m *Manifest) { m.Input = make([]byte, MaxInput+1) }},
		"memory":               {CodeField, func(m *Manifest) { m.Limits.MemoryPages = MaxMemoryPages + 1 }},
		"state bytes":          {CodeField, func(m *Manifest) { m.Limits.StateBytes = MaxGas }},
		"no gas":               {CodeField, func(m *Manifest) { m.Gas, m.MinUnits = 0, 0 }},
		"gas":                  {CodeField, func(m *Manifest) { m.Gas = MaxGas }},
		"price":                {CodeField, func(m *Manifest) { m.MaxPrice = MaxGas }},
		"minimum above limit":  {CodeField, func(m *Manifest) { m.MinUnits = m.Gas + 1 }},
		"silence":              {CodeField, func(m *Manifest) { m.Silence = Fork + 1 }},
		"meter":                {CodeField, func(m *Manifest) { m.MeterVersion = 0 }},
		"name":                 {CodeField, func(m *Manifest) { m.Itinerary[0].Name = "EU" }},
		"name with a slash":    {CodeField, func(m *Manifest) { m.Itinerary[0].Name = "e/u" }},
		"long name":            {CodeField, func(m *Manifest) { m.Itinerary[0].Name = strings.Repeat("n", MaxName+1) }},
		"name twice":           {CodeField, func(m *Manifest) { m.Itinerary[0].Name = m.Itinerary[1].Name }},
		"stop nowhere":         {CodeField, func(m *Manifest) { m.Itinerary[0].Zone = ZoneID{} }},
		"long itinerary":       {CodeSize, func(m *Manifest) { m.Itinerary = manyStops(MaxItinerary + 1) }},
		"need of nothing":      {CodeField, func(m *Manifest) { m.Needs[0].Ability = 0 }},
		"need of a pattern":    {CodeField, func(m *Manifest) { m.Needs[0].Resource = "kv/*/a" }},
		"need elsewhere":       {CodeField, func(m *Manifest) { m.Needs[0].Zone = testZone("mars") }},
		"need twice":           {CodeField, func(m *Manifest) { m.Needs = append(m.Needs, m.Needs[0]) }},
		"many needs":           {CodeSize, func(m *Manifest) { m.Needs = manyNeeds(m.Home, MaxNeeds+1) }},
	} {
		author := testIdentity("author")
		m := testManifest()
		c.change(m)
		if _, err := Seal(author, m, []Chain{testChain(t, testZone("home"), 1, author.Key())}); codeOf(err) != c.want {
			t.Errorf("%s: sealing says %v, want %s", name, err, c.want)
		}
		if r := m.check(); r == nil {
			m.V, m.Author = Version, author.Key()
			if r := m.check(); r == nil {
				t.Errorf("%s: passes the rules when already signed", name)
			}
		}
	}
}

func manyStops(n int) (stops []Stop) {
	for i := range n {
		stops = append(stops, Stop{Name: fmt.Sprintf("zone%02d", i), Zone: testZone(fmt.Sprint(i))})
	}
	return stops
}

func manyNeeds(z ZoneID, n int) (needs []Need) {
	for i := range n {
		needs = append(needs, Need{Zone: z, Resource: fmt.Sprintf("kv/orders/%02d", i), Ability: Read})
	}
	return needs
}

// TestLargest: a capsule at all its limits together still travels.
func TestLargest(t *testing.T) {
	author := testIdentity("author")
	m := testManifest()
	m.Input = make([]byte, MaxInput)
	m.Itinerary = manyStops(MaxItinerary)
	m.Needs = manyNeeds(m.Home, MaxNeeds)
	c, err := Seal(author, m, []Chain{testChain(t, m.Home, 1, author.Key()), testChain(t, testZone("eu"), MaxLinks, author.Key())})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(c.Bytes(), testNow, nil); err != nil {
		t.Error(err)
	}
	m.Itinerary = nil
	chains := make([]Chain, MaxChains+1)
	for i := range chains {
		chains[i] = testChain(t, testZone(fmt.Sprint(i)), 1, author.Key())
	}
	if _, err := Seal(author, m, chains); codeOf(err) != CodeSize {
		t.Errorf("%d chains: %v", len(chains), err)
	}
}

// TestGranted: what the author asks for against what the chains give.
func TestGranted(t *testing.T) {
	author, payer := testIdentity("author"), testIdentity("payer")
	home, eu := testZone("home"), testZone("eu")
	mine := func(zone ZoneID, links int) Chain { return testChain(t, zone, links, author.Key()) }
	paid := func(zone ZoneID, a Ability) Chain {
		g := testGrant(zone, 0, author.Key())
		g.Caps = []Cap{{Resource: ResourceAccount, Ability: a}}
		return forge(t, payer, nil, g)
	}
	byPayer := func(m *Manifest) { m.Payer = payer.Key() }
	for name, c := range map[string]struct {
		want   Code
		chains []Chain
		change func(*Manifest)
	}{
		"granted":          {"accepted", []Chain{mine(home, 3)}, func(*Manifest) {}},
		"nothing":          {CodeNeed, nil, func(*Manifest) {}},
		"another zone":     {CodeNeed, []Chain{mine(eu, 3)}, func(*Manifest) {}},
		"another resource": {CodeNeed, []Chain{mine(home, 3)}, func(m *Manifest) { m.Needs[0].Resource = "kv/orders/us/1" }},
		"another ability":  {CodeNeed, []Chain{mine(home, 3)}, func(m *Manifest) { m.Needs[0].Ability |= Delete }},
		"a whole folder":   {CodeNeed, []Chain{mine(home, 3)}, func(m *Manifest) { m.Needs[0].Resource = "kv/orders/*" }},
		"two zones": {"accepted", []Chain{mine(eu, 2), mine(home, 1)}, func(m *Manifest) {
			m.Needs = append(m.Needs, Need{Zone: eu, Resource: "kv/orders/eu/*", Ability: Read})
		}},
		"gas":                {CodeGas, []Chain{mine(home, 3)}, func(m *Manifest) { m.Gas = 999_999 }},
		"somebody else's":    {CodeAudience, []Chain{testChain(t, home, 3, payer.Key())}, func(*Manifest) {}},
		"the same twice":     {CodeField, []Chain{mine(home, 3), mine(home, 3)}, func(*Manifest) {}},
		"payer agrees":       {"accepted", []Chain{mine(home, 1), paid(home, Spend)}, byPayer},
		"payer never agreed": {CodePayer, []Chain{mine(home, 1)}, byPayer},
		"payer elsewhere":    {CodePayer, []Chain{mine(home, 1), paid(eu, Spend)}, byPayer},
		"payer lets read":    {CodePayer, []Chain{mine(home, 1), paid(home, Read)}, byPayer},
	} {
		m := testManifest()
		c.change(m)
		sealed, err := Seal(author, m, c.chains)
		if codeOf(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
		if err == nil {
			if _, err := Verify(sealed.Bytes(), testNow, nil); err != nil {
				t.Errorf("%s: sealed and then %v", name, err)
			}
		}
	}
}

// TestChainsAreSigned: the manifest fixes its chains, in number, order and content.
func TestChainsAreSigned(t *testing.T) {
	author := testIdentity("author")
	m := testManifest()
	a, b := testChain(t, testZone("home"), 2, author.Key()), testChain(t, testZone("eu"), 2, author.Key())
	c, err := Seal(author, m, []Chain{a, b})
	if err != nil {
		t.Fatal(err)
	}
	for name, chains := range map[string][]Chain{
		"none": {}, "one": {a}, "swapped": {b, a}, "another": {a, testChain(t, testZone("eu"), 1, author.Key())}, "more": {a, b, b}, "empty": {a, {}},
	} {
		env := c.env
		env.Chains = chains
		bytes, err := Marshal(&env)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Verify(bytes, testNow, nil); codeOf(err) != CodeChain {
			t.Errorf("%s: %v, want %s", name, err, CodeChain)
		}
	}
	env := c.env
	env.Sig = testIdentity("mallory").Sign(KindManifest, env.Manifest)
	bytes, err := Marshal(&env)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(bytes, testNow, nil); codeOf(err) != CodeSignature {
		t.Errorf("signed by somebody else: %v", err)
	}
}

// TestMoment: the period of the capsule and, in its own zone, of each chain.
func TestMoment(t *testing.T) {
	author := testIdentity("author")
	home, eu := testZone("home"), testZone("eu")
	m := testManifest()
	m.NotBefore, m.Expires = testGrantIn-10, testNow+10*testHour
	late := testGrant(eu, 0, author.Key())
	late.NotBefore, late.Expires = testNow+2*testHour, testNow+3*testHour
	there, err := testIdentity("link 0").Delegate(nil, late)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Seal(author, m, []Chain{testChain(t, home, 2, author.Key()), there})
	if err != nil {
		t.Fatal(err)
	}
	inHome := func(now uint64) error { _, err := Verify(c.Bytes(), now, nil); return err }
	inEU := func(now uint64) error { _, err := VerifyIn(eu, c.Bytes(), now, nil); return err }
	for _, v := range []struct {
		name string
		f    func(uint64) error
		now  uint64
		want Code
	}{
		{"home, before", inHome, m.NotBefore - 1, CodeNotYet},
		{"home, before the grant", inHome, m.NotBefore, CodeGrantTime},
		{"home, now", inHome, testNow, "accepted"},
		{"home, the grant expired", inHome, testNow + testHour, CodeGrantTime},
		{"home, after", inHome, m.Expires, CodeExpired},
		{"eu, now", inEU, testNow, CodeGrantTime},
		{"eu, later", inEU, testNow + 2*testHour, "accepted"},
		{"eu, too late", inEU, testNow + 3*testHour, CodeGrantTime},
		{"eu, after", inEU, m.Expires, CodeExpired},
	} {
		if err := v.f(v.now); codeOf(err) != v.want {
			t.Errorf("%s: %v, want %s", v.name, err, v.want)
		}
	}
}

// TestPeekFields keeps the positions that Peek reads at true to the structures, and its header to what
// Verify finds.
func TestPeekFields(t *testing.T) {
	fields := reflect.TypeFor[Manifest]()
	if n := fields.NumField() - 1; n != manifestFields {
		t.Errorf("%d fields, Peek knows %d", n, manifestFields)
	}
	for position, name := range map[int]string{0: "V", 1: "Author", 2: "Home", codeField: "Code", fieldNotBefore: "NotBefore", fieldExpires: "Expires"} {
		if got := fields.Field(position + 1).Name; got != name {
			t.Errorf("field %d is %s, Peek takes it for %s", position, got, name)
		}
	}
	c := testCapsule(t, 3)
	m := c.Manifest()
	h, err := Peek(c.Bytes(), testNow)
	want := Header{ID: c.ID(), Author: m.Author, Home: m.Home, NotBefore: m.NotBefore, Expires: m.Expires, Size: len(c.Bytes())}
	if err != nil || h != want {
		t.Errorf("got %+v, want %+v (%v)", h, want, err)
	}
	for now, want := range map[uint64]Code{m.NotBefore - 1: CodeNotYet, m.NotBefore: "accepted", m.Expires - 1: "accepted", m.Expires: CodeExpired} {
		if _, err := Peek(c.Bytes(), now); codeOf(err) != want {
			t.Errorf("at %d: %v, want %s", now, err, want)
		}
	}
	for _, at := range []int{1, versionAt} {
		b := slices.Clone(c.Bytes())
		b[at] = 2
		if _, err := Peek(b, testNow); codeOf(err) != CodeVersion {
			t.Errorf("version 2 at byte %d: %v", at, err)
		}
	}
}

// TestPeekAllocates: nothing for a good capsule, and one or two small errors for a bad one.
func TestPeekAllocates(t *testing.T) {
	b := sized(t, 2048, 3).Bytes()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Peek(b, testNow); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("Peek allocates %v times", n)
	}
	for name, f := range map[string]func() error{
		"expired":   func() error { _, err := Peek(b, testNow+2*testHour); return err },
		"truncated": func() error { _, err := Peek(b[:len(b)-1], testNow); return err },
		"garbage":   func() error { _, err := Peek(b[1:], testNow); return err },
	} {
		if n := testing.AllocsPerRun(100, func() { _ = f() }); n > 3 {
			t.Errorf("refusing %s allocates %v times", name, n)
		}
	}
}

// TestRefusalText: a person reads what is wrong, where, and what to do.
func TestRefusalText(t *testing.T) {
	for c := range codeInfo {
		r := &Refusal{Code: c, Detail: "the detail", Chain: 1, Link: 2, Err: &EncodingError{Offset: 7, Reason: "the reason"}}
		text := r.Error()
		for _, part := range []string{string(c), "chain 1", "link 2", "the detail", "byte 7", "; "} {
			if !strings.Contains(text, part) {
				t.Errorf("%q lacks %q", text, part)
			}
		}
		if !errors.As(r, new(*EncodingError)) {
			t.Errorf("%s hides its cause", c)
		}
	}
	if CodeExpired.Provable() || CodeRoot.Provable() || !CodeSignature.Provable() || !CodeEncoding.Provable() {
		t.Error("what the bytes prove and what depends on the reader are mixed up")
	}
	if got := refuse(CodeNeed, "x").Error(); strings.Contains(got, "-1") {
		t.Errorf("%q shows a missing index", got)
	}
}

// FuzzVerify: no panic, a refusal with a known code, and agreement of both stages.
func FuzzVerify(f *testing.F) {
	for _, links := range []int{0, 1, 3} {
		f.Add(testCapsule(f, links).Bytes())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, peeked := Peek(b, testNow)
		c, err := Verify(b, testNow, nil)
		for _, err := range []error{peeked, err} {
			if _, known := codeInfo[codeOf(err)]; err != nil && !known {
				t.Errorf("refused with %v", err)
			}
		}
		if err != nil {
			return
		}
		if peeked != nil || h.ID != c.ID() || h.Home != c.Manifest().Home {
			t.Errorf("Verify accepts what Peek refuses: %v", peeked)
		}
		again, err := Marshal(&c.env)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x was accepted and encodes to %x (%v)", b, again, err)
		}
	})
}

// FuzzPeek: what Peek says about encoding, the scanner says too, and memory follows the input's size.
func FuzzPeek(f *testing.F) {
	f.Add(testCapsule(f, 3).Bytes(), uint64(testNow))
	f.Add([]byte{0x84, 1, 0x97, 1}, uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, now uint64) {
		before := allocated()
		h, err := Peek(b, now)
		if cost := allocated() - before; cost > 64<<10 {
			t.Errorf("%d bytes allocated %d", len(b), cost)
		}
		if err == nil && (scan(b) != nil || now < h.NotBefore || now >= h.Expires || h.Size != len(b)) {
			t.Errorf("%x accepted at %d", b, now)
		}
	})
}
