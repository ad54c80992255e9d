package capsule

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/internal/edwards"
)

// Key is an Ed25519 public key: an author, a voter, a worker, a zone's root or a payer.
type Key [32]byte

const keyPrefix = "ed25519:"

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k == Key{} }

// String returns "ed25519:" and 64 lower-case hexadecimal digits.
func (k Key) String() string { return keyPrefix + hex.EncodeToString(k[:]) }

// ParseKey reads what Key.String writes.
func ParseKey(s string) (Key, error) {
	digits, ok := strings.CutPrefix(s, keyPrefix)
	if !ok {
		return Key{}, fmt.Errorf("parse key %q: want %q and 64 hexadecimal digits", clip(s), keyPrefix)
	}
	var k Key
	if err := parseHex(k[:], digits); err != nil {
		return Key{}, fmt.Errorf("parse key %q: %w", clip(s), err)
	}
	return k, nil
}

// MarshalText makes JSON show a Key as String does.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (k *Key) UnmarshalText(b []byte) (err error) {
	*k, err = ParseKey(string(b))
	return err
}

// PeerID returns the libp2p peer ID of the key, in its usual text form (12D3Koo…): base58btc of the
// identity multihash (code 0, 36 bytes) over the key's protobuf (field 1, type Ed25519 = 1; field 2,
// 32 bytes).
func (k Key) PeerID() string {
	return base58(append([]byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}, k[:]...))
}

// weakY are the y coordinates, sign bit cleared, of the points whose order divides 8, in every encoding
// that crypto/ed25519 decodes. Anybody can sign for such a key. Source: RFC 7748 section 6.1's list as
// libsodium keeps it for Edwards coordinates (ge25519_has_small_order).
var weakY = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p − 1
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p, read as 0
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1, read as 1
}

var weakKeys = func() (keys [len(weakY)]Key) {
	for i, s := range weakY {
		if err := parseHex(keys[i][:], s); err != nil {
			panic(err) // the table above is wrong
		}
	}
	return keys
}()

// Weak reports whether signatures of k mean nothing, because its point has a small order.
func (k Key) Weak() bool {
	k[31] &= 0x7f
	return slices.Contains(weakKeys[:], k)
}

// Kind separates what a signature is for: a signature of one kind is never valid for another.
type Kind string

// The kinds that this package signs and checks. Other packages add their own.
const (
	KindManifest Kind = "manifest"
	KindGrant    Kind = "grant"
	KindRevoke   Kind = "revoke"
)

// message returns what is really signed.
func (k Kind) message(payload []byte) []byte {
	m := make([]byte, 0, len("kitwork//v1\x00")+len(k)+len(payload))
	m = append(m, "kitwork/"...)
	m = append(m, k...)
	m = append(m, "/v1\x00"...)
	return append(m, payload...)
}

// keeper has tables of the keys that sign often. It is one for the process: what it answers depends on no caller.
var keeper = edwards.NewKeeper()

// VerifySig reports whether s is k's signature of payload as kind. Its rule is crypto/ed25519's and no other,
// because verifiers disagree in edge cases and replicas must not; weak keys are refused before.
func VerifySig(k Key, kind Kind, payload []byte, s Sig) bool {
	return !k.Weak() && keeper.Verify(k, kind.message(payload), s[:])
}

// Identity is a private Ed25519 key. Printing it shows the public key only.
type Identity struct {
	private ed25519.PrivateKey
	key     Key
}

// NewIdentity draws a key from rand, crypto/rand.Reader unless a test needs the same key again.
func NewIdentity(rand io.Reader) (*Identity, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return nil, fmt.Errorf("draw a private key: %w", err)
	}
	return IdentityFromSeed([32]byte(seed)), nil
}

// IdentityFromSeed returns the identity of a 32-byte Ed25519 seed (RFC 8032's private key).
func IdentityFromSeed(seed [32]byte) *Identity {
	return identityOf(ed25519.NewKeyFromSeed(seed[:]))
}

func identityOf(p ed25519.PrivateKey) *Identity {
	return &Identity{private: p, key: Key(p.Public().(ed25519.PublicKey))}
}

// Key returns the public key.
func (id *Identity) Key() Key { return id.key }

// Sign signs "kitwork/<kind>/v1\x00" followed by payload.
func (id *Identity) Sign(kind Kind, payload []byte) Sig {
	return Sig(ed25519.Sign(id.private, kind.message(payload)))
}

// PrivateKey returns the key itself, for the transport that proves the same identity to its peers.
func (id *Identity) PrivateKey() ed25519.PrivateKey { return id.private }

// String returns the public key.
func (id *Identity) String() string { return id.key.String() }

// GoString keeps the private key out of %#v.
func (id *Identity) GoString() string { return "capsule.Identity(" + id.key.String() + ")" }

const (
	pemType         = "PRIVATE KEY"
	maxIdentityFile = 4 << 10
)

// Save writes the private key to a new file that only its owner can read: PKCS #8 in PEM, as OpenSSL
// reads and writes it. It never overwrites: the error then satisfies errors.Is(err, fs.ErrExist).
func (id *Identity) Save(path string) error {
	der, err := x509.MarshalPKCS8PrivateKey(id.private)
	if err != nil {
		return fmt.Errorf("encode identity: %w", err)
	}
	err = atomicfile.Create(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("save identity: %w; choose another name or move the old file away, nothing was written", err)
	}
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return nil
}

// LoadIdentity reads a file that Save or OpenSSL wrote. A file that others on the machine can read is
// refused, except on Windows, whose permissions the mode bits do not show.
func LoadIdentity(path string) (*Identity, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load identity: %w; create one with kwnode keygen", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("load identity: %w", err)
	}
	if runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("load identity %s: mode %04o lets others read the private key; run chmod 600 %s", path, st.Mode().Perm(), path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxIdentityFile+1))
	if err != nil {
		return nil, fmt.Errorf("load identity %s: %w", path, err)
	}
	id, err := ParseIdentity(b)
	if err != nil {
		return nil, fmt.Errorf("load identity %s: %w", path, err)
	}
	return id, nil
}

// ParseIdentity reads the content of an identity file.
func ParseIdentity(b []byte) (*Identity, error) {
	if len(b) > maxIdentityFile {
		return nil, fmt.Errorf("%d bytes, at most %d; this is not an identity file", len(b), maxIdentityFile)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("no PEM block %q; this is not an identity file", pemType)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read PKCS #8: %v", err)
	}
	p, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a %T, want an Ed25519 key; create one with kwnode keygen", k)
	}
	return identityOf(p), nil
}
