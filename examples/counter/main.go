// Command counter adds to a number that a zone keeps: the smallest capsule that leaves a trace.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
)

// Step is what to count and by how much.
type Step struct {
	Name string
	By   int64
}

// Count runs in the zone. Any number of them may run at the same time: two that read the same value can't both commit,
// the zone runs the later one again.
func Count(ctx kit.Context, in Step) (int64, error) {
	key := "counter/" + in.Name
	n, err := kit.Get[int64](ctx, key)
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return 0, err
	}
	n += in.By
	return n, kit.Put(ctx, key, n)
}

func main() {
	ctx := context.Background()
	client, err := sdk.FromEnv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	n, err := sdk.Run(ctx, client, Count, Step{Name: "visits", By: 1}, sdk.Keys("kv/counter/*"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("visits:", n)
}
