package testnet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

// gatewayAt starts a node without a zone that knows one other, or none.
func gatewayAt(t *testing.T, id *capsule.Identity, boot ...string) *node.Node {
	t.Helper()
	n, err := node.Start(node.Config{Identity: id, Dir: filepath.Join(t.TempDir(), "gateway"), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Peers: boot})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func identity(t *testing.T) *capsule.Identity {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestAZoneIsFoundFromAnyNode: every node knows only one that has nothing to do with the zone, and so does the client.
// Then all the voters move, one by one, and neither client nor worker is started again.
func TestAZoneIsFoundFromAnyNode(t *testing.T) {
	boot := gatewayAt(t, identity(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := Up(ctx, Options{Bootstrap: boot.Addrs()[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	entry := gatewayAt(t, identity(t), boot.Addrs()[0])
	book := sdk.NewBook()
	if err := book.Trust("home", n.Zone); err != nil {
		t.Fatal(err)
	}
	rights, err := n.Rights()
	if err != nil {
		t.Fatal(err)
	}
	c, err := sdk.Dial(ctx, entry.Addrs()[0], sdk.WithIdentity(n.Client), sdk.WithBook(book), sdk.WithGrants(rights))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := func(by, want int64) {
		t.Helper()
		start := time.Now()
		got, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "found", By: by}, sdk.Keys("kv/count/*"))
		if err != nil || got != want {
			t.Fatalf("%d, %v; want %d", got, err, want)
		}
		t.Logf("%v", time.Since(start))
	}
	run(1, 1)
	for i := range n.Voters {
		if err := n.Move(i); err != nil {
			t.Fatal(err)
		}
		run(1, int64(i)+2)
	}
}

// TestAZoneIsFoundWhileItIsFounded: who looks for a zone of which only one voter runs yet, through a node that has never heard of
// it, waits until the others are there.
func TestAZoneIsFoundWhileItIsFounded(t *testing.T) {
	boot := gatewayAt(t, identity(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n := &Net{opt: Options{Bootstrap: boot.Addrs()[0]}.withDefaults(), dir: t.TempDir(), configs: map[*node.Node]node.Config{}}
	defer n.Close()
	var err error
	if n.voters, err = n.found(); err != nil {
		t.Fatal(err)
	}
	n.Voters = make([]*node.Node, len(n.voters))
	if err := n.Move(0); err != nil {
		t.Fatal(err)
	}
	entry := gatewayAt(t, identity(t), boot.Addrs()[0])
	waitFor(t, ctx, "the zone to be announced", func() bool {
		return slices.ContainsFunc(boot.Finder().Snapshot().Held, func(r find.Record) bool { return r.Zone == n.Zone })
	})
	book := sdk.NewBook()
	if err := book.Trust("home", n.Zone); err != nil {
		t.Fatal(err)
	}
	c, err := sdk.Dial(ctx, entry.Addrs()[0], sdk.WithIdentity(n.Client), sdk.WithBook(book))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	given := make(chan error, 1)
	go func() {
		_, err := c.Follow(n.Zone, capsule.ID{1}).Await(ctx)
		given <- err
	}()
	// As often as a zone is looked for that nobody knows.
	waitFor(t, ctx, "three searches", func() bool { return len(given) > 0 || entry.Finder().Snapshot().Finds >= 3 })
	for i := 1; i < len(n.Voters); i++ {
		if err := n.Move(i); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, ctx, "the zone to be found", func() bool {
		_, err := c.Locate(ctx, n.Zone)
		return len(given) > 0 || err == nil
	})
	if len(given) > 0 {
		t.Fatalf("given up: %v", <-given)
	}
}

// TestAnyVoterProposesWhatItHolds: the leader is gone and with it the quorum; a voter acknowledges capsules and is gone
// too. Another one holds them, by gossip or, beyond its size, by comparing notes, and proposes them as soon as there is a
// quorum again.
func TestAnyVoterProposesWhatItHolds(t *testing.T) {
	ctx, n, c := up(t, Options{Voters: 4})
	if _, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "held", By: 1}, sdk.Keys("kv/count/*")); err != nil {
		t.Fatal(err)
	}
	leader := slices.IndexFunc(n.Voters, func(v *node.Node) bool { return v.Key() == n.Voter(0).Status().Leader })
	taker, other, spare := (leader+1)%4, (leader+2)%4, (leader+3)%4
	for _, i := range []int{leader, spare} {
		if err := n.Stop(i); err != nil {
			t.Fatal(err)
		}
	}
	via, err := n.DialVoter(ctx, taker)
	if err != nil {
		t.Fatal(err)
	}
	defer via.Close()
	var ids []capsule.ID
	for _, name := range []string{"held", strings.Repeat("x", 12<<10)} { // the second is more than is gossiped
		s, err := sdk.Start(ctx, via, programs.Count, programs.Order{Name: name, By: 1}, sdk.Keys("kv/count/*"), sdk.Ahead(-1))
		if err != nil {
			t.Fatal(err)
		}
		if s.Ack.Voter != n.Voters[taker].Key() {
			t.Fatalf("%s took it, want %s", s.Ack.Voter, n.Voters[taker].Key())
		}
		ids = append(ids, s.ID)
	}
	for _, id := range ids {
		waitFor(t, ctx, "the other voter to hold "+id.String(), func() bool { return n.Voters[other].Holds(n.Zone, id) })
	}
	if err := n.Stop(taker); err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{leader, spare} {
		if err := n.Move(i); err != nil {
			t.Fatal(err)
		}
	}
	reader, err := n.DialVoter(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, id := range ids {
		var failed *sdk.Failed // the key of the second is too long, which only its execution finds out
		if _, err := reader.Follow(n.Zone, id).Await(ctx); err != nil && !errors.As(err, &failed) {
			t.Fatal(err)
		}
	}
}

// TestDecidedIsNotHeld: every voter hears of every capsule, and holds it no longer than the zone takes to decide. (Once they
// were held for a second or two, by the thousand in a busy zone, and told each other of them again and again.)
func TestDecidedIsNotHeld(t *testing.T) {
	ctx, n, c := up(t, Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for k := range 15 {
				order := programs.Order{Name: fmt.Sprintf("held-%d-%d", i, k), By: 1}
				if _, err := sdk.Run(ctx, c, programs.Count, order, sdk.Keys("kv/count/*")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	applied := n.Voter(0).Status().Committed
	for i, v := range n.Voters {
		waitFor(t, ctx, "a voter to catch up", func() bool { return n.Voter(i).Status().Applied >= applied })
		if held := v.Held(n.Zone); held > 2 { // gossip may come a moment after the decision
			t.Errorf("voter %d holds %d capsules that the zone has decided", i, held)
		}
	}
}

// TestAGatewayIsLostAfterItGossiped: a capsule that went no other way than by gossip is proposed by a voter.
func TestAGatewayIsLostAfterItGossiped(t *testing.T) {
	ctx, n, c := up(t, Options{})
	order := programs.Order{Name: "gossiped", By: 1}
	if _, err := sdk.Run(ctx, c, programs.Count, order, sdk.Keys("kv/count/*")); err != nil {
		t.Fatal(err) // the program is known in the zone from here on
	}
	p, err := sdk.Build(ctx, programs.Count, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	input, err := kit.Marshal(order)
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := sdk.Prepare(ctx, p, input, sdk.PrepareOptions{Ahead: -1})
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Seal(prepared, sdk.Keys("kv/count/*"))
	if err != nil {
		t.Fatal(err)
	}
	gateway := gatewayAt(t, identity(t), n.Voters[0].Addrs()[0])
	if err := gateway.Gossip(ctx, b.Capsule); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "a voter to hold it", func() bool {
		return slices.ContainsFunc(n.Voters, func(v *node.Node) bool { return v.Holds(n.Zone, b.Capsule.ID()) })
	})
	if err := gateway.Close(); err != nil {
		t.Fatal(err)
	}
	res, err := c.Follow(n.Zone, b.Capsule.ID()).Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sdk.Decode[int64](res); err != nil || got != 2 {
		t.Fatalf("%d, %v", got, err)
	}
}

// TestAFalseDescriptorIsRefused: a node that claims the zone in the DHT, and tells of itself as its only voter, is asked
// and not believed.
func TestAFalseDescriptorIsRefused(t *testing.T) {
	ctx, n, _ := up(t, Options{})
	liar := identity(t)
	h, err := p2p.New(p2p.Config{Identity: liar, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	now := uint64(time.Now().UnixMilli())
	payload, err := capsule.Marshal(&cert.Descriptor{
		V: cert.Version, Zone: n.Zone, Voters: []capsule.Key{liar.Key()}, At: now, Expires: now + 3_600_000, MeterVersion: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := capsule.Marshal(&cert.SignedDescriptor{Payload: payload, Sigs: []cert.IndexSig{{Sig: liar.Sign(cert.KindDescriptor, payload)}}})
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int32
	for _, proto := range []string{api.ProtoZone, api.ProtoSeek} {
		err := h.Handle(proto, p2p.StreamLimits{}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
			for {
				var req api.ZoneRequest
				if api.Read(s, &req, api.MaxMessage) != nil {
					return
				}
				asked.Add(1)
				me := []api.Peer{{Key: liar.Key(), Addrs: h.Addrs()}}
				_ = api.Accept(s, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{{
					V: api.Version, Zone: n.Zone, Genesis: n.Genesis, Epochs: [][]byte{}, Descriptor: signed, Voters: me, Gateways: me,
				}}})
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	f, err := find.New(h, find.Config{Mode: find.Server, Bootstrap: n.Voters[0].Addrs()[:1], Check: func(context.Context, capsule.ZoneID, capsule.Key) error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Provide(ctx, n.Zone); err != nil {
		t.Fatal(err)
	}
	// Nodes that know the liar alone, at first. One that hears of the honest voters sooner has no need to judge the liar.
	for range 20 {
		entry := gatewayAt(t, identity(t), h.Addrs()[0])
		keys := entry.Locate(ctx, n.Zone)
		if len(keys) == 0 || slices.Contains(keys, liar.Key()) {
			t.Fatalf("voters %v; the liar is %s", keys, liar.Key())
		}
		if entry.Finder().Snapshot().Refuted > 0 {
			return
		}
	}
	t.Fatalf("the liar was asked %d times and refuted by nobody", asked.Load())
}
