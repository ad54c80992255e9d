package wasm

// instruction is what step has read.
type instruction struct {
	op    Op
	x, y  uint32
	typ   ValType
	block BlockType
}

// effectSlots is effects by slots.
var effectSlots = func() (all [NumOps]struct{ in, out []ValType }) {
	for op := range all {
		e := &effects[op]
		if e.fixed {
			all[op].in = bySlots(e.types[:e.in])
			all[op].out = bySlots(e.types[e.in : e.in+e.out])
		}
	}
	return all
}()

// step validates one instruction, whatever it is.
func (v *validator) step() *Error {
	at := v.pos
	op := Op(v.b[at])
	v.pos++
	if op == 0xfc || op == 0xfd {
		sub, err := v.u32()
		if err != nil {
			return err
		}
		if sub > 0xff {
			return v.fail(Malformed, at, "illegal opcode 0x%x 0x%x", uint16(op), sub)
		}
		op = (op-0xfb)<<8 | Op(sub)
	}
	row := &opTable[op]
	if row.Name == "" || row.Needs&^v.m.Features != 0 {
		return v.fail(Malformed, at, "illegal opcode 0x%x", uint16(op))
	}
	v.in.op = op
	if row.Imm != ImmNone {
		if err := v.immediate(at, row.Imm); err != nil {
			return err
		}
	}
	if e := &effectSlots[op]; effects[op].fixed {
		if err := v.popAll(at, e.in); err != nil {
			return err
		}
		return v.pushAll(at, e.out)
	}
	if row.Class == ClassControl || row.Class == ClassCall {
		return v.control(at, op)
	}
	return v.polymorphic(at, op)
}

func (v *validator) u32() (uint32, *Error) {
	x, next := readU32(v.b, v.pos)
	if next < 0 {
		return 0, v.fail(Malformed, v.pos, "%s", lebRule(next))
	}
	v.pos = next
	return x, nil
}

func (v *validator) byte() (byte, *Error) {
	if v.pos >= len(v.b) {
		return 0, v.fail(Malformed, v.pos, "unexpected end of section or function")
	}
	v.pos++
	return v.b[v.pos-1], nil
}

// index reads an index and checks that it is below n.
func (v *validator) index(n int, what string) (uint32, *Error) {
	at := v.pos
	x, err := v.u32()
	if err == nil && int(x) >= n {
		return 0, v.fail(Invalid, at, "unknown %s %d", what, x)
	}
	return x, err
}

// pair reads two indices into x and y.
func (v *validator) pair(n int, what string, n2 int, what2 string) (err *Error) {
	if v.in.x, err = v.index(n, what); err != nil {
		return err
	}
	v.in.y, err = v.index(n2, what2)
	return err
}

