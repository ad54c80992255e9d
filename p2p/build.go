package p2p

import (
	"fmt"
	"net"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
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
func build(cfg Config, g *gate, w *waste, relays autorelay.PeerSource) (host.Host, error) {
	if cfg.Packets != nil { // no router to ask for ports, no kernel to bind a second address
		cfg.Reach.PortMap, cfg.Reach.AutoNAT = false, false
	}
	more, err := reachOptions(cfg.Reach, relays)
	if err != nil {
		return nil, err
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
	opts := []libp2p.Option{
		libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.DisableMetrics(),
		libp2p.UserAgent("kwnode"), libp2p.ProtocolVersion("/kitwork/1"),
		libp2p.ConnectionManager(manager), libp2p.ConnectionGater(g), libp2p.ResourceManager(resources), libp2p.Peerstore(store),
		libp2p.Security(noise.ID, noise.New), libp2p.Muxer(yamux.ID, streamMuxer()),
		libp2p.WithDialTimeout(dialTimeout),
		// After 95 failed dials of 100 libp2p takes UDP, or IPv6, for blocked and stops using it. In a mesh where nodes
		// come, go and move, most known addresses are stale: it then refused to dial the ones that worked.
		libp2p.UDPBlackHoleSuccessCounter(nil), libp2p.IPv6BlackHoleSuccessCounter(nil),
	}
	opts = append(opts, more...)
	if cfg.Packets != nil {
		return newSimulated(cfg.Packets, opts)
	}
	if cfg.Line == nil && cfg.LinkDelay > 0 {
		cfg.Line = NewLine(cfg.LinkDelay)
	}
	if cfg.Line != nil {
		return libp2p.New(append(opts, libp2p.Transport(delayedTCP(cfg.Line)))...)
	}
	return libp2p.New(append(opts, libp2p.Transport(libp2pquic.NewTransport), libp2p.Transport(tcp.NewTCPTransport))...)
}

func reachOptions(r Reach, candidates autorelay.PeerSource) ([]libp2p.Option, error) {
	var opts []libp2p.Option
	add := func(on bool, o libp2p.Option) {
		if on {
			opts = append(opts, o)
		}
	}
	add(r.PortMap, libp2p.NATPortMap())
	add(r.AutoNAT, libp2p.EnableAutoNATv2())
	add(r.HolePunch, libp2p.EnableHolePunching())
	add(r.Serve, libp2p.EnableRelayService())
	add(r.Public, libp2p.ForceReachabilityPublic())
	add(r.Private, libp2p.ForceReachabilityPrivate())
	if len(r.Relays) > 0 {
		var static []peer.AddrInfo
		for _, s := range r.Relays {
			info, err := parseAddr(s)
			if err != nil {
				return nil, fmt.Errorf("relay: %w", err)
			}
			static = append(static, *info)
		}
		add(r.Relay, libp2p.EnableAutoRelayWithStaticRelays(static))
	} else {
		add(r.Relay, libp2p.EnableAutoRelayWithPeerSource(candidates, autorelay.WithMinInterval(relayEvery), autorelay.WithBootDelay(relayBoot)))
	}
	return opts, nil
}

// simulated is a host whose QUIC runs over given packets.
type simulated struct {
	host.Host
	quic *quicreuse.ConnManager
}

func newSimulated(packets func(*net.UDPAddr) (net.PacketConn, error), opts []libp2p.Option) (host.Host, error) {
	s := new(simulated)
	ip := new(fixedIP)
	opts = append(opts, libp2p.Transport(libp2pquic.NewTransport),
		// The observer of our address starts timers that keep a virtual clock from ever being idle.
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.QUICReuse(quicreuse.NewConnManager,
			func(m *quicreuse.ConnManager) error { s.quic = m; return nil },
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return ip, nil }),
			quicreuse.OverrideListenUDP(func(_ string, a *net.UDPAddr) (net.PacketConn, error) {
				ip.IP = a.IP
				return packets(a)
			})))
	var err error
	if s.Host, err = libp2p.New(opts...); err != nil {
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
