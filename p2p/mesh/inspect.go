package mesh

import (
	"bytes"
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// tally are running totals of the whole mesh.
type tally struct {
	overQuota, shut, malformed, queueFull, dropped, frames atomic.Uint64
	news                                                   atomic.Uint64 // capsules verified that were not seen before
}

// topicTally are running totals of one topic, and its mesh.
type topicTally struct {
	accepted, duplicates, undelivered atomic.Uint64

	mu       sync.Mutex // owns the fields below
	rejected map[string]uint64
	ignored  map[string]uint64
	mesh     map[peer.ID]bool
}

func (c *topicTally) init() {
	c.rejected, c.ignored, c.mesh = make(map[string]uint64), make(map[string]uint64), make(map[peer.ID]bool)
}

func (c *topicTally) add(v verdict, reason string) {
	if v == accept {
		c.accepted.Add(1)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v == ignore {
		c.ignored[reason]++
	} else {
		c.rejected[reason]++
	}
}

// TopicInfo is the gossip of one zone as plain data.
type TopicInfo struct {
	Zone        capsule.ZoneID
	Name        string
	Peers       []capsule.Key     // connected and subscribed
	Mesh        []capsule.Key     // of these, whom whole messages go to and come from
	Accepted    uint64            // passed on and delivered
	Duplicates  uint64            // seen before
	Undelivered uint64            // dropped because Deliver was slow
	Rejected    map[string]uint64 // by reason: proven bad, the sender is blamed
	Ignored     map[string]uint64 // by reason: not passed on, nobody is blamed
}

// PeerScore is how one peer stands.
type PeerScore struct {
	Peer       capsule.Key
	Score      float64
	Graylisted bool
	Invalid    float64 // decayed count of proven bad messages, all topics
	First      float64 // decayed count of messages it brought first, all topics
	InMesh     time.Duration
	Strikes    float64 // points lost by flooding
	Colocation float64 // square of the peers too many behind its address
	Behaviour  float64 // decayed count of breaches of the gossip protocol
}

// Snapshot is the state of a mesh as plain data.
type Snapshot struct {
	Topics []TopicInfo
	Scores []PeerScore // lowest first
	// Running totals.
	OverQuota uint64 // messages dropped unread because their peer's quota was spent
	Frames    uint64 // frames dropped because nobody needs to send so many, or such
	Shut      uint64 // peers cut off and gated
	Malformed uint64 // messages with an author or a signature of pubsub's own
	QueueFull uint64 // messages dropped because validation could not keep up
	Dropped   uint64 // frames dropped because their reader was slow
}

// Snapshot reads the state. Scores are up to a second old.
func (m *Mesh) Snapshot() Snapshot {
	s := Snapshot{
		OverQuota: m.count.overQuota.Load(), Frames: m.count.frames.Load(), Shut: m.count.shut.Load(), Malformed: m.count.malformed.Load(),
		QueueFull: m.count.queueFull.Load(), Dropped: m.count.dropped.Load(),
	}
	m.mu.Lock()
	topics := make([]*Topic, 0, len(m.topics))
	for _, t := range m.topics {
		topics = append(topics, t)
	}
	m.mu.Unlock()
	for _, t := range topics {
		s.Topics = append(s.Topics, t.info())
	}
	slices.SortFunc(s.Topics, func(a, b TopicInfo) int { return cmp.Compare(a.Name, b.Name) })
	m.score.mu.Lock()
	defer m.score.mu.Unlock()
	for p, sn := range m.score.last {
		k, ok := raw.Key(p)
		if !ok {
			continue
		}
		ps := PeerScore{
			Peer: k, Score: sn.Score, Graylisted: sn.Score < graylistThreshold,
			Strikes: -sn.AppSpecificScore, Colocation: sn.IPColocationFactor, Behaviour: sn.BehaviourPenalty,
		}
		for _, t := range sn.Topics {
			ps.Invalid += t.InvalidMessageDeliveries
			ps.First += t.FirstMessageDeliveries
			ps.InMesh = max(ps.InMesh, t.TimeInMesh)
		}
		s.Scores = append(s.Scores, ps)
	}
	slices.SortFunc(s.Scores, func(a, b PeerScore) int {
		return cmp.Or(cmp.Compare(a.Score, b.Score), bytes.Compare(a.Peer[:], b.Peer[:]))
	})
	return s
}

func (t *Topic) info() TopicInfo {
	i := TopicInfo{
		Zone: t.zone, Name: t.name, Accepted: t.count.accepted.Load(),
		Duplicates: t.count.duplicates.Load(), Undelivered: t.count.undelivered.Load(),
		Peers: keys(t.t.ListPeers()), Rejected: make(map[string]uint64), Ignored: make(map[string]uint64),
	}
	t.count.mu.Lock()
	defer t.count.mu.Unlock()
	for r, n := range t.count.rejected {
		i.Rejected[r] = n
	}
	for r, n := range t.count.ignored {
		i.Ignored[r] = n
	}
	mesh := make([]peer.ID, 0, len(t.count.mesh))
	for p := range t.count.mesh {
		mesh = append(mesh, p)
	}
	i.Mesh = keys(mesh)
	return i
}

func keys(ids []peer.ID) []capsule.Key {
	out := make([]capsule.Key, 0, len(ids))
	for _, id := range ids {
		if k, ok := raw.Key(id); ok {
			out = append(out, k)
		}
	}
	slices.SortFunc(out, func(a, b capsule.Key) int { return bytes.Compare(a[:], b[:]) })
	return out
}

// tracer counts what pubsub does. pubsub calls it from its own goroutines; nothing here waits.
type tracer Mesh

func (c *tracer) withTopic(name string, do func(*topicTally)) {
	if t := (*Mesh)(c).topic(name); t != nil {
		do(&t.count)
	}
}

func (c *tracer) Graft(p peer.ID, topic string) {
	c.withTopic(topic, func(n *topicTally) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.mesh[p] = true
	})
}

func (c *tracer) Prune(p peer.ID, topic string) {
	c.withTopic(topic, func(n *topicTally) {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.mesh, p)
	})
}

