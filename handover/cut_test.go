package handover_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/machine"
)

var (
	cutRuns = flag.Int("handover.runs", 1000, "journeys of TestCut")
	cutSeed = flag.Uint64("handover.seed", 0, "seed of the first run of TestCut and TestBank; 0 draws one")
)

func firstSeed(t *testing.T) uint64 {
	seed := *cutSeed
	if seed == 0 {
		seed = rand.Uint64() >> 1
	}
	t.Logf("seed %d", seed)
	return seed
}

// TestCut sends capsules through three zones while every message is lost, repeated, delayed and reordered, movers and
// workers stop at any step, clocks run apart and zones fall silent. Each step of each program must take effect exactly
// once, in one zone.
func TestCut(t *testing.T) {
	seed := firstSeed(t)
	var owners, lost, doubled, moved int
	var w *world
	for run := range *cutRuns {
		if run%40 == 0 {
			if w != nil {
				for _, s := range w.sites {
					if err := s.replay(); err != nil {
						t.Fatalf("%s: %v", s.name, err)
					}
				}
			}
			w = newWorld(t, 3, nil)
		}
		c := &cut{world: w, net: net{rng: rand.New(rand.NewPCG(seed+uint64(run), 1)), loss: 0.3}}
		o, l, d := c.run()
		if o != 1 || l+d > 0 {
			t.Errorf("run with seed %d: %d owners, %d steps lost, %d doubled", seed+uint64(run), o, l, d)
		}
		owners, lost, doubled, moved = max(owners, o), lost+l, doubled+d, moved+int(c.hop)
		if err := w.books(); err != nil {
			t.Fatalf("run with seed %d: %v", seed+uint64(run), err)
		}
		if t.Failed() {
			return
		}
	}
	if moved < *cutRuns {
		t.Errorf("%d hops in %d runs: the journeys do not move", moved, *cutRuns)
	}
	t.Logf("%d hops", moved)
	fmt.Printf("cut: %d runs, owners %d, lost %d, doubled %d, gas conserved\n", *cutRuns, owners, lost, doubled)
}

// cut is one journey.
type cut struct {
	*world
	net
	steps  uint32
	hop    uint32 // at the end
	silent *site  // does nothing for a while
}

func (c *cut) run() (owners, lost, doubled int) {
	c.steps = 2 + c.rng.Uint32N(5)
	home := c.rng.IntN(len(c.sites))
	sealed := c.seal(home, 100_000_000)
	j := &job{id: sealed.ID()}
	plan := make([]*site, c.steps)
	for i := range plan {
		plan[i] = c.sites[c.rng.IntN(len(c.sites))]
	}
	j.run = func(s *site, st state, resume int32, read func(string) int64, write func(string, int64)) (state, *site) {
		if st.Step == c.steps {
			return st, nil
		}
		key := fmt.Sprintf("%s/%d", j.id, st.Step)
		write(key, read(key)+1)
		st.Step++
		if st.Step == c.steps {
			return st, nil
		}
		return st, plan[st.Step]
	}
	c.sites[home].do(must(machine.NewAdmit(sealed.Bytes())))
	for n := 0; ; n++ {
		if n == 400 {
			c.calm() // and everything has to resolve
		}
		if n > 4000 {
			break // it hangs: count says where
		}
		c.event(j)
		if n%16 == 0 && c.ended(j) != nil {
			break
		}
	}
	// What is still under way arrives after the end, and must change nothing.
	for range 4 * len(c.bag) {
		c.deliver()
	}
	return c.count(j)
}

// calm ends the faults: nothing is lost, nobody is silent, and clocks are right.
func (c *cut) calm() {
	c.loss, c.silent = 0, nil
	var now uint64
	for _, s := range c.sites {
		now = max(now, s.now)
	}
	for _, s := range c.sites {
		s.tick(now - s.now + 1)
		s.register()
	}
}

func (c *cut) event(j *job) {
	if c.silent == nil && c.loss > 0 && c.rng.IntN(200) == 0 {
		c.silent = c.sites[c.rng.IntN(len(c.sites))]
	} else if c.silent != nil && c.rng.IntN(40) == 0 {
		c.silent = nil
	}
	s := c.sites[c.rng.IntN(len(c.sites))]
	if s == c.silent {
		return
	}
	switch c.rng.IntN(8) {
	case 0, 1:
		c.drive(&c.net, s)
	case 2, 3:
		c.deliver()
		if len(c.bag) > 64 {
			c.bag = c.bag[:32]
		}
	case 4:
		// A worker that is cut off sends what it has later, or never.
		if cmd := s.attempt(j); cmd != nil {
			c.send(func() { s.try(cmd) })
		}
	case 5:
		if cmd := s.attempt(j); cmd != nil {
			s.try(cmd)
		}
	case 6:
		for _, x := range c.sites {
			if c.loss == 0 || x == s {
				x.tick(1 + c.rng.Uint64N(3000))
				x.register()
			}
		}
	case 7:
		if c.loss > 0 && c.rng.IntN(20) == 0 {
			s.tick(1 + c.rng.Uint64N(700_000))
			s.register()
		}
	}
}

// ended returns the zone where the capsule has ended.
func (c *cut) ended(j *job) *site {
	for _, s := range c.sites {
		if r, err := s.view().Capsule(j.id); err == nil && r.Status == machine.StatusDone {
			return s
		}
	}
	return nil
}

