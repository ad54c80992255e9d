package sdk

import (
	"math"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Bound is an amount of gas that a fresh run of the program can't exceed, whatever its input and the zone's data are. ok is
// false if there is none that the code alone proves: it has a loop, recursion, a call through a table, or bulk work of a
// length that isn't a constant.
func (p *Program) Bound() (gas uint64, ok bool) {
	w := p.mod.Wasm()
	host := hostabi.New(nil)
	b := bounder{w: w, offered: vm.Resolvers{host, wasi.New(host)}, done: map[uint32]uint64{}}
	total := w.InstantiateGas()
	if w.Start >= 0 {
		total = add(total, b.function(uint32(w.Start)))
	}
	for _, e := range w.Exports {
		if e.Kind == wasm.ExternFunc && (e.Name == p.Entry || e.Name == initializer) {
			total = add(total, b.function(e.Index))
		}
	}
	return total, total < unbounded
}

// unbounded is more than any program may be given.
const unbounded = math.MaxUint64

func add(a, b uint64) uint64 {
	if a > unbounded-b {
		return unbounded
	}
	return a + b
}

// bounder sums up functions: without loops each instruction runs once at most, so the sum over all blocks, whether or not
// one run can take them all, is never below what a run takes.
type bounder struct {
	w       *wasm.Module
	offered vm.Resolver
	done    map[uint32]uint64 // in progress: unbounded, so that recursion is
}

func (b *bounder) function(fn uint32) uint64 {
	if gas, ok := b.done[fn]; ok {
		return gas
	}
	b.done[fn] = unbounded
	t, body := b.w.Func(fn)
	if body == nil {
		b.done[fn] = b.imported(fn)
		return b.done[fn]
	}
	total := wasm.EntryGas(t, body)
	for block := range b.w.Blocks(fn) {
		total = add(total, block.Gas)
	}
	r := wasm.NewReader(b.w, body)
	var in wasm.Instr
	constant, isConst := uint32(0), false
	for total < unbounded && r.Next(&in) {
		switch {
		case in.Op == wasm.OpLoop, in.Op == wasm.OpCallIndirect, in.Op == wasm.OpReturnCall, in.Op == wasm.OpReturnCallIndirect:
			total = unbounded
		case in.Op == wasm.OpCall:
			total = add(total, b.function(in.X))
		case wasm.Sized(in.Op) && !isConst:
			total = unbounded
		case wasm.Sized(in.Op):
			total = add(total, wasm.SizeGas(in.Op, constant))
		}
		constant, isConst = uint32(in.Const), in.Op == wasm.OpI32Const
	}
	b.done[fn] = total
	return total
}

// imported is the dearest that a host call can be: charges rise with the arguments up to the host's limits.
func (b *bounder) imported(fn uint32) uint64 {
	for _, im := range b.w.Imports {
		if im.Kind != wasm.ExternFunc || im.Index != fn {
			continue
		}
		f, ok := b.offered.Resolve(im.Module, im.Name).(*vm.HostFunc)
		if !ok {
			return unbounded
		}
		if f.Gas == nil {
			return 0
		}
		args := make([]vm.Value, len(f.Type.Params))
		for i, t := range f.Type.Params {
			args[i] = vm.Value{Type: t, Lo: math.MaxUint64}
			if t == wasm.I32 {
				args[i].Lo = math.MaxUint32
			}
		}
		return f.Gas(args)
	}
	return unbounded
}
