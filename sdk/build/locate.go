package build

import (
	"context"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
)

// Source is a function at package level and where its package's files are.
type Source struct {
	Dir     string // absolute
	Package string // import path, or "main"
	Func    string
}

func (s Source) String() string { return s.Package + "." + s.Func }

// Locate finds the source of a function value of the running program. It refuses, with a [*Refusal], whatever is no
// function at package level: a closure or a method value carries variables that can't travel.
func Locate(ctx context.Context, fn any, goCommand string) (Source, error) {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return Source{}, fmt.Errorf("build: %T is no function", fn)
	}
	rf := runtime.FuncForPC(v.Pointer())
	file, line := rf.FileLine(rf.Entry())
	return locate(ctx, rf.Name(), file, line, goCommand)
}

func locate(ctx context.Context, symbol, file string, line int, goCommand string) (Source, error) {
	pkgPath, name := splitSymbol(symbol)
	src := Source{Package: pkgPath, Func: name}
	named := "write a function at package level"
	switch {
	case strings.HasSuffix(name, "-fm"):
		return src, &Refusal{src.String(), "it is a method value, which carries its receiver with it",
			named + " and pass the receiver's data as input"}
	case strings.HasSuffix(name, "[...]"):
		return src, &Refusal{src.String(), "it is generic", named + " that calls it with the types you need"}
	case strings.HasPrefix(name, "(") || strings.Contains(name, ".") && !isClosure(name):
		return src, &Refusal{src.String(), "it is a method", named + " and pass the receiver's data as input"}
	case isClosure(name):
		return src, refuseClosure(src, file, line)
	case strings.HasSuffix(file, "_test.go"):
		return src, &Refusal{src.String(), "it stands in a test file, which is no part of its package", "move it to another file"}
	}
	if filepath.IsAbs(file) {
		if _, err := os.Stat(file); err == nil {
			src.Dir = filepath.Dir(file)
			return src, nil
		}
	}
	// The program was built with -trimpath, or elsewhere: ask the go command for the package.
	if pkgPath == "main" {
		if bi, ok := debug.ReadBuildInfo(); ok && bi.Path != "command-line-arguments" {
			pkgPath = bi.Path
		}
	}
	found, err := Find(ctx, pkgPath, name, goCommand)
	if err != nil {
		return src, &Refusal{src.String(), fmt.Sprintf("its source is not here: %s", file),
			"run the program where its module's source is, or build the module beforehand and submit the .wasm file"}
	}
	src.Dir = found.Dir
	return src, nil
}

// Find finds a function by its package, as the go command understands it from the current folder, and its name.
func Find(ctx context.Context, pattern, name, goCommand string) (Source, error) {
	tc, err := findToolchain(ctx, goCommand)
	if err != nil {
		return Source{}, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return Source{}, fmt.Errorf("build %s.%s: %w", pattern, name, err)
	}
	pkgs, err := tc.list(ctx, Source{Dir: dir, Package: pattern, Func: name}, "--", pattern)
	if err != nil {
		return Source{}, err
	}
	if len(pkgs) != 1 {
		return Source{}, fmt.Errorf("build %s.%s: the pattern stands for %d packages; name one", pattern, name, len(pkgs))
	}
	p := pkgs[0]
	if p.Dir == "" {
		reason := "not found"
		if p.Error != nil {
			reason = p.Error.Err
		}
		return Source{}, fmt.Errorf("build %s.%s: %s", pattern, name, reason)
	}
	return Source{Dir: p.Dir, Package: p.ImportPath, Func: name}, nil
}

// splitSymbol splits "example.com/a.b/c.F" into the import path and what follows it. Dots in the last element of an import
// path are escaped in symbols.
func splitSymbol(symbol string) (pkgPath, name string) {
	slash := strings.LastIndexByte(symbol, '/')
	if i := strings.IndexByte(symbol, '['); i >= 0 && i < slash {
		slash = strings.LastIndexByte(symbol[:i], '/')
	}
	dot := slash + 1 + strings.IndexByte(symbol[slash+1:], '.')
	return strings.ReplaceAll(symbol[:dot], "%2e", "."), symbol[dot+1:]
}

// isClosure recognises the names that the compiler gives to function literals: F.func1, F.func1.2, init.func1, glob..func1.
func isClosure(name string) bool {
	for _, part := range strings.Split(name, ".")[1:] {
		if rest, ok := strings.CutPrefix(part, "func"); ok && rest != "" && strings.Trim(rest, "0123456789") == "" {
			return true
		}
		if strings.HasPrefix(part, "gowrap") {
			return true
		}
	}
	return false
}

// refuseClosure names what the function literal at the line captured, if its source can be read.
func refuseClosure(src Source, file string, line int) error {
	r := &Refusal{Func: fmt.Sprintf("the function literal at %s:%d", filepath.Base(file), line)}
	r.Instead = "give the function a name at package level and pass what it needs as its input"
	captured := capturedBy(filepath.Dir(file), file, line)
	if len(captured) > 0 {
		r.Reason = "it captures " + strings.Join(captured, ", ") + ", which would stay behind"
	} else {
		r.Reason = "a function without a name can't be built by itself"
	}
	return r
}

func capturedBy(dir, file string, line int) []string {
	p, err := parsePackage(dir, file)
	if err != nil {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	for _, f := range p.files {
		if f.name != file {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.FuncLit)
			if !ok || p.fset.Position(lit.Pos()).Line != line {
				return true
			}
			ast.Inspect(lit.Body, func(n ast.Node) bool {
				id, ok := n.(*ast.Ident)
				if !ok {
					return true
				}
				obj := p.info.Uses[id]
				if obj == nil || obj.Parent() == nil || obj.Parent() == p.pkg.Scope() || obj.Parent().Parent() == nil || obj.Pkg() != p.pkg {
					return true
				}
				if (obj.Pos() < lit.Pos() || obj.Pos() > lit.End()) && isVar(obj) && !seen[id.Name] {
					seen[id.Name] = true
					names = append(names, id.Name)
				}
				return true
			})
			return false
		})
	}
	return names
}
