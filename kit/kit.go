// Package kit is what code inside a capsule imports: typed access to the data of the zone it runs in, durable waiting,
// and movement between zones. It must never know which node, worker or network carries the capsule.
//
// The same source is built twice. As WebAssembly every function below is one import of the kitwork:host interfaces, and
// the import section of the finished module holds exactly the calls that the program can reach. Natively the functions
// act on a [Local], an in-memory zone with real transactions, so a capsule's function is tested like any other.
//
// Time is spent in segments. A segment runs from one boundary (start, [Sleep], [Goto], return) to the next, and what it
// wrote and emitted becomes visible to others at its end, all of it or nothing.
package kit

import (
	"iter"
	"strconv"
)

// Context stands for the running capsule. The zero value is of no use: the runtime passes one to the capsule's function,
// a test gets one from [Local].
type Context struct{ h host }

// Get reads one value. The key is the path below the zone's kv/, as grants name it: "orders/17" for kv/orders/17. One that
// was never written, or deleted, is [ErrNotFound].
func Get[T any](c Context, key string) (T, error) {
	var v T
	raw, done, e := c.h.get(key)
	if e != 0 {
		return v, &Error{Op: "get", Key: key, Err: e}
	}
	defer done()
	if err := decode(raw, &v); err != nil {
		return v, &Error{Op: "get", Key: key, Err: err}
	}
	return v, nil
}

// Put writes one value at the end of the segment; later reads of this segment see it already.
func Put[T any](c Context, key string, v T) error {
	b, err := Marshal(v)
	if err != nil {
		return &Error{Op: "put", Key: key, Err: err}
	}
	if e := c.h.put(key, b); e != 0 {
		return &Error{Op: "put", Key: key, Err: e}
	}
	return nil
}

// Delete removes a key; removing what is absent is no error.
func Delete(c Context, key string) error {
	if e := c.h.delete(key); e != 0 {
		return &Error{Op: "delete", Key: key, Err: e}
	}
	return nil
}

// Row is one entry that [Scan] yields.
type Row[T any] struct {
	Key   string
	Value T
}

// Scan yields the entries whose keys begin with prefix, in byte order of the keys, including what this segment wrote.
// It ends after the first error, which it yields. Between two rows it holds no cursor in the zone, so the loop may write,
// sleep or move.
func Scan[T any](c Context, prefix string) iter.Seq2[Row[T], error] {
	return ScanAfter[T](c, prefix, "")
}

// ScanAfter is [Scan] for the entries whose keys are greater than after.
func ScanAfter[T any](c Context, prefix, after string) iter.Seq2[Row[T], error] {
	return func(yield func(Row[T], error) bool) {
		for {
			raw, done, e := c.h.scan(prefix, after)
			if e != 0 {
				yield(Row[T]{}, &Error{Op: "scan", Key: prefix, Err: e})
				return
			}
			rows, err := unpackRows(raw)
			done()
			if err != nil {
				yield(Row[T]{}, &Error{Op: "scan", Key: prefix, Err: err})
				return
			}
			if len(rows) == 0 {
				return
			}
			for _, r := range rows {
				row := Row[T]{Key: r.key}
				if err := decode(r.val, &row.Value); err != nil {
					yield(Row[T]{}, &Error{Op: "scan", Key: r.key, Err: err})
					return
				}
				if !yield(row, nil) {
					return
				}
				after = r.key
			}
		}
	}
}

type packedRow struct {
	key string
	val []byte
}

// unpackRows copies the rows {klen u32, vlen u32, key, val}* out of the host's buffer, so that the buffer is free again
// before the loop's body makes the next host call.
func unpackRows(b []byte) ([]packedRow, error) {
	b = append([]byte(nil), b...)
	var rows []packedRow
	for off := 0; off < len(b); {
		if len(b)-off < 8 {
			return nil, &DecodeError{Offset: off, Reason: "row header cut short"}
		}
		kl, vl := int(le32(b[off:])), int(le32(b[off+4:]))
		off += 8
		if kl > len(b)-off || vl > len(b)-off-kl {
			return nil, &DecodeError{Offset: off, Reason: "row longer than its page"}
		}
		rows = append(rows, packedRow{string(b[off : off+kl]), b[off+kl : off+kl+vl]})
		off += kl + vl
	}
	return rows, nil
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// Emit adds an event to the zone's outbox when the segment commits, and only then. Who watches the capsule is told of it, maybe
// more than once: by segment and position it is known again. It stays in the outbox for a time that is the zone's policy.
func Emit[T any](c Context, topic string, v T) error {
	b, err := Marshal(v)
	if err != nil {
		return &Error{Op: "emit", Key: topic, Err: err}
	}
	if e := c.h.emit(topic, b); e != 0 {
		return &Error{Op: "emit", Key: topic, Err: e}
	}
	return nil
}

// Units of time for [Sleep]. They equal those of package time, whose import would add 260 KB to a module of 1.8 MB.
const (
	Millisecond int64 = 1e6
	Second            = 1000 * Millisecond
	Minute            = 60 * Second
	Hour              = 60 * Minute
)

// Duration is any integer type that counts nanoseconds, time.Duration among them.
type Duration interface{ ~int64 }

// Sleep ends the segment, waits, and continues in a new one, on whatever worker is free then. The wait survives a restart
// of every node. A negative duration is [ErrInvalid].
func Sleep[D Duration](c Context, d D) error {
	if d < 0 {
		return &Error{Op: "sleep", Err: ErrInvalid}
	}
	if e := c.h.sleep(uint64(d)); e != 0 {
		return &Error{Op: "sleep", Err: e}
	}
	return nil
}

// Goto ends the segment and asks to continue in another zone. It returns nil there, or an error here: the other zone
// refused ([ErrDenied], [ErrExhausted]), can't be reached ([ErrUnreachable]), or isn't in the capsule's itinerary
// ([ErrNotFound]). What was written before is kept either way.
func Goto(c Context, zone string) error {
	if e := c.h.goTo(zone); e != 0 {
		return &Error{Op: "goto", Key: zone, Err: e}
	}
	return nil
}

// Zone is the name, in the capsule's itinerary, of the zone it runs in.
func Zone(c Context) string { return c.h.zone() }

// Now is the zone's agreed time in nanoseconds since 1970, constant within a segment.
func Now(c Context) int64 { return int64(c.h.now()) }

// Random fills p with bytes that the zone draws for this segment: unknown to the client beforehand, equal on a retry.
func Random(c Context, p []byte) error {
	if e := c.h.random(p); e != 0 {
		return &Error{Op: "random", Err: e}
	}
	return nil
}

// Gas is the number of units left. A capsule that runs dry is suspended with its state and continues when topped up, so
// this is for choosing how much to do, not for survival.
func Gas(c Context) uint64 { return c.h.gas() }

// Level grades a log line.
type Level uint8

// The levels, least severe first.
const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)

// Log records a line that the capsule's author sees. It is no effect: lines are kept even if the segment fails.
func Log(c Context, level Level, msg string) { c.h.log(level, msg) }

// Limits in bytes. What is longer is [ErrTooLarge]; a result that is too long fails the capsule.
const (
	MaxKey    = 256
	MaxValue  = 256 << 10 // a stored value, an input
	MaxResult = 16 << 10  // certified by the zone's voters and kept by each
	MaxTopic  = 256
	MaxEvent  = 64 << 10
)

func tooLong(n int) string {
	return "a result of " + strconv.Itoa(n) + " bytes, at most " + strconv.Itoa(MaxResult) +
		": put it into the zone's data and return its key"
}
