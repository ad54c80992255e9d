package vm

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"

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
