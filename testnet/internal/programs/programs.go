// Package programs holds the capsule functions that the tests of whole nets run; it must never know which net, or why.
package programs

import (
	"errors"
	"time"

	"github.com/kitwork/kwnode/kit"
)

// Order is what Count is asked.
type Order struct {
	Name string
	By   int64
}

// Count reads a number, adds to it and writes it back.
func Count(ctx kit.Context, in Order) (int64, error) {
	n, err := kit.Get[int64](ctx, "count/"+in.Name)
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return 0, err
	}
	n += in.By
	return n, kit.Put(ctx, "count/"+in.Name, n)
}

// Nap reads, sleeps and reads again.
func Nap(ctx kit.Context, in time.Duration) (time.Duration, error) {
	before := kit.Now(ctx)
	if err := kit.Sleep(ctx, in); err != nil {
		return 0, err
	}
	return time.Duration(kit.Now(ctx) - before), nil
}

// Primes counts the primes below a bound, the slow way, after it has asked the zone for the time.
func Primes(ctx kit.Context, below int64) (int64, error) {
	kit.Now(ctx)
	var count int64
	for n := int64(2); n < below; n++ {
		prime := true
		for d := int64(2); d*d <= n; d++ {
			if n%d == 0 {
				prime = false
				break
			}
		}
		if prime {
			count++
		}
	}
	return count, nil
}

// Crash traps after it has written.
func Crash(ctx kit.Context, name string) (int64, error) {
	if err := kit.Put(ctx, "count/"+name, int64(1)); err != nil {
		return 0, err
	}
	var p *int64
	return *p, nil
}

// Transfer is an order to move an amount between two accounts.
type Transfer struct {
	From, To string
	Amount   int64
}

// Balances is what the accounts hold afterwards.
type Balances struct{ From, To int64 }

// Move changes both accounts or neither.
func Move(ctx kit.Context, in Transfer) (Balances, error) {
	from, err := balance(ctx, in.From)
	if err != nil {
		return Balances{}, err
	}
	to, err := balance(ctx, in.To)
	if err != nil {
		return Balances{}, err
	}
	if from < in.Amount {
		return Balances{}, kit.Fail(17, in.From+" holds less than that")
	}
	b := Balances{from - in.Amount, to + in.Amount}
	return b, errors.Join(kit.Put(ctx, "acct/"+in.From, b.From), kit.Put(ctx, "acct/"+in.To, b.To))
}

// Open gives an account its balance.
func Open(ctx kit.Context, in Transfer) (int64, error) {
	return in.Amount, kit.Put(ctx, "acct/"+in.To, in.Amount)
}

func balance(ctx kit.Context, name string) (int64, error) {
	n, err := kit.Get[int64](ctx, "acct/"+name)
	if errors.Is(err, kit.ErrNotFound) {
		err = nil
	}
	return n, err
}
