// Package opgen writes a module for each opcode whose export run repeats it, fed with as little gas as a program that
// wants time for nothing would spend on it.
package opgen

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/kitwork/kwnode/vm/wasm"
)

// Case is one module: run(n) executes the opcode, or a sequence, Count times in each of n rounds.
type Case struct {
	Name  string
	Wasm  []byte
	Count float64
}

const copies = 64

// Locals of run, behind its parameter: two of each type, the second never written.
var localTypes = []wasm.ValType{wasm.I32, wasm.I64, wasm.F32, wasm.F64, wasm.V128, wasm.FuncRef}

func local(t wasm.ValType, second bool) byte {
	for i, l := range localTypes {
		if l == t {
			if second {
				return byte(2 + 2*i)
			}
			return byte(1 + 2*i)
		}
	}
	return 0
}

func uleb(b []byte, x uint64) []byte { return binary.AppendUvarint(b, x) }

func sleb(b []byte, x int64) []byte {
	for x < -64 || x > 63 {
		b = append(b, byte(x)|0x80)
		x >>= 7
	}
	return append(b, byte(x&0x7f))
}

func appendOp(b []byte, op wasm.Op) []byte {
	switch {
	case op >= wasm.PrefixSIMD:
		return uleb(append(b, 0xfd), uint64(op-wasm.PrefixSIMD))
	case op >= wasm.PrefixMisc:
		return uleb(append(b, 0xfc), uint64(op-wasm.PrefixMisc))
	}
	return append(b, byte(op))
}

// prologue gives the locals values that make their operations work: large dividends, small divisors, no round numbers.
func prologue() []byte {
	var b []byte
	set := func(t wasm.ValType, second bool, value ...byte) {
		b = append(append(b, value...), 0x21, local(t, second))
	}
	i32 := func(x int64) []byte { return sleb([]byte{0x41}, x) }
	i64 := func(x int64) []byte { return sleb([]byte{0x42}, x) }
	f32 := func(x float32) []byte { return binary.LittleEndian.AppendUint32([]byte{0x43}, math.Float32bits(x)) }
	f64 := func(x float64) []byte { return binary.LittleEndian.AppendUint64([]byte{0x44}, math.Float64bits(x)) }
	set(wasm.I32, false, i32(0x7eadbeef)...)
	set(wasm.I32, true, i32(7)...)
	set(wasm.I64, false, i64(0x7eadbeef12345678)...)
	set(wasm.I64, true, i64(7)...)
	set(wasm.F32, false, f32(12345.678)...)
	set(wasm.F32, true, f32(1.0001)...)
	set(wasm.F64, false, f64(12345.678)...)
	set(wasm.F64, true, f64(1.0001)...)
	set(wasm.V128, false, append(f64(12345.678), 0xfd, 0x14)...)
	set(wasm.V128, true, append(f32(1.0001), 0xfd, 0x13)...)
	return b
}

// immediates are what follows an opcode; ok is false for kinds that have a case of their own.
func immediates(k wasm.ImmKind) (b []byte, ok bool) {
	switch k {
	case wasm.ImmNone:
		return nil, true
	case wasm.ImmMemLane8, wasm.ImmMemLane16, wasm.ImmMemLane32, wasm.ImmMemLane64:
		return []byte{0, 8, 1}, true
	case wasm.ImmLane2, wasm.ImmLane4, wasm.ImmLane8, wasm.ImmLane16:
		return []byte{1}, true
	case wasm.ImmShuffle:
		return []byte{31, 0, 30, 1, 29, 2, 28, 3, 27, 4, 26, 5, 25, 6, 24, 7}, true
	}
	if _, isMem := k.AccessLog2(); isMem {
		return []byte{0, 8}, true
	}
	return nil, false
}

// Cases returns all of them.
func Cases() []Case {
	var all []Case
	for op := range wasm.Op(wasm.NumOps) {
		info := wasm.Info(op)
		if info == nil || info.Needs != 0 {
			continue
		}
		switch info.Class {
		case wasm.ClassControl, wasm.ClassCall, wasm.ClassTable, wasm.ClassMemory, wasm.ClassBulk, wasm.ClassReference:
			continue // see special
		}
		params, results, ok := op.Effect()
		imm, simple := immediates(info.Imm)
		if !ok || !simple || len(params) == 0 {
			continue
		}
		all = append(all, opcode(op, imm, params, results))
	}
	return append(all, special()...)
}

