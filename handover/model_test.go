package handover

import (
	"flag"
	"fmt"
	"hash/maphash"
	"strings"
	"testing"
)

// The model explores every order of events of one capsule among three zones
// with clocks of their own, over a network that loses, duplicates, delays,
// reorders and replays: a message, once sent, may be delivered at any later
// moment any number of times, or never. A zone that does nothing is a dead
// zone. Each step calls the package's own transitions; a mutant replaces one
// of them.

var fullModel = flag.Bool("handover.full", false, "explore the handover model to its full depth (minutes, about 2 GB)")

const (
	modelZones = 3
	modelHops  = 3
)

const (
	sentOffer uint8 = 1 << iota
	sentCancel
	sentAccepted
	sentTombstone
	sentExpired
	sentClosed
)

// world is one state. It holds no pointer, so that equal worlds are equal
// values.
type world struct {
	clock [modelZones]uint8
	src   [modelZones]struct {
		phase Phase
		hop   uint8
	}
	tgt [modelZones]struct {
		next, until uint8
		taken       [modelHops]uint8 // 0 none, 1 accepted, 2 closed
	}
	hops [modelHops]struct {
		from, to, expires uint8
		sent              uint8
	}
	ran uint8 // hops that some zone has begun to execute
}

// rules are the transitions under test.
type rules struct {
	maxClock uint8
	hops     int
	answer   func(s Source, hop uint32, v Verdict) (Source, error)
	offer    func(t Target, hop uint32, expires, now uint64, fit bool) (Target, Verdict, bool)
	cancel   func(t Target, hop uint32, expires, now uint64) (Target, Verdict)
	forget   func(t Target, now uint64) Target
	// impatient lets a source that waits go on without an answer.
	impatient bool
}

func realRules() rules {
	return rules{
		maxClock: 2,
		hops:     2,
		answer:   Source.Answer,
		offer:    Target.Offer,
		cancel:   Target.Cancel,
		forget:   Target.Forget,
	}
}

func (w *world) source(z int) Source {
	s := Source{Phase: w.src[z].phase, Hop: uint32(w.src[z].hop)}
	if s.Phase > Running && int(s.Hop) < modelHops {
		s.Expires = uint64(w.hops[s.Hop].expires)
	}
	return s
}

func (w *world) setSource(z int, s Source) { w.src[z].phase, w.src[z].hop = s.Phase, uint8(s.Hop) }

func (w *world) target(z int) Target {
	t := Target{Next: uint32(w.tgt[z].next), Until: uint64(w.tgt[z].until)}
	for h, state := range w.tgt[z].taken {
		if state != 0 {
			t.Taken = append(t.Taken, Taken{Hop: uint32(h), Expires: uint64(w.hops[h].expires), Closed: state == 2})
		}
	}
	return t
}

func (w *world) setTarget(z int, t Target) {
	w.tgt[z].next, w.tgt[z].until = uint8(t.Next), uint8(t.Until)
	w.tgt[z].taken = [modelHops]uint8{}
	for _, h := range t.Taken {
		w.tgt[z].taken[h.Hop] = 1
		if h.Closed {
			w.tgt[z].taken[h.Hop] = 2
		}
	}
}

// run makes z the executor of hop.
func (w *world) run(z int, hop uint32) error {
	if w.ran&(1<<hop) != 0 {
		return fmt.Errorf("hop %d begins a second time, in zone %d", hop, z)
	}
	w.ran |= 1 << hop
	w.src[z].phase, w.src[z].hop = Running, uint8(hop)
	return nil
}

// check is what must hold in every reachable world.
func (w *world) check() error {
	running, waiting := 0, 0
	for z := range w.src {
		switch w.src[z].phase {
		case Running:
			running++
		case Offered, Asked, Limbo:
			waiting++
		}
	}
	if running > 1 {
		return fmt.Errorf("%d zones execute the capsule", running)
	}
	if running+waiting == 0 {
		return fmt.Errorf("no zone executes the capsule or waits for an answer: it is lost")
	}
	for h, m := range w.hops {
		if m.sent&sentAccepted != 0 && m.sent&sentTombstone != 0 {
			return fmt.Errorf("hop %d was accepted and refused", h)
		}
		if m.sent&sentAccepted != 0 && m.sent&sentExpired != 0 && m.sent&sentClosed == 0 {
			return fmt.Errorf("hop %d was accepted and called unknown while its source waits", h)
		}
	}
	return nil
}

type step struct {
	name string
	next world
	err  error
}

func bitOf(v Verdict) uint8 {
	switch v {
	case Accepted:
		return sentAccepted
	case Tombstone:
		return sentTombstone
	}
	return sentExpired
}

