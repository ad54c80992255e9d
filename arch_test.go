// Package kwnode holds no code: at the root of the module stands only the test that keeps the packages
// below it apart. It must never know what they do.
package kwnode

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kitwork/kwnode"

// rule says what the packages of one folder and below may import. The longest folder that fits counts.
type rule struct {
	folder string
	may    string // folders of ours, with all below them, separated by spaces; "." is everything
	not    string // packages of others that would break the folder's promise
}

// Promises that are kept by not importing.
const (
	noNetwork = "net net/http net/rpc"
	// What replicas compute, they compute alike: no clock, no chance.
	noChance = noNetwork + " time math/rand math/rand/v2 crypto/rand"
	// A state machine: a message in, effects out, nothing of the world around.
	pure = noChance + " os os/exec"
	// No protocol that isn't used: libp2p's package of options links each transport that it can default to.
	noDefaults = "github.com/libp2p/go-libp2p"
)

var rules = []rule{
	{folder: "capsule", may: "internal/atomicfile internal/edwards internal/recent", not: noNetwork},
	{folder: "internal/edwards", may: "internal/recent", not: pure},
	{folder: "internal/recent", not: pure},
	{folder: "internal/num", not: pure},
	{folder: "internal/atomicfile", not: noNetwork},
	{folder: "internal/bubble", not: noNetwork},
	{folder: "internal/faildisk", not: noNetwork},
	{folder: "internal/plant", not: pure},
	{folder: "internal/spectest", may: "internal/spectest vm", not: noNetwork},
	{folder: "internal/wasmtest", may: "vm/wasm", not: noNetwork},
	{folder: "internal/code", may: "internal/num vm/wasm", not: noNetwork},
	{folder: "vm/wasm", may: "vm/wasm", not: noNetwork},
	{folder: "vm", may: "internal/code internal/num vm/wasm", not: noNetwork},
	{folder: "vm/hostabi", may: "vm", not: noNetwork},
	{folder: "vm/wasi", may: "vm", not: noNetwork},
	{folder: "jit", may: "jit vm internal/code internal/num", not: noNetwork},
	{folder: "p2p", may: "p2p capsule internal/atomicfile internal/recent", not: noDefaults},
	{folder: "zone/cert", may: "capsule internal/atomicfile internal/recent", not: noChance},
	{folder: "handover", may: "capsule internal/plant zone/cert", not: pure + " sync"},
	{folder: "zone/machine", may: "capsule internal/plant internal/recent zone/cert handover", not: pure},
	{folder: "zone", may: "capsule internal/atomicfile internal/plant zone handover"},
	{folder: "kit", may: "kit", not: noNetwork},
	{folder: "sdk", may: "sdk capsule internal/atomicfile vm p2p zone/api zone/cert handover kit"},
	{folder: "node", may: "node capsule internal/atomicfile vm jit p2p zone handover"},
	{folder: "testnet", may: "testnet node capsule internal/atomicfile vm jit p2p zone handover sdk kit examples"},
	{folder: "examples", may: "examples capsule sdk kit"},
	{folder: "cmd", may: "."},
}

// owners says which folders may import a module of somebody else, by the longest prefix of the import
// path. A folder with "_test" behind it may do so in its tests only, one with "=" before it without the
// folders below; "*" is every folder.
var owners = map[string]string{
	"filippo.io/edwards25519":            "internal/edwards",
	"github.com/fxamacker/cbor/":         "capsule",
	"github.com/ipfs/go-cid":             "capsule p2p",
	"github.com/ipld/go-ipld-prime":      "capsule_test",
	"github.com/klauspost/compress/":     "vm",
	"golang.org/x/sync/":                 "node",
	"golang.org/x/sys/":                  "vm jit cmd internal/edwards internal/faildisk zone/machine",
	"github.com/libp2p/":                 "p2p",
	"github.com/multiformats/":           "p2p",
	"github.com/quic-go/quic-go":         "=p2p",
	"go.uber.org/fx":                     "=p2p",
	"github.com/ipfs/go-datastore":       "p2p",
	"github.com/hashicorp/":              "=zone zone/raft zone/store",
	"go.etcd.io/bbolt":                   "zone/raft zone/store",
	"github.com/cockroachdb/pebble/":     "=zone zone/store zone_test",
	"github.com/anishathalye/porcupine":  "zone_test node_test testnet_test testnet",
	"github.com/prometheus/":             "node",
	"github.com/spf13/":                  "cmd",
	"charm.land/":                        "cmd",
	"github.com/charmbracelet/":          "cmd",
	"github.com/rogpeppe/go-internal/":   "*_test",
	"honnef.co/go/tools/cmd/staticcheck": "",
}

