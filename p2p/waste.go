package p2p

import (
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
)

// What a peer may waste: each stream that it opens costs 1, and one that a protocol takes is given back. What remains are
// streams that name no protocol, or one that nobody serves here, and those over a limit; each costs some 20 µs. libp2p's
// own protocols are not given back, and need few.
//
// Invariant: wasteRate is above what an honest peer wastes that tries again every 20 ms after a refusal.
const (
	wasteBurst = 500
	wasteRate  = 100 // a second; 0.2 % of a core
	wasteFault = 10  // a request that breaks its protocol
)

// waste counts the streams of each peer that come to nothing. It satisfies the resource manager's MetricsReporter, which
// is called for every stream before anything of it is read.
type waste struct {
	quiet
	left *quota.Table[peer.ID]

	opened atomic.Uint64
	wake   chan struct{} // a token for each shedStreams streams

	mu  sync.Mutex          // owns cut
	cut func(k capsule.Key) // nil until the host runs; must not block
}

func newWaste() *waste {
	return &waste{left: quota.New[peer.ID](maxBuckets, wasteRate, wasteBurst), wake: make(chan struct{}, 1)}
}

func (w *waste) AllowStream(p peer.ID, dir network.Direction) {
	if dir != network.DirInbound {
		return
	}
	if w.opened.Add(1)%shedStreams == 0 {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	w.charge(p, 1)
}

func (w *waste) BlockStream(p peer.ID, dir network.Direction) { w.AllowStream(p, dir) }

// charge has p pay. Who cannot is cut off.
func (w *waste) charge(p peer.ID, cost float64) {
	if w.left.Allow(p, cost) {
		return
	}
	w.mu.Lock()
	cut := w.cut
	w.mu.Unlock()
	if k, ok := raw.Key(p); ok && cut != nil {
		cut(k)
	}
}

// served gives back what a stream cost.
func (w *waste) served(p peer.ID) { w.left.Refund(p, 1) }

func (w *waste) onEmpty(cut func(k capsule.Key)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
}

// quiet is what else the resource manager reports.
type quiet struct{}

func (quiet) AllowConn(network.Direction, bool)      {}
func (quiet) BlockConn(network.Direction, bool)      {}
func (quiet) AllowPeer(peer.ID)                      {}
func (quiet) BlockPeer(peer.ID)                      {}
func (quiet) AllowProtocol(protocol.ID)              {}
func (quiet) BlockProtocol(protocol.ID)              {}
func (quiet) BlockProtocolPeer(protocol.ID, peer.ID) {}
func (quiet) AllowService(string)                    {}
func (quiet) BlockService(string)                    {}
func (quiet) BlockServicePeer(string, peer.ID)       {}
func (quiet) AllowMemory(int)                        {}
func (quiet) BlockMemory(int)                        {}

var _ rcmgr.MetricsReporter = (*waste)(nil)
