package edwards

import (
	"crypto/ed25519"
	"sync"

	"github.com/kitwork/kwnode/internal/recent"
)

// Bounds of a Keeper.
const (
	// keepAfter signatures of a key make it worth a table, which as many more pay for, or half as many where there are vectors.
	// If it is never used, it has cost half of those on top.
	keepAfter = 16
	// keysKept and keysCounted bound one of two generations: at most 18 MiB of tables, if so many keys sign so often.
	keysKept    = 96
	keysCounted = 4096
)

// Keeper verifies signatures and keeps the tables of keys that sign often: voters, workers, busy authors. Its answers don't
// depend on what it keeps. It is safe for concurrent use.
type Keeper struct {
	mu      sync.Mutex // guards what follows
	kept    *recent.Map[[32]byte, *Key]
	counted *recent.Map[[32]byte, int]
}

// NewKeeper returns a keeper that knows no key.
func NewKeeper() *Keeper {
	return &Keeper{kept: recent.New[[32]byte, *Key](keysKept, nil), counted: recent.New[[32]byte, int](keysCounted, nil)}
}

// Verify reports what ed25519.Verify would.
func (k *Keeper) Verify(public [32]byte, message, sig []byte) bool {
	k.mu.Lock()
	key, ok := k.kept.Get(public)
	k.mu.Unlock()
	if ok {
		return key.Verify(message, sig)
	}
	if !ed25519.Verify(public[:], message, sig) {
		return false // forgeries make no key known
	}
	if k.count(public) {
		key := NewKey(public)
		k.mu.Lock()
		k.kept.Put(public, key)
		k.mu.Unlock()
	}
	return true
}

// count reports, to one caller, that the key has signed often enough.
func (k *Keeper) count(public [32]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, _ := k.counted.Get(public)
	k.counted.Put(public, n+1)
	return n+1 == keepAfter
}
