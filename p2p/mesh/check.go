package mesh

import (
	"context"
	"errors"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
)

// Reasons beside those of capsule.Code, for metrics.
const (
	reasonTooLarge    = "gossip_size"  // beyond MaxMessage
	reasonZone        = "zone"         // another zone's capsule on this topic
	reasonPeerQuota   = "peer_quota"   // the peer sent too much that came to nothing
	reasonAuthorQuota = "author_quota" // the author sends too much
	reasonState       = "state"        // TopicConfig.Check said no
)

// Costs in tokens of the peer's quota.
const (
	fullCost = 1
	// A message over its author's quota costs a tenth: an honest peer passes on an author's messages up to the same
	// quota, but not exactly the same ones.
	authorCost = 0.1
)

// floodStrike is what a frame of too many subscriptions counts, in messages past the quota: 18 of them graylist.
const floodStrike = 100

type verdict uint8

const (
	accept verdict = iota
	ignore         // nobody is to blame: it depends on who looks, and when
	reject         // the bytes prove it: whoever passed it on did not look
)

// validate runs for each message that was not seen before, on as many goroutines as there are processors. Its order is
// the cost: microseconds first, signatures last.
func (m *Mesh) validate(_ context.Context, from peer.ID, msg *pubsub.Message) pubsub.ValidationResult {
	t := m.topic(msg.GetTopic())
	if t == nil {
		return pubsub.ValidationIgnore // left a moment ago
	}
	if from == m.inner.ID() {
		if _, ok := msg.ValidatorData.(*capsule.Capsule); ok {
			return pubsub.ValidationAccept // Publish takes only what is verified
		}
	}
	c, v, reason := t.judge(from, msg.GetData())
	t.count.add(v, reason)
	switch v {
	case accept:
		msg.ValidatorData = c
		return pubsub.ValidationAccept
	case ignore:
		return pubsub.ValidationIgnore
	default:
		m.score.strikeUnscored(from)
		return pubsub.ValidationReject
	}
}

func (t *Topic) judge(from peer.ID, b []byte) (*capsule.Capsule, verdict, string) {
	m := t.m
	if !m.peers.Allow(from, fullCost) {
		return nil, ignore, reasonPeerQuota
	}
	if len(b) > MaxMessage {
		return nil, reject, reasonTooLarge
	}
	now := m.cfg.Now()
	head, err := capsule.Peek(b, now)
	if err != nil {
		v, reason := blame(err)
		return nil, v, reason
	}
	if head.Home != t.zone {
		return nil, reject, reasonZone
	}
	if !t.authors.Allow(head.Author, 1) {
		m.peers.Refund(from, fullCost-authorCost)
		return nil, ignore, reasonAuthorQuota
	}
	c, err := capsule.Verify(b, now, m.cfg.Chains)
	if err != nil {
		// The author did not make it, or not like this: the quota is not the author's.
		t.authors.Refund(head.Author, 1)
		v, reason := blame(err)
		return nil, v, reason
	}
	if t.cfg.Check != nil {
		if err := t.cfg.Check(c); err != nil {
			return nil, ignore, reasonState
		}
	}
	m.peers.Refund(from, fullCost)
	return c, accept, ""
}

// blame says whether a refusal proves that the sender did not look.
func blame(err error) (verdict, string) {
	var r *capsule.Refusal
	if !errors.As(err, &r) {
		return ignore, "internal"
	}
	if r.Code.Provable() {
		return reject, string(r.Code)
	}
	return ignore, string(r.Code)
}

// inspect runs for each frame before pubsub looks at it. A peer whose quota is spent gets its messages dropped here,
// before their IDs are remembered; its control messages still pass, so that the mesh stays in order.
func (m *Mesh) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if len(rpc.GetSubscriptions()) > maxTopics {
		// No honest peer has so many; the frame is dropped after this by the subscription filter.
		m.count.overQuota.Add(1)
		m.score.strike(from, floodStrike)
	}
	n := len(rpc.GetPublish())
	if n > 0 && !m.peers.Has(from, fullCost) {
		rpc.Publish = nil
		m.count.overQuota.Add(uint64(n))
		m.score.strike(from, n)
	}
	return nil
}
