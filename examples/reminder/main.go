// Command reminder waits for days without occupying a machine: asleep, a capsule is a few hundred bytes in the zone's
// state, and a restart of every node does not wake it early or lose it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"time"

	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
)

// Plan says whom to remind of what, how often and how long to wait each time.
type Plan struct {
	Who, Text string
	Times     int
	Every     int64 // ns
}

// Reminder is the event that is emitted.
type Reminder struct {
	Who, Text string
	Number    int
	At        int64 // ns since 1970, the zone's time
}

// Remind runs in the zone. Each Sleep ends a transaction: what was emitted before is out, and the loop goes on after it.
func Remind(ctx kit.Context, p Plan) (int, error) {
	for i := range p.Times {
		if err := kit.Sleep(ctx, p.Every); err != nil {
			return i, err
		}
		r := Reminder{Who: p.Who, Text: p.Text, Number: i + 1, At: kit.Now(ctx)}
		if err := kit.Emit(ctx, "reminder", r); err != nil {
			return i, err
		}
		if err := kit.Put(ctx, "reminder/"+p.Who, r); err != nil {
			return i, err
		}
	}
	return p.Times, nil
}

func main() {
	every := flag.Duration("every", 2*time.Second, "how long to sleep each time")
	times := flag.Int("times", 3, "how often to remind")
	flag.Parse()
	ctx := context.Background()
	client, err := sdk.FromEnv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	plan := Plan{Who: "alice", Text: "water the plants", Times: *times, Every: int64(*every)}
	n, err := sdk.Run(ctx, client, Remind, plan, sdk.Keys("kv/reminder/*"), sdk.Keys("event/reminder"),
		sdk.Lifetime(time.Duration(*times+1)**every+time.Minute))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("reminded", n, "times")
}
