package mesh

import (
	"context"
	"errors"
	"time"

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

// What a frame counts that is dropped, in messages past the quota: 19 of the first kind cut a peer off, 181 of the second.
const (
	floodStrike = 100 // full of subscriptions, GRAFTs or PRUNEs
	frameStrike = 10  // more than there is news
)

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
	if m.score.gone(from) {
		return pubsub.ValidationIgnore // it waited behind those that it was cut off for
	}
	c, v, reason := t.judge(from, msg.GetData())
	t.count.add(v, reason)
	if v == accept || reason == reasonState {
		m.count.news.Add(1)
	}
	switch v {
	case accept:
		msg.ValidatorData = c
		return pubsub.ValidationAccept
	case ignore:
		return pubsub.ValidationIgnore
	default:
		m.proven(from)
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
	c, err := capsule.Verify(b, now, m.cfg.Verified)
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

// errOver ends the way of a frame.
var errOver = errors.New("mesh: the peer sends more frames than anybody needs to")

// inspect runs for each frame before pubsub looks at it. A peer whose quota is spent gets its messages dropped here,
// before their IDs are remembered; its control messages still pass, so that the mesh stays in order. A peer that sends
// more frames than there is news gets all of them dropped.
func (m *Mesh) inspect(from peer.ID, rpc *pubsub.RPC) error {
	if m.score.gone(from) {
		return errOver
	}
	c := rpc.GetControl()
	turns := len(rpc.GetSubscriptions()) + len(c.GetGraft()) + len(c.GetPrune())
	if turns > 2*maxTopics { // no honest peer has so many topics to enter or leave
		m.count.frames.Add(1)
		m.strike(from, floodStrike)
		return errOver
	}
	names := 0
	for _, h := range c.GetIhave() {
		names += len(h.GetMessageIDs())
	}
	for _, w := range c.GetIwant() {
		names += len(w.GetMessageIDs())
	}
	if !m.mayFrame(from, 1+float64(turns)+float64(names)/namesPerFrame) {
		m.count.frames.Add(1)
		m.strike(from, frameStrike)
		return errOver
	}
	if n := len(rpc.GetPublish()); n > 0 && !m.peers.Has(from, fullCost) {
		rpc.Publish = nil
		m.count.overQuota.Add(uint64(n))
		m.strike(from, n)
	}
	return nil
}

// What a peer may send of frames: some for its part in the topics, and some for each capsule that is verified here, since
// every peer may bring it, offer it, or ask for it. That is far more than they need.
const (
	frameRate     = 100 // a second
	frameBurst    = 2000
	framesPerNews = 4
	namesPerFrame = 16 // message IDs that cost as much as a frame
)

// mayFrame takes cost from the frames that p may send.
func (m *Mesh) mayFrame(p peer.ID, cost float64) bool {
	m.score.mu.Lock()
	defer m.score.mu.Unlock()
	b := m.recordOf(p)
	b.refill(time.Now(), m.count.news.Load())
	if b.frames < cost {
		return false
	}
	b.frames -= cost
	return true
}

// refill gives back what time and news allow.
func (b *record) refill(now time.Time, news uint64) {
	b.frames = min(frameBurst, b.frames+frameRate*now.Sub(b.at).Seconds()+framesPerNews*float64(news-b.news))
	b.at, b.news = now, news
}
