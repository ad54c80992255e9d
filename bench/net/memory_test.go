package main

import (
	"math"
	"testing"
	"time"
)

// TestFlatness: what comes late and what grows is told from what was there early, and the beginning doesn't count.
func TestFlatness(t *testing.T) {
	const took = 10 * time.Minute
	soak := func(mib func(minute float64) float64) flatness {
		var looks []look
		for at := time.Second; at <= took; at += time.Second {
			looks = append(looks, look{at: at, mib: mib(at.Minutes())})
		}
		return flatnessOf(looks, took)
	}
	for _, c := range []struct {
		name  string
		mib   func(minute float64) float64
		flat  bool
		slope float64
	}{
		{"level", func(float64) float64 { return 100 }, true, 0},
		{"grows", func(m float64) float64 { return 100 + 2*m }, false, 2},
		{"grows until its caches are full", func(m float64) float64 { return 100 + 10*min(m, 4) }, true, 0},
		{"peaks early and late", func(m float64) float64 {
			if m == 3 || m == 8 {
				return 200
			}
			return 100
		}, true, 0},
		{"peaks late", func(m float64) float64 {
			if m == 8 {
				return 200
			}
			return 100
		}, false, 0},
		{"large in the first minute", func(m float64) float64 {
			if m < 0.9 {
				return 300
			}
			return 100 + 3*m
		}, false, 3}, // what the beginning took is no excuse
	} {
		f := soak(c.mib)
		if f.flat() != c.flat || math.Abs(f.slope-c.slope) > 0.1 {
			t.Errorf("%s: %+v is flat: %v, want %v and a slope of %v", c.name, f, f.flat(), c.flat, c.slope)
		}
	}
}
