package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/kitwork/kwnode/examples/investigation"
)

// subject is the package whose imports, and theirs, are the data beside the standard library.
const subject = "github.com/kitwork/kwnode/cmd/kwnode"

// graph is the import graph: what each package imports, and in how many of its files.
type graph struct {
	rows   map[string]investigation.Package
	source string // where it was read, for people
}

//go:embed graph.json.gz
var embeddedGraph []byte

// loadGraph reads the graph from the machine's own sources, or the copy of it that the program carries.
func loadGraph(ctx context.Context) (*graph, error) {
	rows, err := readSources(ctx)
	if err == nil {
		return &graph{rows, "read from this machine's sources"}, nil
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	rows, cerr := unpackGraph(embeddedGraph)
	if cerr != nil {
		return nil, cerr
	}
	return &graph{rows, fmt.Sprintf("the copy inside this program (%v)", err)}, nil
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	CgoFiles   []string
	ImportMap  map[string]string
	DepsErrors []struct{ Err string }
}

func readSources(ctx context.Context) (map[string]investigation.Package, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return nil, errors.New("there is no go command")
	}
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,CgoFiles,ImportMap,DepsErrors", subject, "std")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.New("this is no checkout of kwnode")
	}
	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		packages = append(packages, p)
	}
	return parseAll(packages)
}

// parseAll reads the import declarations of every package, on all processors.
func parseAll(packages []listed) (map[string]investigation.Package, error) {
	rows := make(map[string]investigation.Package, len(packages))
	var mu sync.Mutex // guards rows and failed
	var failed error
	next := make(chan *listed)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for p := range next {
				row, err := parsePackage(p)
				mu.Lock()
				rows[p.ImportPath] = row
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	for i := range packages {
		next <- &packages[i]
	}
	close(next)
	wg.Wait()
	if failed != nil {
		return nil, failed
	}
	return rows, nil
}

func parsePackage(p *listed) (investigation.Package, error) {
	uses := map[string]uint32{}
	files := slices.Concat(p.GoFiles, p.CgoFiles)
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			return investigation.Package{}, err
		}
		seen := map[string]bool{}
		for _, s := range f.Imports {
			path, err := strconv.Unquote(s.Path.Value)
			if err != nil || path == "C" || seen[path] {
				continue
			}
			seen[path] = true
			if to, ok := p.ImportMap[path]; ok {
				path = to
			}
			uses[path]++
		}
	}
	row := investigation.Package{Files: uint32(len(files))}
	for path, n := range uses {
		row.Imports = append(row.Imports, investigation.Import{Path: []byte(path), Files: n})
	}
	slices.SortFunc(row.Imports, func(a, b investigation.Import) int { return bytes.Compare(a.Path, b.Path) })
	return row, nil
}

// packed is a row as the embedded copy has it: short, and readable after gunzip.
type packed struct {
	Path    string
	Files   uint32
	Imports map[string]uint32 `json:",omitempty"`
}

func packGraph(rows map[string]investigation.Package) ([]byte, error) {
	var paths []string
	for path := range rows {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	var all []packed
	for _, path := range paths {
		p := packed{Path: path, Files: rows[path].Files, Imports: map[string]uint32{}}
		for _, im := range rows[path].Imports {
			p.Imports[string(im.Path)] = im.Files
		}
		all = append(all, p)
	}
	b, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return pack(b)
}

func unpackGraph(b []byte) (map[string]investigation.Package, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("embedded graph: %w", err)
	}
	var all []packed
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, fmt.Errorf("embedded graph: %w", err)
	}
	rows := make(map[string]investigation.Package, len(all))
	for _, p := range all {
		row := investigation.Package{Files: p.Files}
		for path, n := range p.Imports {
			row.Imports = append(row.Imports, investigation.Import{Path: []byte(path), Files: n})
		}
		slices.SortFunc(row.Imports, func(a, b investigation.Import) int { return bytes.Compare(a.Path, b.Path) })
		rows[p.Path] = row
	}
	return rows, nil
}

// owned are the packages of one organisation, in order.
func (g *graph) owned(zone string) []string {
	var paths []string
	for path := range g.rows {
		if investigation.Owner(path) == zone {
			paths = append(paths, path)
		}
	}
	slices.SortFunc(paths, strings.Compare)
	return paths
}

// keep drops all rows but so many that a package leads to.
func (g *graph) keep(from string, most int) {
	kept := map[string]investigation.Package{}
	for next := []string{from}; len(next) > 0 && len(kept) < most; next = next[1:] {
		row, ok := g.rows[next[0]]
		if _, again := kept[next[0]]; again || !ok {
			continue
		}
		kept[next[0]] = row
		for _, im := range row.Imports {
			next = append(next, string(im.Path))
		}
	}
	for path, row := range kept {
		row.Imports = slices.DeleteFunc(row.Imports, func(im investigation.Import) bool {
			_, ok := kept[string(im.Path)]
			return !ok
		})
		kept[path] = row
	}
	g.rows = kept
}
