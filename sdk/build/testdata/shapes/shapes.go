// Package shapes holds functions that no capsule can enter.
package shapes

import (
	"context"

	"github.com/kitwork/kwnode/kit"
)

// Bare takes no context.
func Bare(n int64) (int64, error) { return n, nil }

// Alone returns no error.
func Alone(ctx kit.Context, n int64) int64 { return n }

// Foreign takes another context.
func Foreign(ctx context.Context, n int64) (int64, error) { return n, nil }

// Any is generic.
func Any[T any](ctx kit.Context, v T) (T, error) { return v, nil }

// Kind has a method.
type Kind struct{}

// Of is that.
func (Kind) Of(ctx kit.Context, n int64) (int64, error) { return n, nil }
