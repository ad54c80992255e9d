package testnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/cert"
)

// DemoReport is what a demonstration found, for programs to read.
type DemoReport struct {
	Zone        string      `json:"zone"`
	Voters      int         `json:"voters"`
	ReadyMs     int64       `json:"ready_ms"`
	Steps       []DemoStep  `json:"steps"`
	Checks      []DemoCheck `json:"checks"`
	Interpreted bool        `json:"interpreted"`
}

// DemoStep is one capsule's way.
type DemoStep struct {
	What    string `json:"what"`
	Capsule string `json:"capsule,omitempty"`
	Result  string `json:"result"`
	Gas     uint64 `json:"gas,omitempty"`
	Retried uint64 `json:"retried,omitempty"`
	Ms      int64  `json:"ms"`
}

// DemoCheck is one promise that was tried.
type DemoCheck struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
}

// demo is one run of the demonstration.
type demo struct {
	out io.Writer
	rep DemoReport
	net *Net
	c   *sdk.Client
	ctx context.Context

	mu    sync.Mutex // guards built
	built int        // packages, as last printed
}

// Demo founds a zone of three voters in this process, on loopback alone, has Go functions run in it, takes its worker away
// in the middle, and checks what came of it. It prints to out as things happen, or one JSON object at the end.
// The error says which checks failed.
func Demo(ctx context.Context, out io.Writer, asJSON bool) error {
	d := &demo{out: out, ctx: ctx}
	if asJSON {
		d.out = io.Discard
	}
	err := d.run()
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		if jerr := enc.Encode(d.rep); err == nil {
			err = jerr
		}
	}
	return err
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *demo) check(what string, ok bool) {
	d.rep.Checks = append(d.rep.Checks, DemoCheck{what, ok})
	mark := "ok  "
	if !ok {
		mark = "FAIL"
	}
	d.say("  %s %s", mark, what)
}

func (d *demo) run() error {
	d.say("A zone: three voters that agree by consensus, and a worker that runs what they admit.\nEverything is on this machine, over loopback, in this process.\n")
	start := time.Now()
	var err error
	// Interpreted, the long computation below takes long enough to be interrupted.
	if d.net, err = Up(d.ctx, Options{Interp: true}); err != nil {
		return err
	}
	defer func() {
		d.c.Close()
		d.net.Close()
	}()
	d.rep.Zone, d.rep.Voters, d.rep.Interpreted = d.net.Zone.String(), len(d.net.Voters), true
	d.rep.ReadyMs = time.Since(start).Milliseconds()
	for i, v := range d.net.Voters {
		d.say("  voter %d   %s", i, v.Addrs()[0])
	}
	d.say("  zone      %s\n  ready after %d ms\n", d.net.Zone, d.rep.ReadyMs)
	if d.c, err = d.net.Dial(d.ctx); err != nil {
		d.c = nil
		return err
	}
	for _, step := range []func() error{d.transfer, d.refuse, d.lose, d.forge} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, c := range d.rep.Checks {
		if !c.OK {
			return fmt.Errorf("a check failed: %s", c.What)
		}
	}
	d.say("Every check holds.")
	return nil
}

// building shows how the build of a function gets on.
func (d *demo) building(p build.Progress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.Done == d.built || p.Done%10 != 0 {
		return
	}
	d.built = p.Done
	d.say("  building for WebAssembly: %d of %d packages", p.Done, p.Total)
}

func (d *demo) options(more ...sdk.Option) []sdk.Option {
	return append([]sdk.Option{sdk.OnBuild(d.building), sdk.Gas(1 << 36)}, more...)
}

// finish waits for a capsule and reports it.
func (d *demo) finish(what string, s *sdk.Submission, began time.Time, show func(*sdk.Result) (string, error)) (*sdk.Result, error) {
	res, err := s.Await(d.ctx)
	if err != nil {
		return nil, err
	}
	text, err := show(res)
	if err != nil {
		return nil, err
	}
	step := DemoStep{What: what, Capsule: s.ID.String(), Result: text, Gas: res.Bill.Spent, Retried: res.Bill.Retry, Ms: time.Since(began).Milliseconds()}
	d.rep.Steps = append(d.rep.Steps, step)
	d.say("  %s\n  certified by the zone after %d ms, %d units of gas", text, step.Ms, step.Gas)
	return res, nil
}

