package handover_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// What a program reads when it is turned down. Source: kitwork.wit.
const (
	denied      = -2
	tooLarge    = -4
	unreachable = -6
	exhausted   = -7
)

// leaver is a capsule at the first site that goes to the second in its first step, and ends with the next one.
type leaver struct {
	*world
	from, to *site
	sealed   *capsule.Capsule
	job      *job
	told     []int32 // what its second step was told
}

func newLeaver(t *testing.T, policy func(*machine.Policy)) *leaver {
	w := newWorld(t, 2, policy)
	return &leaver{world: w, from: w.sites[0], to: w.sites[1]}
}

// leave admits the capsule and has it go.
func (l *leaver) leave(change ...func(*capsule.Manifest)) {
	l.t.Helper()
	l.sealed = l.seal(0, 100_000_000, change...)
	l.job = &job{id: l.sealed.ID()}
	l.job.run = func(_ *site, st state, resume int32, _ func(string) int64, write func(string, int64)) (state, *site) {
		if st.Step == 0 {
			return state{Step: 1}, l.to
		}
		l.told = append(l.told, resume)
		write("ended", 1)
		return st, nil
	}
	l.from.do(must(machine.NewAdmit(l.sealed.Bytes())))
	l.from.do(l.from.attempt(l.job))
	l.status(machine.StatusOffered)
}

func (l *leaver) status(want machine.Status) machine.CapsuleRow {
	l.t.Helper()
	row := must(l.from.view().Capsule(l.job.id))
	if row.Status != want {
		l.t.Fatalf("the capsule is %s, want %s", row.Status, want)
	}
	return row
}

// goesOn brings the target's answer and has the capsule end where it is, having been told want.
func (l *leaver) goesOn(want int32) {
	l.t.Helper()
	if _, err := l.to.view().Capsule(l.job.id); err == nil {
		l.t.Fatal("the zone that turned it down has it all the same")
	}
	l.from.do(l.from.answer0(l))
	if row := l.status(machine.StatusRunning); row.Hop != 1 || row.Run.Resume != want {
		l.t.Fatalf("it goes on at hop %d and is told %d, want hop 1 and %d", row.Hop, row.Run.Resume, want)
	}
	l.from.do(l.from.attempt(l.job))
	l.status(machine.StatusDone)
	if len(l.told) != 1 || l.told[0] != want || l.from.get("ended") != 1 {
		l.t.Errorf("its next step was told %v, want [%d]", l.told, want)
	}
	if err := l.books(); err != nil {
		l.t.Error(err)
	}
	if held := must(l.from.view().Account(l.author.Key())).Held; held != 0 {
		l.t.Errorf("%d credits are held for a capsule that has ended", held)
	}
	j, err := must(handover.ParseReceipt(must(l.receipt(l.sealed, l.from).Bytes()))).Verify()
	if err != nil || j.End != (handover.Owner{Zone: l.from.id, Hop: 1}) {
		l.t.Errorf("its receipt: %+v, %v", j, err)
	}
}

// answer0 is the target's answer about the first hop.
func (s *site) answer0(l *leaver) []byte {
	return l.to.answer(l.job.id, 0, must(l.from.view().Offered(l.job.id, 0)).Offer)
}

