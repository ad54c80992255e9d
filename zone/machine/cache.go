package machine

import (
	"strings"

	"github.com/kitwork/kwnode/internal/recent"
)

// rowCache is what a machine remembers of the state after an Apply, so that the next one doesn't ask the store for it. It
// never changes a result: everything in it is what the store holds, or a bound that is true of it.
//
// Invariant: it is of the state whose head is head. An Apply that finds another head in the store, because a snapshot was
// restored or the writes of the last Apply were dropped, begins with an empty one.
type rowCache struct {
	head Head
	rows *recent.Map[string, cachedRow]
	// floor is for each table a key below every row that it has: scans of a table begin there. The store walks over rows
	// that were removed, and a queue is nothing but such rows, in front of the few that it holds.
	floor [256]string
	hash  ltHash
}

// cachedRow is a row as a cell has it. A row that is known to be absent has ok unset.
type cachedRow struct {
	val []byte
	obj any // nil, or the decoded row, which nobody changes
	ok  bool
}

func rowSize(key string, r cachedRow) int { return len(key) + len(r.val) + cacheRowOver }

const (
	cacheBytes   = 2 << 20  // of rows in one generation
	cacheRow     = 16 << 10 // larger ones are not kept
	cacheRowOver = 128      // of a row beside its bytes
)

func newRowCache() *rowCache { return &rowCache{rows: recent.New(cacheBytes, rowSize)} }

func (c *rowCache) get(key string) (cachedRow, bool) {
	if c == nil {
		return cachedRow{}, false
	}
	return c.rows.Get(key)
}

func (c *rowCache) put(key string, r cachedRow) {
	if rowSize(key, r) > cacheRow {
		c.rows.Take(key)
		return
	}
	c.rows.Put(key, r)
}

// wrote follows a row that an Apply has written or removed.
func (c *rowCache) wrote(key string, r cachedRow) {
	if r.ok && key <= c.floor[key[0]] {
		c.floor[key[0]] = keyBelow(key)
	}
	c.put(key, r)
}

// begin returns where a scan of a whole table may begin: behind the result, nil for the table's first row.
func (c *rowCache) begin(prefix, after []byte) []byte {
	if c == nil || len(prefix) != 1 {
		return after
	}
	if f := c.floor[prefix[0]]; f > string(after) {
		return []byte(f)
	}
	return after
}

// found follows a scan of a whole table that began before every row of it: first is the first row, "" if there is none.
func (c *rowCache) found(tab byte, first string) {
	if c == nil {
		return
	}
	if first == "" {
		first = string(tab) + strings.Repeat("\xff", 16)
	}
	c.floor[tab] = keyBelow(first)
}

// keyBelow returns a key below key.
func keyBelow(key string) string {
	if n := len(key) - 1; key[n] != 0 {
		return key[:n] + string([]byte{key[n] - 1})
	}
	return key[:len(key)-1]
}
