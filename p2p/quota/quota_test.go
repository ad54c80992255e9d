package quota

import (
	"testing"
	"time"

	"github.com/kitwork/kwnode/internal/bubble"
)

func TestBuckets(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		q := New[string](4, 2, 3)
		grant := func(k string) (n int) {
			for q.Allow(k, 1) {
				n++
			}
			return n
		}
		if n := grant("a"); n != 3 {
			t.Fatalf("%d at once, want the burst of 3", n)
		}
		if q.Has("a", 1) || !q.Has("b", 3) || q.Has("b", 4) {
			t.Fatal("Has disagrees with Allow")
		}
		time.Sleep(time.Second)
		if n := grant("a"); n != 2 {
			t.Fatalf("%d after a second, want 2", n)
		}
		q.Refund("a", 1)
		if n := grant("a"); n != 1 {
			t.Fatalf("%d after a refund of 1", n)
		}
		time.Sleep(time.Hour)
		q.Refund("a", 5)
		if n := grant("a"); n != 3 {
			t.Fatalf("%d after an hour, want no more than the burst", n)
		}
		for i := range 100 {
			grant(string(rune('A' + i)))
			if n := q.buckets.Len(); n > 8 {
				t.Fatalf("%d keys are remembered, want at most 8", n)
			}
		}
		if n := grant(string(rune('A' + 99))); n != 0 {
			t.Fatal("a busy key was forgotten at once")
		}
	})
}

func TestWithoutRateEverythingIsGranted(t *testing.T) {
	q := New[int](1, -1, 1)
	for range 1000 {
		if !q.Allow(1, 1) || !q.Has(1, 1e9) {
			t.Fatal("refused")
		}
	}
	if q.buckets.Len() != 0 {
		t.Fatal("remembers what it need not")
	}
}
