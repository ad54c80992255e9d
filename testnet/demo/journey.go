package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/examples/investigation"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
)

// Journey is how one investigation went.
type Journey struct {
	Capsule string    `json:"capsule"`
	Chain   []string  `json:"chain"`
	Lookups uint32    `json:"lookups"`
	Moves   uint32    `json:"moves"`
	Gas     uint64    `json:"gas"`
	Retried uint64    `json:"retried"`
	Ms      int64     `json:"ms"`
	Hops    []carried `json:"hops"`
	Killed  []string  `json:"killed"`
	Receipt int       `json:"receipt_bytes"`
}

// At the pace of the journey a person can follow it: about two seconds in each organisation.
const (
	paceEvery  = 10
	paceRest   = 150 * time.Millisecond
	paceRounds = 5_000_000 // of idle arithmetic for each lookup, some 20 ms of machine code
	slowRounds = 100_000   // where only the interpreter runs
)

func (d *demo) paced() investigation.Question {
	q := d.q
	q.Every, q.Rest, q.Effort = paceEvery, int64(paceRest), paceRounds
	if !jit.Supported() {
		q.Effort = slowRounds
	}
	return q
}

// prepare makes a capsule of a question.
func (d *demo) prepare(ctx context.Context, p *sdk.Program, q investigation.Question) (*sdk.Prepared, error) {
	input, err := kit.Marshal(q)
	if err != nil {
		return nil, err
	}
	return sdk.Prepare(ctx, p, input, sdk.PrepareOptions{})
}

func (d *demo) journey(ctx context.Context) error {
	d.s.text("")
	d.s.say("The question: through which imports does %s\n         depend on %s?", d.q.From, d.q.To)
	d.s.text("         Each lookup depends on the last. The capsule goes to the zone that has the next row. On the way a worker and a")
	d.s.text("         leader are killed. A line shows where the capsule is, its moves, the rows it has read, its gas, and its state.\n")
	q := d.paced()
	q.Case = newCase("journey")
	pr, err := d.prepare(ctx, d.code.Program, q)
	if err != nil {
		return err
	}
	began := time.Now()
	bundle, err := d.client.Seal(pr, d.terms()...)
	if err != nil {
		return err
	}
	sub, err := d.client.Submit(ctx, bundle)
	if err != nil {
		return err
	}
	d.s.say("capsule %.12s signed: frozen at its first lookup with %s of state; its %s of code are fetched once per zone", sub.ID, size(uint64(len(pr.State))), size(uint64(len(pr.Program.Code))))
	res, killed, err := d.follow(ctx, sub, q.Case)
	if err != nil {
		return err
	}
	took := time.Since(began)
	ans, err := sdk.Decode[investigation.Answer](res)
	if err != nil {
		return err
	}
	d.rep.Journey = &Journey{
		Capsule: sub.ID.String(), Chain: ans.Chain, Lookups: ans.Lookups, Moves: ans.Moves, Gas: res.Bill.Spent, Retried: res.Bill.Retry,
		Ms: took.Milliseconds(), Killed: killed,
	}
	d.s.text("")
	d.s.say("the certified answer after %d lookups and %d moves, %s units of gas:\n", ans.Lookups, ans.Moves, thousands(res.Bill.Spent))
	for i, path := range ans.Chain {
		d.s.text("           %*s%s   (%s)", 2*i, "", path, investigation.Owner(path))
	}
	d.s.text("")
	if err := d.prove(ctx, sub, q.Case, &ans); err != nil {
		return err
	}
	d.check(fmt.Sprintf("a worker and a leader were killed on the way: %v", killed), len(killed) == 2)
	return d.revive(ctx, killed)
}

// prove checks what came of a journey.
func (d *demo) prove(ctx context.Context, sub *sdk.Submission, name string, ans *investigation.Answer) error {
	d.s.wait("fetching the receipt and verifying it without a network")
	r, err := sub.Receipt(ctx)
	if err != nil {
		return err
	}
	b, err := r.Bytes()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "journey.receipt"), b, 0o600); err != nil {
		return err
	}
	ok, moved := verifies(b)
	d.rep.Journey.Receipt = len(b)
	d.check(fmt.Sprintf("the receipt, %s, is verified offline: each zone on the way signed what it did, %d moves", size(uint64(len(b))), moved), ok && moved == int(ans.Moves))
	forged := slices.Clone(b)
	forged[len(forged)/2] ^= 1
	ok, _ = verifies(forged)
	d.check("the receipt with one bit changed is refused", !ok)
	d.check("the answer is the one computed where all rows are in one place", slices.Equal(ans.Chain, d.want.Chain) && ans.Lookups == d.want.Lookups)
	if err := d.once(ctx, name, ans); err != nil {
		return err
	}
	return d.conserved(ctx)
}

// verifies checks a receipt's bytes and counts the moves in it.
func verifies(b []byte) (ok bool, moves int) {
	r, err := handover.ParseReceipt(b)
	if err != nil {
		return false, 0
	}
	_, err = r.Verify()
	return err == nil, len(r.Lineage.Steps)
}

// once checks that every organisation has noted each lookup once, whoever was killed.
func (d *demo) once(ctx context.Context, name string, ans *investigation.Answer) error {
	want := map[string]investigation.Note{}
	for _, v := range ans.Visits {
		n := want[v.Zone]
		want[v.Zone] = investigation.Note{Lookups: n.Lookups + v.Lookups, Visits: n.Visits + 1}
	}
	all := true
	for _, o := range d.orgs {
		got, err := o.noted(ctx, name, false)
		if err != nil {
			return err
		}
		all = all && got == want[o.name]
	}
	d.check("each organisation has recorded every lookup exactly once", all)
	return nil
}

