package wasm

// Besides types, the rules of control flow keep track of what execution can reach. That is stricter
// than the specification's notion, which knows unreachable code only to the end of the block it stands
// in: an end that neither falls through nor is branched to is dead here, and so is what follows it.
// Gas blocks and continuations rest on this.

// control applies the effect of a control instruction or a call.
func (v *validator) control(at int, op Op) *Error {
	switch op {
	case OpBlock, OpLoop:
		return v.open(at, op)
	case OpIf:
		if _, ok := v.pop(I32); !ok {
			return v.mismatch(at, I32)
		}
		return v.open(at, op)
	case OpElse:
		return v.otherwise(at)
	case OpEnd:
		return v.close(at)
	case OpBr:
		if err := v.popAll(at, v.branch(v.in.x)); err != nil {
			return err
		}
		v.unreachable()
	case OpBrIf:
		if _, ok := v.pop(I32); !ok {
			return v.mismatch(at, I32)
		}
		v.start = v.pos
		ts := v.branch(v.in.x)
		if err := v.popAll(at, ts); err != nil {
			return err
		}
		return v.pushAll(at, ts)
	case OpBrTable:
		if err := v.brTable(at); err != nil {
			return err
		}
		v.unreachable()
	case OpReturn:
		if err := v.popAll(at, v.typ.Results); err != nil {
			return err
		}
		v.unreachable()
	case OpUnreachable:
		v.unreachable()
	default:
		return v.call(at, op)
	}
	return nil
}

func (v *validator) call(at int, op Op) *Error {
	var t *FuncType
	if op == OpCall || op == OpReturnCall {
		t = &v.m.slotTypes[v.m.FuncTypes[v.in.x]]
	} else {
		t = &v.m.slotTypes[v.in.x]
		if _, ok := v.pop(I32); !ok {
			return v.mismatch(at, I32)
		}
	}
	if err := v.popAll(at, t.Params); err != nil {
		return err
	}
	if op == OpCall || op == OpCallIndirect {
		return v.pushAll(at, t.Results)
	}
	if string(asBytes(t.Results)) != string(asBytes(v.typ.Results)) {
		return v.fail(Invalid, at, "type mismatch: a tail call must give the caller's results")
	}
	v.unreachable()
	return nil
}

// unreachable ends the live part of the innermost block.
func (v *validator) unreachable() {
	v.blocks[len(v.blocks)-1].flags |= ctrlPolymorphic
	v.height = v.base
	v.dead = true
}

// branch notes a branch to a label and returns the types that it carries, by slots.
func (v *validator) branch(label uint32) []ValType {
	c := &v.blocks[len(v.blocks)-1-int(label)]
	if !v.dead {
		c.flags |= ctrlTargeted
	}
	params, results := v.blockType(c.block)
	if c.op == OpLoop {
		return params
	}
	return results
}

// arity is the number of values that a branch to a label carries.
func (v *validator) arity(label uint32) int {
	c := &v.blocks[len(v.blocks)-1-int(label)]
	params, results := v.m.BlockType(c.block)
	if c.op == OpLoop {
		return len(params)
	}
	return len(results)
}

// brTable checks the labels as it reads them, each label once however often it occurs.
func (v *validator) brTable(at int) *Error {
	if _, ok := v.pop(I32); !ok {
		return v.mismatch(at, I32)
	}
	v.serial++
	arity := -1
	for n := uint64(v.in.x) + 1; n > 0; n-- {
		var label uint32
		if v.pos < len(v.b) && v.b[v.pos] < 0x80 && int(v.b[v.pos]) < len(v.blocks) {
			label = uint32(v.b[v.pos])
			v.pos++
		} else {
			var err *Error
			if label, err = v.index(len(v.blocks), "label"); err != nil {
				return err
			}
		}
		c := &v.blocks[len(v.blocks)-1-int(label)]
		if c.checked == v.serial {
			continue
		}
		c.checked = v.serial
		if arity <= 0 && c.block == BlockEmpty {
			arity = 0
			if !v.dead {
				c.flags |= ctrlTargeted
			}
			continue
		}
		if arity < 0 {
			arity = v.arity(label)
		}
		if v.arity(label) != arity {
			return v.fail(Invalid, at, "type mismatch: labels of br_table carry different numbers of values")
		}
		height := v.height
		if err := v.popAll(at, v.branch(label)); err != nil {
			return err
		}
		v.height = height // popping leaves the entries in place
	}
	return nil
}

