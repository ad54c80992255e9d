package mover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/quota"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// ahead is what happens before an offer: a large state travels while the source's log still decides about letting its
// capsule go. Nothing follows from it but that content is in a cache, where it makes way for what is kept: an announcement
// that is lost, false or too much costs the time that it would have saved.
type ahead struct {
	jobs    chan func()   // for the mover's loop to start, which knows when the mover ends
	fetches chan struct{} // a token for each state that is being fetched
	budget  *quota.Table[capsule.Key]
}

// Bounds of what announcements cause.
const (
	maxAheadJobs    = 16
	maxAheadFetches = 4
	aheadRate       = 16 << 20 // bytes a second that one voter of another zone may have fetched
	aheadBurst      = 64 << 20
	aheadTimeout    = 10 * time.Second
	maxAheadPeers   = 256
)

func newAhead() *ahead {
	return &ahead{
		jobs: make(chan func(), maxAheadJobs), fetches: make(chan struct{}, maxAheadFetches),
		budget: quota.New[capsule.Key](maxAheadPeers, aheadRate, aheadBurst),
	}
}

// later has the loop start a job, unless too much waits already.
func (a *ahead) later(do func()) bool {
	select {
	case a.jobs <- do:
		return true
	default:
		return false
	}
}

// Announce tells the voters of a zone that is pinned here of a state that is about to be offered to it. Of all voters that
// were asked to hold the state the leader does it, who has it by then.
func (m *Mover) Announce(target capsule.ZoneID, a api.Ahead) {
	if s := m.cfg.Zone.Status(); s.Leader != s.Self {
		return
	}
	m.ahead.later(func() {
		if _, err := m.pinned(target); err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(m.ctx, aheadTimeout)
		defer cancel()
		var all sync.WaitGroup
		defer all.Wait()
		for _, k := range m.cfg.Voters(target) {
			all.Go(func() {
				if _, err := m.call(ctx, k, target, api.HandoverAhead, &a); err != nil {
					m.cfg.Logger.Debug("state not announced", "state", a.State, "to", target, "voter", k, "err", err)
				}
			})
		}
	})
}

// heard fetches a state that a voter of another zone announced, if there is room for it.
func (m *Mover) heard(peer capsule.Key, source capsule.ZoneID, a api.Ahead) error {
	t, err := m.pinned(source)
	if err != nil {
		return err
	}
	if !t.Voted(peer) {
		return malformed(fmt.Errorf("%s is no voter of zone %s", peer, source))
	}
	if a.State.IsZero() || a.Size <= machine.MaxInline || a.Size > api.MaxHeld {
		return malformed(fmt.Errorf("a state of %d bytes is announced; want more than %d, at most %d", a.Size, machine.MaxInline, api.MaxHeld))
	}
	if m.cfg.Contents.Has(a.State) || !m.ahead.budget.Allow(peer, float64(a.Size)) {
		return nil
	}
	select {
	case m.ahead.fetches <- struct{}{}:
	default:
		return nil
	}
	started := m.ahead.later(func() {
		defer func() { <-m.ahead.fetches }()
		ctx, cancel := context.WithTimeout(m.ctx, aheadTimeout)
		defer cancel()
		if _, err := m.cfg.Contents.Borrow(ctx, a.State, int64(a.Size), peer); err != nil {
			m.cfg.Logger.Debug("announced state not fetched", "state", a.State, "from", peer, "err", err)
		}
	})
	if !started {
		<-m.ahead.fetches
	}
	return nil
}

// pinned returns what this zone knows of another one.
func (m *Mover) pinned(z capsule.ZoneID) (*cert.Tracker, error) {
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	p, err := v.Peer(z)
	v.Close()
	if errors.Is(err, machine.ErrNotFound) || err == nil && p.Frozen {
		return nil, &api.Refusal{Code: string(machine.CodePeer), Detail: fmt.Sprintf("zone %s is not pinned here, or frozen", z), Retry: 1000}
	}
	if err != nil {
		return nil, err
	}
	return cert.ParseTracker(p.Tracker)
}
