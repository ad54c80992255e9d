package sdk

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk/build"
)

func wasmFile(t *testing.T, name, entry string) *Program {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := FromWasm(filepath.Base(name), b, entry)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// example builds a function of the examples, once for all tests.
func example(t *testing.T, name, function string) *Program {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("skipped: no go command on PATH, so nothing can be built for WebAssembly")
	}
	p, err := BuildPackage(t.Context(), "../examples/"+name, function, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func prepare[T any](t *testing.T, p *Program, in T) *Prepared {
	t.Helper()
	input, err := kit.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	pr, err := Prepare(t.Context(), p, input, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pr
}

func rows(t *testing.T, values map[string]any) map[string][]byte {
	t.Helper()
	m := map[string][]byte{}
	for k, v := range values {
		var err error
		switch v := v.(type) {
		case int64:
			m[k], err = kit.Marshal(v)
		case string:
			m[k], err = kit.Marshal(v)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return m
}

func TestSmallGuests(t *testing.T) {
	for _, name := range []string{"c/add.wasm", "rust/add.wasm"} {
		p := wasmFile(t, "../examples/guests/"+name, "run")
		pr, err := Prepare(t.Context(), p, nil, PrepareOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if pr.Cut != "kv.get" {
			t.Errorf("%s: cut at %s", name, pr.Cut)
		}
		trial, err := pr.Try(t.Context(), Sample{Rows: rows(t, map[string]any{"sum/a": int64(-2), "sum/b": int64(444)})})
		if err != nil || trial.Failed != nil {
			t.Fatalf("%s: %v, %v", name, err, trial)
		}
		if n, err := kit.Unmarshal[int64](trial.Output); err != nil || n != 442 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
		if n, err := kit.Unmarshal[int64](trial.Rows["sum/total"]); err != nil || n != 442 {
			t.Errorf("%s: stored %d, %v", name, n, err)
		}
		if _, bounded := p.Bound(); bounded {
			t.Errorf("%s has a loop and a bound", name)
		}
		trial, err = pr.Try(t.Context(), Sample{Rows: map[string][]byte{"sum/a": {0x80}}})
		if err != nil || trial.Failed == nil || trial.Failed.Code != 16 || len(trial.Rows) != 1 {
			t.Errorf("%s on damaged data: %+v, %v", name, trial, err)
		}
	}
}

func TestFailureUndoes(t *testing.T) {
	pr, err := Prepare(t.Context(), wasmFile(t, "testdata/undone.wasm", "run"), nil, PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	trial, err := pr.Try(t.Context(), Sample{Rows: map[string][]byte{"other": {1}}})
	if err != nil || trial.Failed == nil || trial.Failed.Code != 20 || len(trial.Rows) != 1 || len(trial.Events) != 0 {
		t.Errorf("%+v, %v", trial, err)
	}
}

func TestLibcGuest(t *testing.T) {
	pr, err := Prepare(t.Context(), wasmFile(t, "../examples/guests/c/hello.wasm", "run"), []byte("alice"), PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pr.Cut != "flow.sleep" {
		t.Errorf("cut at %s", pr.Cut)
	}
	trial, err := pr.Try(t.Context(), Sample{})
	if err != nil || trial.Failed != nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	if string(trial.Output) != "hello, alice" || trial.Segments != 2 {
		t.Errorf("%q in %d segments", trial.Output, trial.Segments)
	}
	if len(trial.Log) != 1 || trial.Log[0].Msg != "about to greet alice" {
		t.Errorf("log %v", trial.Log)
	}
}

// The examples' types, written out: their packages are commands and can't be imported.
type (
	transfer struct {
		From, To string
		Amount   int64
	}
	receipt struct{ From, To int64 }
	query   struct {
		Prefix string
		Top    int
	}
	word struct {
		Text  string
		Count int
	}
	plan struct {
		Who, Text string
		Times     int
		Every     int64
	}
	primes struct {
		Count, Last int
		Sum         uint64
	}
)

// TestGoGuest holds that a Go function does in WebAssembly what it does natively.
func TestGoGuest(t *testing.T) {
	p := example(t, "transfer", "Move")
	order := transfer{From: "alice", To: "bob", Amount: 30}
	pr := prepare(t, p, order)
	if pr.Cut != "kv.get" {
		t.Errorf("cut at %s", pr.Cut)
	}
	trial, err := pr.Try(t.Context(), Sample{Rows: rows(t, map[string]any{"acct/alice": int64(100)})})
	if err != nil || trial.Failed != nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	if r, err := kit.Unmarshal[receipt](trial.Output); err != nil || r != (receipt{70, 30}) {
		t.Errorf("receipt %+v, %v", r, err)
	}
	if want := rows(t, map[string]any{"acct/alice": int64(70), "acct/bob": int64(30)}); !reflect.DeepEqual(trial.Rows, want) {
		t.Errorf("rows %v, want %v", trial.Rows, want)
	}
	if len(trial.Events) != 1 {
		t.Fatalf("events %v", trial.Events)
	}
	if e, err := kit.Unmarshal[transfer](trial.Events[0].Data); err != nil || e != order {
		t.Errorf("event %+v, %v", e, err)
	}
	trial, err = pr.Try(t.Context(), Sample{})
	if err != nil || trial.Failed == nil || trial.Failed.Code != 17 || len(trial.Rows) != 0 || len(trial.Events) != 0 {
		t.Errorf("without funds: %+v, %v", trial, err)
	}
	// What fails before any effect fails here, and isn't submitted.
	input, _ := kit.Marshal(transfer{From: "alice", To: "alice", Amount: 1})
	var guest *GuestError
	if _, err := Prepare(t.Context(), p, input, PrepareOptions{}); !errors.As(err, &guest) || guest.Code != 16 {
		t.Errorf("a wrong order: %v", err)
	}
	if _, err := Prepare(t.Context(), p, []byte("rubbish"), PrepareOptions{}); !errors.As(err, &guest) || guest.Code != kit.CodeInput {
		t.Errorf("a wrong input: %v", err)
	}
}

func TestGoGuestScansAndMaps(t *testing.T) {
	docs := map[string]string{}
	want := map[string]int{}
	for _, w := range strings.Fields("one two two three three three") {
		want[w]++
	}
	for i := range 150 {
		docs[string(rune('a'+i%26))+strings.Repeat("z", i/26)] = strings.Repeat("one two two three three three ", 1+i%5*20)
	}
	store := prepare(t, example(t, "wordcount", "Store"), docs)
	stored, err := store.Try(t.Context(), Sample{})
	if err != nil || stored.Failed != nil || len(stored.Rows) != len(docs) {
		t.Fatalf("stored %d rows, %v, %v", len(stored.Rows), stored.Failed, err)
	}
	count := prepare(t, example(t, "wordcount", "Count"), query{Prefix: "doc/", Top: 2})
	if count.Cut != "kv.scan" {
		t.Errorf("cut at %s", count.Cut)
	}
	trial, err := count.Try(t.Context(), Sample{Rows: stored.Rows})
	if err != nil || trial.Failed != nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	words, err := kit.Unmarshal[[]word](trial.Output)
	if err != nil || len(words) != 2 || words[0] != (word{"three", 18450}) || words[1] != (word{"two", 12300}) {
		t.Errorf("counted %v, %v", words, err)
	}
}

func TestGoGuestSleeps(t *testing.T) {
	pr := prepare(t, example(t, "reminder", "Remind"), plan{Who: "alice", Text: "x", Times: 3, Every: 24 * kit.Hour})
	trial, err := pr.Try(t.Context(), Sample{Time: kit.LocalStart})
	if err != nil || trial.Failed != nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	if trial.Segments != 4 || len(trial.Events) != 3 {
		t.Errorf("%d segments, %d events", trial.Segments, len(trial.Events))
	}
}

func TestGoGuestComputes(t *testing.T) {
	pr := prepare(t, example(t, "primesieve", "Sieve"), 100_000)
	trial, err := pr.Try(t.Context(), Sample{})
	if err != nil || trial.Failed != nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	if got, err := kit.Unmarshal[primes](trial.Output); err != nil || got != (primes{9592, 99991, 454396537}) {
		t.Errorf("%+v, %v", got, err)
	}
	long := prepare(t, example(t, "primesieve", "Sieve"), 1<<32)
	if long.Cut != "the budget" {
		t.Errorf("a long computation was cut at %s", long.Cut)
	}
}

func TestPrunedProgramRuns(t *testing.T) {
	pr := prepare(t, example(t, "../sdk/build/testdata/tricky", "Capsule"), 5)
	if pr.Cut != "the end" {
		t.Errorf("a pure function was cut at %s", pr.Cut)
	}
	trial, err := pr.Try(t.Context(), Sample{})
	if err != nil || trial.Failed != nil {
		t.Fatalf("%+v, %v", trial, err)
	}
	if got, err := kit.Unmarshal[string](trial.Output); err != nil || got != "Aword" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestTranslator(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("skipped: no go command on PATH, so nothing can be built for WebAssembly")
	}
	tr, err := NewTranslator(t.Context(), "../examples/transfer", "Move", build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := kit.Marshal(transfer{From: "alice", To: "bob", Amount: 30})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tr.Input(t.Context(), []byte(`{"From":"alice","To":"bob","Amount":30}`)); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("input %x, %v, want %x", got, err, want)
	}
	for _, bad := range []string{`{"from":`, `{"Form":"alice"}`, `{"Amount":"much"}`} {
		if got, err := tr.Input(t.Context(), []byte(bad)); err == nil {
			t.Errorf("%s became %x", bad, got)
		}
	}
	result, err := kit.Marshal(receipt{70, 30})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tr.Result(t.Context(), result); err != nil || string(got) != `{"From":70,"To":30}` {
		t.Errorf("result %s, %v", got, err)
	}
	if _, err := tr.Result(t.Context(), []byte{9, 9}); err == nil {
		t.Error("damaged bytes became JSON")
	}
}

func TestEstimate(t *testing.T) {
	pr := prepare(t, example(t, "transfer", "Move"), transfer{From: "alice", To: "bob", Amount: 30})
	est, err := pr.Estimate(t.Context(), []Sample{{Rows: rows(t, map[string]any{"acct/alice": int64(100)})}, {}}, 10)
	if err != nil {
		t.Fatal(err)
	}
	if est.Runs != 20 || est.Failed != 10 || !strings.Contains(est.Reason, "holds less") {
		t.Errorf("%d runs, %d failed: %s", est.Runs, est.Failed, est.Reason)
	}
	if est.P50 == 0 || est.P99 <= est.P50 || est.Bounded {
		t.Errorf("estimate %+v", est)
	}
	want := []capsule.Need{
		{Resource: "event/transfer", Ability: capsule.Emit},
		{Resource: "kv/acct/alice", Ability: capsule.Read | capsule.Write},
		{Resource: "kv/acct/bob", Ability: capsule.Read | capsule.Write},
	}
	if !reflect.DeepEqual(est.Touched, want) {
		t.Errorf("touched %v, want %v", est.Touched, want)
	}
}

func TestNeedsFollowImports(t *testing.T) {
	p := example(t, "transfer", "Move")
	home := capsule.ZoneID{1}
	ask := func(needs ...capsule.Need) ([]capsule.Need, error) { return p.Needs(needs, home) }
	kv, event := capsule.Need{Resource: "kv/acct/*"}, capsule.Need{Resource: "event/transfer"}
	got, err := ask(kv, event)
	want := []capsule.Need{
		{Zone: home, Resource: "kv/acct/*", Ability: capsule.Read | capsule.Write},
		{Zone: home, Resource: "event/transfer", Ability: capsule.Emit},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("needs %v, %v", got, err)
	}
	for name, needs := range map[string][]capsule.Need{
		"no event":  {kv},
		"no data":   {event},
		"no write":  {{Resource: "kv/acct/*", Ability: capsule.Read}, event},
		"too much":  {{Resource: "kv/acct/*", Ability: capsule.Read | capsule.Write | capsule.Delete}, event},
		"no export": {{Resource: "kv/acct/*", Ability: capsule.Export}, kv, event},
	} {
		if got, err := ask(needs...); err == nil {
			t.Errorf("%s: asked for %v", name, got)
		}
	}
	for want, needs := range map[string][]capsule.Need{
		`named as in "kv/acct/*"`: {{Resource: "acct/*"}, event},
		`--keys 'kv/name/*'`:      {event},
	} {
		if _, err := ask(needs...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", needs, err, want)
		}
	}
	if split, err := ask(capsule.Need{Resource: "kv/acct/alice", Ability: capsule.Read}, capsule.Need{Resource: "kv/acct/bob", Ability: capsule.Write}, event); err != nil || len(split) != 3 {
		t.Errorf("abilities on different resources: %v, %v", split, err)
	}
	sieve := example(t, "primesieve", "Sieve")
	if _, err := sieve.Needs([]capsule.Need{{Resource: "event/x"}, {Resource: "kv/primes/*"}}, home); err == nil {
		t.Error("events are asked for by code that can't emit")
	}
}

func TestRefusedModules(t *testing.T) {
	ok, err := os.ReadFile("../examples/guests/c/add.wasm")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FromWasm("x", ok, "main"); err == nil || !strings.Contains(err.Error(), "run") {
		t.Errorf("an entry that isn't there: %v", err)
	}
	if _, err := FromWasm("x", ok[:100], "run"); err == nil {
		t.Error("half a module was taken")
	}
	if _, err := FromWasm("x", make([]byte, build.MaxCode+1), "run"); !errors.Is(err, build.ErrTooLarge) {
		t.Errorf("a large module: %v", err)
	}
	unknown := []byte(strings.Replace(string(ok), "kitwork:host/kv@0.1.0\x03put", "kitwork:host/kv@0.1.0\x03pat", 1))
	if _, err := FromWasm("x", unknown, "run"); err == nil || !strings.Contains(err.Error(), `"pat"`) {
		t.Errorf("an unknown import: %v", err)
	}
	libc, err := os.ReadFile("../examples/guests/c/hello.wasm")
	if err != nil {
		t.Fatal(err)
	}
	for what, x := range map[string][2]string{
		"a call that preview 1 lacks": {"fd_close", "fd_clone"},
		"another version of WASI":     {"wasi_snapshot_preview1", "wasi_snapshot_preview0"},
	} {
		module := []byte(strings.Replace(string(libc), x[0], x[1], 1))
		if _, err := FromWasm("x", module, "run"); err == nil || !strings.Contains(err.Error(), x[1]) || !strings.Contains(err.Error(), "build it for kitwork:host@0.1.0 and WASI preview 1 alone") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestNoFiles holds that who asks WASI for a file is told by its author's own machine what a capsule has instead.
func TestNoFiles(t *testing.T) {
	input, err := kit.Marshal("/etc/hosts")
	if err != nil {
		t.Fatal(err)
	}
	var guest *GuestError
	_, err = Prepare(t.Context(), example(t, "../sdk/testdata/files", "Load"), input, PrepareOptions{})
	if !errors.As(err, &guest) || !strings.Contains(err.Error(), "/etc/hosts: Bad file number (code 1); it called WASI's path_open: a capsule has no files; pass the content as input") {
		t.Errorf("a file: %v", err)
	}
}

func TestPrepareIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Prepare(ctx, wasmFile(t, "../examples/guests/c/add.wasm", "run"), nil, PrepareOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("prepare: %v", err)
	}
}
