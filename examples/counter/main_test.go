package main

import (
	"testing"

	"github.com/kitwork/kwnode/kit"
)

func TestCount(t *testing.T) {
	zone := kit.NewLocal("home")
	for i := range int64(3) {
		n, err := kit.Run(zone, Count, Step{Name: "visits", By: 2})
		if err != nil || n != 2*(i+1) {
			t.Fatalf("count %d: %d, %v", i, n, err)
		}
	}
	if n, err := kit.Run(zone, Count, Step{Name: "other", By: -1}); err != nil || n != -1 {
		t.Errorf("another counter: %d, %v", n, err)
	}
}
