package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
)

// maxEvents bounds what --stats remembers of single functions; the sums count all.
const maxEvents = 10_000

// tiers is the compiler of one run of exec, if it has one.
type tiers struct {
	tier     vm.Tier
	compiler *jit.Compiler
	events   []jit.Event // of --stats; complete after close
}

// newTiers makes what --tier asks for. auto does without a compiler where there is none.
func newTiers(o *execOptions) (*tiers, error) {
	t := &tiers{}
	switch o.tier {
	case "auto":
		t.tier = vm.TierAuto
	case "jit":
		t.tier = vm.TierJIT
	case "interp":
		t.tier = vm.TierInterp
		return t, nil
	default:
		return nil, fmt.Errorf("--tier %q: there are auto, interp and jit", o.tier)
	}
	c, err := jit.New(jit.DefaultMemory)
	if err != nil {
		if o.tier == "auto" && errors.Is(err, jit.ErrUnsupported) {
			return t, nil
		}
		return nil, fmt.Errorf("--tier %s: %w; --tier interp needs no compiler", o.tier, err)
	}
	t.compiler = c
	if o.stats {
		c.Observe(func(e jit.Event) {
			if len(t.events) < maxEvents {
				t.events = append(t.events, e)
			}
		})
	}
	return t, nil
}

func (t *tiers) config() (vm.Compiler, vm.Tier) {
	if t.compiler == nil {
		return nil, vm.TierInterp
	}
	return t.compiler, t.tier
}

// close stops the compiler. No store may run any more.
func (t *tiers) close() {
	if t.compiler != nil {
		_ = t.compiler.Close()
		t.compiler = nil
	}
}

// print closes and says what was compiled.
func (t *tiers) print(w io.Writer) {
	if t.compiler == nil {
		fmt.Fprintln(w, "nothing was compiled: this run only interprets")
		return
	}
	s := t.compiler.Stats()
	t.close()
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "at\ttook\twasm\tcode\tfunction")
	for _, e := range t.events {
		note := ""
		if e.Err != nil {
			note = " stays interpreted: " + e.Err.Error()
		}
		fmt.Fprintf(tw, "%v\t%v\t%d B\t%d B\t%d %s%s\n", e.At.Round(time.Microsecond), e.Took.Round(time.Microsecond), e.SourceBytes, e.CodeBytes, e.Function, e.Name, note)
	}
	_ = tw.Flush()
	fmt.Fprintf(w, "%d functions, %d bytes of WebAssembly in %v, %d bytes of memory for code\n",
		s.Functions, s.SourceBytes, time.Duration(s.Nanoseconds).Round(time.Microsecond), s.CodeBytes)
}
