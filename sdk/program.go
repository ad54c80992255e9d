package sdk

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Program is a WebAssembly module with the export that a capsule enters. It is immutable and serves any number of capsules.
type Program struct {
	Name  string // of the function, or of the file
	Entry string
	Code  []byte
	CID   capsule.CID

	mod     *vm.Module
	imports []wasm.Import
	ready   startedCache
}

// Build compiles a capsule's function to WebAssembly. The function stands at package level; what it captures is its input.
// A second call for the same function answers at once.
func Build[In, Out any](ctx context.Context, fn func(kit.Context, In) (Out, error), o build.Options) (*Program, error) {
	for what, t := range map[string]reflect.Type{"input": reflect.TypeFor[In](), "result": reflect.TypeFor[Out]()} {
		if err := kit.Encodable(t); err != nil {
			return nil, fmt.Errorf("the function's %s can't travel: %w", what, err)
		}
	}
	src, err := build.Locate(ctx, fn, o.Go)
	if err != nil {
		return nil, err
	}
	return built.get(ctx, src, o)
}

// BuildPackage is Build for a function that is named: the package as the go command understands it here.
func BuildPackage(ctx context.Context, pattern, function string, o build.Options) (*Program, error) {
	src, err := build.Find(ctx, pattern, function, o.Go)
	if err != nil {
		return nil, err
	}
	return built.get(ctx, src, o)
}

// built remembers programs for as long as the process runs: its own code doesn't change either.
var built programs

type programs struct {
	mu sync.Mutex
	m  map[build.Source]*Program
}

// get holds the lock while it builds: two builds at a time would only take the processor from each other.
func (ps *programs) get(ctx context.Context, src build.Source, o build.Options) (*Program, error) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p := ps.m[src]; p != nil {
		if o.Progress != nil {
			o.Progress(build.Progress{Stage: "done", Cached: true})
		}
		return p, nil
	}
	r, err := build.Go(ctx, src, o)
	if err != nil {
		return nil, err
	}
	p, err := FromWasm(r.Func, r.Code, build.Entry)
	if err != nil {
		return nil, err
	}
	if ps.m == nil {
		ps.m = map[build.Source]*Program{}
	}
	ps.m[src] = p
	return p, nil
}

// FromWasm takes a module that was compiled elsewhere. The entry is an exported function without parameters that returns
// an i32 or nothing; name is for people. The code must not be changed afterwards.
func FromWasm(name string, code []byte, entry string) (*Program, error) {
	if len(code) > build.MaxCode {
		return nil, fmt.Errorf("%s: %w: %d bytes, at most %d; strip it of names and debugging sections, or optimise for size",
			name, build.ErrTooLarge, len(code), build.MaxCode)
	}
	mod, err := vm.Decode(code)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p := &Program{Name: name, Entry: entry, Code: code, CID: capsule.RawCID(code), mod: mod, imports: mod.Wasm().Imports}
	if err := p.checkEntry(); err != nil {
		return nil, err
	}
	return p, p.checkImports()
}

func (p *Program) checkEntry() error {
	w := p.mod.Wasm()
	var names []string
	for _, e := range w.Exports {
		if e.Kind != wasm.ExternFunc {
			continue
		}
		if e.Name != p.Entry {
			names = append(names, e.Name)
			continue
		}
		t := w.Types[w.FuncTypes[e.Index]]
		if len(t.Params) > 0 || len(t.Results) > 1 || len(t.Results) == 1 && t.Results[0] != wasm.I32 {
			return fmt.Errorf("%s: the entry %q is %v; it has to take nothing and return an i32 or nothing", p.Name, p.Entry, t)
		}
		return nil
	}
	return fmt.Errorf("%s: no function is exported as %q; exported are: %s", p.Name, p.Entry, strings.Join(names, ", "))
}

func (p *Program) hasInitializer() bool {
	return slices.ContainsFunc(p.mod.Wasm().Exports, func(e wasm.Export) bool {
		return e.Kind == wasm.ExternFunc && e.Name == initializer
	})
}

