package vm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"sync"

	"github.com/kitwork/kwnode/vm/wasm"
)

// The format is described in CONTINUATION.md, which is enough to read and write it without this code.

const (
	contMagic   = "KWCN"
	contVersion = 3
	deltaPage   = 1024 // bytes of the unit in which memory is compared
)

// What the memory pages and table entries of a body are told against.
const (
	againstNothing byte = iota // zeros and nulls: the canonical form
	againstModule              // the modules' initial images and tables
	againstBase                // the base named in the header
)

// ErrNotSafe is returned by Freeze, Checkpoint and StateHash between Resume and the next Run: the program is in the
// middle of a block then. Run with no gas reaches the next safepoint.
var ErrNotSafe = errors.New("vm: store isn't at a safepoint, run it first")

// FreezeOptions says how to write a continuation.
type FreezeOptions struct {
	Base *Base  // to tell the state against; nil tells it against the modules' initial state
	Host []byte // state of the host's that belongs to the program; returned by Thaw, and part of the state's hash
}

// Freeze writes the whole store as bytes from which Thaw continues it anywhere. The store is unchanged and may go on.
func (s *Store) Freeze(o FreezeOptions) ([]byte, error) {
	w := &bodyWriter{s: s}
	defer w.done()
	against, coder := againstModule, &plain
	var line baseline = moduleLine{s}
	if o.Base != nil {
		against, line, coder = againstBase, o.Base, &o.Base.codec
	}
	if err := s.writeBody(w, line, o.Host); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(w.b)/4+128)
	out = append(out, contMagic...)
	out = append(out, contVersion, against)
	if o.Base != nil {
		out = append(out, o.Base.hash[:]...)
	}
	out = binary.AppendUvarint(out, uint64(len(w.b)))
	return coder.encode(w.b, out), nil
}

// StateHash is the identity of the store's logical state: SHA-256 of its canonical form, which doesn't depend on how or
// against what it is written. Memory stands in it page by page as SHA-256, so that hashing costs what was changed. host is what Freeze would be given.
func (s *Store) StateHash(host []byte) ([32]byte, error) {
	w := &bodyWriter{s: s, sum: sha256.New()}
	defer w.done()
	if err := s.writeBody(w, zeroLine{}, host); err != nil {
		return [32]byte{}, err
	}
	w.flush()
	return [32]byte(w.sum.Sum(nil)), nil
}

// baseline predicts memories and tables.
type baseline interface {
	image(mem int) (*image, error) // the first bytes of a memory, nil for zeros
	table(i int) []uint64          // the first entries of a table, nil for nulls
}

type zeroLine struct{}

func (zeroLine) image(int) (*image, error) { return nil, nil }
func (zeroLine) table(int) []uint64        { return nil }

// moduleLine predicts that everything is as instantiation left it.
type moduleLine struct{ s *Store }

func (l moduleLine) image(mem int) (*image, error) {
	inst := l.s.definer(mem, func(w *wasm.Module) int { return len(w.Mems) - int(w.NumImportedMems) })
	return inst.mod.initialImage()
}

func (l moduleLine) table(i int) []uint64 { return l.s.initialTable(l.s.tables[i]) }

// definer is the instance that defines the n-th memory or table of the store, counting how many each defines.
func (s *Store) definer(n int, count func(*wasm.Module) int) *Instance {
	for _, inst := range s.instances {
		c := count(inst.mod.w)
		if n < c {
			return inst
		}
		n -= c
	}
	panic("vm: a memory without an owner")
}

// initialTable replays the active element segments of all instances that reach the table.
func (s *Store) initialTable(t *Table) []uint64 {
	out := make([]uint64, t.size)
	for _, inst := range s.instances {
		for i := range inst.mod.w.Elems {
			seg := &inst.mod.w.Elems[i]
			if seg.Mode != wasm.SegActive || inst.tables[seg.Table] != t {
				continue
			}
			at, _ := inst.constant(seg.Offset)
			if uint64(uint32(at))+uint64(seg.Count) > uint64(len(out)) {
				break
			}
			for n, item := range inst.mod.elemItems(uint32(i)) {
				out[int(uint32(at))+n] = inst.elemRef(item)
			}
		}
	}
	return out
}