func (d *demo) transfer() error {
	d.say("A Go function becomes a capsule. Its pure part runs here; it is frozen at its first look at the zone's\ndata, signed, admitted by the voters, continued by the worker, and what it did is certified.")
	keys := sdk.Keys("kv/acct/*")
	for name, amount := range map[string]int64{"alice": 100, "bob": 10} {
		if _, err := sdk.Run(d.ctx, d.c, programs.Open, programs.Transfer{To: name, Amount: amount}, d.options(keys)...); err != nil {
			return err
		}
	}
	began := time.Now()
	s, err := sdk.Start(d.ctx, d.c, programs.Move, programs.Transfer{From: "alice", To: "bob", Amount: 30}, d.options(keys)...)
	if err != nil {
		return err
	}
	var got programs.Balances
	if _, err := d.finish("transfer", s, began, func(r *sdk.Result) (text string, err error) {
		got, err = sdk.Decode[programs.Balances](r)
		return fmt.Sprintf("alice has %d, bob has %d", got.From, got.To), err
	}); err != nil {
		return err
	}
	d.check("both accounts changed, once", got == programs.Balances{From: 70, To: 40})
	d.say("")
	return nil
}

func (d *demo) refuse() error {
	d.say("The same function, but the capsule's author asks for another part of the data.")
	_, err := sdk.Run(d.ctx, d.c, programs.Move, programs.Transfer{From: "alice", To: "bob", Amount: 30}, d.options(sdk.Keys("kv/note/*"))...)
	var failed *sdk.Failed
	denied := errors.As(err, &failed)
	if denied {
		d.say("  %s", failed.Result.Output)
	}
	d.check("a key that was not asked for is denied inside the capsule", denied)
	d.say("")
	return nil
}

// lose takes the worker away under a long computation.
func (d *demo) lose() error {
	const below, want = 800_000, 63_951
	d.say("A long computation, the primes below %d by trial division. In the middle its worker disappears.", below)
	began := time.Now()
	s, err := sdk.Start(d.ctx, d.c, programs.Primes, below, d.options()...)
	if err != nil {
		return err
	}
	saved, err := d.checkpoint(s.ID)
	if err != nil {
		return err
	}
	d.say("  saved at %d units of gas; the worker is gone", saved)
	for _, w := range d.net.Workers {
		if err := w.Close(); err != nil {
			return err
		}
	}
	d.net.Workers = nil
	if err := d.net.AddWorker(d.ctx, "successor"); err != nil {
		return err
	}
	d.say("  another worker joins and goes on from there")
	var count int64
	res, err := d.finish("primes", s, began, func(r *sdk.Result) (text string, err error) {
		count, err = sdk.Decode[int64](r)
		return fmt.Sprintf("%d primes", count), err
	})
	if err != nil {
		return err
	}
	d.check(fmt.Sprintf("the result is what it would have been: %d", want), count == want)
	d.check("the gas is that of one undisturbed run", res.Bill.Retry == 0)
	d.say("")
	return nil
}

// checkpoint waits until the zone holds a later state of the capsule than its beginning.
func (d *demo) checkpoint(id capsule.ID) (uint64, error) {
	t := time.NewTicker(10 * time.Millisecond)
	defer t.Stop()
	for {
		v, err := d.net.Voter(0).Query()
		if err != nil {
			return 0, err
		}
		row, err := v.Capsule(id)
		v.Close()
		switch {
		case err == nil && row.Run.Meter > 0:
			return row.Run.Meter, nil
		case err == nil && row.Status.Ended():
			return 0, fmt.Errorf("the computation ended before it was saved; this machine is too fast for it")
		}
		select {
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		case <-t.C:
		}
	}
}

// forge shows what a certificate is worth: whoever carries it can change nothing in it.
func (d *demo) forge() error {
	d.say("Anybody can carry a certificate, and anybody can check it with the zone's genesis alone.")
	s, err := sdk.Start(d.ctx, d.c, programs.Move, programs.Transfer{From: "alice", To: "bob", Amount: 1}, d.options(sdk.Keys("kv/acct/*"))...)
	if err != nil {
		return err
	}
	res, err := s.Await(d.ctx)
	if err != nil {
		return err
	}
	tracker, err := cert.NewTracker(d.net.Genesis)
	if err != nil {
		return err
	}
	c, err := cert.ParseCertificate(res.Certificate)
	if err != nil {
		return err
	}
	d.check(fmt.Sprintf("%d of %d voters signed it", len(c.Sigs), d.rep.Voters), tracker.Verify(c) == nil)
	c.Decision.Body[0] ^= 1
	d.check("with one bit of the result changed it is worth nothing", tracker.Verify(c) != nil)
	d.say("")
	return nil
}
