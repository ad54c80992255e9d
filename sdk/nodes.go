package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

// candidates are the nodes that may serve a zone, in the order to try them: those that haven't failed lately first.
func (c *Client) candidates(zone capsule.ZoneID, wanted role) []capsule.Key {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	type choice struct {
		key  capsule.Key
		cost int
	}
	var choices []choice
	for i, n := range c.nodes {
		if n.zones[zone]&wanted == 0 {
			continue
		}
		cost := i + 1000*n.failures
		if now.Before(n.retry) {
			cost += 1_000_000
		}
		choices = append(choices, choice{n.key, cost})
	}
	slices.SortFunc(choices, func(a, b choice) int { return a.cost - b.cost })
	keys := make([]capsule.Key, len(choices))
	for i, ch := range choices {
		keys[i] = ch.key
	}
	return keys
}

// judge remembers how a node did.
func (c *Client) judge(key capsule.Key, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.nodes {
		if n.key != key {
			continue
		}
		if ok {
			n.failures, n.retry = 0, time.Time{}
		} else {
			n.failures = min(n.failures+1, 10)
			n.retry = time.Now().Add(time.Duration(n.failures) * time.Second)
		}
	}
}

// elsewhere tells refusals that another node, or the same one later, may answer differently.
func elsewhere(code string) bool {
	switch code {
	case api.CodeBusy, api.CodeUnavailable, api.CodeNotVoter, api.CodeUnknownZone, api.CodeTimeout, api.CodeUnknown:
		return true
	}
	return false
}

// Backoff between rounds over all nodes.
const (
	backoffFirst = 100 * time.Millisecond
	backoffMost  = 3 * time.Second
)

// A node that is paused, or cut off from its zone, takes a request and says nothing. So after hedgeAfter the next one is
// asked too, while the first may still answer, up to hedgeMost at a time: what a client asks for may be asked for twice.
const (
	hedgeAfter = 2 * time.Second
	hedgeMost  = 3
)

// answer is what one node said.
type answer[T any] struct {
	key capsule.Key
	v   T
	err error
}

// anyNode tries fn on the nodes of a zone until one succeeds, fn says that nobody can (a refusal that isn't elsewhere's, or
// an error wrapped in final), or ctx ends. Up to most nodes are tried at a time; fn's context ends when one has succeeded.
func anyNode[T any](ctx context.Context, c *Client, zone capsule.ZoneID, wanted role, most int, fn func(context.Context, capsule.Key) (T, error)) (none T, _ error) {
	var last error
	failed := func() error {
		if last == nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%w; last: %v", context.Cause(ctx), last)
	}
	all, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer[T], most)
	strangers := false // nobody who was asked in the last round knows the zone
	for wait := backoffFirst; ; wait = min(2*wait, backoffMost) {
		if known := len(c.candidates(zone, wanted)) > 0 && !strangers; !known || last != nil && !waited(last) {
			err := c.seek(ctx, zone, known)
			if end, ok := errors.AsType[*final](err); ok && !known {
				return none, end
			}
			if last == nil {
				last = err
			}
		}
		queue, running := c.candidates(zone, wanted), 0
		strangers = len(queue) > 0
		hedge := time.NewTimer(0)
		for len(queue) > 0 || running > 0 {
			select {
			case <-hedge.C:
				if len(queue) > 0 && running < most {
					key := queue[0]
					queue = queue[1:]
					running++
					go func() {
						v, err := fn(all, key)
						answers <- answer[T]{key, v, err}
					}()
				}
				hedge.Reset(hedgeAfter)
			case a := <-answers:
				running--
				if a.err == nil {
					c.judge(a.key, true)
					return a.v, nil
				}
				if ctx.Err() != nil {
					return none, failed()
				}
				if c.weigh(ctx, zone, a.key, a.err) {
					return none, a.err
				}
				last = fmt.Errorf("node %s: %w", a.key, a.err)
				r, ok := errors.AsType[*api.Refusal](a.err)
				strangers = strangers && ok && r.Code == api.CodeUnknownZone
				hedge.Reset(0)
			case <-ctx.Done():
				return none, failed()
			}
		}
		hedge.Stop()
		if waited(last) {
			wait = backoffFirst / 2
			continue
		}
		if last == nil {
			last = fmt.Errorf("no node of zone %s that could do this was found", zone)
		}
		if len(c.candidates(zone, wanted)) == 0 {
			wait = min(wait, seekAgain) // nobody is spared by waiting for longer
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return none, failed()
		}
	}
}

// waited tells the refusal of a node that has held a request for as long as it was asked to.
func waited(err error) bool {
	var refusal *api.Refusal
	return errors.As(err, &refusal) && refusal.Code == api.CodeTimeout
}

// weigh draws the consequences of a node's failure, and reports whether no other node would do better.
func (c *Client) weigh(ctx context.Context, zone capsule.ZoneID, key capsule.Key, err error) bool {
	var refusal *api.Refusal
	var end *final
	switch {
	case errors.As(err, &end):
		return true
	case errors.As(err, &refusal):
		if !elsewhere(refusal.Code) {
			return true
		}
		c.judge(key, refusal.Code == api.CodeTimeout || refusal.Code == api.CodeUnknown)
	case errors.Is(err, cert.ErrEpoch):
		// The zone has moved on: learn how, from anybody.
		c.refresh(ctx, zone, key)
	default:
		c.judge(key, false)
	}
	return false
}

// final ends the search for a node that does better.
type final struct{ err error }

func (f *final) Error() string { return f.err.Error() }
func (f *final) Unwrap() error { return f.err }

// refresh asks a node for what is new about a zone. It is best effort: the next attempt shows whether it helped.
func (c *Client) refresh(ctx context.Context, zone capsule.ZoneID, key capsule.Key) {
	req := &api.ZoneRequest{V: api.Version, Zone: zone}
	_ = c.book.with(zone, func(t *cert.Tracker) error {
		set := t.Newest()
		req.Generation, req.Epoch = set.Generation, set.Epoch
		return nil
	})
	zones, err := ask[api.Zones](ctx, c, key, api.ProtoZone, req, askTimeout)
	if err != nil {
		return
	}
	for i := range zones.Zones {
		if zones.Zones[i].Zone == zone && c.absorb(&zones.Zones[i]) != nil {
			c.judge(key, false)
		}
	}
}
