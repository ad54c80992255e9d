package wasm

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/internal/spectest/suite"
)

type specCommand struct {
	Type       string `json:"type"`
	Line       int    `json:"line"`
	Filename   string `json:"filename"`
	Text       string `json:"text"`
	ModuleType string `json:"module_type"`
}

// specModules calls fn for every command of the suite that brings a binary module.
func specModules(t testing.TB, fn func(script string, c specCommand, wasm []byte)) {
	t.Helper()
	tests := suite.Open(t)
	for _, script := range tests.Scripts() {
		for _, c := range suite.Commands[specCommand](tests, script) {
			if c.Filename != "" && c.ModuleType != "text" {
				fn(strings.TrimSuffix(path.Base(script), ".json"), c, tests.Beside(script, c.Filename))
			}
		}
	}
}

// TestSpec decodes every binary module of the specification's suite and expects what the suite says.
func TestSpec(t *testing.T) {
	var accepted, refused, kinds int
	specModules(t, func(script string, c specCommand, b []byte) {
		m, err := Decode(b, 0)
		var e *Error
		errors.As(err, &e)
		switch c.Type {
		case "assert_malformed", "assert_invalid":
			refused++
			if err == nil {
				t.Errorf("%s:%d: accepted, want %s: %s", script, c.Line, c.Type, c.Text)
				return
			}
			if want := strings.TrimPrefix(c.Type, "assert_"); e.Kind.String() != want {
				kinds++
				t.Logf("%s:%d: %v, want %s: %s", script, c.Line, err, c.Type, c.Text)
			}
		default:
			accepted++
			if err != nil {
				t.Errorf("%s:%d: %v", script, c.Line, err)
				return
			}
			checkModule(t, m)
		}
	})
	t.Logf("%d modules accepted, %d refused, %d of them for another kind of reason", accepted, refused, kinds)
}

// checkModule reads everything that a valid module offers.
func checkModule(t testing.TB, m *Module) {
	t.Helper()
	for i := range m.Code {
		fn := m.NumImportedFuncs + uint32(i)
		var in Instr
		next := m.Code[i].Off
		for r := NewReader(m, &m.Code[i]); r.Next(&in); {
			if in.Off != next {
				t.Fatalf("function %d: instruction at %d, expected at %d", fn, in.Off, next)
			}
			next = in.Next
			if in.Op == OpBrTable {
				n := uint32(0)
				for ts := m.Targets(&in); ; n++ {
					if _, ok := ts.Next(); !ok {
						break
					}
				}
				if n != in.X+1 {
					t.Fatalf("br_table at %d: %d labels of %d", in.Off, n, in.X+1)
				}
			}
		}
		if next != m.Code[i].End {
			t.Fatalf("function %d: reader stops at %d, code ends at %d", fn, next, m.Code[i].End)
		}
	}
}
