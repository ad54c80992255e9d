// Package mesh gossips capsules, a topic for each zone, and stops garbage at the first honest peer that it meets; it must never know whether a zone will admit what it passes on.
//
// Gossip announces and nothing more: under load or attack it drops, so direct submission is the first path and this is
// the one that survives a lost gateway or leader.
package mesh

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
	"github.com/kitwork/kwnode/p2p/quota"
)

// ID is the protocol: gossipsub 1.2 under a name of our own, so that no public network's peers and settings mix in.
const ID = "/kitwork/gossip/1"

// Limits of the protocol.
const (
	// MaxMessage is the largest capsule that is gossiped; larger ones go by stream, and code and state are always
	// pulled. A message is held by every peer for about 5 s, so this bounds what a flood makes the mesh hold.
	MaxMessage  = 8 << 10
	maxRPC      = 64 << 10 // bytes of one frame, which may bundle messages
	maxControl  = 64 << 10 // bytes of control messages in one frame: 1,000 IDs of 32 bytes and their frame
	maxTopics   = 64       // subscriptions in one frame, and topics of one host
	maxOffered  = 16       // topics of one peer that are remembered although this host has not joined them
	maxOffering = 1024     // peers of which any are: more than are connected, so that none that left stays in the way
	// sendQueue is how many frames wait for one peer. Messages are shared between the queues, so slow readers cost
	// sendQueue × MaxMessage together, 4 MiB.
	sendQueue     = 512
	validateQueue = 512
	deliverQueue  = 1024
	// seenFor is how long a message's ID is remembered: six times the 5 s that peers offer it to each other. With the
	// quotas below, 100 hostile peers fill it with at most 60,000 IDs, about 12 MB.
	seenFor = 30 * time.Second
)

// Config sets up a Mesh. The zero value has working defaults.
type Config struct {
	// Now is the time in milliseconds by which periods of validity are judged; nil is the machine's clock.
	Now func() uint64
	// Verified remembers signatures and chains; nil makes one of 4 MiB.
	Verified *capsule.Cache
	// Quotas; zero fields take their defaults.
	Quotas Quotas
	// Colocated are the prefixes where many peers behind one address are no sign of an attack. Loopback always is one.
	Colocated []netip.Prefix
	// ShutFor is how long a graylisted peer stays disconnected; default 10 min.
	ShutFor time.Duration
}

// Quotas bound what passes the cheap checks.
type Quotas struct {
	// AuthorRate and AuthorBurst: capsules a second of one author in one zone; default 50 and 200.
	AuthorRate  float64
	AuthorBurst int
	// PeerRate and PeerBurst: messages a second from one peer that come to nothing; default 20 and 200. What is
	// accepted is given back, so an honest peer passes on any amount.
	PeerRate  float64
	PeerBurst int
}

func (c Config) withDefaults() Config {
	if c.Now == nil {
		c.Now = func() uint64 { return uint64(time.Now().UnixMilli()) }
	}
	if c.Verified == nil {
		c.Verified = capsule.NewCache(4 << 20)
	}
	if c.ShutFor == 0 {
		c.ShutFor = 10 * time.Minute
	}
	q := &c.Quotas
	if q.AuthorRate == 0 {
		q.AuthorRate, q.AuthorBurst = 50, 200
	}
	if q.PeerRate == 0 {
		q.PeerRate, q.PeerBurst = 20, 200
	}
	return c
}

// Mesh is a host's part in the gossip. All methods may be called from any goroutine.
type Mesh struct {
	h     *p2p.Host
	inner host.Host
	ps    *pubsub.PubSub
	cfg   Config
	run   func(*Topic) // delivers until the mesh closes or the topic is left
	stop  context.CancelFunc
	peers *quota.Table[peer.ID]
	count tally
	score scores
	wg    sync.WaitGroup

	mu      sync.Mutex // owns the fields below; never held while calling pubsub
	topics  map[string]*Topic
	offered map[peer.ID]map[string]bool // topics of zones that a peer takes part in and this host does not, at most maxOffered
	closed  bool
}

