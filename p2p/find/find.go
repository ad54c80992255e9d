// Package find finds the peers of a zone: through a Kademlia DHT of our own, the LAN, given addresses and peers known from before; it must never know what makes a peer a member, only ask.
//
// Whatever is found is a hint. A record in the DHT says that a peer claims to serve a zone, and nothing more: the
// closest IDs to any key can be bought by grinding keys. Config.Check asks the peer itself, for a descriptor that the
// zone signed, and only what passes is returned.
package find

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
)

// Prefix of the DHT's protocol, /kitwork/kad/1.0.0. No public DHT answers it.
const Prefix = "/kitwork"

// lanService is the mDNS service name (RFC 6763).
const lanService = "_kitwork._udp"

// Mode is a host's part in the DHT.
type Mode uint8

const (
	Auto   Mode = iota // answer, unless AutoNAT finds that nobody can reach us
	Server             // answer
	Client             // ask only: clients, and workers with outbound connections only
)

// Config sets up a Finder. Check is required.
type Config struct {
	Mode Mode
	// Bootstrap are multiaddrs of any nodes of the mesh, with their /p2p suffix.
	Bootstrap []string
	// LAN announces this host, and finds others, by multicast DNS.
	LAN bool
	// Check asks peer to prove that it serves zone. It may be called for many peers at once and for the same one again. An error
	// that is ErrNotYet has it called again soon.
	Check func(ctx context.Context, zone capsule.ZoneID, peer capsule.Key) error
	// MinPeers: with fewer connections, bootstrap and remembered peers are dialled again; default 4.
	MinPeers int
}

const (
	provideEvery = 10 * time.Minute       // when nothing changes; a record lives recordLife, so five repetitions may fail
	provideAgain = 5 * time.Second        // after a failure, and after the first success
	provideSoon  = 250 * time.Millisecond // while nobody is known
	recordLife   = time.Hour
	provideTime  = time.Minute // of one attempt
	maintain     = 15 * time.Second
	dialTime     = 10 * time.Second
	readyTime    = 3 * time.Second
	readyPoll    = 5 * time.Millisecond
	maxZones     = 64 // that one host provides
)

// Finder is a host's part in the discovery. All methods may be called from any goroutine.
type Finder struct {
	h     *p2p.Host
	inner host.Host
	cfg   Config
	dht   *dht.IpfsDHT
	lan   mdns.Service // nil without LAN
	rate  *quota.Table[peer.ID]
	held  *heldRecords
	stop  context.CancelFunc
	wg    sync.WaitGroup
	wake  chan struct{} // one token: something is due
	count counts

	mu       sync.Mutex // owns the fields below
	provided map[capsule.ZoneID]*provision
	known    map[capsule.ZoneID][]capsule.Key // proven members, last proven first, at most maxKnown
	lanPeers []capsule.Key                    // last seen last, at most maxKnown
	failed   map[claim]silence                // who could not prove what, and for how long it is not asked again
	outcomes []Outcome                        // what became of claims, last last, at most maxOutcomes
}

type counts struct {
	finds, found, empty, retried, checks, refuted, limited atomic.Uint64
}

// provision is a zone that this host provides.
type provision struct {
	due  time.Time
	last time.Time     // of the last success
	wait time.Duration // until it is repeated; grows up to provideEvery
	err  error         // of the last attempt
}