// bodyWriter collects a body, or hashes it.
type bodyWriter struct {
	s     *Store
	b     []byte
	sum   hash.Hash
	taken int64
	err   error
}

// room accounts for the buffer before it grows.
func (w *bodyWriter) room(n int) bool {
	if w.sum != nil && len(w.b) >= 32<<10 {
		w.flush()
	}
	for int64(len(w.b)+n) > w.taken {
		step := max(64<<10, w.taken, int64(n))
		if w.err = w.s.take(step); w.err != nil {
			return false
		}
		w.taken += step
	}
	return true
}

func (w *bodyWriter) flush() {
	w.sum.Write(w.b)
	w.b = w.b[:0]
}

func (w *bodyWriter) done() { w.s.give(w.taken) }

func (w *bodyWriter) uint(v uint64) {
	if w.err == nil && w.room(10) {
		w.b = binary.AppendUvarint(w.b, v)
	}
}

func (w *bodyWriter) raw(p []byte) {
	if w.err == nil && w.room(len(p)) {
		w.b = append(w.b, p...)
	}
}

func (w *bodyWriter) fixed64(v uint64) {
	if w.err == nil && w.room(8) {
		w.b = binary.LittleEndian.AppendUint64(w.b, v)
	}
}

func (w *bodyWriter) text(s string) {
	w.uint(uint64(len(s)))
	w.raw([]byte(s))
}

// value writes a typed value in its own width.
func (w *bodyWriter) value(t wasm.ValType, lo, hi uint64) {
	switch t {
	case wasm.I32, wasm.F32:
		if w.err == nil && w.room(4) {
			w.b = binary.LittleEndian.AppendUint32(w.b, uint32(lo))
		}
	case wasm.V128:
		w.fixed64(lo)
		w.fixed64(hi)
	default:
		w.fixed64(lo)
	}
}

// values writes typed values out of consecutive slots.
func (w *bodyWriter) values(types []wasm.ValType, slots []uint64) {
	for _, t := range types {
		n := t.Slots()
		w.value(t, slots[0], slots[n-1])
		slots = slots[n:]
	}
}

func (s *Store) writeBody(w *bodyWriter, line baseline, host []byte) error {
	if s.state == stateClosed {
		return ErrClosed
	}
	if s.state == stateRunning || s.m.cur != 0 {
		if err := s.attach(); err != nil {
			return err
		}
		defer s.detach()
	}
	w.uint(wasm.MeterVersion)
	for _, l := range []uint32{s.limits.MemoryPages, s.limits.TableElems, s.limits.Depth, s.limits.Slots} {
		w.uint(uint64(l))
	}
	w.raw(s.seed[:])
	w.uint(s.drawn)
	w.fixed64(uint64(s.clock))
	w.uint(s.Gas())
	w.text(string(host))
	s.writeInstances(w)
	if err := s.writeStack(w); err != nil {
		return err
	}
	s.writeTables(w, line)
	if w.sum != nil {
		s.sumMemories(w)
	} else {
		s.writeMemories(w, line)
	}
	return w.err
}

func (s *Store) writeInstances(w *bodyWriter) {
	w.uint(uint64(len(s.hosts)))
	for _, h := range s.hosts {
		w.text(h.module)
		w.text(h.name)
	}
	w.uint(uint64(len(s.instances)))
	for _, inst := range s.instances {
		h := inst.mod.Hash()
		w.raw(h[:])
		s.writeInstance(w, inst)
	}
}

func (s *Store) writeInstance(w *bodyWriter, inst *Instance) {
	m := inst.mod.w
	for _, ref := range inst.funcs {
		w.uint(ref)
	}
	for _, t := range inst.tables[:m.NumImportedTables] {
		w.uint(uint64(indexOf(s.tables, t)))
	}
	for _, mem := range inst.mems[:m.NumImportedMems] {
		w.uint(uint64(indexOf(s.memories, mem)))
	}
	for _, g := range inst.exts[:m.NumImportedGlobals] {
		w.uint(uint64(g.owner))
		w.uint(uint64(g.index))
	}
	for n := m.NumImportedGlobals; int(n) < len(m.Globals); n++ {
		g := inst.global(n)
		v := g.Value()
		lo, hi, _ := v.slots()
		w.value(g.typ.Type, lo, hi)
	}
	// Segments, data first: lengths of runs, not dropped and dropped in turn.
	var run uint64
	dropped := false
	for n := range uint32(len(m.Datas) + len(m.Elems)) {
		if inst.dropped.has(n) != dropped {
			w.uint(run)
			run, dropped = 0, !dropped
		}
		run++
	}
	w.uint(run)
}

