package edwards

import (
	"crypto/ed25519"
	"sync"
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
// depend on what it keeps. The zero value is ready; it is safe for concurrent use.
type Keeper struct {
	mu      sync.Mutex // guards what follows
	kept    generations[*Key]
	counted generations[int]
}

// Verify reports what ed25519.Verify would.
func (k *Keeper) Verify(public [32]byte, message, sig []byte) bool {
	k.mu.Lock()
	key, ok := k.kept.get(public, keysKept)
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
		k.kept.put(public, key, keysKept)
		k.mu.Unlock()
	}
	return true
}

// count reports, to one caller, that the key has signed often enough.
func (k *Keeper) count(public [32]byte) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, _ := k.counted.get(public, keysCounted)
	k.counted.put(public, n+1, keysCounted)
	return n+1 == keepAfter
}

// generations forget what was not used for long: what is used moves to the young, and when they are full they become the
// old and the old go. Keys that come once cannot push out those in use.
type generations[V any] struct{ young, old map[[32]byte]V }

func (g *generations[V]) get(k [32]byte, limit int) (V, bool) {
	v, ok := g.young[k]
	if ok {
		return v, true
	}
	if v, ok = g.old[k]; ok {
		delete(g.old, k)
		g.put(k, v, limit)
	}
	return v, ok
}

func (g *generations[V]) put(k [32]byte, v V, limit int) {
	if _, ok := g.young[k]; !ok && len(g.young) >= limit || g.young == nil {
		g.young, g.old = map[[32]byte]V{}, g.young
	}
	g.young[k] = v
}
