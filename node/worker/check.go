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
// do it, with everything in it checked, and nothing of it is run. It may come from anybody.
func Check(ctx context.Context, m *capsule.Manifest, code, base, state []byte) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	b := &checkBudget{ctx: ctx, left: checkMemory}
	mod, err := vm.Decode(code)
	if err != nil {
		return fmt.Errorf("its code: %w", err)
	}
	if len(state) == 0 {
		return errors.New("there is no continuation")
	}
	p := parts{code: mod, base: base, state: state}
	s, err := load(&machine.Warrant{}, m, p, &effects{}, vm.Config{Budget: b})
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	defer s.close()
	if p := s.host.State.Pending; p == nil && s.host.State.End != nil {
		return errors.New("the program is over: there is nothing to go on with")
	}
	return nil
}

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