// opcode repeats an operation: on its own result if the types allow it, else on the locals.
func opcode(op wasm.Op, imm []byte, params, results []wasm.ValType) Case {
	info := wasm.Info(op)
	_, memory := info.Imm.AccessLog2()
	get := func(b []byte, i int) []byte {
		if memory && i == 0 {
			return append(b, 0x20, local(wasm.I32, true)) // a small address
		}
		return append(b, 0x20, local(params[i], i > 0))
	}
	var b []byte
	chain := len(results) == 1 && results[0] == params[0] && !memory
	if chain {
		b = get(b, 0)
	}
	for range copies {
		for i := range params {
			if !chain || i > 0 {
				b = get(b, i)
			}
		}
		b = append(appendOp(b, op), imm...)
		if !chain && len(results) == 1 {
			b = append(b, 0x1a)
		}
	}
	if chain {
		b = append(b, 0x1a)
	}
	return Case{info.Name, loop(module{}, b), copies}
}

// module is what stands around a loop.
type module struct {
	types []byte // of further functions, one type each
	funcs [][]byte
	data  []byte
}

// loop makes a module whose export run(n) repeats a body n times.
func loop(m module, body []byte) []byte {
	code := []byte{byte(len(localTypes))}
	for _, t := range localTypes {
		code = append(code, 2, byte(t))
	}
	code = append(code, prologue()...)
	code = append(code, 0x03, 0x40)
	code = append(code, body...)
	code = append(code, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x42, 0, 0x0b)
	section := func(b []byte, id byte, n int, content []byte) []byte {
		content = append(uleb(nil, uint64(n)), content...)
		return append(uleb(append(b, id), uint64(len(content))), content...)
	}
	sized := func(b []byte) []byte { return append(uleb(nil, uint64(len(b))), b...) }
	n := len(m.funcs)
	// Type 0 is run's, type 1 is () -> (), those of further functions follow.
	b := section([]byte("\x00asm\x01\x00\x00\x00"), 1, 2+n, append([]byte{0x60, 1, 0x7f, 1, 0x7e, 0x60, 0, 0}, m.types...))
	funcs, bodies := []byte{0}, sized(code)
	for i, f := range m.funcs {
		funcs = append(funcs, byte(2+i))
		bodies = append(bodies, sized(f)...)
	}
	b = section(b, 3, 1+n, funcs)
	b = section(b, 4, 1, []byte{0x70, 0, 0x80, 0x20}) // a table of 4,096
	b = section(b, 5, 1, []byte{0, 17})               // a memory of 17 pages
	b = section(b, 6, 1, []byte{0x7e, 1, 0x42, 1, 0x0b})
	b = section(b, 7, 1, append([]byte{3}, "run\x00\x00"...))
	last := uleb(nil, uint64(n))
	b = section(b, 9, 1, append(append([]byte{0, 0x41, 0, 0x0b}, uleb(nil, 4096)...), repeat(last, 4096)...))
	if m.data != nil {
		b = section(b, 12, 1, nil)
	}
	b = section(b, 10, 1+n, bodies)
	if m.data != nil {
		b = section(b, 11, 1, append([]byte{1}, sized(m.data)...))
	}
	return b
}

func repeat(b []byte, n int) []byte {
	out := make([]byte, 0, len(b)*n)
	for range n {
		out = append(out, b...)
	}
	return out
}

func counted(name string, n int, m module, body []byte) Case {
	return Case{name, loop(m, body), float64(n)}
}

