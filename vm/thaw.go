package vm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// ThawError says why bytes aren't a continuation that can be continued here. Offset counts in the uncompressed body, or
// is -1 for the header.
type ThawError struct {
	Offset int64
	Reason string
}

func (e *ThawError) Error() string {
	if e.Offset < 0 {
		return "vm: thaw: " + e.Reason
	}
	return fmt.Sprintf("vm: thaw: at %d: %s", e.Offset, e.Reason)
}

// Sources are what a continuation names and doesn't contain. Each function may be asked for anything; it returns an
// error for what it doesn't have.
type Sources struct {
	Module func(hash [32]byte) (*Module, error)
	Base   func(hash [32]byte) (*Base, error) // nil if no base is at hand
	Host   Resolver                           // host functions by the names under which they are imported
}

// Thaw makes a store out of what Freeze wrote, and returns the host's own bytes with it. The continuation is hostile
// until proven otherwise: everything in it is checked against the code before anything runs. Its limits must not exceed
// c.Limits; seed and clock come from the continuation, budget from c.
//
// The error is a *ThawError for bad bytes, a *LinkError for host functions that are missing or of another type, or what
// the sources or the budget answered.
func Thaw(b []byte, c Config, src Sources) (*Store, []byte, error) {
	head := func(reason string) error { return &ThawError{-1, reason} }
	if len(b) < len(contMagic)+2 || string(b[:len(contMagic)]) != contMagic {
		return nil, nil, head("not a continuation")
	}
	b = b[len(contMagic):]
	version, against := b[0], b[1]
	b = b[2:]
	if version != contVersion {
		return nil, nil, head(fmt.Sprintf("version %d, this program reads %d", version, contVersion))
	}
	var base *Base
	coder := &plain
	switch against {
	case againstNothing, againstModule:
	case againstBase:
		if len(b) < 32 {
			return nil, nil, head("cut off")
		}
		if src.Base == nil {
			return nil, nil, head("needs a base and none is at hand")
		}
		var err error
		if base, err = src.Base([32]byte(b)); err != nil {
			return nil, nil, err
		}
		if base == nil {
			return nil, nil, head("the base is not at hand")
		}
		b, coder = b[32:], &base.codec
	default:
		return nil, nil, head("unknown kind of baseline")
	}
	size, n := binary.Uvarint(b)
	if n <= 0 || size > math.MaxInt64/2 {
		return nil, nil, head("bad length")
	}
	dec, err := coder.open(b[n:])
	if err != nil {
		return nil, nil, head(err.Error())
	}
	defer coder.decoders.Put(dec)
	s := NewStore(c)
	err = s.take(maxWindow + readBuffer)
	if err == nil {
		r := newBodyReader(io.LimitReader(dec, int64(size)), int(min(size, readBuffer)), s, src)
		err = r.body(against, base)
		if err == nil && r.pos != int64(size) {
			err = r.fail("%d bytes are left over", int64(size)-r.pos)
		}
		if err == nil {
			// One byte more must be the end.
			if k, e := io.ReadFull(dec, make([]byte, 1)); k != 0 || e != io.EOF {
				err = r.fail("longer than the header says")
			}
		}
		s.give(maxWindow + readBuffer)
		if err == nil {
			return s, r.host, nil
		}
	}
	s.Close()
	return nil, nil, err
}

const readBuffer = 64 << 10

// bodyReader reads a body and checks it on the way. The first failure sticks.
type bodyReader struct {
	r    *bufio.Reader
	s    *Store
	src  Sources
	pos  int64
	err  error
	host []byte

	frames []thawedFrame
	types  *typeCache
}

// thawedFrame is a frame before it is put on the stack.
type thawedFrame struct {
	ref   uint64
	fn    *code.Func
	pc    uint32
	shape shape
	slots []uint64 // the frame's, all of them
}

func newBodyReader(r io.Reader, buffer int, s *Store, src Sources) *bodyReader {
	return &bodyReader{r: bufio.NewReaderSize(r, buffer), s: s, src: src, types: newTypeCache()}
}

