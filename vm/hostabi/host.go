package hostabi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Host is one program's side of the ABI: the resolver of its imports and the state behind them. It belongs to whoever
// owns the program's store.
type Host struct {
	State State

	eff Effects
}

// New makes the host of a program that starts. For one that continues, Restore it after vm.Thaw, which needs the
// resolver before it can give the state.
func New(eff Effects) *Host { return &Host{eff: eff} }

// Restore takes over the host state of a continuation, and hands its Effects the log messages that wait there.
func (h *Host) Restore(state []byte) error {
	s, err := UnmarshalState(state)
	if err != nil {
		return err
	}
	h.State = *s
	h.deliverLog()
	return nil
}

// Resolve gives the imports of this package, as vm.Resolver asks.
func (h *Host) Resolve(module, name string) vm.Extern {
	c := index[[2]string{module, name}]
	if c == nil {
		return nil
	}
	return &vm.HostFunc{
		Type: wasm.FuncType{Params: c.params, Results: c.results},
		Gas:  c.gas,
		Fn:   func(hc *vm.HostCall) error { return c.do(h, hc) },
	}
}

// Imports lists what Resolve gives, module and name.
func Imports() [][2]string {
	var l [][2]string
	for _, c := range calls {
		l = append(l, [2]string{c.module, c.name})
	}
	return l
}

// Log hands a message to the Effects, or keeps it until one takes it.
func (h *Host) Log(level uint8, msg string) {
	msg = text(msg)
	switch {
	case len(h.State.Log) == 0 && h.eff.Log(level, msg):
	case len(h.State.Log) < MaxLogLines:
		h.State.Log = append(h.State.Log, Line{level, msg})
	default:
		h.State.Dropped++
	}
}

// Write takes what a program wrote to its standard output, stream 0, or error, stream 1. Whole lines become log messages
// of the level; the rest waits for its line to end.
func (h *Host) Write(stream int, level uint8, b []byte) {
	s := &h.State
	if stream == 1 {
		if s.Err = append(s.Err, b...); len(s.Err) > 2*MaxErr {
			s.Err = append(s.Err[:0], s.ErrTail()...)
		}
	}
	line := append(s.Lines[stream], b...)
	if end := bytes.LastIndexByte(line, '\n'); end >= 0 {
		h.logAll(level, line[:end])
		line = line[end+1:]
	}
	if len(line) >= MaxLog {
		h.logAll(level, line)
		line = nil
	}
	s.Lines[stream] = append([]byte(nil), line...)
}

// logAll logs what may be longer than one message.
func (h *Host) logAll(level uint8, b []byte) {
	for len(b) > MaxLog {
		h.Log(level, string(b[:MaxLog]))
		b = b[MaxLog:]
	}
	h.Log(level, string(b))
}

// Flush logs lines that did not end, and forgets what was written to standard error: a segment is over, or the program.
func (h *Host) Flush(levels [2]uint8) {
	for i, line := range h.State.Lines {
		if len(line) > 0 {
			h.Log(levels[i], string(line))
		}
	}
	h.State.Lines, h.State.Err = [2][]byte{}, nil
}

func (h *Host) deliverLog() {
	for len(h.State.Log) > 0 && h.eff.Log(h.State.Log[0].Level, h.State.Log[0].Msg) {
		h.State.Log = h.State.Log[1:]
	}
	if n := h.State.Dropped; n > 0 && len(h.State.Log) == 0 && h.eff.Log(0, fmt.Sprintf("%d messages were dropped", n)) {
		h.State.Dropped = 0
	}
}

