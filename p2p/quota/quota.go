// Package quota limits how often each of many strangers may do something, in bounded memory; it must never know what that something is.
package quota

import (
	"sync"
	"time"

	"github.com/kitwork/kwnode/internal/recent"
)

// Table holds one token bucket for each key it saw lately. It remembers between n and 2n keys. A key that is forgotten
// starts with a full bucket, so the table bounds a busy key, not the number of keys; bound those elsewhere (connections,
// mint, stake).
type Table[K comparable] struct {
	rate  float64 // tokens a second
	burst float64

	mu      sync.Mutex // guards buckets
	buckets *recent.Map[K, bucket]
}

type bucket struct {
	tokens float64
	at     time.Time
}

// New makes a table of about n keys that grants each of them rate a second after a burst. A rate of 0 or less grants
// everything.
func New[K comparable](n int, rate float64, burst int) *Table[K] {
	return &Table[K]{rate: rate, burst: max(float64(burst), 1), buckets: recent.New[K, bucket](max(n, 1), nil)}
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
	allowed := b.tokens >= cost
	if allowed {
		b.tokens -= cost
	}
	t.buckets.Put(k, b)
	return allowed
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
	b, ok := t.buckets.Peek(k)
	if !ok {
		return bucket{tokens: t.burst, at: now}
	}
	return bucket{tokens: min(t.burst, b.tokens+t.rate*now.Sub(b.at).Seconds()), at: now}
}

// Refund gives tokens back that Allow took from k.
func (t *Table[K]) Refund(k K, cost float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.buckets.Peek(k); ok {
		b.tokens = min(t.burst, b.tokens+cost)
		t.buckets.Put(k, b)
	}
}