func indexOf[T comparable](list []T, x T) int {
	for i := range list {
		if list[i] == x {
			return i
		}
	}
	panic("vm: an object that isn't the store's")
}

// writeStack writes the calls that wait, the frames and the host call.
func (s *Store) writeStack(w *bodyWriter) error {
	w.uint(uint64(len(s.queue)))
	for _, q := range s.queue {
		w.uint(q.ref)
		w.values(s.typeOf(q.ref).Params, q.args)
	}
	w.raw([]byte{byte(s.state)})
	var frames []frame
	if s.m.cur != 0 {
		s.walk(func(f frame) bool {
			frames = append(frames, f)
			return true
		})
	}
	w.uint(uint64(len(frames)))
	types := newTypeCache()
	for i := len(frames) - 1; i >= 0; i-- {
		if err := s.writeFrame(w, frames[i], i > 0 || s.state != stateRunning, types); err != nil {
			return err
		}
	}
	if s.state == stateEntry || s.state == statePending {
		w.uint(s.host.ref)
		for _, a := range s.host.args {
			lo, hi, _ := a.slots()
			w.value(a.Type, lo, hi)
		}
		w.uint(uint64(len(s.host.writes)))
		for _, r := range s.host.writes {
			w.uint(uint64(r.Dst))
			w.uint(uint64(r.Cap))
		}
	}
	return nil
}

func (s *Store) writeFrame(w *bodyWriter, f frame, suspended bool, types *typeCache) error {
	var off uint32
	var ok bool
	if suspended {
		off, ok = f.fn.CallOff(f.pc)
	} else {
		off, ok = f.fn.BlockOff(f.pc)
	}
	if !ok {
		return ErrNotSafe
	}
	inst := s.instances[f.ref>>32-1]
	shape, ok := types.at(inst.mod, f.fn.Index, off, suspended)
	if !ok {
		return fmt.Errorf("vm: function %d has no state at %#x", f.fn.Index, off)
	}
	w.uint(uint64(inst.index))
	w.uint(uint64(f.fn.Index))
	w.uint(uint64(off))
	slots := slotsAt(f.base, int(f.fn.Frame))
	params := len(inst.mod.funcType(f.fn.Index).Params)
	w.values(shape.locals[:params], slots)
	w.values(shape.locals[params:], slots[f.fn.Slot(f.fn.Params):])
	w.values(shape.operands, slots[min(int(f.fn.Operands()), len(slots)):])
	return nil
}

// shape is what a frame holds at a place in the code.
type shape struct {
	locals, operands []wasm.ValType
	callee           *wasm.FuncType // of a suspended frame
	target           int64          // function that a direct call calls, -1 for an indirect one
}

type typeKeyAt struct {
	m *Module
	place
}

// place is where a frame stands.
type place struct {
	fn, off uint32
	// A block may begin at a call: standing before it and being suspended in it are two shapes.
	suspended bool
}

// typeCache remembers shapes, for a recursion has many frames at one place.
type typeCache struct {
	shapes map[typeKeyAt]shape
	work   uint64 // bytes of code that were validated to find them
}

func newTypeCache() *typeCache { return &typeCache{shapes: map[typeKeyAt]shape{}} }

func (c *typeCache) at(m *Module, fn, off uint32, suspended bool) (shape, bool) {
	k := typeKeyAt{m, place{fn, off, suspended}}
	if sh, ok := c.shapes[k]; ok {
		return sh, true
	}
	// It counts as work whether the module remembers it or not: what is too much must not depend on what was thawed before.
	_, body := m.w.Func(fn)
	c.work += uint64(off - body.Off)
	sh, ok := m.shapes.at(m, k.place)
	if ok {
		c.shapes[k] = sh
	}
	return sh, ok
}

// shapes remembers those of a module: its programs mostly stop at the same few calls, and each costs a validation of the
// functions up to there. What is remembered is bounded, and begun anew when it is full.
type shapes struct {
	mu sync.Mutex // guards m
	m  map[place]shape
}