// text makes a message valid and not longer than MaxLog.
func text(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= MaxLog {
		return s
	}
	n := MaxLog
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// Call performs a request and delivers its reply, or makes it the pending one. It is the whole of a call behind reading
// its arguments, and what package wasi shares. The destination must have been checked where its shape has one.
func (h *Host) Call(c *vm.HostCall, r Request, d Delivery) error {
	reply, err := h.perform(c.Store(), &r)
	if errors.Is(err, vm.ErrPending) {
		r.Key, r.Val = append([]byte(nil), r.Key...), append([]byte(nil), r.Val...)
		h.State.Pending = &Pending{r, d}
		return vm.ErrPending
	}
	if err != nil {
		return fmt.Errorf("%v: %w", r.Op, err)
	}
	return deliver(c, reply, d)
}

// request is Call for this package's own imports, with what reading the arguments gave.
func (h *Host) request(c *vm.HostCall, r Request, d Delivery, errs ...error) error {
	if d.Shape == ShapeList {
		if err := c.CheckWrite(d.Dst, d.Cap); err != nil {
			return err
		}
	}
	for _, err := range append(errs, r.check()) {
		if e, ok := err.(Errno); ok {
			return deliver(c, Reply{Err: e}, d)
		}
		if err != nil {
			return err
		}
	}
	return h.Call(c, r, d)
}

// reply is a call that the host answers from its own state.
func (h *Host) reply(c *vm.HostCall, r Reply, d Delivery) error {
	if err := c.CheckWrite(d.Dst, d.Cap); err != nil {
		return err
	}
	return deliver(c, r, d)
}

// perform has the Effects answer. A refusal becomes part of the reply.
func (h *Host) perform(s *vm.Store, r *Request) (Reply, error) {
	reply, err := h.ask(r)
	var refused Errno
	if errors.As(err, &refused) {
		return Reply{Err: refused}, nil
	}
	if err == nil {
		advance(s, r, reply)
	}
	return reply, err
}

// advance moves the program's clock over a sleep.
func advance(s *vm.Store, r *Request, reply Reply) {
	switch {
	case reply.Err != 0:
	case r.Op == OpSleep:
		sleep(s, r.N)
	case r.Op == OpUntil:
		sleep(s, reply.N)
	}
}

func (h *Host) ask(r *Request) (reply Reply, err error) {
	switch r.Op {
	case OpGet:
		reply.Data, err = h.eff.Get(r.Store, r.Key)
	case OpPut:
		err = h.eff.Put(r.Store, r.Key, r.Val)
	case OpDelete:
		err = h.eff.Delete(r.Store, r.Key)
	case OpScan:
		var rows []Row
		rows, err = h.eff.Scan(r.Store, r.Key, r.Val, int(r.N))
		reply.Data = pack(rows)
	case OpEmit:
		err = h.eff.Emit(string(r.Key), r.Val)
	case OpNow:
		reply.N, err = h.eff.Now()
	case OpRandom:
		reply.Data = make([]byte, r.N)
		err = h.eff.Random(reply.Data)
	case OpGoto:
		err = h.eff.Goto(string(r.Key))
	case OpSleep:
		err = h.eff.Sleep(r.N)
	case OpUntil:
		reply.N, err = h.until(r.N)
	case OpZone:
		var z string
		z, err = h.eff.Zone()
		reply.Data = []byte(z)
	case OpGas:
		reply.N, err = h.eff.Gas()
	default:
		err = fmt.Errorf("%v has no effect", r.Op)
	}
	return reply, err
}

// until sleeps up to a time of the zone's and answers for how long.
func (h *Host) until(at uint64) (uint64, error) {
	now, err := h.eff.Now()
	if err != nil || at <= now {
		return 0, err
	}
	d := min(at-now, MaxSleep)
	return d, h.eff.Sleep(d)
}

// lastClock is where a program's clock stops, 146 years of sleep on: beyond, additions could overflow.
const lastClock = 1 << 62

func sleep(s *vm.Store, ns uint64) {
	s.Sleep(int64(min(ns, uint64(max(lastClock-s.Clock(), 0)))))
}

// pack is scan's answer: {key length, value length, key, value} for each row, lengths of 32 bits.
func pack(rows []Row) []byte {
	n := 0
	for _, r := range rows {
		n += PackedSize(r)
	}
	b := make([]byte, 0, n)
	for _, r := range rows {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Key)))
		b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Val)))
		b = append(append(b, r.Key...), r.Val...)
	}
	return b
}

