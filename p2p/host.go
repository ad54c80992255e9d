// Package p2p is a node's place in the mesh: its authenticated connections, their streams, and the limits on both; it
// must never know what a zone or a capsule means, and no libp2p type leaves it.
//
// Other packages name peers by capsule.Key and places by multiaddr text. Sub-packages add content by hash (blob),
// request and response (rpc), gossip (mesh), discovery (find) and a simulated network (sim).
package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// Config says what a host is. Identity is required; every other zero field has a working default.
type Config struct {
	Identity *capsule.Identity
	Listen   []string     // multiaddrs; none makes a host with outbound connections only
	Dir      string       // where peers are remembered across restarts; "" forgets them
	Limits   Limits       // see Limits
	Reach    Reach        // how the host is reached through NATs
	Deny     []string     // addresses, prefixes and keys that never get a connection
	Log      *slog.Logger // nil discards

	// LinkDelay holds everything that is sent for so long before it leaves, for trying out long lines on one machine.
	// The host then speaks TCP only.
	LinkDelay time.Duration
	// Line is the same, for some peers only and changed while the host runs; nil is one of LinkDelay for all.
	Line *Line

	// Packets replaces UDP sockets, for a simulated network. The host then speaks QUIC only and skips what watches
	// real interfaces.
	Packets func(addr *net.UDPAddr) (net.PacketConn, error)
}

// Errors that callers branch on.
var (
	ErrClosed      = errors.New("p2p: host is closed")
	ErrUnsupported = errors.New("p2p: the peer does not serve this protocol")
	ErrDenied      = errors.New("p2p: the peer does not serve this protocol to us")
	ErrBusy        = errors.New("p2p: the peer has too much to do for us; try later, or another peer")
	ErrNoAddress   = errors.New("p2p: no address of the peer is known; connect by multiaddr or let discovery find it")
)

const (
	dialTimeout    = 10 * time.Second // one dial of one address
	openTimeout    = 15 * time.Second // finding, dialling and negotiating when the caller set no deadline
	saveEvery      = time.Minute
	hintLife       = 10 * time.Minute // how long an unproven address is kept
	maxStoredAddrs = 64               // addresses of one peer; identify may bring 500
)

// Host is one identity on the network. All methods may be called from any goroutine.
type Host struct {
	key    capsule.Key
	inner  host.Host
	token  *raw.Host
	gate   *gate
	waste  *waste
	limits Limits
	line   *Line // or nil
	book   *book
	log    *slog.Logger

	resolve atomic.Pointer[Resolver]
	running sync.WaitGroup // handlers and background work
	events  event.Subscription

	// handlerContext makes the context of one handler: it ends after the timeout (0 is none) and when the host closes.
	handlerContext func(timeout time.Duration) (context.Context, context.CancelFunc)
	stop           context.CancelFunc

	mu        sync.Mutex // owns the fields below
	closing   bool
	services  map[string]*service
	dialled   map[string]*atomic.Uint64 // outbound streams by protocol
	listeners map[*Listener]struct{}
	watchers  map[*func(PeerEvent)]struct{}
	cutting   map[capsule.Key]bool // being cut off for what they waste
}

// Resolver finds addresses of a peer that are not known or no longer work.
type Resolver func(ctx context.Context, peer capsule.Key) []string

// PeerEvent says that the first connection to a peer opened or the last one closed.
type PeerEvent struct {
	Peer      capsule.Key
	Connected bool
}