// New joins the gossip on h, in no topic yet.
func New(h *p2p.Host, cfg Config) (*Mesh, error) {
	cfg = cfg.withDefaults()
	m := &Mesh{
		h: h, inner: raw.Unwrap(h.Raw()), cfg: cfg, topics: make(map[string]*Topic), offered: make(map[peer.ID]map[string]bool),
		peers: quota.New[peer.ID](2048, cfg.Quotas.PeerRate, cfg.Quotas.PeerBurst),
	}
	params := pubsub.DefaultGossipSubParams()
	// Eight mesh peers of which at least three are ones that we dialled: an attacker who fills our inbound
	// connections does not choose those.
	params.D, params.Dlo, params.Dhi, params.Dscore, params.Dout = 8, 6, 12, 6, 3
	params.MaxIHaveLength = 1000
	params.MaxIDontWantMessages = 200
	ctx, stop := context.WithCancel(context.Background())
	m.stop, m.run = stop, func(t *Topic) { t.deliver(ctx) }
	var err error
	m.ps, err = pubsub.NewGossipSub(ctx, m.inner,
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithGossipSubProtocols(protocols, features),
		pubsub.WithGossipSubParams(params),
		pubsub.WithSubscriptionFilter(pubsub.WrapLimitSubscriptionFilter((*allowList)(m), maxTopics)),
		pubsub.WithMaxMessageSize(maxRPC), pubsub.WithMaxControlMessageSize(maxControl),
		pubsub.WithPeerOutboundQueueSize(sendQueue), pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithFloodPublish(true),
		pubsub.WithDefaultValidator(m.validate, pubsub.WithValidatorInline(true)),
		pubsub.WithAppSpecificRpcInspector(m.inspect),
		pubsub.WithPeerScore(m.scoreParams(), scoreThresholds),
		pubsub.WithPeerScoreInspect(m.scored, time.Second),
		pubsub.WithRawTracer((*tracer)(m)),
	)
	if err != nil {
		stop()
		return nil, fmt.Errorf("mesh: %w", err)
	}
	return m, nil
}

// messageID covers the whole payload, signature and grants included: pubsub marks an ID as seen before anything is
// validated, and with less in it a spoiled copy would suppress the good one.
func messageID(m *pb.Message) string {
	h := sha256.New()
	h.Write([]byte(m.GetTopic()))
	h.Write([]byte{0})
	h.Write(m.GetData())
	return string(h.Sum(nil))
}

var protocols = []protocol.ID{ID}

// features are those of gossipsub 1.2, without peer exchange: discovery is find's, and strangers' hints would be one
// more way to eclipse a peer.
func features(f pubsub.GossipSubFeature, _ protocol.ID) bool {
	return f == pubsub.GossipSubFeatureMesh || f == pubsub.GossipSubFeatureIdontwant
}

// Close leaves the gossip. The topics deliver nothing more when it returns.
func (m *Mesh) Close() error {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.stop()
	m.wg.Wait()
	return nil
}

// TopicName is the gossip topic of a zone.
func TopicName(zone capsule.ZoneID) string { return topicPrefix + zone.String() }

const topicPrefix = "/kitwork/zone/"

// TopicConfig says what to do with the capsules of one zone.
type TopicConfig struct {
	// Check judges a verified capsule by what this node knows of the zone: a known payer, an expected epoch. An error
	// keeps the capsule from being passed on, and blames nobody beyond the quota. It runs for every message, in
	// several goroutines, and must be fast. Nil passes everything.
	Check func(c *capsule.Capsule) error
	// Deliver gets each capsule once, in one goroutine. While it is busy, deliverQueue more wait and the rest is
	// dropped and counted. Nil only passes on.
	Deliver func(from capsule.Key, c *capsule.Capsule)
}

// Topic is the gossip of one zone.
type Topic struct {
	m       *Mesh
	zone    capsule.ZoneID
	name    string
	cfg     TopicConfig
	t       *pubsub.Topic
	sub     *pubsub.Subscription
	authors *quota.Table[capsule.Key]
	count   topicTally
}

// Join takes part in the gossip of zone: it validates, passes on and delivers.
func (m *Mesh) Join(zone capsule.ZoneID, cfg TopicConfig) (*Topic, error) {
	t := &Topic{m: m, zone: zone, name: TopicName(zone), cfg: cfg}
	t.authors = quota.New[capsule.Key](4096, m.cfg.Quotas.AuthorRate, m.cfg.Quotas.AuthorBurst)
	t.count.init()
	if err := m.enter(t); err != nil {
		return nil, err
	}
	err := t.start()
	if err != nil {
		m.leave(t)
		return nil, fmt.Errorf("mesh: join %s: %w", zone, err)
	}
	m.wg.Go(func() { m.run(t) })
	return t, nil
}