// New takes part in the discovery on h: it dials the bootstrap and remembered peers and keeps doing so.
func New(h *p2p.Host, cfg Config) (*Finder, error) {
	if cfg.Check == nil {
		return nil, errors.New("find: config has no Check; without it a claim in the DHT would pass for the truth")
	}
	if cfg.MinPeers == 0 {
		cfg.MinPeers = 4
	}
	for _, a := range cfg.Bootstrap {
		k, err := p2p.PeerOf(a)
		if err != nil {
			return nil, fmt.Errorf("find: bootstrap: %w", err)
		}
		h.Hint(k, []string{a})
	}
	f := &Finder{
		h: h, inner: raw.Unwrap(h.Raw()), cfg: cfg, wake: make(chan struct{}, 1),
		rate: quota.New[peer.ID](1024, 20, 200), held: newHeld(),
		provided: make(map[capsule.ZoneID]*provision), known: make(map[capsule.ZoneID][]capsule.Key),
		failed: make(map[claim]silence),
	}
	var err error
	if f.dht, err = dht.New(f.inner, f.options()...); err != nil {
		return nil, fmt.Errorf("find: %w", err)
	}
	sub, err := f.inner.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("kwnode/find"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find: %w", err), f.dht.Close())
	}
	if err := f.startLAN(); err != nil {
		return nil, errors.Join(err, sub.Close(), f.dht.Close())
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop = stop
	h.SetResolver(f.resolve)
	f.wg.Go(func() { f.run(ctx, sub) })
	return f, nil
}

func (f *Finder) options() []dht.Option {
	mode := map[Mode]dht.ModeOpt{Auto: dht.ModeAutoServer, Server: dht.ModeServer, Client: dht.ModeClient}[f.cfg.Mode]
	return []dht.Option{
		dht.ProtocolPrefix(Prefix), dht.Mode(mode), dht.DisableValues(),
		dht.ProviderDatastore(newRecordStore(maxRecords, maxPerProvider)),
		dht.ProviderManagerOpts(records.ProvideValidity(recordLife), records.ProviderAddrTTL(recordLife), records.CleanupInterval(recordLife/4)),
		dht.RoutingTablePeerDiversityFilter(newDiversity(f.inner)),
		dht.OnRequestHook(f.vet),
		dht.BootstrapPeersFunc(f.bootstrapPeers),
	}
}

// vet runs before the DHT handles a request. Over the peer's rate the request is made one that the DHT does not know,
// which ends the stream.
func (f *Finder) vet(_ context.Context, s network.Stream, req *pb.Message) {
	from := s.Conn().RemotePeer()
	if !f.rate.Allow(from, 1) {
		f.count.limited.Add(1)
		req.Type = pb.Message_MessageType(-1)
		return
	}
	if req.GetType() == pb.Message_ADD_PROVIDER {
		if k, ok := raw.Key(from); ok {
			f.held.note(req.GetKey(), k, time.Now())
		}
	}
}

// Close stops looking and providing. Records that peers hold expire by themselves.
func (f *Finder) Close() error {
	f.h.SetResolver(nil)
	f.stop()
	f.wg.Wait()
	var err error
	if f.lan != nil {
		err = f.lan.Close()
	}
	return errors.Join(err, f.dht.Close())
}

// run keeps the host connected and its records alive until ctx ends.
func (f *Finder) run(ctx context.Context, moved event.Subscription) {
	defer moved.Close()
	t := time.NewTicker(maintain)
	defer t.Stop()
	f.reconnect(ctx)
	for {
		f.provideDue(ctx)
		select {
		case <-ctx.Done():
			return
		case <-moved.Out(): // records with our old addresses are stale
			f.mu.Lock()
			for _, p := range f.provided {
				p.due, p.wait = time.Time{}, 0
			}
			f.mu.Unlock()
		case <-f.wake:
		case <-t.C:
			f.reconnect(ctx)
		}
	}
}

// reconnect dials bootstrap, LAN and remembered peers while there are fewer connections than wanted, a few at a time.
func (f *Finder) reconnect(ctx context.Context) {
	have := len(f.inner.Network().Peers())
	if have >= f.cfg.MinPeers {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, k := range f.waysIn() {
		if f.h.Connected(k) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			// The next round tries again what fails.
			_ = f.inner.Connect(ctx, peer.AddrInfo{ID: raw.PeerID(k)})
		})
	}
	wg.Wait()
	if len(f.inner.Network().Peers()) > have {
		f.dht.RefreshRoutingTable()
	}
}

