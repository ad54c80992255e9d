package wasm

// constExpr reads and validates a constant expression that must give one value of type want. Core 2.0
// has no operators here, so a valid expression is then one instruction and end.
func (d *decoder) constExpr(want ValType) (e ConstExpr) {
	e.Off = uint32(d.pos)
	stack := d.stack[:0]
	for d.err == nil {
		at := d.pos
		op := Op(d.byte())
		if op == 0xfd {
			if sub := d.u32(); sub < 0x100 {
				op = PrefixSIMD + Op(sub)
			}
		}
		switch op {
		case OpI32Const:
			d.signed(32)
			stack = append(stack, I32)
		case OpI64Const:
			d.signed(64)
			stack = append(stack, I64)
		case OpF32Const:
			d.skip(4)
			stack = append(stack, F32)
		case OpF64Const:
			d.skip(8)
			stack = append(stack, F64)
		case OpV128Const:
			d.skip(16)
			stack = append(stack, V128)
		case OpRefNull:
			stack = append(stack, d.refType())
		case OpRefFunc:
			if x := d.funcIndex(); d.err == nil {
				d.declared[x] = true
			}
			stack = append(stack, FuncRef)
		case OpGlobalGet:
			stack = append(stack, d.constGlobal())
		case OpI32Add, OpI32Sub, OpI32Mul, OpI64Add, OpI64Sub, OpI64Mul:
			stack = d.constBinary(at, op, stack)
		case OpEnd:
			if len(stack) != 1 || stack[0] != want {
				d.invalid(at, "type mismatch: constant expression must give one %s", want)
			}
			d.stack = stack
			e.End = uint32(d.pos)
			return e
		default:
			d.notConstant(at, op)
		}
	}
	return e
}

func (d *decoder) notConstant(at int, op Op) {
	if Info(op) == nil && op != 0xfc {
		d.malformed(at, "illegal opcode")
		return
	}
	d.invalid(at, "constant expression required")
}

// constGlobal reads the global of a global.get: an imported one that never changes.
func (d *decoder) constGlobal() ValType {
	at := d.pos
	x := d.u32()
	if d.err != nil {
		return 0
	}
	if x >= d.m.NumImportedGlobals {
		d.invalid(at, "unknown global %d (constant expressions may read imported globals only)", x)
		return 0
	}
	g := &d.m.Globals[x]
	if g.Mutable {
		d.invalid(at, "constant expression required")
	}
	return g.Type
}

func (d *decoder) constBinary(at int, op Op, stack []ValType) []ValType {
	n := len(stack)
	if d.m.Features&ExtendedConst == 0 {
		d.notConstant(at, op)
		return stack
	}
	t := effects[op].types[0]
	if n < 2 || stack[n-1] != t || stack[n-2] != t {
		d.invalid(at, "type mismatch")
		return stack
	}
	return stack[:n-1]
}

// The bits of an element segment's flags.
const (
	elemNotActive = 1 << iota
	elemExplicit  // active: has a table index; not active: is declared
	elemExprs
)

func (d *decoder) elementSection() {
	n := d.entries("element segments", 0, 2)
	if d.err != nil {
		return
	}
	d.m.Elems = make([]Elem, n)
	for i := range d.m.Elems {
		if d.element(&d.m.Elems[i]); d.err != nil {
			return
		}
	}
}

func (d *decoder) element(e *Elem) {
	at := d.pos
	flags := d.u32()
	if flags > 7 {
		d.malformed(at, "malformed elements segment kind")
		return
	}
	e.Type = FuncRef
	e.exprs = flags&elemExprs != 0
	switch {
	case flags&elemNotActive == 0:
		if flags&elemExplicit != 0 {
			e.Table = d.u32()
		}
		if d.err == nil && int(e.Table) >= len(d.m.Tables) {
			d.invalid(at, "unknown table %d", e.Table)
		}
		e.Offset = d.constExpr(I32)
	case flags&elemExplicit != 0:
		e.Mode = SegDeclared
	default:
		e.Mode = SegPassive
	}
	if flags&(elemNotActive|elemExplicit) != 0 {
		kindAt := d.pos
		if e.exprs {
			e.Type = d.refType()
		} else if d.byte() != 0 {
			d.malformed(kindAt, "malformed element kind")
		}
	}
	if d.err == nil && e.Mode == SegActive && d.m.Tables[e.Table].Elem != e.Type {
		d.invalid(at, "type mismatch: %s segment for a table of %s", e.Type, d.m.Tables[e.Table].Elem)
	}
	e.Count = uint32(d.vector(1))
	e.items = uint32(d.pos)
	for i := e.Count; i > 0 && d.err == nil; i-- {
		if e.exprs {
			d.constExpr(e.Type)
		} else if x := d.funcIndex(); d.err == nil {
			d.declared[x] = true
		}
	}
}

func (d *decoder) dataSection() {
	at := d.pos
	n := d.entries("data segments", 0, 2)
	if d.err != nil {
		return
	}
	m := d.m
	if m.hasDataCount && n != int(m.dataCount) {
		d.malformed(at, "data count and data section have inconsistent lengths")
		return
	}
	m.Datas = make([]Data, n)
	for i := range m.Datas {
		if d.data(&m.Datas[i]); d.err != nil {
			return
		}
	}
}

