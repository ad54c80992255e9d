package investigation

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/kit"
)

func row(imports ...any) Package {
	p := Package{Files: 1}
	for i := 0; i < len(imports); i += 2 {
		p.Imports = append(p.Imports, Import{[]byte(imports[i].(string)), uint32(imports[i+1].(int))})
	}
	return p
}

// rows is a small mesh: the strongest import of the first package leads astray.
func rows() map[string]Package {
	return map[string]Package{
		"a.org/x":          row("a.org/y", 3, "fmt", 1),
		"a.org/y":          row("strings", 1),
		"fmt":              row("internal/fmtsort", 1, "os", 2),
		"os":               row("internal/poll", 1),
		"strings":          row("internal/bytealg", 1),
		"internal/bytealg": row("unsafe", 1),
		"internal/poll":    row("internal/bytealg", 2),
	}
}

func local(t *testing.T) *kit.Local {
	t.Helper()
	l := kit.NewLocal(Home)
	l.AddZone(Std)
	l.AddZone(Core)
	for path, p := range rows() {
		if err := l.Do(func(c kit.Context) error {
			return errors.Join(kit.Goto(c, Owner(path)), kit.Put(c, "pkg/"+path, p))
		}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestInvestigate(t *testing.T) {
	for _, c := range []struct {
		name  string
		q     Question
		chain []string
	}{
		{"through all three", Question{To: "internal/bytealg"}, []string{"a.org/x", "a.org/y", "strings", "internal/bytealg"}},
		{"back and forth", Question{To: "internal/poll", Patience: 1}, []string{"a.org/x", "fmt", "os", "internal/poll"}},
		{"with rests", Question{To: "unsafe", Every: 1, Rest: kit.Second}, []string{"a.org/x", "a.org/y", "strings", "internal/bytealg", "unsafe"}},
		{"nothing", Question{To: "net"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := local(t)
			c.q.From, c.q.Case = "a.org/x", "1"
			a, err := kit.Run(l, Investigate, c.q)
			if err != nil || !slices.Equal(a.Chain, c.chain) {
				t.Fatalf("%q, want %q (%v)", a.Chain, c.chain, err)
			}
			b, err := Compute(c.q, func(path string, _ *Search) (Package, error) { return rows()[path], nil })
			if err != nil || !slices.Equal(a.Chain, b.Chain) || a.Lookups != b.Lookups {
				t.Errorf("in one place it is %+v, travelling %+v (%v)", b, a, err)
			}
			noted := map[string]Note{}
			for _, v := range a.Visits {
				n := noted[v.Zone]
				noted[v.Zone] = Note{n.Lookups + v.Lookups, n.Visits + 1}
			}
			for zone, want := range noted {
				if err := l.Do(func(ctx kit.Context) error {
					if err := kit.Goto(ctx, zone); err != nil {
						return err
					}
					got, err := kit.Get[Note](ctx, "trail/1")
					if got != want {
						t.Errorf("%s noted %+v, want %+v", zone, got, want)
					}
					return err
				}); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// Code that can't move answers the same when it is asked again and again with what it has found out so far.
func TestStay(t *testing.T) {
	l := local(t)
	q := Question{From: "a.org/x", To: "internal/poll", Case: "2", Patience: 1}
	want, err := kit.Run(l, Investigate, q)
	if err != nil {
		t.Fatal(err)
	}
	q.Stay = true
	for calls := uint32(1); ; calls++ {
		zone := Home
		if q.Going != nil {
			zone = q.Going.Zone
		}
		var a Answer
		if err := l.Do(func(c kit.Context) (err error) {
			if err := kit.Goto(c, zone); err != nil {
				return err
			}
			a, err = Investigate(c, q)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if a.Going == nil {
			if !slices.Equal(a.Chain, want.Chain) || a.Lookups != want.Lookups || calls != want.Moves+1 {
				t.Errorf("%+v after %d calls, want %+v", a, calls, want)
			}
			return
		}
		b, err := kit.Marshal(a.Going)
		if err != nil {
			t.Fatal(err)
		}
		if q.Going, err = kit.Unmarshal[*Search](b); err != nil {
			t.Fatal(err)
		}
	}
}

// What was read is wiped.
func TestWiped(t *testing.T) {
	all := rows()
	if _, err := Compute(Question{From: "a.org/x", To: "net"}, func(path string, _ *Search) (Package, error) { return all[path], nil }); err != nil {
		t.Fatal(err)
	}
	for path, p := range all {
		for _, im := range p.Imports {
			if len(im.Path) > 0 || bytes.Trim(im.Path, "\x00") != nil {
				t.Errorf("%s still has %q", path, im.Path)
			}
		}
	}
}

func TestOwner(t *testing.T) {
	for path, want := range map[string]string{
		"github.com/kitwork/kwnode/internal/num": Home, "fmt": Std, "net/http": Std, "internal/abi": Core, "net/http/internal": Core,
		"runtime": Core, "runtime/debug": Core, "unsafe": Core, "vendor/golang.org/x/net/idna": Std,
	} {
		if got := Owner(path); got != want {
			t.Errorf("%s belongs to %s, want %s", path, got, want)
		}
	}
}
