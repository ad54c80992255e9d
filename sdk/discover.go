package sdk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

// Seeker is a Transport that can look for zones in the mesh.
type Seeker interface {
	// Seek asks nodes that may serve a zone to prove it, several at a time, until one has; without one it fails.
	Seek(ctx context.Context, zone capsule.ZoneID, prove func(ctx context.Context, node capsule.Key) error) error
}

const (
	seekTime  = 10 * time.Second
	seekAgain = time.Second // pause between searches of a zone
	seekVia   = 3           // nodes that are asked to find a zone
	seekAlone = 100 * time.Millisecond
)

// seeking is one search; those who need the same zone wait for it.
type seeking struct {
	done  chan struct{}
	err   error
	ended time.Time
	// misses counts the searches in a row, this one included, after which a node that was asked for the zone did not know it and
	// no other had met its voters.
	misses int
}

// maxMisses is how often a zone is searched for, a second apart, before it counts as unknown: a mesh that is just starting
// tells its nodes of each other in that time.
const maxMisses = 3

// Locate names nodes of a zone, those that did best first. It looks for the zone if none are known.
func (c *Client) Locate(ctx context.Context, zone capsule.ZoneID) ([]capsule.Key, error) {
	if keys := c.candidates(zone, roleVoter|roleGateway); len(keys) > 0 {
		return keys, nil
	}
	if err := c.seek(ctx, zone, false); err != nil {
		return nil, err
	}
	return c.candidates(zone, roleVoter|roleGateway), nil
}

// seek looks for nodes of a zone that the book trusts, and waits for what comes of it unless somebody is known already.
// Searches of one zone follow each other with a pause.
func (c *Client) seek(ctx context.Context, zone capsule.ZoneID, known bool) error {
	seeker, ok := c.tr.(Seeker)
	if !c.book.Trusts(zone) {
		return &final{fmt.Errorf("zone %s is not in your book of trusted zones; see kwnode zone trust", zone)}
	}
	if !ok {
		return fmt.Errorf("no node of zone %s is known; dial one", zone)
	}
	c.mu.Lock()
	s := c.seeks[zone]
	if s == nil || !s.ended.IsZero() && time.Since(s.ended) >= seekAgain {
		misses := 1
		if s != nil {
			misses += s.misses
		}
		s = &seeking{done: make(chan struct{})}
		c.seeks[zone] = s
		c.wg.Go(func() {
			sctx, cancel := context.WithTimeout(c.ctx, seekTime)
			defer cancel()
			err := c.search(sctx, zone, seeker)
			c.mu.Lock()
			if r, ok := errors.AsType[*api.Refusal](err); ok && r.Code == api.CodeUnknownZone {
				if s.misses = misses; misses >= maxMisses {
					err = &final{err}
				}
			}
			s.err, s.ended = err, time.Now()
			c.mu.Unlock()
			close(s.done)
		})
	}
	c.mu.Unlock()
	if known {
		return nil
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// search asks the nodes that the client knows to find a zone, and looks for it by itself if they do not at once: they may
// be slow, or not want it found. Whoever answers, the answer proves itself.
func (c *Client) search(ctx context.Context, zone capsule.ZoneID, seeker Seeker) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	var known []capsule.Key
	for _, n := range c.nodes[:min(len(c.nodes), seekVia)] {
		known = append(known, n.key)
	}
	c.mu.Unlock()
	errs := make(chan error, len(known)+1)
	var all sync.WaitGroup
	defer all.Wait()
	for _, k := range known {
		all.Go(func() { errs <- c.prove(ctx, zone, k, api.ProtoSeek) })
	}
	alone := time.NewTimer(seekAlone)
	defer alone.Stop()
	left, started := len(known)+1, false
	var why error
	for left > 0 {
		if left == 1 && !started {
			alone.Reset(0) // nobody else is left
		}
		select {
		case err := <-errs:
			if err == nil {
				cancel()
				return nil
			}
			if why == nil || telling(err) >= telling(why) {
				why = err
			}
			left--
		case <-alone.C:
			if !started {
				started = true
				all.Go(func() {
					errs <- seeker.Seek(ctx, zone, func(ctx context.Context, k capsule.Key) error { return c.prove(ctx, zone, k, api.ProtoZone) })
				})
			}
		}
	}
	return why
}

// telling orders what searches in vain ended with by what they say of the zone: that it was met and can't prove itself yet, that a
// node that was asked to find it didn't, nothing.
func telling(err error) int {
	r, refused := errors.AsType[*api.Refusal](err)
	switch {
	case refused && r.Code == api.CodeUnavailable, errors.Is(err, api.ErrUndescribed):
		return 2
	case refused && r.Code == api.CodeUnknownZone:
		return 1
	}
	return 0
}

// prove has a node show how a zone stands, and notes the zone's nodes if that is the zone's own word.
func (c *Client) prove(ctx context.Context, zone capsule.ZoneID, key capsule.Key, proto string) error {
	for last := int64(-1); ; {
		req := &api.ZoneRequest{V: api.Version, Zone: zone}
		_ = c.book.with(zone, func(t *cert.Tracker) error {
			set := t.Newest()
			req.Generation, req.Epoch = set.Generation, set.Epoch
			return nil
		})
		zones, err := ask[api.Zones](ctx, c, key, proto, req, askTimeout)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(zones.Zones, func(i api.ZoneInfo) bool { return i.Zone == zone })
		if i < 0 {
			return fmt.Errorf("%s does not serve zone %s", key, zone)
		}
		z := &zones.Zones[i]
		if err := c.book.learn(zone, z.Genesis, z.Epochs); err != nil {
			return err
		}
		z.Epochs = nil // followed
		var d *cert.Descriptor
		err = c.book.with(zone, func(t *cert.Tracker) (err error) {
			if _, d, err = z.Describe(zone, t, uint64(time.Now().UnixMilli())); errors.Is(err, api.ErrUndescribed) && !api.Undescribed(err, t, key) {
				err = fmt.Errorf("%s tells of zone %s and proves nothing", key, zone)
			}
			return err
		})
		if errors.Is(err, cert.ErrEpoch) && int64(req.Epoch) > last {
			last = int64(req.Epoch) // a zone of many epochs tells them in several answers
			continue
		}
		if err != nil {
			return err
		}
		z.Voters = slices.DeleteFunc(z.Voters, func(p api.Peer) bool { return !slices.Contains(d.Voters, p.Key) })
		if err := c.absorb(z); err != nil {
			return err
		}
		for _, k := range d.Voters {
			c.note(k, zone, roleVoter)
		}
		c.note(key, zone, roleGateway)
		return nil
	}
}
