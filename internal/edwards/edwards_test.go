package edwards

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"filippo.io/edwards25519"
)

// torsion returns the eight points whose order divides 8.
func torsion(t testing.TB) (out [8]*edwards25519.Point) {
	t.Helper()
	// A point of order 8, as RFC 7748's security section and libsodium's list of weak points have it.
	b, err := hex.DecodeString("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
	if err != nil {
		t.Fatal(err)
	}
	p, err := new(edwards25519.Point).SetBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	q := edwards25519.NewIdentityPoint()
	for i := range out {
		out[i] = new(edwards25519.Point).Set(q)
		q.Add(q, p)
	}
	if q.Equal(edwards25519.NewIdentityPoint()) != 1 || out[4].Equal(out[0]) == 1 {
		t.Fatal("the point's order is not 8")
	}
	return out
}

// forge signs as RFC 8032 does, with the key's point and R each moved by a point of small order.
func forge(seed, message []byte, moveA, moveR *edwards25519.Point) (public [32]byte, sig []byte) {
	h := sha512.Sum512(seed)
	a, _ := new(edwards25519.Scalar).SetBytesWithClamping(h[:32])
	r, _ := new(edwards25519.Scalar).SetUniformBytes(h[:])
	A := new(edwards25519.Point).ScalarBaseMult(a)
	copy(public[:], A.Add(A, moveA).Bytes())
	R := new(edwards25519.Point).ScalarBaseMult(r)
	sig = R.Add(R, moveR).Bytes()
	d := sha512.Sum512(append(append(bytes.Clone(sig), public[:]...), message...))
	k, _ := new(edwards25519.Scalar).SetUniformBytes(d[:])
	return public, append(sig, new(edwards25519.Scalar).MultiplyAdd(k, a, r).Bytes()...)
}

// forms are those of a table that this processor can use.
func forms() []bool {
	if hasVectors {
		return []bool{false, true}
	}
	return []bool{false}
}

// same fails if a table decides otherwise than crypto/ed25519, and returns what they decide.
func same(t testing.TB, public [32]byte, message, sig []byte) bool {
	t.Helper()
	return sameFor(t, keysOf(public), public, message, sig)
}

// keysOf returns what newKey returns for each form.
func keysOf(public [32]byte) (keys []*Key) {
	for _, vectors := range forms() {
		keys = append(keys, newKey(public, vectors))
	}
	return keys
}

// sameFor is same, given keysOf's.
func sameFor(t testing.TB, keys []*Key, public [32]byte, message, sig []byte) bool {
	t.Helper()
	want := ed25519.Verify(public[:], message, sig)
	for i, k := range keys {
		if got := k != nil && k.Verify(message, sig); got != want {
			t.Fatalf("a table (vectors: %v) says %v, crypto/ed25519 says %v: key %x, message %x, signature %x", forms()[i], got, want, public, message, sig)
		}
	}
	return want
}

func TestSameOnTorsion(t *testing.T) {
	points := torsion(t)
	accepted, moved := 0, 0
	for i := range points {
		for j := range points {
			for n := range 16 { // an eighth of the signatures of a moved key hold
				public, sig := forge([]byte{1, byte(n)}, []byte{byte(n)}, points[i], points[j])
				if same(t, public, []byte{byte(n)}, sig) {
					accepted++
					if i > 0 {
						moved++
					}
				}
			}
		}
	}
	if accepted < 16 || moved == 0 {
		t.Fatalf("%d signatures hold, %d of them of keys outside the prime-order group: the test shows nothing", accepted, moved)
	}
}

// TestSameOnEncodings gives every unusual encoding of a key, of R and of S: y not below p, x = −0, points of small order,
// S not below the group's order.
func TestSameOnEncodings(t *testing.T) {
	var odd [][32]byte
	for low := range 20 { // p − 1 + low, p = 2²⁵⁵ − 19
		e := [32]byte{byte(0xec + low), 31: 0x7f}
		for i := 1; i < 31; i++ {
			e[i] = 0xff
		}
		neg := e
		neg[31] |= 0x80
		odd = append(odd, e, neg, [32]byte{byte(low)}, [32]byte{byte(low), 31: 0x80})
	}
	for _, p := range torsion(t) {
		odd = append(odd, [32]byte(p.Bytes()))
	}
	order, _ := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	scalars := [][]byte{make([]byte, 32), order, bytes.Repeat([]byte{0xff}, 32)}
	scalars = append(scalars, edwards25519.NewScalar().Subtract(edwards25519.NewScalar(), one(t)).Bytes())
	public, sig := forge([]byte("seed"), []byte("m"), edwards25519.NewIdentityPoint(), edwards25519.NewIdentityPoint())
	if !same(t, public, []byte("m"), sig) {
		t.Fatal("the signature does not hold")
	}
	if s := append(bytes.Clone(sig[:32]), plus(sig[32:], order)...); same(t, public, []byte("m"), s) {
		t.Fatal("crypto/ed25519 accepts S + the group's order")
	}
	accepted := 0
	for i, a := range append(odd, public) {
		keys := keysOf(a)
		for j, r := range append(odd, [32]byte(sig[:32])) {
			for _, s := range append(scalars, sig[32:]) {
				// Half of the pairs are enough: R is compared, and not decoded.
				if (i+j)%2 == 0 && sameFor(t, keys, a, []byte("m"), append(bytes.Clone(r[:]), s...)) {
					accepted++
				}
			}
		}
	}
	if accepted < 2 { // of weak keys, which package capsule refuses before
		t.Fatalf("%d of the unusual signatures hold: the test shows nothing", accepted)
	}
	for n := range 66 {
		if n != 64 {
			same(t, public, []byte("m"), append(bytes.Clone(sig), 0, 0)[:n])
		}
	}
}

func one(t *testing.T) *edwards25519.Scalar {
	s, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plus adds two little-endian numbers of 32 bytes.
func plus(a, b []byte) []byte {
	out := make([]byte, 32)
	carry := 0
	for i := range out {
		carry += int(a[i]) + int(b[i])
		out[i] = byte(carry)
		carry >>= 8
	}
	return out
}

// TestSameOnDigits reaches every digit of both tables in both forms: scalars of one digit, and their neighbours.
func TestSameOnDigits(t *testing.T) {
	for _, vectors := range forms() {
		for _, width := range []int{baseWidth, keyWidth} {
			t.Run(fmt.Sprintf("width=%d,vectors=%v", width, vectors), func(t *testing.T) {
				tab := newTable(edwards25519.NewGeneratorPoint(), width, vectors)
				for i := range positions(width) {
					for digit := range 1 << width {
						var wide [64]byte
						binary.LittleEndian.PutUint64(wide[i*width/8:], uint64(digit)<<(i*width%8))
						s, err := new(edwards25519.Scalar).SetUniformBytes(wide[:])
						if err != nil {
							t.Fatal(err)
						}
						p := multiple(&tab, s)
						got := p.encode()
						if want := new(edwards25519.Point).ScalarBaseMult(s).Bytes(); !bytes.Equal(got[:], want) {
							t.Fatalf("digit %d at %d: %x, want %x", digit, i, got, want)
						}
					}
				}
			})
		}
	}
}

func multiple(t *table, s *edwards25519.Scalar) point {
	if t.vectors != nil {
		v := newVectorSum()
		v.addMultiple(t, s)
		return v.point()
	}
	p := neutral()
	p.addMultiple(t, s)
	return p
}

func FuzzSame(f *testing.F) {
	points := torsion(f)
	f.Add([]byte("seed"), []byte("message"), uint8(0), uint8(0), uint16(0), uint8(0))
	f.Add([]byte("seed"), []byte("message"), uint8(3), uint8(5), uint16(40), uint8(1))
	f.Add([]byte{}, []byte{}, uint8(4), uint8(4), uint16(95), uint8(0x80))
	f.Fuzz(func(t *testing.T, seed, message []byte, a, r uint8, at uint16, flip uint8) {
		public, sig := forge(seed, message, points[a%8], points[r%8])
		both := append(public[:], sig...)
		both[int(at)%len(both)] ^= flip
		same(t, [32]byte(both[:32]), message, both[32:])
	})
}

func TestKeeper(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 11))
	k := NewKeeper()
	type signer struct {
		public  [32]byte
		message []byte
		sig     []byte
	}
	signers := make([]signer, 40)
	for i := range signers {
		priv := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{byte(i)}, 32))
		m := fmt.Appendf(nil, "message %d", i)
		signers[i] = signer{[32]byte(priv.Public().(ed25519.PublicKey)), m, ed25519.Sign(priv, m)}
	}
	for range 200 * len(signers) {
		s := signers[rng.IntN(len(signers))]
		if !k.Verify(s.public, s.message, s.sig) {
			t.Fatal("a good signature was refused")
		}
		bad := bytes.Clone(s.sig)
		bad[rng.IntN(64)] ^= 1 << rng.IntN(8)
		if k.Verify(s.public, s.message, bad) {
			t.Fatal("a bad signature was accepted")
		}
	}
	if n := k.kept.Len(); n != len(signers) {
		t.Fatalf("tables of %d keys, want %d", n, len(signers))
	}
}