// unit is one package as its files' import declarations show it, whatever their build constraints.
type unit struct {
	folder  string   // below the module's root
	imports []string // of files that are built
	tests   []string // of test files
	files   int      // that are built
	comment bool     // on a package clause of a built file
}

// violations checks units against the tables.
func violations(units []unit) (found []string) {
	complain := func(u unit, format string, args ...any) {
		found = append(found, u.folder+": "+fmt.Sprintf(format, args...))
	}
	for _, u := range units {
		r, ok := longest(rules, func(r rule) bool { return below(u.folder, r.folder) })
		if !ok {
			complain(u, "no rule; say in arch_test.go what it may import")
			continue
		}
		if u.files > 0 && !u.comment {
			complain(u, "no package comment; say in a sentence what it does and what it must never know")
		}
		for _, imported := range u.imports {
			folder, ours := strings.CutPrefix(imported, module+"/")
			switch {
			case ours && r.may != "." && !slices.ContainsFunc(strings.Fields(r.may), func(may string) bool { return below(folder, may) }):
				complain(u, "imports %s; may import of ours: %q", folder, r.may)
			case !ours && slices.Contains(strings.Fields(r.not), imported):
				complain(u, "imports %s, which breaks the promise of %s", imported, r.folder)
			}
		}
		for i, imported := range slices.Concat(u.imports, u.tests) {
			inTest := i >= len(u.imports)
			if isForeign(imported) && !owned(imported, u.folder, inTest) {
				complain(u, "imports %s, which belongs to %q", imported, owner(imported))
			}
		}
	}
	return found
}

// below reports whether folder is root or below it.
func below(folder, root string) bool { return folder == root || strings.HasPrefix(folder, root+"/") }

func longest(rules []rule, fits func(rule) bool) (best rule, ok bool) {
	for _, r := range rules {
		if fits(r) && len(r.folder) > len(best.folder) {
			best, ok = r, true
		}
	}
	return best, ok
}

// isForeign reports whether an import is neither ours nor of the standard library, whose first element
// has no dot.
func isForeign(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".") && imported != module && !strings.HasPrefix(imported, module+"/")
}

func owner(imported string) string {
	best := ""
	for prefix := range owners {
		if len(prefix) > len(best) && (imported == prefix || strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/")) {
			best = prefix
		}
	}
	return owners[best]
}

func owned(imported, folder string, inTest bool) bool {
	for _, o := range strings.Fields(owner(imported)) {
		root, testsOnly := strings.CutSuffix(o, "_test")
		root, exact := strings.CutPrefix(root, "=")
		if (root == "*" || folder == root || !exact && below(folder, root)) && (inTest || !testsOnly) {
			return true
		}
	}
	return false
}

// load reads the import declarations of every Go file of the module. Folders that hold another module,
// test data or hidden files are not part of it.
func load(root string) ([]unit, error) {
	units := map[string]*unit{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(root, name)
		}
		if !strings.HasSuffix(name, ".go") || folder == "." {
			return nil
		}
		folder = filepath.ToSlash(folder)
		u := units[folder]
		if u == nil {
			u = &unit{folder: folder}
			units[folder] = u
		}
		return u.add(name)
	})
	var all []unit
	for _, folder := range slices.Sorted(maps.Keys(units)) {
		all = append(all, *units[folder])
	}
	return all, err
}

func skipFolder(root, name string) error {
	if name == root {
		return nil
	}
	base := path.Base(filepath.ToSlash(name))
	if base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return filepath.SkipDir
	}
	if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
		return filepath.SkipDir
	}
	return nil
}

func (u *unit) add(name string) error {
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return err
	}
	list := &u.imports
	if strings.HasSuffix(name, "_test.go") {
		list = &u.tests
	} else {
		u.files++
		u.comment = u.comment || f.Doc != nil && len(strings.Fields(f.Doc.Text())) > 5
	}
	for _, spec := range f.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if !slices.Contains(*list, imported) {
			*list = append(*list, imported)
		}
	}
	return nil
}

