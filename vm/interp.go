package vm

import (
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/kitwork/kwnode/internal/code"
	"github.com/kitwork/kwnode/vm/wasm"
)

// exit says why the interpreter's loop returned.
type exit int

const (
	exitGas    exit = iota // a block's charge isn't covered; m.pc is its Charge, nothing was taken
	exitTrap               // m.trap says why; m.pc is at the instruction or the word behind it
	exitCall               // m.pc is a call that the loop can't make itself
	exitReturn             // a frame returned whose header has tag bits; m.fp is that frame, m.header its header
	exitError              // m.err: the engine's failure; m.pc is the block's Charge
)

const (
	canonicalNaN32 = 0x7fc00000
	canonicalNaN64 = 0x7ff8000000000000
)

// interpret is the interpreter's loop.
//
// Invariant: pc points into the Ins of a code.Func that a module of the store holds; fp at a frame whose Frame slots lie
// inside the stack; lowering emits only slot numbers below Frame; mem has memLen bytes. So every access below is inside
// what it belongs to: slots by lowering, memory by an explicit check in 64-bit arithmetic that can't wrap.
//
// The five loop variables stay in registers; everything else is loaded where it is needed. Whatever would need a call
// in its case stands in rare, behind the single call of the default case.
func (m *machine) interpret() exit {
	pc, fp, mem, memLen, gas := m.pc, m.fp, m.mem, m.memLen, m.gas
	var (
		f   *code.Func
		nfp unsafe.Pointer
		ea  uint64
	)
	for {
		switch opAt(pc) {
		case code.Charge:
			gas -= int64(immAt(pc)) * unit
			if metered && gas < 0 {
				gas += int64(immAt(pc))
				goto shortfall
			}
			pc = unsafe.Add(pc, 8)
			continue
		case code.Br:
			gas -= int64(aAt(pc)) * unit
			if metered && gas < 0 {
				gas += int64(aAt(pc))
				pc = unsafe.Add(pc, int(int32(immAt(pc)))*8-8)
				goto shortfall
			}
			pc = unsafe.Add(pc, int(int32(immAt(pc)))*8)
			continue
		case code.BrTable:
			i := min(u32(fp, aAt(pc)), immAt(pc))
			w := word(pc, 8+uintptr(i)*8)
			pc = unsafe.Add(pc, int(int32(uint32(w)))*8)
			gas -= int64(w>>32) * unit
			if metered && gas < 0 {
				gas += int64(w >> 32)
				pc = unsafe.Add(pc, -8)
				goto shortfall
			}
			continue
		case code.Mov:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Mov2:
			x, y := slot(fp, bAt(pc)), slot(fp, cAt(pc))
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 8)
			continue
		case code.MovV:
			x, y := slot(fp, bAt(pc)), slot(fp, bAt(pc)+1)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Const:
			setSlot(fp, aAt(pc), uint64(immAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Const64:
			setSlot(fp, aAt(pc), word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Select:
			v := slot(fp, cAt(pc))
			if u32(fp, uint16(word(pc, 8))) != 0 {
				v = slot(fp, bAt(pc))
			}
			setSlot(fp, aAt(pc), v)
			pc = unsafe.Add(pc, 16)
			continue
		case code.GlobalGet:
			setSlot(fp, aAt(pc), word(m.globals, uintptr(immAt(pc))*8))
			pc = unsafe.Add(pc, 8)
			continue
		case code.GlobalSet:
			*(*uint64)(unsafe.Add(m.globals, uintptr(immAt(pc))*8)) = slot(fp, aAt(pc))
			pc = unsafe.Add(pc, 8)
			continue
		case code.MemSize:
			setSlot(fp, aAt(pc), memLen>>16)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Call:
			f = (*code.Func)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Add(m.funcs, uintptr(uint32(word(pc, 8)))*8))))
			if f == nil {
				goto slowCall
			}
			goto enter
		case code.CallIndir:
			{
				t := *(**Table)(unsafe.Add(m.tables, uintptr(cAt(pc))*8))
				i := u32(fp, bAt(pc))
				if i >= t.size {
					m.trap = TrapUndefined
					goto trapped
				}
				ref := word(t.base, uintptr(i)*8)
				if ref>>32 != m.cur>>32 {
					goto slowCall
				}
				f = (*code.Func)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Add(m.funcs, uintptr(uint32(ref))*8))))
				if f == nil {
					goto slowCall
				}
				if f.Sig != word(pc, 8) {
					m.trap = TrapSignature
					goto trapped
				}
			}
			goto enter
		case code.CallHost:
			goto slowCall
		case code.Return0:
			h := unsafe.Add(fp, uintptr(cAt(pc))*8)
			if word(h, 0)&tagMask != 0 {
				m.header = h
				goto slowReturn
			}
			m.cur = word(h, 8)
			pc = *(*unsafe.Pointer)(h)
			fp = unsafe.Add(fp, -(int(aAt(pc)) * 8))
			pc = unsafe.Add(pc, 16)
			m.depth++
			continue
		case code.Return1:
			h := unsafe.Add(fp, uintptr(cAt(pc))*8)
			setSlot(fp, 0, slot(fp, aAt(pc)))
			if word(h, 0)&tagMask != 0 {
				m.header = h
				goto slowReturn
			}
			m.cur = word(h, 8)
			pc = *(*unsafe.Pointer)(h)
			fp = unsafe.Add(fp, -(int(aAt(pc)) * 8))
			pc = unsafe.Add(pc, 16)
			m.depth++
			continue
		case code.Unreachable:
			m.trap = TrapUnreachable
			goto trapped
		case code.Op(wasm.OpI32Add):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Add) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Sub):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))-u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Sub) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))-uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Mul):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))*u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Mul) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))*uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32And):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32And) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Or):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))|u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Or) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))|uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Xor):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Xor) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Shl):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(u32(fp, cAt(pc))&31)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Shl) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32ShrU):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(u32(fp, cAt(pc))&31)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32ShrU) | code.KBit:
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32ShrS):
			setSlot(fp, aAt(pc), uint64(uint32(int32(u32(fp, bAt(pc)))>>(u32(fp, cAt(pc))&31))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32ShrS) | code.KBit:
			setSlot(fp, aAt(pc), uint64(uint32(int32(u32(fp, bAt(pc)))>>(uint32(word(pc, 8))&31))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Rotl):
			setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(u32(fp, cAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Rotl) | code.KBit:
			setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Rotr):
			setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), -int(u32(fp, cAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Rotr) | code.KBit:
			setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), -int(uint32(word(pc, 8))))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Add):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))+slot(fp, cAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Add) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))+word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Sub):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))-slot(fp, cAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Sub) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))-word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Mul):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))*slot(fp, cAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Mul) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))*word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64And):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))&slot(fp, cAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64And) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))&word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Or):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))|slot(fp, cAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Or) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))|word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Xor):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))^slot(fp, cAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Xor) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))^word(pc, 8))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Shl):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))<<(slot(fp, cAt(pc))&63))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Shl) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))<<(word(pc, 8)&63))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64ShrU):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))>>(slot(fp, cAt(pc))&63))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64ShrU) | code.KBit:
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))>>(word(pc, 8)&63))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64ShrS):
			setSlot(fp, aAt(pc), uint64(int64(slot(fp, bAt(pc)))>>(slot(fp, cAt(pc))&63)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64ShrS) | code.KBit:
			setSlot(fp, aAt(pc), uint64(int64(slot(fp, bAt(pc)))>>(word(pc, 8)&63)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Rotl):
			setSlot(fp, aAt(pc), bits.RotateLeft64(slot(fp, bAt(pc)), int(slot(fp, cAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Rotl) | code.KBit:
			setSlot(fp, aAt(pc), bits.RotateLeft64(slot(fp, bAt(pc)), int(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Rotr):
			setSlot(fp, aAt(pc), bits.RotateLeft64(slot(fp, bAt(pc)), -int(slot(fp, cAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Rotr) | code.KBit:
			setSlot(fp, aAt(pc), bits.RotateLeft64(slot(fp, bAt(pc)), -int(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Eq):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) == u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Eq) | code.KBit:
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) == uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32Eq):
			if u32(fp, aAt(pc)) == u32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32Eq):
			if u32(fp, aAt(pc)) == immAt(pc) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32Ne):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) != u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Ne) | code.KBit:
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) != uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32Ne):
			if u32(fp, aAt(pc)) != u32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32Ne):
			if u32(fp, aAt(pc)) != immAt(pc) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32LtS):
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) < i32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32LtS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) < int32(uint32(word(pc, 8)))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32LtS):
			if i32(fp, aAt(pc)) < i32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32LtS):
			if i32(fp, aAt(pc)) < int32(immAt(pc)) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32LtU):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) < u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32LtU) | code.KBit:
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) < uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32LtU):
			if u32(fp, aAt(pc)) < u32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32LtU):
			if u32(fp, aAt(pc)) < immAt(pc) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32GtS):
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) > i32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32GtS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) > int32(uint32(word(pc, 8)))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32GtS):
			if i32(fp, aAt(pc)) > i32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32GtS):
			if i32(fp, aAt(pc)) > int32(immAt(pc)) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32GtU):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) > u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32GtU) | code.KBit:
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) > uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32GtU):
			if u32(fp, aAt(pc)) > u32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32GtU):
			if u32(fp, aAt(pc)) > immAt(pc) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32LeS):
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) <= i32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32LeS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) <= int32(uint32(word(pc, 8)))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32LeS):
			if i32(fp, aAt(pc)) <= i32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32LeS):
			if i32(fp, aAt(pc)) <= int32(immAt(pc)) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32LeU):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) <= u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32LeU) | code.KBit:
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) <= uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32LeU):
			if u32(fp, aAt(pc)) <= u32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32LeU):
			if u32(fp, aAt(pc)) <= immAt(pc) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32GeS):
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) >= i32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32GeS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) >= int32(uint32(word(pc, 8)))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32GeS):
			if i32(fp, aAt(pc)) >= i32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32GeS):
			if i32(fp, aAt(pc)) >= int32(immAt(pc)) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32GeU):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) >= u32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32GeU) | code.KBit:
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) >= uint32(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI32GeU):
			if u32(fp, aAt(pc)) >= u32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32GeU):
			if u32(fp, aAt(pc)) >= immAt(pc) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI32Eqz):
			setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) == 0))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpI32Eqz):
			if u32(fp, aAt(pc)) == 0 {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI32Eqz):
			if u32(fp, aAt(pc)) != 0 {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64Eq):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) == slot(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Eq) | code.KBit:
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) == word(pc, 8)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64Eq):
			if slot(fp, aAt(pc)) == slot(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64Eq):
			if slot(fp, aAt(pc)) == uint64(int64(int32(immAt(pc)))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64Ne):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) != slot(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Ne) | code.KBit:
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) != word(pc, 8)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64Ne):
			if slot(fp, aAt(pc)) != slot(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64Ne):
			if slot(fp, aAt(pc)) != uint64(int64(int32(immAt(pc)))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64LtS):
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) < i64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64LtS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) < int64(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64LtS):
			if i64(fp, aAt(pc)) < i64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64LtS):
			if i64(fp, aAt(pc)) < int64(int32(immAt(pc))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64LtU):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) < slot(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64LtU) | code.KBit:
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) < word(pc, 8)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64LtU):
			if slot(fp, aAt(pc)) < slot(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64LtU):
			if slot(fp, aAt(pc)) < uint64(int64(int32(immAt(pc)))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64GtS):
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) > i64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64GtS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) > int64(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64GtS):
			if i64(fp, aAt(pc)) > i64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64GtS):
			if i64(fp, aAt(pc)) > int64(int32(immAt(pc))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64GtU):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) > slot(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64GtU) | code.KBit:
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) > word(pc, 8)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64GtU):
			if slot(fp, aAt(pc)) > slot(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64GtU):
			if slot(fp, aAt(pc)) > uint64(int64(int32(immAt(pc)))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64LeS):
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) <= i64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64LeS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) <= int64(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64LeS):
			if i64(fp, aAt(pc)) <= i64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64LeS):
			if i64(fp, aAt(pc)) <= int64(int32(immAt(pc))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64LeU):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) <= slot(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64LeU) | code.KBit:
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) <= word(pc, 8)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64LeU):
			if slot(fp, aAt(pc)) <= slot(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64LeU):
			if slot(fp, aAt(pc)) <= uint64(int64(int32(immAt(pc)))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64GeS):
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) >= i64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64GeS) | code.KBit:
			setSlot(fp, aAt(pc), bit(i64(fp, bAt(pc)) >= int64(word(pc, 8))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64GeS):
			if i64(fp, aAt(pc)) >= i64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64GeS):
			if i64(fp, aAt(pc)) >= int64(int32(immAt(pc))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64GeU):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) >= slot(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64GeU) | code.KBit:
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) >= word(pc, 8)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.BrBase + code.Op(wasm.OpI64GeU):
			if slot(fp, aAt(pc)) >= slot(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64GeU):
			if slot(fp, aAt(pc)) >= uint64(int64(int32(immAt(pc)))) {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpI64Eqz):
			setSlot(fp, aAt(pc), bit(slot(fp, bAt(pc)) == 0))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpI64Eqz):
			if slot(fp, aAt(pc)) == 0 {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpI64Eqz):
			if slot(fp, aAt(pc)) != 0 {
				goto taken
			}
			goto fall
		case code.Op(wasm.OpF32Eq):
			setSlot(fp, aAt(pc), bit(f32(fp, bAt(pc)) == f32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF32Eq):
			if f32(fp, aAt(pc)) == f32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF32Eq):
			if f32(fp, aAt(pc)) == f32(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF32Ne):
			setSlot(fp, aAt(pc), bit(f32(fp, bAt(pc)) != f32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF32Ne):
			if f32(fp, aAt(pc)) != f32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF32Ne):
			if f32(fp, aAt(pc)) != f32(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF32Lt):
			setSlot(fp, aAt(pc), bit(f32(fp, bAt(pc)) < f32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF32Lt):
			if f32(fp, aAt(pc)) < f32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF32Lt):
			if f32(fp, aAt(pc)) < f32(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF32Gt):
			setSlot(fp, aAt(pc), bit(f32(fp, bAt(pc)) > f32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF32Gt):
			if f32(fp, aAt(pc)) > f32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF32Gt):
			if f32(fp, aAt(pc)) > f32(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF32Le):
			setSlot(fp, aAt(pc), bit(f32(fp, bAt(pc)) <= f32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF32Le):
			if f32(fp, aAt(pc)) <= f32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF32Le):
			if f32(fp, aAt(pc)) <= f32(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF32Ge):
			setSlot(fp, aAt(pc), bit(f32(fp, bAt(pc)) >= f32(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF32Ge):
			if f32(fp, aAt(pc)) >= f32(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF32Ge):
			if f32(fp, aAt(pc)) >= f32(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF64Eq):
			setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) == f64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF64Eq):
			if f64(fp, aAt(pc)) == f64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF64Eq):
			if f64(fp, aAt(pc)) == f64(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF64Ne):
			setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) != f64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF64Ne):
			if f64(fp, aAt(pc)) != f64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF64Ne):
			if f64(fp, aAt(pc)) != f64(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF64Lt):
			setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) < f64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF64Lt):
			if f64(fp, aAt(pc)) < f64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF64Lt):
			if f64(fp, aAt(pc)) < f64(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF64Gt):
			setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) > f64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF64Gt):
			if f64(fp, aAt(pc)) > f64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF64Gt):
			if f64(fp, aAt(pc)) > f64(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF64Le):
			setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) <= f64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF64Le):
			if f64(fp, aAt(pc)) <= f64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF64Le):
			if f64(fp, aAt(pc)) <= f64(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpF64Ge):
			setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) >= f64(fp, cAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.BrBase + code.Op(wasm.OpF64Ge):
			if f64(fp, aAt(pc)) >= f64(fp, bAt(pc)) {
				goto taken
			}
			goto fall
		case code.BrKBase + code.Op(wasm.OpF64Ge):
			if f64(fp, aAt(pc)) >= f64(fp, bAt(pc)) {
				goto fall
			}
			goto taken
		case code.Op(wasm.OpI32DivU):
			y := u32(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))/y))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32RemU):
			y := u32(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))%y))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32DivS):
			x, y := i32(fp, bAt(pc)), i32(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			if x == -1<<31 && y == -1 {
				m.trap = TrapOverflow
				goto trapped
			}
			setSlot(fp, aAt(pc), uint64(uint32(x/y)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32RemS):
			y := i32(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			setSlot(fp, aAt(pc), uint64(uint32(i32(fp, bAt(pc))%y)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64DivU):
			y := slot(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))/y)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64RemU):
			y := slot(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))%y)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64DivS):
			x, y := i64(fp, bAt(pc)), i64(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			if x == -1<<63 && y == -1 {
				m.trap = TrapOverflow
				goto trapped
			}
			setSlot(fp, aAt(pc), uint64(x/y))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64RemS):
			y := i64(fp, cAt(pc))
			if y == 0 {
				goto divideByZero
			}
			setSlot(fp, aAt(pc), uint64(i64(fp, bAt(pc))%y))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Clz):
			setSlot(fp, aAt(pc), uint64(bits.LeadingZeros32(u32(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Ctz):
			setSlot(fp, aAt(pc), uint64(bits.TrailingZeros32(u32(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Clz):
			setSlot(fp, aAt(pc), uint64(bits.LeadingZeros64(slot(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Ctz):
			setSlot(fp, aAt(pc), uint64(bits.TrailingZeros64(slot(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32WrapI64):
			setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64ExtendI32S):
			setSlot(fp, aAt(pc), uint64(int64(i32(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Extend8S):
			setSlot(fp, aAt(pc), uint64(uint32(int32(int8(u32(fp, bAt(pc)))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Extend16S):
			setSlot(fp, aAt(pc), uint64(uint32(int32(int16(u32(fp, bAt(pc)))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Extend8S):
			setSlot(fp, aAt(pc), uint64(int64(int8(slot(fp, bAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Extend16S):
			setSlot(fp, aAt(pc), uint64(int64(int16(slot(fp, bAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Extend32S):
			setSlot(fp, aAt(pc), uint64(int64(i32(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Abs):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))&^(1<<31))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Neg):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))^1<<31)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Abs):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))&^(1<<63))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Neg):
			setSlot(fp, aAt(pc), slot(fp, bAt(pc))^1<<63)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Add):
			r := float32(f32(fp, bAt(pc)) + f32(fp, cAt(pc)))
			b := math.Float32bits(r)
			if r != r {
				b = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Sub):
			r := float32(f32(fp, bAt(pc)) - f32(fp, cAt(pc)))
			b := math.Float32bits(r)
			if r != r {
				b = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Mul):
			r := float32(f32(fp, bAt(pc)) * f32(fp, cAt(pc)))
			b := math.Float32bits(r)
			if r != r {
				b = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Div):
			r := float32(f32(fp, bAt(pc)) / f32(fp, cAt(pc)))
			b := math.Float32bits(r)
			if r != r {
				b = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Add):
			r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Add) | code.KBit:
			r := float64(f64(fp, bAt(pc)) + math.Float64frombits(word(pc, 8)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpF64Sub):
			r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Sub) | code.KBit:
			r := float64(f64(fp, bAt(pc)) - math.Float64frombits(word(pc, 8)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpF64Mul):
			r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Mul) | code.KBit:
			r := float64(f64(fp, bAt(pc)) * math.Float64frombits(word(pc, 8)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpF64Div):
			r := float64(f64(fp, bAt(pc)) / f64(fp, cAt(pc)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64Div) | code.KBit:
			r := float64(f64(fp, bAt(pc)) / math.Float64frombits(word(pc, 8)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpF64Sqrt):
			r := math.Sqrt(f64(fp, bAt(pc)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32Sqrt):
			r := float32(math.Sqrt(float64(f32(fp, bAt(pc)))))
			b := math.Float32bits(r)
			if r != r {
				b = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32DemoteF64):
			r := float32(f64(fp, bAt(pc)))
			b := math.Float32bits(r)
			if r != r {
				b = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64PromoteF32):
			r := float64(f32(fp, bAt(pc)))
			b := math.Float64bits(r)
			if r != r {
				b = canonicalNaN64
			}
			setSlot(fp, aAt(pc), b)
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64ConvertI32S):
			setSlot(fp, aAt(pc), math.Float64bits(float64(i32(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64ConvertI32U):
			setSlot(fp, aAt(pc), math.Float64bits(float64(u32(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF64ConvertI64S):
			setSlot(fp, aAt(pc), math.Float64bits(float64(i64(fp, bAt(pc)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32ConvertI32S):
			setSlot(fp, aAt(pc), uint64(math.Float32bits(float32(i32(fp, bAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32ConvertI32U):
			setSlot(fp, aAt(pc), uint64(math.Float32bits(float32(u32(fp, bAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpF32ConvertI64S):
			setSlot(fp, aAt(pc), uint64(math.Float32bits(float32(i64(fp, bAt(pc))))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Load), code.Op(wasm.OpF32Load), code.Op(wasm.OpI64Load32U):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+4 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Load) | code.KBit, code.Op(wasm.OpF32Load) | code.KBit, code.Op(wasm.OpI64Load32U) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+4 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Load), code.Op(wasm.OpF64Load):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+8 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Load) | code.KBit, code.Op(wasm.OpF64Load) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+8 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Load8S):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+1 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(uint32(*(*int8)(unsafe.Add(mem, ea)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Load8S) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+1 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(uint32(*(*int8)(unsafe.Add(mem, ea)))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Load8U), code.Op(wasm.OpI64Load8U):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+1 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Load8U) | code.KBit, code.Op(wasm.OpI64Load8U) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+1 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Load16S):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+2 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(uint32(*(*int16)(unsafe.Add(mem, ea)))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Load16S) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+2 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(uint32(*(*int16)(unsafe.Add(mem, ea)))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Load16U), code.Op(wasm.OpI64Load16U):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+2 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*uint16)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Load16U) | code.KBit, code.Op(wasm.OpI64Load16U) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+2 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*uint16)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Load8S):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+1 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*int8)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Load8S) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+1 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*int8)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Load16S):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+2 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*int16)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Load16S) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+2 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*int16)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Load32S):
			ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
			if ea+4 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*int32)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Load32S) | code.KBit:
			ea = uint64(u32(fp, bAt(pc))) + word(pc, 8)
			if ea+4 > memLen {
				goto outOfBounds
			}
			setSlot(fp, aAt(pc), uint64(*(*int32)(unsafe.Add(mem, ea))))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Store), code.Op(wasm.OpF32Store), code.Op(wasm.OpI64Store32):
			ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
			if ea+4 > memLen {
				goto outOfBounds
			}
			*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Store) | code.KBit, code.Op(wasm.OpF32Store) | code.KBit, code.Op(wasm.OpI64Store32) | code.KBit:
			ea = uint64(u32(fp, aAt(pc))) + word(pc, 8)
			if ea+4 > memLen {
				goto outOfBounds
			}
			*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI64Store), code.Op(wasm.OpF64Store):
			ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
			if ea+8 > memLen {
				goto outOfBounds
			}
			*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI64Store) | code.KBit, code.Op(wasm.OpF64Store) | code.KBit:
			ea = uint64(u32(fp, aAt(pc))) + word(pc, 8)
			if ea+8 > memLen {
				goto outOfBounds
			}
			*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Store8), code.Op(wasm.OpI64Store8):
			ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
			if ea+1 > memLen {
				goto outOfBounds
			}
			*(*uint8)(unsafe.Add(mem, ea)) = uint8(u32(fp, bAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Store8) | code.KBit, code.Op(wasm.OpI64Store8) | code.KBit:
			ea = uint64(u32(fp, aAt(pc))) + word(pc, 8)
			if ea+1 > memLen {
				goto outOfBounds
			}
			*(*uint8)(unsafe.Add(mem, ea)) = uint8(u32(fp, bAt(pc)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.Op(wasm.OpI32Store16), code.Op(wasm.OpI64Store16):
			ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
			if ea+2 > memLen {
				goto outOfBounds
			}
			*(*uint16)(unsafe.Add(mem, ea)) = uint16(u32(fp, bAt(pc)))
			pc = unsafe.Add(pc, 8)
			continue
		case code.Op(wasm.OpI32Store16) | code.KBit, code.Op(wasm.OpI64Store16) | code.KBit:
			ea = uint64(u32(fp, aAt(pc))) + word(pc, 8)
			if ea+2 > memLen {
				goto outOfBounds
			}
			*(*uint16)(unsafe.Add(mem, ea)) = uint16(u32(fp, bAt(pc)))
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpV128Load):
			ea = uint64(u32(fp, bAt(pc))) + uint64(uint32(word(pc, 8)))
			if ea+16 > memLen {
				goto outOfBounds
			}
			*vec(fp, aAt(pc)) = *(*[2]uint64)(unsafe.Add(mem, ea))
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpV128Store):
			ea = uint64(u32(fp, bAt(pc))) + uint64(uint32(word(pc, 8)))
			if ea+16 > memLen {
				goto outOfBounds
			}
			*(*[2]uint64)(unsafe.Add(mem, ea)) = *vec(fp, cAt(pc))
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpV128Const):
			x, y := word(pc, 8), word(pc, 16)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 24)
			continue
		case code.RareBase + code.Op(wasm.OpV128And):
			x := slot(fp, bAt(pc)) & slot(fp, cAt(pc))
			y := slot(fp, bAt(pc)+1) & slot(fp, cAt(pc)+1)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpV128Or):
			x := slot(fp, bAt(pc)) | slot(fp, cAt(pc))
			y := slot(fp, bAt(pc)+1) | slot(fp, cAt(pc)+1)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpV128Xor):
			x := slot(fp, bAt(pc)) ^ slot(fp, cAt(pc))
			y := slot(fp, bAt(pc)+1) ^ slot(fp, cAt(pc)+1)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpI64x2Add):
			x := slot(fp, bAt(pc)) + slot(fp, cAt(pc))
			y := slot(fp, bAt(pc)+1) + slot(fp, cAt(pc)+1)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpI64x2Sub):
			x := slot(fp, bAt(pc)) - slot(fp, cAt(pc))
			y := slot(fp, bAt(pc)+1) - slot(fp, cAt(pc)+1)
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpI32x4Add):
			const top = 1<<63 | 1<<31
			p, q := slot(fp, bAt(pc)), slot(fp, cAt(pc))
			x := ((p &^ top) + (q &^ top)) ^ (p^q)&top
			p, q = slot(fp, bAt(pc)+1), slot(fp, cAt(pc)+1)
			y := ((p &^ top) + (q &^ top)) ^ (p^q)&top
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpI32x4Sub):
			const top = 1<<63 | 1<<31
			p, q := slot(fp, bAt(pc)), slot(fp, cAt(pc))
			x := ((p | top) - (q &^ top)) ^ (p^^q)&top
			p, q = slot(fp, bAt(pc)+1), slot(fp, cAt(pc)+1)
			y := ((p | top) - (q &^ top)) ^ (p^^q)&top
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpF64x2Add):
			p, q := f64(fp, bAt(pc))+f64(fp, cAt(pc)), f64(fp, bAt(pc)+1)+f64(fp, cAt(pc)+1)
			x, y := math.Float64bits(p), math.Float64bits(q)
			if p != p {
				x = canonicalNaN64
			}
			if q != q {
				y = canonicalNaN64
			}
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpF64x2Sub):
			p, q := f64(fp, bAt(pc))-f64(fp, cAt(pc)), f64(fp, bAt(pc)+1)-f64(fp, cAt(pc)+1)
			x, y := math.Float64bits(p), math.Float64bits(q)
			if p != p {
				x = canonicalNaN64
			}
			if q != q {
				y = canonicalNaN64
			}
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpF64x2Mul):
			p, q := f64(fp, bAt(pc))*f64(fp, cAt(pc)), f64(fp, bAt(pc)+1)*f64(fp, cAt(pc)+1)
			x, y := math.Float64bits(p), math.Float64bits(q)
			if p != p {
				x = canonicalNaN64
			}
			if q != q {
				y = canonicalNaN64
			}
			setSlot(fp, aAt(pc), x)
			setSlot(fp, aAt(pc)+1, y)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpF32x4Add):
			r0 := f32At(fp, bAt(pc), 0) + f32At(fp, cAt(pc), 0)
			r1 := f32At(fp, bAt(pc), 4) + f32At(fp, cAt(pc), 4)
			r2 := f32At(fp, bAt(pc), 8) + f32At(fp, cAt(pc), 8)
			r3 := f32At(fp, bAt(pc), 12) + f32At(fp, cAt(pc), 12)
			b0 := math.Float32bits(r0)
			if r0 != r0 {
				b0 = canonicalNaN32
			}
			b1 := math.Float32bits(r1)
			if r1 != r1 {
				b1 = canonicalNaN32
			}
			b2 := math.Float32bits(r2)
			if r2 != r2 {
				b2 = canonicalNaN32
			}
			b3 := math.Float32bits(r3)
			if r3 != r3 {
				b3 = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b0)|uint64(b1)<<32)
			setSlot(fp, aAt(pc)+1, uint64(b2)|uint64(b3)<<32)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpF32x4Sub):
			r0 := f32At(fp, bAt(pc), 0) - f32At(fp, cAt(pc), 0)
			r1 := f32At(fp, bAt(pc), 4) - f32At(fp, cAt(pc), 4)
			r2 := f32At(fp, bAt(pc), 8) - f32At(fp, cAt(pc), 8)
			r3 := f32At(fp, bAt(pc), 12) - f32At(fp, cAt(pc), 12)
			b0 := math.Float32bits(r0)
			if r0 != r0 {
				b0 = canonicalNaN32
			}
			b1 := math.Float32bits(r1)
			if r1 != r1 {
				b1 = canonicalNaN32
			}
			b2 := math.Float32bits(r2)
			if r2 != r2 {
				b2 = canonicalNaN32
			}
			b3 := math.Float32bits(r3)
			if r3 != r3 {
				b3 = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b0)|uint64(b1)<<32)
			setSlot(fp, aAt(pc)+1, uint64(b2)|uint64(b3)<<32)
			pc = unsafe.Add(pc, 16)
			continue
		case code.RareBase + code.Op(wasm.OpF32x4Mul):
			r0 := f32At(fp, bAt(pc), 0) * f32At(fp, cAt(pc), 0)
			r1 := f32At(fp, bAt(pc), 4) * f32At(fp, cAt(pc), 4)
			r2 := f32At(fp, bAt(pc), 8) * f32At(fp, cAt(pc), 8)
			r3 := f32At(fp, bAt(pc), 12) * f32At(fp, cAt(pc), 12)
			b0 := math.Float32bits(r0)
			if r0 != r0 {
				b0 = canonicalNaN32
			}
			b1 := math.Float32bits(r1)
			if r1 != r1 {
				b1 = canonicalNaN32
			}
			b2 := math.Float32bits(r2)
			if r2 != r2 {
				b2 = canonicalNaN32
			}
			b3 := math.Float32bits(r3)
			if r3 != r3 {
				b3 = canonicalNaN32
			}
			setSlot(fp, aAt(pc), uint64(b0)|uint64(b1)<<32)
			setSlot(fp, aAt(pc)+1, uint64(b2)|uint64(b3)<<32)
			pc = unsafe.Add(pc, 16)
			continue
		// fused sequences: written by TestFusedCases -update, do not edit

		case 0x380: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x381: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load) · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x382: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x383: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load) · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x384: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x385: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x386: // code.Op(wasm.OpF64Mul) | code.KBit · code.Const64 · code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Mul)
			{
				r := float64(f64(fp, bAt(pc)) * math.Float64frombits(word(pc, 8)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x387: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x388: // code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x389: // code.Op(wasm.OpI32GtU) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.Mov · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) > uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x38a: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x38b: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x38c: // code.Op(wasm.OpI32And) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U) · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x38d: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x38e: // code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x38f: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x390: // code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x391: // code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Sub)
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x392: // code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Sub)
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x393: // code.Op(wasm.OpF64Mul) | code.KBit · code.Const64 · code.Op(wasm.OpF64Sub)
			{
				r := float64(f64(fp, bAt(pc)) * math.Float64frombits(word(pc, 8)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x394: // code.Const64 · code.Op(wasm.OpF64Lt) · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) < f64(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x395: // code.Const64 · code.Op(wasm.OpF64Lt) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), bit(f64(fp, bAt(pc)) < f64(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x396: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Store)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x397: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Store)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x398: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Store)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x399: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Mul)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x39a: // code.Mov · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32Eq)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x39b: // code.Mov · code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x39c: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32LtU)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) < u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x39d: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32LeU)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) <= u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x39e: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32LtS)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if i32(fp, aAt(pc)) < i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x39f: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32GtU)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) > u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3a0: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32GeS)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if i32(fp, aAt(pc)) >= i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3a1: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32Eq)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3a2: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3a3: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x3a4: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Eq)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3a5: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3a6: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3a7: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U) · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x3a8: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U) · code.BrKBase + code.Op(wasm.OpI32Eq)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3a9: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U) · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3aa: // code.Op(wasm.OpI32And) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ab: // code.Op(wasm.OpI32Add) | code.KBit · code.Const · code.Op(wasm.OpI32Store8)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				*(*uint8)(unsafe.Add(mem, ea)) = uint8(u32(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ac: // code.Op(wasm.OpI32Add) | code.KBit · code.Const · code.Op(wasm.OpI32Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ad: // code.Op(wasm.OpI32Add) | code.KBit · code.Const · code.Op(wasm.OpI64Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ae: // code.Charge · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3af: // code.Op(wasm.OpI32Store) · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3b0: // code.Op(wasm.OpI32Store) · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3b1: // code.Op(wasm.OpF64Store) · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3b2: // code.Op(wasm.OpF64Store) · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3b3: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3b4: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32And) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3b5: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3b6: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3b7: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3b8: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3b9: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ba: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) · code.Op(wasm.OpI64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3bb: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3bc: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3bd: // code.Mov · code.Mov · code.Mov
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3be: // code.Op(wasm.OpI32Load) · code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3bf: // code.Op(wasm.OpI32Rotl) | code.KBit · code.Op(wasm.OpI32Rotl) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3c0: // code.Op(wasm.OpI32Rotl) | code.KBit · code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Rotl) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3c1: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load) · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3c2: // code.Const64 · code.BrBase + code.Op(wasm.OpF64Lt)
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				if f64(fp, aAt(pc)) < f64(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3c3: // code.Const64 · code.BrKBase + code.Op(wasm.OpF64Lt)
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				if f64(fp, aAt(pc)) < f64(fp, bAt(pc)) {
					goto fall
				}
				goto taken
			}
		case 0x3c4: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul) | code.KBit
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * math.Float64frombits(word(pc, 8)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3c5: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Store)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3c6: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3c7: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3c8: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8U)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3c9: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load8S)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(uint32(*(*int8)(unsafe.Add(mem, ea)))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ca: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Load16U)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+2 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint16)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3cb: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3cc: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3cd: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ce: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Load8U)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3cf: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpF64Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d0: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d1: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI64Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d2: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Store8)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				*(*uint8)(unsafe.Add(mem, ea)) = uint8(u32(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d3: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpF64Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d4: // code.Const · code.Op(wasm.OpI32Store)
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d5: // code.Const · code.Op(wasm.OpI32Store8)
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				*(*uint8)(unsafe.Add(mem, ea)) = uint8(u32(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d6: // code.Const · code.Op(wasm.OpI64Store)
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3d7: // code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3d8: // code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3d9: // code.Op(wasm.OpI32Add) | code.KBit · code.BrBase + code.Op(wasm.OpI32Ne)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3da: // code.Op(wasm.OpI32Add) | code.KBit · code.BrBase + code.Op(wasm.OpI32LtS)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if i32(fp, aAt(pc)) < i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3db: // code.Op(wasm.OpI32Add) | code.KBit · code.BrBase + code.Op(wasm.OpI32LtU)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) < u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3dc: // code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32LtU)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) < immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3dd: // code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32LtS)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if i32(fp, aAt(pc)) < int32(immAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3de: // code.Op(wasm.OpI32Add) | code.KBit · code.BrBase + code.Op(wasm.OpI32GeS)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if i32(fp, aAt(pc)) >= i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3df: // code.Op(wasm.OpI32Add) | code.KBit · code.BrBase + code.Op(wasm.OpI32Eq)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) == u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3e0: // code.Op(wasm.OpI32Add) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eq)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) == immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3e1: // code.Op(wasm.OpI32Add) | code.KBit · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x3e2: // code.Op(wasm.OpI32Load8U) · code.BrTable
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				i := min(u32(fp, aAt(pc)), immAt(pc))
				w := word(pc, 8+uintptr(i)*8)
				pc = unsafe.Add(pc, int(int32(uint32(w)))*8)
				gas -= int64(w>>32) * unit
				if metered && gas < 0 {
					gas += int64(w >> 32)
					pc = unsafe.Add(pc, -8)
					goto shortfall
				}
			}
			continue
		case 0x3e3: // code.Op(wasm.OpI32LtU) · code.Select
			{
				setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) < u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				v := slot(fp, cAt(pc))
				if u32(fp, uint16(word(pc, 8))) != 0 {
					v = slot(fp, bAt(pc))
				}
				setSlot(fp, aAt(pc), v)
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3e4: // code.Op(wasm.OpI32GtU) · code.Select
			{
				setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) > u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				v := slot(fp, cAt(pc))
				if u32(fp, uint16(word(pc, 8))) != 0 {
					v = slot(fp, bAt(pc))
				}
				setSlot(fp, aAt(pc), v)
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3e5: // code.Op(wasm.OpI32LtS) · code.Select
			{
				setSlot(fp, aAt(pc), bit(i32(fp, bAt(pc)) < i32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				v := slot(fp, cAt(pc))
				if u32(fp, uint16(word(pc, 8))) != 0 {
					v = slot(fp, bAt(pc))
				}
				setSlot(fp, aAt(pc), v)
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3e6: // code.Op(wasm.OpI32And) | code.KBit · code.Select
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				v := slot(fp, cAt(pc))
				if u32(fp, uint16(word(pc, 8))) != 0 {
					v = slot(fp, bAt(pc))
				}
				setSlot(fp, aAt(pc), v)
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3e7: // code.Const · code.Op(wasm.OpI32RemU)
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				y := u32(fp, cAt(pc))
				if y == 0 {
					goto divideByZero
				}
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))%y))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3e8: // code.Const · code.Op(wasm.OpI32DivU)
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				y := u32(fp, cAt(pc))
				if y == 0 {
					goto divideByZero
				}
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))/y))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3e9: // code.Const · code.Charge
			{
				setSlot(fp, aAt(pc), uint64(immAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3ea: // code.Mov · code.Charge
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x3eb: // code.Op(wasm.OpI32GeU) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) >= u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3ec: // code.Op(wasm.OpI32Add) · code.BrKBase + code.Op(wasm.OpI32LtU)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) < immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3ed: // code.Mov · code.BrBase + code.Op(wasm.OpI32GtU)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) > u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3ee: // code.Mov · code.BrBase + code.Op(wasm.OpI32LtU)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) < u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3ef: // code.Mov · code.BrBase + code.Op(wasm.OpI32LtS)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				if i32(fp, aAt(pc)) < i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3f0: // code.Mov · code.BrBase + code.Op(wasm.OpI32LeU)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) <= u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3f1: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32GtU) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) > uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3f2: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32GtU) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), bit(u32(fp, bAt(pc)) > uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x3f3: // code.Op(wasm.OpI32And) | code.KBit · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x3f4: // code.Op(wasm.OpI32And) | code.KBit · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3f5: // code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3f6: // code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x3f7: // code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32Eq)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3f8: // code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Eq)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3f9: // code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32LtU)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) < u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3fa: // code.Op(wasm.OpI32Load) · code.BrBase + code.Op(wasm.OpI32LtS)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if i32(fp, aAt(pc)) < i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3fb: // code.Op(wasm.OpI32Load) · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x3fc: // code.Op(wasm.OpI32Load8U) · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x3fd: // code.Op(wasm.OpI32Load8U) · code.BrBase + code.Op(wasm.OpI32Eqz)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0x3fe: // code.Op(wasm.OpI32Load8U) · code.BrBase + code.Op(wasm.OpI32Eq)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x3ff: // code.Op(wasm.OpI32Load8U) · code.BrKBase + code.Op(wasm.OpI32Eq)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) == immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x1c8: // code.Op(wasm.OpI32Load8U) · code.BrBase + code.Op(wasm.OpI32LtU)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) < u32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x1c9: // code.Op(wasm.OpI32Load8U) · code.BrBase + code.Op(wasm.OpI32LtS)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if i32(fp, aAt(pc)) < i32(fp, bAt(pc)) {
					goto taken
				}
				goto fall
			}
		case 0x1ca: // code.Op(wasm.OpI32Load8U) · code.BrKBase + code.Op(wasm.OpI32Ne)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != immAt(pc) {
					goto taken
				}
				goto fall
			}
		case 0x1cb: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1cc: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1cd: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1ce: // code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1cf: // code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Add)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d0: // code.Op(wasm.OpI32ShrU) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1d1: // code.Op(wasm.OpI32Rotl) | code.KBit · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d2: // code.Op(wasm.OpI32Rotl) | code.KBit · code.Op(wasm.OpI32Add)
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d3: // code.Op(wasm.OpI32Rotl) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1d4: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d5: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Add)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d6: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1d7: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d8: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Add)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1d9: // code.Op(wasm.OpI32Add) · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1da: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Shl) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1db: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32ShrU) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1dc: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32And) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1dd: // code.Op(wasm.OpI32Xor) · code.Op(wasm.OpI32Rotl) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1de: // code.Op(wasm.OpI32And) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1df: // code.Op(wasm.OpI32And) | code.KBit · code.Op(wasm.OpI32Shl) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1e0: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32And) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1e1: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1e2: // code.Op(wasm.OpI32Add) | code.KBit · code.Op(wasm.OpI32Shl) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1e3: // code.Op(wasm.OpI32Shl) | code.KBit · code.Op(wasm.OpI32Or) | code.KBit
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))|uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1e4: // code.Op(wasm.OpI32And) · code.Op(wasm.OpI32Add)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1e5: // code.Op(wasm.OpI32And) · code.Op(wasm.OpI32Xor)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))&u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1e6: // code.Op(wasm.OpI32Load) · code.Op(wasm.OpI32ShrU) | code.KBit
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))>>(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1e7: // code.Op(wasm.OpI32Load8U) · code.Op(wasm.OpI32Xor)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+1 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint8)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))^u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1e8: // code.Op(wasm.OpI32Load) · code.Op(wasm.OpI32Add)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1e9: // code.Op(wasm.OpI32Load) · code.Op(wasm.OpI32Add) | code.KBit
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1ea: // code.Op(wasm.OpI32Load) · code.Op(wasm.OpI32Rotl) | code.KBit
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(bits.RotateLeft32(u32(fp, bAt(pc)), int(uint32(word(pc, 8))))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1eb: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Mul)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1ec: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Add)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1ed: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Sub)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1ee: // code.Op(wasm.OpF64Load) · code.Op(wasm.OpF64Load)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1ef: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f0: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Sub)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f1: // code.Op(wasm.OpF64Mul) · code.Op(wasm.OpF64Mul)
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f2: // code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f3: // code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Mul)
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f4: // code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Mul)
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) * f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f5: // code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Add)
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f6: // code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Sub)
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f7: // code.Op(wasm.OpF64Add) · code.Op(wasm.OpF64Store)
			{
				r := float64(f64(fp, bAt(pc)) + f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f8: // code.Op(wasm.OpF64Sub) · code.Op(wasm.OpF64Store)
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1f9: // code.Const64 · code.Op(wasm.OpF64Sub)
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				r := float64(f64(fp, bAt(pc)) - f64(fp, cAt(pc)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1fa: // code.Op(wasm.OpF64Mul) | code.KBit · code.Const64
			{
				r := float64(f64(fp, bAt(pc)) * math.Float64frombits(word(pc, 8)))
				b := math.Float64bits(r)
				if r != r {
					b = canonicalNaN64
				}
				setSlot(fp, aAt(pc), b)
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1fb: // code.Mov · code.Mov
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1fc: // code.Mov · code.BrKBase + code.Op(wasm.OpI32Eqz)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				if u32(fp, aAt(pc)) != 0 {
					goto taken
				}
				goto fall
			}
		case 0x1fd: // code.Mov · code.Op(wasm.OpI32Load)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0x1fe: // code.Mov · code.Op(wasm.OpI32Add) | code.KBit
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0x1ff: // code.Mov · code.Br
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				gas -= int64(aAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(aAt(pc))
					pc = unsafe.Add(pc, int(int32(immAt(pc)))*8-8)
					goto shortfall
				}
				pc = unsafe.Add(pc, int(int32(immAt(pc)))*8)
			}
			continue
		case 0xc8: // code.Op(wasm.OpI32Store) · code.Op(wasm.OpI32Add) | code.KBit
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xc9: // code.Op(wasm.OpF64Store) · code.Op(wasm.OpI32Add) | code.KBit
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				*(*uint64)(unsafe.Add(mem, ea)) = slot(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xca: // code.Op(wasm.OpI32Store) · code.Mov
			{
				ea = uint64(u32(fp, aAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				*(*uint32)(unsafe.Add(mem, ea)) = u32(fp, bAt(pc))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xcb: // code.Charge · code.Op(wasm.OpI32Add) | code.KBit
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xcc: // code.Charge · code.Op(wasm.OpI32Load)
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+4 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), uint64(*(*uint32)(unsafe.Add(mem, ea))))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xcd: // code.Charge · code.Op(wasm.OpI32Shl) | code.KBit
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))<<(uint32(word(pc, 8))&31)))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xce: // code.Charge · code.Mov
			{
				gas -= int64(immAt(pc)) * unit
				if metered && gas < 0 {
					gas += int64(immAt(pc))
					goto shortfall
				}
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xcf: // code.Op(wasm.OpI32Add) · code.Return1
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+u32(fp, cAt(pc))))
				pc = unsafe.Add(pc, 8)
			}
			{
				h := unsafe.Add(fp, uintptr(cAt(pc))*8)
				setSlot(fp, 0, slot(fp, aAt(pc)))
				if word(h, 0)&tagMask != 0 {
					m.header = h
					goto slowReturn
				}
				m.cur = word(h, 8)
				pc = *(*unsafe.Pointer)(h)
				fp = unsafe.Add(fp, -(int(aAt(pc)) * 8))
				pc = unsafe.Add(pc, 16)
				m.depth++
			}
			continue
		case 0xd0: // code.Op(wasm.OpI32Add) | code.KBit · code.Return1
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				h := unsafe.Add(fp, uintptr(cAt(pc))*8)
				setSlot(fp, 0, slot(fp, aAt(pc)))
				if word(h, 0)&tagMask != 0 {
					m.header = h
					goto slowReturn
				}
				m.cur = word(h, 8)
				pc = *(*unsafe.Pointer)(h)
				fp = unsafe.Add(fp, -(int(aAt(pc)) * 8))
				pc = unsafe.Add(pc, 16)
				m.depth++
			}
			continue
		case 0xd1: // code.Op(wasm.OpI32Add) | code.KBit · code.Call
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				f = (*code.Func)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Add(m.funcs, uintptr(uint32(word(pc, 8)))*8))))
				if f == nil {
					goto slowCall
				}
				goto enter
			}
		case 0xd2: // code.Mov · code.CallIndir
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				{
					t := *(**Table)(unsafe.Add(m.tables, uintptr(cAt(pc))*8))
					i := u32(fp, bAt(pc))
					if i >= t.size {
						m.trap = TrapUndefined
						goto trapped
					}
					ref := word(t.base, uintptr(i)*8)
					if ref>>32 != m.cur>>32 {
						goto slowCall
					}
					f = (*code.Func)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Add(m.funcs, uintptr(uint32(ref))*8))))
					if f == nil {
						goto slowCall
					}
					if f.Sig != word(pc, 8) {
						m.trap = TrapSignature
						goto trapped
					}
				}
				goto enter
			}
		case 0xd3: // code.Mov · code.Call
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				f = (*code.Func)(atomic.LoadPointer((*unsafe.Pointer)(unsafe.Add(m.funcs, uintptr(uint32(word(pc, 8)))*8))))
				if f == nil {
					goto slowCall
				}
				goto enter
			}
		case 0xd4: // code.Op(wasm.OpI32Add) | code.KBit · code.Mov
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xd5: // code.Op(wasm.OpI64Xor) · code.Op(wasm.OpI64Add)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))^slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))+slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xd6: // code.Op(wasm.OpI64Mul) | code.KBit · code.Op(wasm.OpI64Xor)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))*word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))^slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xd7: // code.Op(wasm.OpI64Add) · code.Op(wasm.OpI64Shl) | code.KBit
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))+slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))<<(word(pc, 8)&63))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xd8: // code.Op(wasm.OpI64ShrU) | code.KBit · code.Op(wasm.OpI64Xor)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))>>(word(pc, 8)&63))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))^slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xd9: // code.Op(wasm.OpI64Shl) | code.KBit · code.Op(wasm.OpI64Xor)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))<<(word(pc, 8)&63))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))^slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xda: // code.Op(wasm.OpI64Shl) | code.KBit · code.Op(wasm.OpI64Or)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))<<(word(pc, 8)&63))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))|slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xdb: // code.Op(wasm.OpI64Load) · code.Op(wasm.OpI64Xor)
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(cAt(pc))
				if ea+8 > memLen {
					goto outOfBounds
				}
				setSlot(fp, aAt(pc), *(*uint64)(unsafe.Add(mem, ea)))
				pc = unsafe.Add(pc, 8)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))^slot(fp, cAt(pc)))
				pc = unsafe.Add(pc, 8)
			}
			continue
		case 0xdc: // code.Op(wasm.OpI64Add) | code.KBit · code.Op(wasm.OpI64Add) | code.KBit
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))+word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))+word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xdd: // code.Op(wasm.OpI64And) | code.KBit · code.BrBase + code.Op(wasm.OpI64Eqz)
			{
				setSlot(fp, aAt(pc), slot(fp, bAt(pc))&word(pc, 8))
				pc = unsafe.Add(pc, 16)
			}
			{
				if slot(fp, aAt(pc)) == 0 {
					goto taken
				}
				goto fall
			}
		case 0xde: // code.Op(wasm.OpI32Add) | code.KBit · code.RareBase + code.Op(wasm.OpV128Load)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(uint32(word(pc, 8)))
				if ea+16 > memLen {
					goto outOfBounds
				}
				*vec(fp, aAt(pc)) = *(*[2]uint64)(unsafe.Add(mem, ea))
				pc = unsafe.Add(pc, 16)
			}
			continue
		case 0xdf: // code.Op(wasm.OpI32Add) | code.KBit · code.RareBase + code.Op(wasm.OpV128Store)
			{
				setSlot(fp, aAt(pc), uint64(u32(fp, bAt(pc))+uint32(word(pc, 8))))
				pc = unsafe.Add(pc, 16)
			}
			{
				ea = uint64(u32(fp, bAt(pc))) + uint64(uint32(word(pc, 8)))
				if ea+16 > memLen {
					goto outOfBounds
				}
				*(*[2]uint64)(unsafe.Add(mem, ea)) = *vec(fp, cAt(pc))
				pc = unsafe.Add(pc, 16)
			}
			continue
		// end of fused sequences

		default:
			m.pc, m.fp, m.gas = pc, fp, gas
			if e := m.rare(); e != next {
				return e
			}
			pc, fp, mem, memLen, gas = m.pc, m.fp, m.mem, m.memLen, m.gas
			continue
		}

	taken:
		{
			w := word(pc, 8)
			pc = unsafe.Add(pc, int(int32(uint32(w)))*8)
			gas -= int64(uint16(w>>32)) * unit
			if metered && gas < 0 {
				gas += int64(uint16(w >> 32))
				pc = unsafe.Add(pc, -8)
				goto shortfall
			}
		}
		continue

	fall:
		gas -= int64(word(pc, 8)>>48) * unit
		if metered && gas < 0 {
			gas += int64(word(pc, 8) >> 48)
			pc = unsafe.Add(pc, 16)
			goto shortfall
		}
		pc = unsafe.Add(pc, 24)
		continue

	enter:
		// The callee's frame begins at its first argument. Its header goes behind what parameters and results take.
		nfp = unsafe.Add(fp, uintptr(aAt(pc))*8)
		if uintptr(nfp)+uintptr(f.Frame)*8 > m.stackEnd || m.depth <= 0 {
			m.trap = TrapStack
			goto trapped
		}
		m.depth--
		{
			h := unsafe.Add(nfp, uintptr(f.Header)*8)
			*(*uintptr)(h) = uintptr(pc)
			*(*uint64)(unsafe.Add(h, 8)) = m.cur
			m.cur = m.cur&^(1<<32-1) | uint64(f.Index)
			fp = nfp
			pc = unsafe.Pointer(unsafe.SliceData(f.Ins))
			nfp = unsafe.Add(h, 16)
		}
		for n := f.Locals; n > 0; n-- {
			*(*uint64)(nfp) = 0
			nfp = unsafe.Add(nfp, 8)
		}
		gas -= f.Charge * unit
		if metered && gas < 0 {
			gas += f.Charge
			goto shortfall
		}
		pc = unsafe.Add(pc, 8)
		continue
	}

shortfall:
	m.pc, m.fp, m.gas = pc, fp, gas
	return exitGas
slowCall:
	m.pc, m.fp, m.gas = pc, fp, gas
	return exitCall
slowReturn:
	m.fp, m.gas = fp, gas
	return exitReturn
divideByZero:
	m.trap = TrapDivideByZero
	goto trapped
outOfBounds:
	m.trap = TrapMemory
trapped:
	m.pc, m.fp, m.gas = pc, fp, gas
	return exitTrap
}
