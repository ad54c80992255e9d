package p2p

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

const (
	shedEvery = 250 * time.Millisecond
	shedFor   = 5 * time.Minute
	// shedStreams new streams, of all peers, are looked at without waiting: their windows are an eighth of the memory.
	shedStreams = 256
	maxSilent   = 16 // streams of one peer that have named no protocol, when room gets short
)

func (h *Host) shedding(done <-chan struct{}) {
	t := time.NewTicker(shedEvery)
	defer t.Stop()
	for {
		select {
		case <-done:
			return
		case <-t.C:
		case <-h.waste.wake:
		}
		h.shed()
	}
}

// shed makes room before strangers have used up what all peers share. The limits of the resource manager hold for each
// peer and for all together, and identities are free: ten that each take what one may would shut out everybody else.
// So, while streams that name no protocol fill a quarter of their room, or reservations half of the memory, whoever has
// many such streams is cut off: an honest stream names its protocol with its first bytes. With three quarters of the
// memory reserved, the peer with the most streams goes. Protected peers stay.
func (h *Host) shed() {
	silent, memory := h.pressure()
	if silent < h.limits.unnamed()/4 && memory < h.limits.Memory/2 {
		return
	}
	var most capsule.Key
	heaviest, found := 0, false
	for _, p := range h.inner.Network().Peers() {
		k, ok := raw.Key(p)
		if !ok || h.inner.ConnManager().IsProtected(p, "") {
			continue
		}
		unnamed, all := 0, 0
		for _, c := range h.inner.Network().ConnsToPeer(p) {
			for _, s := range c.GetStreams() {
				all++
				if s.Protocol() == "" && s.Stat().Direction == network.DirInbound {
					unnamed++
				}
			}
		}
		if unnamed > maxSilent {
			h.cut(k, "streams that name no protocol", unnamed)
			found = true
		} else if all > heaviest {
			most, heaviest = k, all
		}
	}
	// What those held who were cut off just now may not be given back yet.
	if _, memory = h.pressure(); !found && memory > h.limits.Memory/4*3 && heaviest > maxSilent {
		h.cut(most, "most streams while memory is short", heaviest)
	}
}

// wasted is called when k has no more streams to waste, maybe many times.
func (h *Host) wasted(k capsule.Key) {
	if h.inner.ConnManager().IsProtected(raw.PeerID(k), "") || h.gate.isShut(k) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing || h.cutting[k] {
		return
	}
	h.cutting[k] = true
	h.running.Go(func() { // libp2p waits for us to read on
		h.cut(k, "streams that came to nothing", wasteBurst)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.cutting, k)
	})
}

func (h *Host) cut(k capsule.Key, why string, streams int) {
	h.log.Info("peer cut off", "peer", k, "why", why, "streams", streams)
	h.gate.shed.Add(1)
	h.Shut(k, shedFor)
}

// pressure returns the inbound streams without a protocol, and the bytes reserved.
func (h *Host) pressure() (silent int, memory int64) {
	rm := h.inner.Network().ResourceManager()
	// The views fail only if the functions do.
	_ = rm.ViewTransient(func(s network.ResourceScope) error {
		silent = s.Stat().NumStreamsInbound
		return nil
	})
	_ = rm.ViewSystem(func(s network.ResourceScope) error {
		memory = s.Stat().Memory
		return nil
	})
	return silent, memory
}
