package sdk

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
)

// Sample is what a zone might hold when the capsule gets there. Values are in the encoding of package kit, or whatever the
// program stores.
type Sample struct {
	Zone string // name; "" is "home"
	Rows map[string][]byte
	Time uint64 // ns since 1970
}

// Estimate is what a capsule may cost, found by running it here on samples. It is no limit: the zone's data may be
// different.
type Estimate struct {
	Runs     int            `json:"runs"`
	Failed   int            `json:"failed"`           // of them, that ended without a result; the figures count them too
	Reason   string         `json:"reason,omitempty"` // of the first that failed
	P50      uint64         `json:"p50"`              // units that half of the runs kept to, in segments run by a zone
	P99      uint64         `json:"p99"`              // the same of 99 %
	Bound    uint64         `json:"bound"`            // units that no run can exceed, if Bounded
	Bounded  bool           `json:"bounded"`
	Segments int            `json:"segments"` // most in one run: each costs a decision of the zone
	Touched  []capsule.Need `json:"touched"`  // resources that the runs used, in the zone they began in
}

// EstimateRuns is how many dry runs an estimate takes for each sample. A hundred make P99 the second dearest.
const EstimateRuns = 100

// trialGas ends a trial that would go on for minutes.
const trialGas = 1 << 33

// Estimate runs the capsule to its end on each sample, with other random numbers each time. Without samples it runs on an
// empty zone.
func (p *Prepared) Estimate(ctx context.Context, samples []Sample, runs int) (*Estimate, error) {
	if len(samples) == 0 {
		samples = []Sample{{}}
	}
	if runs <= 0 {
		runs = EstimateRuns
	}
	est := &Estimate{}
	est.Bound, est.Bounded = p.Program.Bound()
	used := make([]uint64, 0, runs*len(samples))
	touched := map[string]capsule.Ability{}
	for i := range samples {
		for n := range runs {
			t, err := p.trial(ctx, &samples[i], n, touched)
			if err != nil {
				return nil, fmt.Errorf("estimate %s: %w", p.Program.Name, err)
			}
			used = append(used, t.Gas)
			est.Segments = max(est.Segments, t.Segments)
			if t.Failed != nil {
				if est.Failed++; est.Reason == "" {
					est.Reason = t.Failed.Error()
				}
			}
		}
	}
	slices.Sort(used)
	est.Runs = len(used)
	est.P50, est.P99 = quantile(used, 50), quantile(used, 99)
	for r, a := range touched {
		est.Touched = append(est.Touched, capsule.Need{Resource: r, Ability: a})
	}
	slices.SortFunc(est.Touched, func(a, b capsule.Need) int { return strings.Compare(a.Resource, b.Resource) })
	return est, nil
}

// quantile is the least value that percent of the sorted ones don't exceed.
func quantile(sorted []uint64, percent int) uint64 {
	return sorted[max(0, (len(sorted)*percent+99)/100-1)]
}

// Trial is one run of a capsule here, on a sample, as a zone would run it.
type Trial struct {
	Output   []byte
	Failed   *GuestError // nil: it has a result
	Gas      uint64      // units, of what a zone would run
	Segments int
	Rows     map[string][]byte // what the zone it began in holds afterwards
	Events   []kit.Event
	Log      []hostabi.Line
}

// Try runs the capsule once on a sample.
func (p *Prepared) Try(ctx context.Context, s Sample) (*Trial, error) {
	t, err := p.trial(ctx, &s, 0, map[string]capsule.Ability{})
	if err != nil {
		return nil, fmt.Errorf("try %s: %w", p.Program.Name, err)
	}
	return t, nil
}

