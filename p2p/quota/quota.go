// Package quota limits how often each of many strangers may do something, in bounded memory; it must never know what that something is.
package quota

import (
	"sync"
	"time"
)

// Table holds one token bucket for each key it saw lately. It remembers between n and 2n keys: when the young half is
// full it becomes the old half, and the previous old half is forgotten. A key that is forgotten starts with a full
// bucket, so the table bounds a busy key, not the number of keys; bound those elsewhere (connections, mint, stake).
type Table[K comparable] struct {
	rate  float64 // tokens a second
	burst float64
	n     int

	mu         sync.Mutex // owns the maps
	young, old map[K]bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// New makes a table of about n keys that grants each of them rate a second after a burst. A rate of 0 or less grants
// everything.
func New[K comparable](n int, rate float64, burst int) *Table[K] {
	return &Table[K]{rate: rate, burst: max(float64(burst), 1), n: max(n, 1), young: make(map[K]bucket)}
}

// Allow takes cost tokens from k's bucket, or takes none and returns false.
func (t *Table[K]) Allow(k K, cost float64) bool {
	if t.rate <= 0 {
		return true
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.look(k, now)
	if _, ok := t.young[k]; !ok && len(t.young) >= t.n {
		t.old, t.young = t.young, make(map[K]bucket)
	}
	allowed := b.tokens >= cost
	if allowed {
		b.tokens -= cost
	}
	t.young[k] = b
	return allowed
}

// Len is the number of keys remembered.
func (t *Table[K]) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.young) + len(t.old)
}

// Has reports whether k has cost tokens, and takes none.
func (t *Table[K]) Has(k K, cost float64) bool {
	if t.rate <= 0 {
		return true
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.look(k, now).tokens >= cost
}

// look is k's bucket as it stands now: full, if k is not remembered. Its caller holds t.mu.
func (t *Table[K]) look(k K, now time.Time) bucket {
	b, ok := t.young[k]
	if !ok {
		if b, ok = t.old[k]; !ok {
			return bucket{tokens: t.burst, at: now}
		}
	}
	return bucket{tokens: min(t.burst, b.tokens+t.rate*now.Sub(b.at).Seconds()), at: now}
}

// Refund gives tokens back that Allow took from k.
func (t *Table[K]) Refund(k K, cost float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, m := range []map[K]bucket{t.young, t.old} {
		if b, ok := m[k]; ok {
			b.tokens = min(t.burst, b.tokens+cost)
			m[k] = b
			return
		}
	}
}
