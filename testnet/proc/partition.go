package proc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
)

// Partition cuts the named nodes off from all others: connections between the two sides end and no new ones come about,
// while each side goes on by itself. Without names it heals what was cut. Clients still reach every node.
func (n *Net) Partition(ctx context.Context, names ...string) error {
	cut := map[string]bool{}
	n.mu.Lock()
	for _, name := range names {
		if _, err := n.node(name); err != nil {
			n.mu.Unlock()
			return err
		}
		cut[name] = true
	}
	if len(cut) == len(n.state.Nodes) {
		n.mu.Unlock()
		return errors.New("a partition has two sides; name fewer nodes")
	}
	for i := range n.state.Nodes {
		n.state.Nodes[i].Cut = cut[n.state.Nodes[i].Name]
	}
	err := n.save()
	n.mu.Unlock()
	for _, s := range n.State().Nodes {
		if s.Status == "running" {
			err = errors.Join(err, n.separate(ctx, s.Name))
		}
	}
	return err
}

// rejoin puts a node that has just started on its side of a partition.
func (n *Net) rejoin(ctx context.Context, name string) error {
	for _, s := range n.State().Nodes {
		if s.Cut {
			return n.separate(ctx, name)
		}
	}
	return nil
}

const blockTime = 5 * time.Second // one node

// separate tells a node whom it must not hear, as its operator may.
func (n *Net) separate(ctx context.Context, name string) error {
	var self NodeState
	nodes := n.State().Nodes
	for _, s := range nodes {
		if s.Name == name {
			self = s
		}
	}
	var others []capsule.Key
	for _, s := range nodes {
		if s.Cut == self.Cut {
			continue
		}
		others = append(others, s.Key)
		if s.Worker != nil {
			others = append(others, *s.Worker)
		}
	}
	rootFile := RootKey
	for _, z := range n.State().Zones {
		if z.Name == self.Zone {
			rootFile = z.Root
		}
	}
	root, err := capsule.LoadIdentity(n.path(rootFile))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	c, err := admin.Dial(ctx, self.Addr, root)
	if err != nil {
		return fmt.Errorf("separate %s: %w", name, err)
	}
	defer c.Close()
	if err := c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpBlock, Peers: others}, new(admin.Done)); err != nil {
		return fmt.Errorf("separate %s: %w", name, err)
	}
	return nil
}
