// Package node joins the parts into one process of the mesh: a host, the voters of its zones, a gateway and workers. It
// holds wiring and must never hold logic: whatever could be right or wrong by itself belongs to one of the parts.
package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/node/gateway"
	"github.com/kitwork/kwnode/node/mover"
	"github.com/kitwork/kwnode/node/streams"
	"github.com/kitwork/kwnode/node/voter"
	"github.com/kitwork/kwnode/node/worker"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/blob"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/p2p/mesh"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/raft"
)

// Config says what a node is.
type Config struct {
	Identity *capsule.Identity
	Dir      string   // everything that the node keeps
	Listen   []string // multiaddrs
	Peers    []string // multiaddrs of nodes to begin with; one is enough, the others are found
	DHT      find.Mode
	LAN      bool // find nodes, and be found, by multicast DNS
	// Gateways are multiaddrs of gateways that a node without a voter stands in for while none of them answers. With none it
	// always serves clients, as a voter does.
	Gateways []string
	// Trusting has the gateway check nothing, for the test that no decision needs its checks.
	Trusting bool
	Reach    p2p.Reach // how the node is reached through NATs
	Limits   p2p.Limits
	Zones    []Zone
	Topics   []capsule.ZoneID // other zones whose gossip the node passes on
	Cache    int64            // bytes of code and states kept; default 1 GiB
	Interp   bool             // run capsules interpreted only
	Timing   raft.Timing
	// LinkDelay holds everything that the node sends for so long: see p2p.Config.
	LinkDelay time.Duration
	Line      *p2p.Line // takes the place of LinkDelay
	// Packets replaces UDP sockets, for a simulated network: see p2p.Config.
	Packets func(addr *net.UDPAddr) (net.PacketConn, error)
	Logger  *slog.Logger
}

// Zone is a zone that the node takes part in.
type Zone struct {
	Genesis []byte
	Vote    bool
	// Contacts are members from whom a voter learns a zone that it isn't a founder of.
	Contacts []capsule.Key
	Work     *Work // nil: runs no capsules
}

// Work is what a node offers to run for a zone.
type Work struct {
	Identity *capsule.Identity // of the worker, never the node's own
	Chain    capsule.Chain
	Slots    uint32
	Pages    uint32
}

// Node is one running process.
type Node struct {
	cfg      Config
	log      *slog.Logger
	host     *p2p.Host
	cache    *blob.Cache
	exchange *blob.Exchange
	gateway  *gateway.Gateway
	compiler *jit.Compiler
	programs *worker.Cache
	verified *capsule.Cache // of all parts of the node
	voters   map[capsule.ZoneID]*voting
	workers  []*worker.Worker
	hosts    []*p2p.Host // of the workers

	finder *find.Finder
	mesh   *mesh.Mesh

	mu      sync.Mutex // guards known and topics
	known   map[capsule.ZoneID]*known
	topics  map[capsule.ZoneID]*topic
	joining sync.Mutex    // held while topics are joined and left
	looks   chan struct{} // holds a token for each search for a zone

	forwards chan struct{} // holds a token for each question to another zone

	cancel context.CancelFunc
	ctx    context.Context // ends with the node
	wg     sync.WaitGroup
}

// voting is a voter of one zone in this process.
type voting struct {
	zone   *zone.Zone
	server *voter.Server
	mover  *mover.Mover
}

const (
	defaultCache = 1 << 30
	// verifiedBytes bounds what is remembered of signatures and chains. A capsule is gossiped, handed over and found in the log
	// within seconds: this is enough for tens of thousands of them, or some hundred chains.
	verifiedBytes = 2 << 20
)

// Start starts a node. It returns when everything local is ready; zones elect their leaders meanwhile.
func Start(cfg Config) (n *Node, err error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Cache == 0 {
		cfg.Cache = defaultCache
	}
	n = &Node{
		verified: capsule.NewCache(verifiedBytes),
		cfg:      cfg, log: cfg.Logger, programs: worker.NewCache(), voters: map[capsule.ZoneID]*voting{}, known: map[capsule.ZoneID]*known{},
		topics: map[capsule.ZoneID]*topic{}, looks: make(chan struct{}, maxLooks), forwards: make(chan struct{}, maxForwards),
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			n.Close()
			n = nil
		}
	}()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return n, err
	}
	if n.host, err = p2p.New(p2p.Config{
		Identity: cfg.Identity, Listen: cfg.Listen, Dir: cfg.Dir, Reach: cfg.Reach, Limits: cfg.Limits, Log: cfg.Logger,
		LinkDelay: cfg.LinkDelay, Line: cfg.Line, Packets: cfg.Packets,
	}); err != nil {
		return n, err
	}
	if n.cache, err = blob.OpenCache(filepath.Join(cfg.Dir, "blobs"), cfg.Cache); err != nil {
		return n, err
	}
	if n.exchange, err = blob.New(n.host, n.cache, blob.Options{}); err != nil {
		return n, err
	}
	if !cfg.Interp && jit.Supported() {
		if n.compiler, err = jit.New(jit.DefaultMemory); err != nil {
			return n, err
		}
	}
	if err := n.discover(); err != nil {
		return n, err
	}
	for _, z := range cfg.Zones {
		if err := n.openZone(z); err != nil {
			return n, err
		}
	}
	if err := n.gossip(); err != nil {
		return n, err
	}
	if err := n.serveVoters(); err != nil {
		return n, err
	}
	n.gateway = gateway.New(gateway.Config{
		Verified: n.verified,
		Host:     n.host, Voter: n.localVoter, Zones: n.localVoters, Find: n.Locate, Seek: n.seek, Tell: n.tell, Known: n.zonesElsewhere, Publish: n.publish, Trusting: cfg.Trusting, Logger: cfg.Logger,
	})
	if len(cfg.Gateways) > 0 && len(n.voters) == 0 {
		n.wg.Go(n.standIn)
	} else if err := n.gateway.Serve(); err != nil {
		return n, err
	}
	n.provide()
	n.wg.Go(n.meet)
	return n, nil
}

