package vm

import (
	"archive/zip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/vm/wasm"
)

// spectestModule is the host module of the specification's tests as WebAssembly: functions that print nothing, globals
// 666 and 666.6, a table of 10 to 20 entries and a memory of 1 to 2 pages.
const spectestModule = "0061736d01000000011e0760000060017f0060017e0060017d0060017c0060027f7d0060027c7c000308070001020304050604050170010a140504010101020621047f00419a050b7e00429a050b7d004366a626440b7c0044cdccccccccd484400b079e010d057072696e740000097072696e745f6933320001097072696e745f6936340002097072696e745f6633320003097072696e745f66363400040d7072696e745f6933325f66333200050d7072696e745f6636345f66363400060a676c6f62616c5f69333203000a676c6f62616c5f69363403010a676c6f62616c5f66333203020a676c6f62616c5f6636340303057461626c650100066d656d6f727902000a160702000b02000b02000b02000b02000b02000b02000b"

// specSuite opens the suite, or skips the test and says where to get it.
func specSuite(t testing.TB) map[string]*zip.File {
	t.Helper()
	tried := []string{filepath.Join("testdata", "spec"), filepath.Join("..", "..", "shared", "spectest")}
	if dir := os.Getenv("KW_SPECTEST"); dir != "" {
		tried = []string{dir}
	}
	for _, dir := range tried {
		z, err := zip.OpenReader(filepath.Join(dir, "spectest-2.0.zip"))
		if err != nil {
			continue
		}
		t.Cleanup(func() { z.Close() })
		files := map[string]*zip.File{}
		for _, f := range z.File {
			files[f.Name] = f
		}
		return files
	}
	t.Skip("the WebAssembly specification's tests are missing: run vm/testdata/spec/get.sh, or set KW_SPECTEST")
	return nil
}

