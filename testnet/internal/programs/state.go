package programs

import (
	"github.com/kitwork/kwnode/kit"
)

// Ledger is what Tally does before it computes.
type Ledger struct {
	Name  string
	Below int64 // of the primes that it counts
}

// Tally reads and writes, computes for long, and then reads and writes again: what it did before the computation must
// still be there, once.
func Tally(ctx kit.Context, in Ledger) (int64, error) {
	before, err := Count(ctx, Order{Name: in.Name, By: 1})
	if err != nil {
		return 0, err
	}
	if err := kit.Emit(ctx, "tally", before); err != nil {
		return 0, err
	}
	primes, err := Primes(ctx, in.Below)
	if err != nil {
		return 0, err
	}
	after, err := Count(ctx, Order{Name: in.Name, By: 10})
	if err != nil {
		return 0, err
	}
	return primes + 1_000_000*after, nil
}

// Reset forgets what was counted under a name.
func Reset(ctx kit.Context, name string) (int64, error) { return 0, kit.Delete(ctx, "count/"+name) }
