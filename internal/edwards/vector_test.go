package edwards

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

var prime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))

// limbsValue returns what limbs stand for.
func limbsValue(l [5]uint64) *big.Int {
	v := new(big.Int)
	for i := 4; i >= 0; i-- {
		v.Add(v.Lsh(v, 51), new(big.Int).SetUint64(l[i]))
	}
	return v
}

func elementOf(t *testing.T, v *big.Int) *field.Element {
	t.Helper()
	var b [32]byte
	new(big.Int).Mod(v, prime).FillBytes(b[:])
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	e, err := new(field.Element).SetBytes(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// looseLimb is a limb of a coordinate as additions may leave it, with the extremes often.
func looseLimb(rng *rand.Rand) uint64 {
	switch rng.IntN(4) {
	case 0:
		return 0
	case 1:
		return 1<<51 + 1<<15 - 1
	case 2:
		return 1<<51 - uint64(rng.IntN(40))
	}
	return rng.Uint64N(1<<51 + 1<<15)
}

func TestElementOfLimbs(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	for range 20_000 {
		var l [5]uint64
		for i := range l {
			if l[i] = looseLimb(rng); rng.IntN(3) == 0 {
				l[i] = 1<<52 - 1 - uint64(rng.IntN(40))
			}
		}
		got, want := element(l), elementOf(t, limbsValue(l))
		if got.Equal(want) == 0 {
			t.Fatalf("limbs %x are %x, want %x", l, got.Bytes(), want.Bytes())
		}
		if back := limbsValue(toLimbs(&got)); elementOf(t, back).Equal(want) == 0 || back.Cmp(prime) >= 0 {
			t.Fatalf("%x has the limbs %x", want.Bytes(), toLimbs(&got))
		}
	}
}

// TestAddEntries compares additions and subtractions with those of field elements, coordinate by coordinate. The formulas
// are polynomials: they must agree for any numbers, not only for points, and the limbs must stay within their bound.
func TestAddEntries(t *testing.T) {
	if !hasVectors {
		t.Skip("this processor has no 52-bit multiplication of lanes (AVX-512 IFMA); run it on an Intel processor since Ice Lake, or an AMD since Zen 4")
	}
	rng := rand.New(rand.NewPCG(8, 13))
	for range 20_000 {
		var p lanes
		var q entry
		for i := range 5 {
			for lane := range 4 {
				p[i][lane] = looseLimb(rng)
			}
			for lane := range 3 {
				q[i][lane] = min(looseLimb(rng), limbMask)
			}
		}
		coordinate := func(p *lanes, lane int) field.Element {
			return *elementOf(t, limbsValue([5]uint64{p[0][lane], p[1][lane], p[2][lane], p[3][lane], p[4][lane]}))
		}
		part := func(lane int) field.Element {
			return *elementOf(t, limbsValue([5]uint64{q[0][lane], q[1][lane], q[2][lane], q[3][lane], q[4][lane]}))
		}
		want := point{x: coordinate(&p, 0), y: coordinate(&p, 1), t: coordinate(&p, 2), z: coordinate(&p, 3)}
		a := affine{yMinusX: part(0), yPlusX: part(1), xy2d: part(2)}
		at := p
		entries := []*entry{&q, &q, &q}
		adds := rng.IntN(3)
		subtracts := rng.IntN(3)
		for range adds {
			want.add(&a)
		}
		for range subtracts {
			want.subtract(&a)
		}
		addEntries(&p, &entries[0], adds, &entries[0], subtracts)
		for lane, w := range []field.Element{want.x, want.y, want.t, want.z} {
			if got := coordinate(&p, lane); got.Equal(&w) == 0 {
				t.Fatalf("%d additions and %d subtractions of %x to %x: coordinate %d is %x, want %x", adds, subtracts, q, at, lane, got.Bytes(), w.Bytes())
			}
			for i := range 5 {
				if p[i][lane] >= 1<<51+1<<15 {
					t.Fatalf("limb %d of coordinate %d is %x", i, lane, p[i][lane])
				}
			}
		}
	}
}

// TestEntriesOfOnePoint: a table's two forms hold the same points.
func TestEntriesOfOnePoint(t *testing.T) {
	plain := newTable(edwards25519.NewGeneratorPoint(), keyWidth, false)
	for i, e := range toEntries(plain.points) {
		for lane, want := range []field.Element{plain.points[i].yMinusX, plain.points[i].yPlusX, plain.points[i].xy2d} {
			got := element([5]uint64{e[0][lane], e[1][lane], e[2][lane], e[3][lane], e[4][lane]})
			if got.Equal(&want) == 0 {
				t.Fatalf("entry %d, lane %d: %x, want %x", i, lane, got.Bytes(), want.Bytes())
			}
		}
	}
}
