package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/examples/investigation"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/proc"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Evacuation is what came of computations whose nodes were all drained and restarted under them.
type Evacuation struct {
	Capsules  int           `json:"capsules"`
	Finished  int           `json:"finished"`
	Lost      int           `json:"lost"`
	Different int           `json:"different"` // in result, gas or notes from the run that nobody disturbed
	Moved     int           `json:"moved"`     // to another node, at least once
	Gas       uint64        `json:"gas"`       // of each
	Nodes     []Restart     `json:"nodes"`
	Pauses    []PauseBucket `json:"pauses"`
	P50Ms     int64         `json:"pause_p50_ms"`
	P99Ms     int64         `json:"pause_p99_ms"`
	Memory    uint64        `json:"memory_peak"` // bytes of all processes together, by their proportional share
	Checks    []Check       `json:"checks"`
	Seconds   float64       `json:"seconds"`
}

// Restart is one node's.
type Restart struct {
	Node    string `json:"node"`
	Running int    `json:"running"` // there, when it began
	Ms      int64  `json:"ms"`      // until it was there again
}

// PauseBucket counts pauses: how long a computation went without running while it changed its node, at most.
type PauseBucket struct {
	BelowMs int64 `json:"below_ms"` // 0: no bound
	Count   int   `json:"count"`
}

// evacuation is one run.
type evacuation struct {
	*demo
	rep   Evacuation
	o     *org
	q     investigation.Question
	want  investigation.Answer
	subs  []*sdk.Submission
	cases []string
	ids   map[capsule.ID]int

	mu     sync.Mutex // guards what follows
	state  []string   // of each capsule, as last seen
	worker []string
	seen   []time.Time // last running, and not asleep since; or zero
	moves  []int
	pauses []time.Duration
}

// Evacuate shows it with so many computations.
func Evacuate(ctx context.Context, o Options, capsules int) (err error) {
	out := o.Out
	if o.JSON {
		out, o.Live = io.Discard, false
	}
	began := time.Now()
	e := &evacuation{demo: &demo{opt: o, s: newScreen(out, o.Live)}, ids: map[capsule.ID]int{}}
	e.rep.Capsules = capsules
	e.s.text("A zone of three nodes runs %d computations. Meanwhile every node is drained and restarted in turn.\n", capsules)
	err = e.run(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if cerr := e.demo.close(); err == nil {
		err = cerr
	}
	e.rep.Checks, e.rep.Memory, e.rep.Seconds = e.demo.rep.Checks, e.demo.rep.Memory, time.Since(began).Seconds()
	e.s.close()
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		if jerr := enc.Encode(e.rep); err == nil {
			err = jerr
		}
	}
	return err
}

func (e *evacuation) run(ctx context.Context) error {
	var err error
	if e.dir, e.remove, err = proc.Scratch("kwnode-evacuate-"); err != nil {
		return err
	}
	if err := e.found(ctx); err != nil {
		return err
	}
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	checkMemory := e.remember(watched)
	for _, step := range []func(context.Context) error{e.reference, e.submit, e.restart, e.results} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	checkMemory()
	if i := slices.IndexFunc(e.demo.rep.Checks, func(c Check) bool { return !c.OK }); i >= 0 {
		return fmt.Errorf("a check failed: %s", e.demo.rep.Checks[i].What)
	}
	e.s.say("every check holds")
	return nil
}

// found starts the zone, with rows that lead nowhere else.
func (e *evacuation) found(ctx context.Context) error {
	g, err := loadGraph(ctx)
	if err != nil {
		return err
	}
	for path, row := range g.rows {
		row.Imports = slices.DeleteFunc(row.Imports, func(im investigation.Import) bool {
			return investigation.Owner(string(im.Path)) != investigation.Home
		})
		g.rows[path] = row
	}
	g.keep(subject, evacuateRows)
	e.graph = g
	e.s.wait("building the capsule for WebAssembly")
	if e.code, err = loadModule(ctx, e.dir, func(build.Progress) {}); err != nil {
		return err
	}
	e.net, err = proc.Up(ctx, proc.Options{
		Binary: e.opt.Binary, Dir: e.dir, Zones: 1, Names: names[:1], Voters: 3, Work: true, Joined: true,
		Slots: uint32(e.rep.Capsules/2 + 16), Heartbeat: 250 * time.Millisecond, Progress: e.s.wait,
	})
	if err != nil {
		return err
	}
	st := e.net.State()
	if e.o, err = openOrg(ctx, e.dir, &st, 0); err != nil {
		return err
	}
	e.orgs = []*org{e.o}
	client, err := capsule.LoadIdentity(e.dir + "/" + proc.ClientKey)
	if err != nil {
		return err
	}
	if err := e.o.endow(ctx, client.Key()); err != nil {
		return err
	}
	if err := e.o.fill(ctx, g); err != nil {
		return err
	}
	// So many computations at once keep every processor busy: a worker that is late is not gone yet.
	p := machine.DefaultPolicy()
	p.Times.Lease = evacuateLease
	if err := e.o.c.Act(ctx, &e.o.zone, cert.OpPolicy, &p, e.o.root); err != nil {
		return err
	}
	chain, err := e.o.rights(client.Key())
	if err != nil {
		return err
	}
	book := sdk.NewBook()
	if err := book.Trust(e.o.name, e.o.zone.ID); err != nil {
		return err
	}
	h, err := p2p.New(p2p.Config{Identity: client})
	if err != nil {
		return err
	}
	e.client, err = sdk.Dial(ctx, e.o.nodes[0].Addr, sdk.WithIdentity(client), sdk.WithBook(book), sdk.WithGrants(chain), sdk.WithTransport(wire{h}))
	if err != nil {
		h.Close()
		return err
	}
	for _, n := range e.o.nodes[1:] {
		if err := e.client.Connect(ctx, n.Addr); err != nil {
			return err
		}
	}
	e.s.say("three nodes, voters and workers at once, over %d rows", e.o.rows)
	return nil
}

