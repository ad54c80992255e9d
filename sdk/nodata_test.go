package sdk

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The client says what is to happen; it never reads or writes a zone's data. What it can ask of a node is listed here, whole:
// who adds to it has to look at this test, and to ask whether it is a call of the database.
var (
	whatClientsDo = map[reflect.Type][]string{
		reflect.TypeFor[*Client]():     {"Book", "Close", "Connect", "Follow", "Identity", "Locate", "Seal", "Submit"},
		reflect.TypeFor[*Submission](): {"Await", "AwaitPast", "Cancel", "Receipt", "TopUp", "Watch"},
	}
	whoTakesClients = []string{"Run", "Start"}
	// Of all protocols, these. A worker's, by which the zone's data is read, is none of them; nor is a command among those that
	// writes data.
	protocols = []string{"ProtoCommand", "ProtoResult", "ProtoSeek", "ProtoSubmit", "ProtoWatch", "ProtoZone"}
	commands  = []string{"CancelCommand", "TopUpCommand"}
)

func TestNoDataCalls(t *testing.T) {
	for typ, want := range whatClientsDo {
		var got []string
		for i := range typ.NumMethod() {
			got = append(got, typ.Method(i).Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s can %v, and %v is allowed", typ, got, want)
		}
	}
	var takes, speaks, gives []string
	for _, f := range sources(t) {
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Recv != nil || !fn.Name.IsExported() {
				continue
			}
			for _, p := range fn.Type.Params.List {
				star, ok := p.Type.(*ast.StarExpr)
				if !ok {
					continue
				}
				if id, ok := star.X.(*ast.Ident); ok && (id.Name == "Client" || id.Name == "Submission") {
					takes = append(takes, fn.Name.Name)
				}
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); !ok || pkg.Name != "api" {
				return true
			}
			switch name := sel.Sel.Name; {
			case strings.HasPrefix(name, "Proto"):
				speaks = append(speaks, name)
			case strings.HasSuffix(name, "Command"):
				gives = append(gives, name)
			}
			return true
		})
	}
	for what, x := range map[string]struct{ got, want []string }{
		"functions of a client": {takes, whoTakesClients}, "protocols": {speaks, protocols}, "commands": {gives, commands},
	} {
		slices.Sort(x.got)
		if got := slices.Compact(x.got); !slices.Equal(got, x.want) {
			t.Errorf("%s: %v, and %v are allowed", what, got, x.want)
		}
	}
}

// sources are the package's files but for tests.
func sources(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}
