package vm

import (
	"sync"
	"unsafe"
)

// stack is the array of frames of a store, outside the Go heap: it holds addresses of instructions, which the modules of
// the store keep alive, and no other pointers.
//
// While a store runs it borrows the array from a pool. Between runs the live part is kept in parked, if it is small.
type stack struct {
	b      []byte
	parked []uint64
}

// parkSlots is the most that Run moves to the heap on its own when it returns; more only when Park is called.
const parkSlots = 1024

// stackPool holds arrays that nobody runs on, by size.
var stackPool struct {
	sync.Mutex
	free map[int][][]byte
	held int
}

// poolBytes bounds the address space of idle stacks.
const poolBytes = 256 << 20

func (k *stack) base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(k.b)) }

// borrow makes an array of slots available, with what was parked at its beginning.
func (k *stack) borrow(slots int) error {
	if k.b == nil {
		size := slots * 8
		stackPool.Lock()
		if list := stackPool.free[size]; len(list) > 0 {
			k.b = list[len(list)-1]
			stackPool.free[size] = list[:len(list)-1]
			stackPool.held -= size
		}
		stackPool.Unlock()
		if k.b == nil {
			b, err := mapPrivate(uint64(size))
			if err != nil {
				return err
			}
			k.b = b
		}
	}
	copy(slotsAt(k.base(), len(k.parked)), k.parked)
	k.parked = k.parked[:0]
	return nil
}

// park copies the first n slots away and gives the array back.
func (k *stack) park(n int) {
	if k.b == nil {
		return
	}
	k.parked = append(k.parked[:0], slotsAt(k.base(), n)...)
	k.giveBack(n)
}

func (k *stack) release() {
	k.giveBack(len(k.b) / 8)
	k.parked = nil
}

func (k *stack) giveBack(used int) {
	if k.b == nil {
		return
	}
	r := region{b: k.b}
	k.b = nil
	size := len(r.b)
	stackPool.Lock()
	defer stackPool.Unlock()
	if stackPool.held+size > poolBytes {
		r.free()
		return
	}
	if used*8 > 256<<10 {
		r.discard()
	}
	if stackPool.free == nil {
		stackPool.free = map[int][][]byte{}
	}
	stackPool.free[size] = append(stackPool.free[size], r.b)
	stackPool.held += size
}
