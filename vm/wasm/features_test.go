package wasm

import "testing"

func TestTailCalls(t *testing.T) {
	mod := func(results string, instrs ...byte) []byte {
		return module(section(1, vec(funcType("i", "I"), funcType("i", results))), section(3, vec(uleb(0), uleb(1))),
			section(4, vec([]byte{0x70, 0, 1})),
			section(10, vec(code(nil, byte(OpI64Const), 0), code(nil, instrs...))))
	}
	direct := []byte{byte(OpLocalGet), 0, byte(OpReturnCall), 0}
	indirect := []byte{byte(OpLocalGet), 0, byte(OpLocalGet), 0, byte(OpReturnCallIndirect), 0, 0}
	for _, instrs := range [][]byte{direct, indirect} {
		mustDecode(t, mod("I", instrs...), TailCall)
		wantError(t, mod("I", instrs...), 0, Malformed, "illegal opcode")
		wantError(t, mod("i", instrs...), TailCall, Invalid, "type mismatch")
	}
}

func TestMultiMemory(t *testing.T) {
	load := func(memarg ...byte) []byte {
		body := append([]byte{byte(OpI32Const), 0, byte(OpI32Load)}, memarg...)
		return module(section(1, vec(funcType("", ""))), section(3, vec(uleb(0))), section(5, vec([]byte{0, 1}, []byte{0, 1})),
			section(10, vec(code(nil, append(body, byte(OpDrop))...))))
	}
	m := mustDecode(t, load(0x42, 1, 7), MultiMemory)
	var in Instr
	r := NewReader(m, &m.Code[0])
	for r.Next(&in) && in.Op != OpI32Load {
	}
	if in.X != 1 || in.Offset != 7 || in.Align != 2 {
		t.Errorf("%+v", in)
	}
	wantError(t, load(0x42, 2, 7), MultiMemory, Invalid, "unknown memory 2")
	wantError(t, load(0x42, 1, 7), 0, Invalid, "multiple memories")
	wantError(t, oneFunc("", "", nil, byte(OpI32Const), 0, byte(OpI32Load), 0x42, 0, 0, byte(OpDrop)), 0, Malformed, "malformed memop flags")
}

func TestConstExpr(t *testing.T) {
	mod := func(typ ValType, instrs ...byte) []byte {
		return module(section(2, vec([]byte("\x01m\x01g\x03\x7f\x00"))), section(6, vec(append(append([]byte{byte(typ), 0}, instrs...), byte(OpEnd)))))
	}
	env := &ConstEnv{
		Global: func(uint32) (uint64, uint64) { return 40, 0 },
		Func:   func(i uint32) uint64 { return uint64(i) + 1 },
		Null:   9,
	}
	for _, c := range []struct {
		b        []byte
		f        Features
		lo, hi   uint64
		withZero bool // core 2.0 refuses it
	}{
		{b: mod(I32, byte(OpI32Const), 0x7f), lo: 1<<32 - 1},
		{b: mod(I64, byte(OpI64Const), 0x7f), lo: 1<<64 - 1},
		{b: mod(F32, byte(OpF32Const), 1, 2, 3, 4), lo: 0x04030201},
		{b: mod(V128, 0xfd, 12, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0), lo: 1, hi: 2},
		{b: mod(I32, byte(OpGlobalGet), 0), lo: 40},
		{b: mod(FuncRef, byte(OpRefNull), 0x70), lo: 9},
		{b: mod(I32, byte(OpI32Const), 3, byte(OpGlobalGet), 0, byte(OpI32Const), 2, byte(OpI32Mul), byte(OpI32Sub)),
			f: ExtendedConst, lo: 1<<32 - 77, withZero: true},
		{b: mod(I64, byte(OpI64Const), 3, byte(OpI64Const), 4, byte(OpI64Add)), f: ExtendedConst, lo: 7, withZero: true},
	} {
		m := mustDecode(t, c.b, c.f)
		if lo, hi := m.EvalConst(m.Globals[1].Init, env); lo != c.lo || hi != c.hi {
			t.Errorf("%x: %d, %d; want %d, %d", c.b, lo, hi, c.lo, c.hi)
		}
		if c.withZero {
			wantError(t, c.b, 0, Invalid, "constant expression required")
		}
	}
	wantError(t, mod(I32, byte(OpI32Const), 0, byte(OpI32Const), 0), 0, Invalid, "type mismatch")
	wantError(t, mod(I32, byte(OpI32Const), 0, byte(OpI32Add)), ExtendedConst, Invalid, "type mismatch")
	wantError(t, mod(I32, byte(OpGlobalGet), 1), 0, Invalid, "unknown global 1")
	wantError(t, mod(I32, 0xff), 0, Malformed, "illegal opcode")
}

func TestMeter(t *testing.T) {
	for op := range Op(NumOps) {
		if Info(op) == nil {
			continue
		}
		if Sized(op) != (SizeGas(op, 1<<20) > 0) {
			t.Errorf("%s: Sized is %v, its charge for 2^20 is %d", op, Sized(op), SizeGas(op, 1<<20))
		}
	}
	// What can repeat without end must cost something: each way to go back or to call.
	for _, op := range []Op{OpBr, OpBrIf, OpBrTable, OpCall, OpCallIndirect, OpReturnCall, OpReturnCallIndirect} {
		if Info(op).Gas == 0 {
			t.Errorf("%s is free", op)
		}
	}
	m := mustDecode(t, oneFunc("iv", "", [][]byte{group1(9, I64), group1(1, V128)}), 0)
	if got := EntryGas(&m.Types[0], &m.Code[0]); got != 3 { // 11 slots
		t.Errorf("entry costs %d", got)
	}
	b := module(section(4, vec([]byte{0x70, 0, 5})), section(5, vec([]byte{0, 2})),
		section(9, vec([]byte{5, 0x70, 1, byte(OpRefNull), 0x70, byte(OpEnd)}, []byte{4, byte(OpI32Const), 0, byte(OpEnd), 1, byte(OpRefNull), 0x70, byte(OpEnd)})),
		section(11, vec(append([]byte{0, byte(OpI32Const), 0, byte(OpEnd)}, sized(make([]byte, 100))...))))
	want := uint64(GasPerInstance + len(b)/ModuleBytesPerGas + 3*GasPerSegment + 100/BytesPerGas + 1*GasPerElem + 2*GasPerPage + 5*GasPerElem)
	if got := mustDecode(t, b, 0).InstantiateGas(); got != want {
		t.Errorf("instantiating costs %d, want %d", got, want)
	}
}
