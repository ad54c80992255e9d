package p2p

import (
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/config"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	basichost "github.com/libp2p/go-libp2p/p2p/host/basic"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// Reach says how peers get through to this host. The zero value relies on the addresses in Config.Listen alone.
type Reach struct {
	PortMap   bool     // ask the local router for a port (UPnP, NAT-PMP)
	AutoNAT   bool     // let peers test which of our addresses work (AutoNAT v2), and test theirs
	HolePunch bool     // turn relayed connections into direct ones
	Relay     bool     // when unreachable, hold a place at a relay among Relays, or among connected peers
	Relays    []string // relays to use instead of connected peers
	Serve     bool     // relay for others once known to be reachable: 2 minutes and 128 KiB a connection (libp2p's defaults)
	Public    bool     // do not wait for AutoNAT: everybody reaches the addresses in Config.Listen
	Private   bool     // do not wait for AutoNAT: nobody does
}

// DefaultReach is what a node on an unknown network wants: everything but relaying for others.
func DefaultReach() Reach { return Reach{PortMap: true, AutoNAT: true, HolePunch: true, Relay: true} }

const (
	relayEvery = 10 * time.Second // between two looks for relays among the connected peers
	// relayBoot is how long to look for four relays to choose from; libp2p's own 3 minutes are long in a mesh that has one.
	relayBoot = 10 * time.Second
)

// gracePeriod spares new connections from trimming while they show what they are for.
const gracePeriod = 20 * time.Second

// build makes the libp2p host, listening nowhere yet: libp2p is content when one of many addresses works, we are not.
//
// It fills libp2p's configuration itself, for libp2p's package of options links its defaults, too, and with them WebRTC,
// WebTransport and WebSockets: 6 MB of program that nothing here calls.
func build(cfg Config, g *gate, w *waste, relays autorelay.PeerSource) (host.Host, error) {
	if cfg.Packets != nil { // no router to ask for ports, no kernel to bind a second address
		cfg.Reach.PortMap, cfg.Reach.AutoNAT = false, false
	}
	limits := cfg.Limits
	key, err := crypto.UnmarshalEd25519PrivateKey(cfg.Identity.PrivateKey())
	if err != nil {
		return nil, err
	}
	manager, err := connmgr.NewConnManager(limits.LowPeers, limits.HighPeers, connmgr.WithGracePeriod(gracePeriod))
	if err != nil {
		return nil, err
	}
	resources, err := resourceManager(limits, w)
	if err != nil {
		return nil, err
	}
	store, err := pstoremem.NewPeerstore(
		pstoremem.WithMaxAddresses(32*limits.HighPeers), pstoremem.WithMaxAddressesPerPeer(maxStoredAddrs),
		pstoremem.WithMaxSignedPeerRecords(4*limits.HighPeers), pstoremem.WithMaxProtocols(128))
	if err != nil {
		return nil, err
	}
	c := &config.Config{
		PeerKey: key, UserAgent: "kwnode", ProtocolVersion: "/kitwork/1",
		ListenAddrs: []ma.Multiaddr{}, RelayCustom: true, Relay: true, DisableMetrics: true,
		ConnManager: manager, ConnectionGater: g, ResourceManager: resources, Peerstore: store,
		SecurityTransports: []config.Security{{ID: noise.ID, Constructor: noise.New}},
		Muxers:             []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: streamMuxer()}},
		DialTimeout:        dialTimeout,
		// After 95 failed dials of 100 libp2p takes UDP, or IPv6, for blocked and stops using it. In a mesh where nodes
		// come, go and move, most known addresses are stale: it then refused to dial the ones that worked.
		CustomUDPBlackHoleSuccessCounter: true, CustomIPv6BlackHoleSuccessCounter: true,
	}
	if err := cfg.Reach.apply(c, relays); err != nil {
		return nil, err
	}
	if cfg.Packets != nil {
		return newSimulated(cfg.Packets, c)
	}
	if cfg.Line == nil && cfg.LinkDelay > 0 {
		cfg.Line = NewLine(cfg.LinkDelay)
	}
	if cfg.Line != nil {
		c.Transports = []fx.Option{provide(delayedTCP(cfg.Line))}
	} else {
		c.Transports = []fx.Option{provide(libp2pquic.NewTransport), provide(tcp.NewTCPTransport)}
	}
	return c.NewNode()
}

// provide makes a transport's constructor known to libp2p.
func provide(constructor any) fx.Option {
	return fx.Provide(fx.Annotate(constructor, fx.As(new(transport.Transport)), fx.ResultTags(`group:"transport"`)))
}

func (r Reach) apply(c *config.Config, candidates autorelay.PeerSource) error {
	if r.PortMap {
		c.NATManager = basichost.NewNATManager
	}
	c.EnableAutoNATv2, c.EnableHolePunching, c.EnableRelayService = r.AutoNAT, r.HolePunch, r.Serve
	if r.Public {
		public := network.ReachabilityPublic
		c.ForceReachability = &public
	}
	if r.Private {
		private := network.ReachabilityPrivate
		c.ForceReachability = &private
	}
	var static []peer.AddrInfo
	for _, s := range r.Relays {
		info, err := parseAddr(s)
		if err != nil {
			return fmt.Errorf("relay: %w", err)
		}
		static = append(static, *info)
	}
	if c.EnableAutoRelay = r.Relay; len(static) > 0 {
		c.AutoRelayOpts = []autorelay.Option{autorelay.WithStaticRelays(static)}
	} else {
		c.AutoRelayOpts = []autorelay.Option{autorelay.WithPeerSource(candidates), autorelay.WithMinInterval(relayEvery), autorelay.WithBootDelay(relayBoot)}
	}
	return nil
}

// simulated is a host whose QUIC runs over given packets.
type simulated struct {
	host.Host
	quic *quicreuse.ConnManager
}

func newSimulated(packets func(*net.UDPAddr) (net.PacketConn, error), c *config.Config) (host.Host, error) {
	s := new(simulated)
	ip := new(fixedIP)
	c.Transports = []fx.Option{provide(libp2pquic.NewTransport)}
	// The observer of our address starts timers that keep a virtual clock from ever being idle.
	c.DisableIdentifyAddressDiscovery = true
	c.QUICReuse = []fx.Option{fx.Provide(func(reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		var err error
		s.quic, err = quicreuse.NewConnManager(reset, token,
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return ip, nil }),
			quicreuse.OverrideListenUDP(func(_ string, a *net.UDPAddr) (net.PacketConn, error) {
				ip.IP = a.IP
				return packets(a)
			}))
		return s.quic, err
	})}
	var err error
	if s.Host, err = c.NewNode(); err != nil {
		return nil, err
	}
	return s, nil
}

// Close also closes the QUIC sockets, which libp2p leaves to whoever supplied them.
func (s *simulated) Close() error {
	err := s.Host.Close()
	s.quic.Close()
	return err
}

type fixedIP struct{ net.IP }

func (f *fixedIP) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) { return f.IP, nil }
