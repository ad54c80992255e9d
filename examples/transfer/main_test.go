package main

import (
	"errors"
	"testing"

	"github.com/kitwork/kwnode/kit"
)

func TestMove(t *testing.T) {
	zone := kit.NewLocal("home")
	if _, err := kit.Run(zone, Open, Transfer{To: "alice", Amount: 100}); err != nil {
		t.Fatal(err)
	}
	r, err := kit.Run(zone, Move, Transfer{From: "alice", To: "bob", Amount: 30})
	if err != nil || r != (Receipt{From: 70, To: 30}) {
		t.Fatalf("receipt %+v, %v", r, err)
	}
	if n := len(zone.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
	for _, c := range []struct {
		order Transfer
		code  uint32
	}{
		{Transfer{From: "alice", To: "bob", Amount: 71}, CodeFunds},
		{Transfer{From: "carol", To: "bob", Amount: 1}, CodeFunds},
		{Transfer{From: "alice", To: "bob", Amount: -1}, CodeAmount},
		{Transfer{From: "alice", To: "alice", Amount: 1}, CodeAmount},
	} {
		_, err := kit.Run(zone, Move, c.order)
		var f *kit.Failure
		if !errors.As(err, &f) || f.Code != c.code {
			t.Errorf("%+v: %v, want code %d", c.order, err, c.code)
		}
	}
	// Nothing of a transfer stays behind if its second write is refused.
	zone.Deny("acct/dave")
	if _, err := kit.Run(zone, Move, Transfer{From: "alice", To: "dave", Amount: 1}); !errors.Is(err, kit.ErrDenied) {
		t.Errorf("transfer to a denied account: %v", err)
	}
	if r, err := kit.Run(zone, Move, Transfer{From: "alice", To: "bob", Amount: 70}); err != nil || r != (Receipt{From: 0, To: 100}) {
		t.Errorf("receipt %+v, %v", r, err)
	}
}
