// Package recent remembers in bounded memory what was used lately; it must never know what it remembers or for whom.
package recent

// Map holds two generations. What is put or used is in the young one; when that is full it becomes the old one, and the
// former old one is forgotten. It costs no list and no clock, and a flood of things that are used once needs two
// generations to push out what is used meanwhile.
//
// It is not safe for concurrent use.
type Map[K comparable, V any] struct {
	limit int
	weigh func(K, V) int
	// A key may stand in both: the old value is not seen any more, and goes before the young one does.
	young, old map[K]V
	held       int // weight of young
}

// New returns a map whose generations weigh at most limit each, or hold one entry that alone weighs more. An entry has the
// same weight as long as it is held, at least 1; a nil weigh counts entries.
func New[K comparable, V any](limit int, weigh func(K, V) int) *Map[K, V] {
	if weigh == nil {
		weigh = func(K, V) int { return 1 }
	}
	return &Map[K, V]{limit: limit, weigh: weigh, young: map[K]V{}, old: map[K]V{}}
}

// Get returns what k has, and counts it as used.
func (m *Map[K, V]) Get(k K) (V, bool) {
	if v, ok := m.young[k]; ok {
		return v, true
	}
	v, ok := m.old[k]
	if ok {
		m.add(k, v)
	}
	return v, ok
}

// Peek is Get without the use.
func (m *Map[K, V]) Peek(k K) (V, bool) {
	if v, ok := m.young[k]; ok {
		return v, true
	}
	v, ok := m.old[k]
	return v, ok
}

// Put replaces what k has.
func (m *Map[K, V]) Put(k K, v V) {
	if was, ok := m.young[k]; ok {
		m.held -= m.weigh(k, was)
	}
	m.add(k, v)
}

// add requires that held doesn't count k.
func (m *Map[K, V]) add(k K, v V) {
	n := m.weigh(k, v)
	if m.held > 0 && m.held+n > m.limit {
		clear(m.old) // it has room already for as many as are to come
		m.old, m.young, m.held = m.young, m.old, 0
	}
	m.young[k] = v
	m.held += n
}

// Take removes k and returns what it had.
func (m *Map[K, V]) Take(k K) (V, bool) {
	v, ok := m.young[k]
	if !ok {
		v, ok = m.old[k]
		delete(m.old, k)
		return v, ok
	}
	m.held -= m.weigh(k, v)
	delete(m.young, k)
	delete(m.old, k)
	return v, true
}

// Len is at least the number of keys, and at most twice that: one that stands in both generations counts twice.
func (m *Map[K, V]) Len() int { return len(m.young) + len(m.old) }
