package demo

import (
	"os"
	"reflect"
	"testing"

	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
)

// update writes what the program carries: UPDATE_GOLDEN=1 go test ./testnet/demo
var update = os.Getenv("UPDATE_GOLDEN") != ""

// TestModule holds that the module in the program is what its source makes.
func TestModule(t *testing.T) {
	fresh, err := sdk.BuildPackage(t.Context(), capsulePackage, capsuleFunction, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if update {
		b, err := pack(fresh.Code)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("investigation.wasm.gz", b, 0o644); err != nil {
			t.Fatal(err)
		}
		embeddedModule = b
	}
	code, err := unpackModule(embeddedModule)
	if err != nil {
		t.Fatal(err)
	}
	old, err := sdk.FromWasm(capsuleFunction, code, build.Entry)
	if err != nil {
		t.Fatal(err)
	}
	if old.CID != fresh.CID {
		t.Errorf("the module is stale: it is %s, its source makes %s with this toolchain; run UPDATE_GOLDEN=1 go test ./testnet/demo", old.CID, fresh.CID)
	}
}

// TestGraph holds that the copy of the import graph has a row for this project's packages, and packs as it is read.
func TestGraph(t *testing.T) {
	rows, err := readSources(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := packGraph(rows)
	if err != nil {
		t.Fatal(err)
	}
	if update {
		if err := os.WriteFile("graph.json.gz", b, 0o644); err != nil {
			t.Fatal(err)
		}
		embeddedGraph = b
	}
	again, err := unpackGraph(b)
	if err != nil || !reflect.DeepEqual(again, rows) {
		t.Errorf("%d rows were packed, %d unpacked, not the same (%v)", len(rows), len(again), err)
	}
	copied, err := unpackGraph(embeddedGraph)
	if err != nil || len(copied) < 500 || len(copied[subject].Imports) == 0 {
		t.Errorf("the copy has %d rows, %d imports of %s (%v)", len(copied), len(copied[subject].Imports), subject, err)
	}
}
