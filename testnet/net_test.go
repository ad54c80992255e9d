package testnet

import (
	"context"
	"testing"
	"time"

	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
)

// The thin thread: a Go function is built, runs ahead, is admitted, executed and certified.
func TestFunctionToCertifiedResult(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	n, err := Up(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := n.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []int64{3, 8} {
		start := time.Now()
		got, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "hits", By: []int64{3, 5}[i]}, sdk.Keys("kv/count/*"))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("run %d: %d, want %d", i, got, want)
		}
		t.Logf("run %d: %v", i, time.Since(start))
	}
}
