package node

import (
	"context"
	"sync"
	"time"

	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/api"
)

const (
	standEvery  = 500 * time.Millisecond // between looks at the gateways
	standTime   = 2 * time.Second        // one of them may take to answer
	standMisses = 3                      // looks without an answer, before the role is taken
)

// standIn takes the role of a gateway while none of those that the node was told of answers, and returns it when one does.
// Several workers may do so at a time: a gateway decides nothing, so there may be any number.
func (n *Node) standIn() {
	t := time.NewTicker(standEvery)
	defer t.Stop()
	for misses := 0; ; {
		if n.gatewayAnswers() {
			misses = 0
			if n.gateway.Serving() {
				n.log.Info("a gateway answers again; this node returns the role")
				n.gateway.Close()
			}
		} else if misses++; misses >= standMisses && n.ctx.Err() == nil && !n.gateway.Serving() {
			n.log.Warn("no gateway answers; this node takes the role", "gateways", len(n.cfg.Gateways))
			if err := n.gateway.Serve(); err != nil {
				n.log.Warn("the role of a gateway was not taken", "err", err)
			}
		}
		select {
		case <-n.ctx.Done():
			return
		case <-t.C:
		}
	}
}

// gatewayAnswers asks all gateways at a time for what they know of zones.
func (n *Node) gatewayAnswers() bool {
	ctx, cancel := context.WithTimeout(n.ctx, standTime)
	defer cancel()
	var wg sync.WaitGroup
	answers := make(chan bool, len(n.cfg.Gateways))
	for _, addr := range n.cfg.Gateways {
		wg.Go(func() { answers <- n.answers(ctx, addr) == nil })
	}
	go func() {
		wg.Wait()
		close(answers)
	}()
	for ok := range answers {
		if ok {
			return true
		}
	}
	return false
}

func (n *Node) answers(ctx context.Context, addr string) error {
	k, err := p2p.PeerOf(addr)
	if err != nil {
		return err
	}
	n.host.Protect(k, "gateway") // one that comes back is dialled at once
	if _, err := n.host.Connect(ctx, addr); err != nil {
		return err
	}
	s, err := n.host.Dial(ctx, k, api.ProtoZone)
	if err != nil {
		return err
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(standTime))
	_, err = api.Ask[api.Zones](s, &api.ZoneRequest{V: api.Version}, api.MaxMessage)
	return err
}
