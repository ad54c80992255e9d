// Command primesieve computes for a while: a worker that is killed in the middle costs what it did since the last
// checkpoint, and the capsule goes on elsewhere.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
)

// Primes is what was found below a limit.
type Primes struct {
	Count int
	Last  int
	Sum   uint64
}

// window is how many numbers are sieved at a time. It bounds the memory, and so the size of a checkpoint.
const window = 1 << 16

// Sieve runs in the zone and counts the primes below limit, window by window.
func Sieve(ctx kit.Context, limit int) (Primes, error) {
	if limit < 0 || limit > 1<<32 {
		return Primes{}, kit.Fail(16, "a limit from 0 to 4294967296")
	}
	var found Primes
	small := below(1 << 16) // enough to sieve up to 2^32
	composite := make([]bool, window)
	for from := 0; from < limit; from += window {
		clear(composite)
		for _, p := range small {
			if p*p >= from+window {
				break
			}
			for m := max(p*p, (from+p-1)/p*p); m < from+window; m += p {
				composite[m-from] = true
			}
		}
		for i := range min(window, limit-from) {
			if n := from + i; n > 1 && !composite[i] {
				found.Count++
				found.Last = n
				found.Sum += uint64(n)
			}
		}
	}
	return found, kit.Put(ctx, "primes/count", found.Count)
}

func below(n int) (primes []int) {
	composite := make([]bool, n)
	for i := 2; i < n; i++ {
		if composite[i] {
			continue
		}
		primes = append(primes, i)
		for m := i * i; m < n; m += i {
			composite[m] = true
		}
	}
	return primes
}

func main() {
	limit := flag.Int("limit", 20_000_000, "count the primes below this")
	flag.Parse()
	ctx := context.Background()
	client, err := sdk.FromEnv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	start := time.Now()
	p, err := sdk.Run(ctx, client, Sieve, *limit, sdk.Keys("kv/primes/*"), sdk.Gas(uint64(*limit)*200+10_000_000),
		sdk.Limits(capsule.Limits{MemoryPages: 256}), // of 64 KiB: it needs little, and a worker has the more room for others
		sdk.OnBuild(func(p build.Progress) { fmt.Fprintln(os.Stderr, p) }))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d primes below %d, the last is %d, their sum %d (%v)\n", p.Count, *limit, p.Last, p.Sum, time.Since(start).Round(time.Millisecond))
}