// Each computation looks at all rows of the zone, and works and rests on the way.
const (
	evacuateLease = 15_000 // zone ms
	evacuateRows  = 60
	evacuateEvery = 15
	evacuateRest  = 2 * time.Second
	evacuateWork  = 30_000 // rounds of idle arithmetic for each lookup
)

func (e *evacuation) start(ctx context.Context, name string) (*sdk.Submission, error) {
	q := e.q
	q.Case = name
	pr, err := e.prepare(ctx, e.code.Program, q)
	if err != nil {
		return nil, err
	}
	b, err := e.client.Seal(pr, e.terms()...)
	if err != nil {
		return nil, err
	}
	return e.client.Submit(ctx, b)
}

// reference runs one that nobody disturbs.
func (e *evacuation) reference(ctx context.Context) error {
	e.q = investigation.Question{From: subject, To: "nothing", Effort: evacuateWork, Every: evacuateEvery, Rest: int64(evacuateRest)}
	if !jit.Supported() {
		e.q.Effort /= 20
	}
	e.s.wait("one undisturbed run, for comparison")
	s, err := e.start(ctx, fmt.Sprintf("run-%06d", 999_999))
	if err != nil {
		return err
	}
	res, err := s.Await(ctx)
	if err != nil {
		return err
	}
	e.rep.Gas = res.Bill.Spent
	if e.want, err = sdk.Decode[investigation.Answer](res); err != nil {
		return err
	}
	e.s.say("undisturbed, one takes %s units of gas for %d lookups", thousands(e.rep.Gas), e.want.Lookups)
	return nil
}

// parallel is how many submissions and results are under way at a time.
const parallel = 8

func (e *evacuation) submit(ctx context.Context) error {
	n := e.rep.Capsules
	e.subs, e.cases = make([]*sdk.Submission, n), make([]string, n)
	e.state, e.worker = make([]string, n), make([]string, n)
	e.seen, e.moves = make([]time.Time, n), make([]int, n)
	e.s.wait("submitting %d", n)
	err := e.all(func(i int) (err error) {
		e.cases[i] = fmt.Sprintf("run-%06d", i)
		e.subs[i], err = e.start(ctx, e.cases[i])
		return err
	})
	for i, s := range e.subs {
		if s != nil {
			e.ids[s.ID] = i
		}
	}
	e.s.say("%d computations are signed and admitted", n)
	return err
}

// all runs fn for every capsule, some at a time.
func (e *evacuation) all(fn func(i int) error) error {
	slots := make(chan struct{}, parallel)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for i := range e.rep.Capsules {
		slots <- struct{}{}
		wg.Go(func() {
			if err := fn(i); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
			<-slots
		})
	}
	wg.Wait()
	return failed
}