func unzip(t testing.TB, f *zip.File) []byte {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type specValue struct {
	Type     string          `json:"type"`
	LaneType string          `json:"lane_type"`
	Value    json.RawMessage `json:"value"`
}

type specAction struct {
	Type, Module, Field string
	Args                []specValue
}

type specCommand struct {
	Type, Name, As, Filename, Text string
	Line                           int
	ModuleType                     string `json:"module_type"`
	Action                         specAction
	Expected                       []specValue
}

// specResult counts assertions.
type specResult struct{ passed, failed, skipped int }

// specScript runs one script. Instances are kept by number, since the store may be replaced at any safepoint.
type specScript struct {
	t      *testing.T
	files  map[string]*zip.File
	dir    string
	s      *Store
	names  map[string]int // instances by name, "" is the last
	as     map[string]int // registered instances
	run    func(s *Store) (*Store, Stop, error)
	result specResult
	seen   map[[32]byte]*Module
}

// specConfig has limits beyond what the suite uses, but for the recursion that it expects to be stopped.
var specConfig = Config{Limits: Limits{MemoryPages: 65536, TableElems: 1 << 24, Depth: 4096, Slots: 1 << 21}}

func runSpec(t *testing.T, run func(sc *specScript, s *Store) (*Store, Stop, error)) specResult {
	files := specSuite(t)
	var scripts []string
	for name := range files {
		if strings.HasSuffix(name, ".json") {
			scripts = append(scripts, name)
		}
	}
	slices.Sort(scripts)
	host, err := hex.DecodeString(spectestModule)
	if err != nil {
		t.Fatal(err)
	}
	hostMod, err := Decode(host)
	if err != nil {
		t.Fatal(err)
	}
	var total specResult
	for _, name := range scripts {
		var script struct{ Commands []specCommand }
		if err := json.Unmarshal(unzip(t, files[name]), &script); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		sc := &specScript{t: t, files: files, dir: path.Dir(name), s: NewStore(specConfig), names: map[string]int{},
			as: map[string]int{}, seen: map[[32]byte]*Module{hostMod.Hash(): hostMod}}
		sc.run = func(s *Store) (*Store, Stop, error) { return run(sc, s) }
		inst, err := sc.s.Instantiate(hostMod, nil)
		if err != nil {
			t.Fatal(err)
		}
		sc.as["spectest"] = inst.Index()
		for _, c := range script.Commands {
			if os.Getenv("KW_TRACE") != "" {
				fmt.Println(name, c.Line, c.Type, c.Action.Field, c.Filename)
			}
			err, counts := sc.command(&c)
			switch {
			case err != nil:
				total.failed++
				if total.failed < 40 {
					t.Errorf("%s:%d: %s: %v", name, c.Line, c.Type, err)
				}
			case counts:
				total.passed++
			}
		}
		sc.s.Close()
	}
	return total
}

func (sc *specScript) module(name string) (*Module, error) {
	f := sc.files[path.Join(sc.dir, name)]
	if f == nil {
		return nil, fmt.Errorf("no file %s", name)
	}
	m, err := Decode(unzip(sc.t, f))
	if err == nil {
		sc.seen[m.Hash()] = m
	}
	return m, err
}

// Resolve finds imports among the registered instances.
func (sc *specScript) Resolve(module, name string) Extern {
	if i, ok := sc.as[module]; ok {
		return sc.s.Instances()[i].Export(name)
	}
	return nil
}

// instantiate does all of it, the start function too.
func (sc *specScript) instantiate(name string) error {
	m, err := sc.module(name)
	if err != nil {
		return err
	}
	if _, err := sc.s.Instantiate(m, sc); err != nil {
		return err
	}
	_, err = sc.call()
	return err
}

// call runs what is queued.
func (sc *specScript) call() ([]Value, error) {
	s, stop, err := sc.run(sc.s)
	sc.s = s
	switch {
	case err != nil:
		return nil, err
	case stop.Reason == Trapped:
		return nil, stop.Trap
	case stop.Reason != Done:
		return nil, fmt.Errorf("stopped for reason %d", stop.Reason)
	}
	return stop.Results, nil
}

// command performs a command and reports whether it counts as an assertion.
func (sc *specScript) command(c *specCommand) (error, bool) {
	switch c.Type {
	case "module":
		if err := sc.instantiate(c.Filename); err != nil {
			return err, false
		}
		sc.names[""] = len(sc.s.Instances()) - 1
		if c.Name != "" {
			sc.names[c.Name] = sc.names[""]
		}
		return nil, false
	case "register":
		sc.as[c.As] = sc.names[c.Name]
		return nil, false
	case "action":
		_, err := sc.action(&c.Action)
		return err, false
	case "assert_return":
		got, err := sc.action(&c.Action)
		if err != nil {
			return err, true
		}
		return matchAll(got, c.Expected), true
	case "assert_trap", "assert_exhaustion":
		_, err := sc.action(&c.Action)
		return wantTrap(err, c.Text), true
	case "assert_uninstantiable":
		return wantTrap(sc.instantiate(c.Filename), c.Text), true
	case "assert_unlinkable":
		var link *LinkError
		if err := sc.instantiate(c.Filename); !errors.As(err, &link) || !strings.Contains(link.Reason, c.Text) {
			return fmt.Errorf("got %v, want %q", err, c.Text), true
		}
		return nil, true
	case "assert_invalid", "assert_malformed":
		if c.ModuleType == "text" {
			return nil, false
		}
		var bad *wasm.Error
		if _, err := sc.module(c.Filename); !errors.As(err, &bad) {
			return fmt.Errorf("accepted, want %q", c.Text), true
		}
		return nil, true
	}
	return fmt.Errorf("unknown command"), true
}

func wantTrap(err error, text string) error {
	var trap *Trap
	if !errors.As(err, &trap) {
		return fmt.Errorf("got %v, want trap %q", err, text)
	}
	if !strings.HasPrefix(text, trap.Code.String()) {
		return fmt.Errorf("trap %q, want %q", trap.Code, text)
	}
	return nil
}

func (sc *specScript) action(a *specAction) ([]Value, error) {
	at, ok := sc.names[a.Module]
	if !ok {
		return nil, fmt.Errorf("no module %q", a.Module)
	}
	inst := sc.s.Instances()[at]
	if a.Type == "get" {
		g, ok := inst.Export(a.Field).(*Global)
		if !ok {
			return nil, fmt.Errorf("no global %q", a.Field)
		}
		return []Value{g.Value()}, nil
	}
	args := make([]Value, len(a.Args))
	for i := range args {
		v, err := a.Args[i].parse()
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	if err := sc.s.Start(inst, a.Field, args...); err != nil {
		return nil, err
	}
	return sc.call()
}

func (v *specValue) lanes() (texts []string) {
	if v.Type != "v128" {
		var s string
		_ = json.Unmarshal(v.Value, &s)
		return []string{s}
	}
	_ = json.Unmarshal(v.Value, &texts)
	return texts
}

var laneBits = map[string]int{"i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64}

func (v *specValue) parse() (Value, error) {
	lanes := v.lanes()
	if v.Type == "funcref" || v.Type == "externref" {
		t := wasm.FuncRef
		if v.Type == "externref" {
			t = wasm.ExternRef
		}
		if lanes[0] == "null" {
			return NullRef(t), nil
		}
		n, err := strconv.ParseUint(lanes[0], 10, 64)
		return Value{Type: t, Lo: n, Hi: 1}, err
	}
	if v.Type == "v128" {
		out := Value{Type: wasm.V128}
		w := laneBits[v.LaneType]
		for i, text := range lanes {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return out, err
			}
			if at := i * w; at < 64 {
				out.Lo |= n << at
			} else {
				out.Hi |= n << (at - 64)
			}
		}
		return out, nil
	}
	n, err := strconv.ParseUint(lanes[0], 10, 64)
	t := map[string]wasm.ValType{"i32": wasm.I32, "i64": wasm.I64, "f32": wasm.F32, "f64": wasm.F64}[v.Type]
	return Value{Type: t, Lo: n}, err
}

func matchAll(got []Value, want []specValue) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d results, want %d", len(got), len(want))
	}
	for i := range got {
		if !want[i].matches(got[i]) {
			return fmt.Errorf("result %d is %v, want %s %s", i, got[i], want[i].Type, want[i].Value)
		}
	}
	return nil
}

