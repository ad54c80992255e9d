// Package wasi gives a program the small part of WASI preview 1 under which ordinary Go, Rust and C programs run and
// stay deterministic; it must never know of files, sockets, the machine's clock or its randomness.
//
// What there is: arguments and environment as configured (none, in a capsule); clock 0 is the zone's time and clock 1
// the program's own virtual time, which runs with gas and with sleeping; random_get draws from the store's seed until
// initialisation is over and from the zone after it; poll_oneoff sleeps durably; standard input is at its end; standard
// output and error go to writers or into the log; proc_exit ends the program. Everything else exists, so that a
// program which merely mentions it links, and answers that there is no such file (EBADF) or no such call (ENOSYS).
//
// The state behind it, arguments and exit status included, is [hostabi.State]: it travels with the program.
package wasi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Module is the name that the functions are imported under.
const Module = "wasi_snapshot_preview1"

// Errno is an error number of WASI preview 1.
type Errno uint16

// The error numbers that are answered.
const (
	ok      Errno = 0
	eBadF   Errno = 8
	eFault  Errno = 21
	eInval  Errno = 28
	eNoSpc  Errno = 51
	eNoSys  Errno = 52
	eNotSup Errno = 58
	eSPipe  Errno = 70
)

// Limits of one call. Its charge is the same whatever the lengths in memory say, so they bound the work that it buys;
// programs repeat a short write by themselves.
const (
	maxWrite  = 4096              // bytes that fd_write takes at once
	maxVecs   = 1024              // buffers of one fd_read or fd_write
	maxRandom = hostabi.MaxRandom // bytes of one random_get
)

// System is WASI for one program.
type System struct {
	// Stdout and Stderr take what the program writes; without them it goes into the log, as level LevelOut and LevelErr.
	// A writer that answers an error makes fd_write answer ENOSPC.
	Stdout, Stderr io.Writer

	host *hostabi.Host
}

// Log levels of output that has no writer.
const (
	LevelOut = 1
	LevelErr = 3
)

// Levels are those of the streams, as hostabi.Host.Flush wants them.
var Levels = [2]uint8{LevelOut, LevelErr}

// New makes the WASI side of a program whose state h keeps.
func New(h *hostabi.Host) *System { return &System{host: h} }

// ErrArgs: the arguments or the environment can't be given to a program.
var ErrArgs = errors.New("wasi: arguments or environment can't be passed")

// SetArgs sets what args_get and environ_get answer. Call it before the program starts; the state carries it on.
func SetArgs(s *hostabi.State, args, env []string) error {
	for _, l := range [][]string{args, env} {
		size := 0
		for _, v := range l {
			size += len(v) + 1
			if strings.IndexByte(v, 0) >= 0 {
				return fmt.Errorf("%w: %q has a zero byte", ErrArgs, v)
			}
		}
		if len(l) > hostabi.MaxArgs || size > hostabi.MaxArgBytes {
			return fmt.Errorf("%w: %d strings, %d bytes; at most %d and %d", ErrArgs, len(l), size, hostabi.MaxArgs, hostabi.MaxArgBytes)
		}
	}
	for _, v := range env {
		if strings.IndexByte(v, '=') < 1 {
			return fmt.Errorf("%w: %q isn't NAME=value", ErrArgs, v)
		}
	}
	s.Args, s.Env = args, env
	return nil
}

// Resolve gives WASI's functions, as vm.Resolver asks.
func (w *System) Resolve(module, name string) vm.Extern {
	if module != Module {
		return nil
	}
	f, found := functions[name]
	if !found {
		return nil
	}
	t := wasm.FuncType{Params: params(f.params), Results: []wasm.ValType{wasm.I32}}
	if f.noResult {
		t.Results = nil
	}
	return &vm.HostFunc{Type: t, Gas: f.gas, Fn: func(c *vm.HostCall) error {
		e, err := f.do(w, c)
		if err == nil && e != handled {
			c.Results[0] = vm.I32(int32(e))
		}
		return err
	}}
}

// handled says that the call has set its result, or has none.
const handled Errno = 0xffff

// params reads a signature: i for i32, I for i64.
func params(s string) []wasm.ValType {
	t := make([]wasm.ValType, len(s))
	for i := range t {
		t[i] = wasm.I32
		if s[i] == 'I' {
			t[i] = wasm.I64
		}
	}
	return t
}

func arg(c *vm.HostCall, i int) uint32 { return c.Args[i].U32() }

// put writes to the program's memory; a range outside of it is EFAULT, as everywhere in WASI.
func put(c *vm.HostCall, ptr uint32, b []byte) Errno {
	if c.Write(ptr, b) != nil {
		return eFault
	}
	return ok
}

func put32(c *vm.HostCall, ptr, v uint32) Errno {
	return put(c, ptr, binary.LittleEndian.AppendUint32(nil, v))
}

func put64(c *vm.HostCall, ptr uint32, v uint64) Errno {
	return put(c, ptr, binary.LittleEndian.AppendUint64(nil, v))
}

func first(es ...Errno) Errno {
	for _, e := range es {
		if e != ok {
			return e
		}
	}
	return ok
}

// textSize is what the strings take with a zero byte behind each.
func textSize(l []string) (n int) {
	for _, s := range l {
		n += len(s) + 1
	}
	return n
}

func sizesGet(c *vm.HostCall, l []string) (Errno, error) {
	return first(put32(c, arg(c, 0), uint32(len(l))), put32(c, arg(c, 1), uint32(textSize(l)))), nil
}