// ready waits, a while, for the routing table to have somebody in it: a host that has just started is connected and
// knows what its peers speak only a few round trips later.
func (f *Finder) ready(ctx context.Context) {
	if f.dht.RoutingTable().Size() > 0 {
		return
	}
	f.reconnect(ctx)
	t := time.NewTicker(readyPoll)
	defer t.Stop()
	for end := time.Now().Add(readyTime); f.dht.RoutingTable().Size() == 0 && time.Now().Before(end); {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// waysIn lists the peers known without the DHT: given, then on the LAN, then remembered, at most maxWaysIn.
func (f *Finder) waysIn() []capsule.Key {
	const maxWaysIn = 32
	var out []capsule.Key
	seen := map[capsule.Key]bool{f.h.Key(): true}
	add := func(k capsule.Key, addrs []string) {
		if !seen[k] && len(out) < maxWaysIn {
			seen[k] = true
			f.h.Hint(k, addrs)
			out = append(out, k)
		}
	}
	for _, a := range f.cfg.Bootstrap {
		if k, err := p2p.PeerOf(a); err == nil {
			add(k, []string{a})
		}
	}
	f.mu.Lock()
	lan := append([]capsule.Key(nil), f.lanPeers...)
	f.mu.Unlock()
	for _, k := range lan {
		add(k, nil)
	}
	for _, p := range f.h.Remembered() {
		add(p.Key, p.Addrs)
	}
	return out
}

func (f *Finder) bootstrapPeers() []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, k := range f.waysIn() {
		id := raw.PeerID(k)
		out = append(out, peer.AddrInfo{ID: id, Addrs: f.inner.Peerstore().Addrs(id)})
	}
	return out
}

// Addrs looks up where a peer can be reached: hints, as everything in the DHT.
func (f *Finder) Addrs(ctx context.Context, k capsule.Key) []string { return f.resolve(ctx, k) }

// resolve looks a peer up in the DHT, for the host that has no working address of it.
func (f *Finder) resolve(ctx context.Context, k capsule.Key) []string {
	f.ready(ctx)
	info, err := f.dht.FindPeer(ctx, raw.PeerID(k))
	if err != nil {
		return nil
	}
	out := make([]string, len(info.Addrs))
	for i, a := range info.Addrs {
		out[i] = a.String()
	}
	return out
}

// zoneCID is the DHT key of a zone.
func zoneCID(zone capsule.ZoneID) cid.Cid {
	mh := append([]byte{0x12, 0x20}, zone[:]...) // sha2-256, 32 bytes
	return cid.NewCidV1(uint64(capsule.DagCBOR), mh)
}

// Provide announces that this host serves zone, now and until Unprovide. The error is of the first attempt; more follow
// in the background whatever it is.
func (f *Finder) Provide(ctx context.Context, zone capsule.ZoneID) error {
	f.mu.Lock()
	if f.provided[zone] == nil {
		if len(f.provided) >= maxZones {
			f.mu.Unlock()
			return fmt.Errorf("find: %d zones are provided, which is the most", maxZones)
		}
		f.provided[zone] = &provision{due: time.Now().Add(provideTime)} // the attempt below comes first
	}
	f.mu.Unlock()
	f.ready(ctx)
	return f.provide(ctx, zone)
}

// Unprovide stops announcing zone.
func (f *Finder) Unprovide(zone capsule.ZoneID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.provided, zone)
}

func (f *Finder) provideDue(ctx context.Context) {
	now := time.Now()
	f.mu.Lock()
	var due []capsule.ZoneID
	for z, p := range f.provided {
		if !now.Before(p.due) {
			due = append(due, z)
		}
	}
	f.mu.Unlock()
	for _, z := range due {
		if ctx.Err() != nil {
			return
		}
		// The outcome is in the zone's provision.
		_ = f.provide(ctx, z)
	}
}

func (f *Finder) provide(ctx context.Context, zone capsule.ZoneID) error {
	ctx, cancel := context.WithTimeout(ctx, provideTime)
	defer cancel()
	err, again := errAlone, provideSoon
	if f.dht.RoutingTable().Size() > 0 {
		err, again = f.dht.Provide(ctx, zoneCID(zone), true), provideAgain
	}
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.provided[zone]; p != nil {
		p.err = err
		if err == nil {
			// Whoever joins later may be closer to the zone: a record is put there the sooner the younger the net may be.
			p.wait = min(max(2*p.wait, provideAgain), provideEvery)
			p.last, p.due = now, now.Add(p.wait)
			time.AfterFunc(p.wait, f.signal)
		} else {
			p.due = now.Add(again)
			time.AfterFunc(again, f.signal)
		}
	}
	if err != nil {
		return fmt.Errorf("find: provide %s: %w; it is repeated until it works", zone, err)
	}
	return nil
}

var errAlone = errors.New("no peer that answers the DHT is known yet")

func (f *Finder) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// startLAN begins to announce and listen by multicast DNS.
func (f *Finder) startLAN() error {
	if !f.cfg.LAN {
		return nil
	}
	s := mdns.NewMdnsService(f.inner, lanService, (*lanFound)(f))
	if err := s.Start(); err != nil {
		return fmt.Errorf("find: mDNS: %w; without it set LAN to false", err)
	}
	f.lan = s
	return nil
}

// lanFound takes what mDNS hears. Anyone on the LAN can say anything, so it is kept short and only dialled when
// connections lack.
type lanFound Finder

func (l *lanFound) HandlePeerFound(p peer.AddrInfo) {
	f := (*Finder)(l)
	k, ok := raw.Key(p.ID)
	if !ok || k == f.h.Key() {
		return
	}
	addrs := make([]string, len(p.Addrs))
	for i, a := range p.Addrs {
		addrs[i] = a.String()
	}
	f.h.Hint(k, addrs)
	f.mu.Lock()
	f.lanPeers = remember(f.lanPeers, k)
	f.mu.Unlock()
	f.signal()
}
