package wasm

import (
	"bytes"
	"strings"
	"testing"
)

func custom(name string, content ...[]byte) []byte {
	return section(secCustom, append([][]byte{sized([]byte(name))}, content...)...)
}

func funcNames(items ...[]byte) []byte { return section(nameFuncs, vec(items...)) }

func named(fn uint32, name string) []byte { return append(uleb(fn), sized([]byte(name))...) }

// namedModule has one imported and three defined functions; function 2 is exported.
func namedModule(extra ...[]byte) []byte {
	return module(append([][]byte{
		section(1, vec(funcType("", ""))), section(2, vec([]byte("\x03env\x04host\x00\x00"))), section(3, rep(3, []byte{0})),
		section(7, vec([]byte("\x03run\x00\x02"))), section(10, rep(3, code(nil, byte(OpCall), 0))),
	}, extra...)...)
}

func TestFuncName(t *testing.T) {
	names := func(b []byte) string {
		m := mustDecode(t, b, 0)
		var all []string
		for i := range uint32(5) {
			all = append(all, m.FuncName(i))
		}
		return strings.Join(all, ",")
	}
	for _, c := range []struct {
		what, want string
		b          []byte
	}{
		{"no name section", "env.host,,run,,", namedModule()},
		{"names before exports", "h,main.main,x,,", namedModule(custom("name", section(0, sized([]byte("mod"))), funcNames(named(0, "h"), named(1, "main.main"), named(2, "x"))))},
		{"no such function", "env.host,,run,c,", namedModule(custom("name", funcNames(named(9, "z"), named(3, "c"))))},
		{"control characters", "env.host,,run,,", namedModule(custom("name", funcNames(named(1, "a\x1b[2J"), named(3, "\xff"))))},
		{"too long", "env.host,,run,,", namedModule(custom("name", funcNames(named(1, strings.Repeat("a", maxNameBytes+1)))))},
		{"ends in a name", "env.host,a,run,,", namedModule(custom("name", []byte{nameFuncs, 6}, []byte{2}, named(1, "a"), []byte{3, 9}))},
		{"length out of bounds", "env.host,,run,,", namedModule(custom("name", []byte{nameFuncs, 99}, vec(named(1, "a"))))},
		{"broken number", "env.host,,run,,", namedModule(custom("name", []byte{nameFuncs, 0xff, 0xff, 0xff, 0xff, 0xff}))},
		{"empty", "env.host,,run,,", namedModule(custom("name"))},
	} {
		if got := names(c.b); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestCustomSection(t *testing.T) {
	m := mustDecode(t, namedModule(custom("a", []byte("1")), custom("b", []byte("22")), custom("b", []byte("3"))), 0)
	if b, ok := m.CustomSection("b"); !ok || string(b) != "22" {
		t.Errorf("%q %v", b, ok)
	}
	if b, ok := m.CustomSection("c"); ok || len(b) != 0 {
		t.Errorf("%q %v", b, ok)
	}
	wantError(t, module([]byte{secCustom, 2, 5, 'a'}), 0, Malformed, "length out of bounds")
	wantError(t, module([]byte{secCustom, 2, 1, 0xff}), 0, Malformed, "malformed UTF-8 encoding")
}

func TestFprint(t *testing.T) {
	b := module(
		section(1, vec(funcType("", ""), funcType("iv", "i"))),
		section(2, vec([]byte("\x03env\x04host\x00\x00"), []byte("\x03env\x01g\x03\x7f\x00"))),
		section(3, vec(uleb(1))),
		section(4, vec([]byte{0x70, 1, 2, 3})),
		section(5, vec([]byte{0, 1})),
		section(6, vec([]byte{0x7e, 1, byte(OpI64Const), 0x7e, byte(OpEnd)})),
		section(7, vec([]byte("\x02go\x00\x01"))),
		section(9, vec([]byte{0, byte(OpI32Const), 1, byte(OpEnd), 1, 0},
			[]byte{5, 0x70, 2, byte(OpRefNull), 0x70, byte(OpEnd), byte(OpRefFunc), 1, byte(OpEnd)})),
		section(10, vec(code([][]byte{group1(2, F64)},
			byte(OpBlock), 0x7f, byte(OpLoop), 0, byte(OpCall), 0, byte(OpEnd),
			byte(OpLocalGet), 0, byte(OpI32Load8U), 0, 0x80, 0x01, byte(OpLocalGet), 0, byte(OpBrTable), 1, 0, 1, byte(OpEnd),
			byte(OpLocalGet), 0, byte(OpF32Const), 0, 0, 0x80, 0x3f, byte(OpF32Store), 1, 0,
			byte(OpLocalGet), 0, byte(OpLocalGet), 1, 0xfd, 0x58, 0, 4, 3))),
		section(11, vec([]byte{0, byte(OpI32Const), 8, byte(OpEnd), 2, 'h', 'i'})),
	)
	want := `type 0: () -> ()
type 1: (i32 v128) -> (i32)
import func 0 "env" "host": type 0 () -> ()
import global 0 "env" "g": i32
table 0: 2 to 3 funcref
memory 0: at least 1 pages
global 1: mut i64 = i64.const -2
export "go": func 1

func 1 "go": type 1 (i32 v128) -> (i32)
  locals 2*f64
  000064    block i32
  000066      loop type 0
  000068        call 0 "env.host"
  00006a      end
  00006b      local.get 0
  00006d      i32.load8_u offset=128
  000071      local.get 0
  000073      br_table 0 1
  000077    end
  000078    local.get 0
  00007a    f32.const 1 (0x3f800000)
  00007f    f32.store align=2
  000082    local.get 0
  000084    local.get 1
  000086    v128.store8_lane offset=4 lane 3
  00008b  end
elem 0: active, 1 of funcref, table 0 at i32.const 1: 0
elem 1: passive, 2 of funcref: null 1
data 0: active, memory 0 at i32.const 8, 2 bytes
`
	var out strings.Builder
	if err := Fprint(&out, mustDecode(t, b, 0)); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(out.String(), "\n") // the first line has the hash
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestFprintIsBounded(t *testing.T) {
	var out bytes.Buffer
	for name, shape := range hostileShapes {
		b := shape(20_000)
		out.Reset()
		if err := Fprint(&out, mustDecode(t, b, 0)); err != nil {
			t.Fatal(err)
		}
		if out.Len() > 100*len(b)+1000 {
			t.Errorf("%s: %d bytes of text for a module of %d", name, out.Len(), len(b))
		}
	}
}
