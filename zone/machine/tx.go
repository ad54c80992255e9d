package machine

import (
	"slices"
	"sort"
)

// Tx is the ordered key-value store under the machine, seen as one transaction: the shell makes all writes
// of one Apply durable together with the applied index, or none of them.
type Tx interface {
	// Get returns the value of key. The slice stays valid and unchanged after further calls.
	Get(key []byte) (val []byte, ok bool, err error)
	// Set and Delete need not be seen by later calls on the same Tx: the machine buffers its writes and makes them
	// when it has read everything. It does not change key or val afterwards.
	Set(key, val []byte) error
	Delete(key []byte) error
	// Scan calls fn with the rows whose key has prefix and is greater than after (nil: from the first),
	// in ascending byte order, until fn returns false. prefix is not empty. The slices are valid only
	// during the call. fn may read the same Tx, but doesn't write to it.
	Scan(prefix, after []byte, fn func(key, val []byte) bool) error
}

// MemTx is a Tx in memory, for tests and simulations. The zero value is empty.
type MemTx struct {
	keys [256][]string // ascending, by first byte: inserting moves only one table's keys
	rows map[string][]byte
}

// Get implements Tx.
func (t *MemTx) Get(key []byte) ([]byte, bool, error) {
	v, ok := t.rows[string(key)]
	return v, ok, nil
}

// Set implements Tx.
func (t *MemTx) Set(key, val []byte) error {
	if t.rows == nil {
		t.rows = map[string][]byte{}
	}
	k := string(key)
	if _, ok := t.rows[k]; !ok {
		keys := &t.keys[key[0]]
		i := sort.SearchStrings(*keys, k)
		*keys = slices.Insert(*keys, i, k)
	}
	t.rows[k] = slices.Clone(val)
	return nil
}

// Delete implements Tx.
func (t *MemTx) Delete(key []byte) error {
	k := string(key)
	if _, ok := t.rows[k]; ok {
		delete(t.rows, k)
		keys := &t.keys[key[0]]
		i := sort.SearchStrings(*keys, k)
		*keys = slices.Delete(*keys, i, i+1)
	}
	return nil
}

// Scan implements Tx. The prefix is not empty.
func (t *MemTx) Scan(prefix, after []byte, fn func(key, val []byte) bool) error {
	from := string(prefix)
	if a := string(after); a >= from {
		from = a + "\x00"
	}
	keys := t.keys[prefix[0]]
	for i := sort.SearchStrings(keys, from); i < len(keys); i++ {
		k := keys[i]
		if len(k) < len(prefix) || k[:len(prefix)] != string(prefix) {
			break
		}
		if !fn([]byte(k), t.rows[k]) {
			break
		}
	}
	return nil
}

// Clone returns an independent copy.
func (t *MemTx) Clone() *MemTx {
	c := &MemTx{rows: make(map[string][]byte, len(t.rows))}
	for i := range t.keys {
		c.keys[i] = slices.Clone(t.keys[i])
	}
	for k, v := range t.rows {
		c.rows[k] = v // values are never changed in place
	}
	return c
}

// Len returns the number of rows.
func (t *MemTx) Len() int { return len(t.rows) }
