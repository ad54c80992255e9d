// Package testnet makes whole zones for trying things out: voters, workers and a client that may use them, on loopback.
// It must never be where a protocol is decided: everything in it is what operators do by hand.
package testnet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/p2p/sim"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// Options shape one zone in this process. The zero value is three voters and one worker.
type Options struct {
	Voters  int
	Workers int
	Slots   uint32 // of each worker
	// Bootstrap is the multiaddr of the one node that all begin with; empty is the first voter.
	Bootstrap string
	Dir       string // empty: a temporary one, removed by Close
	Interp    bool   // run capsules interpreted only
	Timing    raft.Timing
	Logger    *slog.Logger
	// Namespaces get the client as owner; default "acct", "count", "text" and "note".
	Namespaces []string
	Policy     func(*machine.Policy)
	// LinkDelay is one-way, between all nodes; a client adds its own with sdk.WithLinkDelay.
	LinkDelay time.Duration
	// Sim is the network; nil: this machine's loopback. Inside a testing/synctest bubble the whole net then runs on virtual time.
	Sim *sim.Net
	// Gateways are addresses of gateways that workers stand in for while none answers.
	Gateways []string
}

func (o Options) withDefaults() Options {
	if o.Voters == 0 {
		o.Voters = 3
	}
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.Slots == 0 {
		o.Slots = 4
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Timing.Heartbeat == 0 {
		o.Timing.Heartbeat = max(500*time.Millisecond, 5*o.LinkDelay)
	}
	return o
}

// Net is a running zone.
type Net struct {
	Zone    capsule.ZoneID
	Genesis []byte
	Root    *capsule.Identity
	Client  *capsule.Identity // has credits and rights
	Voters  []*node.Node
	Workers []*node.Node

	configs  map[*node.Node]node.Config // of the running nodes
	opt      Options
	dir      string
	temp     bool
	genesis  *cert.Genesis
	voters   []*capsule.Identity
	sequence uint64
	machines int // of Sim that are taken
}

// credits is what the client gets: enough for anything that is tried.
const credits = 1 << 50

// Up starts a zone and waits until it works.
func Up(ctx context.Context, o Options) (n *Net, err error) {
	n = &Net{opt: o.withDefaults(), dir: o.Dir, configs: map[*node.Node]node.Config{}}
	defer func() {
		if err != nil {
			n.Close()
			n = nil
		}
	}()
	if n.dir == "" {
		n.temp = true
		if n.dir, err = os.MkdirTemp("", "kwnode-testnet-"); err != nil {
			return n, err
		}
	}
	if n.voters, err = n.found(); err != nil {
		return n, err
	}
	for i, id := range n.voters {
		v, err := n.start(fmt.Sprintf("voter-%d", i), id, node.Zone{Genesis: n.Genesis, Vote: true})
		if err != nil {
			return n, err
		}
		n.Voters = append(n.Voters, v)
	}
	if err := n.furnish(ctx); err != nil {
		return n, err
	}
	for i := range n.opt.Workers {
		if err := n.AddWorker(ctx, fmt.Sprintf("worker-%d", i)); err != nil {
			return n, err
		}
	}
	return n, n.ready(ctx)
}

// found draws the keys and writes the genesis.
func (n *Net) found() ([]*capsule.Identity, error) {
	draw := func() *capsule.Identity {
		id, err := capsule.NewIdentity(rand.Reader)
		if err != nil {
			panic(err) // the system's random source does not fail
		}
		return id
	}
	n.Root, n.Client = draw(), draw()
	ids := make([]*capsule.Identity, n.opt.Voters)
	for i := range ids {
		ids[i] = draw()
	}
	slices.SortFunc(ids, func(a, b *capsule.Identity) int {
		x, y := a.Key(), b.Key()
		return bytes.Compare(x[:], y[:])
	})
	n.genesis = &cert.Genesis{
		V: cert.Version, Dev: n.opt.Voters < 3, Roots: []capsule.Key{n.Root.Key()}, MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1},
	}
	for _, id := range ids {
		n.genesis.Voters = append(n.genesis.Voters, id.Key())
	}
	if _, err := rand.Read(n.genesis.Nonce[:]); err != nil {
		return nil, err
	}
	var err error
	if n.Genesis, err = n.genesis.Bytes(); err != nil {
		return nil, err
	}
	n.Zone = capsule.ZoneID(capsule.Sum(n.Genesis))
	return ids, nil
}

