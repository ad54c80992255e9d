package p2p

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
)

// maxGated bounds the tables of peers and of networks that are shut out for a while. An attacker with more identities
// than this gets the oldest back in; each of them must misbehave again to be shut out again.
const maxGated = 4096

// Keys are free and addresses are not, so a network pays for the keys that come from it: after 4 that were cut off, or 32
// handshakes of those who are not let in, one more and its connections are refused before their handshake.
const (
	netBurst   = 32
	netRate    = 1. / 20 // a second, given back
	costShut   = 8
	costSecure = 1 // a handshake that ended in a refusal, about 0.3 ms
	netShutFor = 10 * time.Minute
)

// gate decides whether a connection may exist. It satisfies libp2p's ConnectionGater.
type gate struct {
	denyKeys map[capsule.Key]bool // immutable after newGate
	denyNets []netip.Prefix       // immutable after newGate
	shared   []netip.Prefix       // immutable after newGate: networks that pay for nobody
	refused  atomic.Uint64
	shed     atomic.Uint64
	blocked  atomic.Pointer[map[capsule.Key]bool] // by Host.Block; nil is nobody
	nets     *quota.Table[netip.Prefix]

	mu       sync.Mutex // owns the fields below
	until    banned[capsule.Key]
	netUntil banned[netip.Prefix]
}

// banned is who is shut out, and when they may come back.
type banned[K comparable] map[K]time.Time

// add shuts k out. If that would be more than maxGated, what has expired is dropped, or the entry that expires first.
func (b banned[K]) add(k K, now time.Time, d time.Duration) {
	if len(b) >= maxGated {
		var first K
		var at time.Time
		for k, t := range b {
			if !now.Before(t) {
				delete(b, k)
			} else if at.IsZero() || t.Before(at) {
				first, at = k, t
			}
		}
		if len(b) >= maxGated {
			delete(b, first)
		}
	}
	b[k] = now.Add(d)
}

func (b banned[K]) has(k K, now time.Time) bool {
	t, ok := b[k]
	if ok && !now.Before(t) {
		delete(b, k)
		ok = false
	}
	return ok
}

func (b banned[K]) count(now time.Time) (n int) {
	for _, t := range b {
		if now.Before(t) {
			n++
		}
	}
	return n
}

func newGate(deny []string, shared []netip.Prefix) (*gate, error) {
	g := &gate{
		denyKeys: make(map[capsule.Key]bool), shared: shared, nets: quota.New[netip.Prefix](maxGated, netRate, netBurst),
		until: make(banned[capsule.Key]), netUntil: make(banned[netip.Prefix]),
	}
	for _, s := range deny {
		if p, err := netip.ParsePrefix(s); err == nil {
			g.denyNets = append(g.denyNets, p.Masked())
		} else if a, err := netip.ParseAddr(s); err == nil {
			g.denyNets = append(g.denyNets, netip.PrefixFrom(a, a.BitLen()))
		} else if k, err := capsule.ParseKey(s); err == nil {
			g.denyKeys[k] = true
		} else {
			return nil, fmt.Errorf("p2p: deny list: %q is neither an address, a prefix (10.0.0.0/8) nor a key", s)
		}
	}
	return g, nil
}

// shut keeps k out for d, and has the networks pay that it is connected from.
func (g *gate) shut(k capsule.Key, d time.Duration, from ...multiaddr.Multiaddr) {
	now := time.Now()
	g.mu.Lock()
	again := g.until.has(k, now)
	g.until.add(k, now, d)
	g.mu.Unlock()
	if again {
		return // it has been paid for
	}
	for _, m := range from {
		g.charge(m, costShut)
	}
}

// isShut reports whether k is kept out for a while.
func (g *gate) isShut(k capsule.Key) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until.has(k, time.Now())
}

// charge has the network of an address pay, and shuts it out when it has no more to pay with.
func (g *gate) charge(m multiaddr.Multiaddr, cost float64) {
	p, ok := networkOf(m)
	if !ok || g.isShared(p) || g.nets.Allow(p, cost) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.netUntil.add(p, time.Now(), netShutFor)
}

func (g *gate) isShared(p netip.Prefix) bool {
	return slices.ContainsFunc(g.shared, func(s netip.Prefix) bool { return s.Contains(p.Addr()) })
}

// networkOf is the network that pays for an address: an IPv4 address, or an IPv6 /56. A relayed address has none, since
// the one in it is the relay's.
func networkOf(m multiaddr.Multiaddr) (netip.Prefix, bool) {
	if _, err := m.ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
		return netip.Prefix{}, false
	}
	ip, err := manet.ToIP(m)
	if err != nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(ip)
	if a = a.Unmap(); !ok {
		return netip.Prefix{}, false
	}
	bits := 32
	if a.Is6() {
		bits = 56
	}
	p, err := a.Prefix(bits)
	return p, err == nil
}

func (g *gate) allowKey(p peer.ID) bool {
	k, ok := raw.Key(p)
	if !ok || g.denyKeys[k] || g.isBlocked(k) || g.isShut(k) {
		g.refused.Add(1)
		return false
	}
	return true
}

func (g *gate) isBlocked(k capsule.Key) bool {
	m := g.blocked.Load()
	return m != nil && (*m)[k]
}

func (g *gate) allowAddr(m multiaddr.Multiaddr) bool {
	if len(g.denyNets) == 0 {
		return true
	}
	ip, err := manet.ToIP(m)
	if err != nil {
		return true // a relayed address has no IP of the peer; the relay itself was checked when it was dialled
	}
	a, _ := netip.AddrFromSlice(ip)
	a = a.Unmap()
	for _, n := range g.denyNets {
		if n.Contains(a) {
			g.refused.Add(1)
			return false
		}
	}
	return true
}

// shutOut returns how many peers and how many networks are shut out now.
func (g *gate) shutOut() (peers, nets int) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until.count(now), g.netUntil.count(now)
}

func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.allowKey(p) }

func (g *gate) InterceptAddrDial(_ peer.ID, m multiaddr.Multiaddr) bool { return g.allowAddr(m) }

// InterceptAccept comes before the handshake. Networks that are shut out may still be dialled.
func (g *gate) InterceptAccept(c network.ConnMultiaddrs) bool {
	if p, ok := networkOf(c.RemoteMultiaddr()); ok {
		g.mu.Lock()
		shut := g.netUntil.has(p, time.Now())
		g.mu.Unlock()
		if shut {
			g.refused.Add(1)
			return false
		}
	}
	return g.allowAddr(c.RemoteMultiaddr())
}

func (g *gate) InterceptSecured(dir network.Direction, p peer.ID, c network.ConnMultiaddrs) bool {
	if g.allowKey(p) {
		return true
	}
	if k, ok := raw.Key(p); dir == network.DirInbound && !(ok && g.isBlocked(k)) {
		g.charge(c.RemoteMultiaddr(), costSecure)
	}
	return false
}

func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