func (r *bodyReader) fail(format string, args ...any) error {
	if r.err == nil {
		r.err = &ThawError{r.pos, fmt.Sprintf(format, args...)}
	}
	return r.err
}

func (r *bodyReader) io(err error) {
	if r.err == nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("cut off")
		}
		r.err = &ThawError{r.pos, err.Error()}
	}
}

func (r *bodyReader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	var v uint64
	for shift := 0; ; shift += 7 {
		c, err := r.r.ReadByte()
		if err != nil {
			r.io(err)
			return 0
		}
		r.pos++
		if shift == 63 && c > 1 || c == 0 && shift > 0 {
			r.fail("a number that isn't in its shortest form")
			return 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

// below reads a number that must be less than or equal to most.
func (r *bodyReader) below(most uint64, what string) uint64 {
	v := r.uint()
	if v > most {
		r.fail("%s is %d, at most %d is possible", what, v, most)
		return 0
	}
	return v
}

func (r *bodyReader) raw(p []byte) {
	if r.err != nil {
		return
	}
	n, err := io.ReadFull(r.r, p)
	r.pos += int64(n)
	if err != nil {
		r.io(err)
	}
}

func (r *bodyReader) byte() byte {
	var b [1]byte
	r.raw(b[:])
	return b[0]
}

func (r *bodyReader) fixed64() uint64 {
	var b [8]byte
	r.raw(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

func (r *bodyReader) text(most uint64, what string) []byte {
	n := r.below(most, what)
	var out []byte
	for n > 0 && r.err == nil { // memory grows with what is there, not with what is claimed
		k := min(n, 64<<10)
		out = append(out, make([]byte, k)...)
		r.raw(out[len(out)-int(k):])
		n -= k
	}
	return out
}

// value reads a typed value as slots; a funcref must mean something in the store.
func (r *bodyReader) value(t wasm.ValType) (lo, hi uint64) {
	switch t {
	case wasm.I32, wasm.F32:
		var b [4]byte
		r.raw(b[:])
		return uint64(binary.LittleEndian.Uint32(b[:])), 0
	case wasm.V128:
		return r.fixed64(), r.fixed64()
	}
	lo = r.fixed64()
	if t == wasm.FuncRef && r.err == nil && !r.s.validRef(lo) {
		r.fail("a reference to no function")
		return 0, 0
	}
	return lo, 0
}

func (r *bodyReader) values(types []wasm.ValType, slots []uint64) {
	for _, t := range types {
		if r.err != nil {
			return
		}
		lo, hi := r.value(t)
		slots[0] = lo
		if t == wasm.V128 {
			slots[1] = hi
		}
		slots = slots[t.Slots():]
	}
}

// Bounds of lists, beyond what the modules bound.
const (
	maxHostBytes = 64 << 20
	maxInstances = 4096
	maxHosts     = 4096
	maxName      = 1 << 20
	maxQueue     = 4096
	maxGas       = 1 << 62
	maxValidated = 128 << 20 // bytes of code to validate for the types of frames, about a second
)

func (r *bodyReader) body(against byte, base *Base) error {
	s := r.s
	if v := r.uint(); r.err == nil && v != wasm.MeterVersion {
		return r.fail("meter version %d, this program has %d", v, wasm.MeterVersion)
	}
	most := s.limits
	s.limits = Limits{
		MemoryPages: uint32(r.below(uint64(most.MemoryPages), "memory limit")),
		TableElems:  uint32(r.below(uint64(most.TableElems), "table limit")),
		Depth:       uint32(r.below(uint64(most.Depth), "depth limit")),
		Slots:       uint32(r.below(uint64(most.Slots), "slot limit")),
	}
	r.raw(s.seed[:])
	s.drawn = r.uint()
	s.clock = int64(r.fixed64())
	s.used = r.below(maxGas, "gas")
	r.host = r.text(maxHostBytes, "host state")
	r.instances()
	r.stack()
	if r.err != nil {
		return r.err
	}
	var line baseline = zeroLine{}
	switch against {
	case againstModule:
		line = moduleLine{s}
	case againstBase:
		line = base
	}
	r.tables(line)
	r.memories(line)
	if r.err == nil {
		r.references()
	}
	if r.err == nil {
		r.restack()
	}
	return r.err
}

func (r *bodyReader) instances() {
	s := r.s
	n := r.below(maxHosts, "number of host functions")
	for range n {
		module, name := r.text(maxName, "a name"), r.text(maxName, "a name")
		if r.err != nil {
			return
		}
		var fn *HostFunc
		if r.src.Host != nil {
			fn, _ = r.src.Host.Resolve(string(module), string(name)).(*HostFunc)
		}
		if fn == nil {
			r.err = &LinkError{string(module), string(name), "unknown import"}
			return
		}
		s.hosts = append(s.hosts, hostFunc{string(module), string(name), fn})
	}
	n = r.below(maxInstances, "number of instances")
	for range n {
		var h [32]byte
		r.raw(h[:])
		if r.err != nil {
			return
		}
		m, err := r.src.Module(h)
		if err != nil {
			r.err = err
			return
		}
		if m.Hash() != h {
			r.fail("the source answered with another module")
			return
		}
		r.instance(m)
		if r.err != nil {
			return
		}
	}
}

// instance makes an instance with what the continuation says its imports are bound to, which must be of their types and
// come from before it.
func (r *bodyReader) instance(m *Module) {
	s, w := r.s, m.w
	if r.err = s.take(instanceBytes(w)); r.err != nil {
		return
	}
	inst := &Instance{s: s, index: len(s.instances), mod: m}
	if len(w.Globals) > 0 {
		inst.exts = make([]*Global, len(w.Globals))
	}
	for _, im := range w.Imports {
		if im.Kind == wasm.ExternFunc {
			r.importedFunc(inst, im)
		}
	}
	for i := range w.NumImportedTables {
		n := r.uint()
		if r.err != nil || n >= uint64(len(s.tables)) || s.tables[n].typ.Elem != w.Tables[i].Elem {
			r.fail("an imported table that can't be")
			return
		}
		inst.tables = append(inst.tables, s.tables[n])
	}
	for range w.NumImportedMems {
		n := r.uint()
		if r.err != nil || n >= uint64(len(s.memories)) {
			r.fail("an imported memory that can't be")
			return
		}
		inst.mems = append(inst.mems, s.memories[n])
	}
	for i := range w.NumImportedGlobals {
		owner, index := r.uint(), r.uint()
		if r.err != nil || owner >= uint64(len(s.instances)) || index >= uint64(len(s.instances[owner].exts)) {
			r.fail("an imported global that can't be")
			return
		}
		g := s.instances[owner].global(uint32(index))
		if g.typ != w.Globals[i].GlobalType || g.owner != int(owner) || g.index != int(index) {
			r.fail("an imported global of another type")
			return
		}
		inst.exts[i] = g
	}
	if r.err != nil {
		return
	}
	if own := len(w.Globals) - int(w.NumImportedGlobals) + inst.vectorsBefore(uint32(len(w.Globals))); own > 0 {
		inst.globals = make([]uint64, own)
	}
	for _, t := range w.Tables[w.NumImportedTables:] {
		tb := &Table{typ: t, max: s.limits.TableElems}
		if t.HasMax {
			tb.max = min(tb.max, t.Max)
		}
		inst.tables, s.tables = append(inst.tables, tb), append(s.tables, tb)
	}
	for _, t := range w.Mems[w.NumImportedMems:] {
		mem := &Memory{typ: t, max: s.limits.MemoryPages}
		if t.HasMax {
			mem.max = min(mem.max, t.Max)
		}
		inst.mems, s.memories = append(inst.mems, mem), append(s.memories, mem)
	}
	s.instances = append(s.instances, inst)
	for n := w.NumImportedGlobals; int(n) < len(w.Globals) && r.err == nil; n++ {
		g := inst.global(n)
		if g.typ.Type == wasm.FuncRef {
			*g.lo = r.fixed64() // checked when all instances are there
			continue
		}
		lo, hi := r.value(g.typ.Type)
		*g.lo = lo
		if g.hi != nil {
			*g.hi = hi
		}
	}
	r.dropped(inst)
}

// importedFunc binds a function import: to a host function of that very name, or to a function that an earlier instance
// has, host functions that it imported included.
func (r *bodyReader) importedFunc(inst *Instance, im wasm.Import) {
	s := r.s
	ref := r.uint()
	ok := r.err == nil && ref != 0 && s.validRef(ref)
	if ok && isHost(ref) {
		h := &s.hosts[uint32(ref)]
		known := h.module == im.Module && h.name == im.Name
		for _, earlier := range s.instances {
			for _, f := range earlier.funcs {
				known = known || f == ref
			}
		}
		ok = known
	}
	if !ok || !s.typeOf(ref).Equal(inst.mod.funcType(im.Index)) {
		r.fail("import %q %q is bound to what can't be", im.Module, im.Name)
		return
	}
	inst.funcs = append(inst.funcs, ref)
}

func (r *bodyReader) dropped(inst *Instance) {
	total := uint64(len(inst.mod.w.Datas) + len(inst.mod.w.Elems))
	var at uint64
	for dropped, first := false, true; ; dropped, first = !dropped, false {
		run := r.below(total-at, "a run of segments")
		if r.err == nil && run == 0 && !first {
			r.fail("an empty run of segments")
		}
		if r.err != nil {
			return
		}
		if dropped {
			inst.dropped.addRun(uint32(at), uint32(at+run))
		}
		if at += run; at == total {
			return
		}
	}
}

// references checks what could only be known when all instances were there.
func (r *bodyReader) references() {
	s := r.s
	for _, inst := range s.instances {
		w := inst.mod.w
		for n := w.NumImportedGlobals; int(n) < len(w.Globals); n++ {
			if g := inst.global(n); g.typ.Type == wasm.FuncRef && !s.validRef(*g.lo) {
				r.fail("a global refers to no function")
				return
			}
		}
		for i, t := range inst.tables[:w.NumImportedTables] {
			if !fits(uint64(t.size), t.typ.Limits, w.Tables[i].Limits) {
				r.fail("an imported table of another type")
			}
		}
		for i, m := range inst.mems[:w.NumImportedMems] {
			if !fits(m.size/pageSize, m.typ.Limits, w.Mems[i].Limits) {
				r.fail("an imported memory of another type")
			}
		}
	}
	if len(s.host.writes) > 0 {
		var mem []byte
		if n := len(r.frames); n > 0 {
			mem = s.instances[r.frames[n-1].ref>>32-1].memBytes()
		}
		for _, wr := range s.host.writes {
			if uint64(wr.Dst)+uint64(wr.Cap) > uint64(len(mem)) {
				r.fail("a pending call writes outside of memory")
			}
		}
	}
}

func (r *bodyReader) stack() {
	s := r.s
	n := r.below(maxQueue, "number of waiting calls")
	for range n {
		ref := r.uint()
		if r.err == nil && (ref == 0 || !s.validRef(ref)) {
			r.fail("a waiting call of no function")
		}
		if r.err != nil {
			return
		}
		params := s.typeOf(ref).Params
		q := queuedCall{ref: ref, args: make([]uint64, wasm.SlotsOf(params))}
		r.values(params, q.args)
		s.queue = append(s.queue, q)
	}
	s.state = state(r.byte())
	n = r.below(uint64(s.limits.Depth), "number of frames")
	if r.err != nil {
		return
	}
	switch s.state {
	case stateIdle:
		if n != 0 {
			r.fail("frames of a store that doesn't run")
		}
		return
	case stateRunning:
		if n == 0 {
			r.fail("a running store without frames")
			return
		}
	case stateEntry, statePending:
	default:
		r.fail("unknown state")
		return
	}
	var slots uint64 // taken by callers up to the next frame
	for i := range n {
		r.frame(i+1 < n || s.state != stateRunning, &slots)
		if r.err != nil {
			return
		}
	}
	if s.state != stateRunning {
		r.hostCall()
	}
}

// frame reads the next inner frame. from is the slot where it begins, and then where a callee's would.
func (r *bodyReader) frame(suspended bool, from *uint64) {
	s := r.s
	at, fn, off := r.uint(), r.uint(), r.uint()
	if r.err != nil || at >= uint64(len(s.instances)) || fn > math.MaxUint32 || off > math.MaxUint32 ||
		!s.instances[at].mod.defines(uint32(fn)) {
		r.fail("a frame of no function")
		return
	}
	inst := s.instances[at]
	f := thawedFrame{ref: (at+1)<<32 | fn}
	if r.err = r.callable(f.ref); r.err != nil {
		return
	}
	var err error
	if f.fn, err = s.lower(inst, uint32(fn)); err != nil {
		r.err = err
		return
	}
	ok := false
	if suspended {
		f.pc, ok = f.fn.CallAt(uint32(off))
	} else {
		f.pc, ok = f.fn.BlockAt(uint32(off))
	}
	if ok {
		f.shape, ok = r.types.at(inst.mod, uint32(fn), uint32(off), suspended)
	}
	if !ok {
		r.fail("function %d of instance %d can't be stopped at %#x", fn, at, off)
		return
	}
	if r.types.work > maxValidated {
		r.fail("the frames stand at too many places of too long functions")
		return
	}
	if *from+uint64(f.fn.Frame) > uint64(s.limits.Slots) {
		r.fail("the frames exceed the limit of %d slots", s.limits.Slots)
		return
	}
	// Memory of what is being read is the stack's, which the budget covers.
	live := int(f.fn.Operands()) + wasm.SlotsOf(f.shape.operands)
	f.slots = make([]uint64, live)
	params := len(inst.mod.funcType(uint32(fn)).Params)
	r.values(f.shape.locals[:params], f.slots)
	r.values(f.shape.locals[params:], f.slots[f.fn.Slot(f.fn.Params):])
	r.values(f.shape.operands, f.slots[f.fn.Operands():])
	r.frames = append(r.frames, f)
	*from += uint64(live)
}

// callable checks that the innermost frame read so far is waiting for a call of ref.
func (r *bodyReader) callable(ref uint64) error {
	if len(r.frames) == 0 {
		return nil
	}
	caller := &r.frames[len(r.frames)-1]
	inst := r.s.instances[caller.ref>>32-1]
	sh := &caller.shape
	if sh.target >= 0 && inst.funcRef(uint32(sh.target)) != ref || !r.s.typeOf(ref).Equal(sh.callee) {
		return r.fail("a frame that its caller can't have called")
	}
	return nil
}

func (r *bodyReader) hostCall() {
	s := r.s
	ref := r.uint()
	if r.err != nil || !isHost(ref) || !s.validRef(ref) {
		r.fail("a host call of no function")
		return
	}
	if r.callable(ref) != nil {
		return
	}
	s.host.ref = ref
	for _, t := range s.hosts[uint32(ref)].fn.Type.Params {
		lo, hi := r.value(t)
		s.host.args = append(s.host.args, valueOf(t, lo, hi))
	}
	n := r.below(maxPendingWrites, "number of ranges to write")
	for range n {
		dst, size := r.below(math.MaxUint32, "an address"), r.below(math.MaxUint32, "a size")
		s.host.writes = append(s.host.writes, Range{uint32(dst), uint32(size)})
	}
	if r.err != nil {
		return
	}
	if s.state == stateEntry {
		if len(s.host.writes) > 0 {
			r.fail("a call that hasn't begun has declared writes")
			return
		}
		if fn := s.hosts[uint32(ref)].fn; fn.Gas != nil {
			s.host.need = fn.Gas(s.host.args)
		}
	}
}

// restack builds the frames and the machine's state. Everything was checked.
func (r *bodyReader) restack() {
	s, m := r.s, &r.s.m
	if len(r.frames) == 0 {
		m.depth = int64(s.limits.Depth)
		return
	}
	if r.err = s.attach(); r.err != nil {
		return
	}
	m.fp = s.stack.base()
	m.depth = int64(s.limits.Depth)
	m.cur = 0
	var call unsafe.Pointer
	for i := range r.frames {
		f := &r.frames[i]
		base, tag := m.fp, uintptr(tagEntry)
		if i > 0 {
			base = unsafe.Add(m.fp, int(aAt(call))*8)
			tag = uintptr(call)
			if m.cur>>32 != f.ref>>32 {
				tag |= tagCross
			}
		}
		h := int(f.fn.Header)
		f.slots[h], f.slots[h+1] = uint64(tag), m.cur
		copy(slotsAt(base, len(f.slots)), f.slots)
		m.cur, m.fp = f.ref, base
		m.depth--
		call = unsafe.Add(unsafe.Pointer(unsafe.SliceData(f.fn.Ins)), int(f.pc)*8)
	}
	m.pc = call
	m.enterInstance(s.instances[m.cur>>32-1])
	s.detach()
}

func (r *bodyReader) tables(line baseline) {
	s := r.s
	for _, t := range s.tables {
		size := uint32(r.below(uint64(t.max), "a table's size"))
		if r.err == nil && size < t.typ.Min {
			r.fail("a table smaller than its type")
		}
		if r.err == nil {
			r.err = t.resize(s, size)
		}
		if r.err != nil {
			return
		}
	}
	for i, t := range s.tables {
		copy(t.elems, line.table(i))
		n, at := r.below(uint64(t.size), "number of table entries"), uint64(0)
		for k := range n {
			gap := r.uint()
			if k > 0 && gap == 0 || gap >= uint64(t.size)-at {
				r.fail("a table entry that can't be")
				return
			}
			at += gap
			ref := r.uint()
			if r.err != nil {
				return
			}
			t.elems[at] = ref
		}
		if t.typ.Elem != wasm.FuncRef {
			continue
		}
		for _, ref := range t.elems {
			if !s.validRef(ref) {
				r.fail("a table entry refers to no function")
				return
			}
		}
	}
}

func (r *bodyReader) memories(line baseline) {
	for i, mem := range r.s.memories {
		var img *image
		if r.err == nil {
			img, r.err = line.image(i)
		}
		if r.err != nil {
			return
		}
		r.memory(mem, img)
	}
}

func (r *bodyReader) memory(mem *Memory, img *image) {
	s := r.s
	pages := r.below(uint64(mem.max), "a memory's size")
	if r.err == nil && pages < uint64(mem.typ.Min) {
		r.fail("a memory smaller than its type")
	}
	if r.err != nil {
		return
	}
	size := pages * pageSize
	if r.err = s.take(int64(size)); r.err != nil {
		return
	}
	if r.err = mem.mem.reserve(uint64(mem.max)*pageSize, size); r.err != nil {
		s.give(int64(size))
		return
	}
	mem.size, mem.base = size, mem.mem.base()
	var base []byte
	if img != nil {
		if uint64(len(img.view)) > size {
			r.fail("a memory smaller than its baseline")
			return
		}
		if r.err = mem.mem.mapImage(img); r.err != nil {
			return
		}
		mem.from, base = img, img.view
	}
	b, at := mem.bytes(), uint64(0)
	total := size / deltaPage
	for first := true; ; first = false {
		n := r.below(total-at, "a run of pages")
		if r.err != nil || n == 0 {
			return
		}
		gap := r.below(total-at-n, "a gap between pages")
		if gap == 0 && !first {
			r.fail("two runs of pages that are one")
		}
		if r.err != nil {
			return
		}
		at += gap
		run := b[at*deltaPage : (at+n)*deltaPage]
		if off := at * deltaPage; off < uint64(len(base)) {
			r.xorRun(run, base[off:])
		} else {
			r.raw(run)
		}
		at += n
	}
}

// xorRun reads a run of pages and undoes the difference from the baseline, which may end before the run does.
func (r *bodyReader) xorRun(run, base []byte) {
	for len(run) > 0 && r.err == nil {
		n := min(len(run), 4*deltaPage)
		if n > len(base) && len(base) > 0 {
			n = min(n, len(base))
		}
		r.raw(run[:n])
		if k := min(n, len(base)); k > 0 {
			xor(run[:k], base[:k])
			base = base[k:]
		}
		run = run[n:]
	}
}