func TestArchitecture(t *testing.T) {
	units, err := load(".")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(units, func(u unit) bool { return u.folder == "capsule" && u.files > 0 && len(u.tests) > 0 }) {
		t.Fatal("the loader does not see the package capsule and its tests")
	}
	for _, v := range violations(units) {
		t.Error(v)
	}
}

// TestPlantedViolations shows that each kind of violation is found, and nothing else.
func TestPlantedViolations(t *testing.T) {
	ours := func(folder string) string { return module + "/" + folder }
	for _, c := range []struct {
		name string
		unit unit
		want string // part of the complaint, or empty: none
	}{
		{"allowed", unit{folder: "vm", imports: []string{ours("internal/code"), "golang.org/x/sys/unix", "time"}}, ""},
		{"everything", unit{folder: "cmd/kwnode", imports: []string{ours("zone/raft"), ours("jit"), "github.com/spf13/cobra"}}, ""},
		{"test only", unit{folder: "capsule", tests: []string{"github.com/ipld/go-ipld-prime/codec/dagcbor", ours("p2p")}}, ""},
		{"engine to network", unit{folder: "vm", imports: []string{ours("p2p")}}, "imports p2p"},
		{"engine to its hosts", unit{folder: "vm", imports: []string{ours("vm/wasi")}}, "imports vm/wasi"},
		{"capsule to anything", unit{folder: "capsule", imports: []string{ours("vm")}}, "imports vm"},
		{"machine to raft", unit{folder: "zone/machine", imports: []string{ours("zone/raft")}}, "imports zone/raft"},
		{"zone to p2p", unit{folder: "zone/raft", imports: []string{ours("p2p")}}, "imports p2p"},
		{"node to sdk", unit{folder: "node/worker", imports: []string{ours("sdk")}}, "imports sdk"},
		{"kit to capsule", unit{folder: "kit", imports: []string{ours("capsule")}}, "imports capsule"},
		{"libp2p outside p2p", unit{folder: "node", imports: []string{"github.com/libp2p/go-libp2p/core/peer"}}, `belongs to "p2p"`},
		{"libp2p in a test", unit{folder: "capsule", tests: []string{"github.com/libp2p/go-libp2p"}}, `belongs to "p2p"`},
		{"libp2p with all it has", unit{folder: "p2p", imports: []string{"github.com/libp2p/go-libp2p"}}, "imports github.com/libp2p/go-libp2p, which"},
		{"cbor outside capsule", unit{folder: "zone/cert", imports: []string{"github.com/fxamacker/cbor/v2"}}, `belongs to "capsule"`},
		{"pebble in the machine", unit{folder: "zone/machine", imports: []string{"github.com/cockroachdb/pebble/v2"}}, `belongs to "=zone zone/store zone_test"`},
		{"raft in the messages", unit{folder: "zone/api", imports: []string{"github.com/hashicorp/raft"}}, `belongs to "=zone`},
		{"raft in a voter", unit{folder: "zone", imports: []string{"github.com/hashicorp/raft"}}, ""},
		{"a test's library in code", unit{folder: "capsule", imports: []string{"github.com/ipld/go-ipld-prime"}}, "belongs to"},
		{"a new library", unit{folder: "node", imports: []string{"example.org/x"}}, `belongs to ""`},
		{"a prefix that only looks alike", unit{folder: "capsule", imports: []string{"github.com/ipfs/go-cidx"}}, `belongs to ""`},
		{"a clock in the machine", unit{folder: "zone/machine", imports: []string{"time"}}, "imports time"},
		{"randomness in the handover", unit{folder: "handover", imports: []string{"crypto/rand"}}, "imports crypto/rand"},
		{"a socket in the engine", unit{folder: "jit/amd64", imports: []string{"net"}}, "imports net"},
		{"a folder that looks alike", unit{folder: "vmx"}, "no rule"},
		{"a new folder", unit{folder: "util"}, "no rule"},
		{"no comment", unit{folder: "vm", files: 1}, "no package comment"},
	} {
		found := violations([]unit{c.unit})
		switch {
		case c.want == "" && len(found) > 0:
			t.Errorf("%s: %s", c.name, found)
		case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)):
			t.Errorf("%s: found %q, want one with %q", c.name, found, c.want)
		}
	}
}
