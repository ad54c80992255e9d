package voter

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// keeper holds the content that the zone's state refers to, for as long as it does, and what this voter has promised
// beyond that. Everything is found again from the state and the promises: what it was told and forgot costs time only.
type keeper struct {
	s        *Server
	owner    string // of what is kept for the zone
	promises *promises

	mu   sync.Mutex // guards news; held for moments, since the log's own goroutine takes it
	news map[capsule.CID]bool
	wake chan struct{}

	missing map[capsule.CID]time.Time // referred to and not here, as was found then; the loop's own
}

const (
	// missingAfter is how long content may be referred to before a voter that lacks it fetches it: most capsules are over
	// by then, and their states with them.
	missingAfter = 2 * time.Second
	keepEvery    = 30 * time.Second // everything is looked through
	maxNews      = 65_536           // the rest is found by looking through
	fetchTime    = 30 * time.Second
	maxFetches   = 4 // at a time
)

func newKeeper(s *Server) (*keeper, error) {
	k := &keeper{s: s, owner: "zone " + s.id.String(), news: map[capsule.CID]bool{}, wake: make(chan struct{}, 1), missing: map[capsule.CID]time.Time{}}
	var err error
	if k.promises, err = openPromises(s.cfg.Promises, nowMS()); err != nil {
		return nil, err
	}
	for _, id := range k.promises.list() {
		s.cfg.Contents.Keep(id, k.owner)
	}
	return k, k.look()
}

func nowMS() uint64 { return uint64(time.Now().UnixMilli()) }

// Changed tells that the zone's need of some content has changed. It does not block.
func (s *Server) Changed(id capsule.CID) {
	k := s.keep
	k.mu.Lock()
	if len(k.news) < maxNews {
		k.news[id] = true
	}
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) run() {
	const settle = 100 * time.Millisecond
	t := time.NewTicker(keepEvery)
	defer t.Stop()
	later := time.NewTicker(missingAfter / 2)
	defer later.Stop()
	for {
		var err error
		select {
		case <-k.s.ctx.Done():
			return
		case <-t.C:
			err = k.look()
		case <-later.C:
			k.fetch()
		case <-k.wake:
			// Capsules come and go in bursts; one look serves many.
			select {
			case <-k.s.ctx.Done():
				return
			case <-time.After(settle):
			}
			err = k.changed()
		}
		if err != nil && k.s.ctx.Err() == nil {
			k.s.cfg.Logger.Warn("kept content not looked through", "zone", k.s.id, "err", err)
		}
	}
}

// look goes through all content that the zone knows of.
func (k *keeper) look() error {
	v, err := k.s.cfg.Zone.Query()
	if err != nil {
		return err
	}
	defer v.Close()
	known := map[capsule.CID]bool{}
	const page = 4096
	var after capsule.CID
	for {
		n := 0
		err := v.Blobs(after, page, func(id capsule.CID, _ machine.BlobRow) {
			n++
			after, known[id] = id, true
			k.need(id)
		})
		if err != nil {
			return err
		}
		if n < page {
			break
		}
	}
	for id := range k.missing {
		if !known[id] {
			delete(k.missing, id)
		}
	}
	for _, id := range k.promises.list() {
		if !known[id] && !k.promises.standing(id, nowMS()) {
			k.s.cfg.Contents.Release(id, k.owner)
		}
	}
	return nil
}

func (k *keeper) need(id capsule.CID) {
	k.s.cfg.Contents.Keep(id, k.owner)
	if _, known := k.missing[id]; !known && !k.s.cfg.Contents.Has(id) {
		k.missing[id] = time.Now()
	}
}

// changed looks at the content of which news came.
func (k *keeper) changed() error {
	k.mu.Lock()
	news := k.news
	k.news = map[capsule.CID]bool{}
	k.mu.Unlock()
	v, err := k.s.cfg.Zone.Query()
	if err != nil {
		return err
	}
	defer v.Close()
	for id := range news {
		_, err := v.Blob(id)
		switch {
		case err == nil:
			k.need(id)
		case !errors.Is(err, machine.ErrNotFound):
			return err
		default:
			delete(k.missing, id)
			if !k.promises.standing(id, nowMS()) {
				k.s.cfg.Contents.Release(id, k.owner)
			}
		}
	}
	return nil
}

// fetch gets what this voter should have and lacks, from the others. Who took a capsule over may have died with the only
// copy of its code here: where it came from, there is another.
func (k *keeper) fetch() {
	holders := append(k.s.others(), k.s.abroad()...)
	var wg sync.WaitGroup
	slot := make(chan struct{}, maxFetches)
	for id, since := range k.missing {
		if time.Since(since) < missingAfter {
			continue
		}
		if k.s.ctx.Err() != nil {
			break
		}
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			ctx, cancel := context.WithTimeout(k.s.ctx, fetchTime)
			defer cancel()
			if _, err := k.s.cfg.Contents.Fetch(ctx, id, api.MaxHeld, holders...); err != nil {
				k.s.cfg.Logger.Debug("content not here", "zone", k.s.id, "content", id, "err", err)
			}
		})
	}
	wg.Wait()
	for id := range k.missing {
		if k.s.cfg.Contents.Has(id) {
			delete(k.missing, id)
		}
	}
}

// abroad are the voters of the zones that this one exchanges capsules with.
func (s *Server) abroad() (keys []capsule.Key) {
	v, err := s.cfg.Zone.Query()
	if err != nil || s.cfg.Elsewhere == nil {
		return nil
	}
	defer v.Close()
	_ = v.Peers(capsule.ZoneID{}, maxPeers, func(z capsule.ZoneID, p machine.PeerRow) { // those that can be read
		if !p.Frozen {
			keys = append(keys, s.cfg.Elsewhere(z)...)
		}
	})
	return keys
}

// maxPeers bounds the zones that are asked for content.
const maxPeers = 64

// others are the zone's voters but this one.
func (s *Server) others() []capsule.Key {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil
	}
	defer v.Close()
	set, err := v.Voters()
	if err != nil {
		return nil
	}
	self := s.cfg.Identity.Key()
	return slices.DeleteFunc(slices.Clone(set.Keys), func(k capsule.Key) bool { return k == self })
}

// Reserve keeps the content of a capsule that is about to come in. Reconsider follows if it did not.
func (s *Server) Reserve(m *capsule.Manifest) {
	for _, id := range []capsule.CID{m.Code, m.Base, m.State} {
		if !id.IsZero() {
			s.cfg.Contents.Keep(id, s.keep.owner)
		}
	}
}

// Reconsider lets go of what Reserve kept, unless the zone needs it.
func (s *Server) Reconsider(m *capsule.Manifest) {
	for _, id := range []capsule.CID{m.Code, m.Base, m.State} {
		if !id.IsZero() {
			s.Changed(id)
		}
	}
}
