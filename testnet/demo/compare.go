package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/examples/investigation"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/api"
)

// Compare is the same question, answered in several ways over the same links.
type Compare struct {
	DelayMs float64   `json:"delay_ms"` // of the long links, one way
	Ways    []Way     `json:"ways"`
	Hops    []carried `json:"hops"` // of the capsule that moves
	// EvenMs is the one-way delay from which moving is the faster way, by name of the other; -1: at no delay measured, 0: at all.
	EvenMs map[string]float64 `json:"break_even_delay_ms"`
	// EvenLookups is how many dependent lookups at one stop make up for the move there, over the long links.
	EvenLookups float64 `json:"break_even_lookups"`
}

// Way is one way of answering.
type Way struct {
	Name  string  `json:"name"`
	Short Measure `json:"short"` // links without delay
	Long  Measure `json:"long"`
}

// Measure is what a way took.
type Measure struct {
	Ms    []float64 `json:"ms"` // every run
	P50   float64   `json:"ms_median"`
	Bytes uint64    `json:"bytes"` // between organisations and to the investigator abroad, on streams; median of the runs
	Rows  int       `json:"rows"`  // that left their organisation, those inside a continuation too
}

// Names of the ways.
const (
	wayMoves     = "the logic moves"
	wayMovesNew  = "  moves, code not cached"
	wayStateless = "stateless code, shipped"
	wayShipped   = "  shipped, code not cached"
	wayCalls     = "remote calls, one by one"
	wayAhead     = "remote calls, prefetching"
)

// way runs one of them.
type way struct {
	name string
	runs int
	// remote ways find their streams open.
	remote bool
	do     func(ctx context.Context) (ans investigation.Answer, rows int, err error)
}

func (d *demo) compare(ctx context.Context) error {
	d.s.text("")
	d.s.say("The same question asked in other ways, over the same links between organisations: up to %d runs each, first\n         without delay, then with %s each way. Whoever asks sits at %s.\n", d.opt.Runs, d.opt.Delay, names[0])
	c := &Compare{DelayMs: d.opt.Delay.Seconds() * 1000}
	d.rep.Compare = c
	r := newRemote(d.wire, d.orgs, d.rights)
	defer r.close()
	ways := d.ways(r)
	for _, w := range ways {
		c.Ways = append(c.Ways, Way{Name: w.name})
	}
	same := true
	for _, long := range []bool{false, true} {
		delay := time.Duration(0)
		if long {
			delay = d.opt.Delay
		}
		d.line.Set(delay)
		if err := d.net.Delay(delay); err != nil {
			return err
		}
		for i, w := range ways {
			if w.remote { // nodes end streams that are idle for long
				if err := r.warm(ctx, func(o *org) string { return d.graph.owned(o.name)[0] }); err != nil {
					return err
				}
			}
			m := &c.Ways[i].Short
			if long {
				m = &c.Ways[i].Long
			}
			ok, err := d.measure(ctx, w, delay, m)
			if err != nil {
				return fmt.Errorf("%s: %w", strings.TrimSpace(w.name), err)
			}
			same = same && ok
		}
	}
	if err := d.reveal(ctx, c); err != nil {
		return err
	}
	c.even(d)
	d.table(c)
	d.check("every way gives the same answer", same)
	d.check("the state is at most 64 KiB at every move", !slices.ContainsFunc(c.Hops, func(h carried) bool { return h.Bytes > 64<<10 }))
	return nil
}

