package capsule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Hash is a SHA-256 digest.
type Hash [32]byte

// Sum returns the digest of b.
func Sum(b []byte) Hash { return sha256.Sum256(b) }

// IsZero reports whether h is all zero, which stands for "none" wherever a hash is optional.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns 64 lower-case hexadecimal digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String writes.
func ParseHash(s string) (Hash, error) {
	var h Hash
	err := parseHex(h[:], s)
	if err != nil {
		return Hash{}, fmt.Errorf("parse hash %q: %w", clip(s), err)
	}
	return h, nil
}

// MarshalText makes JSON show a Hash as String does.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (h *Hash) UnmarshalText(b []byte) (err error) {
	*h, err = ParseHash(string(b))
	return err
}

// Sig is an Ed25519 signature over a kind and a payload; see Identity.Sign.
type Sig [64]byte

// String returns 128 lower-case hexadecimal digits.
func (s Sig) String() string { return hex.EncodeToString(s[:]) }

// MarshalText makes JSON show a Sig as String does.
func (s Sig) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (s *Sig) UnmarshalText(b []byte) error {
	var v Sig
	if err := parseHex(v[:], string(b)); err != nil {
		return fmt.Errorf("parse signature: %w", err)
	}
	*s = v
	return nil
}

// Nonce tells apart what is otherwise equal. Nothing secret follows from it.
type Nonce [16]byte

// String returns 32 lower-case hexadecimal digits.
func (n Nonce) String() string { return hex.EncodeToString(n[:]) }

// MarshalText makes JSON show a Nonce as String does.
func (n Nonce) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (n *Nonce) UnmarshalText(b []byte) error {
	var v Nonce
	if err := parseHex(v[:], string(b)); err != nil {
		return fmt.Errorf("parse nonce: %w", err)
	}
	*n = v
	return nil
}

// ZoneID names a zone for ever: the SHA-256 of the canonical bytes of its genesis.
type ZoneID Hash

// IsZero reports whether z names no zone.
func (z ZoneID) IsZero() bool { return z == ZoneID{} }

// CID returns the zone's genesis as content address.
func (z ZoneID) CID() CID { return CID{Codec: DagCBOR, Digest: Hash(z)} }

// String returns the CIDv1 text of the genesis (dag-cbor, sha2-256, base32).
func (z ZoneID) String() string { return z.CID().String() }

// ParseZoneID reads what ZoneID.String writes.
func ParseZoneID(s string) (ZoneID, error) {
	h, err := parseStructCID(s)
	if err != nil {
		return ZoneID{}, fmt.Errorf("parse zone ID: %w", err)
	}
	return ZoneID(h), nil
}

// MarshalText makes JSON show a ZoneID as String does.
func (z ZoneID) MarshalText() ([]byte, error) { return []byte(z.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (z *ZoneID) UnmarshalText(b []byte) (err error) {
	*z, err = ParseZoneID(string(b))
	return err
}

// ID names a capsule for ever: the SHA-256 of its manifest's canonical bytes. The signature and the
// chains are not part of it, so nobody can give one manifest two names.
type ID Hash

// IsZero reports whether id names no capsule.
func (id ID) IsZero() bool { return id == ID{} }

// CID returns the manifest as content address.
func (id ID) CID() CID { return CID{Codec: DagCBOR, Digest: Hash(id)} }

// String returns the CIDv1 text of the manifest (dag-cbor, sha2-256, base32).
func (id ID) String() string { return id.CID().String() }

// ParseID reads what ID.String writes.
func ParseID(s string) (ID, error) {
	h, err := parseStructCID(s)
	if err != nil {
		return ID{}, fmt.Errorf("parse capsule ID: %w", err)
	}
	return ID(h), nil
}

// MarshalText makes JSON show an ID as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

func parseStructCID(s string) (Hash, error) {
	c, err := ParseCID(s)
	if err != nil {
		return Hash{}, err
	}
	if c.Codec != DagCBOR {
		return Hash{}, fmt.Errorf("%s names raw bytes, not a dag-cbor structure", c)
	}
	return c.Digest, nil
}

// parseHex fills dst from lower-case hexadecimal digits; one text for each value.
func parseHex(dst []byte, s string) error {
	if len(s) != 2*len(dst) {
		return fmt.Errorf("%d characters, want %d hexadecimal digits", len(s), 2*len(dst))
	}
	if strings.ToLower(s) != s {
		return fmt.Errorf("upper-case digits; write them in lower case")
	}
	if _, err := hex.Decode(dst, []byte(s)); err != nil {
		return fmt.Errorf("not hexadecimal: %v", err)
	}
	return nil
}

// clip keeps an error message short when it quotes an input of unknown length.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
