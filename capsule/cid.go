package capsule

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/ipfs/go-cid"
)

// Codec says how the bytes behind a CID are to be read. The values are the multicodec table's.
type Codec uint8

const (
	Raw     Codec = 0x55 // bytes as they are: code, continuations, memory images
	DagCBOR Codec = 0x71 // a canonical structure of this project
)

// CID is a content address: CIDv1, sha2-256. It is comparable, and its zero value means "absent". In
// CBOR it is a dag-cbor link (tag 42), absent is null.
type CID struct {
	Codec  Codec
	Digest Hash
}

// RawCID returns the address of b as plain bytes.
func RawCID(b []byte) CID { return CID{Codec: Raw, Digest: Sum(b)} }

// IsZero reports whether c is absent.
func (c CID) IsZero() bool { return c == CID{} }

// A link in CBOR: tag 42, a byte string of 37, the multibase identity prefix that dag-cbor demands,
// CID version 1, the codec, and the head of a sha2-256 multihash. The digest follows.
const (
	linkCodecAt = 6
	linkHead    = 9
	linkSize    = linkHead + 32
)

const cborNull = 0xf6

// MarshalCBOR implements cbor.Marshaler.
func (c CID) MarshalCBOR() ([]byte, error) { return c.append(make([]byte, 0, linkSize)) }

func (c *CID) append(b []byte) ([]byte, error) {
	if c.IsZero() {
		return append(b, cborNull), nil
	}
	switch c.Codec {
	case Raw:
		b = append(b, linkHeadRaw...)
	case DagCBOR:
		b = append(b, linkHeadDagCBOR...)
	default:
		return nil, fmt.Errorf("encode CID: codec 0x%02x is neither raw nor dag-cbor", uint8(c.Codec))
	}
	return append(b, c.Digest[:]...), nil
}

// UnmarshalCBOR implements cbor.Unmarshaler.
func (c *CID) UnmarshalCBOR(b []byte) error {
	if len(b) == 1 && b[0] == cborNull {
		*c = CID{}
		return nil
	}
	if reason := checkLink(b); reason != "" {
		return errors.New(reason)
	}
	*c = linkAt(b)
	return nil
}

// The only two heads of a link, as text to compare without allocating.
const (
	linkHeadRaw     = "\xd8\x2a\x58\x25\x00\x01\x55\x12\x20"
	linkHeadDagCBOR = "\xd8\x2a\x58\x25\x00\x01\x71\x12\x20"
)

// checkLink says what is wrong with the link that b should start with, or nothing.
func checkLink(b []byte) string {
	if len(b) < linkSize {
		return "want a link: CIDv1 with a sha2-256 digest, or null"
	}
	if h := string(b[:linkHead]); h != linkHeadRaw && h != linkHeadDagCBOR {
		return "want a link: CIDv1, raw or dag-cbor, with a sha2-256 digest"
	}
	return ""
}

// linkAt returns the link that b starts with; checkLink has passed it.
func linkAt(b []byte) CID {
	return CID{Codec: Codec(b[linkCodecAt]), Digest: Hash(b[linkHead:linkSize])}
}

// String returns the CIDv1 text in base32, or "" when absent.
func (c CID) String() string {
	if c.IsZero() {
		return ""
	}
	mh := append([]byte{0x12, 0x20}, c.Digest[:]...)
	return cid.NewCidV1(uint64(c.Codec), mh).String()
}

// ParseCID reads a CIDv1 in any multibase; it refuses codecs and hash functions that this project does
// not use.
func ParseCID(s string) (CID, error) {
	const longest = 128 // base2 text is never written by anybody; base16 of a CIDv1 takes 73 characters
	if len(s) > longest {
		return CID{}, fmt.Errorf("parse CID %q: %d characters, at most %d", clip(s), len(s), longest)
	}
	id, err := cid.Decode(s)
	if err != nil {
		return CID{}, fmt.Errorf("parse CID %q: %v", clip(s), err)
	}
	p := id.Prefix()
	if p.Version != 1 || p.MhType != 0x12 || p.MhLength != 32 {
		return CID{}, fmt.Errorf("parse CID %q: want CIDv1 with sha2-256", clip(s))
	}
	if p.Codec != uint64(Raw) && p.Codec != uint64(DagCBOR) {
		return CID{}, fmt.Errorf("parse CID %q: codec 0x%x is neither raw (0x55) nor dag-cbor (0x71)", clip(s), p.Codec)
	}
	// The last character has bits to spare, which decoders ignore: a name has one spelling here.
	base, err := cid.ExtractEncoding(s)
	if err != nil {
		return CID{}, fmt.Errorf("parse CID %q: %v", clip(s), err)
	}
	if again, err := id.StringOfBase(base); err != nil || again != s {
		return CID{}, fmt.Errorf("parse CID %q: its last character can't be right; copy it again", clip(s))
	}
	c := CID{Codec: Codec(p.Codec)}
	copy(c.Digest[:], id.Hash()[2:])
	return c, nil
}

// MarshalText makes JSON show a CID as String does.
func (c CID) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (c *CID) UnmarshalText(b []byte) (err error) {
	if len(b) == 0 {
		*c = CID{}
		return nil
	}
	*c, err = ParseCID(string(b))
	return err
}

var (
	_ cbor.Marshaler   = CID{}
	_ cbor.Unmarshaler = (*CID)(nil)
)
