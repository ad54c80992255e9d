package mesh

import (
	"net"
	"net/netip"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// Thresholds. One invalid message costs 1, two 4, ten 100: the tenth graylists. Flooding past the quota costs one
// point for 20 messages.
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
		AppSpecificScore: m.score.strikesOf, AppSpecificWeight: 1,
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

// badStrike is what a proven bad message counts of who has no score, in messages past the quota: 10 points.
const badStrike = 200

// strikeDecay is the share of a peer's strikes that one second leaves: half are gone after 35 s.
const strikeDecay = 0.98

// scores is what we add to pubsub's scores, and the last that we saw of them.
type scores struct {
	mu      sync.Mutex
	strikes map[peer.ID]float64 // points lost by flooding; entries below 0.1 are dropped
	last    map[peer.ID]*pubsub.PeerScoreSnapshot
}

// strike notes n messages past the quota.
func (s *scores) strike(p peer.ID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.strikes == nil {
		s.strikes = make(map[peer.ID]float64)
	}
	s.strikes[p] = min(s.strikes[p]+float64(n)/20, 1000)
}

func (s *scores) strikesOf(p peer.ID) float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return -s.strikes[p]
}

// scored is called by pubsub once a second with every score. A graylisted peer would go on costing bandwidth and a
// connection, so it is cut. A protected one stays: Raft's streams run over the same connection, and pubsub already
// drops what it gossips.
func (m *Mesh) scored(last map[peer.ID]*pubsub.PeerScoreSnapshot) {
	m.score.mu.Lock()
	m.score.last = last
	var unscored []peer.ID
	for p, n := range m.score.strikes {
		if last[p] == nil && -n < graylistThreshold {
			unscored = append(unscored, p)
		}
		if n *= strikeDecay; n < 0.1 {
			delete(m.score.strikes, p)
		} else {
			m.score.strikes[p] = n
		}
	}
	m.score.mu.Unlock()
	for _, p := range unscored {
		m.cut(p)
	}
	for p, s := range last {
		if s.Score < graylistThreshold {
			m.cut(p)
		}
	}
}

// cut disconnects a peer for a while unless it is protected.
func (m *Mesh) cut(p peer.ID) {
	if m.inner.ConnManager().IsProtected(p, "") {
		return
	}
	if k, ok := raw.Key(p); ok && m.h.Connected(k) {
		m.shut(k)
	}
}

// strikeUnscored blames a peer for a proven bad message if pubsub keeps no score of it: it has none of peers that send
// gossip and take none. Ten of them cut it off.
func (s *scores) strikeUnscored(p peer.ID) {
	s.mu.Lock()
	scored := s.last[p] != nil
	s.mu.Unlock()
	if !scored {
		s.strike(p, badStrike)
	}
}

// shut cuts k off, in a goroutine of its own: closing calls back into pubsub, which is waiting for us.
func (m *Mesh) shut(k capsule.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.count.shut.Add(1)
	m.wg.Go(func() { m.h.Shut(k, m.cfg.ShutFor) })
}
