package zone

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/machine"
)

// registers are the rows that all clients of a simulation write, "" for one that is absent.
type registers [3]string

const registerPrefix = "orders/reg/"

func registerKey(i int) string { return fmt.Sprintf("%s%d", registerPrefix, i) }

type opKind byte

const (
	opPut    opKind = iota // a value, or "" for a deletion
	opGet                  // one row
	opScan                 // all rows, and thereby which are absent
	opCommit               // a segment that scanned all rows and writes one
)

type historyInput struct {
	kind    opKind
	key     int
	val     string
	read    registers // of a commit
	unknown bool      // whether it happened
}

// history is what clients may observe. A commit is one step: what it read is the state in which it writes.
var history = (&porcupine.NondeterministicModel{
	Init: func() []any { return []any{registers{}} },
	Step: func(state, in, out any) []any {
		s, i := state.(registers), in.(historyInput)
		next := s
		next[i.key] = i.val
		switch i.kind {
		case opGet:
			if out.(string) != s[i.key] {
				return nil
			}
			return []any{s}
		case opScan:
			if out.(registers) != s {
				return nil
			}
			return []any{s}
		case opCommit:
			if i.read != s {
				if i.unknown {
					return []any{s}
				}
				return nil
			}
		}
		if i.unknown {
			return []any{s, next}
		}
		return []any{next}
	},
}).ToModel()

// record adds an operation that began at call.
func (s *sim) record(client int, in historyInput, out any, call int64) {
	ret := s.tick()
	if in.unknown {
		ret = math.MaxInt64 // it may still happen
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.history = append(s.history, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: ret})
}

// rows returns the registers as a view has them, and what a segment says of having scanned them.
func rowsOf(v *machine.View) (r registers, scan machine.ScanRead, err error) {
	scan = machine.ScanRead{Prefix: []byte(registerPrefix), After: []byte{}, Last: []byte{}}
	rows, more, err := v.Scan(scan.Prefix, scan.After, 0, len(r)+1, 1<<20)
	if err == nil && more {
		err = errors.New("more rows than registers")
	}
	scan.Rows = uint32(len(rows))
	for _, row := range rows {
		var i int
		if _, serr := fmt.Sscanf(string(row.Key), registerPrefix+"%d", &i); serr != nil || i >= len(r) {
			return r, scan, fmt.Errorf("scan found %q", row.Key)
		}
		r[i] = string(row.Value)
		scan.Hash = machine.ScanHash(scan.Hash, row.Key, row.Version, row.Value)
	}
	return r, scan, err
}

func (s *sim) get(ctx context.Context, z *Zone, id int, rng *rand.Rand) {
	in := historyInput{kind: opGet, key: rng.IntN(len(registers{}))}
	call := s.tick()
	v, err := z.Read(ctx)
	if err != nil {
		return
	}
	defer v.Close()
	row, err := v.Get([]byte(registerKey(in.key)), 0)
	if err == nil || errors.Is(err, machine.ErrNotFound) {
		s.record(id, in, string(row.Value), call)
	}
}

func (s *sim) scan(ctx context.Context, z *Zone, id int) {
	call := s.tick()
	v, err := z.Read(ctx)
	if err != nil {
		return
	}
	defer v.Close()
	r, _, err := rowsOf(&v.View)
	if err != nil {
		s.report("scan: %v", err)
		return
	}
	s.record(id, historyInput{kind: opScan}, r, call)
}

// work is the worker: it ends the segments that it leases, each with a scan of all registers and a write of one, read from
// whichever voter it finds, fresh or not.
func (s *sim) work(id int, until time.Time) {
	rng := rand.New(rand.NewPCG(s.seed, uint64(100+id)))
	tried := map[machine.Segment]bool{} // what a voter behind still shows: a worker has one outcome for a lease
	for n := 0; time.Now().Before(until); n++ {
		time.Sleep(time.Duration(50+rng.IntN(200)) * time.Millisecond)
		z := s.voter(rng.IntN(len(s.zones)))
		if z == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(500+rng.IntN(3000))*time.Millisecond)
		if err := s.commit(ctx, z, id, n, rng, tried); err != nil {
			s.report("commit: %v", err)
		}
		cancel()
	}
}

