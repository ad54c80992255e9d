package vm

import (
	"testing"
	"unsafe"

	"github.com/kitwork/kwnode/vm/wasm"
)

// TestTableGrowsInSteps: growing by one again and again, which is paid by the entry, doesn't copy the table each time,
// and never makes room beyond the limit.
func TestTableGrowsInSteps(t *testing.T) {
	s := NewStore(Config{Limits: Limits{TableElems: 50_000}})
	defer s.Close()
	table, err := s.newTable(wasm.TableType{Elem: wasm.FuncRef, Limits: wasm.Limits{Min: 1}})
	if err != nil {
		t.Fatal(err)
	}
	table.elems[0] = 7
	bases := map[unsafe.Pointer]bool{}
	for n := uint32(2); n <= 50_000; n++ {
		if err := table.resize(s, n); err != nil {
			t.Fatal(err)
		}
		bases[table.base] = true
		if table.size != n || len(table.elems) != int(n) || table.elems[n-1] != 0 {
			t.Fatalf("%d entries after growing to %d", table.size, n)
		}
	}
	if len(bases) > 20 || cap(table.elems) > 50_000 || table.elems[0] != 7 {
		t.Errorf("moved %d times, room for %d", len(bases), cap(table.elems))
	}
}
