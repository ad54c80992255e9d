package mesh

import (
	"net"
	"net/netip"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// Thresholds. One invalid message costs 1, two 4, ten 100. Flooding past the quota costs one point for 20 messages.
const (
	gossipThreshold   = -10 // below: no more gossip with the peer
	publishThreshold  = -50 // below: our own messages are not flooded to it
	graylistThreshold = -90 // below: everything from it is dropped; it is disconnected and gated
)

var scoreThresholds = &pubsub.PeerScoreThresholds{
	GossipThreshold: gossipThreshold, PublishThreshold: publishThreshold, GraylistThreshold: graylistThreshold,
	AcceptPXThreshold: 1000, OpportunisticGraftThreshold: 2,
}

// scoreParams are the parts of a peer's score that do not belong to a topic.
func (m *Mesh) scoreParams() *pubsub.PeerScoreParams {
	return &pubsub.PeerScoreParams{
		Topics:           make(map[string]*pubsub.TopicScoreParams),
		TopicScoreCap:    40, // a good name outweighs no graylisting
		AppSpecificScore: m.score.floodOf, AppSpecificWeight: 1,
		// An address with more peers than a household has machines loses its weight in the gossip, 16 of them (the
		// most that the host admits) cost 50 points each, which does not graylist.
		IPColocationFactorWeight: -0.5, IPColocationFactorThreshold: 6,
		IPColocationFactorWhitelist: ipNets(m.cfg.Colocated),
		// Grafting too early and promising what never comes.
		BehaviourPenaltyWeight: -5, BehaviourPenaltyThreshold: 2, BehaviourPenaltyDecay: pubsub.ScoreParameterDecay(10 * time.Minute),
		DecayInterval: time.Second, DecayToZero: 0.01,
		RetainScore: time.Hour, // coming back does not clean a name
		SeenMsgTTL:  seenFor,
	}
}

func topicScoreParams() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight:      1,
		TimeInMeshWeight: 0.01, TimeInMeshQuantum: time.Second, TimeInMeshCap: 600,
		FirstMessageDeliveriesWeight: 0.5, FirstMessageDeliveriesDecay: pubsub.ScoreParameterDecay(10 * time.Minute), FirstMessageDeliveriesCap: 50,
		// Rates of delivery are not scored: in a quiet zone they would punish everyone. Who withholds messages earns
		// nothing for first deliveries and gives way to who does, by opportunistic grafting.
		MeshMessageDeliveriesDecay: 0.5, MeshMessageDeliveriesCap: 1, MeshMessageDeliveriesThreshold: 0.5,
		MeshMessageDeliveriesWindow: 10 * time.Millisecond, MeshMessageDeliveriesActivation: time.Minute,
		MeshFailurePenaltyDecay:        0.5,
		InvalidMessageDeliveriesWeight: -1, InvalidMessageDeliveriesDecay: pubsub.ScoreParameterDecay(30 * time.Minute),
	}
}

func ipNets(more []netip.Prefix) []*net.IPNet {
	var out []*net.IPNet
	for _, p := range append([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, more...) {
		out = append(out, &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())})
	}
	return out
}

// maxBad proven bad messages cut a peer off, whatever its score: pubsub scores once a second, and keeps no score of a peer
// that sends gossip and takes none.
const maxBad = 10

// What a second leaves: half of the points lost by flooding are gone after 35 s, half of the bad messages after 277 s.
const (
	floodDecay = 0.98
	badDecay   = 0.9975
)

// maxRecords bounds the peers that are remembered for what they did: more than are connected.
const maxRecords = 4096

// scores is what we hold against peers beside pubsub's scores, and the last that we saw of those.
type scores struct {
	mu      sync.Mutex
	records map[peer.ID]*record
	last    map[peer.ID]*pubsub.PeerScoreSnapshot
}

// record is what one peer did, and what it may still do.
type record struct {
	flood float64   // points lost by flooding
	bad   float64   // proven bad messages
	until time.Time // of a peer that was cut off: what it sent before is not looked at

	frames float64   // that it may send, of frameBurst, as of at
	at     time.Time // and when news were accepted here so far
	news   uint64
}

// recordOf returns p's record. m.score.mu is held.
func (m *Mesh) recordOf(p peer.ID) *record {
	s := &m.score
	b := s.records[p]
	if b == nil {
		if s.records == nil {
			s.records = make(map[peer.ID]*record)
		}
		if len(s.records) >= maxRecords {
			for q := range s.records {
				if len(m.inner.Network().ConnsToPeer(q)) == 0 {
					delete(s.records, q)
				}
			}
		}
		b = &record{frames: frameBurst, at: time.Now(), news: m.count.news.Load()}
		s.records[p] = b
	}
	return b
}

// strike notes n messages past the quota, and cuts p off when that is enough.
func (m *Mesh) strike(p peer.ID, n int) {
	m.score.mu.Lock()
	b := m.recordOf(p)
	b.flood = min(b.flood+float64(n)/20, 1000)
	enough := -b.flood < graylistThreshold
	m.score.mu.Unlock()
	if enough {
		m.cut(p)
	}
}

// proven notes a proven bad message, and cuts p off when that is enough.
func (m *Mesh) proven(p peer.ID) {
	m.score.mu.Lock()
	b := m.recordOf(p)
	b.bad++
	enough := b.bad >= maxBad
	m.score.mu.Unlock()
	if enough {
		m.cut(p)
	}
}

// floodOf is pubsub's question for our part of a score.
func (s *scores) floodOf(p peer.ID) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.records[p]; b != nil {
		return -b.flood
	}
	return 0
}

// gone reports whether p has been cut off. Frames of it may still wait to be looked at.
func (s *scores) gone(p peer.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.records[p]
	return b != nil && time.Now().Before(b.until)
}

// scored is called by pubsub once a second with every score. A graylisted peer would go on costing bandwidth and a
// connection, so it is cut.
func (m *Mesh) scored(last map[peer.ID]*pubsub.PeerScoreSnapshot) {
	now := time.Now()
	m.score.mu.Lock()
	m.score.last = last
	for p, b := range m.score.records {
		b.flood, b.bad = b.flood*floodDecay, b.bad*badDecay
		b.refill(now, m.count.news.Load())
		if b.flood < 0.1 && b.bad < 0.1 && b.frames == frameBurst && now.After(b.until) {
			delete(m.score.records, p) // as good as new
		}
	}
	m.score.mu.Unlock()
	for p, s := range last {
		if s.Score < graylistThreshold {
			m.cut(p)
		}
	}
}

// cut disconnects a peer for a while, in a goroutine of its own: closing calls back into pubsub, which is waiting for us.
// A protected one stays: Raft's streams run over the same connection, and pubsub drops what a graylisted peer gossips.
func (m *Mesh) cut(p peer.ID) {
	k, ok := raw.Key(p)
	if !ok || m.inner.ConnManager().IsProtected(p, "") || m.score.gone(p) || !m.h.Connected(k) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.score.mu.Lock()
	m.recordOf(p).until = time.Now().Add(m.cfg.ShutFor)
	m.score.mu.Unlock()
	m.count.shut.Add(1)
	m.wg.Go(func() { m.h.Shut(k, m.cfg.ShutFor) })
}