// count says in how many zones the capsule ended or lives, and what its steps did.
func (c *cut) count(j *job) (owners, lost, doubled int) {
	for _, s := range c.sites {
		r, err := s.view().Capsule(j.id)
		if err != nil {
			continue
		}
		switch {
		case r.Status == machine.StatusGone:
		case r.Status >= machine.StatusOffered:
			// The target may have it: then it counts there.
			o := must(s.view().Offered(j.id, r.Hop))
			if t, err := c.site(o.Target).view().Target(j.id); err != nil || !holds(t, r.Hop) {
				owners++
			}
		default:
			owners++
			c.hop = r.Hop
			if r.Status != machine.StatusDone {
				c.t.Logf("%s: %s at hop %d segment %d", s.name, r.Status, r.Hop, r.Segment)
			}
		}
	}
	for step := range c.steps {
		var n int64
		for _, s := range c.sites {
			n += s.get(fmt.Sprintf("%s/%d", j.id, step))
		}
		switch {
		case n < 1:
			lost++
		case n > 1:
			doubled++
		}
	}
	return owners, lost, doubled
}

func holds(r machine.TargetRow, hop uint32) bool {
	for _, k := range r.Taken {
		if k.Hop == hop {
			return true
		}
	}
	return false
}

// TestBank moves amounts between accounts in three zones under the same faults. At every moment the accounts and the
// amounts on their way are what there was at first, and at the end the accounts alone.
func TestBank(t *testing.T) {
	seed := firstSeed(t)
	for run := range 4 {
		bank(t, seed+uint64(run))
	}
}

func bank(t *testing.T, seed uint64) {
	const accounts, initial, transfers = 4, 1000, 12
	c := &cut{world: newWorld(t, 3, nil), net: net{rng: rand.New(rand.NewPCG(seed, 2)), loss: 0.2}}
	for _, s := range c.sites {
		var key [16]byte
		key[0] = 1
		d := &machine.Data{Scope: s.scope(), Expires: s.now + 60_000}
		for a := range accounts {
			d.Writes = append(d.Writes, machine.Write{Key: fmt.Appendf(nil, "log/a%d", a), Value: []byte{0, 0, 0, 0, 0, 0, initial >> 8, initial & 255}})
		}
		s.do(must(machine.NewData(c.author, key, d)))
	}
	var jobs []*job
	for range transfers {
		from, to := c.sites[c.rng.IntN(3)], c.sites[c.rng.IntN(3)]
		payer, payee := fmt.Sprintf("a%d", c.rng.IntN(accounts)), fmt.Sprintf("a%d", c.rng.IntN(accounts))
		amount := 1 + c.rng.Int64N(300)
		j := &job{}
		j.run = func(s *site, st state, _ int32, read func(string) int64, write func(string, int64)) (state, *site) {
			switch {
			case st.Step == 0 && s == from:
				have := read(payer)
				if have < amount {
					return st, nil
				}
				write(payer, have-amount)
				return state{Step: 1, Carry: amount}, to
			case st.Step == 0:
				return st, from
			case s == to:
				write(payee, read(payee)+st.Carry)
				return state{Step: 2}, nil
			}
			return st, to
		}
		home := c.rng.IntN(3)
		sealed := c.seal(home, 100_000_000)
		j.id = sealed.ID()
		c.sites[home].do(must(machine.NewAdmit(sealed.Bytes())))
		jobs = append(jobs, j)
	}
	sum := func() (accts, flying int64) {
		for _, s := range c.sites {
			for a := range accounts {
				accts += s.get(fmt.Sprintf("a%d", a))
			}
			for _, j := range jobs {
				flying += c.carried(s, j)
			}
		}
		return accts, flying
	}
	for n := 0; n < 20_000; n++ {
		if n == 1500 {
			c.calm()
		}
		c.event(jobs[c.rng.IntN(len(jobs))])
		if n%32 == 0 {
			if a, f := sum(); a+f != 3*accounts*initial {
				t.Fatalf("seed %d, event %d: accounts %d + under way %d ≠ %d", seed, n, a, f, 3*accounts*initial)
			}
			if err := c.books(); err != nil {
				t.Fatalf("seed %d, event %d: %v", seed, n, err)
			}
			if n > 1500 && c.live(jobs) == 0 {
				break
			}
		}
	}
	a, f := sum()
	if live := c.live(jobs); live > 0 {
		t.Errorf("seed %d: %d of %d transfers never ended", seed, live, len(jobs))
		for _, j := range jobs {
			if c.ended(j) != nil {
				continue
			}
			for _, s := range c.sites {
				if r, err := s.view().Capsule(j.id); err == nil {
					t.Logf("%s in %s: %s at hop %d since %d ms ago, %+v", j.id, s.name, r.Status, r.Hop, s.now-r.Since, r.Gas)
				}
			}
		}
	}
	if a != 3*accounts*initial || f != 0 {
		t.Errorf("seed %d: at the end accounts hold %d, %d is under way", seed, a, f)
	}
	for _, s := range c.sites {
		if err := s.replay(); err != nil {
			t.Errorf("seed %d: %s: %v", seed, s.name, err)
		}
	}
}

func (c *cut) live(jobs []*job) (n int) {
	for _, j := range jobs {
		if c.ended(j) == nil {
			n++
		}
	}
	return n
}

// carried is the amount in the state of a capsule that s owns: it runs here, or is on offer and not taken.
func (c *cut) carried(s *site, j *job) int64 {
	r, err := s.view().Capsule(j.id)
	if err != nil || r.Status.Ended() {
		return 0
	}
	if r.Status >= machine.StatusOffered {
		o := must(s.view().Offered(j.id, r.Hop))
		if t, err := c.site(o.Target).view().Target(j.id); err == nil && holds(t, r.Hop) {
			return 0
		}
	}
	b, err := s.view().Continuation(j.id)
	if err != nil {
		return 0 // it has not begun
	}
	var st state
	if err := capsule.Unmarshal(b, &st); err != nil {
		c.t.Fatal(err)
	}
	return st.Carry
}