// immediate reads what follows the opcode and checks all that needs no operands.
func (v *validator) immediate(at int, imm ImmKind) (err *Error) {
	m, in := v.m, &v.in
	switch imm {
	case ImmBlock:
		return v.blockImmediate()
	case ImmLabel:
		in.x, err = v.index(len(v.blocks), "label")
	case ImmBrTable:
		in.x, err = v.u32() // the labels are read when their types are checked
	case ImmFunc:
		return v.funcImmediate(at)
	case ImmCallIndirect:
		if err = v.pair(len(m.Types), "type", len(m.Tables), "table"); err == nil && m.Tables[in.y].Elem != FuncRef {
			return v.fail(Invalid, at, "type mismatch: %s through a table of %s", in.op, m.Tables[in.y].Elem)
		}
	case ImmLocal:
		in.x, err = v.index(int(v.nlocals), "local")
	case ImmGlobal:
		in.x, err = v.index(len(m.Globals), "global")
	case ImmTable:
		in.x, err = v.index(len(m.Tables), "table")
	case ImmTableTable:
		if err = v.pair(len(m.Tables), "table", len(m.Tables), "table"); err == nil && m.Tables[in.x].Elem != m.Tables[in.y].Elem {
			return v.fail(Invalid, at, "type mismatch: table.copy between tables of different types")
		}
	case ImmElem:
		in.x, err = v.index(len(m.Elems), "elem segment")
	case ImmElemTable:
		if err = v.pair(len(m.Elems), "elem segment", len(m.Tables), "table"); err == nil && m.Elems[in.x].Type != m.Tables[in.y].Elem {
			return v.fail(Invalid, at, "type mismatch: table.init of %s into a table of %s", m.Elems[in.x].Type, m.Tables[in.y].Elem)
		}
	case ImmData, ImmDataMem:
		return v.dataImmediate(at, imm)
	case ImmMemory:
		in.x, err = v.memoryIndex()
	case ImmMemMem:
		if in.x, err = v.memoryIndex(); err == nil {
			in.y, err = v.memoryIndex()
		}
	case ImmI32:
		return v.signed(32)
	case ImmI64:
		return v.signed(64)
	case ImmF32:
		return v.skip(4)
	case ImmF64:
		return v.skip(8)
	case ImmV128:
		return v.skip(16)
	case ImmShuffle:
		return v.lanes(16, 32)
	case ImmLane2, ImmLane4, ImmLane8, ImmLane16:
		return v.lanes(1, 2<<(imm-ImmLane2))
	case ImmRefType:
		return v.typeImmediate(ValType.IsRef, "reference")
	case ImmSelect:
		n, err := v.u32()
		if err == nil && n != 1 {
			err = v.fail(Invalid, at, "invalid result arity")
		}
		if err != nil {
			return err
		}
		return v.typeImmediate(ValType.valid, "value")
	default:
		return v.memArg(imm)
	}
	return err
}

func (v *validator) signed(bits uint) *Error {
	_, next := readSigned(v.b, v.pos, bits)
	if next < 0 {
		return v.fail(Malformed, v.pos, "%s", lebRule(next))
	}
	v.pos = next
	return nil
}

func (v *validator) skip(n int) *Error {
	if n > len(v.b)-v.pos {
		return v.fail(Malformed, v.pos, "unexpected end of section or function")
	}
	v.pos += n
	return nil
}

// lanes reads n lane indices.
func (v *validator) lanes(n int, below byte) *Error {
	for range n {
		lane, err := v.byte()
		if err != nil {
			return err
		}
		if lane >= below {
			return v.fail(Invalid, v.pos-1, "invalid lane index %d", lane)
		}
	}
	return nil
}

func (v *validator) typeImmediate(ok func(ValType) bool, what string) *Error {
	t, err := v.byte()
	if err != nil {
		return err
	}
	if v.in.typ = ValType(t); !ok(v.in.typ) {
		return v.fail(Malformed, v.pos-1, "malformed %s type", what)
	}
	return nil
}

func (v *validator) blockImmediate() *Error {
	at := v.pos
	first, err := v.byte()
	if err != nil {
		return err
	}
	if t := ValType(first); t == 0x40 || t.valid() {
		v.in.block = BlockType(first) - 0x80
		return nil
	}
	x, next := readSigned(v.b, at, 33)
	if next < 0 {
		return v.fail(Malformed, at, "%s", lebRule(next))
	}
	if x < 0 {
		return v.fail(Malformed, at, "malformed block type")
	}
	if x >= int64(len(v.m.Types)) {
		return v.fail(Invalid, at, "unknown type %d", x)
	}
	v.pos = next
	v.in.block = BlockType(x)
	return nil
}

func (v *validator) funcImmediate(at int) (err *Error) {
	in := &v.in
	if in.x, err = v.index(len(v.m.FuncTypes), "function"); err != nil {
		return err
	}
	if in.op == OpRefFunc && v.declared != nil && !v.declared[in.x] {
		return v.fail(Invalid, at, "undeclared function reference %d", in.x)
	}
	return nil
}

func (v *validator) dataImmediate(at int, imm ImmKind) (err *Error) {
	if !v.m.hasDataCount {
		return v.fail(Malformed, at, "data count section required")
	}
	if v.in.x, err = v.index(int(v.m.dataCount), "data segment"); err != nil || imm == ImmData {
		return err
	}
	v.in.y, err = v.memoryIndex()
	return err
}

