package build

import (
	"bytes"
	"context"
	"go/ast"
	gobuild "go/build"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// parsed is a package with its identifiers resolved as far as its own files allow: what imported packages hold is not
// looked at, so a type error means nothing here.
type parsed struct {
	fset  *token.FileSet
	files []*sourceFile
	pkg   *types.Package
	info  *types.Info
}

type sourceFile struct {
	name string // absolute path
	text []byte
	ast  *ast.File
}

// parsePackage reads the files of dir that a WebAssembly build takes, and always the one named by also.
func parsePackage(dir, also string) (*parsed, error) {
	bc := gobuild.Default
	bc.GOOS, bc.GOARCH, bc.CgoEnabled, bc.BuildTags = "wasip1", "wasm", false, nil
	bp, err := bc.ImportDir(dir, 0)
	if err != nil && len(bp.GoFiles) == 0 && also == "" {
		return nil, err
	}
	var names []string
	for _, f := range bp.GoFiles {
		names = append(names, filepath.Join(dir, f))
	}
	if also != "" && !slices.Contains(names, also) {
		names = append(names, also)
	}
	p := &parsed{fset: token.NewFileSet()}
	var asts []*ast.File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		f, err := parser.ParseFile(p.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.files = append(p.files, &sourceFile{name, text, f})
		asts = append(asts, f)
	}
	p.info = &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{}}
	conf := types.Config{Error: func(error) {}, Importer: hollow{}, FakeImportC: true}
	p.pkg, _ = conf.Check(dir, p.fset, asts, p.info)
	return p, nil
}

// hollow imports every package as an empty one, under the name that its path suggests.
type hollow struct{}

func (hollow) Import(p string) (*types.Package, error) {
	pkg := types.NewPackage(p, guessName(p))
	pkg.MarkComplete()
	return pkg, nil
}

// guessName is the package name that an import path suggests: its last element without a version.
func guessName(p string) string {
	name := path.Base(p)
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" && path.Dir(p) != "." {
		name = path.Base(path.Dir(p))
	}
	name, _, _ = strings.Cut(name, ".")
	return strings.ReplaceAll(strings.TrimPrefix(name, "go-"), "-", "_")
}

func isVar(o types.Object) bool {
	_, ok := o.(*types.Var)
	return ok
}

// piece is a declaration that is kept or blanked as a whole.
type piece struct {
	from, to token.Pos
	node     ast.Node
	defines  []string // names at package level
	receiver string   // of a method
	always   bool
	keep     bool
}

// pieces cuts a file. Constants of one group share iota and stay together.
func pieces(f *ast.File) []*piece {
	var ps []*piece
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			p := &piece{from: start(d.Doc, d.Pos()), to: d.End(), node: d}
			switch {
			case d.Recv != nil && len(d.Recv.List) == 1:
				p.receiver = receiverName(d.Recv.List[0].Type)
			case d.Name.Name == "init":
				p.always = true
			default:
				p.defines = []string{d.Name.Name}
			}
			ps = append(ps, p)
		case *ast.GenDecl:
			switch d.Tok {
			case token.CONST:
				p := &piece{from: start(d.Doc, d.Pos()), to: d.End(), node: d}
				for _, s := range d.Specs {
					p.defines = append(p.defines, identNames(s.(*ast.ValueSpec).Names)...)
				}
				ps = append(ps, p)
			case token.VAR:
				for _, s := range d.Specs {
					vs := s.(*ast.ValueSpec)
					ps = append(ps, specPiece(d, s, vs.Doc, identNames(vs.Names)))
				}
			case token.TYPE:
				for _, s := range d.Specs {
					ts := s.(*ast.TypeSpec)
					ps = append(ps, specPiece(d, s, ts.Doc, []string{ts.Name.Name}))
				}
			}
		}
	}
	return ps
}

func specPiece(d *ast.GenDecl, s ast.Spec, doc *ast.CommentGroup, names []string) *piece {
	p := &piece{from: start(doc, s.Pos()), to: s.End(), node: s, defines: names}
	if !d.Lparen.IsValid() {
		p.from, p.to = start(d.Doc, d.Pos()), d.End()
	}
	return p
}

func start(doc *ast.CommentGroup, pos token.Pos) token.Pos {
	if doc != nil {
		return doc.Pos()
	}
	return pos
}

func identNames(ids []*ast.Ident) (names []string) {
	for _, id := range ids {
		if id.Name != "_" {
			names = append(names, id.Name)
		}
	}
	return names
}

func receiverName(e ast.Expr) string {
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// mentions are the names at package level that a node refers to. An identifier that the type checker did not resolve, for
// lack of an imported package, counts as a reference: keeping too much is harmless.
func (p *parsed) mentions(n ast.Node) map[string]bool {
	found := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			ast.Inspect(sel.X, func(n ast.Node) bool { p.mention(found, n); return true })
			return false
		}
		p.mention(found, n)
		return true
	})
	return found
}

