package p2p

import (
	"fmt"
	"net/netip"
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
)

// maxGated bounds the table of peers that are shut out for a while. An attacker with more identities than this gets
// the oldest back in; each of them must misbehave again to be shut out again.
const maxGated = 4096

// gate decides whether a connection may exist. It satisfies libp2p's ConnectionGater.
type gate struct {
	denyKeys map[capsule.Key]bool // immutable after newGate
	denyNets []netip.Prefix       // immutable after newGate
	refused  atomic.Uint64
	shed     atomic.Uint64
	blocked  atomic.Pointer[map[capsule.Key]bool] // by Host.Block; nil is nobody

	mu    sync.Mutex                // owns until
	until map[capsule.Key]time.Time // peers shut out, and when they may come back
}

func newGate(deny []string) (*gate, error) {
	g := &gate{denyKeys: make(map[capsule.Key]bool), until: make(map[capsule.Key]time.Time)}
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

// shut keeps k out for d.
func (g *gate) shut(k capsule.Key, d time.Duration) {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.until) >= maxGated {
		g.prune(now)
	}
	g.until[k] = now.Add(d)
}

// prune drops what has expired, or the entry that expires first if nothing has. The caller holds mu.
func (g *gate) prune(now time.Time) {
	var first capsule.Key
	var at time.Time
	for k, t := range g.until {
		if !now.Before(t) {
			delete(g.until, k)
		} else if at.IsZero() || t.Before(at) {
			first, at = k, t
		}
	}
	if len(g.until) >= maxGated {
		delete(g.until, first)
	}
}

func (g *gate) allowKey(p peer.ID) bool {
	k, ok := raw.Key(p)
	if !ok || g.denyKeys[k] || g.isBlocked(k) {
		g.refused.Add(1)
		return false
	}
	g.mu.Lock()
	t, shut := g.until[k]
	if shut && !time.Now().Before(t) {
		delete(g.until, k)
		shut = false
	}
	g.mu.Unlock()
	if shut {
		g.refused.Add(1)
	}
	return !shut
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

// shutOut returns the number of peers shut out now.
func (g *gate) shutOut() int {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, t := range g.until {
		if now.Before(t) {
			n++
		}
	}
	return n
}

func (g *gate) InterceptPeerDial(p peer.ID) bool { return g.allowKey(p) }

func (g *gate) InterceptAddrDial(_ peer.ID, m multiaddr.Multiaddr) bool { return g.allowAddr(m) }

func (g *gate) InterceptAccept(c network.ConnMultiaddrs) bool {
	return g.allowAddr(c.RemoteMultiaddr())
}

func (g *gate) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.allowKey(p)
}

func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
