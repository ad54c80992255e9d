// Package investigation is a capsule that travels: it asks why one package depends on another, where the import graph
// belongs to three organisations that don't share their rows. It must never know which node, zone or network it is in.
//
// Each lookup depends on the last, and when the next lead belongs to somebody else, the loop itself goes there: the
// function is frozen in the middle of it, moved, and goes on. What it takes along is which packages it has seen and which
// it still wants to see, never a row.
package investigation

import (
	"errors"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/kit"
)

// Package is a row, under "pkg/" and the import path.
type Package struct {
	Files   uint32
	Imports []Import // ordered by path
}

// Import says in how many of its files a package imports another.
type Import struct {
	Path  []byte
	Files uint32
}

// The organisations, by the names under which a capsule's itinerary has them.
const (
	Home = "kwnode" // this project and what it depends on
	Std  = "std"    // the public part of the standard library
	Core = "core"   // the runtime and everything internal
)

// Owner says whose row a package is.
func Owner(path string) string {
	if first, _, _ := strings.Cut(strings.TrimPrefix(path, "vendor/"), "/"); strings.Contains(first, ".") && !strings.HasPrefix(path, "vendor/") {
		return Home
	}
	if path == "runtime" || path == "unsafe" || strings.HasPrefix(path, "runtime/") {
		return Core
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "internal" {
			return Core
		}
	}
	return Std
}

// Question is what is to be found out, and how.
type Question struct {
	From, To string
	Case     string // under which each organisation notes what was looked at
	Patience uint32 // most lookups in a row before another organisation gets its turn; 0 is no bound
	// Effort, Every and Rest slow it down for people who watch: each lookup is followed by so many rounds of idle
	// arithmetic, and after so many lookups it sleeps for so many nanoseconds.
	Effort uint32
	Every  uint32
	Rest   int64
	// Stay returns what is under way instead of moving, for the comparison with code that can't move. Going is what an
	// earlier call has returned.
	Stay  bool
	Going *Search
}

// Answer is a chain of imports.
type Answer struct {
	Chain   []string // From first, To last; empty if there is none
	Lookups uint32
	Moves   uint32
	Visits  []Visit // in the order in which they began
	Going   *Search // with Question.Stay, if it isn't done: what to ask the organisation that Zone names
}

// Visit is one stay with an organisation.
type Visit struct {
	Zone    string
	Lookups uint32
}

// Note is what an organisation keeps of a case, under "trail/" and its name.
type Note struct {
	Lookups uint32
	Visits  uint32
}

// Search is an investigation under way: what it takes along.
type Search struct {
	Zone  string
	Seen  []Lead
	Leads map[string][]Lead // by organisation; the last is the next
	Ans   Answer
}

// Lead is a package that another one imports.
type Lead struct {
	Path string
	By   int32 // index of the importer among those seen, -1 for none
}

// Investigate runs in the zone of the package that it begins with.
func Investigate(ctx kit.Context, q Question) (Answer, error) {
	return run(here{ctx, q.Case}, q)
}

// Compute answers a question from wherever look finds rows: what Investigate does, without going anywhere. It changes the
// rows that it is given.
func Compute(q Question, look func(path string, s *Search) (Package, error)) (Answer, error) {
	return run(anywhere{look}, q)
}

// place is where lookups happen.
type place interface {
	look(path string, s *Search) (Package, error)
	move(zone string) error
	rest(ns int64) error
	note(n uint32, arrived bool) error
}

// here is the zone that the capsule is in.
type here struct {
	ctx kit.Context
	id  string
}

func (h here) look(path string, _ *Search) (Package, error) {
	return kit.Get[Package](h.ctx, "pkg/"+path)
}

func (h here) move(zone string) error { return kit.Goto(h.ctx, zone) }
func (h here) rest(ns int64) error    { return kit.Sleep(h.ctx, ns) }

// note adds to what the organisation knows of the case, in the same transaction as the lookups.
func (h here) note(n uint32, arrived bool) error {
	key := "trail/" + h.id
	old, err := kit.Get[Note](h.ctx, key)
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return err
	}
	old.Lookups += n
	if arrived {
		old.Visits++
	}
	return kit.Put(h.ctx, key, old)
}

type anywhere struct {
	rows func(path string, s *Search) (Package, error)
}

func (a anywhere) look(path string, s *Search) (Package, error) { return a.rows(path, s) }
func (anywhere) move(string) error                              { return nil }
func (anywhere) rest(int64) error                               { return nil }
func (anywhere) note(uint32, bool) error                        { return nil }

