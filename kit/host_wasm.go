//go:build wasip1

package kit

import "unsafe"

// host is the kitwork:host imports. Its methods are called directly, never through an interface, so that the linker
// drops the imports which a program can't reach and the import section stays the bound of its capabilities.
type host struct{}

//go:wasmimport kitwork:host/kv@0.1.0 get
func kvGet(store uint32, key string, dst unsafe.Pointer, size uint32) int32

//go:wasmimport kitwork:host/kv@0.1.0 put
func kvPut(store uint32, key, val string) int32

//go:wasmimport kitwork:host/kv@0.1.0 delete
func kvDelete(store uint32, key string) int32

//go:wasmimport kitwork:host/kv@0.1.0 scan
func kvScan(store uint32, prefix, after string, dst unsafe.Pointer, size uint32) int32

//go:wasmimport kitwork:host/flow@0.1.0 input
func flowInput(dst unsafe.Pointer, size uint32) int32

//go:wasmimport kitwork:host/flow@0.1.0 output
func flowOutput(val string)

//go:wasmimport kitwork:host/flow@0.1.0 fail
func flowFail(code uint32, msg string)

//go:wasmimport kitwork:host/flow@0.1.0 goto
func flowGoto(zone string) int32

//go:wasmimport kitwork:host/flow@0.1.0 sleep
func flowSleep(ns uint64) int32

//go:wasmimport kitwork:host/flow@0.1.0 zone
func flowZone(dst unsafe.Pointer, size uint32) int32

//go:wasmimport kitwork:host/flow@0.1.0 gas
func flowGas() uint64

//go:wasmimport kitwork:host/clock@0.1.0 now
func clockNow() uint64

//go:wasmimport kitwork:host/random@0.1.0 fill
func randomFill(dst unsafe.Pointer, size uint32) int32

//go:wasmimport kitwork:host/event@0.1.0 emit
func eventEmit(topic, data string) int32

//go:wasmimport kitwork:host/log@0.1.0 write
func logWrite(level uint32, msg string)

// firstBuffer is the capacity that a call offers before it knows the length of the answer. The host charges by capacity,
// so offering more would make every small read dearer.
const firstBuffer = 4096

// spare is a buffer of that size. Whoever uses it takes it away first: an allocation inside a decode may park the
// goroutine, and another one must not find the buffer half read.
var spare []byte

func release(buf []byte) {
	if cap(buf) == firstBuffer {
		spare = buf[:firstBuffer]
	}
}

// outlist runs a call of the (destination, capacity) kind: it answers the full length and writes nothing when that
// exceeds the capacity.
func outlist(call func(dst unsafe.Pointer, size uint32) int32) ([]byte, func(), Errno) {
	buf := spare
	spare = nil
	if buf == nil {
		buf = make([]byte, firstBuffer)
	}
	for {
		n := call(unsafe.Pointer(unsafe.SliceData(buf)), uint32(len(buf)))
		if n < 0 {
			release(buf)
			return nil, nil, Errno(n)
		}
		if int(n) <= len(buf) {
			// What was read is wiped: free memory would travel with the capsule.
			return buf[:n], func() { clear(buf[:n]); release(buf) }, 0
		}
		release(buf)
		buf = make([]byte, n)
	}
}

func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// store is the one that a capsule's keys are in; the ABI has room for more.
const store = 0

func (host) get(key string) ([]byte, func(), Errno) {
	return outlist(func(dst unsafe.Pointer, size uint32) int32 { return kvGet(store, key, dst, size) })
}

func (host) scan(prefix, after string) ([]byte, func(), Errno) {
	return outlist(func(dst unsafe.Pointer, size uint32) int32 { return kvScan(store, prefix, after, dst, size) })
}

func (host) put(key string, val []byte) Errno { return Errno(kvPut(store, key, asString(val))) }
func (host) delete(key string) Errno          { return Errno(kvDelete(store, key)) }

func (host) emit(topic string, data []byte) Errno { return Errno(eventEmit(topic, asString(data))) }
func (host) sleep(ns uint64) Errno                { return Errno(flowSleep(ns)) }
func (host) goTo(zone string) Errno               { return Errno(flowGoto(zone)) }
func (host) now() uint64                          { return clockNow() }
func (host) gas() uint64                          { return flowGas() }
func (host) log(level Level, msg string)          { logWrite(uint32(level), msg) }

func (host) zone() string {
	b, done, e := outlist(flowZone)
	if e != 0 {
		return ""
	}
	defer done()
	return string(b)
}

func (host) random(p []byte) Errno {
	if len(p) == 0 {
		return 0
	}
	if n := randomFill(unsafe.Pointer(unsafe.SliceData(p)), uint32(len(p))); n < 0 {
		return Errno(n)
	}
	return 0
}
