package vm

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Module is decoded and validated code. It is immutable as far as anybody can see and may be shared by any number of
// stores and goroutines; functions are lowered when they are first called, once for all.
type Module struct {
	w     *wasm.Module
	funcs []unsafe.Pointer // *code.Func, by function index; nil for imports and until lowered; accessed atomically
	sigs  []uint64         // signature key of each type
	names map[string]int   // exports by name, into w.Exports

	codeBytes atomic.Int64
	elems     []atomic.Pointer[[]wasm.ElemItem] // items of element segments, decoded when first used

	native atomic.Pointer[nativeOf]
	shapes shapes

	imageLock sync.Mutex
	image     *image // memory 0 after its active data segments, if that doesn't depend on imports and was asked for
}

// moduleCount numbers modules, so that signature keys of different modules never meet.
var moduleCount atomic.Uint32

// Decode reads and validates a module, which keeps and aliases b: the caller must not change it.
// An error is a *wasm.Error with offset, function and rule.
func Decode(b []byte) (*Module, error) {
	w, err := wasm.Decode(b, 0)
	if err != nil {
		return nil, err
	}
	for i := range w.Code {
		if fn := w.NumImportedFuncs + uint32(i); code.FrameSlots(w, fn) > math.MaxUint16 {
			return nil, fmt.Errorf("vm: function %d has a frame of %d slots, at most %d can be addressed", fn, code.FrameSlots(w, fn), math.MaxUint16)
		}
	}
	m := &Module{w: w, funcs: make([]unsafe.Pointer, len(w.FuncTypes)), sigs: make([]uint64, len(w.Types)),
		names: make(map[string]int, len(w.Exports)), elems: make([]atomic.Pointer[[]wasm.ElemItem], len(w.Elems))}
	// Equal types get the key of the first of them.
	key := uint64(moduleCount.Add(1)) << 32
	first := make(map[string]uint64, len(w.Types))
	for i := range w.Types {
		t := &w.Types[i]
		s := string(typeKey(t))
		if _, ok := first[s]; !ok {
			first[s] = key | uint64(i)
		}
		m.sigs[i] = first[s]
	}
	for i, e := range w.Exports {
		m.names[e.Name] = i
	}
	return m, nil
}

func typeKey(t *wasm.FuncType) []byte {
	k := make([]byte, 0, len(t.Params)+len(t.Results)+1)
	for _, p := range t.Params {
		k = append(k, byte(p))
	}
	k = append(k, 0)
	for _, r := range t.Results {
		k = append(k, byte(r))
	}
	return k
}

// Hash is the SHA-256 of the module's bytes, its name everywhere.
func (m *Module) Hash() [32]byte { return m.w.Hash() }

// Wasm gives access to the decoded module, which must not be changed.
func (m *Module) Wasm() *wasm.Module { return m.w }

// CodeBytes is the size of the register code made so far.
func (m *Module) CodeBytes() int64 { return m.codeBytes.Load() }

// ImportDesc describes an import. Func is set for a function.
type ImportDesc struct {
	Module, Name string
	Kind         wasm.ExternKind
	Func         *wasm.FuncType
}

// Imports lists what the module asks for, in its order: all it can ever ask for.
func (m *Module) Imports() []ImportDesc {
	out := make([]ImportDesc, len(m.w.Imports))
	for i, im := range m.w.Imports {
		out[i] = ImportDesc{Module: im.Module, Name: im.Name, Kind: im.Kind}
		if im.Kind == wasm.ExternFunc {
			out[i].Func = &m.w.Types[m.w.FuncTypes[im.Index]]
		}
	}
	return out
}

// ExportDesc describes an export. Func is set for a function.
type ExportDesc struct {
	Name string
	Kind wasm.ExternKind
	Func *wasm.FuncType
}

// Exports lists what the module offers, in its order.
func (m *Module) Exports() []ExportDesc {
	out := make([]ExportDesc, len(m.w.Exports))
	for i, e := range m.w.Exports {
		out[i] = ExportDesc{Name: e.Name, Kind: e.Kind}
		if e.Kind == wasm.ExternFunc {
			out[i].Func = &m.w.Types[m.w.FuncTypes[e.Index]]
		}
	}
	return out
}

// lowered returns a function's register code if it was made already.
func (m *Module) lowered(fn uint32) *code.Func {
	return (*code.Func)(atomic.LoadPointer(&m.funcs[fn]))
}

// lower returns a defined function's register code, making it if nobody has. Two goroutines may make it at once; one of
// the results is used by all.
func (m *Module) lower(fn uint32) (*code.Func, error) {
	if f := m.lowered(fn); f != nil {
		return f, nil
	}
	f, err := code.Lower(m.w, fn, m.sigKey)
	if err != nil {
		return nil, err
	}
	if atomic.CompareAndSwapPointer(&m.funcs[fn], nil, unsafe.Pointer(f)) {
		m.codeBytes.Add(int64(len(f.Ins)) * 8)
	}
	return m.lowered(fn), nil
}

func (m *Module) sigKey(typeIndex uint32) uint64 { return m.sigs[typeIndex] }

func (m *Module) funcType(fn uint32) *wasm.FuncType { return &m.w.Types[m.w.FuncTypes[fn]] }

// elemItems returns a segment's items. They are kept, since table.init pays for what it copies and not for finding it.
func (m *Module) elemItems(seg uint32) []wasm.ElemItem {
	if p := m.elems[seg].Load(); p != nil {
		return *p
	}
	e := &m.w.Elems[seg]
	items := make([]wasm.ElemItem, 0, e.Count)
	it := m.w.ElemItems(e)
	for item, ok := it.Next(); ok; item, ok = it.Next() {
		items = append(items, item)
	}
	m.elems[seg].Store(&items)
	return items
}

// defines reports whether fn is a function with code of its own.
func (m *Module) defines(fn uint32) bool {
	return fn >= m.w.NumImportedFuncs && uint64(fn) < uint64(len(m.w.FuncTypes))
}
