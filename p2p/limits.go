package p2p

import (
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/autonat"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/x/rate"
)

// Limits bounds what strangers can make a host hold. A zero field takes its default.
type Limits struct {
	// LowPeers and HighPeers: above HighPeers connections the connection manager closes the least useful unprotected
	// ones until LowPeers remain.
	// Invariant: LowPeers ≤ HighPeers, and 2×HighPeers inbound connections are admitted, so that a trim always comes
	// before a refusal and a newcomer can get in.
	LowPeers, HighPeers int
	// Memory is what libp2p may reserve for stream windows and protocol buffers, in bytes; default 512 MiB. It is a
	// promise, not use: yamux must let a peer send 256 KiB on every stream before anything is read (its specification
	// fixes that), so 128 peers with two gossip streams each reserve 64 MiB and use next to nothing. Where a reservation
	// fails yamux ends the whole connection, so a count must be reached first: see perPeerStreams and Host.shed.
	Memory int64
	// ConnsPerIP bounds the connections at once from one IPv4 address or IPv6 /56.
	ConnsPerIP int
	// ConnsPerSec bounds the new connections a second from one such address after a burst of 4×ConnsPerIP.
	ConnsPerSec float64
	// Shared are networks where many honest peers stand behind one address, so that no limit holds for an address there
	// and none pays for the peers behind it. Nil is the loopback.
	Shared []netip.Prefix
}

func (l Limits) withDefaults() (Limits, error) {
	def := Limits{LowPeers: 96, HighPeers: 128, Memory: 512 << 20, ConnsPerIP: 16, ConnsPerSec: 2}
	if l.HighPeers == 0 {
		l.HighPeers = max(def.HighPeers, l.LowPeers)
	}
	if l.LowPeers == 0 {
		l.LowPeers = min(def.LowPeers, l.HighPeers)
	}
	if l.Memory == 0 {
		l.Memory = def.Memory
	}
	if l.ConnsPerIP == 0 {
		l.ConnsPerIP = def.ConnsPerIP
	}
	if l.ConnsPerSec == 0 {
		l.ConnsPerSec = def.ConnsPerSec
	}
	if l.Shared == nil {
		l.Shared = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	}
	if l.LowPeers < 0 || l.LowPeers > l.HighPeers || l.HighPeers > 1<<16 {
		return l, fmt.Errorf("p2p: limits: low %d and high %d peers: want 0 ≤ low ≤ high ≤ 65536", l.LowPeers, l.HighPeers)
	}
	if l.Memory < 32<<20 {
		return l, fmt.Errorf("p2p: limits: memory of %d bytes is under the 32 MiB that a host needs", l.Memory)
	}
	return l, nil
}

// unnamed is how many inbound streams, of all peers, may be open without having named a protocol. Each costs a
// goroutine and about 10 KB, for at most the 10 s that libp2p waits.
func (l Limits) unnamed() int { return 8*l.HighPeers + 256 }

// perPeerStreams is how many streams one peer may have open with us. More are refused, one by one. yamux lets half as
// many more in on their way to be refused, so that they are counted.
//
// Invariant: their windows, and 256 KiB for each handler, fit in a sixth of the default memory.
const perPeerStreams = 128

// maxWindow is the largest receive window of one stream. A window doubles while the reader keeps up and the memory
// limits allow; 4 MiB carries 40 MB/s over a round trip of 100 ms.
const maxWindow = 4 << 20

// maxFrame is the largest frame of yamux. A connection queues 64 frames for a peer that reads slowly: 1 MiB instead of
// the 4 MiB of its default, at the same speed (560 MB/s on loopback).
const maxFrame = 16 << 10

// streamMuxer returns yamux with our bounds.
func streamMuxer() *yamux.Transport {
	t := *yamux.DefaultTransport
	t.MaxStreamWindowSize, t.MaxMessageSize, t.MaxIncomingStreams = maxWindow, maxFrame, perPeerStreams*3/2
	return &t
}