// Close stops everything and waits for it.
func (n *Node) Close() error {
	n.cancel()
	for _, w := range n.workers {
		w.Close()
	}
	if n.gateway != nil {
		n.gateway.Close()
	}
	var errs []error
	for _, v := range n.voters {
		v.mover.Close()
		v.server.Close()
		errs = append(errs, v.zone.Close())
	}
	if n.mesh != nil {
		errs = append(errs, n.mesh.Close())
	}
	if n.finder != nil {
		errs = append(errs, n.finder.Close())
	}
	if n.exchange != nil {
		errs = append(errs, n.exchange.Close())
	}
	if n.host != nil {
		errs = append(errs, n.host.Close())
	}
	n.wg.Wait()
	return errors.Join(errs...)
}

// Key is the node's public key.
func (n *Node) Key() capsule.Key { return n.cfg.Identity.Key() }

// Addrs are the multiaddrs at which the node can be reached, with its peer ID.
func (n *Node) Addrs() []string { return n.host.Addrs() }

// Host is the node's host.
func (n *Node) Host() *p2p.Host { return n.host }

// Block cuts the node and its workers off from exactly these keys, until another call leaves them out.
func (n *Node) Block(keys ...capsule.Key) {
	for _, h := range append([]*p2p.Host{n.host}, n.hosts...) {
		h.Block(keys...)
	}
}

// Gateway is the node's gateway.
func (n *Node) Gateway() *gateway.Gateway { return n.gateway }

// Workers are the node's workers.
func (n *Node) Workers() []*worker.Worker { return n.workers }

// Voter returns the voter of a zone in this process, or nil.
func (n *Node) Voter(z capsule.ZoneID) *zone.Zone {
	if v := n.voters[z]; v != nil {
		return v.zone
	}
	return nil
}

func (n *Node) openZone(z Zone) error {
	_, id, err := cert.ParseGenesis(z.Genesis)
	if err != nil {
		return err
	}
	if z.Vote {
		// The zone applies entries before these exist; both look through its state when they start.
		var carrier atomic.Pointer[mover.Mover]
		var keeper atomic.Pointer[voter.Server]
		dir := filepath.Join(n.cfg.Dir, "zones", id.String())
		opened, err := zone.Open(zone.Config{
			Outbox: func(id capsule.ID, hop uint32) {
				if m := carrier.Load(); m != nil {
					m.Changed(id, hop)
				}
			},
			Content: func(id capsule.CID) {
				if s := keeper.Load(); s != nil {
					s.Changed(id)
				}
			},
			Decided: func(id capsule.ID) {
				if s := keeper.Load(); s != nil {
					s.Decided(id)
				}
			},
			Verified: n.verified,
			Identity: n.cfg.Identity, Genesis: z.Genesis, Dir: dir,
			Transport: streams.Transport{Host: n.host}, Contacts: z.Contacts, Timing: n.cfg.Timing, Logger: n.log,
			Now: func() uint64 { return uint64(time.Now().UnixMilli()) },
		})
		if err != nil {
			return fmt.Errorf("zone %s: %w", id, err)
		}
		server, err := voter.New(voter.Config{
			Zone: opened, Identity: n.cfg.Identity, Genesis: z.Genesis, Contents: contents{n.cache, n.exchange},
			Promises: filepath.Join(dir, "promises"), Open: n.open, Fits: n.fits,
			Ahead: func(target capsule.ZoneID, a api.Ahead) {
				if m := carrier.Load(); m != nil {
					m.Announce(target, a)
				}
			},
			Hint:  func(p api.Peer) { n.host.Hint(p.Key, p.Addrs[:min(len(p.Addrs), api.MaxAddrs)]) },
			Peers: n.peers, Forward: n.forward, Publish: n.publish, Verified: n.verified, Logger: n.log,
			Elsewhere: func(z capsule.ZoneID) []capsule.Key { return n.votersOf(z, nil) },
		})
		if err != nil {
			return errors.Join(fmt.Errorf("zone %s: %w", id, err), opened.Close())
		}
		keeper.Store(server)
		m := mover.Start(mover.Config{
			Zone: opened, Contents: contents{n.cache, n.exchange}, Open: n.open, Logger: n.log,
			Voters: func(z capsule.ZoneID) []capsule.Key { return n.locate(n.ctx, z, nil) }, Voter: server, Peers: n.peers,
		})
		carrier.Store(m)
		n.voters[id] = &voting{opened, server, m}
	}
	if z.Work == nil {
		return nil
	}
	tracker, err := cert.NewTracker(z.Genesis)
	if err != nil {
		return err
	}
	first := tracker.Newest().Keys
	cfg := worker.Config{
		Identity: z.Work.Identity, Tracker: tracker, Chain: z.Work.Chain, Slots: z.Work.Slots, Pages: z.Work.Pages,
		Voters: func() []capsule.Key { return n.locate(n.ctx, id, first) }, Logger: n.log, Cache: n.programs,
	}
	if n.compiler != nil {
		cfg.Compiler = n.compiler
	}
	return n.startWorker(cfg)
}