// Whatever a zone finds wanting, the capsule goes on where it came from, is told why, and loses nothing but what it used.
func TestTurnedDown(t *testing.T) {
	policyOf := func(change func(*machine.Policy)) func(l *leaver) {
		return func(l *leaver) {
			p := must(l.to.view().Policy())
			change(&p)
			l.to.act(cert.OpPolicy, &p)
		}
	}
	for _, c := range []struct {
		name   string
		want   int32
		before func(l *leaver) // it leaves
		after  func(l *leaver) // it has left, and nobody has looked at it
		change func(*capsule.Manifest)
	}{
		{name: "a grant that is not the zone's", want: denied, before: func(l *leaver) {
			l.granting = func(s *site, _ *capsule.Grant) *capsule.Identity {
				if s == l.to {
					return l.from.root
				}
				return s.root
			}
		}},
		{name: "a grant that has expired", want: denied, before: func(l *leaver) {
			l.granting = func(s *site, g *capsule.Grant) *capsule.Identity {
				if s == l.to {
					g.Expires = epochMs + 60_000
				}
				return s.root
			}
		}, after: func(l *leaver) { l.to.tick(60_000) }},
		{name: "a grant that was revoked", want: denied, after: func(l *leaver) {
			for _, chain := range must(capsule.Decode(l.sealed.Bytes())).Chains() {
				l.to.try(must(machine.NewRevoke(l.to.root, &machine.RevokeGrant{Scope: l.to.scope(), Chain: chain})))
			}
		}},
		{name: "room for no further capsule", want: unreachable, before: func(l *leaver) {
			l.to.do(must(machine.NewAdmit(l.seal(1, 1000).Bytes())))
		}, after: policyOf(func(p *machine.Policy) { p.Bounds.Live = 1 })},
		{name: "no worker free and a full queue", want: unreachable, before: func(l *leaver) {
			l.to.wseq++
			l.to.do(must(machine.NewRegister(l.to.worker, &machine.Register{Scope: l.to.scope(), Sequence: l.to.wseq, Slots: 1, Pages: 1 << 16})))
			for range 2 {
				l.to.do(must(machine.NewAdmit(l.seal(1, 1000).Bytes())))
			}
		}, after: policyOf(func(p *machine.Policy) { p.Bounds.Queue = 1 })},
		{name: "a peer that owes too much", want: exhausted, after: func(l *leaver) {
			l.to.act(cert.OpPeer, &machine.Peer{Genesis: l.from.raw, Cap: 1})
		}},
		{name: "no further credits may be held", want: exhausted, after: policyOf(func(p *machine.Policy) { p.Bounds.Held = 1 })},
		{name: "a price above the author's", want: exhausted, after: policyOf(func(p *machine.Policy) { p.Price.Gas = 1 << 35 }),
			change: func(m *capsule.Manifest) { m.MaxPrice = 1 << 30 }},
		{name: "fewer units than the manifest wants", want: exhausted, change: func(m *capsule.Manifest) { m.MinUnits = m.Gas }},
		{name: "too much state", want: tooLarge, after: policyOf(func(p *machine.Policy) { p.Bounds.StateBytes = 1 })},
		{name: "too much memory", want: tooLarge, after: policyOf(func(p *machine.Policy) { p.Bounds.Pages = 1 }),
			change: func(m *capsule.Manifest) { m.Limits.MemoryPages = 2 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLeaver(t, nil)
			if c.before != nil {
				c.before(l)
			}
			var changes []func(*capsule.Manifest)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			l.leave(changes...)
			if c.after != nil {
				c.after(l)
			}
			offer := l.from.transfer(l.job.id, 0)
			l.to.do(must(machine.NewAccept(offer)))
			// No is as final as yes: what was lacking may be there now.
			p := machine.DefaultPolicy()
			p.Price.Gas = 1
			l.to.act(cert.OpPolicy, &p)
			if r := l.to.do(must(machine.NewAccept(offer))); !r.Repeated {
				t.Errorf("offered again, it is decided anew: %+v", r)
			}
			l.goesOn(c.want)
		})
	}
}

// An offer that comes too late, by the target's clock, takes nothing from the source.
func TestOfferExpires(t *testing.T) {
	l := newLeaver(t, nil)
	l.leave()
	offer := l.from.transfer(l.job.id, 0)
	l.to.tick(machine.DefaultPolicy().Times.Offer + 1)
	l.to.do(must(machine.NewAccept(offer)))
	if c := l.to.certs[handover.InSlot(l.job.id, 0)]; c.Decision.Verdict != cert.ExpiredNoRecord {
		t.Fatalf("decided: %s", c.Decision.Verdict)
	}
	l.goesOn(unreachable)
}

