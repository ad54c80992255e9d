package wasm

import (
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"math/bits"
	"unsafe"
)

// Decode reads and validates a module in one pass over its bytes. It keeps b, and the module's names
// and types are views of it: the caller must not change it afterwards. Time and memory are linear in
// len(b), and what it allocates follows from entries that it has already seen, never from a count
// alone. The error is an *Error.
func Decode(b []byte, f Features) (*Module, error) {
	if len(b) > MaxModuleBytes {
		return nil, &Error{Kind: Limit, Func: -1, Rule: fmt.Sprintf("module of %d bytes, the most is %d", len(b), MaxModuleBytes)}
	}
	d := decoder{b: b, end: len(b), m: &Module{Bytes: b, Features: f, Start: -1}}
	d.module()
	if d.err != nil {
		return nil, d.err
	}
	return d.m, nil
}

// Hash is the SHA-256 of the module's bytes. It is computed when it is first asked for: to run a program nobody needs it.
func (m *Module) Hash() [32]byte {
	m.hashed.Do(func() { m.hash = sha256.Sum256(m.Bytes) })
	return m.hash
}

// sectionOrder[id] is the place of a section in the module.
var sectionOrder = [...]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 9, secDataCount: 10, secCode: 11, secData: 12}

const (
	secCustom    = 0
	secCode      = 10
	secData      = 11
	secDataCount = 12
)

func (d *decoder) module() {
	if string(d.b[:min(4, len(d.b))]) != "\x00asm" {
		d.malformed(0, "magic header not detected")
		return
	}
	if string(d.b[4:min(8, len(d.b))]) != "\x01\x00\x00\x00" {
		d.malformed(4, "unknown binary version")
		return
	}
	d.pos = 8
	last := 0
	for d.pos < len(d.b) && d.err == nil {
		at := d.pos
		d.end = len(d.b)
		id := d.byte()
		size := d.vector(1)
		if d.err != nil {
			return
		}
		d.end = d.pos + size
		if id == secCustom {
			d.name()
			d.pos = d.end
			continue
		}
		if int(id) >= len(sectionOrder) {
			d.malformed(at, "malformed section id")
			return
		}
		if sectionOrder[id] <= last {
			d.malformed(at, "unexpected content after last section")
			return
		}
		last = sectionOrder[id]
		d.section(id)
		if d.err == nil && d.pos != d.end {
			d.malformed(d.pos, "section size mismatch")
		}
	}
	if d.err != nil {
		return
	}
	if int(d.defined) != len(d.m.Code) {
		d.malformed(d.pos, "function and code section have inconsistent lengths")
	}
	if d.m.hasDataCount && int(d.m.dataCount) != len(d.m.Datas) {
		d.malformed(d.pos, "data count and data section have inconsistent lengths")
	}
}

func (d *decoder) section(id byte) {
	switch id {
	case 1:
		d.typeSection()
	case 2:
		d.importSection()
	case 3:
		d.functionSection()
	case 4:
		d.tableSection()
	case 5:
		d.memorySection()
	case 6:
		d.globalSection()
	case 7:
		d.exportSection()
	case 8:
		d.startSection()
	case 9:
		d.elementSection()
	case secDataCount:
		d.m.dataCount, d.m.hasDataCount = d.u32(), true
	case secCode:
		d.codeSection()
	case secData:
		d.dataSection()
	}
}

func (d *decoder) valType() ValType {
	at := d.pos
	t := ValType(d.byte())
	if d.err == nil && !t.valid() {
		d.malformed(at, "malformed value type")
	}
	return t
}

func (d *decoder) refType() ValType {
	at := d.pos
	t := ValType(d.byte())
	if d.err == nil && !t.IsRef() {
		d.malformed(at, "malformed reference type")
	}
	return t
}

// valTypes reads a list of types and returns a view of it: a type is encoded as its own number.
func (d *decoder) valTypes() []ValType {
	at := d.pos
	n := d.vector(1)
	if n > MaxArity {
		d.fail(Limit, at, "%d parameters or results, the most are %d", n, MaxArity)
	}
	if d.err != nil || n == 0 {
		return nil
	}
	ts := unsafe.Slice((*ValType)(&d.b[d.pos]), n)
	for range n {
		d.valType()
	}
	return ts
}