// checkImports refuses what no zone offers.
func (p *Program) checkImports() error {
	host := hostabi.New(nil)
	offered := vm.Resolvers{host, wasi.New(host)}
	for _, im := range p.imports {
		f, ok := offered.Resolve(im.Module, im.Name).(*vm.HostFunc)
		if !ok || im.Kind != wasm.ExternFunc {
			return fmt.Errorf("%s: it imports %q from %q, which no zone offers; build it for %s@%s and WASI preview 1 alone",
				p.Name, im.Name, im.Module, "kitwork:host", hostabi.Version)
		}
		want := p.mod.Wasm().Types[p.mod.Wasm().FuncTypes[im.Index]]
		if !slices.Equal(f.Type.Params, want.Params) || !slices.Equal(f.Type.Results, want.Results) {
			return fmt.Errorf("%s: it imports %s.%s as %v, which is %v; compile it against the current ABI", p.Name, im.Module, im.Name, want, f.Type)
		}
	}
	return nil
}

// abilityOf is what a capsule can do through an import, on which part of the resources.
var abilityOf = map[[2]string]struct {
	below   string
	ability capsule.Ability
}{
	{"kv", "get"}:     {"kv/", capsule.Read},
	{"kv", "scan"}:    {"kv/", capsule.Read},
	{"kv", "put"}:     {"kv/", capsule.Write},
	{"kv", "delete"}:  {"kv/", capsule.Delete},
	{"event", "emit"}: {"event/", capsule.Emit},
	{"flow", "goto"}:  {"kv/", capsule.Export},
}

// Abilities is the most that the program can ever do, by its imports: on data ("kv/") and on events ("event/").
func (p *Program) Abilities() map[string]capsule.Ability {
	able := map[string]capsule.Ability{}
	for _, im := range p.imports {
		iface, ok := strings.CutPrefix(im.Module, "kitwork:host/")
		if !ok {
			continue
		}
		iface, _, _ = strings.Cut(iface, "@")
		if a, ok := abilityOf[[2]string{iface, im.Name}]; ok {
			able[a.below] |= a.ability
		}
	}
	return able
}

// Needs completes what an author asks for by what the imports say, and refuses to ask for too little, with which the
// capsule would run into a refusal, or for too much.
func (p *Program) Needs(asked []capsule.Need, home capsule.ZoneID) ([]capsule.Need, error) {
	able := p.Abilities()
	if able["kv/"] == capsule.Export {
		delete(able, "kv/") // nothing is read, so nothing is carried away
	}
	covered := map[string]capsule.Ability{}
	needs := make([]capsule.Need, 0, len(asked))
	for _, n := range asked {
		below := ""
		for prefix := range able {
			if strings.HasPrefix(n.Resource, prefix) {
				below = prefix
			}
		}
		if n.Ability == 0 {
			n.Ability = able[below]
		}
		if n.Ability == 0 || below == "" && strings.HasPrefix(n.Resource, "kv/") {
			instead := "leave it out"
			if !strings.Contains(n.Resource, ":") && !strings.HasPrefix(n.Resource, "kv/") && !strings.HasPrefix(n.Resource, "event/") && able["kv/"] != 0 {
				instead = fmt.Sprintf("data is named as in %q", "kv/"+n.Resource)
			}
			return nil, fmt.Errorf("%s: %q is asked for, and nothing that the code imports can use it; %s", p.Name, n.Resource, instead)
		}
		if over := n.Ability &^ able[below]; below != "" && over != 0 {
			return nil, fmt.Errorf("%s: %v on %q is asked for, and the code doesn't import that; leave it out", p.Name, over, n.Resource)
		}
		if n.Zone.IsZero() {
			n.Zone = home
		}
		covered[below] |= n.Ability
		needs = append(needs, n)
	}
	for _, below := range []string{"kv/", "event/"} {
		if missing := able[below] &^ covered[below]; missing != 0 {
			return nil, fmt.Errorf("%s: the code imports calls that %v under %q, and nothing of the kind is asked for; "+
				"name the resources, as in sdk.Keys(%q) or on the command line --keys '%[4]s'", p.Name, missing, below, below+"name/*")
		}
	}
	return needs, nil
}
