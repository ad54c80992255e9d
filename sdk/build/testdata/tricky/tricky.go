// Package tricky is legal Go that a careless pruner would break.
package tricky

import (
	_ "embed"
	"flag"
	"fmt"
	log "math"
	"math/rand/v2"
	"os"
	"sort"
	str "strings"

	"github.com/kitwork/kwnode/kit"
)

//go:embed words.txt
var words string

var (
	addr, table = "unused", map[string]int{first: 1, second: 2}
	verbose     = flag.Bool("verbose", false, "")
)

const (
	zero = iota
	one
	two
)

type (
	byName  []item
	item    struct{ Name string }
	private struct{ f *os.File }
)

func (b byName) Len() int           { return len(b) }
func (b byName) Less(i, j int) bool { return b[i].Name < b[j].Name }
func (b byName) Swap(i, j int)      { b[i], b[j] = b[j], b[i] }

func (p private) close() error { return p.f.Close() }

var ready bool

func init() { ready = true }

const first, second = "a", "b"

type stringer interface{ String() string }

type name string

func (n name) String() string { return str.ToUpper(string(n)) }

// Capsule reaches a bit of everything.
func Capsule(ctx kit.Context, n int) (string, error) {
	flag := generic(n) // shadows an import that only Client uses
	items := byName{{"b"}, {"a"}}
	sort.Sort(items)
	var s stringer = name(items[0].Name)
	if !ready || flag != n || table[second] != two {
		return "", kit.Fail(16, "initialisation is missing")
	}
	return s.String() + str.TrimSpace(words), nil
}

func generic[T any](v T) T { return v }

// Client stays behind, with what only it uses.
func Client() {
	fmt.Println(log.Pi, rand.Int(), *verbose, addr, zero, one)
	_ = private{}.close()
}