// startWorker gives the worker a host of its own: a zone knows it by the key that it connects with.
func (n *Node) startWorker(cfg worker.Config) error {
	h, err := p2p.New(p2p.Config{Identity: cfg.Identity, Log: n.log, LinkDelay: n.cfg.LinkDelay, Line: n.cfg.Line, Packets: n.cfg.Packets})
	if err != nil {
		return err
	}
	n.hosts = append(n.hosts, h)
	n.wg.Go(func() {
		<-n.ctx.Done()
		_ = h.Close()
	})
	h.SetResolver(func(ctx context.Context, k capsule.Key) []string {
		return append(n.addrs(k), n.finder.Addrs(ctx, k)...)
	})
	x, err := blob.New(h, n.cache, blob.Options{})
	if err != nil {
		return err
	}
	cfg.Net = workerNet{h, x, n.cache}
	n.workers = append(n.workers, worker.Start(cfg))
	return nil
}

// workerNet is a worker's way to its zone.
type workerNet struct {
	h *p2p.Host
	x *blob.Exchange
	c *blob.Cache
}

func (w workerNet) Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
	s, err := w.h.Dial(ctx, k, proto)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (w workerNet) Lend(codec capsule.Codec, b []byte) (capsule.CID, error) {
	return w.c.Lend(codec, b)
}
func (w workerNet) Keep(id capsule.CID, owner string)    { w.c.Keep(id, owner) }
func (w workerNet) Release(id capsule.CID, owner string) { w.c.Release(id, owner) }

func (w workerNet) Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error) {
	return w.x.Borrow(ctx, id, most, holders...) // a worker has promised nobody anything
}

// fits checks a continuation for a voter.
func (n *Node) fits(ctx context.Context, m *capsule.Manifest, state []byte, fetch func(capsule.CID) ([]byte, error)) error {
	err := n.programs.Check(ctx, m, state, fetch)
	if errors.Is(err, worker.ErrUnfit) {
		return &api.Refusal{Code: api.CodeUnfit, Detail: err.Error()}
	}
	return err
}

// contents are the blobs of the node.
type contents struct {
	*blob.Cache
	x *blob.Exchange
}

func (c contents) Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error) {
	return c.x.Fetch(ctx, id, most, holders...)
}

func (c contents) Borrow(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error) {
	return c.x.Borrow(ctx, id, most, holders...)
}

func (n *Node) localVoter(z capsule.ZoneID) gateway.Voter {
	if v := n.voters[z]; v != nil {
		return v.server
	}
	return nil
}

func (n *Node) localVoters() []gateway.Voter {
	var out []gateway.Voter
	for _, v := range n.voters {
		out = append(out, v.server)
	}
	return out
}

// zonesElsewhere are those whose voters are known and that are not served here.
func (n *Node) zonesElsewhere() []capsule.ZoneID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []capsule.ZoneID
	for z := range n.known {
		if n.voters[z] == nil {
			out = append(out, z)
		}
	}
	slices.SortFunc(out, func(a, b capsule.ZoneID) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// Holds reports whether a capsule waits here, with all its content, for the zone to decide it.
func (n *Node) Holds(z capsule.ZoneID, id capsule.ID) bool {
	v := n.voters[z]
	return v != nil && v.server.Holds(id)
}

// Held is how many capsules wait here for the zone to decide them.
func (n *Node) Held(z capsule.ZoneID) int {
	if v := n.voters[z]; v != nil {
		return v.server.Held()
	}
	return 0
}

// Finder is the node's part in the discovery.
func (n *Node) Finder() *find.Finder { return n.finder }

// peers says where keys can be reached, as this node knows it.
func (n *Node) peers(keys []capsule.Key) []api.Peer {
	out := make([]api.Peer, 0, len(keys))
	for _, k := range keys {
		addrs := n.addrs(k)
		out = append(out, api.Peer{Key: k, Addrs: addrs[:min(len(addrs), api.MaxAddrs)]})
	}
	return out
}

func (n *Node) addrs(k capsule.Key) []string {
	if k == n.Key() {
		return n.host.Addrs()
	}
	if known := n.host.AddrsOf(k); len(known) > 0 {
		return known
	}
	for _, p := range n.host.Remembered() {
		if p.Key == k {
			return p.Addrs
		}
	}
	return []string{}
}