// wasiIO is WASI's errno for an answer that failed: input/output error.
const wasiIO = 29

// place turns a reply into the call's result and the writes to memory.
func place(r Reply, d Delivery) (vm.Value, []vm.Write, error) {
	switch {
	case r.Err != 0 && (d.Shape == ShapeCode || d.Shape == ShapeList):
		return vm.I32(int32(r.Err)), nil, nil
	case r.Err != 0 && (d.Shape == ShapeWASI || d.Shape == ShapePoll):
		return vm.I32(wasiIO), nil, nil
	case r.Err != 0:
		return vm.Value{}, nil, r.Err
	}
	switch d.Shape {
	case ShapeList:
		if len(r.Data) > MaxScan+8+MaxKey+MaxValue {
			return vm.Value{}, nil, fmt.Errorf("answer of %d bytes, beyond any that a call may have", len(r.Data))
		}
		if uint64(len(r.Data)) <= uint64(d.Cap) {
			return vm.I32(int32(len(r.Data))), []vm.Write{{Dst: d.Dst, Data: r.Data}}, nil
		}
		return vm.I32(int32(len(r.Data))), nil, nil
	case ShapeNumber:
		return vm.I64(int64(r.N)), nil, nil
	case ShapeWASI:
		data := r.Data
		if data == nil {
			data = binary.LittleEndian.AppendUint64(nil, r.N)
		}
		if uint64(len(data)) > uint64(d.Cap) {
			return vm.Value{}, nil, fmt.Errorf("answer of %d bytes for %d", len(data), d.Cap)
		}
		return vm.I32(0), []vm.Write{{Dst: d.Dst, Data: data}}, nil
	case ShapePoll:
		n := binary.LittleEndian.AppendUint32(nil, uint32(len(d.Fixed)/PollEvent))
		return vm.I32(0), []vm.Write{{Dst: d.Dst, Data: d.Fixed}, {Dst: d.Dst2, Data: n}}, nil
	}
	return vm.I32(0), nil, nil
}

func deliver(c *vm.HostCall, r Reply, d Delivery) error {
	v, writes, err := place(r, d)
	if err != nil {
		return err
	}
	for _, w := range writes {
		if err := c.Write(w.Dst, w.Data); err != nil {
			return err
		}
	}
	c.Results[0] = v
	return nil
}

// ErrNotPending: the store waits for a call that this host's state knows nothing of, or for none.
var ErrNotPending = errors.New("no call is pending in the host state; the continuation doesn't belong to it")

// Perform has the host's Effects answer the pending call, and makes the store ready to run on. It is how a program that
// was stopped before an effect, by one whose Effects couldn't carry it out, gets it from one whose Effects can. It
// returns vm.ErrPending, and changes nothing, if these can't either.
func (h *Host) Perform(s *vm.Store) error {
	p := h.State.Pending
	if p == nil {
		return ErrNotPending
	}
	reply, err := h.ask(&p.Request)
	var refused Errno
	switch {
	case errors.As(err, &refused):
		reply = Reply{Err: refused}
	case err != nil:
		return fmt.Errorf("%v: %w", p.Op, err)
	}
	return h.Answer(s, reply)
}

// Answer supplies the reply to the pending call, and makes the store ready to run on. A sleep that is over moves the
// program's clock.
func (h *Host) Answer(s *vm.Store, r Reply) error {
	p := h.State.Pending
	if p == nil {
		return ErrNotPending
	}
	v, writes, err := place(r, p.Delivery)
	if err != nil {
		return fmt.Errorf("%v: %w", p.Op, err)
	}
	if err := s.Resume([]vm.Value{v}, writes...); err != nil {
		return err
	}
	advance(s, &p.Request, r)
	h.State.Pending = nil
	return nil
}
