package vm

import (
	"os"
	"reflect"
	"testing"
)

// TestShapesAreRemembered: what a module remembers of the places where its programs stop is what validation says, and bounded.
func TestShapesAreRemembered(t *testing.T) {
	b, err := os.ReadFile("testdata/guests/rust/std.wasm")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	var places []place
	for fn := m.w.NumImportedFuncs; int(fn) < len(m.w.FuncTypes) && len(places) < 2*maxShapes; fn++ {
		for block := range m.w.Blocks(fn) {
			places = append(places, place{fn, block.Off, false}, place{fn, block.Off, true})
		}
	}
	found, most := 0, 0
	for _, p := range places {
		want, reachable := m.shapeAt(p)
		for range 2 {
			got, ok := m.shapes.at(m, p)
			if ok != reachable || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v: %+v, %v; want %+v, %v", p, got, ok, want, reachable)
			}
		}
		if reachable {
			found++
		} else if _, kept := m.shapes.m[p]; kept {
			t.Fatalf("%+v is no place, and remembered", p)
		}
		most = max(most, len(m.shapes.m))
	}
	if found <= maxShapes || most != maxShapes {
		t.Errorf("%d places were found and at most %d remembered, want more than %d and as many", found, most, maxShapes)
	}
}