func (d *decoder) data(s *Data) {
	if d.plainData(s) {
		return
	}
	at := d.pos
	switch d.u32() {
	case 0:
	case 1:
		s.Mode = SegPassive
	case 2:
		s.Mem = d.u32()
	default:
		d.malformed(at, "malformed data segment kind")
	}
	if s.Mode == SegActive {
		if d.err == nil && int(s.Mem) >= len(d.m.Mems) {
			d.invalid(at, "unknown memory %d", s.Mem)
		}
		s.expr = d.constExpr(I32).Off
		if d.err == nil && Op(d.b[s.expr]) == OpI32Const {
			c := cursor{b: d.b, pos: int(s.expr) + 1}
			s.Addr = uint32(c.fastS64())
			s.Fixed = Op(d.b[c.pos]) == OpEnd
		}
	}
	s.Len = uint32(d.vector(1))
	s.Off = uint32(d.pos)
	d.skip(int(s.Len))
}

// plainData is a shortcut for what nearly all data segments are, active ones of memory 0 with a constant offset: a Go
// program has tens of thousands. It is false, and nothing happened, if the segment is something else or wrong.
func (d *decoder) plainData(s *Data) bool {
	b, pos := d.b[:d.end], d.pos
	if pos+4 > len(b) || b[pos] != 0 || Op(b[pos+1]) != OpI32Const || len(d.m.Mems) == 0 {
		return false
	}
	addr, next := readSigned(b, pos+2, 32)
	if next < 0 || next >= len(b) || Op(b[next]) != OpEnd {
		return false
	}
	n, off := readU32(b, next+1)
	if off < 0 || int(n) > len(b)-off {
		return false
	}
	*s = Data{Off: uint32(off), Len: n, Addr: uint32(addr), expr: uint32(pos + 1), Fixed: true}
	d.pos = off + int(n)
	return true
}

// ElemItem is one reference of an element segment.
type ElemItem struct {
	Kind  ElemItemKind
	Index uint32
}

// ElemItemKind says what an element segment's item refers to.
type ElemItemKind uint8

// The kinds of items.
const (
	ElemFunc   ElemItemKind = iota // the function Index
	ElemNull                       // a null reference
	ElemGlobal                     // the reference in the imported global Index
)

// ElemItems iterates over the items of an element segment.
type ElemItems struct {
	c     cursor
	left  uint32
	exprs bool
}

// ElemItems returns the items of segment e, e.Count in all.
func (m *Module) ElemItems(e *Elem) ElemItems {
	return ElemItems{c: cursor{b: m.Bytes, pos: int(e.items)}, left: e.Count, exprs: e.exprs}
}

// Next returns the next item, and false after the last.
func (it *ElemItems) Next() (item ElemItem, ok bool) {
	if it.left == 0 {
		return item, false
	}
	it.left--
	if !it.exprs {
		return ElemItem{Kind: ElemFunc, Index: it.c.fastU32()}, true
	}
	op := Op(it.c.b[it.c.pos])
	it.c.pos++
	item.Index = it.c.fastU32() // of ref.null the type, one byte below 0x80
	it.c.pos++                  // end
	switch op {
	case OpRefFunc:
		item.Kind = ElemFunc
	case OpGlobalGet:
		item.Kind = ElemGlobal
	default:
		item = ElemItem{Kind: ElemNull}
	}
	return item, true
}

// ConstEnv gives constant expressions their meaning in an instance. Values are frame slots: an i32
// zero extended, a v128 in lo and hi, a reference as the embedder encodes it.
type ConstEnv struct {
	Global func(index uint32) (lo, hi uint64)
	Func   func(index uint32) uint64 // the reference to a function
	Null   uint64                    // the null reference
}

// EvalConst evaluates a constant expression. It cannot fail.
func (m *Module) EvalConst(e ConstExpr, env *ConstEnv) (lo, hi uint64) {
	var in Instr
	var below []uint64 // operands under the top one, which is lo; only arithmetic needs them
	r := NewConstReader(m, e)
	for depth := 0; r.Next(&in); {
		switch in.Op {
		case OpEnd:
			return lo, hi
		case OpI32Add, OpI32Sub, OpI32Mul, OpI64Add, OpI64Sub, OpI64Mul:
			x := below[len(below)-1]
			below = below[:len(below)-1]
			lo = constArith(in.Op, x, lo)
			depth--
			continue
		}
		if depth > 0 {
			below = append(below, lo)
		}
		depth++
		switch in.Op {
		case OpI32Const:
			lo = uint64(uint32(in.Const))
		case OpI64Const, OpF32Const, OpF64Const:
			lo = in.Const
		case OpV128Const:
			lo, hi = in.Const, in.Hi
		case OpGlobalGet:
			lo, hi = env.Global(in.X)
		case OpRefFunc:
			lo = env.Func(in.X)
		case OpRefNull:
			lo = env.Null
		}
	}
	return lo, hi
}

func constArith(op Op, x, y uint64) uint64 {
	switch op {
	case OpI32Add:
		return uint64(uint32(x + y))
	case OpI32Sub:
		return uint64(uint32(x - y))
	case OpI32Mul:
		return uint64(uint32(x * y))
	case OpI64Add:
		return x + y
	case OpI64Sub:
		return x - y
	}
	return x * y
}