// start starts a node that knows one other and finds the rest.
func (n *Net) start(name string, id *capsule.Identity, z node.Zone) (*node.Node, error) {
	var peers []string
	switch {
	case n.opt.Bootstrap != "":
		peers = []string{n.opt.Bootstrap}
	default:
		if i := slices.IndexFunc(n.Voters, func(v *node.Node) bool { return v != nil }); i >= 0 {
			peers = n.Voters[i].Addrs()[:1]
		}
	}
	cfg := node.Config{
		Identity: id, Dir: filepath.Join(n.dir, name), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Peers: peers,
		Zones: []node.Zone{z}, Interp: n.opt.Interp, Timing: n.opt.Timing, LinkDelay: n.opt.LinkDelay, Gateways: n.opt.Gateways, Logger: n.opt.Logger.With("node", name),
	}
	if n.opt.Sim != nil {
		at := n.machine()
		cfg.Listen, cfg.Packets = []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", at, sim.Port)}, n.opt.Sim.Packets(at)
	}
	return n.launch(cfg)
}

// machine takes one of the simulated network's.
func (n *Net) machine() netip.Addr {
	n.machines++
	return sim.Address(n.machines)
}

func (n *Net) launch(cfg node.Config) (*node.Node, error) {
	x, err := node.Start(cfg)
	if err != nil {
		return nil, err
	}
	// Started again it is where others look for it.
	at, _, _ := strings.Cut(x.Addrs()[0], "/p2p/")
	cfg.Listen = []string{at}
	n.configs[x] = cfg
	return x, nil
}

// Restart stops a node as an operator would, its workers drained, and starts it again in the same place.
func (n *Net) Restart(ctx context.Context, x *node.Node) error {
	for _, w := range x.Workers() {
		if err := w.Drain(ctx); err != nil {
			return err
		}
	}
	if err := x.Close(); err != nil {
		return err
	}
	again, err := n.launch(n.configs[x])
	if err != nil {
		return err
	}
	delete(n.configs, x)
	for _, l := range [][]*node.Node{n.Voters, n.Workers} {
		if i := slices.Index(l, x); i >= 0 {
			l[i] = again
		}
	}
	return nil
}

// Stop ends a voter; until Move starts it again, its place in Voters is nil.
func (n *Net) Stop(voter int) error {
	v := n.Voters[voter]
	n.Voters[voter] = nil
	if v == nil {
		return nil
	}
	return v.Close()
}

// Move ends a voter, if it runs, and starts it elsewhere, at a port that nobody is told of.
func (n *Net) Move(voter int) error {
	if err := n.Stop(voter); err != nil {
		return err
	}
	v, err := n.start(fmt.Sprintf("voter-%d", voter), n.voters[voter], node.Zone{Genesis: n.Genesis, Vote: true})
	if err != nil {
		return err
	}
	n.Voters[voter] = v
	return nil
}

// AddWorker starts a node that runs capsules for the zone.
func (n *Net) AddWorker(ctx context.Context, name string) error {
	self, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return err
	}
	work, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return err
	}
	chain, err := n.Root.Delegate(nil, n.grant(work.Key(), capsule.Cap{Resource: machine.ResourceWorker, Ability: capsule.Write}))
	if err != nil {
		return err
	}
	w, err := n.start(name, self, node.Zone{
		Genesis: n.Genesis, Work: &node.Work{Identity: work, Chain: chain, Slots: n.opt.Slots, Pages: n.opt.Slots * 4096},
	})
	if err != nil {
		return err
	}
	n.Workers = append(n.Workers, w)
	return nil
}

func (n *Net) grant(to capsule.Key, caps ...capsule.Cap) capsule.Grant {
	return capsule.Grant{
		Audience: to, Subject: n.Zone, Caps: caps, Gas: 1 << 50, NotBefore: 1,
		Expires: uint64(time.Now().Add(365 * 24 * time.Hour).UnixMilli()),
	}
}