// matches compares bit for bit, but for the patterns of NaNs.
func (v *specValue) matches(got Value) bool {
	if got.Type.String() != v.Type {
		return false
	}
	if got.Type.IsRef() {
		if len(v.Value) == 0 {
			return got.Hi == 1
		}
		want, err := v.parse()
		return err == nil && want == got
	}
	width := laneBits[v.LaneType]
	if v.Type != "v128" {
		width = laneBits[v.Type]
	}
	for i, text := range v.lanes() {
		x := got.Lo
		if at := i * width; at >= 64 {
			x = got.Hi >> (at - 64)
		} else {
			x >>= at
		}
		x &= math.MaxUint64 >> (64 - width)
		switch {
		case strings.HasPrefix(text, "nan:"):
			// Both kinds must be the canonical one here, up to what the specification leaves open in arithmetic NaNs.
			if width == 32 && (x>>22)&0x1ff != 0x1ff || width == 64 && (x>>51)&0xfff != 0xfff {
				return false
			}
			if text == "nan:canonical" && x<<(64-width)<<1 != map[int]uint64{32: 0x7fc00000 << 33, 64: 0x7ff8 << 49}[width] {
				return false
			}
		default:
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil || n != x {
				return false
			}
		}
	}
	return true
}

// TestSpec runs the specification's tests.
func TestSpec(t *testing.T) {
	r := runSpec(t, func(_ *specScript, s *Store) (*Store, Stop, error) {
		stop, err := s.Run(t.Context(), 1<<40)
		return s, stop, err
	})
	fmt.Printf("spectest: %d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
}

// Resolve finds nothing: the suite has no host functions.
type noHost struct{}

func (noHost) Resolve(string, string) Extern { return nil }

// TestSpecFrozen runs the suite once more, and freezes and thaws the whole store at the first 32 safepoints of each
// assertion, action and start function and at every 4,093rd after.
func TestSpecFrozen(t *testing.T) {
	freezes := 0
	r := runSpec(t, func(sc *specScript, s *Store) (*Store, Stop, error) {
		var gas uint64
		for n := 0; ; n++ {
			stop, err := s.Run(t.Context(), gas)
			if err != nil || stop.Reason != OutOfGas {
				return s, stop, err
			}
			gas = stop.Need
			if n >= 32 && (n-32)%4093 != 4092 {
				continue
			}
			b, err := s.Freeze(FreezeOptions{})
			if err != nil {
				return s, stop, err
			}
			before, err := s.StateHash(nil)
			if err != nil {
				return s, stop, err
			}
			s.Close()
			module := func(h [32]byte) (*Module, error) { return sc.seen[h], nil }
			if s, _, err = Thaw(b, specConfig, Sources{Module: module, Host: noHost{}}); err != nil {
				t.Fatal(err)
			}
			if after, err := s.StateHash(nil); err != nil || after != before {
				t.Fatalf("state hash %x before freezing, %x after (%v)", before, after, err)
			}
			freezes++
		}
	})
	fmt.Printf("spectest-frozen: %d passed, %d failed, %d skipped, %d freezes\n", r.passed, r.failed, r.skipped, freezes)
}
