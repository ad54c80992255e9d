package hostabi

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// State is what a program has at its host's. It is part of the program's identity: it travels in the continuation and
// goes into the state hash, so its encoding is canonical.
type State struct {
	Input []byte   // of flow.input
	Args  []string // of WASI
	Env   []string // of WASI, NAME=value

	Output    []byte // of flow.output, the last one
	HasOutput bool

	// Started says that initialisation is over: from then on WASI's random numbers are the zone's. Before, they
	// come from the store's seed, so that a client can run the initialisation ahead.
	Started bool

	End     *End   // nil while the program hasn't ended itself
	Log     []Line // messages that no Effects took yet
	Dropped uint64 // messages that didn't fit

	// Lines are what the program wrote to its standard output and error behind the last line that was logged, Err the
	// end of all that it wrote to standard error in this segment: what a runtime says before it gives up.
	Lines [2][]byte
	Err   []byte

	// Pending is the call that waits for its answer.
	// Invariant: it is set exactly while the store waits for a call of one of this host's imports.
	Pending *Pending
}

// End is how a program ended itself.
type End struct {
	Fail bool   // by flow.fail; else by WASI's proc_exit
	Code uint32 // of fail or the exit status
	Msg  string // of fail
}

// Line is a log message.
type Line struct {
	Level uint8
	Msg   string
}

// Op is what a request asks for.
type Op uint8

// The operations that an Effects may answer later. The numbers are part of the encoding.
const (
	OpGet    Op = 1 + iota // Store, Key
	OpPut                  // Store, Key, Val
	OpDelete               // Store, Key
	OpScan                 // Store, Key: prefix, Val: after, N: most bytes
	OpEmit                 // Key: topic, Val: data
	OpNow
	OpRandom // N: bytes
	OpGoto   // Key: zone
	OpSleep  // N: nanoseconds
	OpUntil  // N: the zone's time to sleep until
	OpZone
	OpGas
	opEnd
)

var opText = [...]string{OpGet: "kv.get", OpPut: "kv.put", OpDelete: "kv.delete", OpScan: "kv.scan", OpEmit: "event.emit",
	OpNow: "clock.now", OpRandom: "random.fill", OpGoto: "flow.goto", OpSleep: "flow.sleep", OpUntil: "sleep until", OpZone: "flow.zone", OpGas: "flow.gas"}

func (o Op) String() string {
	if o > 0 && o < opEnd {
		return opText[o]
	}
	return fmt.Sprintf("operation %d", uint8(o))
}

// Request is one call with its arguments. What the fields hold stands with the operations.
type Request struct {
	Op    Op
	Store uint32
	Key   []byte
	Val   []byte
	N     uint64
}

// check holds a request to the limits; a decoded one is as hostile as a program's.
func (r *Request) check() error {
	maxKey, maxVal, maxN := 0, 0, uint64(0)
	switch r.Op {
	case OpGet, OpDelete:
		maxKey = MaxKey
	case OpPut:
		maxKey, maxVal = MaxKey, MaxValue
	case OpScan:
		maxKey, maxVal, maxN = MaxKey, MaxKey, MaxScan
	case OpEmit:
		maxKey, maxVal = MaxTopic, MaxEvent
	case OpRandom:
		maxN = MaxRandom
	case OpGoto:
		maxKey = MaxZone
	case OpSleep:
		maxN = MaxSleep
	case OpUntil:
		maxN = math.MaxUint64
	}
	if len(r.Key) > maxKey || len(r.Val) > maxVal || r.N > maxN {
		return ErrTooLarge
	}
	switch r.Op {
	case OpGet, OpPut, OpDelete:
		if len(r.Key) == 0 {
			return ErrInvalid
		}
	case OpEmit, OpGoto:
		if len(r.Key) == 0 || !utf8.Valid(r.Key) {
			return ErrInvalid
		}
	}
	return nil
}

// Reply is the answer to a request: Data of get, zone, random and scan (packed), N of now and gas, or a refusal. N of
// OpUntil is how many nanoseconds it slept.
type Reply struct {
	Data []byte
	N    uint64
	Err  Errno
}

// Shape is how a reply reaches the program.
type Shape uint8

