package vm

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"testing"
)

// TestFrozenAnywhere is the promise of the package: a program that is stopped wherever its gas happens to run out, frozen
// to bytes, dropped and thawed, or checkpointed and restored, or moved between memory and heap, ends as one that was
// left alone: same results, gas, clock, trap, trace and state hash.
func TestFrozenAnywhere(t *testing.T) {
	r := random(t)
	for _, p := range programs(t) {
		want := p.straight(t)
		src := sourcesOf(p.mods...)
		base, err := func() (*Base, error) {
			s := p.boot(t)
			defer s.Close()
			return s.NewBase()
		}()
		if err != nil {
			t.Fatal(err)
		}
		src.Base = func(h [32]byte) (*Base, error) {
			if h != base.Hash() {
				return nil, errors.New("another base")
			}
			return base, nil
		}
		total := 0
		for round := range 8 {
			stopped := round > 0 // the shortest programs might never be, by chance
			got, stops := p.interrupted(t, src, base, func() uint64 {
				if !stopped || r.IntN(3) == 0 {
					stopped = true
					return 0
				}
				return r.Uint64N([]uint64{40, 400, 4000, 40}[round%4] + want.gas/200)
			}, func() int { return r.IntN(5) })
			if got != want {
				t.Fatalf("%s, round %d, %d stops:\n got %+v\nwant %+v", p.name, round, stops, got, want)
			}
			total += stops
		}
		if total == 0 {
			t.Fatalf("%s was never stopped", p.name)
		}
	}
}

// interrupted runs the program in steps of gas and does something to the store at each stop.
func (p *program) interrupted(t *testing.T, src Sources, base *Base, gas func() uint64, pick func() int) (outcome, int) {
	s := p.boot(t)
	defer func() { s.Close() }()
	host := []byte("host")
	least := uint64(0)
	for stops := 0; ; stops++ {
		stop, err := s.Run(context.Background(), max(gas(), least))
		if err != nil {
			t.Fatal(err)
		}
		least = stop.Need
		if stop.Reason == Done || stop.Reason == Trapped {
			return finish(t, s, stop), stops
		}
		before, err := s.StateHash(host)
		if err != nil {
			t.Fatal(err)
		}
		var next *Store
		var back []byte
		switch pick() {
		case 0, 1:
			o := FreezeOptions{Host: host}
			if stops%2 == 0 {
				o.Base = base
			}
			b, e := s.Freeze(o)
			if e != nil {
				t.Fatal(e)
			}
			next, back, err = Thaw(b, testConfig, src)
		case 2:
			var c *Checkpoint
			if c, err = s.Checkpoint(base, host); err == nil {
				next, back, err = c.Restore(testConfig, src)
			}
		case 3:
			s.Park()
		}
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		if next != nil {
			if !bytes.Equal(back, host) {
				t.Fatalf("host state came back as %q", back)
			}
			s.Close()
			s = next
			after, err := s.StateHash(host)
			if err != nil || after != before {
				t.Fatalf("%s: state hash changed by moving: %x, %x, %v", p.name, before, after, err)
			}
		}
		if stop.Reason == Waiting {
			answer(t, s)
		}
	}
}

// TestEverySafepoint steps from safepoint to safepoint and freezes at each.
func TestEverySafepoint(t *testing.T) {
	for _, p := range programs(t) {
		want := p.straight(t)
		if want.gas > 40_000 {
			continue
		}
		src := sourcesOf(p.mods...)
		got, stops := p.interrupted(t, src, nil, func() uint64 { return 0 }, func() int { return 0 })
		if got != want {
			t.Errorf("%s after %d freezes:\n got %+v\nwant %+v", p.name, stops, got, want)
		}
	}
}

// TestBaseStore starts stores from a base and checks that they are the state that it was made of.
func TestBaseStore(t *testing.T) {
	p := programs(t)[9]
	src := sourcesOf(p.mods...)
	s := p.boot(t)
	defer s.Close()
	if _, err := s.Run(context.Background(), 1000); err != nil {
		t.Fatal(err)
	}
	base, err := s.NewBase()
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadBase(base.Bytes(), base.Hash(), testConfig, src)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LoadBase(base.Bytes(), [32]byte{}, testConfig, src); err == nil {
		t.Error("a base was loaded under another name")
	}
	for _, b := range []*Base{base, again} {
		for range 2 {
			c, err := b.NewStore(testConfig, src)
			if err != nil {
				t.Fatal(err)
			}
			if h, err := c.StateHash(nil); err != nil || h != base.Hash() {
				t.Fatalf("hash %x, want %x (%v)", h, base.Hash(), err)
			}
			stop, err := c.Run(context.Background(), 1<<40)
			if err != nil {
				t.Fatal(err)
			}
			if got := finish(t, c, stop); got != p.straight(t) {
				t.Errorf("got %+v", got)
			}
			c.Close()
		}
	}
	small, err := s.Freeze(FreezeOptions{Base: base})
	if err != nil {
		t.Fatal(err)
	}
	if len(small) > 1024 {
		t.Errorf("%d bytes against a base that is the same state", len(small))
	}
	if _, _, err := Thaw(small, testConfig, src); err == nil {
		t.Error("thawed without the base")
	}
}

