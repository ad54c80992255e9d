// Package build turns a Go function into a WebAssembly module with the Go toolchain that is on the user's machine. It
// must never know of capsules, keys or networks, nor write into the user's source tree.
//
// What travels is the function and what it reaches within its package, with that package's init functions. The rest of
// the package, such as the main function and the client calls in it, is blanked out in an overlay, so one package can
// hold a client and its capsules and neither weighs on the other.
package build

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Entry is the name under which a module built here exports the capsule's function.
const Entry = "run"

// MaxCode is the largest module that is accepted unless the options say otherwise. A Go program that imports most of the
// standard library has a third of it.
const MaxCode = 16 << 20

// Options adjust a build; the zero value serves.
type Options struct {
	Go       string         // the go command; "" looks on PATH
	Cache    string         // folder of finished modules; "" is the user's cache folder
	MaxCode  int            // bytes; 0 is MaxCode
	Progress func(Progress) // called from the goroutine that builds
}

// Progress is one step of a build.
type Progress struct {
	Stage   string // "read", "compile" or "done"
	Package string // compiled last
	Done    int    // packages compiled; those that are cached are never counted
	Total   int    // packages in the program
	Cached  bool   // with "done": nothing had changed
}

// String is the step in a line, for people who wait.
func (p Progress) String() string {
	switch {
	case p.Stage == "done" && p.Cached:
		return "build: nothing has changed"
	case p.Stage == "compile" && p.Package != "":
		return fmt.Sprintf("build: %s, %d packages compiled", p.Package, p.Done)
	}
	return "build: " + p.Stage
}

// Result is a finished module.
type Result struct {
	Code   []byte
	Hash   [32]byte // SHA-256 of Code; the same source and toolchain give the same one in any folder
	Func   string   // import path and name of the function
	Cached bool
}

var (
	// ErrNoToolchain means that there is no usable go command.
	ErrNoToolchain = errors.New("no Go toolchain")
	// ErrTooLarge means that the module is above the limit.
	ErrTooLarge = errors.New("module too large")
)

// Refusal says why a function can't become a capsule, and what to do instead.
type Refusal struct {
	Func    string
	Reason  string
	Instead string
}

func (r *Refusal) Error() string { return r.Func + ": " + r.Reason + "; " + r.Instead }

// Go builds src. It is safe for concurrent use; two builds of the same source share the Go build cache and do the work
// twice at worst.
func Go(ctx context.Context, src Source, o Options) (*Result, error) {
	return build(ctx, src, o, entrySource)
}

// Translator builds a module that translates between JSON and the encoding of the function's input and result, for people
// who call it from a command line. It takes a struct of a flag and bytes in the encoding of package kit: with the flag set
// the bytes are a result and come back as JSON, else they are JSON and come back as an input.
func Translator(ctx context.Context, src Source, o Options) (*Result, error) {
	return build(ctx, src, o, translatorSource)
}

func build(ctx context.Context, src Source, o Options, source string) (*Result, error) {
	report := o.Progress
	if report == nil {
		report = func(Progress) {}
	}
	report(Progress{Stage: "read"})
	tc, err := findToolchain(ctx, o.Go)
	if err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "kitwork-build-")
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", src, err)
	}
	defer os.RemoveAll(work)
	ov, err := overlay(ctx, tc, src, source, work)
	if err != nil {
		return nil, err
	}
	deps, err := tc.deps(ctx, src, ov)
	if err != nil {
		return nil, err
	}
	if err := checkDeps(src, deps); err != nil {
		return nil, err
	}
	res := &Result{Func: src.String()}
	cached, err := cachePath(o.Cache, tc, src, ov, deps)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", src, err)
	}
	if res.Code, err = readCached(cached); err == nil {
		res.Hash, res.Cached = sha256.Sum256(res.Code), true
		report(Progress{Stage: "done", Total: len(deps), Cached: true})
		return res, checkSize(src, res.Code, deps, o.MaxCode)
	}
	out := filepath.Join(work, "out.wasm")
	if err := tc.compile(ctx, src, ov, out, len(deps), report); err != nil {
		return nil, err
	}
	if res.Code, err = os.ReadFile(out); err != nil {
		return nil, fmt.Errorf("build %s: %w", src, err)
	}
	res.Hash = sha256.Sum256(res.Code)
	if err := checkSize(src, res.Code, deps, o.MaxCode); err != nil {
		return nil, err
	}
	writeCached(cached, res.Code)
	report(Progress{Stage: "done", Done: len(deps), Total: len(deps)})
	return res, nil
}

// toolchain is a go command and what was found out about it.
type toolchain struct {
	path    string
	version string
	env     []string
}

