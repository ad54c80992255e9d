package store

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// ErrReadOnly is returned by writes to a View.
var ErrReadOnly = errors.New("write to a read-only view of the zone state")

func rowKey(space byte, key []byte) []byte {
	b := make([]byte, 1+len(key))
	b[0] = space
	copy(b[1:], key)
	return b
}

// prefixEnd is the least key above every key with the prefix, nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

func get(r pebble.Reader, full []byte) ([]byte, bool, error) {
	v, closer, err := r.Get(full)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, readError(err, full)
	}
	defer closer.Close()
	v, err = unseal(v, full)
	if err != nil {
		return nil, false, &CorruptError{What: "row", Key: append([]byte(nil), full...), Err: err}
	}
	return append([]byte(nil), v...), true, nil
}

func scan(r pebble.Reader, space byte, prefix, after []byte, fn func(k, v []byte) bool) error {
	lower := rowKey(space, prefix)
	upper := prefixEnd(lower)
	if after != nil {
		// The least key above after is after with a zero byte appended.
		if a := append(rowKey(space, after), 0); string(a) > string(lower) {
			lower = a
		}
	}
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return readError(err, lower)
	}
	for ok := it.First(); ok; ok = it.Next() {
		raw, err := it.ValueAndErr()
		if err != nil {
			it.Close()
			return readError(err, it.Key())
		}
		v, err := unseal(raw, it.Key())
		if err != nil {
			key := append([]byte(nil), it.Key()...)
			it.Close()
			return &CorruptError{What: "row", Key: key, Err: err}
		}
		if !fn(it.Key()[1:], v) {
			break
		}
	}
	if err := it.Close(); err != nil {
		return readError(err, lower)
	}
	return nil
}

func readError(err error, key []byte) error {
	if pebble.IsCorruptionError(err) {
		return &CorruptError{What: "table", Key: append([]byte(nil), key...), Err: err}
	}
	return fmt.Errorf("read zone state: %w", err)
}

// Batch collects the writes of one log entry. All reach the disk with the applied index, or none. Its reads see the state
// before it, so that its writes need no index: the state machine writes when it has read everything.
type Batch struct {
	s   *Store
	h   *handle
	b   *pebble.Batch
	buf []byte
}

// Begin starts a batch. The caller ends it with Commit or Discard.
func (s *Store) Begin() (*Batch, error) {
	h, err := s.acquire()
	if err != nil {
		return nil, err
	}
	return &Batch{s: s, h: h, b: h.db.NewBatch()}, nil
}

// Get returns a copy of the value.
func (b *Batch) Get(key []byte) ([]byte, bool, error) { return get(b.h.db, rowKey(spaceState, key)) }

// Set replaces the value of a replicated row.
func (b *Batch) Set(key, val []byte) error { return b.set(spaceState, key, val) }

// Delete removes a replicated row; one that is absent is no error.
func (b *Batch) Delete(key []byte) error { return b.b.Delete(rowKey(spaceState, key), nil) }

// Scan calls fn for the rows with the prefix that are above after, in order, until it returns false. A nil after is below
// every key. The slices are valid during the call only.
func (b *Batch) Scan(prefix, after []byte, fn func(k, v []byte) bool) error {
	return scan(b.h.db, spaceState, prefix, after, fn)
}

// SetLocal writes a row of this replica alone, with the batch.
func (b *Batch) SetLocal(key, val []byte) error { return b.set(spaceLocal, key, val) }

func (b *Batch) set(space byte, key, val []byte) error {
	if len(key) > MaxKey || len(val) > MaxValue {
		return fmt.Errorf("row of %d and %d bytes exceeds the limit of %d and %d", len(key), len(val), MaxKey, MaxValue)
	}
	full := rowKey(space, key)
	b.buf = seal(b.buf[:0], full, val)
	return b.b.Set(full, b.buf, nil)
}

// Commit makes the batch visible and a the applied entry. A crash may take the newest batches with it, until Sync or a
// later batch that does: the write-ahead log is a prefix of what was committed, and the log of entries has the rest.
func (b *Batch) Commit(a Applied) error {
	b.buf = seal(b.buf[:0], appliedKey, a.marshal())
	err := b.b.Set(appliedKey, b.buf, nil)
	if err == nil {
		err = b.b.Commit(pebble.NoSync)
	}
	if err == nil {
		b.s.applied.Store(&a)
	} else {
		err = fmt.Errorf("commit entry %d to the zone state: %w", a.Index, err)
	}
	b.Discard()
	return err
}

// Discard drops the batch. After Commit it does nothing.
func (b *Batch) Discard() {
	if b.b == nil {
		return
	}
	b.b.Close()
	b.h.release()
	b.b, b.h = nil, nil
}

// View is the state at one applied entry. It does not change and blocks nobody.
type View struct {
	at Applied
	h  *handle
	sn *pebble.Snapshot
}

// View pins the state as it is now. The caller closes it soon: rows that it can see cannot be collected.
func (s *Store) View() (*View, error) {
	h, err := s.acquire()
	if err != nil {
		return nil, err
	}
	sn := h.db.NewSnapshot()
	at, err := readApplied(sn) // from the snapshot itself: a commit may have come in between
	if err != nil {
		sn.Close()
		h.release()
		return nil, err
	}
	return &View{at: at, h: h, sn: sn}, nil
}

// Applied returns the entry that the view reflects.
func (v *View) Applied() Applied { return v.at }

// Get returns a copy of the value.
func (v *View) Get(key []byte) ([]byte, bool, error) { return get(v.sn, rowKey(spaceState, key)) }

// Set refuses.
func (v *View) Set(key, val []byte) error { return ErrReadOnly }

// Delete refuses.
func (v *View) Delete(key []byte) error { return ErrReadOnly }

// Scan is as Batch.Scan.
func (v *View) Scan(prefix, after []byte, fn func(k, val []byte) bool) error {
	return scan(v.sn, spaceState, prefix, after, fn)
}

// Close releases the rows. A second call does nothing.
func (v *View) Close() error {
	if v.sn == nil {
		return nil
	}
	err := v.sn.Close()
	if rerr := v.h.release(); err == nil {
		err = rerr
	}
	v.sn, v.h = nil, nil
	return err
}

// GetLocal reads a row of this replica alone.
func (s *Store) GetLocal(key []byte) ([]byte, bool, error) {
	h, err := s.acquire()
	if err != nil {
		return nil, false, err
	}
	defer h.release()
	return get(h.db, rowKey(spaceLocal, key))
}

// SetLocal writes rows of this replica alone; a nil value deletes. Like Commit it does not wait for the disk.
func (s *Store) SetLocal(rows ...LocalRow) error {
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer h.release()
	b := h.db.NewBatch()
	defer b.Close()
	for _, r := range rows {
		full := rowKey(spaceLocal, r.Key)
		if r.Val == nil {
			err = b.Delete(full, nil)
		} else {
			err = b.Set(full, seal(nil, full, r.Val), nil)
		}
		if err != nil {
			return fmt.Errorf("write local row: %w", err)
		}
	}
	if err := b.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("write local rows: %w", err)
	}
	return nil
}

// LocalRow is a row of one replica alone.
type LocalRow struct{ Key, Val []byte }

// ScanLocal is Batch.Scan over the rows of this replica alone.
func (s *Store) ScanLocal(prefix, after []byte, fn func(k, v []byte) bool) error {
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer h.release()
	return scan(h.db, spaceLocal, prefix, after, fn)
}