// steps appends every world that one event leads to.
func (w world) steps(r *rules, out []step) []step {
	add := func(name string, next world, err error) {
		if next == w && err == nil {
			return
		}
		if err == nil {
			err = next.check()
		}
		out = append(out, step{name, next, err})
	}
	for z := range modelZones {
		if w.clock[z] < r.maxClock {
			n := w
			n.clock[z]++
			add(fmt.Sprintf("time passes in %d", z), n, nil)
		}
		s := w.source(z)
		if s.Phase == Running && int(s.Hop) < r.hops {
			for to := range modelZones {
				for e := uint8(1); to != z && e <= r.maxClock; e++ {
					n := w
					released, err := s.Release(uint64(e))
					n.setSource(z, released)
					m := &n.hops[s.Hop]
					m.from, m.to, m.expires = uint8(z), uint8(to), e
					m.sent |= sentOffer
					add(fmt.Sprintf("%d releases hop %d to %d until %d", z, s.Hop, to, e), n, err)
				}
			}
		}
		if asked, err := s.Ask(); err == nil {
			n := w
			n.setSource(z, asked)
			n.hops[s.Hop].sent |= sentCancel
			add(fmt.Sprintf("%d asks about hop %d", z, s.Hop), n, nil)
			if r.impatient {
				n := w
				add(fmt.Sprintf("%d goes on without an answer", z), n, n.run(z, s.Hop+1))
			}
		}
		if lost, err := s.Lose(); err == nil {
			n := w
			n.setSource(z, lost)
			add(fmt.Sprintf("%d gives up waiting", z), n, nil)
		}
		n := w
		n.setTarget(z, r.forget(w.target(z), uint64(w.clock[z])))
		add(fmt.Sprintf("%d forgets", z), n, nil)
	}
	for h := range r.hops {
		w.deliveries(r, uint32(h), add)
	}
	return out
}

func (w world) deliveries(r *rules, h uint32, add func(string, world, error)) {
	m := w.hops[h]
	to, from := int(m.to), int(m.from)
	now, expires := uint64(w.clock[to]), uint64(m.expires)
	if m.sent&sentOffer != 0 {
		for _, fit := range []bool{true, false} {
			n := w
			t, v, fresh := r.offer(w.target(to), h, expires, now, fit)
			n.setTarget(to, t)
			n.hops[h].sent |= bitOf(v)
			var err error
			if fresh {
				err = n.run(to, h+1)
			}
			add(fmt.Sprintf("%d receives the offer of hop %d (fit %v): %v", to, h, fit, v), n, err)
		}
	}
	if m.sent&sentCancel != 0 {
		n := w
		t, v := r.cancel(w.target(to), h, expires, now)
		n.setTarget(to, t)
		n.hops[h].sent |= bitOf(v)
		add(fmt.Sprintf("%d is asked about hop %d: %v", to, h, v), n, nil)
	}
	for _, v := range []Verdict{Accepted, Tombstone, ExpiredNoRecord} {
		if m.sent&bitOf(v) == 0 {
			continue
		}
		s, err := r.answer(w.source(from), h, v)
		if err != nil {
			continue
		}
		n := w
		if s.Phase == Running {
			err = n.run(from, s.Hop)
		} else {
			n.setSource(from, s)
			n.hops[h].sent |= sentClosed
		}
		add(fmt.Sprintf("%d learns that hop %d was %v", from, h, v), n, err)
	}
	if m.sent&sentClosed != 0 {
		if t, err := w.target(to).Close(h); err == nil {
			n := w
			n.setTarget(to, t)
			add(fmt.Sprintf("%d learns that hop %d is closed", to, h), n, nil)
		}
	}
}

// violation is the first broken property that the search met, with the events
// that led to it.
type violation struct {
	err   error
	trail []string
}

// explore walks every reachable world breadth first and stops at the first
// violation. Worlds are remembered by a 128-bit fingerprint: with 20 million
// of them a collision has odds of about 1 in 10^24.
func explore(r rules) (states int, _ *violation) {
	type print [2]uint64
	seedA, seedB := maphash.MakeSeed(), maphash.MakeSeed()
	fingerprint := func(w world) print {
		return print{maphash.Comparable(seedA, w), maphash.Comparable(seedB, w)}
	}
	var first world
	if err := first.run(0, 0); err != nil {
		return 0, &violation{err: err}
	}
	type edge struct {
		parent int32
		name   string
	}
	seen := map[print]struct{}{fingerprint(first): {}}
	var trailOf []edge
	keepTrail := !*fullModel
	queue, index := []world{first}, []int32{0}
	trailOf = append(trailOf, edge{-1, ""})
	var buf []step
	for len(queue) > 0 {
		var nextQueue []world
		var nextIndex []int32
		for i, w := range queue {
			buf = w.steps(&r, buf[:0])
			for _, s := range buf {
				if s.err != nil {
					v := &violation{err: s.err, trail: []string{s.name}}
					for at := index[i]; keepTrail && at > 0; at = trailOf[at].parent {
						v.trail = append([]string{trailOf[at].name}, v.trail...)
					}
					return len(seen), v
				}
				p := fingerprint(s.next)
				if _, ok := seen[p]; ok {
					continue
				}
				seen[p] = struct{}{}
				nextQueue = append(nextQueue, s.next)
				if keepTrail {
					trailOf = append(trailOf, edge{index[i], s.name})
					nextIndex = append(nextIndex, int32(len(trailOf)-1))
				} else {
					nextIndex = append(nextIndex, 0)
				}
			}
		}
		queue, index = nextQueue, nextIndex
	}
	return len(seen), nil
}

func TestModel(t *testing.T) {
	// Expiries need a clock of two to lie before and after one another; three
	// hops let a capsule come back to a zone that has refused it before.
	bounds := []struct{ hops, clock int }{{2, 2}, {3, 1}}
	if *fullModel {
		bounds = []struct{ hops, clock int }{{3, 2}} // 8,473,959 states, about 90 s
	}
	for _, b := range bounds {
		r := realRules()
		r.hops, r.maxClock = b.hops, uint8(b.clock)
		states, v := explore(r)
		t.Logf("model: %d zones, %d hops, clocks to %d: %d states", modelZones, b.hops, b.clock, states)
		if v != nil {
			t.Fatalf("%v\n%s", v.err, strings.Join(v.trail, "\n"))
		}
		if states < 10_000 {
			t.Fatalf("the model explored only %d states; its events no longer fire", states)
		}
	}
}
