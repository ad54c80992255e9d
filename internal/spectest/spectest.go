// Package spectest runs the WebAssembly specification's tests on stores, in whichever tier they are configured for; it
// knows a store by its public interface alone, so that every tier is held to the same 51,033 assertions.
package spectest

import (
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/kitwork/kwnode/internal/spectest/suite"
	"github.com/kitwork/kwnode/vm"
)

// hostModule is the host of the suite as WebAssembly: functions that print nothing, globals 666 and 666.6, a table of
// 10 to 20 entries and a memory of 1 to 2 pages.
const hostModule = "0061736d01000000011e0760000060017f0060017e0060017d0060017c0060027f7d0060027c7c000308070001020304050604050170010a140504010101020621047f00419a050b7e00429a050b7d004366a626440b7c0044cdccccccccd484400b079e010d057072696e740000097072696e745f6933320001097072696e745f6936340002097072696e745f6633320003097072696e745f66363400040d7072696e745f6933325f66333200050d7072696e745f6636345f66363400060a676c6f62616c5f69333203000a676c6f62616c5f69363403010a676c6f62616c5f66333203020a676c6f62616c5f6636340303057461626c650100066d656d6f727902000a160702000b02000b02000b02000b02000b02000b02000b"

// Limits go beyond what the suite uses, but for the recursion that it expects to be stopped.
var Limits = vm.Limits{MemoryPages: 65536, TableElems: 1 << 24, Depth: 4096, Slots: 1 << 21}

// Assertions is how many the suite has, without those on the text format.
const Assertions = 51033

// Result counts assertions.
type Result struct{ Passed, Failed, Skipped int }

func (r Result) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", r.Passed, r.Failed, r.Skipped)
}

// Straight runs the suite in stores of a configuration, each call without a stop.
func Straight(t testing.TB, cfg vm.Config) Result {
	return run(t, cfg, func(_ *script, s *vm.Store) (*vm.Store, vm.Stop, error) {
		stop, err := s.Run(t.Context(), 1<<40)
		return s, stop, err
	})
}

// Frozen runs the suite and freezes and thaws the whole store at the first 32 safepoints of each assertion, action and
// start function and at every 4,093rd after. The stores that are thawed take the configurations in turn.
func Frozen(t testing.TB, cfgs ...vm.Config) (r Result, freezes int) {
	r = run(t, cfgs[0], func(sc *script, s *vm.Store) (*vm.Store, vm.Stop, error) {
		var gas uint64
		for n := 0; ; n++ {
			stop, err := s.Run(t.Context(), gas)
			if err != nil || stop.Reason != vm.OutOfGas {
				return s, stop, err
			}
			gas = stop.Need
			if n >= 32 && (n-32)%4093 != 4092 {
				continue
			}
			freezes++
			if s, err = sc.refreeze(s, cfgs[freezes%len(cfgs)]); err != nil {
				t.Fatal(err)
			}
		}
	})
	return r, freezes
}

// refreeze moves a store through bytes.
func (sc *script) refreeze(s *vm.Store, cfg vm.Config) (*vm.Store, error) {
	b, err := s.Freeze(vm.FreezeOptions{})
	if err != nil {
		return nil, err
	}
	before, err := s.StateHash(nil)
	if err != nil {
		return nil, err
	}
	s.Close()
	module := func(h [32]byte) (*vm.Module, error) { return sc.seen[h], nil }
	s, _, err = vm.Thaw(b, cfg, vm.Sources{Module: module, Host: vm.Imports{}})
	if err != nil {
		return nil, err
	}
	if after, err := s.StateHash(nil); err != nil || after != before {
		return nil, fmt.Errorf("state hash %x before freezing, %x after (%v)", before, after, err)
	}
	return s, nil
}

func run(t testing.TB, cfg vm.Config, call func(sc *script, s *vm.Store) (*vm.Store, vm.Stop, error)) (total Result) {
	tests := suite.Open(t)
	b, err := hex.DecodeString(hostModule)
	if err != nil {
		t.Fatal(err)
	}
	host, err := vm.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tests.Scripts() {
		sc := &script{tests: tests, name: name, s: vm.NewStore(cfg), names: map[string]int{},
			as: map[string]int{}, seen: map[[32]byte]*vm.Module{host.Hash(): host}}
		sc.run = func(s *vm.Store) (*vm.Store, vm.Stop, error) { return call(sc, s) }
		inst, err := sc.s.Instantiate(host, nil)
		if err != nil {
			t.Fatal(err)
		}
		sc.as["spectest"] = inst.Index()
		for _, c := range suite.Commands[command](tests, name) {
			err, counts := sc.command(&c)
			switch {
			case err != nil:
				total.Failed++
				if total.Failed < 40 {
					t.Errorf("%s:%d: %s: %v", name, c.Line, c.Type, err)
				}
			case counts:
				total.Passed++
			}
		}
		sc.s.Close()
	}
	return total
}
