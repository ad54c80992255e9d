package sdk

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
)

func author(t testing.TB) *capsule.Identity {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// carryOn does what a worker does: it has the envelope and the content by address, and nothing else.
func carryOn(t *testing.T, b *Bundle, eff *hostabi.Memory) []byte {
	t.Helper()
	sealed, err := capsule.Verify(b.Capsule.Bytes(), uint64(time.Now().UnixMilli()), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := sealed.Manifest()
	blob := func(id capsule.CID) []byte {
		if capsule.Sum(b.Blobs[id]) != id.Digest {
			t.Fatalf("the bundle has other content under %s", id)
		}
		return b.Blobs[id]
	}
	mod, err := vm.Decode(blob(m.Code))
	if err != nil {
		t.Fatal(err)
	}
	host := hostabi.New(eff)
	cfg := vm.Config{Limits: vmLimits(m.Limits), Seed: m.Seed}
	src := vm.Sources{Host: vm.Resolvers{host, wasi.New(host)}, Module: func([32]byte) (*vm.Module, error) { return mod, nil }}
	src.Base = func(hash [32]byte) (*vm.Base, error) { return vm.LoadBase(blob(m.Base), hash, cfg, src) }
	var s *vm.Store
	if m.Fresh() {
		s = vm.NewStore(cfg)
		inst, err := s.Instantiate(mod, src.Host)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(inst, initializer); err != nil {
			t.Fatal(err)
		}
		if stop, err := s.Run(t.Context(), 1<<40); err != nil || stop.Reason != vm.Done {
			t.Fatal(stop, err)
		}
		host.State.Started, host.State.Input = true, m.Input
		if err := s.Start(inst, m.Entry); err != nil {
			t.Fatal(err)
		}
	} else {
		var state []byte
		if s, state, err = vm.Thaw(blob(m.State), cfg, src); err != nil {
			t.Fatal(err)
		}
		if err := host.Restore(state); err != nil {
			t.Fatal(err)
		}
		if hash, err := s.StateHash(host.State.Marshal()); err != nil || hash != m.StateHash {
			t.Fatalf("state hash %x, %v; the manifest says %x", hash, err, m.StateHash)
		}
		if host.State.Pending != nil {
			if err := host.Perform(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	defer s.Close()
	stop, err := s.Run(t.Context(), 1<<40)
	if err != nil || stop.Reason != vm.Done {
		t.Fatalf("%+v, %v", stop, err)
	}
	eff.Commit()
	return host.State.Output
}

// TestBundleIsEnough holds that a sealed capsule, run ahead or fresh, continues from its bytes alone to the same end.
func TestBundleIsEnough(t *testing.T) {
	p := example(t, "transfer", "Move")
	input, err := kit.Marshal(transfer{From: "alice", To: "bob", Amount: 30})
	if err != nil {
		t.Fatal(err)
	}
	for _, ahead := range []int64{-1, 0, 1, 1000} {
		pr, err := Prepare(t.Context(), p, input, PrepareOptions{Ahead: ahead})
		if err != nil {
			t.Fatal(err)
		}
		if (pr.State == nil) != (ahead < 0) {
			t.Errorf("ahead %d: state of %d bytes", ahead, len(pr.State))
		}
		id := author(t)
		home := capsule.ZoneID{1}
		chain, err := id.Delegate(nil, capsule.Grant{Audience: id.Key(), Subject: home, Gas: 1 << 40, Expires: 1 << 60,
			Caps: []capsule.Cap{{Resource: "event/*", Ability: capsule.Emit}, {Resource: "kv/*", Ability: capsule.Read | capsule.Write}}})
		if err != nil {
			t.Fatal(err)
		}
		terms := newTerms([]Option{Home(home), Keys("kv/acct/*"), Keys("event/transfer"), Grants(chain)})
		b, err := pr.Seal(id, terms)
		if err != nil {
			t.Fatal(err)
		}
		eff := hostabi.NewMemory("home", [32]byte{})
		for k, v := range rows(t, map[string]any{"acct/alice": int64(100)}) {
			if err := eff.Put(0, []byte(k), v); err != nil {
				t.Fatal(err)
			}
		}
		if r, err := kit.Unmarshal[receipt](carryOn(t, b, eff)); err != nil || r != (receipt{70, 30}) {
			t.Errorf("ahead %d: receipt %+v, %v", ahead, r, err)
		}
		t.Logf("ahead %d: cut at %s, %d units done, state %d bytes, envelope %d bytes", ahead, pr.Cut, pr.Done, len(pr.State), len(b.Capsule.Bytes()))
	}
}

// TestSealNeedsGrants holds that nothing is signed that no zone would take.
func TestSealNeedsGrants(t *testing.T) {
	pr := prepare(t, example(t, "transfer", "Move"), transfer{From: "alice", To: "bob", Amount: 30})
	for name, options := range map[string][]Option{
		"no grant": {Home(capsule.ZoneID{1}), Keys("kv/acct/*"), Keys("event/transfer")},
		"no need":  {Home(capsule.ZoneID{1})},
		"no home":  {Keys("kv/acct/*"), Keys("event/transfer")},
	} {
		if _, err := pr.Seal(author(t), newTerms(options)); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
}

func TestPreparationIsRepeatable(t *testing.T) {
	p := example(t, "transfer", "Move")
	order := transfer{From: "alice", To: "bob", Amount: 30}
	a := prepare(t, p, order)
	again, err := FromWasm(p.Name, p.Code, p.Entry)
	if err != nil {
		t.Fatal(err)
	}
	b := prepare(t, again, order)
	if a.StateHash != b.StateHash || !bytes.Equal(a.State, b.State) || a.BaseCID != b.BaseCID || a.Done != b.Done {
		t.Errorf("the same preparation gave states %s and %s", a.StateHash, b.StateHash)
	}
	c := prepare(t, p, transfer{From: "alice", To: "bob", Amount: 31})
	if c.StateHash == a.StateHash || c.BaseCID != a.BaseCID {
		t.Error("another input has to give another state on the same base")
	}
	if len(a.State) > 2048 {
		t.Errorf("the state of a small capsule has %d bytes", len(a.State))
	}
	t.Logf("code %d bytes, base %d bytes, state %d bytes", len(p.Code), len(a.Base), len(a.State))
}

// TestChance holds that what is drawn during initialisation is the program's, and later the zone's.
func TestChance(t *testing.T) {
	p := wasmFile(t, "testdata/chance.wasm", "run")
	pr, err := Prepare(t.Context(), p, nil, PrepareOptions{})
	if err != nil || pr.Cut != "random.fill" {
		t.Fatalf("cut at %s, %v", pr.Cut, err)
	}
	draw := func(n int) []byte {
		trial, err := pr.trial(t.Context(), &Sample{}, n, map[string]capsule.Ability{})
		if err != nil || trial.Failed != nil || len(trial.Output) != 8 {
			t.Fatalf("%+v, %v", trial, err)
		}
		return trial.Output
	}
	a, b := draw(0), draw(1)
	if !bytes.Equal(a[:4], b[:4]) || bytes.Equal(a[:4], make([]byte, 4)) {
		t.Errorf("drawn during initialisation: %x and %x", a[:4], b[:4])
	}
	if bytes.Equal(a[4:], b[4:]) {
		t.Errorf("two zones drew %x", a[4:])
	}
}

func TestPureProgram(t *testing.T) {
	// A function that asks nothing of the zone is captured before its entry: its result has to be the zone's.
	pr := prepare(t, example(t, "primesieve", "Sieve"), 10)
	if pr.Cut != "kv.put" {
		t.Errorf("cut at %s", pr.Cut)
	}
	bounded := wasmFile(t, "testdata/bounded.wasm", "run")
	if bounded.hasInitializer() {
		t.Error("a C program without a library has an initialiser")
	}
}

func TestBound(t *testing.T) {
	p := wasmFile(t, "testdata/bounded.wasm", "run")
	bound, ok := p.Bound()
	if !ok {
		t.Fatal("no bound")
	}
	pr, err := Prepare(t.Context(), p, nil, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][]byte{"absent": nil, "short": {1}, "full": bytes.Repeat([]byte{1}, 8), "long": make([]byte, 100)} {
		s := Sample{}
		if v != nil {
			s.Rows = map[string][]byte{"k": v}
		}
		trial, err := pr.Try(t.Context(), s)
		if err != nil || trial.Failed != nil {
			t.Fatalf("%s: %+v, %v", name, trial, err)
		}
		if used := pr.Done + trial.Gas; used > bound || used < bound/2000 {
			t.Errorf("%s: used %d, bound %d", name, used, bound)
		}
	}
}

func TestEstimateVaries(t *testing.T) {
	pr, err := Prepare(t.Context(), wasmFile(t, "testdata/bounded.wasm", "run"), nil, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	est, err := pr.Estimate(t.Context(), nil, 0)
	if err != nil || est.Runs != EstimateRuns || !est.Bounded || est.P99 > est.Bound || est.Failed != 0 {
		t.Errorf("%+v, %v", est, err)
	}
}

func TestQuantile(t *testing.T) {
	var v []uint64
	for i := range uint64(100) {
		v = append(v, i+1)
	}
	for _, c := range []struct {
		v       []uint64
		percent int
		want    uint64
	}{{v, 50, 50}, {v, 99, 99}, {v[:1], 99, 1}, {v[:10], 99, 10}, {v[:10], 50, 5}} {
		if got := quantile(c.v, c.percent); got != c.want {
			t.Errorf("%d %% of %d values: %d, want %d", c.percent, len(c.v), got, c.want)
		}
	}
}

func BenchmarkPrepare(b *testing.B) {
	code, err := os.ReadFile("../examples/guests/c/hello.wasm")
	if err != nil {
		b.Fatal(err)
	}
	p, err := FromWasm("hello", code, "run")
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := Prepare(b.Context(), p, fmt.Appendf(nil, "alice %d", i), PrepareOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}

// TestSealKeepsLimits holds that what is signed are the limits that the state was made under: others are refused, not left out.
func TestSealKeepsLimits(t *testing.T) {
	p := wasmFile(t, "testdata/chance.wasm", "run")
	limits := capsule.Limits{MemoryPages: 64}
	pr, err := Prepare(t.Context(), p, nil, PrepareOptions{Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []capsule.Limits{{}, limits} {
		b, err := pr.Seal(author(t), newTerms([]Option{Home(capsule.ZoneID{1}), Limits(l)}))
		if err != nil {
			t.Fatal(err)
		}
		if got := b.Capsule.Manifest().Limits; got != fillLimits(limits) {
			t.Errorf("signed %+v, prepared under %+v", got, limits)
		}
	}
	if _, err := pr.Seal(author(t), newTerms([]Option{Home(capsule.ZoneID{1}), Limits(capsule.Limits{MemoryPages: 65})})); err == nil || !strings.Contains(err.Error(), "PrepareOptions") {
		t.Errorf("other limits: %v", err)
	}
}
