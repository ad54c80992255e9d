package wasm

import (
	"sync"
	"unicode/utf8"
	"unsafe"
)

// maxNameBytes is the longest debug name that is used; a hostile one would flood a stack trace.
const maxNameBytes = 4096

// nameIndex is read from the custom section "name" when a name is first asked for.
type nameIndex struct {
	once    sync.Once
	funcs   []nameRef // by function index; empty where there is no name
	imports []uint32  // places in Module.Imports of the imported functions
}

type nameRef struct{ off, n uint32 }

// FuncName returns a name for a function: that of the name section, else of an export, else "module.name"
// of the import, else "". The name section is read at the first call. Names in it that are not plain
// text of reasonable length are ignored, and a section that breaks off gives the names before the break.
func (m *Module) FuncName(fn uint32) string {
	if int(fn) >= len(m.FuncTypes) {
		return ""
	}
	m.names.once.Do(m.readNames)
	if r := m.names.funcs[fn]; r.n > 0 {
		return unsafe.String(&m.Bytes[r.off], int(r.n)) // invariant: Module.Bytes never changes
	}
	if fn >= m.NumImportedFuncs {
		return ""
	}
	im := &m.Imports[m.names.imports[fn]]
	if full := im.Module + "." + im.Name; plainText([]byte(full)) {
		return full
	}
	return ""
}

func plainText(s []byte) bool {
	if len(s) == 0 || len(s) > maxNameBytes || !utf8.Valid(s) {
		return false
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}

func (m *Module) readNames() {
	m.names.funcs = make([]nameRef, len(m.FuncTypes))
	for i := range m.Imports {
		if m.Imports[i].Kind == ExternFunc {
			m.names.imports = append(m.names.imports, uint32(i))
		}
	}
	if off, end, ok := m.customSection("name"); ok {
		m.readNameSection(off, end)
	}
	for i := range m.Exports {
		ex := &m.Exports[i]
		if ex.Kind != ExternFunc || m.names.funcs[ex.Index].n > 0 || !plainText([]byte(ex.Name)) {
			continue
		}
		m.names.funcs[ex.Index] = nameRef{off: ex.nameOff, n: uint32(len(ex.Name))}
	}
}

// nameFuncs is the subsection of the name section that names functions.
const nameFuncs = 1

func (m *Module) readNameSection(off, end int) {
	b := m.Bytes[:end]
	for off < end {
		id := b[off]
		size, next := readU32(b, off+1)
		if next < 0 || int(size) > end-next {
			return
		}
		if id == nameFuncs {
			m.readFuncNames(next, next+int(size))
			return
		}
		off = next + int(size)
	}
}

func (m *Module) readFuncNames(off, end int) {
	b := m.Bytes[:end]
	count, off := readU32(b, off)
	for ; count > 0 && off >= 0; count-- {
		var fn, n uint32
		if fn, off = readU32(b, off); off < 0 {
			return
		}
		if n, off = readU32(b, off); off < 0 || int(n) > end-off {
			return
		}
		if int(fn) < len(m.names.funcs) && plainText(b[off:off+int(n)]) {
			m.names.funcs[fn] = nameRef{off: uint32(off), n: n}
		}
		off += int(n)
	}
}

// CustomSection returns the contents of the first custom section of the given name. They are a part of
// Bytes that Decode has not looked at.
func (m *Module) CustomSection(name string) ([]byte, bool) {
	off, end, ok := m.customSection(name)
	return m.Bytes[off:end:end], ok
}

func (m *Module) customSection(name string) (off, end int, ok bool) {
	c := cursor{b: m.Bytes, pos: 8}
	for c.pos < len(m.Bytes) {
		id := c.b[c.pos]
		c.pos++
		size := int(c.fastU32())
		end := c.pos + size
		if id == secCustom {
			n := int(c.fastU32())
			if string(c.b[c.pos:c.pos+n]) == name {
				return c.pos + n, end, true
			}
		}
		c.pos = end
	}
	return 0, 0, false
}
