package capsule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/ipfs/go-cid"
	"github.com/ipld/go-ipld-prime"
	"github.com/ipld/go-ipld-prime/codec/dagcbor"
	cidlink "github.com/ipld/go-ipld-prime/linking/cid"
	"github.com/ipld/go-ipld-prime/node/basicnode"
	"github.com/ipld/go-ipld-prime/traversal"
)

func TestCIDText(t *testing.T) {
	// The empty block in both codecs, as other IPLD tools print it.
	for want, c := range map[string]CID{
		"bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku": RawCID(nil),
		"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku": {Codec: DagCBOR, Digest: Sum(nil)},
	} {
		if c.String() != want {
			t.Errorf("got %s, want %s", c, want)
		}
		if got, err := ParseCID(want); err != nil || got != c {
			t.Errorf("parse %s: %v, %v", want, got, err)
		}
		other := cid.MustParse(want)
		base58, err := other.StringOfBase('z')
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseCID(base58); err != nil || got != c {
			t.Errorf("parse %s: %v, %v", base58, got, err)
		}
	}
	for _, bad := range []string{
		"", "b", "bafkrei", "hello", strings.Repeat("b", 1000), "\xff",
		"QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG",              // CIDv0
		"bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi", // dag-pb
		"bafyreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykv", // the unused bits at its end are not zero
	} {
		if c, err := ParseCID(bad); err == nil {
			t.Errorf("%q parsed as %s", bad, c)
		}
	}
	if _, err := ParseZoneID(RawCID(nil).String()); err == nil {
		t.Error("a raw CID parsed as a zone")
	}
	if _, err := ParseID(RawCID(nil).String()); err == nil {
		t.Error("a raw CID parsed as a capsule")
	}
}

// TestTextForms: what a person or JSON sees reads back as the same value.
func TestTextForms(t *testing.T) {
	roundTrip(t, Sum(nil), new(Hash))
	roundTrip(t, testIdentity("a").Key(), new(Key))
	roundTrip(t, testIdentity("a").Sign(KindGrant, nil), new(Sig))
	roundTrip(t, testZone("z"), new(ZoneID))
	roundTrip(t, ID(Sum(nil)), new(ID))
	roundTrip(t, RawCID(nil), new(CID))
	roundTrip(t, CID{}, new(CID))
	roundTrip(t, Nonce{1}, new(Nonce))
	roundTrip(t, Read|Spend, new(Ability))
	roundTrip(t, AllAbilities, new(Ability))
	roundTrip(t, Abandon, new(Silence))
	for _, v := range []fmt.Stringer{Ability(0), AllAbilities + 1, Silence(9)} {
		if v.String() == "" {
			t.Errorf("%T prints nothing", v)
		}
	}
	for _, bad := range []string{
		`"ed25519:"`, `"xx"`, `"ED25519:` + strings.Repeat("0", 64) + `"`, `"ed25519:` + strings.Repeat("A", 64) + `"`,
		`"ed25519:` + strings.Repeat("g", 64) + `"`,
	} {
		if err := json.Unmarshal([]byte(bad), new(Key)); err == nil {
			t.Errorf("%s parsed as a key", bad)
		}
	}
	for _, bad := range []string{`""`, `"none"`, `"fly"`, `"read|fly"`} {
		if err := json.Unmarshal([]byte(bad), new(Ability)); err == nil {
			t.Errorf("%s parsed as an ability", bad)
		}
	}
	for _, dst := range []any{new(Hash), new(Sig), new(ZoneID), new(ID), new(Nonce), new(Silence)} {
		if err := json.Unmarshal([]byte(`"zz"`), dst); err == nil {
			t.Errorf("zz parsed as %T", dst)
		}
	}
}

func roundTrip[T comparable](t *testing.T, v T, dst *T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, dst); err != nil || *dst != v {
		t.Errorf("%v became %s and then %v (%v)", v, b, *dst, err)
	}
}

// TestIPLD reads a capsule with IPLD's own dag-cbor decoder in its strict form, finds the code behind
// the link, and writes the same bytes again.
func TestIPLD(t *testing.T) {
	c := testCapsule(t, 3)
	builder := basicnode.Prototype.Any.NewBuilder()
	strict := dagcbor.DecodeOptions{AllowLinks: true}
	if err := strict.Decode(builder, bytes.NewReader(c.Bytes())); err != nil {
		t.Fatal(err)
	}
	envelope := builder.Build()
	var again bytes.Buffer
	if err := dagcbor.Encode(envelope, &again); err != nil || !bytes.Equal(again.Bytes(), c.Bytes()) {
		t.Errorf("IPLD writes other bytes (%v)", err)
	}
	var links []string
	if err := traversal.WalkLocal(envelope, func(_ traversal.Progress, n ipld.Node) error {
		if l, err := n.AsLink(); err == nil {
			links = append(links, l.String())
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(links) != 1 || links[0] != c.Manifest().Code.String() {
		t.Errorf("links %v, want the code %s", links, c.Manifest().Code)
	}
	manifest, err := envelope.LookupByIndex(1)
	if err != nil {
		t.Fatal(err)
	}
	lsys := cidlink.DefaultLinkSystem()
	link, err := lsys.ComputeLink(cidlink.LinkPrototype{Prefix: cid.Prefix{Version: 1, Codec: cid.DagCBOR, MhType: 0x12, MhLength: 32}}, manifest)
	if err != nil || link.String() != c.ID().String() {
		t.Errorf("IPLD calls the manifest %v, we call it %s (%v)", link, c.ID(), err)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{RawCID(nil).String(), testIdentity("a").Key().String(), "read|write", "hold", Sum(nil).String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCID(s); err == nil {
			if again, err := ParseCID(c.String()); err != nil || again != c {
				t.Errorf("%q: %s reads back as %s (%v)", s, c, again, err)
			}
		}
		if k, err := ParseKey(s); err == nil && k.String() != s {
			t.Errorf("key %q prints as %s", s, k)
		}
		if h, err := ParseHash(s); err == nil && h.String() != s {
			t.Errorf("hash %q prints as %s", s, h)
		}
		if a, err := ParseAbility(s); err == nil {
			if again, err := ParseAbility(a.String()); err != nil || again != a {
				t.Errorf("ability %q prints as %s", s, a)
			}
		}
		_, _ = ParseZoneID(s)
		_, _ = ParseID(s)
		checkResource(s)
	})
}