// restart drains and restarts every node while it is watched what becomes of the computations.
func (e *evacuation) restart(ctx context.Context) error {
	watching, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { e.watch(watching) })
	for e.count("running") < min(e.rep.Capsules/4, 20) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
	for _, n := range e.o.nodes {
		r := Restart{Node: n.Name, Running: e.on(n.Name)}
		began := time.Now()
		e.s.say("%s: %s; drain and restart %s, which runs %d of them", e.o.name, e.tally(), n.Name, r.Running)
		if err := e.net.Restart(ctx, n.Name); err != nil {
			return err
		}
		if _, err := e.o.c.Connect(ctx, n.Addr); err != nil {
			return err
		}
		if err := e.client.Connect(ctx, n.Addr); err != nil {
			return err
		}
		r.Ms = time.Since(began).Milliseconds()
		e.rep.Nodes = append(e.rep.Nodes, r)
		e.s.say("%s is back after %d ms", n.Name, r.Ms)
		if err := e.led(ctx); err != nil {
			return err
		}
	}
	for e.count("ended") < e.rep.Capsules {
		e.s.wait("%s", e.tally())
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// led waits until every voter follows a leader again, so that the next one can be spared.
func (e *evacuation) led(ctx context.Context) error {
	for {
		all := true
		for _, n := range e.o.nodes {
			var st admin.ZoneStatus
			err := e.o.c.Ask(ctx, n.Key, &admin.Request{Op: admin.OpStatus, Zone: e.o.zone.ID}, &st)
			all = all && err == nil && !st.Leader.IsZero() && int(st.Workers) == len(e.o.nodes)
		}
		if all {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (e *evacuation) count(state string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.state {
		if s == state {
			n++
		}
	}
	return n
}

func (e *evacuation) on(node string) (n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i, w := range e.worker {
		if w == node && e.state[i] == "running" {
			n++
		}
	}
	return n
}

func (e *evacuation) tally() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := map[string]int{}
	for _, s := range e.state {
		n[s]++
	}
	var parts []string
	for _, s := range []string{"running", "sleeping", "ready", "ended"} {
		parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
	}
	return strings.Join(parts, ", ")
}

// watch looks at all capsules again and again.
func (e *evacuation) watch(ctx context.Context) {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		var list admin.Capsules
		req := &admin.Request{Op: admin.OpCapsules, Zone: e.o.zone.ID, Stale: true, Rows: admin.MaxRows}
		for _, n := range e.o.nodes {
			ask, cancel := context.WithTimeout(ctx, time.Second)
			err := e.o.c.Ask(ask, n.Key, req, &list)
			cancel()
			if err == nil {
				e.see(&list, time.Now())
				break
			}
		}
	}
}

// see compares with what was seen before. A computation that runs on another node than when it was last seen running, and
// didn't sleep between, was paused for at most that time.
func (e *evacuation) see(list *admin.Capsules, now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for k := range list.Capsules {
		c := &list.Capsules[k]
		i, ok := e.ids[c.ID]
		if !ok || e.state[i] == "ended" {
			continue
		}
		if slices.Contains([]string{"done", "failed", "cancelled", "expired"}, c.Status) {
			c.Status = "ended"
		}
		e.state[i] = c.Status
		if c.Status != "running" {
			if c.Status != "ready" {
				e.seen[i] = time.Time{}
			}
			continue
		}
		k, err := capsule.ParseKey(c.Worker)
		w := e.o.workers[k]
		if err != nil || w == "" {
			continue
		}
		if e.worker[i] != "" && e.worker[i] != w {
			e.moves[i]++
			if !e.seen[i].IsZero() {
				e.pauses = append(e.pauses, now.Sub(e.seen[i]))
			}
		}
		e.worker[i], e.seen[i] = w, now
	}
}

// results compares every outcome with the undisturbed one.
func (e *evacuation) results(ctx context.Context) error {
	e.s.wait("collecting %d certified results", e.rep.Capsules)
	want := investigation.Note{Lookups: e.want.Lookups, Visits: 1}
	var mu sync.Mutex
	err := e.all(func(i int) error {
		res, err := e.subs[i].Await(ctx)
		var failed *sdk.Failed
		if errors.As(err, &failed) {
			mu.Lock()
			e.rep.Lost++
			mu.Unlock()
			return nil
		}
		if err != nil {
			return err
		}
		ans, err := sdk.Decode[investigation.Answer](res)
		if err != nil {
			return err
		}
		note, err := e.o.noted(ctx, e.cases[i], true)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		e.rep.Finished++
		if res.Bill.Spent != e.rep.Gas || res.Bill.Retry != 0 || !reflect.DeepEqual(ans, e.want) || note != want {
			e.rep.Different++
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, n := range e.moves {
		if n > 0 {
			e.rep.Moved++
		}
	}
	e.histogram()
	e.s.text("")
	e.check(fmt.Sprintf("%d of %d computations finished, %d lost", e.rep.Finished, e.rep.Capsules, e.rep.Lost), e.rep.Finished == e.rep.Capsules)
	e.check(fmt.Sprintf("result, gas and recorded lookups equal those of an undisturbed run, to the unit; %d differ", e.rep.Different), e.rep.Different == 0)
	e.check(fmt.Sprintf("%d of them changed nodes on the way", e.rep.Moved), e.rep.Moved > 0)
	return nil
}

func (e *evacuation) histogram() {
	slices.Sort(e.pauses)
	if n := len(e.pauses); n > 0 {
		e.rep.P50Ms, e.rep.P99Ms = e.pauses[n/2].Milliseconds(), e.pauses[n*99/100].Milliseconds()
	}
	e.s.text("")
	e.s.text("  %d times a computation changed nodes while it ran. Pauses as seen from outside, upper bounds (p50 %d ms, p99 %d ms):", len(e.pauses), e.rep.P50Ms, e.rep.P99Ms)
	low := time.Duration(0)
	for _, high := range []int64{50, 100, 200, 500, 1000, 2000, 5000, 0} {
		b := PauseBucket{BelowMs: high}
		for _, p := range e.pauses {
			if p >= low && (high == 0 || p < time.Duration(high)*time.Millisecond) {
				b.Count++
			}
		}
		low = time.Duration(high) * time.Millisecond
		e.rep.Pauses = append(e.rep.Pauses, b)
		label := fmt.Sprintf("below %d ms", high)
		if high == 0 {
			label = "longer"
		}
		e.s.text("    %-14s %5d  %s", label, b.Count, strings.Repeat("#", min(60, (b.Count*60+len(e.pauses))/max(1, len(e.pauses)+1))))
	}
}
