package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
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

// execCompiled is what --stats says; docs/EXEC.md says what the fields mean.
type execCompiled struct {
	Functions []execFunc `json:"functions"` // of maxEvents; the sums count all
	Compiled  int64      `json:"compiled"`
	WasmBytes int64      `json:"wasm_bytes"`
	TookNS    int64      `json:"took_ns"`
	CodeBytes int        `json:"code_memory"`
}

// execFunc is a function that was compiled, or couldn't be.
type execFunc struct {
	Function  uint32        `json:"function"`
	Name      string        `json:"name"`
	Hot       uint32        `json:"hot"`
	AtNS      int64         `json:"at_ns"`
	TookNS    int64         `json:"took_ns"`
	WasmBytes int           `json:"wasm_bytes"`
	CodeBytes int           `json:"code_bytes"`
	Inlined   []execInlined `json:"inlined"`
	Kept      int           `json:"kept"`
	Unchecked int           `json:"unchecked"`
	Error     *string       `json:"error"`
}

// execInlined is a callee whose code stands in the place of calls.
type execInlined struct {
	Function uint32 `json:"function"`
	Name     string `json:"name"`
	Calls    int    `json:"calls"`
}

// report closes and says what was compiled; nil if this run only interprets.
func (t *tiers) report() *execCompiled {
	if t.compiler == nil {
		return nil
	}
	held := t.compiler.Stats().CodeBytes
	c := t.compiler
	t.close()
	s := c.Stats()
	out := &execCompiled{[]execFunc{}, s.Functions, s.SourceBytes, s.Nanoseconds, held}
	for _, e := range t.events {
		f := execFunc{e.Function, e.Name, e.Hot, int64(e.At), int64(e.Took), e.SourceBytes, e.CodeBytes, inlined(e.Inlined), e.Kept, e.Unchecked, nil}
		if e.Err != nil {
			text := e.Err.Error()
			f.Error = &text
		}
		out.Functions = append(out.Functions, f)
	}
	return out
}

// inlined counts calls by what they call.
func inlined(calls []jit.Call) []execInlined {
	out, at := []execInlined{}, map[uint32]int{}
	for _, c := range calls {
		i, ok := at[c.Function]
		if !ok {
			i = len(out)
			at[c.Function] = i
			out = append(out, execInlined{c.Function, c.Name, 0})
		}
		out[i].Calls++
	}
	return out
}

// print is the report for people.
func (c *execCompiled) print(w io.Writer) {
	if c == nil {
		fmt.Fprintln(w, "nothing was compiled: this run only interprets")
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "at\ttook\twasm\tcode\thot\tfunction")
	for _, f := range c.Functions {
		fmt.Fprintf(tw, "%v\t%v\t%d B\t%d B\t%d\t%s%s\n", micros(f.AtNS), micros(f.TookNS), f.WasmBytes, f.CodeBytes, f.Hot, title(f.Function, f.Name), f.note())
	}
	_ = tw.Flush()
	fmt.Fprintf(w, "%d functions, %d bytes of WebAssembly in %v, %d bytes of memory for code\n", c.Compiled, c.WasmBytes, micros(c.TookNS), c.CodeBytes)
}

// note is what became of the function beside code of its own.
func (f *execFunc) note() string {
	if f.Error != nil {
		return ", stays interpreted: " + *f.Error
	}
	text := ""
	if f.Kept > 0 {
		text += fmt.Sprintf(", %d kept in registers by loops", f.Kept)
	}
	if f.Unchecked > 0 {
		text += fmt.Sprintf(", %d loops tested once for all their addresses", f.Unchecked)
	}
	if len(f.Inlined) == 0 {
		return text
	}
	var parts []string
	for _, in := range f.Inlined {
		part := title(in.Function, in.Name)
		if in.Calls > 1 {
			part += fmt.Sprintf(" (%d calls)", in.Calls)
		}
		parts = append(parts, part)
	}
	return text + ", inlines " + strings.Join(parts, ", ")
}

// title is a function for people.
func title(fn uint32, name string) string {
	if name == "" {
		return fmt.Sprint(fn)
	}
	return fmt.Sprint(fn, " ", name)
}

func micros(ns int64) time.Duration { return time.Duration(ns).Round(time.Microsecond) }
