package num

import (
	"flag"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"
	"time"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0 takes the clock")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with -seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// The reference splits a vector into lanes and applies the specification's definition to each, in wide integers.

func get(v V128, w, i int) uint64 {
	at := i * w
	return v[at/64] >> (at % 64) & (math.MaxUint64 >> (64 - w))
}

func set(v *V128, w, i int, x uint64) {
	at := i * w
	v[at/64] |= x & (math.MaxUint64 >> (64 - w)) << (at % 64)
}

func sext(x uint64, w int) int64 { return int64(x<<(64-w)) >> (64 - w) }

func clamp(x, low, high int64) uint64 { return uint64(min(max(x, low), high)) }

type lane2 func(w int, x, y uint64) uint64

// signed and unsigned give a reference its operands as integers; cond makes lanes of ones.
func signed(f func(w int, x, y int64) int64) lane2 {
	return func(w int, x, y uint64) uint64 { return uint64(f(w, sext(x, w), sext(y, w))) }
}

func cond(f func(w int, x, y uint64) bool) lane2 {
	return func(w int, x, y uint64) uint64 {
		if f(w, x, y) {
			return math.MaxUint64
		}
		return 0
	}
}

func condS(f func(x, y int64) bool) lane2 {
	return cond(func(w int, x, y uint64) bool { return f(sext(x, w), sext(y, w)) })
}

// intOps: by operation, its number for i8x16, i16x8, i32x4, i64x2 (0: none).
var intOps = []struct {
	name string
	ops  [4]uint16
	f    lane2
}{
	{"eq", [4]uint16{35, 45, 55, 214}, cond(func(_ int, x, y uint64) bool { return x == y })},
	{"ne", [4]uint16{36, 46, 56, 215}, cond(func(_ int, x, y uint64) bool { return x != y })},
	{"lt_s", [4]uint16{37, 47, 57, 216}, condS(func(x, y int64) bool { return x < y })},
	{"lt_u", [4]uint16{38, 48, 58, 0}, cond(func(_ int, x, y uint64) bool { return x < y })},
	{"gt_s", [4]uint16{39, 49, 59, 217}, condS(func(x, y int64) bool { return x > y })},
	{"gt_u", [4]uint16{40, 50, 60, 0}, cond(func(_ int, x, y uint64) bool { return x > y })},
	{"le_s", [4]uint16{41, 51, 61, 218}, condS(func(x, y int64) bool { return x <= y })},
	{"le_u", [4]uint16{42, 52, 62, 0}, cond(func(_ int, x, y uint64) bool { return x <= y })},
	{"ge_s", [4]uint16{43, 53, 63, 219}, condS(func(x, y int64) bool { return x >= y })},
	{"ge_u", [4]uint16{44, 54, 64, 0}, cond(func(_ int, x, y uint64) bool { return x >= y })},
	{"abs", [4]uint16{96, 128, 160, 192}, signed(func(_ int, x, _ int64) int64 { return max(x, -x) })},
	{"neg", [4]uint16{97, 129, 161, 193}, signed(func(_ int, x, _ int64) int64 { return -x })},
	{"popcnt", [4]uint16{98, 0, 0, 0}, func(_ int, x, _ uint64) uint64 { return uint64(bits.OnesCount64(x)) }},
	{"add", [4]uint16{110, 142, 174, 206}, func(_ int, x, y uint64) uint64 { return x + y }},
	{"sub", [4]uint16{113, 145, 177, 209}, func(_ int, x, y uint64) uint64 { return x - y }},
	{"mul", [4]uint16{0, 149, 181, 213}, func(_ int, x, y uint64) uint64 { return x * y }},
	{"add_sat_s", [4]uint16{111, 143, 0, 0}, signed(func(w int, x, y int64) int64 {
		return int64(clamp(x+y, -1<<(w-1), 1<<(w-1)-1))
	})},
	{"add_sat_u", [4]uint16{112, 144, 0, 0}, func(w int, x, y uint64) uint64 { return clamp(int64(x+y), 0, 1<<w-1) }},
	{"sub_sat_s", [4]uint16{114, 146, 0, 0}, signed(func(w int, x, y int64) int64 {
		return int64(clamp(x-y, -1<<(w-1), 1<<(w-1)-1))
	})},
	{"sub_sat_u", [4]uint16{115, 147, 0, 0}, func(w int, x, y uint64) uint64 { return clamp(int64(x-y), 0, 1<<w-1) }},
	{"min_s", [4]uint16{118, 150, 182, 0}, signed(func(_ int, x, y int64) int64 { return min(x, y) })},
	{"min_u", [4]uint16{119, 151, 183, 0}, func(_ int, x, y uint64) uint64 { return min(x, y) }},
	{"max_s", [4]uint16{120, 152, 184, 0}, signed(func(_ int, x, y int64) int64 { return max(x, y) })},
	{"max_u", [4]uint16{121, 153, 185, 0}, func(_ int, x, y uint64) uint64 { return max(x, y) }},
	{"avgr_u", [4]uint16{123, 155, 0, 0}, func(_ int, x, y uint64) uint64 { return (x + y + 1) / 2 }},
	{"q15mulr_sat_s", [4]uint16{0, 130, 0, 0}, signed(func(_ int, x, y int64) int64 {
		return int64(clamp((x*y+0x4000)>>15, -32768, 32767))
	})},
}

var intShifts = []struct {
	name string
	ops  [4]uint16
	f    func(w int, x uint64, n uint) uint64
}{
	{"shl", [4]uint16{107, 139, 171, 203}, func(w int, x uint64, n uint) uint64 { return x << n }},
	{"shr_s", [4]uint16{108, 140, 172, 204}, func(w int, x uint64, n uint) uint64 { return uint64(sext(x, w) >> n) }},
	{"shr_u", [4]uint16{109, 141, 173, 205}, func(w int, x uint64, n uint) uint64 { return x >> n }},
}

// Vectors whose lanes sit at the bounds for every width, and random ones.
var edges = []uint64{
	0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 63, math.MaxInt64,
	math.MaxUint64, 0x8000800080008000, 0x7fff7fff7fff7fff, 0x8080808080808080, 0x7f7f7f7f7f7f7f7f, 0x0101010101010101,
	0x8001800180018001, 0x80ff017f00fe8100, 0x8000000080000000, 0x7fffffff7fffffff, 0x00010000ffff8000,
}

func randVec(r *rand.Rand) V128 {
	var v V128
	for i := range v {
		switch r.IntN(4) {
		case 0:
			v[i] = edges[r.IntN(len(edges))]
		case 1: // bytes at the bounds
			for b := range 8 {
				v[i] |= uint64([]byte{0, 1, 0x7e, 0x7f, 0x80, 0x81, 0xfe, 0xff}[r.IntN(8)]) << (8 * b)
			}
		default:
			v[i] = r.Uint64()
		}
	}
	return v
}

// check runs an operation with the destination apart from, and in place of, each operand.
func check(t *testing.T, what string, op uint16, want V128, a, b, c V128) {
	t.Helper()
	if vectors[op] == nil {
		t.Fatalf("%s: no operation %d", what, op)
	}
	var d V128
	Vector(op, &d, &a, &b, &c)
	if d != want {
		t.Fatalf("%s(%016x, %016x, %016x) = %016x, want %016x", what, a, b, c, d, want)
	}
	x, y, z := a, b, c
	Vector(op, &x, &x, &b, &c)
	Vector(op, &y, &a, &y, &c)
	Vector(op, &z, &a, &b, &z)
	if x != want || y != want || z != want {
		t.Fatalf("%s in place: %016x %016x %016x, want %016x", what, x, y, z, want)
	}
}

func TestIntegerLanes(t *testing.T) {
	r := newRand(t)
	for range 3000 {
		a, b := randVec(r), randVec(r)
		for _, o := range intOps {
			for s, op := range o.ops {
				if op == 0 {
					continue
				}
				w := 8 << s
				var want V128
				for i := range 128 / w {
					set(&want, w, i, o.f(w, get(a, w, i), get(b, w, i)))
				}
				check(t, fmt.Sprintf("i%d.%s", w, o.name), op, want, a, b, V128{})
			}
		}
		n := r.Uint64()
		for _, o := range intShifts {
			for s, op := range o.ops {
				w := 8 << s
				var want V128
				for i := range 128 / w {
					set(&want, w, i, o.f(w, get(a, w, i), uint(n%uint64(w))))
				}
				check(t, fmt.Sprintf("i%d.%s", w, o.name), op, want, a, V128{n, r.Uint64()}, V128{})
			}
		}
	}
}

// TestWidths covers what changes a lane's width: extend, extmul, extadd, dot, narrow.
func TestWidths(t *testing.T) {
	r := newRand(t)
	ext := func(x uint64, w int, s bool) uint64 {
		if s {
			return uint64(sext(x, w))
		}
		return x
	}
	extend := map[int]uint16{16: 135, 32: 167, 64: 199}
	extmul := map[int]uint16{16: 156, 32: 188, 64: 220}
	for range 3000 {
		a, b := randVec(r), randVec(r)
		for w := 16; w <= 64; w *= 2 {
			for k := range 4 {
				high, isSigned := k&1, k < 2
				var wantE, wantM V128
				for i := range 128 / w {
					j := i + high*128/w
					x, y := ext(get(a, w/2, j), w/2, isSigned), ext(get(b, w/2, j), w/2, isSigned)
					set(&wantE, w, i, x)
					set(&wantM, w, i, x*y)
				}
				check(t, fmt.Sprintf("i%d.extend %d", w, k), extend[w]+uint16(k), wantE, a, b, V128{})
				check(t, fmt.Sprintf("i%d.extmul %d", w, k), extmul[w]+uint16(k), wantM, a, b, V128{})
			}
		}
		for i, op := range []uint16{124, 125, 126, 127} {
			w, isSigned := 16<<(i/2), i%2 == 0
			var want V128
			for i := range 128 / w {
				set(&want, w, i, ext(get(a, w/2, 2*i), w/2, isSigned)+ext(get(a, w/2, 2*i+1), w/2, isSigned))
			}
			check(t, "extadd_pairwise", op, want, a, b, V128{})
		}
		var dot V128
		for i := range 4 {
			set(&dot, 32, i, uint64(sext(get(a, 16, 2*i), 16)*sext(get(b, 16, 2*i), 16)+
				sext(get(a, 16, 2*i+1), 16)*sext(get(b, 16, 2*i+1), 16)))
		}
		check(t, "dot", 186, dot, a, b, V128{})
		for i, op := range []uint16{101, 102, 133, 134} {
			w, isSigned := 8<<(i/2), i%2 == 0
			low, high := int64(0), int64(1)<<w-1
			if isSigned {
				low, high = -1<<(w-1), 1<<(w-1)-1
			}
			var want V128
			for i := range 64 / w {
				set(&want, w, i, clamp(sext(get(a, 2*w, i), 2*w), low, high))
				set(&want, w, i+64/w, clamp(sext(get(b, 2*w, i), 2*w), low, high))
			}
			check(t, "narrow", op, want, a, b, V128{})
		}
	}
}

func TestReductionsLeaveTheSecondWord(t *testing.T) {
	r := newRand(t)
	for range 3000 {
		a := randVec(r)
		if r.IntN(8) == 0 {
			a = V128{}
		}
		for s, ops := range [][2]uint16{{99, 100}, {131, 132}, {163, 164}, {195, 196}} {
			w := 8 << s
			all, mask := uint64(1), uint64(0)
			for i := range 128 / w {
				if get(a, w, i) == 0 {
					all = 0
				}
				mask |= get(a, w, i) >> (w - 1) << i
			}
			for i, want := range []uint64{all, mask} {
				d := V128{5, 0xfeed}
				Vector(ops[i], &d, &a, nil, nil)
				if d != (V128{want, 0xfeed}) {
					t.Fatalf("op %d of %016x: %016x, want %x", ops[i], a, d, want)
				}
			}
		}
		d, want := V128{5, 0xfeed}, uint64(0)
		if a != (V128{}) {
			want = 1
		}
		if Vector(83, &d, &a, nil, nil); d != (V128{want, 0xfeed}) {
			t.Fatalf("any_true of %016x: %x", a, d)
		}
	}
}

func TestBits(t *testing.T) {
	r := newRand(t)
	for range 1000 {
		a, b, c := randVec(r), randVec(r), randVec(r)
		var not, and, andnot, or, xor, sel, swz, shuf V128
		var idx V128
		for i := range 2 {
			not[i], and[i], andnot[i], or[i], xor[i] = ^a[i], a[i]&b[i], a[i]&^b[i], a[i]|b[i], a[i]^b[i]
			sel[i] = a[i]&c[i] | b[i]&^c[i]
		}
		for i := range 16 {
			if k := get(b, 8, i); k < 16 {
				set(&swz, 8, i, get(a, 8, int(k)))
			}
			k := get(c, 8, i) % 32
			set(&idx, 8, i, k)
			if k < 16 {
				set(&shuf, 8, i, get(a, 8, int(k)))
			} else {
				set(&shuf, 8, i, get(b, 8, int(k-16)))
			}
		}
		check(t, "not", 77, not, a, b, c)
		check(t, "and", 78, and, a, b, c)
		check(t, "andnot", 79, andnot, a, b, c)
		check(t, "or", 80, or, a, b, c)
		check(t, "xor", 81, xor, a, b, c)
		check(t, "bitselect", 82, sel, a, b, c)
		check(t, "swizzle", 14, swz, a, b, c)
		check(t, "shuffle", 13, shuf, a, b, idx)
	}
}

func TestSplatsAndLanes(t *testing.T) {
	r := newRand(t)
	for range 1000 {
		x := r.Uint64()
		for op, w := range map[uint16]int{15: 8, 16: 16, 17: 32, 18: 64, 19: 32, 20: 64, 7: 8, 8: 16, 9: 32, 10: 64} {
			var want V128
			for i := range 128 / w {
				set(&want, w, i, x)
			}
			check(t, fmt.Sprint("splat ", op), op, want, V128{x, r.Uint64()}, V128{}, V128{})
		}
		check(t, "load64_zero", 93, V128{x, 0}, V128{x, r.Uint64()}, V128{}, V128{})

		a := randVec(r)
		for op, w := range map[uint16]int{22: 8, 25: 16, 27: 32, 29: 64, 31: 32, 33: 64, 88: 8, 89: 16, 90: 32, 91: 64} {
			for i := range 128 / w {
				if got, want := ExtractLane(op, uint8(i), &a), get(a, w, i); got != want {
					t.Fatalf("extract %d lane %d of %016x: %x, want %x", op, i, a, got, want)
				}
			}
		}
		for op, w := range map[uint16]int{21: 8, 24: 16} {
			for i := range 128 / w {
				if got, want := ExtractLane(op, uint8(i), &a), uint64(uint32(sext(get(a, w, i), w))); got != want {
					t.Fatalf("extract_s %d lane %d of %016x: %x, want %x", op, i, a, got, want)
				}
			}
		}
		for op, w := range map[uint16]int{23: 8, 26: 16, 28: 32, 30: 64, 32: 32, 34: 64, 84: 8, 85: 16, 86: 32, 87: 64} {
			for i := range 128 / w {
				var want, got V128
				for j := range 128 / w {
					set(&want, w, j, get(a, w, j))
					if j == i {
						want[i*w/64] &^= (math.MaxUint64 >> (64 - w)) << (i * w % 64)
						set(&want, w, j, x)
					}
				}
				if ReplaceLane(op, uint8(i), &got, &a, x); got != want {
					t.Fatalf("replace %d lane %d of %016x by %x: %016x, want %016x", op, i, a, x, got, want)
				}
			}
		}
	}
}

// TestTableIsComplete counts: 236 vector instructions in core 2.0, less load, store, const and the 22 with a lane.
func TestTableIsComplete(t *testing.T) {
	n := 0
	for op := range uint16(256) {
		if vectors[op] != nil {
			n++
		}
	}
	if want := 236 - 3 - 22; n != want {
		t.Fatalf("%d operations, want %d", n, want)
	}
	if vectors[11] != nil {
		t.Fatal("an operation that isn't one")
	}
}

var sink V128

func BenchmarkLanes(b *testing.B) {
	x, y := V128{0x0123456789abcdef, 0xfedcba9876543210}, V128{0x1111111111111111, 0x8080808080808080}
	ref := func(f func(p, q uint8) uint8) func() {
		return func() {
			var d V128
			for i := range 16 {
				k, s := i>>3, i&7*8
				d[k] |= uint64(f(uint8(x[k]>>s), uint8(y[k]>>s))) << s
			}
			sink = d
		}
	}
	for _, c := range []struct {
		name string
		op   uint16
		loop func()
	}{
		{"i8x16.add", 110, ref(func(p, q uint8) uint8 { return p + q })},
		{"i8x16.min_s", 118, ref(func(p, q uint8) uint8 { return uint8(min(int8(p), int8(q))) })},
		{"i8x16.add_sat_u", 112, ref(func(p, q uint8) uint8 { return uint8(min(uint(p)+uint(q), 255)) })},
		{"i8x16.swizzle", 14, nil},
		{"i16x8.mul", 149, nil},
		{"i32x4.lt_s", 57, nil},
		{"f32x4.mul", 230, nil},
		{"f64x2.nearest", 148, nil},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				Vector(c.op, &sink, &x, &y, nil)
			}
		})
		if c.loop != nil {
			b.Run(c.name+"/loop", func(b *testing.B) {
				for range b.N {
					c.loop()
				}
			})
		}
	}
}
