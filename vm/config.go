package vm

import "errors"

// Limits bound what one program may hold. They come from its manifest and travel in its continuation, since growth and
// recursion fail at them: a limit taken from the machine would let two replicas disagree. Zero means the default.
type Limits struct {
	MemoryPages uint32 // 64 KiB pages a memory may grow to; memory.grow beyond answers -1
	TableElems  uint32 // entries a table may grow to; table.grow beyond answers -1
	Depth       uint32 // calls that may be active at once; one more traps TrapStack
	Slots       uint32 // 64-bit slots of stack, all frames together; one more traps TrapStack
}

// Default limits.
const (
	DefaultMemoryPages = 1024    // 64 MiB
	DefaultTableElems  = 1 << 20 // 8 MiB
	DefaultDepth       = 16384
	DefaultSlots       = 1 << 20 // 8 MiB
)

// Upper bounds of the limits themselves.
const (
	maxMemoryPages = 65536
	maxTableElems  = 1 << 27
	maxDepth       = 1 << 24
	maxSlots       = 1 << 26 // 512 MiB
)

func (l Limits) withDefaults() Limits {
	pick := func(v, def, most uint32) uint32 {
		if v == 0 {
			v = def
		}
		return min(v, most)
	}
	return Limits{
		MemoryPages: pick(l.MemoryPages, DefaultMemoryPages, maxMemoryPages),
		TableElems:  pick(l.TableElems, DefaultTableElems, maxTableElems),
		Depth:       pick(l.Depth, DefaultDepth, maxDepth),
		Slots:       pick(l.Slots, DefaultSlots, maxSlots),
	}
}

// Budget accounts for the memory that a store makes the process hold: linear memory, tables, stacks, lowered code and
// buffers of freezing and thawing. Take is called before the memory is used and may refuse, which ends the call with an
// error that wraps [ErrBudget] and leaves the program as it was: the program never sees it. Give returns what was taken.
// Both may be called from the goroutine that runs the store only.
type Budget interface {
	Take(bytes int64) error
	Give(bytes int64)
}

// Config is what a store starts with.
type Config struct {
	Limits Limits
	Seed   [32]byte // of Store.Random, part of the state
	Clock  int64    // virtual time at the start, in nanoseconds
	Budget Budget   // nil accounts to nobody

	// Compiler makes hot code native; nil interprets. Neither it nor Tier can be seen by the program.
	Compiler Compiler
	Tier     Tier
}

// Errors that a caller branches on. They are the engine's, never the program's: nothing of what the program can see has
// changed when one is returned, and the call can be repeated.
var (
	// ErrBudget: the store's Budget refused, or the machine has no memory left.
	ErrBudget = errors.New("vm: out of host memory")
	// ErrBusy: the method needs a store that isn't in the middle of a call (Start), or needs one that is (Resume).
	ErrBusy = errors.New("vm: store is in the wrong state for this call")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("vm: store is closed")
	// ErrPending is what a host function returns when its answer comes later, through Store.Resume.
	ErrPending = errors.New("vm: host call is pending")
)