// trial runs the capsule from where it was prepared; n decides the zone's random numbers.
func (p *Prepared) trial(ctx context.Context, s *Sample, n int, touched map[string]capsule.Ability) (*Trial, error) {
	home := s.Zone
	if home == "" {
		home = "home"
	}
	seed := sha256.Sum256(binary.BigEndian.AppendUint64(p.StateHash[:], uint64(n)))
	t := &Trial{Rows: map[string][]byte{}}
	eff := &dryZone{Memory: hostabi.NewMemory(home, seed), touched: touched, home: home, at: home, t: t}
	for k, v := range s.Rows {
		if err := eff.Memory.Put(0, []byte(k), v); err != nil {
			return nil, fmt.Errorf("sample row %q: %w", k, err)
		}
	}
	eff.Commit()
	slept := uint64(0)
	eff.slept = &slept
	eff.Time = func() uint64 { return s.Time + slept }
	eff.LogTo = func(level uint8, msg string) { t.Log = append(t.Log, hostabi.Line{Level: level, Msg: msg}) }
	eff.EmitTo = func(topic string, data []byte) {
		t.Events = append(t.Events, kit.Event{Zone: eff.at, Topic: topic, Data: data})
	}
	g, err := p.resume(ctx, eff)
	if err != nil {
		return nil, err
	}
	defer g.store.Close()
	before := g.store.Gas()
	eff.GasLeft = func() uint64 { return trialGas - (g.store.Gas() - before) }
	if g.host.State.Pending != nil {
		if err := g.host.Perform(g.store); err != nil {
			return nil, err
		}
	}
	stop, err := g.run(ctx, trialGas)
	if err != nil {
		return nil, err
	}
	t.Gas, t.Segments = g.store.Gas()-before, t.Segments+1
	switch stop.Reason {
	case vm.Done, vm.Trapped:
		e := g.end(stop)
		t.Output, t.Failed = e.output, e.failed
	case vm.OutOfGas:
		t.Failed = &GuestError{Func: p.Program.Name, Reason: fmt.Sprintf("still running after %d units", uint64(trialGas))}
	default:
		return nil, fmt.Errorf("it waits for an answer that no sample has")
	}
	if t.Failed != nil {
		eff.Rollback()
	}
	eff.Commit()
	return t, eff.collect(home)
}

// dryZone notes what a program does in the zone it begins in.
type dryZone struct {
	*hostabi.Memory
	touched  map[string]capsule.Ability
	home, at string
	slept    *uint64
	t        *Trial
}

// collect reads the rows of the zone that the program began in.
func (z *dryZone) collect(home string) error {
	if err := z.Memory.Goto(home); err != nil {
		return err
	}
	after := []byte(nil)
	for {
		rows, err := z.Memory.Scan(0, nil, after, hostabi.MaxScan)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			z.t.Rows[string(r.Key)] = slices.Clone(r.Val)
			after = slices.Clone(r.Key)
		}
	}
}

func (z *dryZone) touch(resource string, a capsule.Ability) {
	if z.at == z.home {
		z.touched[resource] |= a
	}
}

func (z *dryZone) Get(store uint32, key []byte) ([]byte, error) {
	z.touch("kv/"+string(key), capsule.Read)
	return z.Memory.Get(store, key)
}

func (z *dryZone) Put(store uint32, key, val []byte) error {
	z.touch("kv/"+string(key), capsule.Write)
	return z.Memory.Put(store, key, val)
}

func (z *dryZone) Delete(store uint32, key []byte) error {
	z.touch("kv/"+string(key), capsule.Delete)
	return z.Memory.Delete(store, key)
}

func (z *dryZone) Scan(store uint32, prefix, after []byte, most int) ([]hostabi.Row, error) {
	z.touch("kv/"+string(prefix)+"*", capsule.Read)
	return z.Memory.Scan(store, prefix, after, most)
}

func (z *dryZone) Emit(topic string, data []byte) error {
	z.touch("event/"+topic, capsule.Emit)
	return z.Memory.Emit(topic, data)
}

func (z *dryZone) Goto(zone string) error {
	if err := z.Memory.Goto(zone); err != nil {
		return err
	}
	z.t.Segments++
	z.at = zone
	return nil
}

func (z *dryZone) Sleep(ns uint64) error {
	z.t.Segments++
	*z.slept += ns
	return z.Memory.Sleep(ns)
}
