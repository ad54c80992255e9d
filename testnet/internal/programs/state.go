package programs

import (
	"fmt"
	"time"

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

// Load is what Carry takes along.
type Load struct {
	Bytes int
	Early bool // it exists before the first effect, and so in the state that the client hands in
	Nap   time.Duration
	Stops []string
}

// Carry makes data that doesn't compress, takes it through a sleep and to other zones, and says whether it is still the
// same.
func Carry(ctx kit.Context, in Load) (string, error) {
	var data []byte
	if in.Early {
		data = noise(in.Bytes)
	}
	kit.Now(ctx)
	if !in.Early {
		data = noise(in.Bytes)
	}
	before := sum(data)
	if in.Nap > 0 {
		if err := kit.Sleep(ctx, in.Nap); err != nil {
			return "", err
		}
	}
	way := kit.Zone(ctx)
	for _, stop := range in.Stops {
		if err := kit.Goto(ctx, stop); err != nil {
			return "", err
		}
		way += " " + kit.Zone(ctx)
	}
	if sum(data) != before {
		return "", kit.Fail(9, "the data has changed on the way")
	}
	return fmt.Sprintf("%s: %d bytes", way, len(data)), nil
}

func noise(n int) []byte {
	data, x := make([]byte, n), uint64(88172645463325252)
	for i := range data {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		data[i] = byte(x)
	}
	return data
}

func sum(data []byte) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range data {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}