// memoryIndex reads a memory index, which in core 2.0 is a single zero byte.
func (v *validator) memoryIndex() (uint32, *Error) {
	at := v.pos
	if v.m.Features&MultiMemory == 0 {
		x, err := v.byte()
		if err != nil {
			return 0, err
		}
		if x != 0 {
			return 0, v.fail(Malformed, at, "zero byte expected")
		}
		v.pos = at
	}
	return v.index(len(v.m.Mems), "memory")
}

func (v *validator) memArg(imm ImmKind) *Error {
	at := v.pos
	align, err := v.u32()
	if err != nil {
		return err
	}
	v.in.x = 0
	if align&memIndexFlag != 0 && v.m.Features&MultiMemory != 0 {
		align &^= memIndexFlag
		if v.in.x, err = v.u32(); err != nil {
			return err
		}
	}
	if align >= 32 {
		return v.fail(Malformed, at, "malformed memop flags")
	}
	if _, err = v.u32(); err != nil {
		return err
	}
	natural, _ := imm.AccessLog2()
	if int(v.in.x) >= len(v.m.Mems) {
		return v.fail(Invalid, at, "unknown memory %d", v.in.x)
	}
	if align > uint32(natural) {
		return v.fail(Invalid, at, "alignment must not be larger than natural")
	}
	if imm >= ImmMemLane8 && imm <= ImmMemLane64 {
		return v.lanes(1, 16>>natural)
	}
	return nil
}

// polymorphic applies the effect of the instructions outside of control flow whose types come from
// what they name or from their operands.
func (v *validator) polymorphic(at int, op Op) *Error {
	in := &v.in
	switch op {
	case OpDrop:
		if _, ok := v.pop(bottom); !ok {
			return v.mismatch(at, bottom)
		}
		return nil
	case OpSelect:
		return v.selectUntyped(at)
	case OpSelectT:
		return v.effect(at, in.typ, in.typ, in.typ, I32)
	case OpLocalGet:
		return v.push(at, v.localType(in.x))
	case OpLocalSet:
		return v.effect(at, 0, v.localType(in.x))
	case OpLocalTee:
		t := v.localType(in.x)
		return v.effect(at, t, t)
	case OpGlobalGet:
		return v.push(at, v.m.Globals[in.x].Type)
	case OpGlobalSet:
		if !v.m.Globals[in.x].Mutable {
			return v.fail(Invalid, at, "global is immutable")
		}
		return v.effect(at, 0, v.m.Globals[in.x].Type)
	case OpTableGet:
		return v.effect(at, v.m.Tables[in.x].Elem, I32)
	case OpTableSet:
		return v.effect(at, 0, I32, v.m.Tables[in.x].Elem)
	case OpTableGrow:
		return v.effect(at, I32, v.m.Tables[in.x].Elem, I32)
	case OpTableFill:
		return v.effect(at, 0, I32, v.m.Tables[in.x].Elem, I32)
	case OpRefNull:
		return v.push(at, in.typ)
	}
	// ref.is_null is the only one left.
	if t, ok := v.pop(bottom); !ok || !t.IsRef() && t != bottom {
		return v.fail(Invalid, at, "type mismatch: ref.is_null needs a reference")
	}
	return v.push(at, I32)
}

// effect pops the operands, the last one first, and pushes the result unless it is 0.
func (v *validator) effect(at int, result ValType, operands ...ValType) *Error {
	for i := len(operands) - 1; i >= 0; i-- {
		if _, ok := v.pop(operands[i]); !ok {
			return v.mismatch(at, operands[i])
		}
	}
	if result == 0 {
		return nil
	}
	return v.push(at, result)
}

func (v *validator) selectUntyped(at int) *Error {
	if _, ok := v.pop(I32); !ok {
		return v.mismatch(at, I32)
	}
	t, ok := v.pop(bottom)
	if !ok || t.IsRef() {
		return v.fail(Invalid, at, "type mismatch: select without a type needs numbers")
	}
	u, ok := v.pop(t)
	if !ok || u.IsRef() {
		return v.fail(Invalid, at, "type mismatch: select needs two operands of one type")
	}
	if t == bottom {
		t = u
	}
	return v.push(at, t)
}