// conserved checks that what each zone has sent is what the other has received.
func (d *demo) conserved(ctx context.Context) error {
	ledgers := map[capsule.ZoneID]map[capsule.ZoneID]admin.PeerInfo{}
	for _, o := range d.orgs {
		l, err := o.ledger(ctx)
		if err != nil {
			return err
		}
		ledgers[o.zone.ID] = l
	}
	even := true
	for a, l := range ledgers {
		for b, p := range l {
			even = even && p.Sent == ledgers[b][a].Received
		}
	}
	d.check("credits are conserved: each zone received what the one before sent", even)
	return nil
}

// follow draws where a capsule is until it has a result, and kills a worker and a leader under it.
func (d *demo) follow(ctx context.Context, sub *sdk.Submission, name string) (*sdk.Result, []string, error) {
	type outcome struct {
		res *sdk.Result
		err error
	}
	ended := make(chan outcome, 1)
	go func() {
		res, err := sub.Await(ctx)
		ended <- outcome{res, err}
	}()
	f := &follower{demo: d, id: sub.ID, name: name}
	t := time.NewTicker(40 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case o := <-ended:
			f.look(ctx)
			return o.res, f.killed, o.err
		case <-t.C:
			if err := f.look(ctx); err != nil {
				return nil, nil, err
			}
		}
	}
}

// follower is what was last seen of a capsule.
type follower struct {
	*demo
	id     capsule.ID
	name   string // of the case
	shown  string
	said   time.Time
	before admin.CapsuleInfo
	at     string
	killed []string
}

// look asks the organisations where the capsule is.
func (f *follower) look(ctx context.Context) error {
	here, info := "", admin.CapsuleInfo{}
	lookups := uint32(0)
	for _, o := range f.orgs {
		i, ok := o.find(ctx, f.id)
		if !ok {
			continue
		}
		if n, err := o.noted(ctx, f.name, true); err == nil {
			lookups += n.Lookups
		}
		if here == "" || i.Hop > info.Hop || i.Hop == info.Hop && i.Status != "closed" {
			here, info = o.name, i
		}
	}
	if here == "" {
		return nil
	}
	f.draw(here, info, lookups)
	f.before, f.at = info, here
	return f.accident(ctx, here, info)
}

// worker is the node that runs the capsule.
func (f *follower) worker(here string, info admin.CapsuleInfo) string {
	k, err := capsule.ParseKey(info.Worker)
	if err != nil {
		return ""
	}
	return f.orgs[slices.Index(names, here)].workers[k]
}

func (f *follower) pid(node string) int {
	for _, n := range f.net.State().Nodes {
		if n.Name == node {
			return n.PID
		}
	}
	return 0
}

func (f *follower) draw(here string, info admin.CapsuleInfo, lookups uint32) {
	what := info.Status
	if w := f.worker(here, info); w != "" {
		what = "ran on " + w + ", which is dead: its lease runs out"
		if pid := f.pid(w); pid != 0 {
			what = fmt.Sprintf("runs on %s, process %d", w, pid)
		}
	}
	moved := f.at != "" && f.at != here
	key := fmt.Sprint(here, info.Hop, lookups)
	if key == f.shown && (info.Status == f.before.Status || time.Since(f.said) < time.Second) || !moved && time.Since(f.said) < 300*time.Millisecond {
		return
	}
	f.shown, f.said = key, time.Now()
	f.s.say("%s  move %d  %3d rows  %14s gas  state %7s  %s",
		picture(here, ""), info.Hop, lookups, thousands(info.Gas), size(info.State), what)
}

// accident kills the worker that runs the capsule on its second stop, and the leader of the third as it arrives.
func (f *follower) accident(ctx context.Context, here string, info admin.CapsuleInfo) error {
	switch {
	case len(f.killed) == 0 && here == names[1] && info.Worker != "" && info.Segment > 0:
		w := f.worker(here, info)
		if w == "" || w == f.orgs[1].leader(ctx) {
			return nil
		}
		return f.kill(w, "the worker that runs the capsule")
	case len(f.killed) == 1 && here == names[2]:
		l := f.orgs[2].leader(ctx)
		if l == "" {
			return nil
		}
		return f.kill(l, "the leader of the zone that the capsule has just reached")
	}
	return nil
}

func (f *follower) kill(node, who string) error {
	pid := f.pid(node)
	if err := f.net.Kill(node); err != nil {
		return err
	}
	f.killed = append(f.killed, node)
	f.s.say("%27s kill -9 %d: %s, %s", "", pid, node, who)
	return nil
}

// revive starts the nodes again that were killed.
func (d *demo) revive(ctx context.Context, killed []string) error {
	for _, n := range killed {
		d.s.wait("starting %s again", n)
		if err := d.net.Start(ctx, n); err != nil {
			return err
		}
		for _, o := range d.orgs {
			for _, x := range o.nodes {
				if x.Name != n {
					continue
				}
				_, err := o.c.Connect(ctx, x.Addr)
				if err = errors.Join(err, d.client.Connect(ctx, x.Addr)); err != nil {
					return fmt.Errorf("reach %s again: %w", n, err)
				}
			}
		}
	}
	return nil
}
