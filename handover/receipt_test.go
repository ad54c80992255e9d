package handover_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

var update = flag.Bool("update", false, "write testdata anew")

// visit runs a capsule through sites, without faults, until it has ended.
func (w *world) visit(stops ...*site) (*capsule.Capsule, *site) {
	w.t.Helper()
	sealed := w.seal(0, 100_000_000)
	j := &job{id: sealed.ID()}
	j.run = func(s *site, st state, _ int32, read func(string) int64, write func(string, int64)) (state, *site) {
		write("visits", read("visits")+1)
		if int(st.Step) == len(stops) {
			return st, nil
		}
		return state{Step: st.Step + 1}, stops[st.Step]
	}
	at := w.sites[0]
	at.do(must(machine.NewAdmit(sealed.Bytes())))
	for {
		at.do(at.attempt(j))
		row := must(at.view().Capsule(j.id))
		if row.Status == machine.StatusDone {
			return sealed, at
		}
		o := must(at.view().Offered(j.id, row.Hop))
		to := w.site(o.Target)
		to.do(must(machine.NewAccept(at.transfer(j.id, row.Hop))))
		at.do(to.answer(j.id, row.Hop, o.Offer))
		closed := at.certs[cert.Slot{Capsule: j.id, Hop: row.Hop, Phase: cert.PhaseClose}]
		to.do(must(machine.NewClosed(&machine.Closed{Capsule: j.id, Hop: row.Hop, Certificate: closed})))
		at = to
	}
}

// receipt assembles what a client is given.
func (w *world) receipt(c *capsule.Capsule, end *site) *handover.Receipt {
	r := &handover.Receipt{V: handover.Version, Envelope: c.Bytes(), Lineage: must(end.view().Lineage(c.ID()))}
	end.fill(c.ID(), &r.Lineage, c.Manifest().Home)
	row := must(end.view().Capsule(c.ID()))
	r.Final = end.certs[cert.Slot{Capsule: c.ID(), Hop: row.Hop, Segment: row.Segment, Phase: cert.PhaseRun}]
	for _, s := range must(end.view().Slots(c.ID())) {
		if s.Phase == cert.PhaseRun && s.Hop == row.Hop {
			r.Body = s.Body
		}
	}
	r.Output = must(end.view().Output(c.ID())).Data
	for _, s := range w.sites {
		r.Zones = append(r.Zones, handover.ZoneProof{Genesis: s.raw})
	}
	return r
}

func TestReceipt(t *testing.T) {
	w := newWorld(t, 3, nil)
	c, end := w.visit(w.sites[1], w.sites[2], w.sites[0], w.sites[1])
	for _, s := range w.sites {
		if err := s.replay(); err != nil {
			t.Errorf("%s: %v", s.name, err)
		}
	}
	if err := w.books(); err != nil {
		t.Error(err)
	}
	b := must(w.receipt(c, end).Bytes())
	file := filepath.Join("testdata", "journey.receipt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if kept, err := os.ReadFile(file); err != nil || !bytes.Equal(kept, b) {
		t.Errorf("the receipt in %s is not what this journey leads to; go test ./handover -update writes it anew (%v)", file, err)
	}
	r, err := handover.ParseReceipt(b)
	if err != nil {
		t.Fatal(err)
	}
	j, err := r.Verify()
	if err != nil || j.End != (handover.Owner{Zone: end.id, Hop: 4}) || j.Verdict != cert.Finished {
		t.Fatalf("%+v, %v", j, err)
	}
	for i := 0; i < len(b); i += 7 {
		bad := bytes.Clone(b)
		bad[i] ^= 1 << (i % 8)
		r, err := handover.ParseReceipt(bad)
		if err == nil {
			_, err = r.Verify()
			if err == nil && bytes.Equal(r.Output, must(handover.ParseReceipt(b)).Output) {
				t.Errorf("byte %d altered: the receipt still verifies", i)
			}
		}
		if err != nil && !errors.Is(err, handover.ErrReceipt) {
			t.Errorf("byte %d altered: %v", i, err)
		}
	}
}

// Every field of everything that a target is given is altered in turn. None of it may be accepted, and nothing but the
// log may change.
func TestTamperedTransfer(t *testing.T) {
	w := newWorld(t, 3, nil)
	sealed := w.seal(0, 100_000_000)
	stops := []*site{w.sites[1], w.sites[2], w.sites[0]}
	j := &job{id: sealed.ID()}
	j.run = func(_ *site, st state, _ int32, _ func(string) int64, _ func(string, int64)) (state, *site) {
		return state{Step: st.Step + 1}, stops[st.Step]
	}
	at := w.sites[0]
	at.do(must(machine.NewAdmit(sealed.Bytes())))
	at.do(at.attempt(j))
	w.sites[1].do(must(machine.NewAccept(at.transfer(j.id, 0))))
	o := must(at.view().Offered(j.id, 0))
	at.do(w.sites[1].answer(j.id, 0, o.Offer))
	at = w.sites[1]
	at.do(at.attempt(j))
	genuine, target := at.transfer(j.id, 1), w.sites[2]
	other := w.seal(1, 1000)
	tried := 0
	for n, build := range []func(*handover.Transfer) ([]byte, error){machine.NewAccept, machine.NewTombstone} {
		try := func(what string, x *handover.Transfer) {
			t.Helper()
			tried++
			if r := target.try(must(build(x))); r.Refusal == nil {
				t.Errorf("%s altered: accepted, %s", what, r.Status)
			} else if r.Refusal.Code == "" || len(r.Refusal.Error()) < 10 {
				t.Errorf("%s altered: refused without a reason: %v", what, r.Refusal)
			}
			if _, err := target.view().Target(j.id); !errors.Is(err, machine.ErrNotFound) {
				t.Fatalf("%s altered: the hop was decided (%v)", what, err)
			}
		}
		alter(reflect.ValueOf(genuine).Elem(), "transfer", func(what string) {
			// What is altered is encoded before it is put back.
			if n == 1 && what == "transfer.Envelope" {
				return // to say no needs no more of it than its name
			}
			if b, err := capsule.Marshal(genuine); err == nil {
				x := new(handover.Transfer)
				if capsule.Unmarshal(b, x) == nil {
					try(what, x)
				}
			}
		})
		swapped := *genuine
		swapped.Envelope = other.Bytes()
		try("another's envelope", &swapped)
		short := *genuine
		short.Lineage.Steps = nil
		try("the lineage left out", &short)
	}
	target.do(must(machine.NewAccept(genuine)))
	t.Logf("%d alterations", tried)
}