// New starts a host. It fails if any address in cfg.Listen cannot be listened on.
func New(cfg Config) (*Host, error) {
	if cfg.Identity == nil {
		return nil, errors.New("p2p: config has no identity; create one with capsule.NewIdentity or load it from a file")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	book, err := openBook(cfg.Dir)
	if errors.Is(err, ErrDamagedBook) {
		cfg.Log.Warn("remembered peers lost", "err", err)
	} else if err != nil {
		return nil, err
	}
	if cfg.Limits, err = cfg.Limits.withDefaults(); err != nil {
		return nil, err
	}
	gate, err := newGate(cfg.Deny, cfg.Limits.Shared)
	if err != nil {
		return nil, err
	}
	h := &Host{
		limits: cfg.Limits, line: cfg.Line,
		key: cfg.Identity.Key(), gate: gate, waste: newWaste(), book: book, log: cfg.Log,
		services:  make(map[string]*service),
		dialled:   make(map[string]*atomic.Uint64),
		listeners: make(map[*Listener]struct{}),
		watchers:  make(map[*func(PeerEvent)]struct{}),
		cutting:   make(map[capsule.Key]bool),
	}
	if h.inner, err = build(cfg, gate, h.waste, h.relayCandidates); err != nil {
		return nil, fmt.Errorf("p2p: start host: %w", err)
	}
	h.token = raw.Wrap(h.inner)
	if err := h.start(cfg.Listen, cfg.Reach); err != nil {
		h.inner.Close()
		return nil, err
	}
	return h, nil
}

func (h *Host) start(listen []string, reach Reach) error {
	for _, s := range listen {
		m, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return fmt.Errorf("p2p: listen address %q: %w; an example is /ip4/0.0.0.0/tcp/4001", s, err)
		}
		if err := h.inner.Network().Listen(m); err != nil {
			return fmt.Errorf("p2p: listen on %s: %w", s, err)
		}
	}
	for _, k := range h.book.all() {
		h.Hint(k.Key, k.Addrs)
	}
	sub, err := h.inner.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.Name("kwnode/p2p"), eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("p2p: watch connections: %w", err)
	}
	h.events = sub
	life, stop := context.WithCancel(context.Background())
	h.stop = stop
	h.handlerContext = func(timeout time.Duration) (context.Context, context.CancelFunc) {
		if timeout > 0 {
			return context.WithTimeout(life, timeout)
		}
		return context.WithCancel(life)
	}
	if reach.AutoNAT && !reach.Public && !reach.Private {
		if err := h.judgeReach(life.Done()); err != nil {
			return err
		}
	}
	h.waste.onEmpty(h.wasted)
	h.running.Go(h.watch)
	h.running.Go(func() { h.every(saveEvery, life.Done(), h.saveBook) })
	h.running.Go(func() { h.shedding(life.Done()) })
	return nil
}

// Close ends every stream and connection, then waits for the handlers to return.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closing {
		h.mu.Unlock()
		h.running.Wait()
		return nil
	}
	h.closing = true
	listeners := make([]*Listener, 0, len(h.listeners))
	for l := range h.listeners {
		listeners = append(listeners, l)
	}
	h.mu.Unlock()
	h.stop()
	for _, l := range listeners {
		l.Close()
	}
	err := h.inner.Close()
	h.events.Close()
	h.running.Wait()
	return errors.Join(err, h.book.save())
}

// Key is the host's own public key.
func (h *Host) Key() capsule.Key { return h.key }

// Raw is the token with which sub-packages of p2p reach libp2p; it is opaque to everyone else.
func (h *Host) Raw() *raw.Host { return h.token }

// Addrs returns where the host can be reached, each with its /p2p suffix.
func (h *Host) Addrs() []string { return withPeer(h.inner.Addrs(), h.inner.ID()) }

func withPeer(addrs []multiaddr.Multiaddr, p peer.ID) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String() + "/p2p/" + p.String()
	}
	return out
}

// PeerOf returns the key that the /p2p suffix of a multiaddr names.
func PeerOf(addr string) (capsule.Key, error) {
	info, err := parseAddr(addr)
	if err != nil {
		return capsule.Key{}, err
	}
	k, _ := raw.Key(info.ID)
	return k, nil
}

func parseAddr(addr string) (*peer.AddrInfo, error) {
	const want = "want an address with its peer, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo…"
	if len(addr) > 2*maxAddrLen {
		return nil, fmt.Errorf("p2p: address of %d bytes: %s", len(addr), want)
	}
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return nil, fmt.Errorf("p2p: address %q: %w; %s", addr, err, want)
	}
	if _, ok := raw.Key(info.ID); !ok {
		return nil, fmt.Errorf("p2p: address %q: the peer's key is not Ed25519", addr)
	}
	return info, nil
}