func (m *Mesh) enter(t *Topic) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return errors.New("mesh: closed")
	case m.topics[t.name] != nil:
		return fmt.Errorf("mesh: zone %s is joined already", t.zone)
	case len(m.topics) >= maxTopics:
		return fmt.Errorf("mesh: %d zones are joined, which is the most; leave one", maxTopics)
	}
	m.topics[t.name] = t
	return nil
}

func (m *Mesh) leave(t *Topic) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.topics[t.name] == t {
		delete(m.topics, t.name)
	}
}

func (m *Mesh) topic(name string) *Topic {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.topics[name]
}

func (t *Topic) start() (err error) {
	if t.t, err = t.m.ps.Join(t.name); err != nil {
		return err
	}
	if err = t.t.SetScoreParams(topicScoreParams()); err == nil {
		t.sub, err = t.t.Subscribe(pubsub.WithBufferSize(deliverQueue))
	}
	if err != nil {
		return errors.Join(err, t.t.Close())
	}
	return nil
}

// deliver hands accepted capsules over until the subscription or ctx ends.
func (t *Topic) deliver(ctx context.Context) {
	for {
		msg, err := t.sub.Next(ctx)
		if err != nil {
			return // Leave or Close
		}
		c, ok := msg.ValidatorData.(*capsule.Capsule)
		from, known := raw.Key(msg.ReceivedFrom)
		if ok && known && t.cfg.Deliver != nil && from != t.m.h.Key() {
			t.cfg.Deliver(from, c)
		}
	}
}

// Leave stops passing on and delivering.
func (t *Topic) Leave() error {
	t.sub.Cancel()
	err := t.t.Close()
	t.m.leave(t)
	return err
}

// Zone is the zone whose gossip this is.
func (t *Topic) Zone() capsule.ZoneID { return t.zone }

// ErrTooLarge: the capsule is beyond MaxMessage and must be submitted by stream.
var ErrTooLarge = fmt.Errorf("mesh: capsules above %d bytes are not gossiped; submit it to a voter directly", MaxMessage)

// Publish gossips a capsule that Seal or Verify returned. It is not delivered to this node itself. No error means that
// it was queued for the peers of the zone, if there are any.
func (t *Topic) Publish(ctx context.Context, c *capsule.Capsule) error {
	if len(c.Bytes()) > MaxMessage {
		return ErrTooLarge
	}
	if c.Manifest().Home != t.zone {
		return fmt.Errorf("mesh: the capsule's home is %s, not %s", c.Manifest().Home, t.zone)
	}
	if err := t.t.Publish(ctx, c.Bytes(), pubsub.WithValidatorData(c)); err != nil {
		return fmt.Errorf("mesh: publish %s: %w", c.ID(), err)
	}
	return nil
}

// Peers returns how many connected peers take part in the topic.
func (t *Topic) Peers() int { return len(t.t.ListPeers()) }

// allowList lets peers subscribe to our topics and, since subscriptions are told once and we may join later, to a few of
// other zones. What else they invent would stay in memory.
type allowList Mesh

func (a *allowList) CanSubscribe(topic string) bool { return (*Mesh)(a).topic(topic) != nil }

func (a *allowList) FilterIncomingSubscriptions(from peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	m := (*Mesh)(a)
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := pubsub.FilterSubscriptions(subs, func(topic string) bool { return m.topics[topic] != nil || m.offers(from, topic) })
	for _, s := range kept {
		if !s.GetSubscribe() {
			delete(m.offered[from], s.GetTopicid())
		}
	}
	return kept, nil
}

// offers remembers that a peer takes part in a zone, if it is one and the peer has not named too many. m.mu is held.
func (m *Mesh) offers(from peer.ID, topic string) bool {
	name, ok := strings.CutPrefix(topic, topicPrefix)
	if !ok {
		return false
	}
	if z, err := capsule.ParseZoneID(name); err != nil || z.String() != name {
		return false
	}
	all := m.offered[from]
	if all == nil {
		if len(m.offered) >= maxOffering {
			return false
		}
		all = make(map[string]bool)
		m.offered[from] = all
	}
	if !all[topic] && len(all) >= maxOffered {
		return false
	}
	all[topic] = true
	return true
}
