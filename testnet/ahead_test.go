package testnet

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// announce tells a voter of a state that is to come, from host.
func announce(ctx context.Context, host *p2p.Host, voter capsule.Key, target, source capsule.ZoneID, a api.Ahead) error {
	b, err := capsule.Marshal(&a)
	if err != nil {
		return err
	}
	line, err := host.Dial(ctx, voter, api.ProtoHandover)
	if err != nil {
		return err
	}
	defer line.Close()
	_, err = api.Ask[api.HandoverReply](line, &api.HandoverRequest{
		V: api.Version, Zone: target, Source: source, Kind: api.HandoverAhead, Body: b, Epochs: [][]byte{},
	}, api.MaxHandover)
	return err
}

// A large state travels to the zone that it is about to be offered to while its own zone still decides, and only on the word
// of a voter of a zone that is pinned there.
func TestStateTravelsAhead(t *testing.T) {
	ctx, nets, c := zonesWith(t, Options{Workers: -1, Policy: leisurely}, "home", "eu")
	home, eu := nets[0], nets[1]
	w := newImpostor(t, ctx, home)
	s, err := sdk.Start(ctx, c, programs.Nap, time.Millisecond, sdk.Home(home.Zone))
	if err != nil {
		t.Fatal(err)
	}
	row := w.leased(ctx, s.ID, 0)
	lease := api.LeaseRef{Capsule: s.ID, Number: row.Lease.Number}
	has := func(voter int, id capsule.CID) bool {
		_, err := os.Stat(filepath.Join(eu.dir, "voter-"+strconv.Itoa(voter), "blobs", id.Digest.String()))
		return err == nil
	}

	// Nobody is told of what goes nowhere: there is no offer to come.
	stays, goes := noise(300_000), noise(700_000)
	for _, x := range []struct {
		state  []byte
		target capsule.ZoneID
	}{{stays, capsule.ZoneID{}}, {goes, eu.Zone}} {
		id := w.put(x.state)
		for voter := range home.Voters {
			if _, err := w.ask(ctx, voter, w.fact(id, len(x.state)), api.HoldRequest{Lease: lease, Target: x.target}); err != nil {
				t.Fatal(err)
			}
		}
	}
	for voter := range eu.Voters {
		waitFor(t, ctx, "the state", func() bool { return has(voter, capsule.RawCID(goes)) })
		if has(voter, capsule.RawCID(stays)) {
			t.Errorf("voter %d has a state that was not to come to its zone", voter)
		}
	}

	// A stranger causes nothing, nor does a voter that says what can't be.
	if _, err := w.host.Connect(ctx, eu.Voters[0].Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	state := api.Ahead{State: capsule.RawCID(stays), Size: uint64(len(stays))}
	voter := home.Voters[0].Host()
	for _, x := range []struct {
		name   string
		from   *p2p.Host
		source capsule.ZoneID
		a      api.Ahead
		code   string
	}{
		{"a stranger", w.host, home.Zone, state, api.CodeProtocol},
		{"a zone that is not pinned", voter, capsule.ZoneID{1}, state, string(machine.CodePeer)},
		{"a state that the log has room for", voter, home.Zone, api.Ahead{State: state.State, Size: machine.MaxInline}, api.CodeProtocol},
		{"a state that is too large", voter, home.Zone, api.Ahead{State: state.State, Size: api.MaxHeld + 1}, api.CodeProtocol},
		{"no state", voter, home.Zone, api.Ahead{Size: state.Size}, api.CodeProtocol},
	} {
		t.Run(x.name, func(t *testing.T) {
			refusedWith(t, announce(ctx, x.from, eu.Voters[0].Key(), eu.Zone, x.source, x.a), x.code)
		})
	}
	if err := announce(ctx, voter, eu.Voters[0].Key(), eu.Zone, home.Zone, state); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "the state that a voter announced", func() bool { return has(0, state.State) })
}
