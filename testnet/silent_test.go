package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// listed is what an operator of the zone sees of its capsules.
func listed(t *testing.T, ctx context.Context, n *Net, c *admin.Client) map[capsule.ID]admin.CapsuleInfo {
	t.Helper()
	zones, err := c.Zones(ctx)
	if err != nil {
		t.Fatal(err)
	}
	out := map[capsule.ID]admin.CapsuleInfo{}
	for i := range zones {
		if zones[i].ID != n.Zone {
			continue
		}
		var page admin.Capsules
		if err := c.AskZone(ctx, &zones[i], &admin.Request{Op: admin.OpCapsules, Rows: admin.MaxRows}, &page); err != nil {
			t.Fatal(err)
		}
		for _, x := range page.Capsules {
			out[x.ID] = x
		}
	}
	return out
}

// The zone that a capsule goes to is gone. Its operator sees it in limbo; one is given up at its time, the other waits until
// the zone is back, is told that it was not taken, and goes on.
func TestGotoSilent(t *testing.T) {
	ctx, nets, c := zonesWith(t, Options{Policy: func(p *machine.Policy) { p.Times.Ask, p.Times.Silence = 200, 200 }}, "home", "eu")
	home, eu := nets[0], nets[1]
	for i := range eu.Voters {
		if err := eu.Stop(i); err != nil {
			t.Fatal(err)
		}
	}
	options := []sdk.Option{sdk.Home(home.Zone), sdk.Stop("home", home.Zone), sdk.Stop("eu", eu.Zone)}
	for _, n := range nets {
		options = append(options, sdk.KeysIn(n.Zone, "kv/count/*"), sdk.KeysIn(n.Zone, "kv/note/*"))
	}
	start := func(more ...sdk.Option) *sdk.Submission {
		t.Helper()
		s, err := sdk.Start(ctx, c, programs.Travel, programs.Itinerary{Name: "n", Stops: []string{"eu"}}, append(options, more...)...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	hold, abandon := start(), start(sdk.OnSilence(capsule.Abandon), sdk.Lifetime(15*time.Second))
	if err := admin.Serve(admin.Config{Node: home.Voters[0], Zones: []capsule.ZoneID{home.Zone}, Operators: []capsule.Key{home.Root.Key()}}); err != nil {
		t.Fatal(err)
	}
	operator, err := admin.Dial(ctx, home.Voters[0].Addrs()[0], home.Root)
	if err != nil {
		t.Fatal(err)
	}
	defer operator.Close()
	for _, s := range []*sdk.Submission{hold, abandon} {
		waitFor(t, ctx, "limbo", func() bool {
			v, err := home.Voter(0).Query()
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			row, err := v.Capsule(s.ID)
			return err == nil && row.Status == machine.StatusLimbo
		})
		info := listed(t, ctx, home, operator)[s.ID]
		now := uint64(time.Now().UnixMilli())
		if info.Status != machine.StatusLimbo.String() || info.Offer == nil || info.Offer.Target != eu.Zone || info.Offer.Credits == 0 || info.Since == 0 || info.Since > now {
			t.Fatalf("%s since %d ms, it is %d ms: %+v", info.Status, info.Since, now, info.Offer)
		}
		if given := info.Offer.GiveUp; (s == abandon) != (given != 0) || given != 0 && given != info.Expires {
			t.Errorf("given up at %d ms, expires at %d ms", given, info.Expires)
		}
	}
	var failed *sdk.Failed
	if res, err := abandon.Await(ctx); !errors.As(err, &failed) || failed.Result.Verdict != cert.Abandoned {
		t.Fatalf("given up: %+v, %v", res, err)
	}
	if s := listed(t, ctx, home, operator)[hold.ID].Status; s != machine.StatusLimbo.String() {
		t.Fatalf("the one that is to wait is %s", s)
	}
	for i := range eu.Voters {
		if err := eu.Move(i); err != nil {
			t.Fatal(err)
		}
	}
	res, err := hold.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sdk.Decode[string](res); err != nil || got != "home !eu: 0" {
		t.Errorf("%q, want that it went on at home (%v)", got, err)
	}
}

// A zone takes a capsule over, and whoever fetched the code for it dies with every copy that the zone has. The others get it
// from where the capsule came from, and it ends there.
func TestCodeOutlivesItsHolder(t *testing.T) {
	ctx, nets, c := zonesWith(t, Options{}, "home", "eu")
	home, eu := nets[0], nets[1]
	if err := eu.Workers[0].Close(); err != nil { // nobody there runs it yet
		t.Fatal(err)
	}
	eu.Workers = nil
	options := []sdk.Option{sdk.Home(home.Zone), sdk.Stop("home", home.Zone), sdk.Stop("eu", eu.Zone)}
	for _, n := range nets {
		options = append(options, sdk.KeysIn(n.Zone, "kv/count/*"), sdk.KeysIn(n.Zone, "kv/note/*"))
	}
	s, err := sdk.Start(ctx, c, programs.Travel, programs.Itinerary{Name: "n", Stops: []string{"eu"}}, options...)
	if err != nil {
		t.Fatal(err)
	}
	var code capsule.CID
	leader := -1
	waitFor(t, ctx, "the other zone to take it", func() bool {
		v, err := eu.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		b, err := v.Envelope(s.ID)
		if err != nil {
			return false
		}
		x, err := capsule.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		code = x.Manifest().Code
		// Each side knows that the other knows: nothing of the handover, which could bring the code once more, is to come.
		r, err := v.Target(s.ID)
		if err != nil || len(r.Taken) != 1 || !r.Taken[0].Closed {
			return false
		}
		for i := range eu.Voters {
			if st := eu.Voter(i).Status(); st.Leader == st.Self {
				leader = i
			}
		}
		return leader >= 0
	})
	copies := 0
	for i := range eu.Voters {
		if err := eu.Stop(i); err != nil {
			t.Fatal(err)
		}
		err := os.Remove(filepath.Join(eu.dir, fmt.Sprintf("voter-%d", i), "blobs", code.Digest.String()))
		if err == nil {
			copies++
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if copies == 0 {
		t.Fatal("nobody in the zone had the code that it took over")
	}
	for i := range eu.Voters {
		if i == leader {
			continue
		}
		if err := eu.Move(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := eu.AddWorker(ctx, "worker-late"); err != nil {
		t.Fatal(err)
	}
	// Its author would bring the code to whoever is asked for the result, and so nobody asks.
	alive := (leader + 1) % len(eu.Voters)
	waitFor(t, ctx, "its end in the zone that took it", func() bool {
		v, err := eu.Voter(alive).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Capsule(s.ID)
		return err == nil && row.Status == machine.StatusDone
	})
}