// A silent target: the source asks, then waits for ever or gives up, as the manifest says. It never goes on by itself, and
// whatever the target says at last is done.
func TestSilentTarget(t *testing.T) {
	times := machine.DefaultPolicy().Times
	silence := func(t *testing.T, s capsule.Silence) *leaver {
		l := newLeaver(t, nil)
		l.leave(func(m *capsule.Manifest) { m.Silence = s })
		l.from.tick(times.Ask + 1)
		l.status(machine.StatusAsked)
		l.from.tick(times.Silence + 1)
		l.status(machine.StatusLimbo)
		if l.from.attempt(l.job) != nil {
			t.Fatal("a capsule in limbo runs")
		}
		return l
	}
	past := func(l *leaver) { l.from.tick(l.sealed.Manifest().Expires - l.from.now + 1) }
	t.Run("hold, then a refusal", func(t *testing.T) {
		l := silence(t, capsule.Hold)
		past(l)
		l.status(machine.StatusLimbo)
		l.to.do(must(machine.NewTombstone(l.from.transfer(l.job.id, 0))))
		l.from.do(l.from.answer0(l))
		if s := must(l.from.view().Capsule(l.job.id)).Status; s == machine.StatusLimbo || s == machine.StatusGone {
			t.Errorf("after the answer it is %s", s)
		}
		if err := l.books(); err != nil {
			t.Error(err)
		}
	})
	t.Run("hold, then an acceptance", func(t *testing.T) {
		l := silence(t, capsule.Hold)
		l.to.do(must(machine.NewAccept(l.from.transfer(l.job.id, 0))))
		l.from.do(l.from.answer0(l))
		l.status(machine.StatusGone)
		l.to.do(l.to.attempt(l.job))
		if l.to.get("ended") != 1 || l.from.get("ended") != 0 {
			t.Error("it did not end where it was accepted")
		}
		if err := l.books(); err != nil {
			t.Error(err)
		}
	})
	t.Run("asked in time", func(t *testing.T) {
		l := silence(t, capsule.Hold)
		l.to.do(must(machine.NewTombstone(l.from.transfer(l.job.id, 0))))
		l.goesOn(unreachable)
	})
	t.Run("abandon", func(t *testing.T) {
		l := silence(t, capsule.Abandon)
		past(l)
		l.status(machine.StatusAbandoned)
		if held := must(l.from.view().Account(l.author.Key())).Held; held != 0 {
			t.Errorf("%d credits are held for a capsule that was given up", held)
		}
		// The credits stay where they were sent: the target may have taken them for work that nobody hears of.
		total := must(l.from.view().Totals())
		if total.Sent == 0 || total.Available+total.Held+total.Burned+total.Sent != total.Minted+total.Received {
			t.Errorf("the books: %+v", total)
		}
	})
}

// A refusal stands in the capsule's lineage as long as it travels. Whoever asks about the hop once its offer has expired, as
// anybody may, must not get a certificate that says otherwise.
func TestRefusalOutlivesItsOffer(t *testing.T) {
	l := newLeaver(t, nil)
	l.leave()
	slot := handover.InSlot(l.job.id, 0)
	out := must(l.from.view().Offered(l.job.id, 0))
	offer := must(handover.ParseOffer(out.Offer))
	l.to.do(must(machine.NewTombstone(l.from.transfer(l.job.id, 0))))
	l.to.tick(offer.Expires - l.to.now + 1)
	r := l.to.try(must(machine.NewExpiredNoRecord(offer)))
	if r.Refusal == nil || r.Refusal.Code != machine.CodeState || l.to.certs[slot].Decision.Verdict != cert.Tombstone {
		t.Fatalf("asked after the offer has expired: %+v, and certified is %s", r, l.to.certs[slot].Decision.Verdict)
	}
	l.to.tick(l.sealed.Manifest().Expires - l.to.now + 1)
	if _, err := l.to.view().Target(l.job.id); !errors.Is(err, machine.ErrNotFound) {
		t.Errorf("the refusal is remembered for ever (%v)", err)
	}
	if _, err := l.to.view().Slots(l.job.id); !errors.Is(err, machine.ErrNotFound) {
		t.Errorf("what was decided is remembered for ever (%v)", err)
	}
}

