package hostabi

import (
	"fmt"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Version is the interfaces' version, the end of each import's module name.
const Version = "0.1.0"

// module is the import module name of an interface.
func module(iface string) string { return "kitwork:host/" + iface + "@" + Version }

// call is one import: its type, its charge, and how it becomes a request.
type call struct {
	module, name string
	params       []wasm.ValType
	results      []wasm.ValType
	gas          func(args []vm.Value) uint64
	do           func(h *Host, c *vm.HostCall) error
}

const (
	i32 = wasm.I32
	i64 = wasm.I64
)

var calls = []call{
	{module("kv"), "get", []wasm.ValType{i32, i32, i32, i32, i32}, []wasm.ValType{i32}, // store, key, dst
		func(a []vm.Value) uint64 { return gasRead + (size(a[2], MaxKey)+size(a[4], MaxValue))/perCopy },
		func(h *Host, c *vm.HostCall) error {
			key, err := bytesArg(c, 1, MaxKey)
			return h.request(c, Request{Op: OpGet, Store: c.Args[0].U32(), Key: key}, listAt(c, 3), err)
		}},
	{module("kv"), "put", []wasm.ValType{i32, i32, i32, i32, i32}, []wasm.ValType{i32}, // store, key, value
		func(a []vm.Value) uint64 { return gasWrite + (size(a[2], MaxKey)+size(a[4], MaxValue))/perWrite },
		func(h *Host, c *vm.HostCall) error {
			key, err := bytesArg(c, 1, MaxKey)
			val, err2 := bytesArg(c, 3, MaxValue)
			return h.request(c, Request{Op: OpPut, Store: c.Args[0].U32(), Key: key, Val: val}, code, err, err2)
		}},
	{module("kv"), "delete", []wasm.ValType{i32, i32, i32}, []wasm.ValType{i32}, // store, key
		func(a []vm.Value) uint64 { return gasWrite + size(a[2], MaxKey)/perWrite },
		func(h *Host, c *vm.HostCall) error {
			key, err := bytesArg(c, 1, MaxKey)
			return h.request(c, Request{Op: OpDelete, Store: c.Args[0].U32(), Key: key}, code, err)
		}},
	{module("kv"), "scan", []wasm.ValType{i32, i32, i32, i32, i32, i32, i32}, []wasm.ValType{i32}, // store, prefix, after, dst
		func(a []vm.Value) uint64 {
			return gasRead + (size(a[2], MaxKey)+size(a[4], MaxKey))/perCopy + size(a[6], MaxScan)/perWrite
		},
		func(h *Host, c *vm.HostCall) error {
			prefix, err := bytesArg(c, 1, MaxKey)
			after, err2 := bytesArg(c, 3, MaxKey)
			r := Request{Op: OpScan, Store: c.Args[0].U32(), Key: prefix, Val: after, N: uint64(min(c.Args[6].U32(), MaxScan))}
			return h.request(c, r, listAt(c, 5), err, err2)
		}},
	{module("flow"), "input", []wasm.ValType{i32, i32}, []wasm.ValType{i32}, // dst
		func(a []vm.Value) uint64 { return gasCall + size(a[1], MaxValue)/perCopy },
		func(h *Host, c *vm.HostCall) error { return h.reply(c, Reply{Data: h.State.Input}, listAt(c, 0)) }},
	{module("flow"), "output", []wasm.ValType{i32, i32}, nil, // value
		func(a []vm.Value) uint64 { return gasCall + size(a[1], MaxValue)/perCopy }, (*Host).output},
	{module("flow"), "fail", []wasm.ValType{i32, i32, i32}, nil, // code, message
		func(a []vm.Value) uint64 { return gasCall + size(a[2], MaxLog)/perCopy }, (*Host).fail},
	{module("flow"), "goto", []wasm.ValType{i32, i32}, []wasm.ValType{i32}, // zone
		flat(gasMove),
		func(h *Host, c *vm.HostCall) error {
			zone, err := bytesArg(c, 0, MaxZone)
			return h.request(c, Request{Op: OpGoto, Key: zone}, code, err)
		}},
	{module("flow"), "sleep", []wasm.ValType{i64}, []wasm.ValType{i32}, // ns
		flat(gasSleep),
		func(h *Host, c *vm.HostCall) error {
			return h.request(c, Request{Op: OpSleep, N: uint64(c.Args[0].I64())}, code)
		}},
	{module("flow"), "zone", []wasm.ValType{i32, i32}, []wasm.ValType{i32}, // dst
		flat(gasCall),
		func(h *Host, c *vm.HostCall) error { return h.request(c, Request{Op: OpZone}, listAt(c, 0)) }},
	{module("flow"), "gas", nil, []wasm.ValType{i64},
		flat(gasCall),
		func(h *Host, c *vm.HostCall) error { return h.request(c, Request{Op: OpGas}, number) }},
	{module("clock"), "now", nil, []wasm.ValType{i64},
		flat(gasCall),
		func(h *Host, c *vm.HostCall) error { return h.request(c, Request{Op: OpNow}, number) }},
	{module("random"), "fill", []wasm.ValType{i32, i32}, []wasm.ValType{i32}, // dst
		func(a []vm.Value) uint64 { return gasRandom + size(a[1], MaxRandom)*forRandom },
		func(h *Host, c *vm.HostCall) error {
			return h.request(c, Request{Op: OpRandom, N: uint64(c.Args[1].U32())}, listAt(c, 0))
		}},
	{module("event"), "emit", []wasm.ValType{i32, i32, i32, i32}, []wasm.ValType{i32}, // topic, data
		func(a []vm.Value) uint64 { return gasWrite + (size(a[1], MaxTopic)+size(a[3], MaxEvent))/perWrite },
		func(h *Host, c *vm.HostCall) error {
			topic, err := bytesArg(c, 0, MaxTopic)
			data, err2 := bytesArg(c, 2, MaxEvent)
			return h.request(c, Request{Op: OpEmit, Key: topic, Val: data}, code, err, err2)
		}},
	{module("log"), "write", []wasm.ValType{i32, i32, i32}, nil, // level, message
		func(a []vm.Value) uint64 { return gasCall + size(a[2], MaxLog)/perLog },
		func(h *Host, c *vm.HostCall) error {
			msg, err := textArg(c, 1)
			if err == nil {
				h.Log(uint8(min(c.Args[0].U32(), 255)), msg)
			}
			return err
		}},
}

var index = func() map[[2]string]*call {
	m := make(map[[2]string]*call, len(calls))
	for i := range calls {
		m[[2]string{calls[i].module, calls[i].name}] = &calls[i]
	}
	return m
}()

var (
	code   = Delivery{Shape: ShapeCode}
	number = Delivery{Shape: ShapeNumber}
)

// listAt is a list result whose destination and capacity are the arguments from i on.
func listAt(c *vm.HostCall, i int) Delivery {
	return Delivery{Shape: ShapeList, Dst: c.Args[i].U32(), Cap: c.Args[i+1].U32()}
}

// bytesArg reads the byte list whose pointer and length are the arguments from i on. What is longer than the limit is
// refused unread; what lies outside the memory traps.
func bytesArg(c *vm.HostCall, i int, most uint32) ([]byte, error) {
	ptr, n := c.Args[i].U32(), c.Args[i+1].U32()
	if n > most {
		return nil, ErrTooLarge
	}
	return c.Read(ptr, n)
}

// textArg reads a message, of which only the first MaxLog bytes are kept.
func textArg(c *vm.HostCall, i int) (string, error) {
	b, err := c.Read(c.Args[i].U32(), min(c.Args[i+1].U32(), MaxLog))
	return text(string(b)), err
}

func (h *Host) output(c *vm.HostCall) error {
	val, err := bytesArg(c, 0, MaxValue)
	if err == ErrTooLarge {
		return fmt.Errorf("flow.output of %d bytes: %w, at most %d", c.Args[1].U32(), err, MaxValue)
	}
	if err == nil {
		h.State.Output, h.State.HasOutput = append(h.State.Output[:0:0], val...), true
	}
	return err
}

func (h *Host) fail(c *vm.HostCall) error {
	msg, err := textArg(c, 1)
	if err != nil {
		return err
	}
	h.State.End = &End{Fail: true, Code: c.Args[0].U32(), Msg: msg}
	return ErrExit
}