func (p *parsed) mention(found map[string]bool, n ast.Node) {
	id, ok := n.(*ast.Ident)
	if !ok {
		return
	}
	switch obj := p.info.Uses[id]; {
	case obj == nil && p.info.Defs[id] == nil, obj != nil && obj.Parent() == p.pkg.Scope():
		found[id.Name] = true
	}
}

// reach marks what is reachable from the function named, and returns its declaration or nil.
func (p *parsed) reach(root string) (all map[*sourceFile][]*piece, decl *ast.FuncDecl) {
	all = map[*sourceFile][]*piece{}
	byName := map[string][]*piece{}
	var work []*piece
	mark := func(q *piece) {
		if !q.keep {
			q.keep = true
			work = append(work, q)
		}
	}
	for _, f := range p.files {
		all[f] = pieces(f.ast)
		for _, q := range all[f] {
			for _, name := range append(q.defines, q.receiver) {
				byName[name] = append(byName[name], q)
			}
			if fd, ok := q.node.(*ast.FuncDecl); ok && fd.Recv == nil && fd.Name.Name == root {
				decl = fd
				mark(q)
			}
			if q.always {
				mark(q)
			}
		}
	}
	delete(byName, "")
	for len(work) > 0 {
		q := work[len(work)-1]
		work = work[:len(work)-1]
		for _, name := range q.defines { // the methods of a type
			for _, m := range byName[name] {
				mark(m)
			}
		}
		for name := range p.mentions(q.node) {
			for _, m := range byName[name] {
				mark(m)
			}
		}
	}
	return all, decl
}

// usesOfImports are the import specs of a file that kept code refers to.
func (p *parsed) usesOfImports(ps []*piece) map[*types.PkgName]bool {
	used := map[*types.PkgName]bool{}
	for _, q := range ps {
		if !q.keep {
			continue
		}
		ast.Inspect(q.node, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok {
				if pn, ok := p.info.Uses[id].(*types.PkgName); ok {
					used[pn] = true
				}
			}
			return true
		})
	}
	return used
}

// nameImports finds out the true names of imported packages whose path suggests another one, and resolves again.
func (p *parsed) nameImports(ctx context.Context, tc *toolchain, src Source) error {
	used := map[*types.PkgName]bool{}
	for _, obj := range p.info.Uses {
		if pn, ok := obj.(*types.PkgName); ok {
			used[pn] = true
		}
	}
	odd := map[string][]*ast.ImportSpec{}
	for _, f := range p.files {
		for _, s := range f.ast.Imports {
			if pn, ok := p.info.Implicits[s].(*types.PkgName); ok && !used[pn] {
				imp := strings.Trim(s.Path.Value, "\"`")
				odd[imp] = append(odd[imp], s)
			}
		}
	}
	if len(odd) == 0 {
		return nil
	}
	args := []string{"--"}
	for imp := range odd {
		args = append(args, imp)
	}
	slices.Sort(args[1:])
	pkgs, err := tc.list(ctx, src, args...)
	if err != nil {
		return err
	}
	var asts []*ast.File
	for _, q := range pkgs {
		for _, s := range odd[q.ImportPath] {
			if q.Name != "" {
				s.Name = &ast.Ident{Name: q.Name, NamePos: s.Path.Pos()}
			}
		}
	}
	for _, f := range p.files {
		asts = append(asts, f.ast)
	}
	p.info = &types.Info{Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{}, Implicits: map[ast.Node]types.Object{}}
	conf := types.Config{Error: func(error) {}, Importer: hollow{}, FakeImportC: true}
	p.pkg, _ = conf.Check(src.Dir, p.fset, asts, p.info)
	return nil
}

// blank replaces what is not kept by spaces, so that line numbers stay true in stack traces.
func (p *parsed) blank(f *sourceFile, ps []*piece) []byte {
	text := bytes.Clone(f.text)
	wipe := func(from, to token.Pos) {
		tf := p.fset.File(f.ast.Pos())
		for i := tf.Offset(from); i < tf.Offset(to); i++ {
			if text[i] != '\n' {
				text[i] = ' '
			}
		}
	}
	for _, q := range ps {
		if !q.keep {
			wipe(q.from, q.to)
		}
	}
	used := p.usesOfImports(ps)
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT {
			continue
		}
		for _, s := range g.Specs {
			is := s.(*ast.ImportSpec)
			if is.Name != nil && (is.Name.Name == "_" || is.Name.Name == ".") {
				continue
			}
			pn, _ := p.info.Implicits[is].(*types.PkgName)
			if pn == nil && is.Name != nil {
				pn, _ = p.info.Defs[is.Name].(*types.PkgName)
			}
			if pn != nil && used[pn] {
				continue
			}
			if g.Lparen.IsValid() {
				wipe(is.Pos(), is.Path.End())
			} else {
				wipe(g.Pos(), is.Path.End())
			}
		}
	}
	return text
}
