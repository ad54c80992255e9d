package build

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/types"
	"os"
	"path/filepath"
	"strings"
)

// overlayFiles is what the go command is given in place of the user's files.
type overlayFiles struct {
	json   string            // the overlay's description
	files  map[string]string // path in the tree -> file that holds its content
	target string            // package to build, relative to the source's folder
}

// original puts the user's file names into the go command's messages.
func (ov *overlayFiles) original(msg string) string {
	for name, moved := range ov.files {
		msg = strings.ReplaceAll(msg, moved, name)
	}
	return msg
}

const entryFile = "kitwork_entry.go"

const entrySource = `package %s

import kitworkkit %q

var kitworkCapsule = kitworkkit.Entry(%s)

//go:wasmexport %s
func kitworkEntry() int32 { return kitworkCapsule() }
`

// translatorSource is an entry that knows the function's types and doesn't call it: from JSON to the input's encoding, and
// from the result's to JSON.
const translatorSource = `package %s

import (
	kitworkbytes "bytes"
	kitworkjson "encoding/json"

	kitworkkit %q
)

type kitworkText struct {
	Result bool
	Bytes  []byte
}

func kitworkTranslator[In, Out any](func(kitworkkit.Context, In) (Out, error)) func(kitworkkit.Context, kitworkText) ([]byte, error) {
	return func(_ kitworkkit.Context, t kitworkText) ([]byte, error) {
		if t.Result {
			out, err := kitworkkit.Unmarshal[Out](t.Bytes)
			if err != nil {
				return nil, err
			}
			return kitworkjson.Marshal(out)
		}
		var in In
		dec := kitworkjson.NewDecoder(kitworkbytes.NewReader(t.Bytes))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return nil, err
		}
		return kitworkkit.Marshal(in)
	}
}

var kitworkCapsule = kitworkkit.Entry(kitworkTranslator(%s))

//go:wasmexport %s
func kitworkEntry() int32 { return kitworkCapsule() }
`

// overlay writes the pruned files of the package and the entry file to work.
func overlay(ctx context.Context, tc *toolchain, src Source, source, work string) (*overlayFiles, error) {
	p, err := parsePackage(src.Dir, "")
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", src, err)
	}
	if err := p.nameImports(ctx, tc, src); err != nil {
		return nil, err
	}
	all, decl := p.reach(src.Func)
	if decl == nil {
		if strings.Contains(src.Func, ".") {
			return nil, &Refusal{src.String(), "it is a method", "write a function at package level and pass the receiver's data as input"}
		}
		return nil, &Refusal{src.String(), "no function of this name at package level, in the files that a WebAssembly build takes, in " + src.Dir,
			"check the name and the files' build constraints"}
	}
	if err := p.checkShape(src, decl); err != nil {
		return nil, err
	}
	ov := &overlayFiles{files: map[string]string{}, target: "."}
	add := func(name string, text []byte) error {
		moved := filepath.Join(work, fmt.Sprintf("%d.go", len(ov.files)))
		ov.files[name] = moved
		return os.WriteFile(moved, text, 0o600)
	}
	for _, f := range p.files {
		text := p.blank(f, all[f])
		if bytes.Equal(text, f.text) {
			continue
		}
		if err := add(f.name, text); err != nil {
			return nil, err
		}
	}
	pkgName := p.files[0].ast.Name.Name
	entry := fmt.Sprintf(source, pkgName, kitModule+"/kit", src.Func, Entry)
	if pkgName == "main" {
		if !keepsMain(all) {
			entry += "\nfunc main() {}\n"
		}
	} else {
		ov.target = "./kitwork_main"
		importPath, err := tc.importPath(ctx, src)
		if err != nil {
			return nil, err
		}
		if err := add(filepath.Join(src.Dir, "kitwork_main", "main.go"), fmt.Appendf(nil, "package main\n\nimport _ %q\n\nfunc main() {}\n", importPath)); err != nil {
			return nil, err
		}
	}
	if err := add(filepath.Join(src.Dir, entryFile), []byte(entry)); err != nil {
		return nil, err
	}
	desc, err := json.Marshal(struct{ Replace map[string]string }{ov.files})
	if err != nil {
		return nil, err
	}
	ov.json = filepath.Join(work, "overlay.json")
	return ov, os.WriteFile(ov.json, desc, 0o600)
}

// checkShape refuses a function that can't be an entry, where the source shows it; what an alias hides, the compiler finds.
func (p *parsed) checkShape(src Source, fd *ast.FuncDecl) error {
	if fd.Type.TypeParams != nil {
		return &Refusal{src.String(), "it is generic", "write a function at package level that calls it with the types you need"}
	}
	in, out := fieldTypes(fd.Type.Params), fieldTypes(fd.Type.Results)
	fits := len(in) == 2 && len(out) == 2 && types.ExprString(out[1]) == "error"
	if sel, ok := firstOf(in).(*ast.SelectorExpr); fits && ok {
		if id, ok := sel.X.(*ast.Ident); ok {
			pn, ok := p.info.Uses[id].(*types.PkgName)
			fits = !ok || pn.Imported().Path() == kitModule+"/kit" && sel.Sel.Name == "Context"
		}
	}
	if fits {
		return nil
	}
	return &Refusal{src.String(), "its type is " + types.ExprString(fd.Type),
		"a capsule's function is func(ctx kit.Context, in In) (Out, error), with types of yours for In and Out"}
}

func firstOf(types []ast.Expr) ast.Expr {
	if len(types) == 0 {
		return nil
	}
	return types[0]
}

// fieldTypes are the types of a list of parameters, one for each.
func fieldTypes(l *ast.FieldList) (types []ast.Expr) {
	if l == nil {
		return nil
	}
	for _, f := range l.List {
		for range max(len(f.Names), 1) {
			types = append(types, f.Type)
		}
	}
	return types
}

// keepsMain tells whether the capsule's own code calls main.
func keepsMain(all map[*sourceFile][]*piece) bool {
	for _, ps := range all {
		for _, q := range ps {
			if fd, ok := q.node.(*ast.FuncDecl); ok && q.keep && fd.Recv == nil && fd.Name.Name == "main" {
				return true
			}
		}
	}
	return false
}

// importPath is the path of the package in src.Dir, which must belong to a module whose source may be overlaid.
func (tc *toolchain) importPath(ctx context.Context, src Source) (string, error) {
	pkgs, err := tc.list(ctx, src, ".")
	if err != nil {
		return "", err
	}
	if len(pkgs) != 1 || pkgs[0].Module == nil || pkgs[0].Module.Version != "" {
		return "", &Refusal{src.String(), "its package is a dependency", "write a function of your own that calls it"}
	}
	return pkgs[0].ImportPath, nil
}
