package find

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

const (
	maxKnown      = 32                     // proven members remembered of one zone
	maxKnownZones = 256                    // zones of which any are
	maxProviders  = 32                     // records taken from one lookup: an attacker can add any number
	maxAsked      = 32                     // connected peers asked directly
	checksAtOnce  = 8                      // of one Find
	checkTime     = 5 * time.Second        // of one peer
	otherWays     = 300 * time.Millisecond // head start of the DHT, which needs 3 to 50 ms when nothing is wrong
	forgive       = 10 * time.Second       // before who answered wrongly is asked again
	forgiveAbsent = time.Second            // before who did not answer is
	forgiveNotYet = 50 * time.Millisecond  // before who can't prove it yet is, and twice as long each time after that
	forgiveUndone = 500 * time.Millisecond // at most
	patience      = 2 * time.Second        // of a Find that has met nobody but those
	maxFailed     = 4096
	maxOutcomes   = 128 // for inspection
)

// ErrNotFound: no peer proved that it serves the zone.
var ErrNotFound = errors.New("find: no peer of the zone was found; connect to a node that knows it, or try again")

// ErrNotYet, wrapped by [Config].Check, means that the peer is one of the zone's, or can't be judged now: it is asked again soon.
// Whoever lets strangers pass for that lets them be asked several times a second.
var ErrNotYet = errors.New("find: the zone's peers can't prove yet that they serve it")

// claim is what a peer could not prove.
type claim struct {
	zone capsule.ZoneID
	peer capsule.Key
}

// silence is how long a claim is left alone.
type silence struct {
	until time.Time
	pause time.Duration // that led to until; 0 unless the peer was not able to prove it yet
}

// Find returns up to want peers that proved to serve zone, first proven first, with a connection to each. It tries
// members known from before, the DHT (twice, if it knows nobody), and, a little later or when those fail, the LAN, the
// bootstrap, remembered and connected peers. A peer that can't prove it yet is asked again, for a short while: the error is
// then also ErrNotYet.
func (f *Finder) Find(ctx context.Context, zone capsule.ZoneID, want int) ([]capsule.Key, error) {
	if want < 1 {
		return nil, nil
	}
	f.count.finds.Add(1)
	ctx, cancel := context.WithCancel(ctx)
	s := &search{f: f, zone: zone, want: want, cancel: cancel, end: time.Now().Add(patience), seen: map[capsule.Key]bool{f.h.Key(): true}, slots: make(chan struct{}, checksAtOnce)}
	f.mu.Lock()
	before := slices.Clone(f.known[zone])
	f.mu.Unlock()

	var ways sync.WaitGroup
	dhtDone := make(chan struct{})
	ways.Go(func() { s.offer(ctx, before) })
	ways.Go(func() {
		defer close(dhtDone)
		s.lookup(ctx)
	})
	ways.Go(func() {
		t := time.NewTimer(otherWays)
		defer t.Stop()
		select {
		case <-t.C:
		case <-dhtDone:
			s.checks.Wait()
		case <-ctx.Done():
			return
		}
		s.offer(ctx, f.waysIn())
		s.offer(ctx, f.connected())
	})
	ways.Wait()
	s.checks.Wait()
	cancel()
	return s.result()
}

// connected lists connected peers, to be asked.
func (f *Finder) connected() []capsule.Key {
	var out []capsule.Key
	for _, id := range f.inner.Network().Peers() {
		if k, ok := raw.Key(id); ok && len(out) < maxAsked {
			out = append(out, k)
		}
	}
	return out
}

// search is one Find.
type search struct {
	f      *Finder
	zone   capsule.ZoneID
	want   int
	cancel context.CancelFunc
	slots  chan struct{}
	end    time.Time // of its patience
	checks sync.WaitGroup

	mu    sync.Mutex // owns the fields below
	seen  map[capsule.Key]bool
	found []capsule.Key
	last  error // of the last check that failed
	soon  error // of the last one that is to be repeated
}

// lookup asks the DHT. A lookup that finds no record at all is repeated once: the first may have met peers that had
// just left.
func (s *search) lookup(ctx context.Context) {
	s.f.ready(ctx)
	for try := range 2 {
		any := false
		for p := range s.f.dht.FindProvidersAsync(ctx, zoneCID(s.zone), maxProviders) {
			k, ok := raw.Key(p.ID)
			if !ok {
				continue
			}
			any = true
			s.hint(p)
			s.offer(ctx, []capsule.Key{k})
		}
		if any || ctx.Err() != nil {
			return
		}
		s.f.count.empty.Add(1)
		if try == 0 {
			s.f.count.retried.Add(1)
		}
	}
}

func (s *search) hint(p peer.AddrInfo) {
	k, _ := raw.Key(p.ID)
	addrs := make([]string, len(p.Addrs))
	for i, a := range p.Addrs {
		addrs[i] = a.String()
	}
	s.f.h.Hint(k, addrs)
}

