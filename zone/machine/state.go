package machine

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/capsule"
)

// cell is one row as an Apply sees it.
//
// Invariant: if ok and val is nil, obj is a pointer to the row's structure, which nobody changes any more.
type cell struct {
	key    string
	base   []byte // as stored before this Apply
	baseOK bool
	cellValue
}

type cellValue struct {
	val   []byte
	obj   any
	ok    bool
	dirty bool
}

// state buffers the writes of one Apply over a Tx. A command that is refused is undone by its journal, so
// it leaves nothing behind, whatever it had written.
//
// A store that fails, or a row that does not decode, makes err sticky: reads return nothing from then on
// and the Apply ends as a halt. Handlers therefore need not check each read.
type state struct {
	tx      Tx
	cache   *rowCache // may be nil
	err     error
	cells   map[string]*cell
	touched [256][]*cell // by first byte of the key, in order of first use
	order   []*cell
	slab    []cell // cells to come
	journal []undo
}

type undo struct {
	c   *cell
	old cellValue
}

// newState has room for the rows that commands of size bytes are likely to touch.
func newState(tx Tx, size int) *state {
	const bytesPerRow, mostRows = 128, 4096
	return &state{tx: tx, cells: make(map[string]*cell, min(size/bytesPerRow, mostRows))}
}

// keep takes a row of the cache, or of the store, as what stands there.
func (c *cell) keep(r cachedRow) {
	c.base, c.baseOK = r.val, r.ok
	c.val, c.obj, c.ok = r.val, r.obj, r.ok
}

func (s *state) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *state) cell(key []byte) *cell {
	if c := s.cells[string(key)]; c != nil {
		return c
	}
	c := s.fresh(key)
	if r, known := s.cache.get(c.key); known {
		c.keep(r)
	} else if s.err == nil {
		v, ok, err := s.tx.Get(key)
		if err != nil {
			s.fail(fmt.Errorf("read row %q: %w", key, err))
		} else if ok {
			c.keep(cachedRow{val: v, ok: true})
		}
	}
	return c
}

// fresh is cell for a row that cannot exist in the store, by an invariant that the caller knows: looking for what is not
// there costs more than anything else about a new row.
func (s *state) fresh(key []byte) *cell {
	if c := s.cells[string(key)]; c != nil {
		return c
	}
	if len(s.slab) == 0 {
		s.slab = make([]cell, 64)
	}
	c := &s.slab[0]
	s.slab = s.slab[1:]
	c.key = string(key)
	s.cells[c.key] = c
	s.touched[key[0]] = append(s.touched[key[0]], c)
	s.order = append(s.order, c)
	return c
}

func (s *state) set(c *cell, v cellValue) {
	s.journal = append(s.journal, undo{c: c, old: c.cellValue})
	v.dirty = true
	c.cellValue = v
}

// mark returns a point to which rollback returns.
func (s *state) mark() int { return len(s.journal) }

func (s *state) rollback(mark int) {
	for i := len(s.journal) - 1; i >= mark; i-- {
		s.journal[i].c.cellValue = s.journal[i].old
	}
	s.journal = s.journal[:mark]
}

// load returns the row under key. The result is a copy of the structure; slices in it are shared and must
// be replaced, never changed.
func load[T any](s *state, key []byte) (T, bool) {
	c := s.cell(key)
	if !c.ok || s.err != nil {
		var zero T
		return zero, false
	}
	if c.obj == nil {
		v := new(T)
		if err := capsule.Unmarshal(c.val, v); err != nil {
			s.fail(fmt.Errorf("row %q is damaged: %w", key, err))
			return *v, false
		}
		c.obj = v
	}
	return *c.obj.(*T), true
}

// save writes the row under key.
func save[T any](s *state, key []byte, v T) { s.set(s.cell(key), cellValue{obj: &v, ok: true}) }

func (s *state) getRaw(key []byte) ([]byte, bool) {
	c := s.cell(key)
	return c.val, c.ok
}

func (s *state) has(key []byte) bool { return s.cell(key).ok }

