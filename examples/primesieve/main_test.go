package main

import (
	"errors"
	"testing"

	"github.com/kitwork/kwnode/kit"
)

func TestSieve(t *testing.T) {
	for _, c := range []struct {
		limit int
		want  Primes
	}{
		{0, Primes{}},
		{3, Primes{1, 2, 2}},
		{100, Primes{25, 97, 1060}},
		{window, Primes{6542, 65521, 202288087}},
		{1_000_000, Primes{78498, 999983, 37550402023}},
	} {
		got, err := kit.Run(kit.NewLocal("home"), Sieve, c.limit)
		if err != nil || got != c.want {
			t.Errorf("below %d: %+v, %v, want %+v", c.limit, got, err, c.want)
		}
	}
	var f *kit.Failure
	if _, err := kit.Run(kit.NewLocal("home"), Sieve, -1); !errors.As(err, &f) {
		t.Errorf("below -1: %v", err)
	}
}