// resourceManager builds the accounting that every connection and stream passes. Nothing is derived from the machine:
// two hosts with the same Limits refuse at the same point.
func resourceManager(l Limits, w *waste) (network.ResourceManager, error) {
	base := rcmgr.DefaultLimits.Scale(0, 0)

	conns := rcmgr.LimitVal(l.HighPeers)
	system := rcmgr.ResourceLimits{
		ConnsInbound: 2 * conns, ConnsOutbound: conns, Conns: 3 * conns, FD: 3 * conns,
		StreamsInbound: 32 * conns, StreamsOutbound: 32 * conns, Streams: 64 * conns,
		Memory: rcmgr.LimitVal64(l.Memory),
	}
	// Not yet authenticated connections, and streams that have named no protocol. All peers share it, so it is many
	// times what one may open: with 288 against 256, one peer that opened streams and said nothing kept all others
	// out. Host.shed deals with many such peers.
	transient := rcmgr.ResourceLimits{
		ConnsInbound: conns/2 + 8, ConnsOutbound: conns/2 + 8, Conns: conns + 16, FD: conns + 16,
		StreamsInbound: rcmgr.LimitVal(l.unnamed()), StreamsOutbound: rcmgr.LimitVal(l.unnamed()), Streams: 2 * rcmgr.LimitVal(l.unnamed()),
		Memory: rcmgr.LimitVal64(l.Memory / 4),
	}
	perPeer := rcmgr.ResourceLimits{
		ConnsInbound: 8, ConnsOutbound: 8, Conns: 12, FD: 12,
		StreamsInbound: perPeerStreams, StreamsOutbound: 512, Streams: 512,
		Memory: rcmgr.LimitVal64(l.Memory / 6),
	}
	perProtocol := rcmgr.ResourceLimits{
		StreamsInbound: 16 * conns, StreamsOutbound: 16 * conns, Streams: 32 * conns,
		Memory: rcmgr.LimitVal64(l.Memory / 2),
	}
	perProtocolPeer := rcmgr.ResourceLimits{
		StreamsInbound: perPeerStreams, StreamsOutbound: 256, Streams: 320,
		Memory: rcmgr.LimitVal64(l.Memory / 4),
	}
	limits := rcmgr.PartialLimitConfig{
		System: system, Transient: transient, PeerDefault: perPeer,
		ProtocolDefault: perProtocol, ProtocolPeerDefault: perProtocolPeer,
		Conn:   rcmgr.ResourceLimits{Memory: rcmgr.LimitVal64(l.Memory / 6), FD: 1},
		Stream: rcmgr.ResourceLimits{Memory: rcmgr.LimitVal64(l.Memory / 16)},
	}
	limitServices(&limits)

	shared4, shared6 := []rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{} // nil would be libp2p's own
	var unlimited []rate.PrefixLimit
	for _, p := range l.Shared {
		unlimited = append(unlimited, rate.PrefixLimit{Prefix: p})
		if none := (rcmgr.NetworkPrefixLimit{Network: p, ConnCount: math.MaxInt}); p.Addr().Is4() {
			shared4 = append(shared4, none)
		} else {
			shared6 = append(shared6, none)
		}
	}
	return rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(base)), rcmgr.WithMetricsDisabled(), rcmgr.WithMetrics(w),
		rcmgr.WithLimitPerSubnet(
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 32, ConnCount: l.ConnsPerIP}},
			[]rcmgr.ConnLimitPerSubnet{{PrefixLength: 56, ConnCount: l.ConnsPerIP}, {PrefixLength: 48, ConnCount: 4 * l.ConnsPerIP}},
		),
		rcmgr.WithNetworkPrefixLimit(shared4, shared6),
		rcmgr.WithConnRateLimiters(&rate.Limiter{
			NetworkPrefixLimits: unlimited,
			SubnetRateLimiter: rate.SubnetLimiter{
				IPv4SubnetLimits: []rate.SubnetLimit{{PrefixLength: 32, Limit: connRate(l, 1)}},
				IPv6SubnetLimits: []rate.SubnetLimit{{PrefixLength: 56, Limit: connRate(l, 1)}, {PrefixLength: 48, Limit: connRate(l, 4)}},
				GracePeriod:      time.Minute,
			},
		}))
}

// limitServices bounds what libp2p's own services hold: of all peers, and of each. The figures are libp2p's.
func limitServices(limits *rcmgr.PartialLimitConfig) {
	limits.Service, limits.ServicePeer = map[string]rcmgr.ResourceLimits{}, map[string]rcmgr.ResourceLimits{}
	limits.Protocol, limits.ProtocolPeer = map[protocol.ID]rcmgr.ResourceLimits{}, map[protocol.ID]rcmgr.ResourceLimits{}
	each := func(in, out, all rcmgr.LimitVal, memory rcmgr.LimitVal64) rcmgr.ResourceLimits {
		return rcmgr.ResourceLimits{StreamsInbound: in, StreamsOutbound: out, Streams: all, Memory: memory}
	}
	for _, s := range []struct {
		name      string
		protocols []protocol.ID
		of, peer  rcmgr.ResourceLimits // the service's
		// Zero: as the service's.
		protocol, protocolPeer rcmgr.ResourceLimits
	}{
		{name: identify.ServiceName, protocols: []protocol.ID{identify.ID, identify.IDPush},
			of: each(64, 64, 128, 4<<20), peer: each(16, 16, 32, 1<<20)},
		{name: ping.ServiceName, protocols: []protocol.ID{ping.ID},
			of: each(64, 64, 64, 4<<20), peer: each(2, 3, 4, 1<<20)},
		{name: autonat.ServiceName, protocols: []protocol.ID{autonat.AutoNATProto},
			of: each(64, 64, 64, 4<<20), peer: each(2, 2, 2, 1<<20)},
		{name: holepunch.ServiceName, protocols: []protocol.ID{holepunch.Protocol},
			of: each(32, 32, 64, 4<<20), peer: each(2, 2, 2, 1<<20)},
		{name: relay.ServiceName, protocols: []protocol.ID{circuit.ProtoIDv2Hop, circuit.ProtoIDv2Stop},
			of: each(256, 256, 256, 16<<20), peer: each(64, 64, 64, 1<<20),
			protocol: each(640, 640, 640, 16<<20), protocolPeer: each(128, 128, 128, 32<<20)},
	} {
		if s.protocol == (rcmgr.ResourceLimits{}) {
			s.protocol, s.protocolPeer = s.of, s.peer
		}
		limits.Service[s.name], limits.ServicePeer[s.name] = s.of, s.peer
		for _, id := range s.protocols {
			limits.Protocol[id], limits.ProtocolPeer[id] = s.protocol, s.protocolPeer
		}
	}
}

func connRate(l Limits, wide int) rate.Limit {
	return rate.Limit{RPS: l.ConnsPerSec * float64(wide), Burst: 4 * l.ConnsPerIP * wide}
}