// firstTime is how long one address of several is waited for.
const firstTime = 3 * time.Second

// Addrs are the addresses in a text.
func Addrs(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
}

// First calls try with each of the addresses in a text, where commas or spaces stand between them, until one works.
func First(ctx context.Context, addrs string, try func(ctx context.Context, addr string) error) error {
	list := Addrs(addrs)
	if len(list) == 0 {
		return ErrNoAddress
	}
	var errs []error
	for i, a := range list {
		each, cancel := ctx, context.CancelFunc(func() {})
		if i < len(list)-1 {
			each, cancel = context.WithTimeout(ctx, firstTime)
		}
		err := try(each, a)
		cancel()
		if err == nil {
			return nil
		}
		if errs = append(errs, fmt.Errorf("dial %s: %w", a, err)); ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// Connect opens a connection to the peer at addr unless there is one.
func (h *Host) Connect(ctx context.Context, addr string) (capsule.Key, error) {
	info, err := parseAddr(addr)
	if err != nil {
		return capsule.Key{}, err
	}
	k, _ := raw.Key(info.ID)
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	h.unblock(info.ID)
	h.inner.Peerstore().AddAddrs(info.ID, info.Addrs, hintLife)
	if !strings.Contains(addr, "/p2p-circuit") { // a relayed connection that is there already will not do
		ctx = network.WithForceDirectDial(ctx, "asked for a direct address")
	}
	if err := h.inner.Connect(ctx, peer.AddrInfo{ID: info.ID}); err != nil {
		return k, &connectError{addr, err}
	}
	return k, nil
}

// connectError says in one line why a connection failed.
type connectError struct {
	addr string
	err  error
}

func (e *connectError) Unwrap() error { return e.err }

func (e *connectError) Error() string {
	why := []string{e.err.Error()}
	if d := (*swarm.DialError)(nil); errors.As(e.err, &d) && len(d.DialErrors) > 0 {
		why = why[:0]
		for i := range d.DialErrors {
			why = append(why, d.DialErrors[i].Cause.Error())
		}
		slices.Sort(why)
		why = slices.Compact(why)
	}
	return fmt.Sprintf("p2p: connect to %s: %s", e.addr, strings.Join(why, "; "))
}

// Disconnect closes every connection to k.
func (h *Host) Disconnect(k capsule.Key) error { return h.inner.Network().ClosePeer(raw.PeerID(k)) }

// Connected reports whether there is a connection to k, relayed ones included.
func (h *Host) Connected(k capsule.Key) bool {
	c := h.inner.Network().Connectedness(raw.PeerID(k))
	return c == network.Connected || c == network.Limited
}

// Hint adds addresses where k may be; nothing is believed until a connection proves the key. What does not parse is
// left out.
func (h *Host) Hint(k capsule.Key, addrs []string) {
	id := raw.PeerID(k)
	for _, s := range addrs[:min(len(addrs), maxStoredAddrs)] {
		if m, err := multiaddr.NewMultiaddr(s); err == nil {
			m, _ = peer.SplitAddr(m)
			h.inner.Peerstore().AddAddr(id, m, hintLife)
		}
	}
}

// AddrsOf returns the multiaddrs that are known of a peer now, without the /p2p suffix: those that it told, and hints.
func (h *Host) AddrsOf(k capsule.Key) []string {
	var out []string
	for _, a := range h.inner.Peerstore().Addrs(raw.PeerID(k)) {
		out = append(out, a.String())
	}
	return out
}

// Remembered returns the peers this host reached before, last first, across restarts.
func (h *Host) Remembered() []Known { return h.book.all() }

// SetResolver installs the way to find a peer whose addresses are missing or stale; nil removes it.
func (h *Host) SetResolver(r Resolver) {
	if r == nil {
		h.resolve.Store(nil)
		return
	}
	h.resolve.Store(&r)
}

// Protect keeps the connections of k when the connection manager trims, and lets the host redial it without back-off.
// tag names the reason, so that several can hold at once.
func (h *Host) Protect(k capsule.Key, tag string) {
	h.inner.ConnManager().Protect(raw.PeerID(k), tag)
	h.remember(raw.PeerID(k))
}

// Unprotect takes one reason away. It reports whether another still holds.
func (h *Host) Unprotect(k capsule.Key, tag string) bool {
	return h.inner.ConnManager().Unprotect(raw.PeerID(k), tag)
}

// Shut disconnects k and refuses its connections for d. The network that it is connected from pays for it: some more
// such peers, and it is refused too.
func (h *Host) Shut(k capsule.Key, d time.Duration) {
	var from []multiaddr.Multiaddr
	for _, c := range h.inner.Network().ConnsToPeer(raw.PeerID(k)) {
		if c.Stat().Direction == network.DirInbound {
			from = append(from, c.RemoteMultiaddr())
			break
		}
	}
	h.gate.shut(k, d, from...)
	if err := h.Disconnect(k); err != nil {
		h.log.Debug("disconnect", "peer", k, "err", err)
	}
}

// Block cuts the host off from exactly these keys: their connections end, and there are no new ones, until another call
// leaves them out.
func (h *Host) Block(keys ...capsule.Key) {
	now := make(map[capsule.Key]bool, len(keys))
	for _, k := range keys {
		now[k] = true
	}
	before := h.gate.blocked.Swap(&now)
	for _, k := range keys {
		if err := h.Disconnect(k); err != nil {
			h.log.Debug("disconnect", "peer", k, "err", err)
		}
	}
	if s, ok := h.inner.Network().(*swarm.Swarm); ok && before != nil {
		for k := range *before { // they were out of reach by our own will
			s.Backoff().Clear(raw.PeerID(k))
		}
	}
}

// OnPeer calls fn for each PeerEvent, in order and one at a time, until stop is called. fn must not block.
func (h *Host) OnPeer(fn func(PeerEvent)) (stop func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watchers[&fn] = struct{}{}
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.watchers, &fn)
	}
}