func (s *state) setRaw(key, val []byte) {
	if val == nil {
		val = []byte{}
	}
	s.set(s.cell(key), cellValue{val: val, ok: true})
}

func (s *state) delete(key []byte) {
	if c := s.cell(key); c.ok {
		s.set(c, cellValue{})
	}
}

// scan calls fn with the keys that have prefix and are greater than after, in order, until fn returns
// false. val is nil for a row that this Apply wrote as a structure. fn does not write.
func (s *state) scan(prefix, after []byte, fn func(key string, val []byte) bool) {
	if s.err != nil {
		return
	}
	var mine []*cell
	for _, c := range s.touched[prefix[0]] {
		if strings.HasPrefix(c.key, string(prefix)) && (after == nil || c.key > string(after)) {
			mine = append(mine, c)
		}
	}
	slices.SortFunc(mine, func(a, b *cell) int { return strings.Compare(a.key, b.key) })
	stopped := false
	emit := func(upTo string, all bool) bool {
		for len(mine) > 0 && (all || mine[0].key < upTo) {
			c := mine[0]
			mine = mine[1:]
			if c.ok && !fn(c.key, c.val) {
				stopped = true
				return false
			}
		}
		return true
	}
	from := s.cache.begin(prefix, after)
	first, whole := "", len(prefix) == 1 && (after == nil || string(from) != string(after))
	err := s.tx.Scan(prefix, from, func(k, v []byte) bool {
		key := string(k)
		if first == "" {
			first = key
		}
		if !emit(key, false) {
			return false
		}
		if len(mine) > 0 && mine[0].key == key {
			return emit(key+"\x00", false)
		}
		if !fn(key, v) {
			stopped = true
		}
		return !stopped
	})
	if err != nil {
		s.fail(fmt.Errorf("scan rows %q: %w", prefix, err))
		return
	}
	if whole {
		s.cache.found(prefix[0], first)
	}
	if !stopped {
		emit("", true)
	}
}

// keys returns at most limit keys of a scan, so that the caller may write while it goes through them.
func (s *state) keys(prefix, after []byte, limit int) []string {
	var out []string
	s.scan(prefix, after, func(k string, _ []byte) bool {
		out = append(out, k)
		return len(out) < limit
	})
	return out
}

// first returns the first key with prefix.
func (s *state) first(prefix []byte) (string, bool) {
	k := s.keys(prefix, nil, 1)
	if len(k) == 0 {
		return "", false
	}
	return k[0], true
}

// flush writes what changed and keeps the state hash true to it. In order of keys, for which stores are faster.
func (s *state) flush(h *ltHash) error {
	slices.SortFunc(s.order, func(a, b *cell) int { return strings.Compare(a.key, b.key) })
	for _, c := range s.order {
		if s.err != nil {
			return s.err
		}
		if !c.dirty {
			continue
		}
		val := c.val
		if c.ok && val == nil {
			var err error
			if val, err = capsule.Marshal(c.obj); err != nil {
				return fmt.Errorf("row %q: %w", c.key, err)
			}
		}
		if err := s.flushRow(h, c, val); err != nil {
			return err
		}
		c.val = val
	}
	return s.err
}

// remember leaves the rows of this Apply to the next.
func (s *state) remember(c *rowCache) {
	for _, x := range s.order {
		switch {
		case x.dirty:
			c.wrote(x.key, cachedRow{val: x.val, obj: x.obj, ok: x.ok})
		case x.ok:
			c.put(x.key, cachedRow{val: x.val, obj: x.obj, ok: true})
		}
	}
}

func (s *state) flushRow(h *ltHash, c *cell, val []byte) error {
	if c.ok == c.baseOK && bytes.Equal(val, c.base) {
		return nil
	}
	key := []byte(c.key)
	if c.baseOK {
		h.remove(key, c.base)
	}
	if !c.ok {
		if err := s.tx.Delete(key); err != nil {
			return fmt.Errorf("delete row %q: %w", key, err)
		}
		return nil
	}
	h.add(key, val)
	if err := s.tx.Set(key, val); err != nil {
		return fmt.Errorf("write row %q: %w", key, err)
	}
	return nil
}