// The shapes. The numbers are part of the encoding.
const (
	ShapeCode   Shape = 1 + iota // i32: 0 or a refusal
	ShapeList                    // Data to Dst if it fits into Cap; i32: its length, or a refusal
	ShapeNumber                  // i64: N; a refusal ends the program
	ShapeWASI                    // Data, or N as eight bytes, to Dst; i32: WASI's errno
	ShapePoll                    // Fixed to Dst, the number of events to Dst2; i32: WASI's errno
	shapeEnd
)

// Delivery says where a reply goes. Fixed is at most MaxPoll events.
type Delivery struct {
	Shape    Shape
	Dst, Cap uint32
	Dst2     uint32
	Fixed    []byte
}

// PollEvent is the size of an event of WASI's poll_oneoff, MaxPoll the most that one call may subscribe to.
const (
	PollEvent = 32
	MaxPoll   = 1024
)

// Pending is a call that waits for its answer.
type Pending struct {
	Request
	Delivery
}

// The encoding: a version byte, then each field in the order below; integers little-endian and of fixed width, byte
// strings and lists after a 32-bit length, optional parts after a byte 0 or 1. Lines and Err come last, and only if there
// is any of them: the version says so. Each state has one encoding.

const (
	stateVersion = 1 + iota
	stateWrote   // with Lines and Err
)

// Marshal encodes the state.
func (s *State) Marshal() []byte {
	e := encoder{stateVersion}
	if s.wrote() {
		e[0] = stateWrote
	}
	e.bytes(s.Input)
	e.strings(s.Args)
	e.strings(s.Env)
	e.flag(s.HasOutput)
	if s.HasOutput {
		e.bytes(s.Output)
	}
	e.flag(s.Started)
	e.flag(s.End != nil)
	if s.End != nil {
		e.flag(s.End.Fail)
		e.u32(s.End.Code)
		e.bytes([]byte(s.End.Msg))
	}
	e.u32(uint32(len(s.Log)))
	for _, l := range s.Log {
		e = append(e, l.Level)
		e.bytes([]byte(l.Msg))
	}
	e.u64(s.Dropped)
	e.flag(s.Pending != nil)
	if p := s.Pending; p != nil {
		e = append(e, byte(p.Op))
		e.u32(p.Store)
		e.bytes(p.Key)
		e.bytes(p.Val)
		e.u64(p.N)
		e = append(e, byte(p.Shape))
		e.u32(p.Dst)
		e.u32(p.Cap)
		e.u32(p.Dst2)
		e.bytes(p.Fixed)
	}
	if s.wrote() {
		e.bytes(s.Lines[0])
		e.bytes(s.Lines[1])
		e.bytes(s.ErrTail())
	}
	return e
}

func (s *State) wrote() bool { return len(s.Lines[0])+len(s.Lines[1])+len(s.Err) > 0 }

// ErrTail is the end of what the program wrote to standard error in this segment, at most MaxErr bytes.
func (s *State) ErrTail() []byte { return s.Err[max(0, len(s.Err)-MaxErr):] }

// StateError says what is wrong with an encoded state, and where.
type StateError struct {
	Offset int
	Reason string
}

func (e *StateError) Error() string {
	return fmt.Sprintf("host state at byte %d: %s; the continuation is damaged or of a newer version", e.Offset, e.Reason)
}

// UnmarshalState decodes a state and accepts exactly what Marshal gives. Byte strings are copied.
func UnmarshalState(b []byte) (*State, error) {
	if len(b) > MaxState {
		return nil, &StateError{0, fmt.Sprintf("%d bytes, at most %d", len(b), MaxState)}
	}
	d := decoder{b: b}
	version := d.u8()
	if d.err == nil && version != stateVersion && version != stateWrote {
		d.fail(fmt.Sprintf("version %d, this node reads %d and %d", version, stateVersion, stateWrote))
	}
	s := &State{}
	s.Input = d.bytes(MaxValue)
	s.Args = d.strings()
	s.Env = d.strings()
	if s.HasOutput = d.flag(); s.HasOutput {
		s.Output = d.bytes(MaxValue)
	}
	s.Started = d.flag()
	if d.flag() {
		s.End = &End{Fail: d.flag(), Code: d.u32(), Msg: string(d.bytes(MaxLog))}
		if !s.End.Fail && s.End.Msg != "" {
			d.fail("an exit has no message")
		}
	}
	for range d.count(MaxLogLines) {
		s.Log = append(s.Log, Line{d.u8(), string(d.bytes(MaxLog))})
	}
	s.Dropped = d.u64()
	if d.flag() {
		s.Pending = d.pending()
	}
	if version == stateWrote {
		s.Lines[0], s.Lines[1], s.Err = d.bytes(MaxLog-1), d.bytes(MaxLog-1), d.bytes(MaxErr)
		if !s.wrote() {
			d.fail("nothing was written")
		}
	}
	if d.err == nil && d.at != len(b) {
		d.fail("bytes behind the end")
	}
	if d.err != nil {
		return nil, d.err
	}
	return s, nil
}