// OnClosedOutboundStream: pubsub takes a peer that is gone out of its meshes without a Prune.
func (c *tracer) OnClosedOutboundStream(p peer.ID) {
	m := (*Mesh)(c)
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.offered, p)
	for _, t := range m.topics {
		t.count.mu.Lock()
		delete(t.count.mesh, p)
		t.count.mu.Unlock()
	}
}

func (c *tracer) DuplicateMessage(msg *pubsub.Message) {
	c.withTopic(msg.GetTopic(), func(n *topicTally) { n.duplicates.Add(1) })
}

func (c *tracer) UndeliverableMessage(msg *pubsub.Message) {
	c.withTopic(msg.GetTopic(), func(n *topicTally) { n.undelivered.Add(1) })
}

func (c *tracer) RejectMessage(_ *pubsub.Message, reason string) {
	switch reason {
	case pubsub.RejectUnexpectedSignature, pubsub.RejectUnexpectedAuthInfo:
		c.count.malformed.Add(1)
	case pubsub.RejectValidationQueueFull, pubsub.RejectValidationThrottled:
		c.count.queueFull.Add(1)
	}
}

func (c *tracer) DropRPC(*pubsub.RPC, peer.ID) { c.count.dropped.Add(1) }

func (c *tracer) OnNewOutboundStream(peer.ID, protocol.ID)             {}
func (c *tracer) Join(string)                                          {}
func (c *tracer) Leave(string)                                         {}
func (c *tracer) ValidateMessage(*pubsub.Message)                      {}
func (c *tracer) DeliverMessage(*pubsub.Message)                       {}
func (c *tracer) ThrottlePeer(peer.ID)                                 {}
func (c *tracer) RecvRPC(*pubsub.RPC)                                  {}
func (c *tracer) SendRPC(*pubsub.RPC, peer.ID)                         {}
func (c *tracer) SendRPCCompleted(*pubsub.RPC, peer.ID, time.Duration) {}