func (d *decoder) typeSection() {
	n := d.entries("types", 0, 3)
	if d.err != nil {
		return
	}
	m := d.m
	m.Types = make([]FuncType, n)
	vectors := false
	for i := range m.Types {
		at := d.pos
		if d.byte() != 0x60 {
			d.malformed(at, "malformed function type")
		}
		t := FuncType{Params: d.valTypes(), Results: d.valTypes()}
		if d.err != nil {
			return
		}
		m.Types[i] = t
		vectors = vectors || SlotsOf(t.Params) != len(t.Params) || SlotsOf(t.Results) != len(t.Results)
	}
	m.slotTypes = m.Types
	if !vectors {
		return
	}
	m.slotTypes = make([]FuncType, n)
	for i := range m.Types {
		m.slotTypes[i] = FuncType{Params: bySlots(m.Types[i].Params), Results: bySlots(m.Types[i].Results)}
	}
}

// bySlots lists types slot by slot, which is how the validator's operand stack holds them: a v128
// stands there twice.
func bySlots(ts []ValType) []ValType {
	n := SlotsOf(ts)
	if n == len(ts) {
		return ts
	}
	out := make([]ValType, 0, n)
	for _, t := range ts {
		out = append(out, t)
		if t == V128 {
			out = append(out, t)
		}
	}
	return out
}

func (d *decoder) typeIndex() uint32 {
	at := d.pos
	x := d.u32()
	if d.err == nil && int(x) >= len(d.m.Types) {
		d.invalid(at, "unknown type %d", x)
	}
	return x
}

func (d *decoder) importSection() {
	n := d.entries("imports", 0, 4)
	if d.err != nil {
		return
	}
	m := d.m
	m.Imports = make([]Import, n)
	for i := range m.Imports {
		im := Import{Module: d.name(), Name: d.name()}
		at := d.pos
		switch im.Kind = ExternKind(d.byte()); im.Kind {
		case ExternFunc:
			im.Index = uint32(len(m.FuncTypes))
			m.FuncTypes = append(m.FuncTypes, d.typeIndex())
		case ExternTable:
			im.Index = uint32(len(m.Tables))
			m.Tables = append(m.Tables, d.tableType())
		case ExternMem:
			im.Index = uint32(len(m.Mems))
			m.Mems = append(m.Mems, d.memType())
			d.checkMemories(at)
		case ExternGlobal:
			im.Index = uint32(len(m.Globals))
			m.Globals = append(m.Globals, Global{GlobalType: d.globalType()})
		default:
			d.malformed(at, "malformed import kind")
		}
		if d.err != nil {
			return
		}
		m.Imports[i] = im
	}
	m.NumImportedFuncs = uint32(len(m.FuncTypes))
	m.NumImportedTables = uint32(len(m.Tables))
	m.NumImportedMems = uint32(len(m.Mems))
	m.NumImportedGlobals = uint32(len(m.Globals))
	d.declared = make([]bool, len(m.FuncTypes))
}

func (d *decoder) functionSection() {
	m := d.m
	n := d.entries("functions", len(m.FuncTypes), 1)
	if d.err != nil {
		return
	}
	all := make([]uint32, len(m.FuncTypes), len(m.FuncTypes)+n)
	copy(all, m.FuncTypes)
	for range n {
		all = append(all, d.typeIndex())
		if d.err != nil {
			return
		}
	}
	m.FuncTypes = all
	d.defined = uint32(n)
	d.declared = make([]bool, len(all))
}

func (d *decoder) limits() (l Limits) {
	at := d.pos
	flag := d.byte()
	if flag > 1 {
		d.malformed(at, "malformed limits flags")
	}
	l.Min = d.u32()
	if flag == 1 {
		l.HasMax = true
		l.Max = d.u32()
		if d.err == nil && l.Min > l.Max {
			d.invalid(at, "size minimum must not be greater than maximum")
		}
	}
	return l
}

func (d *decoder) tableType() TableType {
	return TableType{Elem: d.refType(), Limits: d.limits()}
}

func (d *decoder) memType() MemType {
	at := d.pos
	l := d.limits()
	if d.err == nil && (l.Min > MaxPages || l.HasMax && l.Max > MaxPages) {
		d.invalid(at, "memory size must be at most 65536 pages (4GiB)")
	}
	return MemType{l}
}

func (d *decoder) globalType() GlobalType {
	t := d.valType()
	at := d.pos
	mut := d.byte()
	if mut > 1 {
		d.malformed(at, "malformed mutability")
	}
	return GlobalType{Type: t, Mutable: mut == 1}
}

func (d *decoder) checkMemories(at int) {
	if len(d.m.Mems) > 1 && d.m.Features&MultiMemory == 0 {
		d.invalid(at, "multiple memories")
	}
}