func (s *sim) commit(ctx context.Context, z *Zone, id, n int, rng *rand.Rand, tried map[machine.Segment]bool) error {
	call := s.tick()
	v, err := z.Query()
	if err != nil {
		return nil // it is being closed
	}
	defer v.Close()
	var held []capsule.ID
	if err := v.Held(s.worker.Key(), func(c capsule.ID) { held = append(held, c) }); err != nil || len(held) == 0 {
		return err
	}
	w, err := v.Warrant(held[rng.IntN(len(held))])
	if err != nil || tried[w.Segment] {
		return err
	}
	tried[w.Segment] = true
	in := historyInput{kind: opCommit, key: rng.IntN(len(registers{})), val: fmt.Sprintf("c%d-%d", id, n)}
	var scan machine.ScanRead
	if in.read, scan, err = rowsOf(&v.View); err != nil {
		return err
	}
	cmd, err := machine.NewCommit(s.worker, &machine.Commit{
		Scope: machine.NewScope(s.id, 0), Segment: w.Segment, Gas: 1000, End: machine.EndDone, Output: []byte("out"),
		Scans: []machine.ScanRead{scan}, Writes: []machine.Write{{Key: []byte(registerKey(in.key)), Value: []byte(in.val)}},
	})
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond) // the segment runs, and others write
	out, err := z.Propose(ctx, cmd)
	switch {
	case err != nil:
		in.unknown = true
	case out.Result.Refusal != nil:
		s.mu.Lock()
		s.conflicts++
		s.mu.Unlock()
		return nil
	default:
		s.mu.Lock()
		s.commits++
		s.mu.Unlock()
	}
	s.record(id, in, nil, call)
	return nil
}

// The model can say no: each of these histories is one that a faulty zone would show.
func TestHistoriesThatAreRefused(t *testing.T) {
	put := func(key int, val string) historyInput { return historyInput{kind: opPut, key: key, val: val} }
	get := func(key int) historyInput { return historyInput{kind: opGet, key: key} }
	scan := historyInput{kind: opScan}
	commit := func(key int, val string, read registers) historyInput {
		return historyInput{kind: opCommit, key: key, val: val, read: read}
	}
	type op struct {
		in  historyInput
		out any
	}
	for what, c := range map[string]struct {
		legal bool
		ops   []op
	}{
		"in order":                     {true, []op{{put(0, "a"), nil}, {get(0), "a"}, {scan, registers{"a"}}, {commit(1, "b", registers{"a"}), nil}, {scan, registers{"a", "b"}}}},
		"a stale read":                 {false, []op{{put(0, "a"), nil}, {put(0, "b"), nil}, {get(0), "a"}}},
		"a phantom":                    {false, []op{{put(0, "a"), nil}, {put(0, ""), nil}, {scan, registers{"a"}}}},
		"a row that a scan left out":   {false, []op{{put(0, "a"), nil}, {put(1, "b"), nil}, {scan, registers{"a"}}}},
		"half of another's writes":     {false, []op{{put(0, "a"), nil}, {scan, registers{"", "b"}}}},
		"a commit over a changed row":  {false, []op{{put(0, "a"), nil}, {commit(1, "b", registers{}), nil}}},
		"a commit over an absent row":  {false, []op{{put(0, "a"), nil}, {put(0, ""), nil}, {commit(1, "b", registers{"a"}), nil}}},
		"unknown, and it did happen":   {true, []op{{historyInput{kind: opCommit, key: 1, val: "b", unknown: true}, nil}, {get(1), "b"}}},
		"unknown, and it never did":    {true, []op{{historyInput{kind: opPut, key: 1, val: "b", unknown: true}, nil}, {get(1), ""}}},
		"unknown, and seen, then gone": {false, []op{{historyInput{kind: opPut, key: 1, val: "b", unknown: true}, nil}, {get(1), "b"}, {get(1), ""}}},
	} {
		var h []porcupine.Operation
		for i, o := range c.ops {
			ret := int64(2*i + 1)
			if o.in.unknown {
				ret = math.MaxInt64
			}
			h = append(h, porcupine.Operation{ClientId: i, Input: o.in, Output: o.out, Call: int64(2 * i), Return: ret})
		}
		want := porcupine.Illegal
		if c.legal {
			want = porcupine.Ok
		}
		if got, _ := porcupine.CheckOperationsVerbose(history, h, 0); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
}