func (d *demo) ways(r *remote) []way {
	remotely := func(answer func(context.Context, investigation.Question) (investigation.Answer, error)) func(context.Context) (investigation.Answer, int, error) {
		return func(ctx context.Context) (investigation.Answer, int, error) {
			before := r.left.Load()
			ans, err := answer(ctx, d.q)
			return ans, int(r.left.Load() - before), err
		}
	}
	moves := func(p func() (*sdk.Program, error)) func(context.Context) (investigation.Answer, int, error) {
		return func(ctx context.Context) (investigation.Answer, int, error) {
			code, err := p()
			if err != nil {
				return investigation.Answer{}, 0, err
			}
			ans, sub, pr, err := d.moving(ctx, code, d.q)
			if err == nil {
				d.last.sub, d.last.prepared = sub, pr
			}
			return ans, 0, err
		}
	}
	ships := func(p func() (*sdk.Program, error)) func(context.Context) (investigation.Answer, int, error) {
		return func(ctx context.Context) (investigation.Answer, int, error) {
			code, err := p()
			if err != nil {
				return investigation.Answer{}, 0, err
			}
			ans, err := d.stateless(ctx, code, d.q)
			return ans, 0, err
		}
	}
	known := func() (*sdk.Program, error) { return d.code.Program, nil }
	return []way{
		{wayMovesNew, min(2, d.opt.Runs), false, moves(d.unknown)},
		{wayMoves, d.opt.Runs, false, moves(known)},
		{wayShipped, min(2, d.opt.Runs), false, ships(d.unknown)},
		{wayStateless, d.opt.Runs, false, ships(known)},
		{wayCalls, 1, true, remotely(r.oneByOne)},
		{wayAhead, d.opt.Runs, true, remotely(r.ahead)},
	}
}

// last is the newest capsule that moved, to be looked into.
type last struct {
	sub      *sdk.Submission
	prepared *sdk.Prepared
}

// measure runs a way, and reports whether every run came to the answer.
func (d *demo) measure(ctx context.Context, w way, delay time.Duration, m *Measure) (same bool, err error) {
	same = true
	var bytes []uint64
	for run := range w.runs {
		d.s.wait("%-25s  %4s each way, run %d of %d", strings.TrimSpace(w.name), delay, run+1, w.runs)
		before, err := d.sent(ctx)
		if err != nil {
			return false, err
		}
		began := time.Now()
		ans, rows, err := w.do(ctx)
		if err != nil {
			return false, err
		}
		m.Ms = append(m.Ms, time.Since(began).Seconds()*1000)
		after, err := d.settled(ctx, delay)
		if err != nil {
			return false, err
		}
		bytes = append(bytes, after-before)
		m.Rows = rows
		same = same && slices.Equal(ans.Chain, d.want.Chain) && ans.Lookups == d.want.Lookups
	}
	m.P50, m.Bytes = median(m.Ms), median(bytes)
	d.s.say("%-25s  %4s each way  %8.0f ms  %10s sent", strings.TrimSpace(w.name), delay, m.P50, size(m.Bytes))
	return same, nil
}

func median[T float64 | uint64](all []T) T {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// counted are the protocols that do the work; nodes also tell each other where they are.
var counted = []string{admin.Proto, api.ProtoSubmit, api.ProtoResult, api.ProtoCommand, api.ProtoHandover}

// sent is what has gone over the links between organisations so far.
func (d *demo) sent(ctx context.Context) (uint64, error) {
	all := d.line.Sent()
	for _, o := range d.orgs {
		if err := o.far(ctx, all); err != nil {
			return 0, err
		}
	}
	total := uint64(0)
	for proto, n := range all {
		if slices.Contains(counted, proto) || strings.Contains(proto, "/blob/") {
			total += n
		}
	}
	return total, nil
}

// settled is sent, once what a run has left to be said is said.
func (d *demo) settled(ctx context.Context, delay time.Duration) (uint64, error) {
	before, err := d.sent(ctx)
	for err == nil {
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-time.After(100*time.Millisecond + 2*delay):
		}
		var now uint64
		if now, err = d.sent(ctx); now == before {
			return now, err
		}
		before = now
	}
	return 0, err
}

