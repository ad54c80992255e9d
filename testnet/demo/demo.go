package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/examples/investigation"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/proc"
)

// Options of a demonstration.
type Options struct {
	Binary string // of kwnode, whose processes the nodes are
	Seed   uint64 // decides the question and who is killed
	Delay  time.Duration
	Runs   int    // of each way at each length of the links; 0 leaves the comparison out
	Keep   string // folder to leave the network in, running until ctx ends; empty: nothing stays
	JSON   bool
	Live   bool // the output is a terminal
	Out    io.Writer
}

// Report is everything that a demonstration found out.
type Report struct {
	Seed     uint64         `json:"seed"`
	Code     string         `json:"code"`        // hash of the capsule's module
	Origin   string         `json:"code_origin"` // where it comes from
	Data     string         `json:"data_origin"`
	Rows     map[string]int `json:"rows"` // by organisation
	ReadyMs  int64          `json:"ready_ms"`
	Question struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"question"`
	Journey *Journey `json:"journey,omitempty"`
	Compare *Compare `json:"comparison,omitempty"`
	Memory  uint64   `json:"memory_peak"` // bytes of all processes together, by their proportional share; 0: the system doesn't tell
	Checks  []Check  `json:"checks"`
	Seconds float64  `json:"seconds"`
}

// Check is one promise that was tried.
type Check struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
}

// demo is one run.
type demo struct {
	opt    Options
	s      *screen
	rep    Report
	dir    string
	remove func() error // of dir, unless it is kept
	graph  *graph
	code   *module
	net    *proc.Net
	orgs   []*org
	line   *p2p.Line // the investigator's, near the first organisation
	wire   wire
	client *sdk.Client
	last   last
	rights []capsule.Chain
	q      investigation.Question
	want   investigation.Answer // computed in one place
}

// Run shows it. The error says which check failed.
func Run(ctx context.Context, o Options) (err error) {
	out := o.Out
	if o.JSON {
		out, o.Live = io.Discard, false
	}
	d := &demo{opt: o, s: newScreen(out, o.Live)}
	d.rep.Seed = o.Seed
	d.s.text("Logic that moves: a running function is frozen in the middle of its loop, sent to where its next row is, and continues there.")
	d.s.text("Why: three organisations keep their rows to themselves, and each lookup depends on the one before. A remote caller waits for")
	d.s.text("the network at every lookup and takes every row out. Logic that moves crosses the network once per stop; the rows stay.")
	d.s.text("Each organisation is a zone of three nodes. Nodes are processes on this machine and talk over loopback. Seed %d.\n", o.Seed)
	began := time.Now()
	err = d.run(ctx)
	d.rep.Seconds = time.Since(began).Seconds()
	if cerr := d.close(); err == nil {
		err = cerr
	}
	d.s.close()
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		if jerr := enc.Encode(d.rep); err == nil {
			err = jerr
		}
	}
	return err
}

func (d *demo) close() error {
	if d.client != nil {
		d.client.Close()
	}
	for _, o := range d.orgs {
		o.c.Close()
	}
	var err error
	if d.net != nil {
		d.s.wait("stopping nine nodes")
		if d.opt.Keep == "" {
			err = d.net.Discard()
		} else {
			err = d.net.Close()
		}
	}
	if d.remove != nil {
		err = errors.Join(err, d.remove())
	}
	return err
}

func (d *demo) check(what string, ok bool) {
	d.rep.Checks = append(d.rep.Checks, Check{what, ok})
	mark := "ok  "
	if !ok {
		mark = "FAIL"
	}
	d.s.text("    %s  %s", mark, what)
}

func (d *demo) run(ctx context.Context) error {
	if d.dir = d.opt.Keep; d.dir == "" {
		var err error
		if d.dir, d.remove, err = proc.Scratch("kwnode-demo-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	if err := d.start(ctx); err != nil {
		return cause(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	checkMemory := d.remember(ctx)
	steps := []func(context.Context) error{d.furnish, d.ask, d.journey}
	if d.opt.Runs > 0 {
		steps = append(steps, d.compare)
	}
	steps = append(steps, func(context.Context) error { checkMemory(); return nil })
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return cause(ctx, err)
		}
	}
	failed := slices.IndexFunc(d.rep.Checks, func(c Check) bool { return !c.OK })
	if failed >= 0 {
		return fmt.Errorf("a check failed: %s", d.rep.Checks[failed].What)
	}
	d.s.text("")
	d.s.say("every check holds")
	if d.opt.Keep != "" {
		return d.keep(ctx)
	}
	return nil
}

// cause prefers why a run was ended to what that led to.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// start loads data and code while the nodes start.
func (d *demo) start(ctx context.Context) error {
	type done[T any] struct {
		v   T
		err error
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	graphs, modules := make(chan done[*graph], 1), make(chan done[*module], 1)
	go func() {
		g, err := loadGraph(ctx)
		graphs <- done[*graph]{g, err}
	}()
	cache, err := os.MkdirTemp(d.dir, "build-")
	if err != nil {
		return err
	}
	go func() {
		m, err := loadModule(ctx, cache, func(p build.Progress) {
			d.s.wait("building the capsule for WebAssembly: %d of %d packages that are not cached", p.Done, p.Total)
		})
		modules <- done[*module]{m, err}
	}()
	d.s.wait("creating three zones and starting nine nodes")
	d.net, err = proc.Up(ctx, proc.Options{
		Binary: d.opt.Binary, Dir: d.dir, Zones: len(names), Names: names, Voters: 3, Work: true, Joined: true, Slots: 4,
		Heartbeat: 250 * time.Millisecond, Progress: d.s.wait,
	})
	if err != nil {
		return err
	}
	d.rep.ReadyMs = time.Since(began).Milliseconds()
	g := <-graphs
	if d.graph = g.v; g.err != nil {
		return g.err
	}
	st := d.net.State()
	d.rep.Rows, d.rep.Data = map[string]int{}, d.graph.source
	d.s.say("nine nodes run; the data is an import graph of %d packages, %s", len(d.graph.rows), d.graph.source)
	about := map[string]string{
		investigation.Home: "this project and its dependencies", investigation.Std: "the standard library's public packages",
		investigation.Core: "its internal packages, the runtime",
	}
	for _, name := range names {
		d.rep.Rows[name] = len(d.graph.owned(name))
		var pids []string
		for _, n := range st.Nodes {
			if n.Zone == name {
				pids = append(pids, fmt.Sprint(n.PID))
			}
		}
		d.s.text("           %-7s %4d rows  %-40s processes %v", name, d.rep.Rows[name], about[name], pids)
	}
	d.s.wait("building the capsule for WebAssembly")
	m := <-modules
	if d.code = m.v; m.err != nil {
		return m.err
	}
	d.rep.Code, d.rep.Origin = d.code.CID.String(), d.code.origin
	d.s.say("the capsule is examples/investigation, %s of WebAssembly, hash %s: %s", size(uint64(len(d.code.Code))), d.code.hash(), d.code.origin)
	return nil
}

// furnish gives every organisation its rows, and the investigator its rights.
func (d *demo) furnish(ctx context.Context) error {
	d.s.wait("every organisation stores its own rows")
	client, err := capsule.LoadIdentity(d.dir + "/" + proc.ClientKey)
	if err != nil {
		return err
	}
	st := d.net.State()
	d.orgs = make([]*org, 0, len(names))
	book := sdk.NewBook()
	for i := range names {
		o, err := openOrg(ctx, d.dir, &st, i)
		if err != nil {
			return fmt.Errorf("%s: %w", names[i], err)
		}
		d.orgs = append(d.orgs, o)
		if err := book.Trust(o.name, o.zone.ID); err != nil {
			return err
		}
		chain, err := o.rights(client.Key())
		if err != nil {
			return err
		}
		d.rights = append(d.rights, chain)
	}
	if err := each(d.orgs, func(o *org) error {
		if err := o.endow(ctx, client.Key()); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		return o.fill(ctx, d.graph)
	}); err != nil {
		return err
	}
	var near []capsule.Key
	for _, n := range d.orgs[0].nodes {
		near = append(near, n.Key)
	}
	d.line = p2p.NewLine(0, near...)
	h, err := p2p.New(p2p.Config{Identity: client, Line: d.line})
	if err != nil {
		return err
	}
	d.wire = wire{h}
	if d.client, err = sdk.Dial(ctx, d.orgs[0].nodes[0].Addr, sdk.WithIdentity(client), sdk.WithBook(book), sdk.WithGrants(d.rights...), sdk.WithTransport(d.wire)); err != nil {
		h.Close()
		return err
	}
	for _, o := range d.orgs[1:] {
		for _, n := range o.nodes {
			if err := d.client.Connect(ctx, n.Addr); err != nil {
				return err
			}
		}
	}
	return nil
}

// each runs fn for all organisations at once.
func each[T any](all []T, fn func(T) error) error {
	errs := make(chan error, len(all))
	for _, x := range all {
		go func() { errs <- fn(x) }()
	}
	var err error
	for range all {
		err = errors.Join(err, <-errs)
	}
	return err
}

// patience is how many lookups in a row the investigation makes in one organisation.
const patience = 30

// ask chooses a question that takes the investigation through all three organisations, some of them twice.
func (d *demo) ask(context.Context) error {
	type candidate struct {
		to  string
		ans investigation.Answer
	}
	var all []candidate
	for _, to := range d.graph.owned(investigation.Core) {
		ans, err := d.graph.answer(investigation.Question{From: subject, To: to, Patience: patience})
		if err != nil {
			return err
		}
		if len(ans.Chain) > 4 && ans.Moves >= 3 && ans.Moves <= 6 && ans.Lookups <= 250 {
			all = append(all, candidate{to, ans})
		}
	}
	if len(all) == 0 {
		return errors.New("this import graph has no question that leads through all three organisations")
	}
	pick := all[mathrand.New(mathrand.NewPCG(d.opt.Seed, 7)).IntN(len(all))]
	d.q, d.want = investigation.Question{From: subject, To: pick.to, Patience: patience}, pick.ans
	d.rep.Question.From, d.rep.Question.To = d.q.From, d.q.To
	return nil
}

// answer computes an answer where all rows are in one place.
func (g *graph) answer(q investigation.Question) (investigation.Answer, error) {
	return investigation.Compute(q, func(path string, _ *investigation.Search) (investigation.Package, error) {
		row := g.rows[path]
		row.Imports = slices.Clone(row.Imports)
		for i := range row.Imports { // it wipes what it has read
			row.Imports[i].Path = slices.Clone(row.Imports[i].Path)
		}
		return row, nil
	})
}

// terms are those of every capsule of the demonstration.
func (d *demo) terms() []sdk.Option {
	o := []sdk.Option{sdk.Home(d.orgs[0].zone.ID), sdk.Gas(1 << 36), sdk.Lifetime(time.Hour), func(t *sdk.Terms) {
		for _, x := range d.orgs {
			t.Needs = append(t.Needs, x.needs()...)
		}
	}}
	for _, x := range d.orgs {
		o = append(o, sdk.Stop(x.name, x.zone.ID))
	}
	return o
}

// newCase names a run, so that its notes are its own.
func newCase(what string) string {
	var b [6]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s-%x", what, b)
}

// keep leaves the network up.
func (d *demo) keep(ctx context.Context) error {
	d.s.text("\nThe network stays up until Ctrl-C. In another terminal:\n")
	d.s.text("  kwnode testnet status --dir %s", d.dir)
	d.s.text("  kwnode testnet logs --dir %s", d.dir)
	d.s.text("  kwnode testnet kill std-voter-1 --dir %s", d.dir)
	d.s.text("  kwnode zone scan pkg/ --limit 5 --node %s --identity %s/%s", d.orgs[0].nodes[0].Addr, d.dir, proc.RootKey)
	d.s.text("  kwnode zone ledger --node %s --identity %s/%s", d.orgs[0].nodes[0].Addr, d.dir, proc.RootKey)
	select {
	case <-ctx.Done():
	case <-d.net.Down():
	}
	return nil
}
