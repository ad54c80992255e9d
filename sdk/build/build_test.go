package build

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kitwork/kwnode/kit"
)

// module makes a module in a fresh folder, with this repository's package kit and the programs under testdata.
func module(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("skipped: no go command on PATH, so nothing can be built for WebAssembly")
	}
	dir := t.TempDir()
	write := func(name string, b []byte) {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", []byte("module "+kitModule+"\n\ngo 1.24\n"))
	for _, from := range []string{"../../kit", "testdata/prog", "testdata/lib", "testdata/shapes", "testdata/tricky"} {
		files, err := filepath.Glob(from + "/*.*")
		if err != nil || len(files) == 0 {
			t.Fatal(from, err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(f, "_test.go") {
				write(filepath.Join(filepath.Base(from), filepath.Base(f)), b)
			}
		}
	}
	return dir
}

func imports(t *testing.T, code []byte) string {
	t.Helper()
	var found []string
	for _, name := range []string{"get", "put", "delete", "scan", "input", "output", "fail", "goto", "sleep", "now", "emit", "fill", "write"} {
		for _, iface := range []string{"kv", "flow", "clock", "random", "event", "log"} {
			mod := "kitwork:host/" + iface + "@0.1.0"
			if bytes.Contains(code, []byte(mod+string(rune(len(name)))+name+"\x00")) {
				found = append(found, iface+"."+name)
			}
		}
	}
	return strings.Join(found, " ")
}

func TestBuild(t *testing.T) {
	var results []*Result
	cache := t.TempDir()
	for range 2 {
		dir := module(t)
		before := tree(t, dir)
		var mu sync.Mutex
		var stages []string
		o := Options{Cache: filepath.Join(cache, filepath.Base(dir)), Progress: func(p Progress) {
			mu.Lock()
			defer mu.Unlock()
			if len(stages) == 0 || stages[len(stages)-1] != p.Stage {
				stages = append(stages, p.Stage)
			}
		}}
		src := Source{Dir: filepath.Join(dir, "prog"), Package: "main", Func: "Move"}
		r, err := Go(context.Background(), src, o)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(stages, " "); got != "read compile done" {
			t.Errorf("stages: %s", got)
		}
		results = append(results, r)
		again, err := Go(context.Background(), src, o)
		if err != nil || !again.Cached || again.Hash != r.Hash {
			t.Errorf("second build: cached %v, %v", again != nil && again.Cached, err)
		}
		if after := tree(t, dir); after != before {
			t.Errorf("the source tree changed from\n%s to\n%s", before, after)
		}
	}
	if results[0].Hash != results[1].Hash {
		t.Errorf("two folders gave %x and %x", results[0].Hash, results[1].Hash)
	}
	if got, want := imports(t, results[0].Code), "kv.get kv.put flow.input flow.output flow.fail"; !sameWords(got, want) {
		t.Errorf("the module imports %s, want %s", got, want)
	}
	t.Logf("module: %d bytes", len(results[0].Code))
	if n := len(results[0].Code); n > 2_200_000 {
		t.Errorf("the module has %d bytes: something heavy is linked into package kit", n)
	}
}

func sameWords(a, b string) bool {
	x, y := map[string]bool{}, map[string]bool{}
	for _, w := range strings.Fields(a) {
		x[w] = true
	}
	for _, w := range strings.Fields(b) {
		y[w] = true
	}
	if len(x) != len(y) {
		return false
	}
	for w := range x {
		if !y[w] {
			return false
		}
	}
	return true
}

func tree(t *testing.T, dir string) string {
	t.Helper()
	var names []string
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir)+" "+info.ModTime().String())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, "\n")
}

func TestLibrary(t *testing.T) {
	dir := module(t)
	ctx := context.Background()
	o := Options{Cache: t.TempDir()}
	src := Source{Dir: filepath.Join(dir, "lib"), Package: kitModule + "/lib", Func: "Double"}
	r, err := Go(ctx, src, o)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := imports(t, r.Code), "flow.input flow.output flow.fail"; !sameWords(got, want) {
		t.Errorf("the module imports %s, want %s", got, want)
	}
	small := o
	small.MaxCode = 1 << 20
	if _, err := Go(ctx, src, small); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "largest packages") {
		t.Errorf("limit of 1 MiB: %v", err)
	}
	src.Func = "Fetch"
	var refusal *Refusal
	if _, err := Go(ctx, src, o); !errors.As(err, &refusal) || !strings.Contains(err.Error(), "net/http") || !strings.Contains(err.Error(), "no network") {
		t.Errorf("net/http: %v", err)
	}
	src.Func = "Absent"
	if _, err := Go(ctx, src, o); !errors.As(err, &refusal) {
		t.Errorf("absent function: %v", err)
	}
	src.Func = "Broken"
	if _, err := Go(ctx, src, o); err == nil || !strings.Contains(err.Error(), "lib.go:23") || !strings.Contains(err.Error(), "undefined") {
		t.Errorf("broken function: %v", err)
	}
}

