package kwnode

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocsNameWhatExists holds the pages against the repository: every test, file, folder and link that one of them names
// is there, and so is every test that one of their commands picks.
func TestDocsNameWhatExists(t *testing.T) {
	r := readRepository(t)
	if !r.files["capsule/doc.go"] || len(r.tests["capsule"]) == 0 || len(r.pages) < 10 {
		t.Fatalf("the repository was not read: %d files, %d pages", len(r.files), len(r.pages))
	}
	for page, text := range r.pages {
		for _, fault := range r.faults(page, text) {
			t.Errorf("%s: %s", page, fault)
		}
	}
}

// TestDocsFaultsAreFound plants one fault of each kind.
func TestDocsFaultsAreFound(t *testing.T) {
	r := &repository{
		files: map[string]bool{"vm/run.go": true, "vm/run_test.go": true, "docs/EXEC.md": true, "vm/testdata/a.txtar": true},
		tests: map[string][]string{"vm": {"TestRun", "BenchmarkRun"}},
	}
	for _, c := range []struct{ text, want string }{
		{"`TestRun` and [how](EXEC.md), in `vm/run.go` of `vm`: `go test ./vm -run '^TestR' -bench Run`, a.txtar", ""},
		{"`go test ./...`, github.com/x/vm/none and [x](https://example.org/none.md)", ""},
		{"shown by `TestNone`", "TestNone"},
		{"`FuzzNone`", "FuzzNone"},
		{"`none.txtar`", "none.txtar"},
		{"see [it](NONE.md)", "NONE.md"},
		{"stands in vm/none.go", "vm/none.go"},
		{"`go test ./none`", "./none"},
		{"`go test ./vm -run '^Nothing$'`", "Nothing"},
		{"`go test ./vm -run '^$' -bench Nothing`", "Nothing"},
	} {
		found := r.faults("docs/page.md", c.text)
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %q", c.text, found)
		case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)):
			t.Errorf("%s: found %q, want one with %q", c.text, found, c.want)
		}
	}
}

// repository is what pages can name. Paths are relative to its root, with slashes.
type repository struct {
	files map[string]bool
	tests map[string][]string // tests, benchmarks and fuzz targets of each folder
	pages map[string]string   // the texts of all .md files
}

func readRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{files: map[string]bool{}, tests: map[string][]string{}, pages: map[string]string{}}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || strings.HasSuffix(d.Name(), "-data")): // a testnet's folder is nobody's page
			return filepath.SkipDir
		case d.IsDir():
			return nil
		}
		slashed := filepath.ToSlash(name)
		r.files[slashed] = true
		if strings.HasSuffix(slashed, "_test.go") {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			for _, decl := range f.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && testName.MatchString(f.Name.Name) {
					r.tests[path.Dir(slashed)] = append(r.tests[path.Dir(slashed)], f.Name.Name)
				}
			}
		}
		if strings.HasSuffix(slashed, ".md") {
			b, err := os.ReadFile(name)
			r.pages[slashed] = string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	testName   = regexp.MustCompile(`(?:^|[^\w^])((?:Test|Fuzz|Benchmark)[A-Z]\w*)`) // what stands behind ^ is a pattern
	scriptName = regexp.MustCompile(`[\w-]+\.txtar\b`)
	pageLink   = regexp.MustCompile(`\]\(([\w./-]+)\)`)
	pathInText = regexp.MustCompile(`(?:^|[^\w/.@-])((?:\.ci|bench|capsule|cmd|docs|examples|handover|internal|jit|kit|node|p2p|sdk|testnet|vm|zone)/[\w./-]*\w)`)
	goTest     = regexp.MustCompile("go test ([^`\\n|;]+)")
	goRun      = regexp.MustCompile(`go (?:run|build) (?:-o \w+ )?\./([\w/]+)`)
	picks      = regexp.MustCompile(`-(?:run|bench|fuzz) +'?([^' ]+)`)
)

// faults are the names in a page's text that stand for nothing.
func (r *repository) faults(page, text string) (found []string) {
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		if !r.declares("", regexp.MustCompile("^"+m[1]+"$")) {
			found = append(found, "there is no "+m[1])
		}
	}
	for _, name := range scriptName.FindAllString(text, -1) {
		if !r.some(func(file string) bool { return path.Base(file) == name }) {
			found = append(found, "there is no script "+name)
		}
	}
	for _, m := range pageLink.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(m[1], "://") && !r.has(path.Join(path.Dir(page), m[1])) {
			found = append(found, "a link leads to "+m[1]+", which is not there")
		}
	}
	for _, m := range pathInText.FindAllStringSubmatch(text, -1) {
		if !r.has(m[1]) && !r.has(path.Join(path.Dir(page), m[1])) {
			found = append(found, "there is no "+m[1])
		}
	}
	for _, m := range goRun.FindAllStringSubmatch(text, -1) {
		if m[1] != "hello" && !r.has(m[1]) && !r.has("bench/"+m[1]) { // hello is the reader's own
			found = append(found, "nothing to run in ./"+m[1])
		}
	}
	for _, m := range goTest.FindAllStringSubmatch(text, -1) {
		found = append(found, r.commandFaults(m[1])...)
	}
	return found
}

// commandFaults judges the arguments of go test: a command that tests nothing succeeds, so it would show nothing.
func (r *repository) commandFaults(args string) (found []string) {
	folder := ""
	for _, arg := range strings.Fields(args) {
		if f, ok := strings.CutPrefix(arg, "./"); ok && !strings.HasSuffix(f, "...") {
			folder = f
			if !r.has(folder) && !r.has("bench/"+folder) {
				found = append(found, "nothing to test in ./"+folder)
				return found
			}
		}
	}
	for _, m := range picks.FindAllStringSubmatch(args, -1) {
		pattern, _, _ := strings.Cut(m[1], "/")
		re, err := regexp.Compile(pattern)
		switch {
		case err != nil:
			found = append(found, err.Error())
		case pattern != "^$" && !r.declares(folder, re):
			found = append(found, "go test "+args+" picks nothing with "+m[1])
		}
	}
	return found
}

func (r *repository) declares(folder string, name *regexp.Regexp) bool {
	for in, tests := range r.tests {
		if folder != "" && in != folder && in != "bench/"+folder {
			continue
		}
		for _, test := range tests {
			if name.MatchString(test) {
				return true
			}
		}
	}
	return false
}

func (r *repository) has(name string) bool {
	return r.files[name] || r.some(func(file string) bool { return strings.HasPrefix(file, name+"/") })
}

func (r *repository) some(is func(file string) bool) bool {
	for file := range r.files {
		if is(file) {
			return true
		}
	}
	return false
}
