package capsule

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestPeerID: keys of RFC 8032 section 7.1, and the peer IDs that go-libp2p v0.51.0 gives them.
func TestPeerID(t *testing.T) {
	for _, v := range [][3]string{
		{"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV"},
		{"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "12D3KooWDwTirQce1RRKnasT5fPVFgzXCy6SiRgSwrwPGLC7zE91"},
		{"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "12D3KooWSoKFn4y7TtC1chE8CRkXdPZZfkjfNbTSUK5rjjp4oPHn"},
	} {
		seed, err := ParseHash(v[0])
		if err != nil {
			t.Fatal(err)
		}
		k := IdentityFromSeed(seed).Key()
		if got := k.String(); got != "ed25519:"+v[1] {
			t.Errorf("key %s, want %s", got, v[1])
		}
		if got := k.PeerID(); got != v[2] {
			t.Errorf("peer ID %s, want %s", got, v[2])
		}
	}
}

// TestBase58: the vectors of the IETF draft on Base58 that have no checksum, and leading zeros.
func TestBase58(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "\x00": "1", "\x00\x00\x01": "112", "Hello World!": "2NEpo7TZRRrLZSi2U",
		"The quick brown fox jumps over the lazy dog.": "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
	} {
		if got := base58([]byte(in)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestSignatureKinds(t *testing.T) {
	id, payload := testIdentity("a"), []byte("payload")
	s := id.Sign(KindGrant, payload)
	if !VerifySig(id.Key(), KindGrant, payload, s) {
		t.Fatal("own signature refused")
	}
	if !ed25519.Verify(id.PrivateKey().Public().(ed25519.PublicKey), []byte("kitwork/grant/v1\x00payload"), s[:]) {
		t.Error("the signed message is not kitwork/<kind>/v1, a zero byte and the payload")
	}
	if VerifySig(id.Key(), KindRevoke, payload, s) {
		t.Error("valid for another kind")
	}
	if VerifySig(testIdentity("b").Key(), KindGrant, payload, s) {
		t.Error("valid for another key")
	}
	// The order of the group, added to S, gives a second form that some verifiers accept.
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	carry := 0
	for i := range order {
		carry += int(s[32+i]) + int(order[i])
		s[32+i], carry = byte(carry), carry>>8
	}
	if VerifySig(id.Key(), KindGrant, payload, s) {
		t.Error("a second form of the same signature is accepted")
	}
}

// TestWeakKeys forges a signature for every key of small order: with R the neutral point and S = 0 it
// holds whenever the message's hash is a multiple of the order, one time in 8 or more.
func TestWeakKeys(t *testing.T) {
	forged := Sig{0: 1}
	found := 0
	for _, weak := range weakKeys {
		for _, sign := range []byte{0, 0x80} {
			k := weak
			k[31] |= sign
			holds := false
			for i := range 200 {
				payload := []byte{byte(i)}
				holds = holds || ed25519.Verify(k[:], KindGrant.message(payload), forged[:])
				if VerifySig(k, KindGrant, payload, forged) {
					t.Fatalf("forged signature accepted for %s", k)
				}
			}
			if !holds {
				continue // an encoding that crypto/ed25519 does not decode
			}
			found++
			if !k.Weak() {
				t.Errorf("%s is not known as weak", k)
			}
		}
	}
	// 8 points of small order, and the second encodings of some.
	if found < 8 {
		t.Errorf("forged for %d keys only: the table or this test is wrong", found)
	}
	if testIdentity("a").Key().Weak() {
		t.Error("an ordinary key is weak")
	}
}

func TestIdentityFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.key")
	id, err := NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.Save(path); err != nil {
		t.Fatal(err)
	}
	got, err := LoadIdentity(path)
	if err != nil {
		t.Fatal(err)
	}
	if got.Key() != id.Key() || !bytes.Equal(got.PrivateKey(), id.PrivateKey()) {
		t.Error("another identity came back")
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := testIdentity("other").Save(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("saving over a file: got %v, want fs.ErrExist", err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
	if _, err := LoadIdentity(path + ".none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got %v", err)
	}
	if runtime.GOOS == "windows" {
		return // mode bits say nothing there
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600 (%v)", st.Mode(), err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadIdentity(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: got %v", err)
	}
}

func TestParseIdentityRefuses(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":      nil,
		"text":       []byte("hello"),
		"other type": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"other key":  pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}),
		"torn":       pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der[:10]}),
		"large":      make([]byte, maxIdentityFile+1),
	} {
		if _, err := ParseIdentity(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestIdentityKeepsItsSecret(t *testing.T) {
	id := testIdentity("secret")
	seed := hex.EncodeToString(id.PrivateKey().Seed())
	for _, text := range []string{
		fmt.Sprint(id), fmt.Sprintf("%+v %#v %s %x %q", id, id, id, id, id), fmt.Sprintf("%v", struct{ I *Identity }{id}),
	} {
		if strings.Contains(text, seed) || strings.Contains(text, hex.EncodeToString([]byte(seed))) {
			t.Errorf("prints its private key: %s", text)
		}
	}
}

func TestNewIdentityNeedsRandomness(t *testing.T) {
	if _, err := NewIdentity(bytes.NewReader(make([]byte, 31))); err == nil {
		t.Error("31 random bytes are enough")
	}
}

func FuzzParseIdentity(f *testing.F) {
	der, err := x509.MarshalPKCS8PrivateKey(testIdentity("a").PrivateKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, err := ParseIdentity(b); err == nil && !VerifySig(id.Key(), KindGrant, b, id.Sign(KindGrant, b)) {
			t.Error("an identity that can't sign")
		}
	})
}