// jump notes a branch to a label that carries no values. It is false if the label is not of that sort.
func (v *validator) jump(label byte) bool {
	if label >= 0x80 || int(label) >= len(v.blocks) {
		return false
	}
	c := &v.blocks[len(v.blocks)-1-int(label)]
	if c.block != BlockEmpty {
		return false
	}
	if !v.dead {
		c.flags |= ctrlTargeted
	}
	return true
}

func (v *validator) open(at int, op Op) *Error {
	if len(v.blocks) >= MaxNesting {
		return v.fail(Limit, at, "more than %d blocks inside one another", MaxNesting)
	}
	params, _ := v.blockType(v.in.block)
	if err := v.popAll(at, params); err != nil {
		return err
	}
	v.enter(op, v.height, v.pos)
	v.blocks[len(v.blocks)-1].block = v.in.block
	return v.pushAll(at, params)
}

// enter opens a block of the empty type whose body begins at pos.
func (v *validator) enter(op Op, height, pos int) {
	c := ctrl{op: op, block: BlockEmpty, height: uint32(height)}
	if v.dead {
		c.flags = ctrlEntryDead
	}
	if op != OpBlock {
		v.start = pos
	}
	v.base = height
	v.blocks = append(v.blocks, c)
}

// leave checks that exactly the innermost block's results are on the stack, and drops them.
func (v *validator) leave(at int, results []ValType) *Error {
	if err := v.popAll(at, results); err != nil {
		return err
	}
	if v.height != v.base {
		return v.fail(Invalid, at, "type mismatch: %d slots remain at the end of the block", v.height-v.base)
	}
	return nil
}

func (v *validator) otherwise(at int) *Error {
	c := &v.blocks[len(v.blocks)-1]
	if c.op != OpIf {
		return v.fail(Malformed, at, "else without if")
	}
	params, results := v.blockType(c.block)
	if err := v.leave(at, results); err != nil {
		return err
	}
	if !v.dead {
		c.flags |= ctrlTargeted
	}
	c.op = OpElse
	c.flags &^= ctrlPolymorphic
	v.dead = c.flags&ctrlEntryDead != 0
	v.start = v.pos
	return v.pushAll(at, params)
}

func (v *validator) close(at int) *Error {
	c := &v.blocks[len(v.blocks)-1]
	params, results := v.blockType(c.block)
	if err := v.leave(at, results); err != nil {
		return err
	}
	if c.op == OpIf && string(asBytes(params)) != string(asBytes(results)) {
		return v.fail(Invalid, at, "type mismatch: if without else must give what it takes")
	}
	if len(v.blocks) == 1 {
		if v.pos != len(v.b) {
			return v.fail(Malformed, v.pos, "section size mismatch: code behind the function's end")
		}
		v.blocks = v.blocks[:0]
		return nil
	}
	v.exit(v.pos)
	return v.pushAll(at, results)
}

// exit closes the innermost block, behind whose end is pos.
func (v *validator) exit(pos int) {
	n := len(v.blocks) - 1
	c := &v.blocks[n]
	if c.op == OpIf && c.flags&ctrlEntryDead == 0 {
		c.flags |= ctrlTargeted // the false side
	}
	if c.op != OpLoop && c.flags&ctrlTargeted != 0 {
		v.dead = false
		v.start = pos
	}
	v.blocks = v.blocks[:n]
	v.base = int(v.blocks[n-1].height)
}