// TestKeeperBound floods a keeper with keys that sign once, and with more busy keys than it keeps.
func TestKeeperBound(t *testing.T) {
	k := NewKeeper()
	for i := range 3 * keysCounted {
		var public [32]byte
		binary.LittleEndian.PutUint32(public[:], uint32(i))
		if k.count(public) {
			t.Fatal("one signature makes no busy key")
		}
	}
	if n := k.counted.Len(); n > 2*keysCounted {
		t.Fatalf("%d keys are counted, at most %d", n, 2*keysCounted)
	}
	busy := [32]byte{1}
	k.kept.Put(busy, new(Key))
	for i := range 3 * keysKept {
		k.kept.Put([32]byte{2, byte(i), byte(i >> 8)}, new(Key))
		if _, ok := k.kept.Get(busy); !ok {
			t.Fatal("a key in use was pushed out")
		}
	}
	if n := k.kept.Len(); n > 2*keysKept {
		t.Fatalf("%d tables are kept, at most %d", n, 2*keysKept)
	}
}

func BenchmarkVerify(b *testing.B) {
	priv := ed25519.NewKeyFromSeed(make([]byte, 32))
	public, message := priv.Public().(ed25519.PublicKey), make([]byte, 512)
	sig := ed25519.Sign(priv, message)
	for i, k := range keysOf([32]byte(public)) {
		b.Run([]string{"table", "vectors"}[i], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				k.Verify(message, sig)
			}
		})
	}
	b.Run("crypto", func(b *testing.B) {
		for b.Loop() {
			ed25519.Verify(public, message, sig)
		}
	})
	b.Run("NewKey", func(b *testing.B) {
		for b.Loop() {
			NewKey([32]byte(public))
		}
	})
}