func (d *decoder) tableSection() {
	n := d.entries("tables", len(d.m.Tables), 3)
	for i := 0; i < n && d.err == nil; i++ {
		d.m.Tables = append(d.m.Tables, d.tableType())
	}
}

func (d *decoder) memorySection() {
	at := d.pos
	n := d.entries("memories", len(d.m.Mems), 2)
	for i := 0; i < n && d.err == nil; i++ {
		d.m.Mems = append(d.m.Mems, d.memType())
		d.checkMemories(at)
	}
}

func (d *decoder) globalSection() {
	m := d.m
	n := d.entries("globals", len(m.Globals), 3)
	for i := 0; i < n && d.err == nil; i++ {
		t := d.globalType()
		m.Globals = append(m.Globals, Global{GlobalType: t, Init: d.constExpr(t.Type)})
	}
}

func (d *decoder) exportSection() {
	n := d.entries("exports", 0, 3)
	if d.err != nil {
		return
	}
	m := d.m
	m.Exports = make([]Export, n)
	seen := newNameSet(m.Exports)
	for i := range m.Exports {
		at := d.pos
		ex := Export{Name: d.name()}
		ex.nameOff = uint32(d.pos - len(ex.Name))
		ex.Kind, ex.Index = ExternKind(d.byte()), d.u32()
		if d.err != nil {
			return
		}
		if ex.Kind > ExternGlobal {
			d.malformed(at, "malformed export kind")
			return
		}
		spaces := [...]int{ExternFunc: len(m.FuncTypes), ExternTable: len(m.Tables), ExternMem: len(m.Mems), ExternGlobal: len(m.Globals)}
		if int(ex.Index) >= spaces[ex.Kind] {
			d.invalid(at, "unknown %s %d", spaceNames[ex.Kind], ex.Index)
			return
		}
		if ex.Kind == ExternFunc {
			d.declared[ex.Index] = true
		}
		m.Exports[i] = ex
		if !seen.add(i) {
			d.invalid(at, "duplicate export name %q", ex.Name)
			return
		}
	}
}

// nameSet finds duplicate export names. It is a hash table of indices with open addressing, since a map
// of 100,000 strings takes ten times the memory. The hash has a random seed against prepared collisions.
type nameSet struct {
	exports []Export
	seed    maphash.Seed
	slots   []uint32 // index of an export plus 1; at most half are in use
}

func newNameSet(exports []Export) nameSet {
	return nameSet{exports: exports, seed: maphash.MakeSeed(), slots: make([]uint32, 2<<bits.Len(uint(len(exports))))}
}

// add enters export i and reports whether its name is new.
func (s *nameSet) add(i int) bool {
	mask := uint64(len(s.slots) - 1)
	h := maphash.String(s.seed, s.exports[i].Name) & mask
	for ; s.slots[h] != 0; h = (h + 1) & mask {
		if s.exports[s.slots[h]-1].Name == s.exports[i].Name {
			return false
		}
	}
	s.slots[h] = uint32(i + 1)
	return true
}

// spaceNames are the names that the specification's tests give to index spaces.
var spaceNames = [...]string{ExternFunc: "function", ExternTable: "table", ExternMem: "memory", ExternGlobal: "global"}

func (d *decoder) startSection() {
	at := d.pos
	x := d.funcIndex()
	if d.err != nil {
		return
	}
	if t := &d.m.Types[d.m.FuncTypes[x]]; len(t.Params) > 0 || len(t.Results) > 0 {
		d.invalid(at, "start function must have type () -> ()")
		return
	}
	d.m.Start = int32(x)
}

func (d *decoder) funcIndex() uint32 {
	at := d.pos
	x := d.u32()
	if d.err == nil && int(x) >= len(d.m.FuncTypes) {
		d.invalid(at, "unknown function %d", x)
	}
	return x
}

func (d *decoder) codeSection() {
	at := d.pos
	n := d.vector(3) // a size, no locals, end
	if d.err != nil {
		return
	}
	if n != int(d.defined) {
		d.malformed(at, "function and code section have inconsistent lengths")
		return
	}
	m := d.m
	m.Code = make([]Body, n)
	v := newValidator(m, d.declared)
	defer v.release()
	sectionEnd := d.end
	for i := range m.Code {
		d.end = sectionEnd
		size := d.vector(1)
		if d.err != nil {
			return
		}
		if d.err = v.function(m.NumImportedFuncs+uint32(i), &m.Code[i], d.pos, d.pos+size); d.err != nil {
			return
		}
		d.pos += size
	}
}
