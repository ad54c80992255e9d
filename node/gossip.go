package node

import (
	"context"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/mesh"
)

const (
	// maxRelayed is how many zones' topics a gateway joins for what passes through it, beside those it was told to.
	maxRelayed = 32
	// befriendEvery paces connecting to a zone's voters for the sake of its topic.
	befriendEvery = 10 * time.Second
)

// topic is a zone's gossip as this node takes part in it. Node.mu guards its fields.
type topic struct {
	t         *mesh.Topic
	keep      bool // voters' and configured topics are not left
	used      time.Time
	befriends time.Time
}

// gossip joins the topics of the zones that the node votes in, and those that it was told to.
func (n *Node) gossip() (err error) {
	if n.mesh, err = mesh.New(n.host, mesh.Config{Verified: n.verified}); err != nil {
		return err
	}
	for z, v := range n.voters {
		if _, err := n.join(z, true, mesh.TopicConfig{Check: v.server.Expect, Deliver: v.server.Gossiped}); err != nil {
			return err
		}
	}
	for _, z := range n.cfg.Topics {
		if n.voters[z] != nil {
			continue
		}
		if _, err := n.join(z, true, mesh.TopicConfig{}); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) join(z capsule.ZoneID, keep bool, cfg mesh.TopicConfig) (*topic, error) {
	t, err := n.mesh.Join(z, cfg)
	if err != nil {
		return nil, err
	}
	x := &topic{t: t, keep: keep, used: time.Now()}
	n.mu.Lock()
	n.topics[z] = x
	n.mu.Unlock()
	return x, nil
}

// publish gossips a verified capsule on its zone's topic, which it joins if need be. Larger ones go by stream alone.
func (n *Node) publish(c *capsule.Capsule) {
	if len(c.Bytes()) > mesh.MaxMessage {
		return
	}
	t, err := n.topicOf(c.Manifest().Home)
	if err == nil {
		err = t.Publish(n.ctx, c)
	}
	if err != nil && n.ctx.Err() == nil {
		n.log.Debug("capsule not gossiped", "capsule", c.ID(), "err", err)
	}
}

// topicOf returns a zone's topic, and sees to it that the node is connected to voters who take part in it.
func (n *Node) topicOf(z capsule.ZoneID) (*mesh.Topic, error) {
	n.joining.Lock()
	defer n.joining.Unlock()
	n.mu.Lock()
	x := n.topics[z]
	n.mu.Unlock()
	if x == nil {
		if err := n.makeRoom(); err != nil {
			return nil, err
		}
		var err error
		if x, err = n.join(z, false, mesh.TopicConfig{}); err != nil {
			return nil, err
		}
	}
	n.mu.Lock()
	x.used = time.Now()
	due := time.Since(x.befriends) >= befriendEvery
	if due {
		x.befriends = x.used
	}
	n.mu.Unlock()
	if due && n.ctx.Err() == nil {
		n.wg.Go(func() { n.befriend(z) })
	}
	return x.t, nil
}

// makeRoom leaves the topic that was used longest ago if as many are joined as may be. n.joining is held.
func (n *Node) makeRoom() error {
	n.mu.Lock()
	var oldest capsule.ZoneID
	var x *topic
	relayed := 0
	for z, t := range n.topics {
		if t.keep {
			continue
		}
		relayed++
		if x == nil || t.used.Before(x.used) {
			oldest, x = z, t
		}
	}
	if relayed < maxRelayed || x == nil {
		n.mu.Unlock()
		return nil
	}
	delete(n.topics, oldest)
	n.mu.Unlock()
	return x.t.Leave()
}

// befriend connects to a zone's voters: what is gossiped goes to those who are connected.
func (n *Node) befriend(z capsule.ZoneID) {
	for _, k := range n.votersOf(z, nil) {
		if n.host.Connected(k) {
			continue
		}
		ctx, cancel := context.WithTimeout(n.ctx, meetTime)
		_, err := n.host.Ping(ctx, k)
		cancel()
		if err != nil {
			n.log.Debug("voter not reached", "zone", z, "voter", k, "err", err)
		}
	}
}

// Mesh is the node's part in the gossip.
func (n *Node) Mesh() *mesh.Mesh { return n.mesh }

// Gossip passes a capsule on by gossip alone, as a gateway does beside handing it to a voter.
func (n *Node) Gossip(ctx context.Context, c *capsule.Capsule) error {
	t, err := n.topicOf(c.Manifest().Home)
	if err != nil {
		return err
	}
	for t.Peers() == 0 {
		select {
		case <-ctx.Done():
			return fmt.Errorf("gossip %s: nobody connected takes part in zone %s: %w", c.ID(), c.Manifest().Home, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
	return t.Publish(ctx, c)
}
