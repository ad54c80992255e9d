package jit

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

func init() { checking = true } // for every test of this package

// compiled compiles the only function of a module.
func compiled(t *testing.T, module string) *output {
	t.Helper()
	m, err := wasm.Decode([]byte(module), 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := code.Lower(m, 0, func(t uint32) uint64 { return uint64(t) })
	if err != nil {
		t.Fatal(err)
	}
	lay := vm.NativeLayout()
	out, err := compile(&lay, m, f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCheckFindsWhatIsWrong: a compiler that lost a register, gave one away twice or left a value behind is caught.
func TestCheckFindsWhatIsWrong(t *testing.T) {
	fresh := func() *compiler {
		return &compiler{freeG: tempRegs, freeX: tempXmm, pinOf: []int8{0, -1}, pins: []pin{{slot: 0}}, valid: 1, assigned: 1,
			wants: []want{{valid: 1}}, wantOf: []int32{0}}
	}
	if err := fresh().checkBlock(0); err != nil {
		t.Fatalf("nothing is wrong: %v", err)
	}
	for want, spoil := range map[string]func(c *compiler){
		"0 taken":               func(c *compiler) { c.freeG = c.freeG[1:] },
		"1 taken":               func(c *compiler) { c.temps = []temp{{slot: 5, kind: inXmm, reg: uint8(c.freeX[0])}} },
		"two operands":          func(c *compiler) { c.temps = []temp{{slot: 5, kind: isConst}, {slot: 5, kind: isConst}} },
		"local slot 1":          func(c *compiler) { c.temps = []temp{{slot: 1, kind: isConst}} },
		"differ from home":      func(c *compiler) { c.valid, c.dirty = 0, 1 },
		"operands in registers": func(c *compiler) { c.temps = []temp{{slot: 5, kind: isConst}} },
	} {
		c := fresh()
		spoil(c)
		if err := c.check(); err == nil {
			err = c.checkBlock(0)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: got %v", want, err)
			}
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	for _, out := range []output{{code: make([]byte, 9), entries: []entry{{4, 1}, {3, 2}}}, {code: make([]byte, 9), entries: []entry{{4, 9}}}} {
		if checkOutput(&out) == nil {
			t.Errorf("%+v passed", out.entries)
		}
	}
}

// TestIndicesAreMasked: behind the comparison that decides about a table's index, the index itself is replaced, so that
// a processor that runs ahead of a wrong guess reads no address of the program's choice.
func TestIndicesAreMasked(t *testing.T) {
	// (func (param i32) (block (br_table 0 0 (local.get 0))))
	table := compiled(t, "\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x01\x7f\x00\x03\x02\x01\x00\x0a\x0d\x01\x0b\x00\x02\x40\x20\x00\x0e\x01\x00\x00\x0b\x0b")
	if !bytes.Contains(table.code, CMOVcc(ALURR(nil, CMP, 4, RCX, scratch), A, 4, RCX, scratch)) {
		t.Error("br_table jumps by an index that is only compared")
	}
	// (table 1 funcref) (func (param i32) (call_indirect (type 0) (local.get 0) (local.get 0)))
	indirect := compiled(t, "\x00asm\x01\x00\x00\x00\x01\x05\x01\x60\x01\x7f\x00\x03\x02\x01\x00\x04\x04\x01\x70\x00\x01\x0a\x0b\x01\x09\x00\x20\x00\x20\x00\x11\x00\x00\x0b")
	load := MOVRM(nil, 8, RDX, Mem{Base: RCX, Index: RDX, Scale: 8})
	before, _, found := bytes.Cut(indirect.code, load)
	if !found || !bytes.Contains(before, CMOVcc(nil, AE, 4, RDX, scratch)) {
		t.Error("call_indirect reads a table by an index that is only compared")
	}
}

// RefuseChecks has loops trap whose addresses must be checked one by one. It holds for what is compiled from then on.
func RefuseChecks(t *testing.T) {
	refuseChecks = true
	t.Cleanup(func() { refuseChecks = false })
}

// WithoutChecks has what is compiled from then on take the memory that it takes outside of tests.
func WithoutChecks(t *testing.T) {
	checking = false
	t.Cleanup(func() { checking = true })
}

// MaxWords is the longest function that is compiled, in words of register code.
const MaxWords = maxWords