const (
	maxShapes = 256 // of a module
	maxShaped = 512 // locals and operands of one that is remembered
)

func (c *shapes) at(m *Module, p place) (shape, bool) {
	c.mu.Lock()
	sh, ok := c.m[p]
	c.mu.Unlock()
	if ok {
		return sh, true
	}
	if sh, ok = m.shapeAt(p); !ok || len(sh.locals)+len(sh.operands) > maxShaped {
		return sh, ok
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxShapes {
		c.m = map[place]shape{}
	}
	c.m[p] = sh
	return sh, true
}

func (m *Module) shapeAt(p place) (shape, bool) {
	locals, operands, ok := m.w.TypesAt(p.fn, p.off)
	if !ok {
		return shape{}, false
	}
	sh := shape{locals: locals, operands: operands, target: -1}
	if !p.suspended {
		return sh, true
	}
	// The arguments, and the index of an indirect call, are the callee's now.
	_, body := m.w.Func(p.fn)
	r := wasm.NewReader(m.w, body)
	r.Seek(p.off)
	var in wasm.Instr
	r.Next(&in)
	n := len(operands)
	switch in.Op {
	case wasm.OpCall:
		sh.callee, sh.target = m.funcType(in.X), int64(in.X)
	case wasm.OpCallIndirect:
		sh.callee = &m.w.Types[in.X]
		n--
	default:
		return shape{}, false
	}
	sh.operands = operands[:n-len(sh.callee.Params)]
	return sh, true
}

// writeTables writes sizes and the entries that differ from the baseline.
func (s *Store) writeTables(w *bodyWriter, line baseline) {
	for _, t := range s.tables {
		w.uint(uint64(t.size))
	}
	for i, t := range s.tables {
		base := line.table(i)
		changed, last := 0, 0
		at := func(n int) uint64 {
			if n < len(base) {
				return base[n]
			}
			return 0
		}
		for n, ref := range t.elems {
			if ref != at(n) {
				changed++
			}
		}
		w.uint(uint64(changed))
		for n, ref := range t.elems {
			if ref != at(n) {
				w.uint(uint64(n - last))
				w.uint(ref)
				last = n
			}
		}
	}
}

var zeroPage [deltaPage]byte

// writeMemories writes sizes, and runs of the pages that differ from the baseline, XORed with it.
func (s *Store) writeMemories(w *bodyWriter, line baseline) {
	for i, mem := range s.memories {
		w.uint(mem.size / pageSize)
		img, err := line.image(i)
		if err != nil {
			w.err = err
			return
		}
		b := mem.bytes()
		var base []byte
		if img != nil {
			base = img.view
		}
		page := func(n int) []byte { return b[n*deltaPage : (n+1)*deltaPage] }
		same := func(n int) bool {
			if at := n * deltaPage; at < len(base) {
				return bytes.Equal(page(n), base[at:at+deltaPage])
			}
			return bytes.Equal(page(n), zeroPage[:])
		}
		end := 0   // of the last run
		first := 0 // of the current one, which is empty if it ends here too
		next := 0
		flush := func() {
			if next == first {
				return
			}
			w.uint(uint64(next - first))
			w.uint(uint64(first - end))
			if n := (next - first) * deltaPage; w.err == nil && w.room(n) {
				w.b = slices.Grow(w.b, n)
			}
			for p := first; p < next; p++ {
				w.raw(page(p))
				if off := p * deltaPage; w.err == nil && off < len(base) {
					xor(w.b[len(w.b)-deltaPage:], base[off:off+deltaPage])
				}
			}
			end = next
		}
		for _, c := range mem.candidates(img) {
			for n := c.from / deltaPage; n < c.to/deltaPage; n++ {
				if same(n) {
					continue
				}
				if n != next {
					flush()
					first = n
				}
				next = n + 1
			}
		}
		flush()
		w.uint(0)
	}
}

// xor changes a by b, of the same length, which is a multiple of 8.
func xor(a, b []byte) {
	for i := 0; i+8 <= len(b); i += 8 {
		binary.LittleEndian.PutUint64(a[i:], binary.LittleEndian.Uint64(a[i:])^binary.LittleEndian.Uint64(b[i:]))
	}
}
