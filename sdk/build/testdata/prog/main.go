// Command prog is a client and its capsule in one package: only the capsule's part may reach the module.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"

	"example.com/absent/client"
	"github.com/kitwork/kwnode/kit"
)

var addr = flag.String("addr", "", "node to dial")

// Transfer is the input.
type Transfer struct {
	From, To string
	Amount   int64
}

// Receipt is the result.
type Receipt struct {
	Left  int64
	Notes map[string]string
	Last  *Transfer
}

const (
	prefix = "acct/"
	unused = "unused"
)

func key(name string) string { return prefix + strings.ToLower(name) }

// Move moves an amount between two accounts of the zone.
func Move(ctx kit.Context, in Transfer) (Receipt, error) {
	from, err := kit.Get[int64](ctx, key(in.From))
	if err != nil {
		return Receipt{}, err
	}
	to, _ := kit.Get[int64](ctx, key(in.To))
	if from < in.Amount {
		return Receipt{}, kit.Fail(16, "too little")
	}
	if err := kit.Put(ctx, key(in.From), from-in.Amount); err != nil {
		return Receipt{}, err
	}
	if err := kit.Put(ctx, key(in.To), to+in.Amount); err != nil {
		return Receipt{}, err
	}
	return Receipt{Left: from - in.Amount, Notes: map[string]string{"from": in.From}, Last: &in}, nil
}

type app struct{ c *client.Client }

func (a *app) run() { fmt.Println(unused, a.c) }

func main() {
	flag.Parse()
	c, err := client.Dial(context.Background(), *addr)
	if err != nil {
		log.Fatal(err)
	}
	(&app{c}).run()
}