// Dial opens a stream of the protocol id to k, connecting first if needed: to the addresses it knows, then to those
// that the resolver finds. A context without a deadline gets 15 s.
func (h *Host) Dial(ctx context.Context, k capsule.Key, id string) (*Stream, error) {
	ctx, cancel := withDefaultTimeout(ctx)
	defer cancel()
	p := raw.PeerID(k)
	if err := h.reach(ctx, p, k); err != nil {
		return nil, fmt.Errorf("p2p: open %s to %s: %w", id, k, err)
	}
	s, err := h.inner.NewStream(network.WithNoDial(ctx, "connected above"), p, protocol.ID(id))
	if err != nil {
		return nil, fmt.Errorf("p2p: open %s to %s: %w", id, k, refusal(err))
	}
	h.countDial(id)
	return &Stream{s: s, peer: k, self: h.key, proto: id, sent: h.line.count(id, k)}, nil
}

// reach makes sure that there is a connection to p.
func (h *Host) reach(ctx context.Context, p peer.ID, k capsule.Key) error {
	switch h.inner.Network().Connectedness(p) {
	case network.Connected:
		return nil
	case network.Limited:
		// Only a relay between us. If a direct address works, good; if not, opening the stream waits for hole punching.
		_ = h.inner.Connect(network.WithForceDirectDial(ctx, "relays carry no protocols"), peer.AddrInfo{ID: p})
		return nil
	}
	h.unblock(p)
	err := ErrNoAddress
	if len(h.inner.Peerstore().Addrs(p)) > 0 {
		if err = h.inner.Connect(ctx, peer.AddrInfo{ID: p}); err == nil {
			return nil
		}
	}
	if r := h.resolve.Load(); r != nil && ctx.Err() == nil {
		if addrs := (*r)(ctx, k); len(addrs) > 0 {
			h.Hint(k, addrs)
			if again := h.inner.Connect(ctx, peer.AddrInfo{ID: p}); again != nil {
				return again
			}
			return nil
		}
	}
	return err
}