// stringsGet writes the strings, one behind the other, and a pointer to each.
func stringsGet(c *vm.HostCall, l []string) (Errno, error) {
	ptrs, text := make([]byte, 0, 4*len(l)), make([]byte, 0, textSize(l))
	for _, s := range l {
		ptrs = binary.LittleEndian.AppendUint32(ptrs, arg(c, 1)+uint32(len(text)))
		text = append(append(text, s...), 0)
	}
	return first(put(c, arg(c, 0), ptrs), put(c, arg(c, 1), text)), nil
}

// Clocks. The two CPU-time clocks of preview 1 are the virtual time too: what a program has used is what has passed.
const (
	clockRealtime  = 0
	clockMonotonic = 1
	clockLast      = 3
)

func clockRes(_ *System, c *vm.HostCall) (Errno, error) {
	if arg(c, 0) > clockLast {
		return eInval, nil
	}
	return put64(c, arg(c, 1), 1), nil
}

func (w *System) clockTime(c *vm.HostCall) (Errno, error) {
	id, ptr := arg(c, 0), arg(c, 2)
	switch {
	case id > clockLast:
		return eInval, nil
	case id != clockRealtime:
		return put64(c, ptr, uint64(c.Store().Clock())), nil
	case c.CheckWrite(ptr, 8) != nil:
		return eFault, nil
	}
	d := hostabi.Delivery{Shape: hostabi.ShapeWASI, Dst: ptr, Cap: 8}
	return handled, w.host.Call(c, hostabi.Request{Op: hostabi.OpNow}, d)
}

func (w *System) randomGet(c *vm.HostCall) (Errno, error) {
	ptr, n := arg(c, 0), arg(c, 1)
	if n > maxRandom {
		return eInval, nil
	}
	if c.CheckWrite(ptr, n) != nil {
		return eFault, nil
	}
	if !w.host.State.Started {
		b := make([]byte, n)
		c.Store().Random(b)
		return put(c, ptr, b), nil
	}
	d := hostabi.Delivery{Shape: hostabi.ShapeWASI, Dst: ptr, Cap: n}
	return handled, w.host.Call(c, hostabi.Request{Op: hostabi.OpRandom, N: uint64(n)}, d)
}

func (w *System) procExit(c *vm.HostCall) (Errno, error) {
	w.host.State.End = &hostabi.End{Code: arg(c, 0)}
	return handled, hostabi.ErrExit
}

// The standard streams.
const (
	stdin  = 0
	stdout = 1
	stderr = 2
)

// gather reads the buffers' places of a call, each a pointer and a length.
func gather(c *vm.HostCall) (vecs []byte, e Errno) {
	n := arg(c, 2)
	if n > maxVecs {
		return nil, eInval
	}
	vecs, err := c.Read(arg(c, 1), 8*n)
	if err != nil {
		return nil, eFault
	}
	return vecs, ok
}

func (w *System) fdWrite(c *vm.HostCall) (Errno, error) {
	fd := arg(c, 0)
	if fd != stdout && fd != stderr {
		return eBadF, nil
	}
	vecs, e := gather(c)
	if e != ok {
		return e, nil
	}
	// The answer's place is tried before anything is written: a call that fails has had no effect.
	if e := put32(c, arg(c, 3), 0); e != ok {
		return e, nil
	}
	out := make([]byte, 0, 256)
	for ; len(vecs) > 0 && len(out) < maxWrite; vecs = vecs[8:] {
		ptr, n := binary.LittleEndian.Uint32(vecs), binary.LittleEndian.Uint32(vecs[4:])
		b, err := c.Read(ptr, n)
		if err != nil {
			return eFault, nil
		}
		out = append(out, b[:min(len(b), maxWrite-len(out))]...)
	}
	if len(out) > 0 && !w.emit(fd, out) {
		return eNoSpc, nil
	}
	return put32(c, arg(c, 3), uint32(len(out))), nil
}

func (w *System) emit(fd uint32, b []byte) bool {
	to := w.Stdout
	if fd == stderr {
		to = w.Stderr
	}
	if to == nil {
		stream := int(fd - stdout)
		w.host.Write(stream, Levels[stream], b)
		return true
	}
	_, err := to.Write(b)
	return err == nil
}

// fdRead finds standard input at its end.
func fdRead(_ *System, c *vm.HostCall) (Errno, error) {
	if arg(c, 0) != stdin {
		return eBadF, nil
	}
	if _, e := gather(c); e != ok {
		return e, nil
	}
	return put32(c, arg(c, 3), 0), nil
}

// fdstat describes a standard stream: a character device that may be read or written and not sought, which is what a
// C library takes for a terminal and buffers by the line.
func fdstat(_ *System, c *vm.HostCall) (Errno, error) {
	fd := arg(c, 0)
	if fd > stderr {
		return eBadF, nil
	}
	const charDevice = 2
	const rightRead, rightWrite, rightPoll = 1 << 1, 1 << 6, 1 << 27
	rights := uint64(rightWrite | rightPoll)
	if fd == stdin {
		rights = rightRead | rightPoll
	}
	b := make([]byte, 24)
	b[0] = charDevice
	binary.LittleEndian.PutUint64(b[8:], rights)
	return put(c, arg(c, 1), b), nil
}

func filestat(_ *System, c *vm.HostCall) (Errno, error) {
	if arg(c, 0) > stderr {
		return eBadF, nil
	}
	b := make([]byte, 64)
	b[16] = 2                                // character device
	binary.LittleEndian.PutUint64(b[24:], 1) // links
	return put(c, arg(c, 1), b), nil
}
