package testnet

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/blob"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// impostor is a worker that a test plays by hand: registered, leased, and free to say what it likes.
type impostor struct {
	t     *testing.T
	n     *Net
	id    *capsule.Identity
	host  *p2p.Host
	cache *blob.Cache
	x     *blob.Exchange
}

func newImpostor(t *testing.T, ctx context.Context, n *Net) *impostor {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := p2p.New(p2p.Config{Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	w := &impostor{t: t, n: n, id: id, host: h}
	if w.cache, err = blob.OpenCache(t.TempDir(), 64<<20); err != nil {
		t.Fatal(err)
	}
	if w.x, err = blob.New(h, w.cache, blob.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, v := range n.Voters {
		if _, err := h.Connect(ctx, v.Addrs()[0]); err != nil {
			t.Fatal(err)
		}
	}
	chain, err := n.Root.Delegate(nil, n.grant(id.Key(), capsule.Cap{Resource: machine.ResourceWorker, Ability: capsule.Write}))
	if err != nil {
		t.Fatal(err)
	}
	cmd, err := machine.NewRegister(id, &machine.Register{Scope: machine.NewScope(n.Zone, 0), Sequence: 1, Slots: 4, Pages: 1 << 14, Chain: chain})
	w.propose(ctx, cmd, err)
	return w
}

func (w *impostor) propose(ctx context.Context, cmd []byte, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := w.n.Voter(0).Propose(ctx, cmd)
	if err == nil && out.Result.Refusal != nil {
		err = out.Result.Refusal
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *impostor) put(b []byte) capsule.CID {
	w.t.Helper()
	id, err := w.cache.Put(capsule.Raw, b)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// leased waits until the zone has leased a capsule to the impostor.
func (w *impostor) leased(ctx context.Context, id capsule.ID, hop uint32) machine.CapsuleRow {
	w.t.Helper()
	var row machine.CapsuleRow
	waitFor(w.t, ctx, "a lease", func() bool {
		v, err := w.n.Voter(0).Query()
		if err != nil {
			w.t.Fatal(err)
		}
		defer v.Close()
		row, err = v.Capsule(id)
		return err == nil && row.Status == machine.StatusRunning && row.Hop == hop && row.Lease.Worker == w.id.Key()
	})
	return row
}

func (w *impostor) fact(id capsule.CID, size int) machine.Attest {
	set := w.n.genesis.VoterSet(w.n.Zone)
	return attest.Held(machine.NewScope(w.n.Zone, 0), set.Epoch, id, size, time.Now())
}

func (w *impostor) ask(ctx context.Context, voter int, f machine.Attest, req api.HoldRequest) (*api.HoldReply, error) {
	w.t.Helper()
	b, err := capsule.Marshal(&f)
	if err != nil {
		w.t.Fatal(err)
	}
	req.V, req.Zone, req.Facts = api.Version, w.n.Zone, [][]byte{b}
	return attest.Call(func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
		return w.host.Dial(ctx, k, proto)
	})(ctx, w.n.Voters[voter].Key(), &req)
}

func refusedWith(t *testing.T, err error, code string) {
	t.Helper()
	var r *api.Refusal
	if !errors.As(err, &r) || r.Code != code {
		t.Errorf("got %v, want a refusal %q", err, code)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		panic(err)
	}
	return b
}

// leisurely gives an impostor time between its moves.
func leisurely(p *machine.Policy) { p.Times.Lease = 60_000 }

// A voter attests only to what it has: it fetches from whoever has the true bytes, and signs nothing if nobody does.
func TestVoterAttestsWhatItHolds(t *testing.T) {
	ctx, n, c := up(t, Options{Workers: -1, Policy: leisurely})
	w := newImpostor(t, ctx, n)
	s, err := sdk.Start(ctx, c, programs.Nap, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	row := w.leased(ctx, s.ID, 0)
	lease := api.LeaseRef{Capsule: s.ID, Number: row.Lease.Number}

	big := noise(700_000)
	state := w.put(big)
	if _, err := w.ask(ctx, 0, w.fact(state, len(big)), api.HoldRequest{Lease: lease}); err != nil {
		t.Fatal(err)
	}
	// Whoever has no lease may not fill the disks.
	other := w.put(noise(70_000))
	_, err = w.ask(ctx, 0, w.fact(other, 70_000), api.HoldRequest{})
	refusedWith(t, err, string(machine.CodeLease))
	// Nobody has it.
	_, err = w.ask(ctx, 1, w.fact(capsule.RawCID(noise(50)), 50), api.HoldRequest{Lease: lease})
	refusedWith(t, err, string(machine.CodeBlob))
	// It is of another size than was said.
	_, err = w.ask(ctx, 1, w.fact(other, 70_001), api.HoldRequest{Lease: lease})
	refusedWith(t, err, string(machine.CodeBlob))
	// A promise without end.
	f := w.fact(state, len(big))
	f.Until += 3_600_000
	_, err = w.ask(ctx, 1, f, api.HoldRequest{Lease: lease})
	refusedWith(t, err, api.CodeProtocol)
	// Attestations may go before a command, but nothing else, and not any number of them.
	restate, err := machine.NewRestate(cert.Slot{Capsule: s.ID, Phase: cert.PhaseIn})
	if err != nil {
		t.Fatal(err)
	}
	for _, first := range [][][]byte{{restate}, slices.Repeat([][]byte{{0x84, machine.Version, byte(machine.KindAttest)}}, api.MaxHolds+1)} {
		line, err := w.host.Dial(ctx, n.Voters[0].Key(), api.ProtoCommand)
		if err != nil {
			t.Fatal(err)
		}
		_, err = api.Ask[api.CommandReply](line, &api.CommandRequest{V: api.Version, Zone: n.Zone, Command: restate, First: first}, api.MaxMessage)
		refusedWith(t, err, api.CodeProtocol)
		_ = line.Close()
	}

	// The worker has lost its copy, a liar says that it has one, and voter 0 really does.
	if err := w.cache.Remove(state); err != nil {
		t.Fatal(err)
	}
	liar := lyingHolder(t, ctx, n, big)
	holders := []api.Peer{liar, {Key: n.Voters[0].Key(), Addrs: n.Voters[0].Addrs()}}
	if _, err := w.ask(ctx, 1, w.fact(state, len(big)), api.HoldRequest{Lease: lease, Holders: holders}); err != nil {
		t.Errorf("a liar among the holders: %v", err)
	}
	// Voter 0's copy is damaged on its disk; voter 1 has one.
	damage(t, filepath.Join(n.dir, "voter-0", "blobs", state.Digest.String()))
	holders = []api.Peer{holders[1], {Key: n.Voters[1].Key(), Addrs: n.Voters[1].Addrs()}}
	if _, err := w.ask(ctx, 2, w.fact(state, len(big)), api.HoldRequest{Lease: lease, Holders: holders}); err != nil {
		t.Errorf("a damaged copy among the holders: %v", err)
	}
}

// lyingHolder is a peer that answers every request for a blob with other bytes of the same length.
func lyingHolder(t *testing.T, ctx context.Context, n *Net, like []byte) api.Peer {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := p2p.New(p2p.Config{Identity: id, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	err = h.Handle(blob.ID, p2p.StreamLimits{Rate: 50, Burst: 50, PerPeer: 4, Streams: 8, Memory: 1 << 20}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
		head := append([]byte{0}, binary.BigEndian.AppendUint64(nil, uint64(len(like)))...)
		_, _ = s.Write(append(head, noise(32+len(like)%blob.ChunkSize)...))
		_ = s.Close()
	})
	if err != nil {
		t.Fatal(err)
	}
	return api.Peer{Key: id.Key(), Addrs: h.Addrs()}
}

func damage(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// A worker of the source zone commits a state that is none, and sends it to another zone. That zone finds out before the
// capsule is its own, and the source has it back with an error.
func TestHostileContinuation(t *testing.T) {
	ctx, nets, c := zonesWith(t, Options{Workers: -1, Policy: leisurely}, "home", "eu")
	home, eu := nets[0], nets[1]
	w := newImpostor(t, ctx, home)
	for _, size := range []int{100_000, 1000} {
		s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: size, Stops: []string{"eu"}},
			sdk.Home(home.Zone), sdk.Stop("home", home.Zone), sdk.Stop("eu", eu.Zone))
		if err != nil {
			t.Fatal(err)
		}
		row := w.leased(ctx, s.ID, 0)
		bad := noise(size)
		copy(bad, "kwcont")
		saved := machine.Saved{State: w.put(bad), StateHash: capsule.Sum(bad), Size: uint64(size)}
		if size <= machine.MaxInline {
			saved.Inline = bad
		} else {
			w.hold(ctx, api.LeaseRef{Capsule: s.ID, Number: row.Lease.Number}, saved.State, size)
		}
		cmd, err := machine.NewCommit(w.id, &machine.Commit{
			Scope: machine.NewScope(home.Zone, 0), Gas: 1, End: machine.EndGoto, Target: eu.Zone,
			Segment: machine.Segment{Capsule: s.ID, Lease: row.Lease.Number}, Saved: saved,
		})
		w.propose(ctx, cmd, err)

		if back := w.leased(ctx, s.ID, 1); back.Run.Resume >= 0 {
			t.Errorf("%d bytes: the guest is told %d, want an error", size, back.Run.Resume)
		}
		v, err := eu.Voter(0).Read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Capsule(s.ID); !errors.Is(err, machine.ErrNotFound) {
			t.Errorf("%d bytes: the capsule is in the target zone: %v", size, err)
		}
		v.Close()
	}
	for i := range eu.Voters {
		if err := eu.Voter(i).Err(); err != nil {
			t.Errorf("voter %d: %v", i, err)
		}
	}
}

// hold has the impostor's zone attest that it holds what the impostor offers.
func (w *impostor) hold(ctx context.Context, lease api.LeaseRef, id capsule.CID, size int) {
	w.t.Helper()
	set := w.n.genesis.VoterSet(w.n.Zone)
	call := attest.Call(func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
		return w.host.Dial(ctx, k, proto)
	})
	cmds, err := attest.Gather(ctx, &set, []machine.Attest{w.fact(id, size)}, api.HoldRequest{Lease: lease}, call, func(fn func()) { go fn() })
	if err != nil {
		w.t.Fatal(err)
	}
	w.propose(ctx, cmds[0], nil)
}

// Content that nothing refers to is kept no longer than was promised.
func TestContentIsLetGo(t *testing.T) {
	ctx, n, c := up(t, Options{})
	s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: 1 << 18, Nap: 10 * time.Millisecond}, sdk.Gas(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
	v, err := n.Voter(0).Query()
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	err = v.Blobs(capsule.CID{}, 100, func(id capsule.CID, b machine.BlobRow) {
		if b.Refs > 0 || b.Due == 0 {
			left = append(left, id.String())
		}
	})
	v.Close()
	if err != nil || len(left) > 0 {
		t.Errorf("still referred to, or never to go: %s (%v)", strings.Join(left, ", "), err)
	}
}

// Many large states at once are placed a few at a time: none is given up because the others were under way.
func TestManyLargeStates(t *testing.T) {
	ctx, n, c := up(t, Options{Slots: 96, Policy: leisurely})
	var all []*sdk.Submission
	for range 80 {
		s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: 30_000, Nap: 50 * time.Millisecond}, sdk.Gas(1<<40))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for _, s := range all {
		if _, err := s.Await(ctx); err != nil {
			t.Fatal(err)
		}
	}
	v, err := n.Voter(0).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, s := range all {
		if row, err := v.Capsule(s.ID); err != nil || row.Lease.Number != 2 {
			t.Errorf("%s took %d leases for two segments (%v)", s.ID, row.Lease.Number, err)
		}
	}
}

// A voter that lacks what the zone refers to gets it from the others.
func TestMissingContentIsFetched(t *testing.T) {
	ctx, n, c := up(t, Options{})
	s, err := sdk.Start(ctx, c, programs.Carry, programs.Load{Bytes: 1 << 18, Nap: time.Hour}, sdk.Gas(1<<40), sdk.Lifetime(3*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	state := asleep(t, ctx, n, s.ID)
	path := filepath.Join(n.dir, "voter-2", "blobs", state.Digest.String())
	waitFor(t, ctx, "the third voter to have it too", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := n.Restart(ctx, n.Voters[2]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "the content to be there again", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// TestSmallStateWaitsForNoDisk: a state that the log will have is held with its capsule, in memory, until then; it goes to no
// voter's disk as content. A voter of a zone without a quorum lends it to the others once it tells them of the capsule.
func TestSmallStateWaitsForNoDisk(t *testing.T) {
	ctx, n, c := up(t, Options{})
	hand := func(via *sdk.Client, name string) (*sdk.Submission, string) {
		t.Helper()
		b := sealCount(ctx, t, c, name, 1)
		s, err := via.Submit(ctx, b)
		if err != nil {
			t.Fatal(err)
		}
		return s, b.Capsule.Manifest().State.Digest.String()
	}
	on := func(i int, state string) bool {
		_, err := os.Stat(filepath.Join(n.configs[n.Voters[i]].Dir, "blobs", state))
		return err == nil
	}
	s, state := hand(c, "memory")
	if _, err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range n.Voters {
		if on(i, state) {
			t.Errorf("voter %d has the state as content", i)
		}
	}
	leader := slices.IndexFunc(n.Voters, func(v *node.Node) bool { return v.Key() == n.Voter(0).Status().Leader })
	taker, other := (leader+1)%3, (leader+2)%3
	via, err := n.DialVoter(ctx, taker)
	if err != nil {
		t.Fatal(err)
	}
	defer via.Close()
	n.Voters[leader].Block(n.Voters[taker].Key(), n.Voters[other].Key())
	for _, i := range []int{taker, other} {
		n.Voters[i].Block(n.Voters[leader].Key(), n.Voters[taker+other-i].Key())
	}
	s, state = hand(via, "told")
	waitFor(t, ctx, "the state to be lent", func() bool { return on(taker, state) })
	for i := range n.Voters {
		n.Voters[i].Block()
	}
	if _, err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestIncompleteCapsuleIsHeldNowhere: whoever is told what is missing of a capsule sends that, and is not told of more then. A
// state that came along with a capsule that is not complete is held nowhere, so it is missing too.
func TestIncompleteCapsuleIsHeldNowhere(t *testing.T) {
	ctx, n, c := up(t, Options{})
	b := sealCount(ctx, t, c, "incomplete", 1)
	h, err := p2p.New(p2p.Config{Identity: identity(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	k, err := h.Connect(ctx, n.Voters[0].Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Dial(ctx, k, api.ProtoSubmit)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	along := []capsule.CID{b.Capsule.Manifest().State}
	for try := range 2 {
		reply, err := api.Submit(s, b.Capsule.Bytes(), b.Blobs, along)
		if err != nil {
			t.Fatal(err)
		}
		if missing := len(reply.Missing) > 0; missing != (try == 0) {
			t.Fatalf("try %d: %v is missing", try, reply.Missing)
		}
		along = reply.Missing
	}
}
