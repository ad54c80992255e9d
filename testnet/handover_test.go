package testnet

import (
	"context"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// join makes two zones pin each other, as their operators would.
func join(t testing.TB, ctx context.Context, nets ...*Net) {
	t.Helper()
	for _, a := range nets {
		for _, b := range nets {
			if a == b {
				continue
			}
			if err := a.Admin(ctx, cert.OpPeer, &machine.Peer{Genesis: b.Genesis, Cap: 1 << 50}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// zones starts zones in this process and a client of the first that may act in all of them.
func zones(t testing.TB, names ...string) (context.Context, []*Net, *sdk.Client) {
	t.Helper()
	return zonesWith(t, Options{}, names...)
}

func zonesWith(t testing.TB, o Options, names ...string) (context.Context, []*Net, *sdk.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	nets := make([]*Net, len(names))
	book := sdk.NewBook()
	for i, name := range names {
		n, err := Up(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := n.Close(); err != nil {
				t.Error(err)
			}
		})
		nets[i] = n
		o.Bootstrap = nets[0].Voters[0].Addrs()[0] // the zones' nodes find each other
		if err := book.Trust(name, n.Zone); err != nil {
			t.Fatal(err)
		}
	}
	join(t, ctx, nets...)
	client := nets[0].Client
	var chains []capsule.Chain
	for _, n := range nets {
		g := n.grant(client.Key(), capsule.Cap{Resource: "kv/*", Ability: capsule.Read | capsule.Write | capsule.Delete | capsule.Export})
		chain, err := n.Root.Delegate(nil, g)
		if err != nil {
			t.Fatal(err)
		}
		chains = append(chains, chain)
	}
	c, err := sdk.Dial(ctx, nets[0].Voters[0].Addrs()[0], sdk.WithIdentity(client), sdk.WithBook(book), sdk.WithGrants(chains...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, n := range nets[1:] {
		if err := c.Connect(ctx, n.Voters[0].Addrs()[0]); err != nil {
			t.Fatal(err)
		}
	}
	return ctx, nets, c
}

// A running function goes to another zone, works there, and comes back.
func TestGoto(t *testing.T) {
	ctx, nets, c := zones(t, "home", "eu")
	eu := nets[1].Zone
	var options []sdk.Option
	options = append(options, sdk.Home(nets[0].Zone), sdk.Stop("home", nets[0].Zone), sdk.Stop("eu", eu))
	for _, n := range nets {
		options = append(options, sdk.KeysIn(n.Zone, "kv/count/*"), sdk.KeysIn(n.Zone, "kv/note/*"))
	}
	for _, stops := range [][]string{{"eu"}, {"eu", "home"}, {"eu", "home", "eu"}} {
		start := time.Now()
		s, err := sdk.Start(ctx, c, programs.Travel, programs.Itinerary{Name: "n", Stops: stops}, options...)
		if err != nil {
			t.Fatal(err)
		}
		res, err := s.Await(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sdk.Decode[string](res)
		if err != nil {
			t.Fatal(err)
		}
		want := "home"
		for _, stop := range stops {
			want += " " + stop
		}
		if want += ": 0"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
		r, err := s.Receipt(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if j, err := r.Verify(); err != nil || j.End.Hop != uint32(len(stops)) {
			t.Errorf("receipt: %+v, %v", j, err)
		}
		t.Logf("%s in %v, bill %+v", got, time.Since(start), res.Bill)
	}
}

// A zone that nobody pinned, or that refuses, is an error that the function handles where it is.
func TestGotoRefused(t *testing.T) {
	ctx, nets, c := zones(t, "home", "eu")
	options := []sdk.Option{sdk.Home(nets[0].Zone), sdk.Stop("home", nets[0].Zone), sdk.Stop("eu", nets[1].Zone), sdk.Stop("moon", capsule.ZoneID{1})}
	for _, n := range nets {
		options = append(options, sdk.KeysIn(n.Zone, "kv/count/*"), sdk.KeysIn(n.Zone, "kv/note/*"))
	}
	run := func(want string, stops ...string) {
		t.Helper()
		got, err := sdk.Run(ctx, c, programs.Travel, programs.Itinerary{Name: "n", Stops: stops}, options...)
		if err != nil || got != want {
			t.Errorf("%q, want %q (%v)", got, want, err)
		}
	}
	run("home !moon eu: 0", "moon", "eu")
	p := machine.DefaultPolicy()
	p.Price.Gas = 1 << 40
	if err := nets[1].Admin(ctx, cert.OpPolicy, &p); err != nil {
		t.Fatal(err)
	}
	run("home !eu: 0", "eu")
	p = machine.DefaultPolicy()
	if err := nets[1].Admin(ctx, cert.OpPolicy, &p); err != nil {
		t.Fatal(err)
	}
	run("home eu: 0", "eu")
	// The other zone has no room: what it may be owed is used up.
	for _, limit := range []uint64{1, 1 << 50} {
		if err := nets[1].Admin(ctx, cert.OpPeer, &machine.Peer{Genesis: nets[0].Genesis, Cap: limit}); err != nil {
			t.Fatal(err)
		}
		if limit == 1 {
			run("home !eu: 0", "eu")
		} else {
			run("home eu: 0", "eu")
		}
	}
	// It takes back the right to use its data.
	s, err := sdk.Start(ctx, c, programs.Travel, programs.Itinerary{Name: "n", Stops: []string{}}, options...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
	r, err := s.Receipt(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := capsule.Decode(r.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	revoked := false
	for _, chain := range sealed.Chains() {
		cmd, err := machine.NewRevoke(nets[1].Root, &machine.RevokeGrant{Scope: machine.NewScope(nets[1].Zone, 0), Chain: chain})
		if err != nil {
			t.Fatal(err)
		}
		out, err := nets[1].Voter(0).Propose(ctx, cmd)
		if err != nil {
			t.Fatal(err)
		}
		revoked = revoked || out.Result.Refusal == nil
	}
	if !revoked {
		t.Fatal("no grant of the zone was found to revoke")
	}
	run("home !eu: 0", "eu")
	if err := nets[0].Admin(ctx, cert.OpPeer, &machine.Peer{Genesis: nets[1].Genesis, Frozen: true}); err != nil {
		t.Fatal(err)
	}
	run("home !eu: 0", "eu")
}
