package wasm

import (
	"slices"
	"strings"
	"testing"
)

// checkPoints compares the points of a function with its blocks and with each other.
func checkPoints(t testing.TB, m *Module, fn uint32) {
	t.Helper()
	_, body := m.Func(fn)
	var offs []uint32
	var in Instr
	r := NewReader(m, body)
	for r.Next(&in) {
		offs = append(offs, in.Off)
	}
	var starts []uint32
	reached := 0
	var gas, carried uint64
	for p := range m.Points(fn, offs) {
		reached++
		gas += uint64(Info(p.Op).Gas)
		if p.Op == OpBr || p.Op == OpBrIf || p.Op == OpBrTable {
			carried += CarryGas(p.Operands)
		}
		if p.BlockStart {
			starts = append(starts, p.Off)
		}
		if n := SlotsOf(p.Operands); n+int(body.LocalSlots) > int(body.FrameSlots) {
			t.Fatalf("function %d: %d operand slots at %d do not fit into the frame", fn, n, p.Off)
		}
		if slices.Contains(p.Operands, bottom) {
			t.Fatalf("function %d: unknown operand type at %d, which execution reaches", fn, p.Off)
		}
	}
	if reached == 0 || starts[0] != body.Off {
		t.Fatalf("function %d: %d instructions reached, first block %v", fn, reached, starts)
	}
	var blockStarts []uint32
	for b := range m.Blocks(fn) {
		blockStarts = append(blockStarts, b.Off)
		gas -= b.Gas
	}
	if !slices.Equal(starts, blockStarts) {
		t.Fatalf("function %d: points say blocks start at %v, blocks say %v", fn, starts, blockStarts)
	}
	if over := -gas; over > carried { // a branch carries at most all operands
		t.Fatalf("function %d: weights of instructions and of blocks differ by %d", fn, int64(gas))
	}
}

func TestPointsOfTheSuite(t *testing.T) {
	specModules(t, func(_ string, _ specCommand, b []byte) {
		m, err := Decode(b, 0)
		if err != nil {
			return
		}
		for i := range m.Code {
			checkPoints(t, m, m.NumImportedFuncs+uint32(i))
		}
	})
}

// TestCarriedValuesArePaid: a thousand results, and a branch with a thousand values, cost more than their instruction.
func TestCarriedValuesArePaid(t *testing.T) {
	br := func(code ...byte) []byte {
		code = append([]byte{byte(OpBlock), 0, byte(OpI32Const), 0, byte(OpCall), 0}, code...)
		return oneFunc("", strings.Repeat("v", 500), nil, append(code, byte(OpEnd))...)
	}
	for _, c := range []struct {
		what string
		b    []byte
		want uint64
	}{
		{"br", br(byte(OpBr), 0), weights(OpI32Const, OpCall, OpBr) + 250},
		{"br_if", br(byte(OpI32Const), 0, byte(OpBrIf), 0, byte(OpBr), 0), weights(OpI32Const, OpCall, OpI32Const, OpBrIf) + 250},
		{"br_table", br(byte(OpI32Const), 0, byte(OpBrTable), 1, 0, 1), weights(OpI32Const, OpCall, OpI32Const, OpBrTable) + 250},
		{"return", br(byte(OpReturn)), weights(OpI32Const, OpCall, OpReturn)},
	} {
		m := mustDecode(t, c.b, 0)
		for first := range m.Blocks(0) {
			if first.Gas != c.want {
				t.Errorf("%s: %d units, want %d", c.what, first.Gas, c.want)
			}
			break
		}
		if got := EntryGas(&m.Types[0], &m.Code[0]); got != 250 {
			t.Errorf("%s: entry costs %d", c.what, got)
		}
	}
}

// assembled collects code and remembers offsets in it by name.
type assembled struct {
	b     []byte
	marks map[string]int
}

func (a *assembled) op(b ...byte) { a.b = append(a.b, b...) }

func (a *assembled) mark(name string) { a.marks[name] = len(a.b) }

func TestBlocks(t *testing.T) {
	a := assembled{marks: map[string]int{}}
	a.mark("entry")
	a.op(byte(OpBlock), 0x40)
	a.op(byte(OpLoop), 0x40)
	a.mark("loop")
	a.op(byte(OpLocalGet), 0, byte(OpBrIf), 1)
	a.mark("after br_if")
	a.op(byte(OpLocalGet), 0, byte(OpIf), 0x40)
	a.mark("then")
	a.op(byte(OpBr), 1)
	a.op(byte(OpI32Const), 0, byte(OpDrop)) // dead
	a.op(byte(OpElse))
	a.mark("else")
	a.op(byte(OpNop))
	a.op(byte(OpEnd))                          // nothing branches to it, and only the else arm falls through
	a.op(byte(OpI32Const), 0, byte(OpCall), 0) // ends no block
	a.op(byte(OpI32Const), 1)
	a.mark("grow") // its charge depends on a size
	a.op(byte(OpMemoryGrow), 0, byte(OpDrop), byte(OpBr), 1)
	a.op(byte(OpEnd)) // of the loop; dead, since nothing falls through, and so is what follows
	a.op(byte(OpI32Const), 0, byte(OpDrop), byte(OpEnd))
	a.mark("join")
	a.op(byte(OpBlock), 0x40, byte(OpEnd)) // not branched to: no block
	a.op(byte(OpReturn), byte(OpUnreachable))
	m := mustDecode(t, oneFunc("i", "", nil, a.b...), 0)
	base := m.Code[0].Off
	want := []GasBlock{
		{Off: base + uint32(a.marks["entry"])},
		{Off: base + uint32(a.marks["loop"]), Gas: weights(OpLocalGet, OpBrIf)},
		{Off: base + uint32(a.marks["after br_if"]), Gas: weights(OpLocalGet, OpIf)},
		{Off: base + uint32(a.marks["then"]), Gas: weights(OpBr)},
		{Off: base + uint32(a.marks["else"]), Gas: weights(OpI32Const, OpCall, OpI32Const)},
		{Off: base + uint32(a.marks["grow"]), Gas: weights(OpMemoryGrow, OpBr), Sized: true},
		{Off: base + uint32(a.marks["join"]), Gas: weights(OpReturn)},
	}
	if got := slices.Collect(m.Blocks(0)); !slices.Equal(got, want) {
		t.Fatalf("blocks\n%+v, want\n%+v", got, want)
	}
	checkPoints(t, m, 0)
}

