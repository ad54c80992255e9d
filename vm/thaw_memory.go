package vm

import "github.com/kitwork/kwnode/vm/wasm"

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