// TestShapes holds that a function that can't be an entry is refused before anything is compiled, with the type it should have.
func TestShapes(t *testing.T) {
	dir := module(t)
	for _, c := range []struct{ fn, want string }{
		{"Bare", "func(n int64) (int64, error); a capsule's function is func(ctx kit.Context, in In) (Out, error)"},
		{"Alone", "func(ctx kit.Context, n int64) int64; a capsule's function is"},
		{"Foreign", "func(ctx context.Context, n int64) (int64, error); a capsule's function is"},
		{"Any", "it is generic; write a function at package level"},
		{"Kind.Of", "it is a method; write a function at package level"},
	} {
		_, err := Go(t.Context(), Source{Dir: filepath.Join(dir, "shapes"), Package: kitModule + "/shapes", Func: c.fn}, Options{
			Cache: t.TempDir(), Progress: func(p Progress) {
				if p.Stage == "compile" {
					t.Errorf("%s is compiled", c.fn)
				}
			}})
		var refusal *Refusal
		if !errors.As(err, &refusal) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.fn, err, c.want)
		}
	}
}

// TestTricky builds legal Go that is pruned in awkward places; sdk's tests run what is built.
func TestTricky(t *testing.T) {
	dir := module(t)
	src := Source{Dir: filepath.Join(dir, "tricky"), Package: kitModule + "/tricky", Func: "Capsule"}
	work := t.TempDir()
	tc, err := findToolchain(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	ov, err := overlay(t.Context(), tc, src, entrySource, work)
	if err != nil {
		t.Fatal(err)
	}
	pruned, err := os.ReadFile(ov.files[filepath.Join(src.Dir, "tricky.go")])
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{`"fmt"`, `"flag"`, `"os"`, `"math"`, "rand", "private", "verbose", "func Client"} {
		if bytes.Contains(pruned, []byte(gone)) {
			t.Errorf("%s is still there", gone)
		}
	}
	original, err := os.ReadFile("testdata/tricky/tricky.go")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(pruned, []byte("\n")) != bytes.Count(original, []byte("\n")) || len(pruned) != len(original) {
		t.Error("lines or columns moved, so stack traces would lie")
	}
	if _, err := Go(t.Context(), src, Options{Cache: t.TempDir()}); err != nil {
		t.Error(err)
	}
	src.Func = "Client"
	if _, err := Go(t.Context(), src, Options{Cache: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "Client") {
		t.Errorf("a function of another shape: %v", err)
	}
}

func TestNoToolchain(t *testing.T) {
	_, err := Go(context.Background(), Source{Dir: t.TempDir(), Package: "main", Func: "F"}, Options{Go: filepath.Join(t.TempDir(), "go")})
	if !errors.Is(err, ErrNoToolchain) || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("missing toolchain: %v", err)
	}
}

func named(ctx kit.Context, n int) (int, error) { return n, nil }

func generic[T any](ctx kit.Context, n T) (T, error) { return n, nil }

type counter struct{ n int }

func (c counter) add(ctx kit.Context, n int) (int, error)  { return c.n + n, nil }
func (c *counter) inc(ctx kit.Context, n int) (int, error) { c.n += n; return c.n, nil }

var literal = func(ctx kit.Context, n int) (int, error) { return n, nil }

func TestLocateRefuses(t *testing.T) {
	rate, limit := 3, 9
	closure := func(ctx kit.Context, n int) (int, error) { limit--; return n * rate, nil }
	for _, c := range []struct {
		fn   any
		want []string
	}{
		{closure, []string{"build_test.go", "captures limit, rate", "package level"}},
		{literal, []string{"build_test.go", "without a name"}},
		{counter{1}.add, []string{"method value", "receiver"}},
		{(*counter).inc, []string{"method", "receiver"}},
		{generic[int], []string{"generic"}},
		{named, []string{"test file"}},
	} {
		_, err := Locate(context.Background(), c.fn, "")
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Errorf("%v, want a refusal with %q", err, c.want)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: does not say %q", err, w)
			}
		}
	}
	src, err := Locate(context.Background(), kit.Encodable, "")
	if err != nil || src.Func != "Encodable" || filepath.Base(src.Dir) != "kit" {
		t.Errorf("Locate of a plain function: %v, %v", src, err)
	}
}

func TestSplitSymbol(t *testing.T) {
	for _, c := range [][3]string{
		{"main.Move", "main", "Move"},
		{"example.com/a.b/c.Move", "example.com/a.b/c", "Move"},
		{"example.com/a/c%2ev2.Move", "example.com/a/c.v2", "Move"},
		{"main.(*T).P", "main", "(*T).P"},
		{"main.F[go.shape.struct { example.com/x.Y }]", "main", "F[go.shape.struct { example.com/x.Y }]"},
	} {
		if p, n := splitSymbol(c[0]); p != c[1] || n != c[2] {
			t.Errorf("splitSymbol(%q) = %q, %q", c[0], p, n)
		}
	}
}
