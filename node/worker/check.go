package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/zone/machine"
)

// Bounds of one check of a continuation.
const (
	checkMemory = 1 << 30 // bytes, whatever the manifest allows
	checkTime   = 10 * time.Second
)

// Check reports whether a continuation can go on in the code and limits of its manifest: it is thawed as a worker would
// do it, with everything in it checked, and nothing of it is run. It may come from anybody. What the manifest names is
// got by fetch. Only an error that wraps ErrUnfit condemns the continuation.
func (c *Cache) Check(ctx context.Context, m *capsule.Manifest, state []byte, fetch func(capsule.CID) ([]byte, error)) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	b := &checkBudget{ctx: ctx, left: checkMemory}
	mod, err := c.module(m.Code, fetch)
	if errors.Is(err, errBroken) {
		return fmt.Errorf("%w: its code: %w", ErrUnfit, err)
	} else if err != nil {
		return err
	}
	if len(state) == 0 {
		return fmt.Errorf("%w: it is empty", ErrUnfit)
	}
	p := parts{code: mod, base: c.baseOf(m, fetch), state: state}
	s, err := load(&machine.Warrant{}, m, p, &effects{}, vm.Config{Budget: b})
	switch {
	case err == nil:
		s.close()
		return nil
	case ctx.Err() != nil || errors.Is(err, errFetch):
		return errors.Join(err, ctx.Err())
	}
	return fmt.Errorf("%w: %w", ErrUnfit, err)
}

// ErrUnfit: the continuation is none of its code, or needs more than a check may take.
var ErrUnfit = errors.New("the continuation does not fit")

// checkBudget refuses memory beyond a bound, and any once the time is over: thawing asks for memory as it goes.
type checkBudget struct {
	ctx  context.Context
	left int64
}

func (b *checkBudget) Take(n int64) error {
	if n > b.left {
		return fmt.Errorf("%w: checking a continuation may take %d bytes", vm.ErrBudget, checkMemory)
	}
	if err := b.ctx.Err(); err != nil {
		return fmt.Errorf("%w: checking a continuation may take %s: %w", vm.ErrBudget, checkTime, err)
	}
	b.left -= n
	return nil
}

func (b *checkBudget) Give(n int64) { b.left += n }
