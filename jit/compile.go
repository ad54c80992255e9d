package jit

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/kitwork/kwnode/internal/code"
	. "github.com/kitwork/kwnode/jit/internal/amd64" //lint:ignore ST1001 an assembler reads as one
	"github.com/kitwork/kwnode/vm/wasm"
)

// Registers with a fixed meaning. RAX is scratch: no value stays in it from
// one instruction of register code to the next.
const (
	regFrame   = RBX // the frame's first slot
	regMachine = R12
	regMem     = R13 // base of memory 0
	regGas     = R15
	scratch    = RAX
)

// pinRegs hold locals throughout a function, tempRegs operands within a block.
var (
	pinRegs  = []Reg{RDI, RBP, R8, R9, R10, R11, R14}
	tempRegs = []Reg{RCX, RDX, RSI}
	pinXmm   = []Xmm{6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	tempXmm  = []Xmm{2, 3, 4, 5}
)

const (
	scratchX  Xmm = 0
	scratchX2 Xmm = 1
)

// pin is a local that lives in a register.
type pin struct {
	slot   uint16
	float  bool
	vector bool // of two slots; float is not set
	reg    uint8
	// lazy: every value it is given is a number or an arithmetic result, so
	// its NaN may stay as the processor made it until it can be seen.
	lazy  bool
	width uint8  // of a float: 32 or 64; of a vector's lanes while it is lazy
	value *chain // what it holds in a loop, if that is no local
}

// temp is an operand whose home slot has not been written.
type temp struct {
	slot  uint16
	kind  tempKind
	reg   uint8
	nan   uint8 // 32 or 64 if the value may be a NaN that isn't canonical yet
	clean bool  // the home slot holds the value as well
	held  bool  // the register is a pin's
	value uint64
}

type tempKind uint8

const (
	inReg tempKind = iota
	inXmm
	isConst
	inVector // of two slots
)

// output is the code of one function, at offsets from its beginning.
type output struct {
	code  []byte
	enter uint32 // where Go enters: loads every pin and jumps to the machine's target
	// entries are the places where Go may go on, ascending by word.
	entries []entry
	inlined []uint32 // the callee of each call that is inlined
	kept    int      // values and locals that loops have in registers of their own
	// unchecked is how many loops have a copy that needs no bounds checks.
	unchecked int
}

// entry is a place in register code with its machine code.
type entry struct{ pc, at uint32 }

type compiler struct {
	lay *code.Layout
	m   *wasm.Module
	f   *code.Func
	s   *shape

	b       []byte
	at      []int32 // of each word, -1 where there is no code
	jumps   []patch
	entries []entry
	cold    []coldPath
	late    []func() // entries behind calls

	pins     []pin   // those of the whole function, then those of loops
	fixed    int     // how many are of the whole function
	shared   uint64  // pins of loops, and those whose registers they have
	hoist    []uint8 // of each word, what of its instruction is computed before a loop
	block    int     // the current one, of flows
	active   []uint8 // pins of locals in the current block's loops
	pinOf    []int8  // of each slot below the operands, -1 for none
	assigned uint64  // pins that some instruction writes
	valid    uint64  // pins whose register holds the value
	dirty    uint64  // pins whose home slot doesn't
	temps    []temp
	freeG    []Reg
	freeX    []Xmm
	heldG    []Reg // given back when the instruction is done
	heldX    []Xmm
	kept     []temp           // operands as they were when the instruction consumed them
	guards   map[uint32]guard // of memory accesses that are in a group
	joined   uint32           // words of the next instruction, if it was done with this one
	dead     bool             // nothing falls into the next instruction
	flows    []flow           // the blocks, in order
	credits  []credit         // of each block
	ahead    int32            // gas that is paid and that the current block doesn't cost
	copies   int32            // how many copies of the current block are still to come
	wants    []want           // of each block
	wantOf   []int32          // of the word that a block begins at, its place in wants
	versions []*version       // loops that there are two copies of, in the order of their heads
	version  []*version       // of each block, or nil if there are none
	copied   *version         // the loop of which a copy is made,
	fast     bool             // and which one: that without checks

	sites   map[uint32]*site  // calls that are inlined
	passing map[uint32]uint32 // moves that only pass an argument to a call that may be inlined
	elided  map[uint32]bool   // those of them that are left out
	reach   uint32            // slots of the frame, with those of the calls that are inlined

	wrong error // what checkJump found

	// Offsets of the function's shared exits.
	exitGas                      []gasExit
	gasExitOf                    map[uint64]int // by the pins that differ, places in exitGas
	exitCall, exitRare, exitStep patchList
	trapAt                       *[16]patchList
}

// patch is a 32-bit distance to fill in, to the code of a word.
type patch struct {
	at   int
	pc   uint32
	from int // offset that the distance counts from
}

// patchList is the distances that lead to one place.
type patchList []int

// gasExit is where blocks leave whose gas isn't covered and that begin with the
// same pins differing from home.
type gasExit struct {
	dirty uint64
	list  patchList
}

func (c *compiler) gasExit(dirty uint64) *patchList {
	i, ok := c.gasExitOf[dirty]
	if !ok {
		i = len(c.exitGas)
		if c.gasExitOf == nil {
			c.gasExitOf = map[uint64]int{}
		}
		c.gasExitOf[dirty] = i
		c.exitGas = append(c.exitGas, gasExit{dirty: dirty})
	}
	return &c.exitGas[i].list
}

// coldPath is code that stands behind the function: from jumps to it.
type coldPath struct {
	from int // offset of the 32-bit distance
	base int // offset that it counts from
	emit func()
}

// maxWords bounds the register code of a function that is compiled, which takes some 300 bytes of memory a word: about a
// megabyte of WebAssembly.
const maxWords = 1 << 19

// compile translates a function. lowered gives the register code of another one of the module, or nil.
func compile(lay *code.Layout, m *wasm.Module, f *code.Func, lowered func(uint32) *code.Func) (*output, error) {
	if len(f.Ins) > maxWords {
		return nil, fmt.Errorf("jit: function %d is too long: %d words of register code, at most %d are compiled; split it", f.Index, len(f.Ins), maxWords)
	}
	s, err := scan(m, f)
	if err != nil {
		return nil, err
	}
	c := &compiler{lay: lay, m: m, f: f, s: s, trapAt: new([16]patchList), at: make([]int32, len(f.Ins)), b: make([]byte, 0, 1024+14*len(f.Ins))}
	for i := range c.at {
		c.at[i] = -1
	}
	c.freeG, c.freeX = slices.Clone(tempRegs), slices.Clone(tempXmm)
	c.findSites(lowered)
	c.findFlows()
	loops := c.findLoops()
	c.weigh(loops)
	c.choosePins()
	c.planLoops(loops)
	c.solve(c.flows)
	c.findCredits()
	if checking {
		if err := c.checkCredits(); err != nil {
			return nil, err
		}
	}
	c.findGuards(loops)
	out := &output{inlined: c.inlined(), kept: len(c.pins) - c.fixed, unchecked: len(c.versions)}
	c.prologue() // the first code: where compiled code calls
	if err := c.body(); err != nil {
		return nil, err
	}
	c.coldPaths()
	for _, emit := range c.late {
		emit()
	}
	if c.wrong != nil {
		return nil, c.wrong
	}
	slices.SortFunc(c.entries, func(a, b entry) int { return int(a.pc) - int(b.pc) })
	out.enter = uint32(c.exits())
	for _, j := range c.jumps {
		to := c.at[j.pc]
		if to < 0 {
			return nil, fmt.Errorf("jit: function %d: jump to word %d, where no code is", f.Index, j.pc)
		}
		c.put32(j.at, to-int32(j.from))
	}
	out.code, out.entries = c.b, c.entries
	if checking {
		return out, checkOutput(out)
	}
	return out, nil
}

// choosePins gives registers to the locals that gain most from one.
func (c *compiler) choosePins() {
	c.pinOf = make([]int8, len(c.s.uses))
	var ints, floats []uint16 // floats and vectors share registers
	for slot, weight := range c.s.uses {
		c.pinOf[slot] = -1
		// A pin is written home and read back around each call: it must be
		// used more often than that.
		if weight == 0 || weight < c.callWeight() || c.s.half[slot] || c.isHeader(slot) {
			continue
		}
		if c.s.float[slot] != 0 || c.s.vector[slot] {
			floats = append(floats, uint16(slot))
		} else {
			ints = append(ints, uint16(slot))
		}
	}
	heavier := func(a, b uint16) int {
		switch x, y := c.s.uses[a], c.s.uses[b]; {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return int(a) - int(b)
	}
	slices.SortFunc(ints, heavier)
	slices.SortFunc(floats, heavier)
	for i, slot := range ints[:min(len(ints), len(pinRegs))] {
		c.addPin(pin{slot: slot, reg: uint8(pinRegs[i])})
	}
	for i, slot := range floats[:min(len(floats), len(pinXmm))] {
		c.addPin(pin{slot: slot, reg: uint8(pinXmm[i]), float: c.s.float[slot] != 0, vector: c.s.vector[slot], width: c.s.float[slot]})
	}
	c.fixed = len(c.pins)
	c.findAssigned()
}

func (c *compiler) isHeader(slot int) bool {
	h := int(c.f.Header)
	return slot == h || slot == h+1
}

func (c *compiler) addPin(p pin) {
	c.pinOf[p.slot] = int8(len(c.pins))
	c.pins = append(c.pins, p)
}

// pinAt returns the pin of a slot.
func (c *compiler) pinAt(slot uint16) (int, bool) {
	if int(slot) < len(c.pinOf) && c.pinOf[slot] >= 0 {
		return int(c.pinOf[slot]), true
	}
	return 0, false
}

// findAssigned finds the pins that are written and those whose NaNs may wait
// until somebody sees them.
func (c *compiler) findAssigned() {
	for i := range c.pins {
		p := &c.pins[i]
		// What the caller passed must be kept bit by bit.
		local := p.slot >= uint16(c.f.Header)
		p.lazy = (p.float || p.vector) && local
		if local {
			c.assigned |= 1 << i // cleared at entry
		}
	}
	n := uint32(len(c.f.Ins)) - 1
	for changed := true; changed; {
		changed = false
		for pc := uint32(0); pc < n; {
			in := decode(c.f.Ins, pc)
			for k, dst := range written(in) {
				i, ok := c.pinAt(dst)
				if !ok {
					continue
				}
				c.assigned |= 1 << i
				if p := &c.pins[i]; p.lazy {
					width := p.width
					p.lazy = c.mayWait(in, k, p)
					// Who copies it must learn of both.
					changed = changed || !p.lazy || p.width != width
				}
			}
			pc += in.size
		}
	}
}

// mayWait reports whether the k-th value that an instruction writes is a
// number, or a NaN that arithmetic made.
func (c *compiler) mayWait(in instruction, k int, p *pin) bool {
	isNumber := func(v uint64) bool {
		return v&0x7f800000 != 0x7f800000 && v>>32&0x7f800000 != 0x7f800000 && v>>52&0x7ff != 0x7ff
	}
	switch in.op {
	case code.RareBase + code.Op(wasm.OpV128Const):
		return isNumber(c.f.Ins[in.pc+1]) && isNumber(c.f.Ins[in.pc+2])
	case code.Const:
		return isNumber(uint64(in.imm()))
	case code.Const64:
		return isNumber(c.f.Ins[in.pc+1])
	case code.Mov, code.Mov2, code.MovV:
		src := in.b
		if k == 1 {
			src = in.c
		}
		i, ok := c.pinAt(src)
		return ok && c.pins[i].lazy && c.sameLanes(p, c.pins[i].width)
	}
	if p.vector {
		w := laneWidth(in.op)
		return w != 0 && c.sameLanes(p, w)
	}
	return nanWidth(in.op) != 0
}

// sameLanes fixes the width of a vector's lanes at the first that is seen; a
// local that holds both kinds can't wait.
func (c *compiler) sameLanes(p *pin, w uint8) bool {
	if p.vector && p.width == 0 {
		p.width = w
	}
	return p.width == w
}

// written lists the slots below the operands that an instruction may write.
func written(in instruction) []uint16 {
	op := in.op
	switch {
	case op == code.Mov2:
		return []uint16{in.a, in.a + 1}
	case op == code.Mov, op == code.MovV, op == code.Const, op == code.Const64, op == code.Select, op == code.GlobalGet, op == code.MemSize:
		return []uint16{in.a}
	case op < 0x28, op >= code.BrBase && op < code.RareBase:
		return nil
	case op >= code.RareBase:
		return []uint16{in.a}
	case isStore(wasm.Op(op &^ code.KBit)):
		return nil
	}
	return []uint16{in.a}
}

// patch fills in the distance at the end of a jump.
func (c *compiler) patch(at, to int) { c.put32(at, int32(to-at-4)) }

func (c *compiler) put32(at int, v int32) { binary.LittleEndian.PutUint32(c.b[at:], uint32(v)) }

// home is a slot in memory.
func home(slot uint16) Mem { return Mem{Base: regFrame, Disp: int32(slot) * 8} }

func (c *compiler) field(off int32) Mem { return Mem{Base: regMachine, Disp: off} }

// jcc jumps to a place behind the function that emit makes.
func (c *compiler) jcc(cond Cond, emit func()) {
	c.b = Jcc(c.b, cond, 0)
	c.cold = append(c.cold, coldPath{len(c.b) - 4, len(c.b), emit})
}

func (c *compiler) coldPaths() {
	// Making one may add others.
	for len(c.cold) > 0 {
		path := c.cold[0]
		c.cold = c.cold[1:]
		c.put32(path.from, int32(len(c.b)-path.base))
		path.emit()
	}
}

// jmpTo jumps to a shared exit.
func (c *compiler) jmpTo(list *patchList) {
	c.b = JMP(c.b, 0)
	*list = append(*list, len(c.b)-4)
}

func (c *compiler) here(list patchList) {
	for _, at := range list {
		c.patch(at, len(c.b))
	}
}

// trap is a cold path to a trap of the instruction at pc.
func (c *compiler) trap(cond Cond, trap uint8, pc uint32) {
	c.jcc(cond, c.out(&c.trapAt[trap], pc))
}

// out makes the way out of the current block at the instruction at pc, to a shared exit. It is called where that code
// belongs, which may be later.
func (c *compiler) out(list *patchList, pc uint32) func() {
	ahead := c.ahead
	return func() {
		c.giveBack(ahead)
		c.b = MOVRI(c.b, scratch, uint64(pc))
		c.jmpTo(list)
	}
}

// all is the pins of the whole function, which Go's entry loads.
func (c *compiler) all() uint64 { return 1<<c.fixed - 1 }