// walk is a search while it runs.
type walk struct {
	Search
	q     Question
	known map[string]bool // seen, or a lead already
	stay  uint32          // lookups since it came
	noted uint32          // of them, that the organisation has noted
	idle  uint32
}

// linger takes its time. The result is used, so that no compiler can leave the work out.
func linger(x, rounds uint32) uint32 {
	for x |= 1; rounds > 0; rounds-- {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
	}
	return x
}

func run(p place, q Question) (Answer, error) {
	w := begin(q)
	for w.open() {
		if to := w.next(); to != w.Zone {
			if err := w.write(p); err != nil {
				return Answer{}, err
			}
			w.arrive(to)
			if q.Stay {
				return Answer{Lookups: w.Ans.Lookups, Moves: w.Ans.Moves, Visits: w.Ans.Visits, Going: &w.Search}, nil
			}
			if err := p.move(to); err != nil {
				return Answer{}, err
			}
		}
		found, err := w.step(p)
		if err != nil {
			return Answer{}, err
		}
		if found {
			w.Ans.Chain = w.chain()
			break
		}
		if q.Every > 0 && w.Ans.Lookups%q.Every == 0 {
			if err := errors.Join(w.write(p), p.rest(q.Rest)); err != nil {
				return Answer{}, err
			}
		}
	}
	return w.Ans, w.write(p)
}

func begin(q Question) *walk {
	w := &walk{q: q, known: map[string]bool{}}
	if q.Going != nil {
		w.Search = *q.Going
		for _, l := range w.Seen {
			w.known[l.Path] = true
		}
		for _, leads := range w.Leads {
			for _, l := range leads {
				w.known[l.Path] = true
			}
		}
		return w
	}
	w.Zone, w.Leads = Owner(q.From), map[string][]Lead{}
	w.Ans.Visits = []Visit{{Zone: w.Zone}}
	w.push(q.From, -1)
	return w
}

func (w *walk) push(path string, by int32) {
	w.known[path] = true
	owner := Owner(path)
	w.Leads[owner] = append(w.Leads[owner], Lead{path, by})
}

// open reports whether there is a lead anywhere.
func (w *walk) open() bool { return len(w.Leads[Home])+len(w.Leads[Std])+len(w.Leads[Core]) > 0 }

// next is the organisation whose turn it is: this one while it has leads and patience lasts, else the one with most.
func (w *walk) next() string {
	if len(w.Leads[w.Zone]) > 0 && (w.q.Patience == 0 || w.stay < w.q.Patience) {
		return w.Zone
	}
	best, most := w.Zone, 0
	for _, z := range []string{Home, Std, Core} {
		if n := len(w.Leads[z]); z != w.Zone && n > most {
			best, most = z, n
		}
	}
	return best
}

func (w *walk) arrive(zone string) {
	w.Zone, w.stay, w.noted = zone, 0, 0
	w.Ans.Moves++
	w.Ans.Visits = append(w.Ans.Visits, Visit{Zone: zone})
}

// step follows the next lead here and reports whether it was the last.
func (w *walk) step(p place) (bool, error) {
	list := w.Leads[w.Zone]
	l := list[len(list)-1]
	row, err := p.look(l.Path, &w.Search)
	if err != nil && !errors.Is(err, kit.ErrNotFound) { // one that nobody has imports nothing
		return false, err
	}
	w.Leads[w.Zone] = list[:len(list)-1]
	w.Seen = append(w.Seen, l)
	w.stay++
	w.Ans.Lookups++
	w.Ans.Visits[len(w.Ans.Visits)-1].Lookups++
	w.read(&row, int32(len(w.Seen)-1))
	w.idle = linger(w.idle, w.q.Effort)
	return l.Path == w.q.To, nil
}

// read makes leads of a row's imports, that of most files last, so that it comes next. Nothing else of the row is kept:
// memory that is free would travel too.
func (w *walk) read(row *Package, at int32) {
	slices.SortStableFunc(row.Imports, func(a, b Import) int { return int(a.Files) - int(b.Files) })
	for _, im := range row.Imports {
		if !w.known[string(im.Path)] {
			w.push(string(im.Path), at)
		}
		clear(im.Path)
	}
	clear(row.Imports)
}

// write has the organisation note the lookups since the last time.
func (w *walk) write(p place) error {
	n := w.stay - w.noted
	if n == 0 {
		return nil
	}
	arrived := w.noted == 0
	w.noted = w.stay
	return p.note(n, arrived)
}

// chain walks back from the package seen last.
func (w *walk) chain() []string {
	var back []string
	for i := int32(len(w.Seen) - 1); i >= 0; i = w.Seen[i].By {
		back = append(back, w.Seen[i].Path)
	}
	slices.Reverse(back)
	return back
}
