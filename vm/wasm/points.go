package wasm

import "iter"

// Point is what validation knows before an instruction that execution can reach.
type Point struct {
	Off        uint32
	Op         Op
	BlockStart bool      // a gas block begins here: the point is a safepoint
	Operands   []ValType // valid until the next point
}

// TypesAt returns the types of the locals (parameters first) and of the operands before the
// instruction at offset off of function fn. ok is false if off is not an instruction of fn, or if no
// execution can reach it. It validates the function again up to off.
func (m *Module) TypesAt(fn, off uint32) (locals, operands []ValType, ok bool) {
	for p := range m.Points(fn, []uint32{off}) {
		return m.AppendLocals(nil, fn), append([]ValType{}, p.Operands...), true
	}
	return nil, nil, false
}

// Points yields those of the given offsets that are reachable instructions of function fn, in one pass
// over the function; offs must ascend. The offsets may come from anywhere.
func (m *Module) Points(fn uint32, offs []uint32) iter.Seq[Point] {
	return func(yield func(Point) bool) {
		v, body, ok := m.revalidate(fn)
		if !ok {
			return
		}
		defer v.release()
		var operands []ValType
		for _, off := range offs {
			if off < uint32(v.pos) {
				continue
			}
			if off >= body.End || v.run(int(off)) != nil {
				return
			}
			if v.pos != int(off) || v.dead {
				continue
			}
			operands = operands[:0]
			for i := 0; i < v.height; i++ {
				operands = append(operands, v.stack[i])
				if v.stack[i] == V128 {
					i++
				}
			}
			op := opAt(m.Bytes, off)
			if !yield(Point{Off: off, Op: op, BlockStart: v.startsBlock(op), Operands: operands}) {
				return
			}
		}
	}
}

// GasBlock is a run of instructions that is paid for as a whole before its first instruction.
type GasBlock struct {
	Off   uint32 // of the first instruction
	Gas   uint64 // sum of the weights of its reachable instructions and of what its branches carry
	Sized bool   // the first instruction has a charge on top that depends on a size
}

// Blocks yields the gas blocks of function fn under MeterVersion, in the order of the code. This is
// the definition of the division: every way to run the function must charge exactly these.
//
// A block begins where the function does, behind loop, if, else and br_if, behind an end that a
// reachable branch leads to (the false side of an if without else, and the jump over an else, are such
// branches; the function's own end has nothing behind it), and at each instruction whose charge
// depends on a size. Instructions that nothing reaches cost nothing and belong to no block.
func (m *Module) Blocks(fn uint32) iter.Seq[GasBlock] {
	return func(yield func(GasBlock) bool) {
		v, body, ok := m.revalidate(fn)
		if !ok {
			return
		}
		defer v.release()
		var block GasBlock
		open := false
		for v.pos < int(body.End) {
			if !v.dead {
				op := opAt(m.Bytes, uint32(v.pos))
				if v.startsBlock(op) {
					if open && !yield(block) {
						return
					}
					block, open = GasBlock{Off: uint32(v.pos), Sized: Sized(op)}, true
				}
				block.Gas += uint64(opTable[op].Gas) + v.carryGas(op)
			}
			if v.run(v.pos+1) != nil {
				return
			}
		}
		if open {
			yield(block)
		}
	}
}

// carryGas is CarryGas of the branch in front of the validator, nothing for other instructions. All labels of a br_table
// have as many slots, so the first one tells.
func (v *validator) carryGas(op Op) uint64 {
	if op != OpBr && op != OpBrIf && op != OpBrTable {
		return 0
	}
	c := cursor{b: v.m.Bytes, pos: v.pos + 1}
	label := c.fastU32()
	if op == OpBrTable {
		label = c.fastU32() // behind the count
	}
	b := &v.blocks[len(v.blocks)-1-int(label)]
	params, results := v.m.BlockType(b.block)
	if b.op == OpLoop {
		return CarryGas(params)
	}
	return CarryGas(results)
}

func (v *validator) startsBlock(op Op) bool { return v.start == v.pos || Sized(op) }

// revalidate stands at the first instruction of a defined function.
func (m *Module) revalidate(fn uint32) (*validator, *Body, bool) {
	if fn < m.NumImportedFuncs || int(fn) >= len(m.FuncTypes) {
		return nil, nil, false
	}
	body := &m.Code[fn-m.NumImportedFuncs]
	v := newValidator(m, nil)
	var again Body
	if v.begin(fn, &again, int(body.localsOff), int(body.End)) != nil {
		v.release()
		return nil, nil, false
	}
	return v, body, true
}

// opAt reads the opcode of an instruction.
func opAt(b []byte, off uint32) Op {
	op := Op(b[off])
	if op == 0xfc || op == 0xfd {
		c := cursor{b: b, pos: int(off) + 1}
		return (op-0xfb)<<8 | Op(c.fastU32())
	}
	return op
}
