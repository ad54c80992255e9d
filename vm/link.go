package vm

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/kitwork/kwnode/vm/wasm"
)

// LinkError says why a module can't be instantiated in a store: an import is missing or of another type, or what it
// declares exceeds the store's limits. Module and Name are empty for the latter.
type LinkError struct {
	Module, Name string
	Reason       string
}

func (e *LinkError) Error() string {
	if e.Module == "" && e.Name == "" {
		return "vm: link: " + e.Reason
	}
	return fmt.Sprintf("vm: link: import %q %q: %s", e.Module, e.Name, e.Reason)
}

// InstantiationGas is what instantiating the module adds to a store's gas, to be checked before.
func (m *Module) InstantiationGas() uint64 { return m.w.InstantiateGas() }

// Instantiate links a module into the store, initialises its tables and memory and adds its instantiation gas. The
// start function, if there is one, is the next call that Run makes. r may be nil for a module without imports.
//
// An error is a *LinkError, a *Trap when a segment doesn't fit (what was written before it stays, as the specification
// says), or wraps ErrBudget.
func (s *Store) Instantiate(m *Module, r Resolver) (*Instance, error) {
	if s.state == stateClosed {
		return nil, ErrClosed
	}
	if s.state != stateIdle {
		return nil, fmt.Errorf("%w: instantiate while a call is active", ErrBusy)
	}
	inst, err := s.link(m, r)
	if err != nil {
		return nil, err
	}
	s.used += m.InstantiationGas()
	if err := s.initialise(inst); err != nil {
		return nil, err
	}
	if m.w.Start >= 0 {
		s.queue = append(s.queue, queuedCall{ref: inst.funcRef(uint32(m.w.Start))})
	}
	return inst, nil
}

// link makes an instance with imports resolved and everything of its own at its initial size, and adds it to the store.
func (s *Store) link(m *Module, r Resolver) (*Instance, error) {
	if len(s.instances) >= HostInstance-1 {
		return nil, &LinkError{Reason: "too many instances"}
	}
	w := m.w
	own := w.Globals[w.NumImportedGlobals:]
	if err := s.take(instanceBytes(w)); err != nil {
		return nil, err
	}
	linked := false
	defer func() {
		if !linked {
			s.give(instanceBytes(w))
		}
	}()
	inst := &Instance{s: s, index: len(s.instances), mod: m}
	if len(w.Globals) > 0 {
		inst.exts = make([]*Global, len(w.Globals))
	}
	for _, im := range w.Imports {
		var e Extern
		if r != nil {
			e = r.Resolve(im.Module, im.Name)
		}
		if reason := s.bind(inst, im, e); reason != "" {
			return nil, &LinkError{im.Module, im.Name, reason}
		}
	}
	if n := len(own) + inst.vectorsBefore(uint32(len(w.Globals))); n > 0 {
		inst.globals = make([]uint64, n)
	}
	tables, memories := len(s.tables), len(s.memories)
	undo := func() {
		for _, mem := range s.memories[memories:] {
			mem.mem.free()
			s.give(int64(mem.size))
		}
		s.tables, s.memories = s.tables[:tables], s.memories[:memories]
	}
	for _, t := range w.Tables[w.NumImportedTables:] {
		tb, err := s.newTable(t)
		if err != nil {
			undo()
			return nil, err
		}
		inst.tables, s.tables = append(inst.tables, tb), append(s.tables, tb)
	}
	for _, t := range w.Mems[w.NumImportedMems:] {
		mem, err := s.newMemory(t)
		if err != nil {
			undo()
			return nil, err
		}
		inst.mems, s.memories = append(inst.mems, mem), append(s.memories, mem)
	}
	s.instances = append(s.instances, inst)
	linked = true
	for i := range own {
		n := w.NumImportedGlobals + uint32(i)
		g := inst.global(n)
		lo, hi := inst.constant(w.Globals[n].Init)
		*g.lo = lo
		if g.hi != nil {
			*g.hi = hi
		}
	}
	return inst, nil
}

// instanceBytes is about what an instance takes on the heap, beside memories and tables.
func instanceBytes(w *wasm.Module) int64 {
	return 1024 + 72*int64(len(w.Globals)) + 16*int64(len(w.Imports)) + int64(len(w.Datas)+len(w.Elems))/8
}

