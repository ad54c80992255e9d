package hostabi

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/vm/wasm"
)

// TestWIT holds kitwork.wit and the table of imports to one another: names, order and lowered types.
func TestWIT(t *testing.T) {
	text, err := os.ReadFile("kitwork.wit")
	if err != nil {
		t.Fatal(err)
	}
	type sig struct {
		name            string
		params, results []wasm.ValType
	}
	var want []sig
	iface := ""
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^interface (\w+) {`).FindStringSubmatch(line); m != nil {
			iface = m[1]
		}
		m := regexp.MustCompile(`^  (\w+): func\((.*?)\)(?: -> ([^;]+))?;`).FindStringSubmatch(line)
		if m == nil {
			continue
		}
		s := sig{name: module(iface) + " " + m[1]}
		for p := range strings.SplitSeq(m[2], ", ") {
			switch _, typ, _ := strings.Cut(p, ": "); typ {
			case "":
			case "u64":
				s.params = append(s.params, wasm.I64)
			case "string", "list<u8>":
				s.params = append(s.params, wasm.I32, wasm.I32)
			default:
				s.params = append(s.params, wasm.I32)
			}
		}
		switch list := m[3] == "string" || strings.Contains(m[3], "list"); {
		case s.name == module("random")+" fill": // its length is the capacity
			s.params, s.results = []wasm.ValType{wasm.I32, wasm.I32}, []wasm.ValType{wasm.I32}
		case list:
			s.params, s.results = append(s.params, wasm.I32, wasm.I32), []wasm.ValType{wasm.I32}
		case m[3] == "u64":
			s.results = []wasm.ValType{wasm.I64}
		case m[3] != "":
			s.results = []wasm.ValType{wasm.I32}
		}
		want = append(want, s)
	}
	if len(want) != len(calls) {
		t.Fatalf("%d functions in the file, %d in the table", len(want), len(calls))
	}
	for i, c := range calls {
		w := want[i]
		if c.module+" "+c.name != w.name || !slices.Equal(c.params, w.params) || !slices.Equal(c.results, w.results) {
			t.Errorf("%s %s %v -> %v; the file has %s %v -> %v", c.module, c.name, c.params, c.results, w.name, w.params, w.results)
		}
	}
	names := regexp.MustCompile(`(?m)^    ([a-z-]+), +//`).FindAllStringSubmatch(string(text), -1)
	for i, m := range names {
		if got := strings.ReplaceAll(Errno(-1-i).Error(), " ", "-"); !strings.HasPrefix(got, m[1]) {
			t.Errorf("error %d is %s, %s in the file", -1-i, got, m[1])
		}
	}
	if len(names) != int(-ErrUnsupported) {
		t.Errorf("%d errors in the file", len(names))
	}
}