// special are the opcodes whose effect isn't fixed, and sequences of several.
func special() []Case {
	x32, y32, x64 := local(wasm.I32, false), local(wasm.I32, true), local(wasm.I64, false)
	rep := func(name string, one ...byte) Case { return counted(name, copies, module{}, repeat(one, copies)) }
	i32 := func(x int64) []byte { return sleb([]byte{0x41}, x) }
	seq := func(parts ...[]byte) (b []byte) {
		for _, p := range parts {
			b = append(b, p...)
		}
		return b
	}
	bulk := func(name string, n int64, op ...byte) Case {
		return counted(fmt.Sprintf("%s of %d", name, n), 1, module{data: make([]byte, 1<<16)}, seq(i32(0), i32(1), i32(n), op))
	}
	misc := func(sub byte, imm ...byte) []byte { return append([]byte{0xfc, sub}, imm...) }
	empty := module{types: []byte{0x60, 0, 0}, funcs: [][]byte{{0, 0x0b}}}
	all := []Case{
		rep("block br", 0x02, 0x40, 0x0c, 0, 0x0b),
		rep("block br_if taken", 0x02, 0x40, 0x20, y32, 0x0d, 0, 0x0b),
		rep("if", 0x20, y32, 0x04, 0x40, 0x0b),
		rep("if else", 0x20, y32, 0x04, 0x40, 0x05, 0x0b),
		rep("compare, br_if not taken", 0x02, 0x40, 0x20, x32, 0x20, y32, 0x46, 0x0d, 0, 0x0b),
		rep("br_table", 0x02, 0x40, 0x02, 0x40, 0x20, y32, 0x0e, 1, 0, 1, 0x0b, 0x0b),
		rep("select", 0x20, x64, 0x20, x64, 0x20, y32, 0x1b, 0x21, x64),
		rep("local.get local.set", 0x20, x64, 0x21, x64+1),
		rep("i32.const local.set", 0x41, 5, 0x21, y32),
		rep("global.get drop", 0x23, 0, 0x1a),
		rep("global.get global.set", 0x23, 0, 0x24, 0),
		rep("memory.size drop", 0x3f, 0, 0x1a),
		rep("ref.null table.set", 0x41, 1, 0xd0, 0x70, 0x26, 0),
		rep("table.get drop", 0x41, 1, 0x25, 0, 0x1a),
		rep("table.size drop", 0xfc, 16, 0, 0x1a),
		rep("ref.func drop", 0xd2, 0, 0x1a),
		rep("memory.grow of 0", 0x41, 0, 0x40, 0, 0x1a),
		rep("memory.grow refused", 0x41, 0x7f, 0x40, 0, 0x1a),
		rep("table.grow of 0", 0xd0, 0x70, 0x41, 0, 0xfc, 15, 0, 0x1a),
		rep("v128.const drop", append(append([]byte{0xfd, 12}, make([]byte, 16)...), 0x1a)...),
		rep("data.drop", 0xfc, 9, 0),
		bulk("memory.fill", 0, misc(11, 0)...), bulk("memory.fill", 15, misc(11, 0)...), bulk("memory.fill", 1<<20, misc(11, 0)...),
		bulk("memory.copy", 0, misc(10, 0, 0)...), bulk("memory.copy", 15, misc(10, 0, 0)...), bulk("memory.copy", 1<<20, misc(10, 0, 0)...),
		bulk("memory.init", 15, misc(8, 0, 0)...), bulk("memory.init", 60000, misc(8, 0, 0)...),
		bulk("table.copy", 0, misc(14, 0, 0)...), bulk("table.copy", 4000, misc(14, 0, 0)...),
		counted("table.fill of 4000", 1, module{}, seq(i32(0), []byte{0xd0, 0x70}, i32(4000), misc(17, 0))),
		counted("call", copies, empty, repeat([]byte{0x10, 1}, copies)),
		counted("call_indirect", copies, empty, repeat([]byte{0x20, y32, 0x11, 2, 0}, copies)),
	}
	for i := range all {
		if all[i].Name == "data.drop" {
			all[i] = counted("data.drop", copies, module{data: []byte{1}}, repeat([]byte{0xfc, 9, 0}, copies))
		}
	}
	// Loads that miss every cache: a step of a page and a bit through a megabyte.
	miss := []byte{0x20, x32, 0x41, 0xc0, 0x20, 0x6a, 0x41, 0xff, 0xff, 0x3f, 0x71, 0x22, x32, 0x28, 0, 0, 0x1a}
	all = append(all, rep("load with a stride", miss...))
	return append(all, wide()...)
}

// wide are calls and branches that carry or clear much for one instruction.
func wide() []Case {
	const n = 1000
	results := append(uleb([]byte{0x60, 0}, n), repeat([]byte{0x7e}, n)...)
	consts := repeat([]byte{0x42, 0}, n)
	drops := repeat([]byte{0x1a}, n)
	// Type 3 is () -> 1000 i64; function 1 makes them, and each of the next calls the one before.
	m := module{types: results, funcs: [][]byte{append(append([]byte{0}, consts...), 0x0b)}}
	for i := range 64 {
		m.types = append(m.types, results...)
		m.funcs = append(m.funcs, []byte{0, 0x10, byte(1 + i), 0x0b})
	}
	relay := counted("call, 1000 results through 64", 65, m, append([]byte{0x10, 65}, drops...))

	nest := module{types: results, funcs: [][]byte{append(append([]byte{0}, consts...), 0x0b)}}
	body := append(repeat([]byte{0x02, 2, 0x41, 0}, 16), 0x10, 1)
	body = append(body, repeat([]byte{0x0c, 0, 0x0b}, 16)...)
	carry := counted("br, 1000 results out of 16", 16, nest, append(body, drops...))

	clear := module{types: []byte{0x60, 0, 0}, funcs: [][]byte{append(uleb([]byte{1}, 40000), 0x7e, 0x0b)}}
	return []Case{relay, carry,
		counted("call, 40000 locals", 8, clear, repeat([]byte{0x10, 1}, 8))}
}