// bind resolves one import, or says why it can't.
func (s *Store) bind(inst *Instance, im wasm.Import, e Extern) string {
	w := inst.mod.w
	switch im.Kind {
	case wasm.ExternFunc:
		want := inst.mod.funcType(im.Index)
		switch e := e.(type) {
		case *HostFunc:
			if e == nil {
				return "unknown import"
			}
			if !e.Type.Equal(want) {
				return fmt.Sprintf("incompatible import type: the host's function is %v, the module wants %v", e.Type, *want)
			}
			inst.funcs = append(inst.funcs, s.hostRef(im.Module, im.Name, e))
			return ""
		case ExportedFunc:
			if e.inst.s != s {
				return "the function belongs to another store"
			}
			if t := s.typeOf(e.ref); !t.Equal(want) {
				return fmt.Sprintf("incompatible import type: the function is %v, the module wants %v", *t, *want)
			}
			inst.funcs = append(inst.funcs, e.ref)
			return ""
		}
	case wasm.ExternTable:
		if t, ok := e.(*Table); ok && t != nil {
			want := w.Tables[im.Index]
			if !slices.Contains(s.tables, t) {
				return "the table belongs to another store"
			}
			if t.typ.Elem != want.Elem || !fits(uint64(t.size), t.typ.Limits, want.Limits) {
				return "incompatible import type: table"
			}
			inst.tables = append(inst.tables, t)
			return ""
		}
	case wasm.ExternMem:
		if m, ok := e.(*Memory); ok && m != nil {
			if !slices.Contains(s.memories, m) {
				return "the memory belongs to another store"
			}
			if !fits(m.size/pageSize, m.typ.Limits, w.Mems[im.Index].Limits) {
				return "incompatible import type: memory"
			}
			inst.mems = append(inst.mems, m)
			return ""
		}
	case wasm.ExternGlobal:
		if g, ok := e.(*Global); ok && g != nil {
			if g.owner >= len(s.instances) || g.index >= len(s.instances[g.owner].exts) || s.instances[g.owner].global(uint32(g.index)) != g {
				return "the global belongs to another store"
			}
			if g.typ != w.Globals[im.Index].GlobalType {
				return "incompatible import type: global"
			}
			inst.exts[im.Index] = g
			return ""
		}
	}
	if e == nil {
		return "unknown import"
	}
	return "incompatible import type: the host offers something of another kind"
}

func fits(size uint64, have, want wasm.Limits) bool {
	return size >= uint64(want.Min) && (!want.HasMax || have.HasMax && have.Max <= want.Max)
}

// hostRef numbers a host function; the same import names are the same function.
func (s *Store) hostRef(module, name string, fn *HostFunc) uint64 {
	for i := range s.hosts {
		if h := &s.hosts[i]; h.module == module && h.name == name {
			return uint64(HostInstance+1)<<32 | uint64(i)
		}
	}
	s.hosts = append(s.hosts, hostFunc{module, name, fn})
	return uint64(HostInstance+1)<<32 | uint64(len(s.hosts)-1)
}

func isHost(ref uint64) bool { return ref>>32 == HostInstance+1 }

// typeOf is the type of the function that a non-null reference means.
func (s *Store) typeOf(ref uint64) *wasm.FuncType {
	if isHost(ref) {
		return &s.hosts[uint32(ref)].fn.Type
	}
	return s.instances[ref>>32-1].mod.funcType(uint32(ref))
}

// validRef reports whether a word is null or refers to something in the store.
func (s *Store) validRef(ref uint64) bool {
	switch {
	case ref == 0:
		return true
	case isHost(ref):
		return int(uint32(ref)) < len(s.hosts)
	}
	i := ref >> 32
	return i > 0 && i <= uint64(len(s.instances)) && s.instances[i-1].mod.defines(uint32(ref))
}

// constant evaluates a constant expression to slots.
func (i *Instance) constant(e wasm.ConstExpr) (lo, hi uint64) {
	return i.mod.w.EvalConst(e, &wasm.ConstEnv{
		Global: func(n uint32) (uint64, uint64) {
			g := i.global(n)
			if g.hi != nil {
				return *g.lo, *g.hi
			}
			return *g.lo, 0
		},
		Func: i.funcRef,
	})
}

// initialise applies active segments: elements first, then data, each as a bulk operation.
func (s *Store) initialise(inst *Instance) error {
	w := inst.mod.w
	for i := range w.Elems {
		seg := &w.Elems[i]
		if seg.Mode == wasm.SegPassive {
			continue
		}
		if seg.Mode == wasm.SegActive {
			at, _ := inst.constant(seg.Offset)
			if !inst.tableInit(seg.Table, uint32(i), uint32(at), 0, seg.Count) {
				return &Trap{Code: TrapTable}
			}
		}
		inst.dropped.add(uint32(len(w.Datas) + i))
	}
	if img, err := inst.mod.initialImage(); err != nil {
		return err
	} else if img != nil && len(inst.mems) > 0 {
		if err := inst.mems[0].mem.mapImage(img); err != nil {
			return err
		}
		inst.mems[0].from = img
		inst.dropActive()
		return nil
	}
	for i := range w.Datas {
		seg := &w.Datas[i]
		if seg.Mode != wasm.SegActive {
			continue
		}
		at := uint64(seg.Addr)
		if !seg.Fixed {
			at, _ = inst.constant(w.DataOffset(seg))
		}
		if !inst.memInit(uint32(i), uint32(at), 0, seg.Len) {
			return &Trap{Code: TrapMemory}
		}
		inst.dropped.add(uint32(i))
	}
	return nil
}

