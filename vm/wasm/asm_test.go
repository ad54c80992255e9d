package wasm

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// A module is assembled from these pieces; they do not check anything.

func uleb(x uint32) []byte {
	var b []byte
	for x >= 0x80 {
		b = append(b, byte(x)|0x80)
		x >>= 7
	}
	return append(b, byte(x))
}

func vec(items ...[]byte) []byte {
	return append(uleb(uint32(len(items))), bytes.Join(items, nil)...)
}

func sized(b []byte) []byte { return append(uleb(uint32(len(b))), b...) }

func section(id byte, content ...[]byte) []byte {
	return append([]byte{id}, sized(bytes.Join(content, nil))...)
}

func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), bytes.Join(sections, nil)...)
}

func funcType(params, results string) []byte {
	letters := map[rune]ValType{'i': I32, 'I': I64, 'f': F32, 'F': F64, 'v': V128, 'r': FuncRef, 'x': ExternRef}
	b := []byte{0x60}
	for _, list := range []string{params, results} {
		b = append(b, uleb(uint32(len(list)))...)
		for _, c := range list {
			b = append(b, byte(letters[c]))
		}
	}
	return b
}

// code is a body: groups of locals, then the instructions without the final end.
func code(locals [][]byte, instrs ...byte) []byte {
	return sized(append(append(vec(locals...), instrs...), byte(OpEnd)))
}

func group1(n uint32, t ValType) []byte { return append(uleb(n), byte(t)) }

// oneFunc is a module with one memory and one function.
func oneFunc(params, results string, locals [][]byte, instrs ...byte) []byte {
	return module(section(1, vec(funcType(params, results))), section(3, vec(uleb(0))), section(5, vec([]byte{0, 1})),
		section(10, vec(code(locals, instrs...))))
}

func mustDecode(t testing.TB, b []byte, f Features) *Module {
	t.Helper()
	m, err := Decode(b, f)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func wantError(t testing.TB, b []byte, f Features, kind ErrorKind, rule string) {
	t.Helper()
	_, err := Decode(b, f)
	var e *Error
	if !errors.As(err, &e) || e.Kind != kind || !strings.Contains(e.Rule, rule) {
		t.Errorf("got %v, want %s: %s", err, kind, rule)
	}
}

func TestErrorNamesOffsetFunctionAndRule(t *testing.T) {
	b := module(section(1, vec(funcType("", ""))), section(2, vec([]byte("\x01m\x01n\x00\x00"))), section(3, vec(uleb(0), uleb(0))),
		section(10, vec(code(nil), code(nil, byte(OpNop), byte(OpI32Const), 1))))
	_, err := Decode(b, 0)
	var e *Error
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	if at := uint32(len(b) - 1); e.Kind != Invalid || e.Func != 2 || e.Offset != at || !strings.HasPrefix(e.Rule, "type mismatch") {
		t.Fatalf("%+v, want an invalid function 2 at offset %d", *e, at)
	}
	if want := "wasm: invalid module: type mismatch: 1 slots remain at the end of the block in function 2 at byte 0x27"; e.Error() != want {
		t.Fatalf("%q, want %q", e, want)
	}
}

func TestLEB(t *testing.T) {
	for _, c := range []struct {
		in   string
		want uint32
		next int
	}{
		{"\x00", 0, 1}, {"\x7f", 127, 1}, {"\x80\x01", 128, 2}, {"\x80\x80\x80\x80\x00", 0, 5}, {"\xff\xff\xff\xff\x0f", 1<<32 - 1, 5},
		{"\xff\xff\xff\xff\x1f", 0, lebTooLarge}, {"\x80\x80\x80\x80\x80\x00", 0, lebTooLong}, {"\x80", 0, lebEnd}, {"", 0, lebEnd},
	} {
		if x, next := readU32([]byte(c.in), 0); x != c.want || next != c.next {
			t.Errorf("unsigned %x: %d, %d; want %d, %d", c.in, x, next, c.want, c.next)
		}
	}
	for _, c := range []struct {
		in   string
		bits uint
		want int64
		next int
	}{
		{"\x00", 32, 0, 1}, {"\x7f", 32, -1, 1}, {"\x40", 32, -64, 1}, {"\xc0\x00", 32, 64, 2}, {"\xff\x7f", 32, -1, 2},
		{"\xff\xff\xff\xff\x07", 32, 1<<31 - 1, 5}, {"\x80\x80\x80\x80\x78", 32, -1 << 31, 5},
		{"\xff\xff\xff\xff\x0f", 32, 0, lebTooLarge}, {"\x80\x80\x80\x80\x70", 32, 0, lebTooLarge},
		{"\xff\xff\xff\xff\x0f", 33, 1<<32 - 1, 5}, {"\xff\xff\xff\xff\x1f", 33, 0, lebTooLarge},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x7f", 64, -1 << 63, 10}, {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00", 64, 1<<63 - 1, 10},
		{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 64, 0, lebTooLarge}, {"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 64, 0, lebTooLong},
		{"\x80\x80", 64, 0, lebEnd},
	} {
		x, next := readSigned([]byte(c.in), 0, c.bits)
		if x != c.want || next != c.next {
			t.Errorf("signed %x of %d bits: %d, %d; want %d, %d", c.in, c.bits, x, next, c.want, c.next)
		}
		if next > 0 {
			trusted := cursor{b: []byte(c.in)}
			if y := trusted.fastS64(); y != x || trusted.pos != next {
				t.Errorf("signed %x read again: %d, %d; want %d, %d", c.in, y, trusted.pos, x, next)
			}
		}
	}
}

func TestReaderFields(t *testing.T) {
	b := oneFunc("v", "v", nil,
		byte(OpLocalGet), 0, byte(OpI32Const), 0x7f, 0xfd, 0x58, 0x00, 0x85, 0x02, 7, // v128.store8_lane offset 261 lane 7
		byte(OpF64Const), 1, 2, 3, 4, 5, 6, 7, 8, byte(OpDrop),
		byte(OpLocalGet), 0)
	// The operands of the store stand the wrong way round above: address first.
	b = bytes.Replace(b, []byte{byte(OpLocalGet), 0, byte(OpI32Const), 0x7f, 0xfd}, []byte{byte(OpI32Const), 0x7f, byte(OpLocalGet), 0, 0xfd}, 1)
	m := mustDecode(t, b, 0)
	var got []Instr
	var in Instr
	r := NewReader(m, &m.Code[0])
	for r.Next(&in) {
		got = append(got, in)
	}
	ops := []Op{OpI32Const, OpLocalGet, OpV128Store8Lane, OpF64Const, OpDrop, OpLocalGet, OpEnd}
	if !slices.EqualFunc(got, ops, func(in Instr, op Op) bool { return in.Op == op }) {
		t.Fatalf("%v", got)
	}
	if got[0].Const != ^uint64(0) || got[2].Offset != 261 || got[2].Lane != 7 || got[3].Const != 0x0807060504030201 {
		t.Fatalf("%+v", got)
	}
	if f := m.Code[0].FrameSlots; f != 2+3 || m.Code[0].LocalSlots != 2 {
		t.Fatalf("frame of %d slots, %d of them locals", f, m.Code[0].LocalSlots)
	}
}
