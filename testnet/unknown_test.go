package testnet

import (
	"context"
	"errors"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// TestUnknownCapsule: nobody waits for a capsule that there is no trace of, and one that a single voter holds, acknowledged
// and not admitted because there is no quorum, is not called unknown.
func TestUnknownCapsule(t *testing.T) {
	ctx, n, c := up(t, Options{})
	stray := c.Follow(n.Zone, capsule.ID{1})
	if _, err := stray.Await(ctx); !errors.Is(err, sdk.ErrUnknown) {
		t.Errorf("await: %v", err)
	}
	if err := stray.Cancel(ctx); !errors.Is(err, sdk.ErrUnknown) {
		t.Errorf("cancel: %v", err)
	}
	if err := stray.TopUp(ctx, 1); !errors.Is(err, sdk.ErrUnknown) {
		t.Errorf("top up: %v", err)
	}
	for _, err := range stray.Watch(ctx) {
		if !errors.Is(err, sdk.ErrUnknown) {
			t.Errorf("watch: %v", err)
		}
	}
	s, err := sdk.Start(ctx, c, programs.Count, programs.Order{Name: "late", By: 1}, sdk.Keys("kv/count/*"))
	if err != nil {
		t.Fatal(err)
	}
	// Asked at once: the other voters may not have heard of it yet.
	res, err := c.Follow(n.Zone, s.ID).Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sdk.Decode[int64](res); err != nil || got != 1 {
		t.Errorf("%d, %v", got, err)
	}
}

// TestUnknownZone: a zone that no node can find, and one that the client does not trust, are refused with the reason.
func TestUnknownZone(t *testing.T) {
	ctx, _, c := up(t, Options{})
	zone := capsule.ZoneID{7}
	_, err := c.Follow(zone, capsule.ID{1}).Await(ctx)
	if err == nil || ctx.Err() != nil {
		t.Errorf("a zone that is not trusted: %v", err)
	}
	if err := c.Book().Trust("far", zone); err != nil {
		t.Fatal(err)
	}
	_, err = c.Follow(zone, capsule.ID{1}).Await(ctx)
	if r, ok := errors.AsType[*api.Refusal](err); !ok || r.Code != api.CodeUnknownZone {
		t.Errorf("a zone that does not exist: %v", err)
	}
}

// TestReplay: a capsule that is handed in again is acknowledged with how far it has come, and nothing is done twice.
func TestReplay(t *testing.T) {
	ctx, n, c := up(t, Options{})
	again := func(by, want int64) {
		t.Helper()
		b := sealCount(ctx, t, c, "sealed", by)
		for i := range 3 {
			s, err := c.Submit(ctx, b)
			if err != nil {
				t.Fatal(err)
			}
			if decided := s.Ack.Decided(); decided != (i > 0) || decided && s.Ack.Status != machine.StatusDone {
				t.Errorf("handed in for the %d. time: %s", i+1, s.Ack.Status)
			}
			res, err := s.Await(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := sdk.Decode[int64](res); err != nil || got != want {
				t.Errorf("%d, want %d: %v", got, want, err)
			}
			for k := range n.Voters {
				waitFor(t, ctx, "every voter to know", func() bool {
					v, err := n.Voter(k).Query()
					if err != nil {
						t.Fatal(err)
					}
					defer v.Close()
					row, err := v.Capsule(s.ID)
					return err == nil && row.Status.Ended()
				})
			}
		}
	}
	again(2, 2)
	again(3, 5)
}

// sealCount makes a capsule that counts.
func sealCount(ctx context.Context, t *testing.T, c *sdk.Client, name string, by int64) *sdk.Bundle {
	t.Helper()
	p, err := sdk.Build(ctx, programs.Count, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	input, err := kit.Marshal(programs.Order{Name: name, By: by})
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := sdk.Prepare(ctx, p, input, sdk.PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Seal(prepared, sdk.Keys("kv/count/*"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