// TestThawRefuses changes each byte of continuations. Whatever is still accepted must run without harm.
func TestThawRefuses(t *testing.T) {
	for _, p := range programs(t)[:9] {
		src := sourcesOf(p.mods...)
		s := p.boot(t)
		if _, err := s.Run(context.Background(), 300); err != nil {
			t.Fatal(err)
		}
		c, err := s.Checkpoint(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		good, err := s.Freeze(FreezeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		for n := range good {
			if s, _, err := Thaw(good[:n], testConfig, src); err == nil {
				s.Close()
				t.Fatalf("%s: %d of %d bytes were accepted", p.name, n, len(good))
			}
		}
		body := bytes.Clone(c.body)
		accepted := 0
		for i := range body {
			if i > 1<<14 {
				break // memory: any byte is as good as another
			}
			for _, x := range []byte{1, 0x80, 0xff} {
				c.body = bytes.Clone(body)
				c.body[i] ^= x
				s, _, err := c.Restore(testConfig, src)
				if err != nil {
					continue
				}
				accepted++
				if stop, err := s.Run(context.Background(), 2000); err == nil && stop.Reason == Waiting {
					_, _ = s.Pending()
				}
				if _, err := s.Freeze(FreezeOptions{}); err != nil && !errors.Is(err, ErrNotSafe) {
					t.Fatalf("%s: byte %d: %v", p.name, i, err)
				}
				s.Close()
			}
		}
		t.Logf("%s: %d of %d changes made another valid state", p.name, accepted, 3*min(len(body), 1<<14))
	}
}

func fuzzSeeds(f *testing.F) ([][]byte, Sources) {
	var mods []*Module
	var out [][]byte
	for _, p := range programs(f)[:9] {
		s := p.boot(f)
		for _, gas := range []uint64{0, 200, 1000} {
			if stop, err := s.Run(context.Background(), gas); err != nil || stop.Reason > Waiting || stop.Reason == Trapped {
				break
			}
			c, err := s.Checkpoint(nil, nil)
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, c.body)
			if _, waiting := s.Pending(); waiting {
				break
			}
		}
		s.Close()
		mods = append(mods, p.mods...)
	}
	return out, sourcesOf(mods...)
}

// FuzzThaw reads bodies and runs what is accepted, freezes it and compares the hashes.
func FuzzThaw(f *testing.F) {
	seeds, src := fuzzSeeds(f)
	for _, b := range seeds {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c := &Checkpoint{body: body, against: againstModule}
		s, host, err := c.Restore(testConfig, src)
		if err != nil {
			return
		}
		defer s.Close()
		b, err := s.Freeze(FreezeOptions{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		again, _, err := Thaw(b, testConfig, src)
		if err != nil {
			t.Fatal(err)
		}
		h1, err1 := s.StateHash(host)
		h2, err2 := again.StateHash(host)
		if err1 != nil || err2 != nil || h1 != h2 {
			t.Fatalf("%x %v, %x %v", h1, err1, h2, err2)
		}
		again.Close()
		_, _ = s.Run(context.Background(), 20_000)
	})
}

// FuzzContinuationDecode reads whole continuations.
func FuzzContinuationDecode(f *testing.F) {
	_, src := fuzzSeeds(f)
	bases := map[[32]byte]*Base{}
	src.Base = func(h [32]byte) (*Base, error) {
		if b := bases[h]; b != nil {
			return b, nil
		}
		return nil, errors.New("no such base")
	}
	for _, p := range programs(f)[:9] {
		s := p.boot(f)
		b, err := s.Freeze(FreezeOptions{})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		base, err := s.NewBase()
		if err != nil {
			f.Fatal(err)
		}
		bases[base.Hash()] = base
		if b, err = s.Freeze(FreezeOptions{Base: base}); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		s.Close()
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, _, err := Thaw(b, testConfig, src); err == nil {
			s.Close()
		}
	})
}

// TestGolden pins the canonical form: the hash of a state with every kind of value in it is the same on every platform
// and in every version of this format and meter.
func TestGolden(t *testing.T) {
	p := programs(t)[0]
	s := p.boot(t)
	defer s.Close()
	if stop, err := s.Run(context.Background(), 9_000); err != nil || stop.Reason != OutOfGas {
		t.Fatal(stop, err)
	}
	h, err := s.StateHash([]byte("host"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "70bf6e211a578a9b4dddda6ff3d5bdd7890a8e3121fa4bc615722d152a470952"
	if got := hex.EncodeToString(h[:]); got != want {
		t.Errorf("state hash %s, want %s: format or meter changed, so their version must", got, want)
	}
}