// The target's answer, and the source's word that it knows it, are altered field by field: each is refused with a reason,
// and changes nothing.
func TestTamperedAnswer(t *testing.T) {
	w := newWorld(t, 2, nil)
	sealed := w.seal(0, 100_000_000)
	j := &job{id: sealed.ID()}
	j.run = func(_ *site, st state, _ int32, _ func(string) int64, _ func(string, int64)) (state, *site) {
		return state{Step: st.Step + 1}, w.sites[1]
	}
	source, target := w.sites[0], w.sites[1]
	source.do(must(machine.NewAdmit(sealed.Bytes())))
	source.do(source.attempt(j))
	target.do(must(machine.NewAccept(source.transfer(j.id, 0))))
	offer := must(source.view().Offered(j.id, 0)).Offer
	genuine := target.answer(j.id, 0, offer)

	tried := map[string]bool{}
	refused := func(s *site, what string, cmd []byte) {
		t.Helper()
		tried[what] = true
		r := s.try(cmd)
		if r.Refusal == nil && !r.Repeated {
			t.Errorf("%s altered: taken", what)
		} else if r.Refusal != nil && (r.Refusal.Code == "" || len(r.Refusal.Error()) < 10) {
			t.Errorf("%s altered: refused without a reason: %v", what, r.Refusal)
		}
	}
	answered := target.answered(j.id, 0, offer)
	alter(reflect.ValueOf(answered).Elem(), "answered", func(what string) {
		refused(source, what, must(machine.NewAnswer(answered)))
		if row := must(source.view().Capsule(j.id)); row.Status != machine.StatusOffered {
			t.Fatalf("%s altered: the capsule is %s", what, row.Status)
		}
	})
	source.do(genuine)
	closed := &machine.Closed{Capsule: j.id, Hop: 0, Certificate: source.certs[cert.Slot{Capsule: j.id, Hop: 0, Phase: cert.PhaseClose}]}
	alter(reflect.ValueOf(closed).Elem(), "closed", func(what string) {
		refused(target, what, must(machine.NewClosed(closed)))
		if row := must(target.view().Target(j.id)); len(row.Taken) != 1 || row.Taken[0].Closed {
			t.Fatalf("%s altered: the hop is closed", what)
		}
	})
	target.do(must(machine.NewClosed(closed)))
	t.Logf("%d fields", len(tried))
}

// alter changes every field below v, one at a time, calls fn, and puts it back.
func alter(v reflect.Value, name string, fn func(what string)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name != "_" {
				alter(v.Field(i), name+"."+f.Name, fn)
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Len() == 0 {
			return
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			// The first byte, the last, and one between them.
			for _, i := range []int{0, v.Len() / 2, v.Len() - 1} {
				e := v.Index(i)
				e.SetUint(e.Uint() ^ 1)
				fn(name)
				e.SetUint(e.Uint() ^ 1)
			}
			return
		}
		for i := range v.Len() {
			alter(v.Index(i), name, fn)
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		old := v.Uint()
		v.SetUint(old ^ 1)
		fn(name)
		v.SetUint(old)
	case reflect.String:
		old := v.String()
		v.SetString(old + "x")
		fn(name)
		v.SetString(old)
	}
}

func FuzzTransfer(f *testing.F) {
	w := newWorld(f, 2, nil)
	sealed := w.seal(0, 100_000_000)
	j := &job{id: sealed.ID()}
	j.run = func(_ *site, st state, _ int32, _ func(string) int64, _ func(string, int64)) (state, *site) {
		return st, w.sites[1]
	}
	w.sites[0].do(must(machine.NewAdmit(sealed.Bytes())))
	w.sites[0].do(w.sites[0].attempt(j))
	genuine := must(capsule.Marshal(w.sites[0].transfer(j.id, 0)))
	f.Add(genuine)
	f.Fuzz(func(t *testing.T, b []byte) {
		x := new(handover.Transfer)
		if capsule.Unmarshal(b, x) != nil {
			return
		}
		w.sites[1].t = t
		r := w.sites[1].try(must(machine.NewAccept(x)))
		if r.Refusal == nil && !r.Repeated && !bytes.Equal(b, genuine) {
			o, err := x.Parse()
			if err != nil || o.Expires > w.sites[1].now {
				t.Errorf("an altered transfer was decided")
			}
		}
	})
}