// oldest is the first release with //go:wasmexport.
const oldest = 24

func findToolchain(ctx context.Context, path string) (*toolchain, error) {
	instead := "install Go 1.26 or later (https://go.dev/dl) and have it on the PATH, or build the module elsewhere and submit the .wasm file"
	if path == "" {
		path = "go"
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %v; %s", ErrNoToolchain, err, instead)
	}
	tc := &toolchain{path: path}
	// The module depends on these alone; what else the user's environment says about building must not reach it.
	tc.env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0", "GOWASM=", "GOEXPERIMENT=", "GOFLAGS="+modFlags())
	out, err := exec.CommandContext(ctx, path, "env", "GOVERSION").Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s env: %v; %s", ErrNoToolchain, path, err, instead)
	}
	tc.version = strings.TrimSpace(string(out))
	var minor int
	if _, err := fmt.Sscanf(tc.version, "go1.%d", &minor); err == nil && minor < oldest {
		return nil, fmt.Errorf("%w: %s is %s, which can't export functions to WebAssembly; %s", ErrNoToolchain, path, tc.version, instead)
	}
	return tc, nil
}

// modFlags keeps what GOFLAGS says about finding modules, and nothing else.
func modFlags() string {
	var keep []string
	for _, f := range strings.Fields(os.Getenv("GOFLAGS")) {
		if strings.HasPrefix(strings.TrimLeft(f, "-"), "mod") {
			keep = append(keep, f)
		}
	}
	return strings.Join(keep, " ")
}

func (tc *toolchain) command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, tc.path, args...)
	cmd.Dir = dir
	cmd.Env = append(tc.env, "PWD="+dir)
	return cmd
}

// compile runs go build. With -v it names each package that it compiles, which is the progress.
func (tc *toolchain) compile(ctx context.Context, src Source, ov *overlayFiles, out string, total int, report func(Progress)) error {
	cmd := tc.command(ctx, src.Dir, "build", "-v", "-overlay="+ov.json, "-buildmode=c-shared", "-trimpath", "-buildvcs=false",
		"-ldflags=-w -buildid=", "-o", out, ov.target) // without -s, which would take the names out of stack traces
	lines := &lineWriter{}
	done := 0
	lines.each = func(line string) {
		if strings.HasPrefix(line, "#") || strings.ContainsAny(line, " :\t") {
			return // a compiler message
		}
		done++
		report(Progress{Stage: "compile", Package: line, Done: done, Total: total})
	}
	cmd.Stderr = lines
	report(Progress{Stage: "compile", Total: total})
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("build %s: %w", src, ctx.Err())
		}
		return fmt.Errorf("build %s for WebAssembly: %v\n%s", src, err, ov.original(lines.messages()))
	}
	return nil
}

// lineWriter hands on complete lines and keeps the last few thousand bytes of them.
type lineWriter struct {
	each    func(string)
	partial []byte
	kept    []string
	size    int
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.partial = append(w.partial, b...)
	for {
		line, rest, ok := bytes.Cut(w.partial, []byte("\n"))
		if !ok {
			return len(b), nil
		}
		w.partial = rest
		w.each(string(line))
		if w.size < 4096 && bytes.ContainsAny(line, " :#") {
			w.kept = append(w.kept, string(line))
			w.size += len(line)
		}
	}
}

func (w *lineWriter) messages() string {
	return strings.Join(append(w.kept, string(w.partial)), "\n")
}

// pkg is one package of a program, as go list describes it.
type pkg struct {
	ImportPath string
	Name       string
	Dir        string
	Standard   bool
	GoFiles    []string
	SFiles     []string
	EmbedFiles []string
	Imports    []string
	Module     *struct {
		Path, Version, Dir string
		Replace            *struct{ Path, Version string }
	}
	Error *struct{ Err string }
}

// deps lists the packages of the program, dependencies first.
func (tc *toolchain) deps(ctx context.Context, src Source, ov *overlayFiles) ([]pkg, error) {
	return tc.list(ctx, src, "-deps", "-overlay="+ov.json, ov.target)
}

func (tc *toolchain) list(ctx context.Context, src Source, args ...string) ([]pkg, error) {
	args = append([]string{"list", "-e", "-json=ImportPath,Name,Dir,Standard,GoFiles,SFiles,EmbedFiles,Imports,Module,Error"}, args...)
	cmd := tc.command(ctx, src.Dir, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("build %s: list its packages: %v\n%s", src, err, stderr.String())
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var p pkg
		if err := dec.Decode(&p); err != nil {
			return nil, fmt.Errorf("build %s: read the list of its packages: %w", src, err)
		}
		pkgs = append(pkgs, p)
	}
	return pkgs, nil
}