// unblock clears the dial back-off of a protected peer, and gives it its remembered addresses again once they have
// aged out. libp2p backs off for up to 5 minutes, far longer than a voter takes to restart; who dials voters paces
// itself.
func (h *Host) unblock(p peer.ID) {
	if !h.inner.ConnManager().IsProtected(p, "") {
		return
	}
	if s, ok := h.inner.Network().(*swarm.Swarm); ok {
		s.Backoff().Clear(p)
	}
	if k, ok := raw.Key(p); ok && len(h.inner.Peerstore().Addrs(p)) == 0 {
		h.Hint(k, h.book.addrs(k))
	}
}

func (h *Host) countDial(id string) {
	h.mu.Lock()
	c := h.dialled[id]
	if c == nil {
		c = new(atomic.Uint64)
		h.dialled[id] = c
	}
	h.mu.Unlock()
	c.Add(1)
}

// watch turns libp2p's events into ours until the subscription closes.
func (h *Host) watch() {
	for e := range h.events.Out() {
		ev, ok := e.(event.EvtPeerConnectednessChanged)
		if !ok {
			continue
		}
		k, ok := raw.Key(ev.Peer)
		if !ok {
			continue
		}
		up := ev.Connectedness == network.Connected || ev.Connectedness == network.Limited
		if up && h.gate.isBlocked(k) { // it was on its way in when Block ended the others
			if err := h.Disconnect(k); err != nil {
				h.log.Debug("disconnect", "peer", k, "err", err)
			}
		}
		if up {
			h.remember(ev.Peer)
		}
		h.mu.Lock()
		fns := make([]func(PeerEvent), 0, len(h.watchers))
		for fn := range h.watchers {
			fns = append(fns, *fn)
		}
		h.mu.Unlock()
		for _, fn := range fns {
			fn(PeerEvent{Peer: k, Connected: up})
		}
	}
}

// remember notes the addresses that p was reached at. Those of inbound connections are not ours to redial.
func (h *Host) remember(p peer.ID) {
	k, ok := raw.Key(p)
	if !ok {
		return
	}
	var addrs []string
	for _, c := range h.inner.Network().ConnsToPeer(p) {
		if c.Stat().Direction == network.DirOutbound && !c.Stat().Limited {
			addrs = append(addrs, c.RemoteMultiaddr().String())
		}
	}
	if h.inner.ConnManager().IsProtected(p, "") {
		for _, m := range h.inner.Peerstore().Addrs(p) {
			if s := m.String(); !slices.Contains(addrs, s) {
				addrs = append(addrs, s)
			}
		}
	}
	h.book.saw(k, addrs, time.Now())
}

// every calls fn each d until done.
func (h *Host) every(d time.Duration, done <-chan struct{}, fn func()) {
	t := time.NewTicker(d)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
			fn()
		}
	}
}

func (h *Host) saveBook() {
	if err := h.book.save(); err != nil {
		h.log.Warn("save remembered peers", "err", err)
	}
}

// connectedIDs returns the connected peers, for libp2p's own services.
func (h *Host) connectedIDs() []peer.ID {
	ids := h.inner.Network().Peers()
	slices.SortFunc(ids, func(a, b peer.ID) int { return cmp.Compare(a, b) })
	return ids
}

// relayCandidates offers up to n connected peers as relays; libp2p asks each whether it relays.
func (h *Host) relayCandidates(_ context.Context, n int) <-chan peer.AddrInfo {
	ids := h.connectedIDs()
	out := make(chan peer.AddrInfo, min(n, len(ids)))
	for _, id := range ids[:min(n, len(ids))] {
		out <- peer.AddrInfo{ID: id, Addrs: h.inner.Peerstore().Addrs(id)}
	}
	close(out)
	return out
}

func withDefaultTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, openTimeout)
}
