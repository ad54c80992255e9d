package recent

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// value carries its weight, and a number that no other value has.
type value struct{ n, weight int }

// model is what a map must do: values is what was put and not taken, of which a map may have forgotten what was not used
// since entries of more than a generation's weight were.
type model struct {
	values map[int]value
	since  map[int]int // weight of what was used after the key
}

func (m *model) used(k int) {
	w := m.values[k].weight
	for other := range m.values {
		m.since[other] += w
	}
	m.since[k] = 0
}

func (m *model) forget(k int) {
	delete(m.values, k)
	delete(m.since, k)
}

// check compares a result for k. What is forgotten stays so.
func (m *model) check(k, limit int, got value, ok bool) error {
	want, put := m.values[k]
	switch {
	case ok && (!put || got != want):
		return fmt.Errorf("key %d has %v, want %v", k, got, want)
	case !ok && put && m.since[k] <= limit:
		return fmt.Errorf("key %d was forgotten after others of weight %d, within a generation of %d", k, m.since[k], limit)
	case !ok:
		m.forget(k)
	}
	return nil
}

// TestModel: a map never has a value that was replaced, taken or forgotten, has every one that was used within one
// generation, and weighs at most two.
func TestModel(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		limit := 1 + rng.IntN(60)
		heaviest := 1 + rng.IntN(limit)
		weigh := func(_ int, v value) int { return v.weight }
		if seed%4 == 0 { // count entries
			weigh, heaviest = nil, 1
		}
		m := New(limit, weigh)
		ref := model{values: map[int]value{}, since: map[int]int{}}
		keys := 1 + rng.IntN(4*limit)
		for step := range 2000 {
			if err := ref.step(m, rng, rng.IntN(keys), value{n: step, weight: 1 + rng.IntN(heaviest)}); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if err := bounded(m); err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
	}
}

func (m *model) step(of *Map[int, value], rng *rand.Rand, k int, v value) error {
	switch rng.IntN(8) {
	case 0, 1, 2:
		of.Put(k, v)
		m.values[k] = v
		m.used(k)
	case 3:
		got, ok := of.Take(k)
		if err := m.check(k, of.limit, got, ok); err != nil {
			return err
		}
		m.forget(k)
		if _, ok := of.Peek(k); ok {
			return fmt.Errorf("key %d was taken and is held", k)
		}
	case 4:
		got, ok := of.Peek(k)
		return m.check(k, of.limit, got, ok)
	default:
		got, ok := of.Get(k)
		if err := m.check(k, of.limit, got, ok); err != nil {
			return err
		}
		if ok {
			m.used(k)
		}
	}
	return nil
}

func bounded[K comparable, V any](m *Map[K, V]) error {
	var young, old int
	for k, v := range m.young {
		young += m.weigh(k, v)
	}
	for k, v := range m.old {
		old += m.weigh(k, v)
	}
	if young != m.held || young > m.limit || old > m.limit {
		return fmt.Errorf("generations of %d and %d, counted as %d, limit %d", young, old, m.held, m.limit)
	}
	return nil
}

// TestHeavy: what weighs more than a generation has one to itself.
func TestHeavy(t *testing.T) {
	m := New(10, func(_ string, weight int) int { return weight })
	m.Put("light", 1)
	m.Put("heavy", 50)
	for k, want := range map[string]bool{"light": true, "heavy": true} {
		if _, ok := m.Peek(k); ok != want {
			t.Errorf("%s: held %v, want %v", k, ok, want)
		}
	}
	m.Put("next", 1)
	m.Put("heavier", 60)
	m.Put("last", 2)
	if m.Len() != 2 || m.held != 2 {
		t.Errorf("%d entries, the young of weight %d; want the last and the heavier", m.Len(), m.held)
	}
	m.Take("last")
	m.Put("heaviest", 70)
	if _, ok := m.Peek("heavier"); !ok {
		t.Error("an empty generation became the old one")
	}
}

// TestFlood: what is used outlives any number of things that come once.
func TestFlood(t *testing.T) {
	m := New[int, string](16, nil)
	m.Put(-1, "used")
	for i := range 1000 {
		m.Put(i, "once")
		if v, ok := m.Get(-1); !ok || v != "used" {
			t.Fatalf("forgotten after %d others", i)
		}
	}
	if m.Len() > 32 {
		t.Errorf("%d entries, at most 32", m.Len())
	}
}

func BenchmarkGet(b *testing.B) {
	m := New(1<<20, func(k [32]byte, _ *int) int { return len(k) })
	for i := range 1000 {
		m.Put([32]byte{byte(i), byte(i >> 8)}, nil)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Get([32]byte{byte(i % 1000), byte(i % 1000 >> 8)})
	}
}