func (d *decoder) pending() *Pending {
	p := &Pending{}
	p.Op = Op(d.u8())
	p.Store = d.u32()
	p.Key = d.bytes(max(MaxKey, MaxTopic, MaxZone))
	p.Val = d.bytes(MaxValue)
	p.N = d.u64()
	p.Shape = Shape(d.u8())
	p.Dst, p.Cap, p.Dst2 = d.u32(), d.u32(), d.u32()
	p.Fixed = d.bytes(MaxPoll * PollEvent)
	switch {
	case d.err != nil:
	case p.Op == 0 || p.Op >= opEnd || p.Shape == 0 || p.Shape >= shapeEnd:
		d.fail("unknown operation")
	case p.Request.check() != nil:
		d.fail("request beyond its limits")
	case len(p.Fixed)%PollEvent != 0:
		d.fail("part of an event")
	}
	return p
}

type encoder []byte

func (e *encoder) u32(v uint32) { *e = binary.LittleEndian.AppendUint32(*e, v) }
func (e *encoder) u64(v uint64) { *e = binary.LittleEndian.AppendUint64(*e, v) }

func (e *encoder) flag(v bool) {
	if v {
		*e = append(*e, 1)
	} else {
		*e = append(*e, 0)
	}
}

func (e *encoder) bytes(b []byte) {
	e.u32(uint32(len(b)))
	*e = append(*e, b...)
}

func (e *encoder) strings(s []string) {
	e.u32(uint32(len(s)))
	for _, v := range s {
		e.u32(uint32(len(v)))
		*e = append(*e, v...)
	}
}

// decoder reads on after an error, and then reads zeros: only the first error counts.
type decoder struct {
	b   []byte
	at  int
	err error
}

func (d *decoder) fail(reason string) {
	if d.err == nil {
		d.err = &StateError{d.at, reason}
	}
}

var zeros [8]byte

func (d *decoder) take(n int) []byte {
	if d.err == nil && n > len(d.b)-d.at {
		d.fail("cut off")
	}
	if d.err != nil {
		return zeros[:min(n, 8)]
	}
	d.at += n
	return d.b[d.at-n : d.at]
}

func (d *decoder) u8() byte    { return d.take(1)[0] }
func (d *decoder) u32() uint32 { return binary.LittleEndian.Uint32(d.take(4)) }
func (d *decoder) u64() uint64 { return binary.LittleEndian.Uint64(d.take(8)) }

func (d *decoder) flag() bool {
	v := d.u8()
	if v > 1 {
		d.fail("flag that is neither 0 nor 1")
	}
	return v == 1
}

// count reads a length and holds it to a limit, so that nothing larger is ever allocated.
func (d *decoder) count(most int) int {
	n := d.u32()
	if uint64(n) > uint64(most) {
		d.fail(fmt.Sprintf("length %d, at most %d", n, most))
	}
	if d.err != nil {
		return 0
	}
	return int(n)
}

func (d *decoder) bytes(most int) []byte {
	n := d.count(most)
	b := d.take(n)
	if d.err != nil || n == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

func (d *decoder) strings() []string {
	var s []string
	size := 0
	for range d.count(MaxArgs) {
		v := string(d.bytes(MaxArgBytes))
		size += len(v) + 1
		if size > MaxArgBytes || strings.IndexByte(v, 0) >= 0 {
			d.fail("arguments that can't be passed")
		}
		s = append(s, v)
	}
	return s
}