// offer has the peers checked, as slots come free.
func (s *search) offer(ctx context.Context, peers []capsule.Key) {
	for _, k := range peers {
		s.mu.Lock()
		old := s.seen[k]
		s.seen[k] = true
		s.mu.Unlock()
		if old {
			continue
		}
		wait, refuted := s.f.silent(s.zone, k)
		if refuted {
			continue
		}
		if wait == 0 {
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		s.checks.Go(func() { s.pursue(ctx, k, wait) })
	}
}

// pursue checks a peer, after wait or, if that is 0, in the slot that the caller took, and again while it can't prove itself yet,
// nobody else has, and the search is young. Who is waited for holds no slot.
func (s *search) pursue(ctx context.Context, k capsule.Key, wait time.Duration) {
	for held := wait == 0; ; held = false {
		if !held {
			if !s.pause(ctx, wait) {
				return
			}
			select {
			case s.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		again := s.check(ctx, k)
		<-s.slots
		if !again {
			return
		}
		wait, _ = s.f.silent(s.zone, k)
	}
}

// pause waits, if the search may still wait for so long, and reports whether it goes on.
func (s *search) pause(ctx context.Context, wait time.Duration) bool {
	s.mu.Lock()
	if s.soon == nil {
		s.soon = ErrNotYet // it said so to an earlier search
	}
	late := len(s.found) > 0 || time.Until(s.end) < wait
	s.mu.Unlock()
	if late {
		return false
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// check asks a peer, and reports whether it can't prove itself yet.
func (s *search) check(ctx context.Context, k capsule.Key) (again bool) {
	cctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	s.f.count.checks.Add(1)
	err := s.f.cfg.Check(cctx, s.zone, k)
	if ctx.Err() != nil {
		return false // the search ended; this says nothing about k
	}
	s.f.learn(s.zone, k, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case errors.Is(err, ErrNotYet):
		s.soon = err
		return true
	case err != nil:
		s.last = err
		return false
	}
	s.found = append(s.found, k)
	if len(s.found) == s.want {
		s.cancel()
	}
	return false
}

func (s *search) result() ([]capsule.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.found) > 0 {
		s.f.count.found.Add(1)
		return s.found[:min(len(s.found), s.want)], nil
	}
	if s.soon != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, s.soon)
	}
	if s.last != nil {
		return nil, fmt.Errorf("%w (the last of those asked: %v)", ErrNotFound, s.last)
	}
	return nil, ErrNotFound
}

// learn remembers what a check showed.
func (f *Finder) learn(zone capsule.ZoneID, k capsule.Key, err error) {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	o := Outcome{Zone: zone, Peer: k, At: now}
	if err != nil {
		o.Err = err.Error()
	}
	f.outcomes = append(f.outcomes[max(0, len(f.outcomes)+1-maxOutcomes):], o)
	if err != nil {
		f.count.refuted.Add(1)
		f.known[zone] = slices.DeleteFunc(f.known[zone], func(o capsule.Key) bool { return o == k })
		if len(f.known[zone]) == 0 {
			delete(f.known, zone)
		}
		if len(f.failed) >= maxFailed {
			clear(f.failed) // asking some again costs less than keeping order among strangers
		}
		c := claim{zone, k}
		f.failed[c] = f.silence(c, err, now)
		return
	}
	delete(f.failed, claim{zone, k})
	if f.known[zone] == nil && len(f.known) >= maxKnownZones {
		for z := range f.known {
			delete(f.known, z)
			break
		}
	}
	f.known[zone] = slices.Insert(slices.DeleteFunc(f.known[zone], func(o capsule.Key) bool { return o == k }), 0, k)
	f.known[zone] = f.known[zone][:min(len(f.known[zone]), maxKnown)]
}

// silence is for how long a claim is left alone after a check that failed with err. f.mu is held.
func (f *Finder) silence(c claim, err error, now time.Time) silence {
	switch {
	case errors.Is(err, ErrNotYet):
		pause := min(max(2*f.failed[c].pause, forgiveNotYet), forgiveUndone)
		return silence{now.Add(pause), pause}
	case errors.Is(err, p2p.ErrUnsupported), !f.h.Connected(c.peer): // it may be starting
		return silence{until: now.Add(forgiveAbsent)}
	}
	return silence{until: now.Add(forgive)}
}

// silent returns how long a peer that could not prove yet that it serves the zone is to be left alone, and whether one is that
// failed otherwise.
func (f *Finder) silent(zone capsule.ZoneID, k capsule.Key) (wait time.Duration, refuted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.failed[claim{zone, k}]
	left := max(0, time.Until(s.until))
	if s.pause == 0 {
		return 0, left > 0
	}
	return left, false
}

// remember puts k last and drops the first beyond maxKnown.
func remember(list []capsule.Key, k capsule.Key) []capsule.Key {
	list = append(slices.DeleteFunc(list, func(o capsule.Key) bool { return o == k }), k)
	return list[max(0, len(list)-maxKnown):]
}