// Rights is a chain that lets the client use all of the zone's data and emit events.
func (n *Net) Rights() (capsule.Chain, error) {
	return n.Root.Delegate(nil, n.grant(n.Client.Key(),
		capsule.Cap{Resource: "event/*", Ability: capsule.Emit},
		capsule.Cap{Resource: "kv/*", Ability: capsule.Read | capsule.Write | capsule.Delete | capsule.Export},
	))
}

// furnish gives the client credits and namespaces.
func (n *Net) furnish(ctx context.Context) error {
	if err := n.Admin(ctx, cert.OpCredit, &machine.Credit{Account: n.Client.Key(), Amount: credits}); err != nil {
		return err
	}
	names := n.opt.Namespaces
	if names == nil {
		names = []string{"acct", "count", "note", "text"}
	}
	for _, name := range names {
		if err := n.Admin(ctx, cert.OpNamespace, &machine.GiveNamespace{Name: name, Owner: n.Client.Key(), Quota: 64 << 20}); err != nil {
			return err
		}
	}
	if n.opt.Policy == nil {
		return nil
	}
	p := machine.DefaultPolicy()
	n.opt.Policy(&p)
	return n.Admin(ctx, cert.OpPolicy, &p)
}

// Admin has the zone's root do something.
func (n *Net) Admin(ctx context.Context, op cert.Op, body any) error {
	b, err := capsule.Marshal(body)
	if err != nil {
		return err
	}
	n.sequence++
	act, err := cert.SignAdmin(n.genesis, &cert.Admin{V: cert.Version, Zone: n.Zone, Sequence: n.sequence, Op: op, Body: b}, n.Root)
	if err != nil {
		return err
	}
	cmd, err := machine.NewAdmin(act)
	if err != nil {
		return err
	}
	out, err := n.Voter(0).Propose(ctx, cmd)
	for errors.Is(err, raft.ErrNoQuorum) && ctx.Err() == nil {
		// On a machine that is busy with other things an election can take longer than a voter's patience.
		select {
		case <-ctx.Done():
		case <-time.After(n.opt.Timing.Heartbeat):
		}
		out, err = n.Voter(0).Propose(ctx, cmd)
	}
	if err == nil && out.Result.Refusal != nil {
		err = out.Result.Refusal
	}
	if err != nil {
		return fmt.Errorf("administration %v: %w", op, err)
	}
	return nil
}

// Voter is the i-th voter's zone.
func (n *Net) Voter(i int) *zone.Zone { return n.Voters[i].Voter(n.Zone) }

// ready waits until every worker is registered.
func (n *Net) ready(ctx context.Context) error {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for {
		v, err := n.Voter(0).Query()
		if err != nil {
			return err
		}
		counts, err := v.Counts()
		v.Close()
		if err == nil && int(counts.Workers) >= len(n.Workers) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %d workers, %d have registered: %w", len(n.Workers), counts.Workers, ctx.Err())
		case <-t.C:
		}
	}
}

// Dial connects a client that may do everything with the zone's data.
func (n *Net) Dial(ctx context.Context) (*sdk.Client, error) { return n.DialVoter(ctx, 0) }

// DialAt is Dial through the first of some addresses that answers.
func (n *Net) DialAt(ctx context.Context, addrs string) (*sdk.Client, error) {
	rights, err := n.Rights()
	if err != nil {
		return nil, err
	}
	book := sdk.NewBook()
	if err := book.Trust("home", n.Zone); err != nil {
		return nil, err
	}
	options := []sdk.DialOption{sdk.WithIdentity(n.Client), sdk.WithBook(book), sdk.WithGrants(rights)}
	if n.opt.Sim != nil {
		options = append(options, sdk.WithPackets(n.opt.Sim.Packets(n.machine())))
	}
	return sdk.Dial(ctx, addrs, options...)
}

// DialVoter is Dial through one of the voters.
func (n *Net) DialVoter(ctx context.Context, voter int) (*sdk.Client, error) {
	return n.DialAt(ctx, n.Voters[voter].Addrs()[0])
}

// Close stops everything, workers first.
func (n *Net) Close() error {
	var first error
	for _, x := range append(slices.Clone(n.Workers), n.Voters...) {
		if x == nil {
			continue
		}
		if err := x.Close(); err != nil && first == nil {
			first = err
		}
	}
	if n.temp {
		if err := os.RemoveAll(n.dir); err != nil && first == nil {
			first = err
		}
	}
	return first
}
