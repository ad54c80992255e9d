package wasmgen

import "github.com/kitwork/kwnode/vm/wasm"

// stride is a loop that goes through memory, mostly up to its end or down to its beginning.
type stride struct {
	*body
	cursor, base uint64 // locals
	step, add    int32  // how far the cursor goes each time, and what is added to it
	shift        int32  // of the cursor
	indexed      bool   // base is added as well
	first        bool   // and is the first operand
}

// strided writes a loop whose addresses differ by a constant from one round to the next, mostly of one block.
func (f *body) strided() {
	n := len(f.typ.Params) + len(scratchTypes)
	counter := uint64(n - 1)
	s := stride{body: f, cursor: uint64(n - 2), base: f.scratch(wasm.I32)}
	rounds := int32(1 + f.rng.IntN(13))
	s.step = pick(f.gen, []int32{1, 2, 4, 8, 8, 16, 24, 1000, 3000, -1, -4, -8, -24, 0})
	s.add = pick(f.gen, []int32{0, 0, 4, -64, 1 << 16, -1 << 31, int32(f.rng.Uint32())})
	far := s.step * (rounds - 1)
	if s.step > 0 {
		f.op(wasm.OpMemorySize, 0)
		f.i32(16)
		f.op(wasm.OpI32Shl)
		near := 16 + pick(f.gen, []int32{0, 0, 1, 7, 8, 40}) // the farthest access is 8 bytes, 8 bytes from its address
		if f.chance(8) {
			near = int32(f.rng.IntN(16))
		}
		f.i32(near + far)
		f.op(wasm.OpI32Sub)
	} else {
		low := pick(f.gen, []int32{0, 0, 1, 7, 8, 1000})
		if f.chance(8) {
			low = int32(-1 - f.rng.IntN(16)) // wraps
		}
		f.i32(low - far)
	}
	switch f.rng.IntN(3) {
	case 0: // (cursor + add)
		f.i32(s.add)
		f.op(wasm.OpI32Sub)
		f.op(wasm.OpLocalSet, s.cursor)
	case 1: // cursor + base + add
		f.i32(s.add)
		f.op(wasm.OpI32Sub)
		f.op(wasm.OpLocalSet, s.base)
		f.i32(0)
		f.op(wasm.OpLocalSet, s.cursor)
		s.indexed = true
	default: // base + (cursor + add) * 2^shift
		s.indexed, s.shift, s.add = true, 2, s.add&^3>>2
		if s.step&3 != 0 {
			s.shift = 0
		}
		s.step >>= s.shift
		f.i32(s.add << s.shift)
		f.op(wasm.OpI32Sub)
		f.op(wasm.OpLocalSet, s.base)
		f.i32(0)
		f.op(wasm.OpLocalSet, s.cursor)
	}
	s.first = f.chance(50)
	met := s.step != 0 && f.chance(40) // the cursor itself ends the loop
	if met {
		f.op(wasm.OpLocalGet, s.cursor)
		f.i32(s.step * rounds)
		f.op(wasm.OpI32Add)
	} else {
		f.i32(rounds)
	}
	f.op(wasm.OpLocalSet, counter)
	f.op(wasm.OpLoop)
	f.b = append(f.b, 0x40)
	for range 1 + f.rng.IntN(3) {
		s.access()
	}
	s.advance()
	if f.chance(25) {
		f.op(wasm.OpLocalGet, f.scratch(wasm.I64))
		f.op(wasm.OpI32WrapI64)
		f.op(wasm.OpIf)
		f.b = append(f.b, 0x40)
		s.access()
		f.op(wasm.OpEnd)
	}
	if f.chance(30) {
		s.move(counter)
	}
	if f.chance(30) {
		s.access()
	}
	if f.chance(10) {
		f.i32(int32(f.rng.IntN(2)))
		f.op(wasm.OpMemoryGrow, 0)
		f.op(wasm.OpDrop)
	}
	if met {
		s.meets(counter)
	} else {
		f.op(wasm.OpLocalGet, counter)
		f.i32(1)
		f.op(wasm.OpI32Sub)
		f.op(wasm.OpLocalTee, counter)
	}
	f.op(wasm.OpBrIf, 0)
	f.op(wasm.OpEnd)
	f.op(wasm.OpLocalGet, f.scratch(wasm.I64))
	f.push(wasm.I64)
	f.discard()
}

// meets compares the cursor with where it is behind the last round. Whatever it does before, it comes there.
func (s stride) meets(end uint64) {
	s.op(wasm.OpLocalGet, s.cursor)
	s.op(wasm.OpLocalGet, end)
	if s.step > 0 {
		s.op(pick(s.gen, []wasm.Op{wasm.OpI32Ne, wasm.OpI32LtU, wasm.OpI32LtS}))
	} else {
		s.op(pick(s.gen, []wasm.Op{wasm.OpI32Ne, wasm.OpI32GtU, wasm.OpI32GtS}))
	}
}

func (s stride) advance() {
	s.op(wasm.OpLocalGet, s.cursor)
	s.i32(s.step)
	s.op(wasm.OpI32Add)
	s.op(wasm.OpLocalSet, s.cursor)
}

// move changes the base, by a constant or by what nobody can tell.
func (s stride) move(by uint64) {
	s.op(wasm.OpLocalGet, s.base)
	if s.chance(50) {
		s.i32(pick(s.gen, []int32{-8, -4, 4, 8}))
		s.op(wasm.OpI32Add)
	} else {
		s.op(wasm.OpLocalGet, by)
		s.i32(24)
		s.op(wasm.OpI32And)
		s.op(wasm.OpI32Xor)
	}
	s.op(wasm.OpLocalSet, s.base)
}

func (s stride) address() {
	if s.indexed && s.first {
		s.op(wasm.OpLocalGet, s.base)
	}
	s.op(wasm.OpLocalGet, s.cursor)
	if s.add != 0 {
		s.i32(s.add)
		s.op(wasm.OpI32Add)
	}
	if s.shift != 0 {
		s.i32(s.shift)
		s.op(wasm.OpI32Shl)
	}
	if s.indexed {
		if !s.first {
			s.op(wasm.OpLocalGet, s.base)
		}
		s.op(wasm.OpI32Add)
	}
}

// access loads something into the i64 that is kept, or stores that.
func (s stride) access() {
	sum := s.scratch(wasm.I64)
	s.address()
	offset := uint64(pick(s.gen, []int{0, 0, 0, 1, 4, 8}))
	if s.chance(40) {
		s.op(wasm.OpLocalGet, sum)
		s.op(pick(s.gen, []wasm.Op{wasm.OpI64Store, wasm.OpI64Store8, wasm.OpI64Store16, wasm.OpI64Store32}), 0, offset)
		return
	}
	s.op(pick(s.gen, []wasm.Op{wasm.OpI64Load, wasm.OpI64Load8S, wasm.OpI64Load16U, wasm.OpI64Load32S, wasm.OpI64Load32U}), 0, offset)
	s.op(wasm.OpLocalGet, sum)
	s.b = append(s.b, byte(wasm.OpI64Const), 5, byte(wasm.OpI64Rotl), byte(wasm.OpI64Add))
	s.op(wasm.OpLocalSet, sum)
}
