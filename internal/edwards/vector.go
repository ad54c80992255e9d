package edwards

import (
	"encoding/binary"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// entry is what affine is, limb by limb of 51 bits, for additions that do a step's multiplications at once: each limb of
// y−x, y+x and 2dxy.
type entry [5][3]uint64

// lanes are the coordinates X, Y, T and Z of a point, limb by limb.
type lanes [5][4]uint64

const limbMask = 1<<51 - 1

func toEntries(points []affine) []entry {
	out := make([]entry, len(points))
	for i := range points {
		for lane, e := range []*field.Element{&points[i].yMinusX, &points[i].yPlusX, &points[i].xy2d} {
			for j, limb := range toLimbs(e) {
				out[i][j][lane] = limb
			}
		}
	}
	return out
}

// toLimbs returns an element's limbs, fully reduced.
func toLimbs(e *field.Element) (l [5]uint64) {
	b := e.Bytes()
	for i := range l {
		from := 51 * i
		at := min(from/8, 24)
		l[i] = binary.LittleEndian.Uint64(b[at:]) >> (from - 8*at) & limbMask
	}
	return l
}

// element returns the element of limbs below 2^52.
func element(l [5]uint64) (e field.Element) {
	for range 2 {
		for i := range 4 {
			l[i+1] += l[i] >> 51
			l[i] &= limbMask
		}
		l[0] += 19 * (l[4] >> 51)
		l[4] &= limbMask
	}
	var b [32]byte
	binary.LittleEndian.PutUint64(b[0:], l[0]|l[1]<<51)
	binary.LittleEndian.PutUint64(b[8:], l[1]>>13|l[2]<<38)
	binary.LittleEndian.PutUint64(b[16:], l[2]>>26|l[3]<<25)
	binary.LittleEndian.PutUint64(b[24:], l[3]>>39|l[4]<<12)
	if _, err := e.SetBytes(b[:]); err != nil {
		panic(err) // 32 bytes are right
	}
	return e
}

// vectorSum is a sum of table entries.
type vectorSum struct{ p lanes }

func newVectorSum() vectorSum {
	return vectorSum{lanes{{0, 1, 0, 1}}}
}

// addMultiple adds s times the table's point.
func (v *vectorSum) addMultiple(t *table, s *edwards25519.Scalar) {
	var digits [maxPositions]int16
	var plus, minus [maxPositions]*entry
	adds, subtracts, row := 0, 0, 0
	for _, d := range t.digits(s, &digits) {
		switch {
		case d > 0:
			plus[adds] = &t.vectors[row+int(d)-1]
			adds++
		case d < 0:
			minus[subtracts] = &t.vectors[row-int(d)-1]
			subtracts++
		}
		row += 1 << (t.width - 1)
	}
	addEntries(&v.p, &plus[0], adds, &minus[0], subtracts)
}

// point leaves out T, which encoding doesn't need.
func (v *vectorSum) point() point {
	lane := func(i int) field.Element {
		return element([5]uint64{v.p[0][i], v.p[1][i], v.p[2][i], v.p[3][i], v.p[4][i]})
	}
	return point{x: lane(0), y: lane(1), z: lane(3)}
}