func (i *Instance) dropActive() {
	for n := range i.mod.w.Datas {
		if i.mod.w.Datas[n].Mode == wasm.SegActive {
			i.dropped.add(uint32(n))
		}
	}
}

// What bounds the part of a memory that is kept as an image, which belongs to the module and to no store's budget: in all,
// and from the first segment to the end of the last in terms of the module's size.
const (
	maxImage     = 256 << 20
	freeImage    = 1 << 20
	imagePerByte = 16
)

// initialImage is memory 0 after the active data segments, if they depend on the module alone and fit; otherwise nil.
// The segments of a Go program are tens of thousands: they are copied once for all instances. A lack of memory is an
// error now and may be none the next time; the answer nil or not is the same for ever, since continuations rest on it.
func (m *Module) initialImage() (*image, error) {
	m.imageLock.Lock()
	defer m.imageLock.Unlock()
	if m.image != nil {
		return m.image, nil
	}
	from, end := m.initialised()
	if end == 0 || end > maxImage || end-from > freeImage+imagePerByte*uint64(len(m.w.Bytes)) {
		return nil, nil
	}
	img, err := newImage(int(end+4095)&^4095, func(dst []byte) error {
		if uint64(len(m.w.Bytes)) >= (end-from)/2 { // else the holes between the segments aren't worth their pages
			if err := populate(dst[from:end]); err != nil {
				return err
			}
		}
		for i := range m.w.Datas {
			if seg := &m.w.Datas[i]; seg.Mode == wasm.SegActive {
				copy(dst[seg.Addr:], m.w.Bytes[seg.Off:seg.Off+seg.Len])
			}
		}
		return nil
	})
	m.image = img
	return img, err
}

// initialised is the range of memory 0 from the first active data segment to the end of the last; its end is 0 if there is
// none, or if one doesn't go to a place in it that the module alone decides.
func (m *Module) initialised() (from, end uint64) {
	w := m.w
	if w.NumImportedMems > 0 || len(w.Mems) == 0 {
		return 0, 0
	}
	from = math.MaxUint64
	for i := range w.Datas {
		seg := &w.Datas[i]
		if seg.Mode != wasm.SegActive {
			continue
		}
		to := uint64(seg.Addr) + uint64(seg.Len)
		if !seg.Fixed || to > uint64(w.Mems[0].Min)*pageSize {
			return 0, 0
		}
		from, end = min(from, uint64(seg.Addr)), max(end, to)
	}
	return from, end
}

// Start queues a call of an exported function, to be made by the next Run. The store must not be in the middle of one.
func (s *Store) Start(i *Instance, export string, args ...Value) error {
	switch {
	case s.state == stateClosed:
		return ErrClosed
	case s.state != stateIdle:
		return fmt.Errorf("%w: start while a call is active", ErrBusy)
	case i.s != s:
		return errors.New("vm: the instance belongs to another store")
	}
	at, ok := i.mod.names[export]
	if !ok || i.mod.w.Exports[at].Kind != wasm.ExternFunc {
		return fmt.Errorf("vm: the module exports no function %q", export)
	}
	return s.enqueue(i.funcRef(i.mod.w.Exports[at].Index), args)
}

func (s *Store) enqueue(ref uint64, args []Value) error {
	t := s.typeOf(ref)
	if len(args) != len(t.Params) {
		return fmt.Errorf("vm: the function takes %d arguments, %d were given", len(t.Params), len(args))
	}
	q := queuedCall{ref: ref}
	for n, a := range args {
		if a.Type != t.Params[n] {
			return fmt.Errorf("vm: argument %d is %v, the function takes %v", n, a.Type, t.Params[n])
		}
		lo, hi, err := a.slots()
		if err != nil {
			return fmt.Errorf("vm: argument %d: %w", n, err)
		}
		if a.Type == wasm.FuncRef && !s.validRef(lo) {
			return fmt.Errorf("vm: argument %d refers to no function of the store", n)
		}
		q.args = append(q.args, lo)
		if a.Type == wasm.V128 {
			q.args = append(q.args, hi)
		}
	}
	s.queue = append(s.queue, q)
	return nil
}
