// Command transfer moves an amount between two accounts that a zone keeps. Both change or neither does, whatever fails.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"

	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
)

// Transfer is the order.
type Transfer struct {
	From, To string
	Amount   int64
}

// Receipt says what the accounts hold afterwards.
type Receipt struct{ From, To int64 }

// Codes of orders that can't be carried out.
const (
	CodeAmount = 16
	CodeFunds  = 17
)

// Move runs in the zone.
func Move(ctx kit.Context, in Transfer) (Receipt, error) {
	if in.Amount <= 0 || in.From == in.To {
		return Receipt{}, kit.Fail(CodeAmount, "an amount above zero, between two accounts")
	}
	from, err := balance(ctx, in.From)
	if err != nil {
		return Receipt{}, err
	}
	to, err := balance(ctx, in.To)
	if err != nil {
		return Receipt{}, err
	}
	if from < in.Amount {
		return Receipt{}, kit.Fail(CodeFunds, in.From+" holds less than that")
	}
	r := Receipt{From: from - in.Amount, To: to + in.Amount}
	return r, errors.Join(
		kit.Put(ctx, account(in.From), r.From),
		kit.Put(ctx, account(in.To), r.To),
		kit.Emit(ctx, "transfer", in),
	)
}

// Open runs in the zone too: it gives an account its first balance.
func Open(ctx kit.Context, in Transfer) (Receipt, error) {
	if n, err := balance(ctx, in.To); err != nil || n != 0 {
		return Receipt{To: n}, err
	}
	return Receipt{To: in.Amount}, kit.Put(ctx, account(in.To), in.Amount)
}

func account(name string) string { return "acct/" + name }

func balance(ctx kit.Context, name string) (int64, error) {
	n, err := kit.Get[int64](ctx, account(name))
	if errors.Is(err, kit.ErrNotFound) {
		return 0, nil
	}
	return n, err
}

func main() {
	amount := flag.Int64("amount", 5, "how much to move from alice to bob")
	flag.Parse()
	ctx := context.Background()
	client, err := sdk.FromEnv(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	may := []sdk.Option{sdk.Keys("kv/acct/*"), sdk.Keys("event/transfer")}
	if _, err := sdk.Run(ctx, client, Open, Transfer{To: "alice", Amount: 100}, sdk.Keys("kv/acct/*")); err != nil {
		log.Fatal(err)
	}
	r, err := sdk.Run(ctx, client, Move, Transfer{From: "alice", To: "bob", Amount: *amount}, may...)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("alice %d, bob %d\n", r.From, r.To)
}
