package hostabi

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestMemoryAgainstMap compares random operations, commits and rollbacks with maps that are copied.
func TestMemoryAgainstMap(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	m := NewMemory("a", [32]byte{})
	now, committed := map[string]string{}, map[string]string{}
	clone := func(m map[string]string) map[string]string {
		c := map[string]string{}
		for k, v := range m {
			c[k] = v
		}
		return c
	}
	key := func() string { return fmt.Sprintf("%c%d", 'a'+r.IntN(3), r.IntN(20)) }
	for range 20000 {
		k := key()
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			v := fmt.Sprint(r.IntN(1000))
			must[int](t)(0, m.Put(1, []byte(k), []byte(v)))
			now[k] = v
		case 4, 5:
			must[int](t)(0, m.Delete(1, []byte(k)))
			delete(now, k)
		case 6, 7, 8:
			v, err := m.Get(1, []byte(k))
			want, found := now[k]
			if found != (err == nil) || !found && err != ErrNotFound || string(v) != want {
				t.Fatalf("get %s: %q, %v; want %q, %v", k, v, err, want, found)
			}
		case 9, 10:
			prefix, after := k[:r.IntN(2)], key()[:r.IntN(3)]
			most := r.IntN(200)
			var want []string
			size := 0
			for _, k := range slices.Sorted(mapKeys(now)) {
				if len(k) < len(prefix) || k[:len(prefix)] != prefix || k <= after {
					continue
				}
				if size += PackedSize(Row{[]byte(k), []byte(now[k])}); size > most && len(want) > 0 {
					break
				}
				want = append(want, k+"="+now[k])
			}
			var got []string
			for _, row := range must[[]Row](t)(m.Scan(1, []byte(prefix), []byte(after), most)) {
				got = append(got, string(row.Key)+"="+string(row.Val))
			}
			if !slices.Equal(got, want) {
				t.Fatalf("scan %q after %q, %d bytes: %v, want %v", prefix, after, most, got, want)
			}
		case 11:
			if r.IntN(2) == 0 {
				m.Commit()
				committed = clone(now)
			} else {
				m.Rollback()
				now = clone(committed)
			}
		}
		size := 0
		for k, v := range now {
			size += len(k) + len(v)
		}
		if m.size != size {
			t.Fatalf("size %d, want %d", m.size, size)
		}
	}
}

func mapKeys(m map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func TestMemoryZonesEventsAndBounds(t *testing.T) {
	m := NewMemory("us", [32]byte{1})
	var events []string
	m.EmitTo = func(topic string, data []byte) { events = append(events, topic+" "+string(data)) }
	m.Reach = func(zone string) bool { return zone != "mars" }

	must[int](t)(0, m.Put(0, []byte("k"), []byte("us")))
	must[int](t)(0, m.Emit("t", []byte("1")))
	if err := m.Goto("mars"); err != ErrUnreachable {
		t.Fatal(err)
	}
	m.Rollback()
	if _, err := m.Get(0, []byte("k")); err != ErrNotFound || len(events) != 0 {
		t.Fatalf("after rollback: %v, %v", err, events)
	}
	must[int](t)(0, m.Put(0, []byte("k"), []byte("us")))
	must[int](t)(0, m.Emit("t", []byte("2")))
	must[int](t)(0, m.Goto("eu"))
	if _, err := m.Get(0, []byte("k")); err != ErrNotFound {
		t.Fatal("zones share a store")
	}
	must[int](t)(0, m.Goto("us"))
	if v := must[[]byte](t)(m.Get(0, []byte("k"))); string(v) != "us" || len(events) != 1 {
		t.Fatalf("%q, %v", v, events)
	}
	if _, err := m.Get(MaxStores, nil); err != ErrDenied {
		t.Fatal(err)
	}

	m.MaxBytes = 1000
	big := bytes.Repeat([]byte{1}, 600)
	must[int](t)(0, m.Put(0, []byte("x"), big))
	if err := m.Put(0, []byte("y"), big); err != ErrExhausted {
		t.Fatal(err)
	}
	var err error
	for range 10 { // one key, but each old value is kept for a rollback
		err = m.Put(0, []byte("k"), []byte("ab"))
		if err == nil {
			err = m.Emit("t", big)
		}
	}
	if err != ErrExhausted {
		t.Fatal(err)
	}
	m.Rollback()
	must[int](t)(0, m.Put(0, []byte("x"), big))

	a, b := NewMemory("", [32]byte{9}), NewMemory("", [32]byte{9})
	p, q := make([]byte, 100), make([]byte, 100)
	a.Random(p)
	b.Random(q)
	if !bytes.Equal(p, q) || bytes.Equal(p, make([]byte, 100)) {
		t.Fatal("random numbers don't follow the seed")
	}
}
