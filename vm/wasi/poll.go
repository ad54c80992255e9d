package wasi

import (
	"encoding/binary"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
)

// The layout of poll_oneoff's subscriptions and events (preview 1).
const (
	subscription = 48 // userdata 8, tag 1 at 8; clock: id 4 at 16, timeout 8 at 24, flags 2 at 40; stream: fd 4 at 16
	event        = hostabi.PollEvent

	tagClock   = 0
	tagRead    = 1
	tagWrite   = 2
	flagAbs    = 1 // the timeout is a time and not a duration
	flagHangup = 1
)

// ShortSleep bounds the waits, in nanoseconds, that only move the program's own clock. Language runtimes wait for
// microseconds where they expect another thread to act; a durable sleep there would commit the program's effects in the
// middle of its own panic.
const ShortSleep = 20_000_000

// timeout is what one clock subscription waits for.
type timeout struct {
	user  uint64
	delay uint64 // nanoseconds from now, or the zone's time when until is set
	until bool
	err   Errno
}

// pollOneoff answers at once if a stream is ready or a timeout is past, and sleeps until the first timeout otherwise.
// All its events are known before it sleeps, so that the sleep may be long and end on another machine.
func (w *System) pollOneoff(c *vm.HostCall) (Errno, error) {
	in, out, n, count := arg(c, 0), arg(c, 1), arg(c, 2), arg(c, 3)
	if n == 0 || n > hostabi.MaxPoll {
		return eInval, nil
	}
	subs, err := c.Read(in, n*subscription)
	if err != nil || c.CheckWrite(out, n*event) != nil || c.CheckWrite(count, 4) != nil {
		return eFault, nil
	}
	ready := make([]byte, 0, n*event)
	var clocks []timeout
	for ; len(subs) > 0; subs = subs[subscription:] {
		switch user := binary.LittleEndian.Uint64(subs); subs[8] {
		case tagClock:
			clocks = append(clocks, readTimeout(subs, uint64(c.Store().Clock())))
		case tagRead, tagWrite:
			ready = streamEvent(ready, user, subs[8], binary.LittleEndian.Uint32(subs[16:]))
		default:
			return eInval, nil
		}
	}
	r := hostabi.Request{Op: hostabi.OpSleep, N: hostabi.MaxSleep}
	if len(clocks) == 1 && clocks[0].until && len(ready) == 0 {
		r = hostabi.Request{Op: hostabi.OpUntil, N: clocks[0].delay}
		ready = clockEvent(ready, clocks[0].user, ok)
	} else {
		ready, r.N = expire(clocks, ready)
	}
	if r.Op == hostabi.OpSleep && r.N < ShortSleep {
		c.Store().Sleep(int64(r.N))
		r.N = 0
	}
	if r.N == 0 {
		return first(put(c, out, ready), put32(c, count, uint32(len(ready)/event))), nil
	}
	d := hostabi.Delivery{Shape: hostabi.ShapePoll, Dst: out, Dst2: count, Fixed: ready}
	return handled, w.host.Call(c, r, d)
}

// expire adds the events of the clocks that go off first, and answers how long that takes. A time on the zone's clock
// can't be weighed against one on the program's, since the zone may be asked only later: next to others it is refused.
func expire(clocks []timeout, ready []byte) ([]byte, uint64) {
	delay := uint64(hostabi.MaxSleep)
	if len(ready) > 0 {
		delay = 0
	}
	for i, t := range clocks {
		if t.until {
			clocks[i] = timeout{user: t.user, err: eNotSup}
		}
		delay = min(delay, clocks[i].delay)
	}
	for _, t := range clocks {
		if t.delay <= delay {
			ready = clockEvent(ready, t.user, t.err)
		}
	}
	return ready, delay
}

// readTimeout reads a clock subscription; now is the program's virtual time.
func readTimeout(sub []byte, now uint64) timeout {
	at := binary.LittleEndian.Uint64(sub[24:])
	t := timeout{user: binary.LittleEndian.Uint64(sub), delay: min(at, hostabi.MaxSleep)}
	absolute := binary.LittleEndian.Uint16(sub[40:])&flagAbs != 0
	switch id := binary.LittleEndian.Uint32(sub[16:]); {
	case id > clockLast:
		t.delay, t.err = 0, eInval
	case absolute && id == clockRealtime:
		t.delay, t.until = at, true
	case absolute && at <= now:
		t.delay = 0
	case absolute:
		t.delay = min(at-now, hostabi.MaxSleep)
	}
	return t
}

// clockEvent and streamEvent append an event.

func clockEvent(to []byte, user uint64, e Errno) []byte {
	var b [event]byte
	binary.LittleEndian.PutUint64(b[:], user)
	binary.LittleEndian.PutUint16(b[8:], uint16(e))
	b[10] = tagClock
	return append(to, b[:]...)
}

// Output can always be written, input is at its end, other files don't exist.
func streamEvent(to []byte, user uint64, tag byte, fd uint32) []byte {
	var b [event]byte
	binary.LittleEndian.PutUint64(b[:], user)
	b[10] = tag
	switch {
	case tag == tagRead && fd == stdin:
		b[24] = flagHangup
	case tag == tagWrite && (fd == stdout || fd == stderr):
		binary.LittleEndian.PutUint64(b[16:], maxWrite)
	default:
		binary.LittleEndian.PutUint16(b[8:], uint16(eBadF))
	}
	return append(to, b[:]...)
}