// TestBlocksOfIf: the false side of an if without else leads to its end, and arms of a dead if stay dead.
func TestBlocksOfIf(t *testing.T) {
	for _, c := range []struct {
		what string
		code []byte
		want []uint32 // where blocks begin
	}{
		{"without else", []byte{byte(OpI32Const), 0, byte(OpIf), 0x40, byte(OpReturn), byte(OpEnd), byte(OpNop)}, []uint32{0, 4, 6}},
		{"both arms leave", []byte{byte(OpI32Const), 0, byte(OpIf), 0x40, byte(OpReturn), byte(OpElse), byte(OpReturn), byte(OpEnd), byte(OpNop)}, []uint32{0, 4, 6}},
		{"one arm leaves", []byte{byte(OpI32Const), 0, byte(OpIf), 0x40, byte(OpNop), byte(OpElse), byte(OpReturn), byte(OpEnd), byte(OpNop)}, []uint32{0, 4, 6, 8}},
		{"dead", []byte{byte(OpReturn), byte(OpI32Const), 0, byte(OpIf), 0x40, byte(OpNop), byte(OpElse), byte(OpNop), byte(OpEnd), byte(OpNop)}, []uint32{0}},
		{"dead loop and br_if", []byte{byte(OpReturn), byte(OpBlock), 0x40, byte(OpLoop), 0x40, byte(OpI32Const), 0, byte(OpBrIf), 1, byte(OpEnd), byte(OpEnd), byte(OpNop)}, []uint32{0}},
		{"dead br_table", []byte{byte(OpBlock), 0x40, byte(OpReturn), byte(OpI32Const), 0, byte(OpBrTable), 0, 0, byte(OpEnd), byte(OpNop)}, []uint32{0}},
		{"br_table", []byte{byte(OpBlock), 0x40, byte(OpBlock), 0x40, byte(OpI32Const), 0, byte(OpBrTable), 1, 1, 1, byte(OpEnd), byte(OpNop), byte(OpEnd), byte(OpNop)}, []uint32{0, 13}},
		{"sized behind br_if", []byte{byte(OpI32Const), 0, byte(OpI32Const), 0, byte(OpBrIf), 0, byte(OpMemoryGrow), 0, byte(OpDrop)}, []uint32{0, 6}},
		{"two sized", []byte{byte(OpI32Const), 0, byte(OpMemoryGrow), 0, byte(OpMemoryGrow), 0, byte(OpDrop)}, []uint32{0, 2, 4}},
	} {
		b := oneFunc("", "", nil, c.code...)
		m := mustDecode(t, b, 0)
		var got []uint32
		for block := range m.Blocks(0) {
			got = append(got, block.Off-m.Code[0].Off)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: blocks begin at %v, want %v", c.what, got, c.want)
		}
		checkPoints(t, m, 0)
	}
}

func weights(ops ...Op) (sum uint64) {
	for _, op := range ops {
		sum += uint64(Info(op).Gas)
	}
	return sum
}

func TestTypesAt(t *testing.T) {
	b := oneFunc("vI", "", [][]byte{group1(2, F32), group1(1, ExternRef)},
		byte(OpI32Const), 0x80, 0x01, // a constant of two bytes
		byte(OpLocalGet), 0,
		byte(OpLocalGet), 3,
		byte(OpBr), 0,
		byte(OpNop)) // dead
	m := mustDecode(t, b, 0)
	off := m.Code[0].Off
	locals, operands, ok := m.TypesAt(0, off+7)
	if !ok || !slices.Equal(locals, []ValType{V128, I64, F32, F32, ExternRef}) || !slices.Equal(operands, []ValType{I32, V128, F32}) {
		t.Fatalf("%v %v %v", locals, operands, ok)
	}
	if _, operands, ok = m.TypesAt(0, off); !ok || len(operands) != 0 {
		t.Fatalf("at the entry: %v %v", operands, ok)
	}
	for _, bad := range []uint32{0, off - 1, off + 1, off + 2, off + 8, off + 9, off + 10, off + 11, 1 << 31} {
		if _, _, ok := m.TypesAt(0, bad); ok {
			t.Errorf("offset %+d of the code is no live instruction, but has types", int64(bad)-int64(off))
		}
	}
	if _, _, ok := m.TypesAt(1, off); ok {
		t.Error("a function that does not exist has types")
	}
}
