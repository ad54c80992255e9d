package wasmgen

import (
	"slices"

	"github.com/kitwork/kwnode/vm/wasm"
)

// places is how many a loop has where a round may go on.
const places = 3

// dispatch writes a loop as Go's compiler makes it: a number says at which of its places a round goes on, by a table at
// its start. Here it is a local or the loop's parameter. Behind each place a jump goes back, with a number that is a
// constant or computed, as long as there is fuel; then the next place follows.
func (f *body) dispatch() {
	if len(f.labels) > 4 {
		return
	}
	x, local := f.find(f.locals, wasm.I32, len(f.typ.Params), len(f.typ.Params)+len(scratchTypes))
	local = local && f.chance(50)
	var carried []wasm.ValType
	typ := []byte{0x40}
	if !local {
		carried = []wasm.ValType{wasm.I32}
		typ = sleb(nil, int64(f.typeIndex(wasm.FuncType{Params: carried})))
	}
	open := func(op wasm.Op, l label) {
		f.op(op)
		f.b = append(f.b, typ...)
		l.base = len(f.stack)
		f.labels = append(f.labels, l)
	}
	f.number(x, local)
	open(wasm.OpLoop, label{types: carried, loop: true})
	for range places {
		open(wasm.OpBlock, label{})
	}
	if local {
		f.op(wasm.OpLocalGet, x)
	}
	f.op(wasm.OpBrTable, places-1)
	for k := range places {
		f.b = uleb(f.b, uint64(k))
	}
	for k := range places {
		f.op(wasm.OpEnd)
		f.labels = f.labels[:len(f.labels)-1]
		f.statements(nil)
		f.takeFuel()
		f.op(wasm.OpIf)
		f.b = append(f.b, 0x40)
		f.number(x, local)
		f.op(wasm.OpBr, uint64(places-k))
		f.op(wasm.OpEnd)
	}
	f.op(wasm.OpEnd)
	f.labels = f.labels[:len(f.labels)-1]
}

// number says at which place to go on, in a local or as an operand, which isn't counted in stack.
func (f *body) number(x uint64, local bool) {
	f.i32(int32(f.rng.IntN(places + 1)))
	switch f.rng.IntN(4) {
	case 0: // what is known is an argument
		one := wasm.FuncType{Params: []wasm.ValType{wasm.I32}, Results: []wasm.ValType{wasm.I32}}
		if fn := slices.IndexFunc(f.funcs[:f.bodies], func(t uint32) bool { return f.types[t].Equal(&one) }); fn >= 0 {
			f.op(wasm.OpCall, uint64(fn))
		}
	case 1: // it is there, and something else is
		if local {
			f.op(wasm.OpLocalSet, x)
		} else {
			f.op(wasm.OpDrop)
		}
		f.floorAt(func() { f.value(wasm.I32) })
		f.pop(1)
		f.i32(places)
		f.op(wasm.OpI32And)
	}
	if local {
		f.op(wasm.OpLocalSet, x)
	}
}