// An author's cancel is altered field by field: with the old signature, signed by somebody else, and signed by the author
// for something else. None of them ends the capsule, where it runs, where it is awaited, or on the way.
func TestTamperedCancel(t *testing.T) {
	l := newLeaver(t, nil)
	l.leave()
	other := l.seal(0, 1000)
	unseen := l.seal(0, 2000)
	tried := 0
	// seen is what a cancel could change.
	seen := func(s *site) string {
		var rows []machine.CapsuleRow
		for _, id := range []capsule.ID{l.job.id, other.ID(), unseen.ID()} {
			row, err := s.view().Capsule(id)
			if err != nil && !errors.Is(err, machine.ErrNotFound) {
				t.Fatal(err)
			}
			rows = append(rows, row)
		}
		return fmt.Sprintf("%+v %+v", rows, must(s.view().Account(l.author.Key())))
	}
	refused := func(s *site, what string, cmd []byte) {
		t.Helper()
		tried++
		before := seen(s)
		r := s.try(cmd)
		if r.Refusal == nil {
			t.Errorf("%s: taken, %+v", what, r)
		} else if r.Refusal.Code == "" || len(r.Refusal.Error()) < 10 {
			t.Errorf("%s: refused without a reason: %v", what, r.Refusal)
		}
		if seen(s) != before {
			t.Fatalf("%s: refused, and the zone has changed", what)
		}
	}
	for name, genuine := range map[string]*machine.Cancel{
		"on its way": {Scope: l.from.scope(), Capsule: l.job.id, Envelope: []byte{}},
		"unseen":     {Scope: l.from.scope(), Capsule: unseen.ID(), Envelope: unseen.Bytes()},
	} {
		good := must(machine.NewCancel(l.author, genuine))
		var cmd machine.Command
		var signed machine.Signed
		if err := capsule.Unmarshal(good, &cmd); err != nil {
			t.Fatal(err)
		}
		if err := capsule.Unmarshal(cmd.Body, &signed); err != nil {
			t.Fatal(err)
		}
		rewrap := func(s machine.Signed) []byte {
			c := cmd
			c.Body = must(capsule.Marshal(&s))
			return must(capsule.Marshal(&c))
		}
		alter(reflect.ValueOf(genuine).Elem(), name, func(what string) {
			x := signed
			x.Payload = must(capsule.Marshal(genuine))
			refused(l.from, what+", the old signature", rewrap(x))
			refused(l.from, what+", signed by another", must(machine.NewCancel(l.from.worker, genuine)))
			refused(l.from, what+", signed by the author", must(machine.NewCancel(l.author, genuine)))
		})
		alter(reflect.ValueOf(&signed).Elem(), name+", signed", func(what string) { refused(l.from, what, rewrap(signed)) })
		refused(l.from, name+", by a stranger", must(machine.NewCancel(l.from.worker, genuine)))
		refused(l.from, name+", by the zone's root", must(machine.NewCancel(l.from.root, genuine)))
		refused(l.to, name+", brought to another zone", good)
		swapped := *genuine
		swapped.Capsule, swapped.Envelope = unseen.ID(), other.Bytes()
		refused(l.from, name+", with another's envelope", must(machine.NewCancel(l.author, &swapped)))
		l.status(machine.StatusOffered)
	}
	l.from.do(must(machine.NewCancel(l.author, &machine.Cancel{Scope: l.from.scope(), Capsule: l.job.id, Envelope: []byte{}})))
	l.status(machine.StatusAsked)
	l.from.do(must(machine.NewCancel(l.author, &machine.Cancel{Scope: l.from.scope(), Capsule: unseen.ID(), Envelope: unseen.Bytes()})))
	if r := l.from.try(must(machine.NewAdmit(unseen.Bytes()))); r.Refusal == nil && !r.Repeated {
		t.Errorf("a capsule that was cancelled before it came is admitted: %+v", r)
	}
	t.Logf("%d alterations", tried)
}
