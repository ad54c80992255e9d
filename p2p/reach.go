package p2p

import (
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// reachEvery is how often a host looks whether anybody gets through to it.
const reachEvery = 5 * time.Second

// judgeReach tells the rest of libp2p whether this host is reached from outside. Its search for relays and its relay service
// wait for an event that AutoNAT v1 alone sends, while v2 alone tests addresses here: without this no hidden node ever took a
// place at a relay, and no node began to relay.
func (h *Host) judgeReach(done <-chan struct{}) error {
	emitter, err := h.inner.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err != nil {
		return fmt.Errorf("p2p: announce reachability: %w", err)
	}
	h.running.Go(func() {
		defer emitter.Close()
		was := network.ReachabilityUnknown
		h.every(reachEvery, done, func() {
			if now := h.reachability(); now != was {
				was = now
				h.log.Info("reachability", "is", now.String())
				_ = emitter.Emit(event.EvtLocalReachabilityChanged{Reachability: now})
			}
		})
	})
	return nil
}

// reachability is public if a peer got through to an address. It is private if none got through to any, or there is no public
// address to try, though there are peers. The rest is unknown.
func (h *Host) reachability() network.Reachability {
	tested, ok := h.inner.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []multiaddr.Multiaddr)
	})
	if !ok {
		return network.ReachabilityUnknown
	}
	reachable, unreachable, unknown := tested.ConfirmedAddrs()
	public := slices.ContainsFunc(h.inner.Network().ListenAddresses(), manet.IsPublicAddr) || len(unreachable)+len(unknown) > 0
	switch {
	case len(reachable) > 0:
		return network.ReachabilityPublic
	case len(h.inner.Network().Peers()) > 0 && (!public || len(unreachable) > 0 && len(unknown) == 0):
		return network.ReachabilityPrivate
	}
	return network.ReachabilityUnknown
}