// reveal looks into the capsule at each of its moves.
func (d *demo) reveal(ctx context.Context, c *Compare) error {
	d.s.wait("looking into the continuations")
	r, err := d.last.sub.Receipt(ctx)
	if err != nil {
		return err
	}
	if c.Hops, err = replay(ctx, d.last.prepared, d.graph, &r.Lineage); err != nil {
		d.s.text("         %v", err)
		d.check("the state at every move can be recomputed", false)
		return nil
	}
	rows := 0
	for _, h := range c.Hops {
		rows = max(rows, h.Rows)
	}
	for i := range c.Ways {
		if c.Ways[i].Name == wayMoves || c.Ways[i].Name == wayMovesNew {
			c.Ways[i].Short.Rows, c.Ways[i].Long.Rows = rows, rows
		}
	}
	return nil
}

func (c *Compare) way(name string) *Way {
	return &c.Ways[slices.IndexFunc(c.Ways, func(w Way) bool { return w.Name == name })]
}

// even finds where moving and the other ways take the same time.
func (c *Compare) even(d *demo) {
	m := c.way(wayMoves)
	c.EvenMs = map[string]float64{}
	for _, w := range c.Ways {
		if w.Name == wayMoves || w.Name == wayMovesNew {
			continue
		}
		behind, ahead := m.Short.P50-w.Short.P50, w.Long.P50-m.Long.P50
		switch {
		case behind <= 0 && ahead >= 0:
			c.EvenMs[strings.TrimSpace(w.Name)] = 0
		case behind > 0 && ahead > 0:
			c.EvenMs[strings.TrimSpace(w.Name)] = c.DelayMs * behind / (behind + ahead)
		default:
			c.EvenMs[strings.TrimSpace(w.Name)] = -1
		}
	}
	abroad := uint32(0)
	for _, v := range d.want.Visits {
		if v.Zone != names[0] {
			abroad += v.Lookups
		}
	}
	if abroad > 0 && d.want.Moves > 0 {
		perLookup := c.way(wayCalls).Long.P50 / float64(abroad)
		c.EvenLookups = m.Long.P50 / float64(d.want.Moves) / perLookup
	}
}

func (d *demo) table(c *Compare) {
	d.s.text("")
	d.s.text("                              no delay     %3.0f ms each way      crossed       rows that left", c.DelayMs)
	for _, name := range []string{wayMoves, wayMovesNew, wayStateless, wayShipped, wayCalls, wayAhead} {
		w := c.way(name)
		d.s.text("  %-26s %8.0f ms %14.0f ms %14s %14d", w.Name, w.Short.P50, w.Long.P50, size(w.Long.Bytes), w.Long.Rows)
	}
	d.s.text("")
	m := c.way(wayMoves)
	for _, name := range []string{wayCalls, wayAhead, wayStateless} {
		w := c.way(name)
		switch even := c.EvenMs[name]; {
		case even == 0:
			d.s.text("  Moving against %s: faster with and without delay.", name)
		case even > 0:
			d.s.text("  Moving against %s: slower without delay, breaks even at %.1f ms each way.", name, even)
		case m.Long.P50 >= w.Long.P50:
			d.s.text("  Moving against %s: slower, with delay too, %.0f ms to %.0f ms.", name, m.Long.P50, w.Long.P50)
		default:
			d.s.text("  Moving against %s: faster without delay, slower with it.", name)
		}
	}
	d.s.text("  At %.0f ms each way a move costs as much time as %.1f remote lookups: with fewer to make at a stop, call.", c.DelayMs, c.EvenLookups)
	names := 0
	most := uint64(0)
	for _, h := range c.Hops {
		names, most = max(names, h.Names), max(most, h.Bytes)
	}
	d.s.text("  The state that moves is at most %s. It holds the names of %d packages: those it has seen, and those to look at next.", size(most), names)
	d.s.text("  The memory at each move was recomputed here, and its hash is the one that the zones certified.\n")
	best := c.way(wayCalls)
	if w := c.way(wayAhead); w.Long.P50 < best.Long.P50 {
		best = w
	}
	d.s.text("  In short: at %.0f ms each way the function that moves has the answer after %.0f ms, and %d rows leave their owner.",
		c.DelayMs, m.Long.P50, m.Long.Rows)
	d.s.text("  The faster kind of remote calls has it after %.0f ms, and %d rows leave theirs.\n", best.Long.P50, best.Long.Rows)
}
