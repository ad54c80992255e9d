// Package hostabi gives a program the imports kitwork:host/<interface>@0.1.0 over a small interface of effects; it must
// never know who carries the effects out, whether a zone, a dry run or a test, nor touch a clock, disk or network itself.
//
// The ABI in one paragraph: a string or byte list is a pointer and a length; a list result is a destination and a
// capacity, and the i32 answer is its full length, with nothing written when that exceeds the capacity; an answer below
// zero is one of the [Errno]s. The host never calls back into the program, so that every call is a place to stop at.
// The whole of it is in kitwork.wit.
//
// A call may find that its answer isn't there yet: an Effects method returns [vm.ErrPending]. The request is then kept
// in the host's state, which travels with the continuation. Whoever holds the program next either has its own Effects
// answer ([Host.Perform]) or supplies the answer ([Host.Answer]). This is how a program moves: flow.goto is pending until
// the program runs in the zone it named.
package hostabi

import (
	"errors"
	"strconv"
)

// Errno is a refusal that the program sees as the call's negative result.
type Errno int32

// The refusals of the ABI.
const (
	ErrNotFound    Errno = -1 // nothing is stored under the key
	ErrDenied      Errno = -2 // no capability of the program covers it
	ErrInvalid     Errno = -3 // malformed argument: empty key, text that isn't UTF-8
	ErrTooLarge    Errno = -4 // beyond one of the limits below
	ErrConflict    Errno = -5 // a concurrent transaction won
	ErrUnreachable Errno = -6 // the zone can't be reached
	ErrExhausted   Errno = -7 // gas or a quota is used up
	ErrUnsupported Errno = -8 // this host doesn't offer the call
)

var errnoText = [...]string{
	1: "not found", 2: "denied", 3: "invalid argument", 4: "too large",
	5: "conflict", 6: "unreachable", 7: "exhausted", 8: "unsupported",
}

func (e Errno) Error() string {
	if e < 0 && e >= ErrUnsupported {
		return errnoText[-e]
	}
	return "host error " + strconv.Itoa(int(e))
}

// Limits of one call, in bytes. An argument beyond its limit answers ErrTooLarge without being read.
const (
	MaxKey    = 256       // key, prefix and cursor of a store; a capability's resource has the same bound
	MaxValue  = 256 << 10 // stored value, input, output
	MaxTopic  = 256
	MaxEvent  = 64 << 10
	MaxZone   = 256     // zone name
	MaxLog    = 4 << 10 // one log message; what is longer is cut
	MaxRandom = 256 << 10
	MaxScan   = 256 << 10 // one answer of scan, packed

	// MaxSleep is a single sleep's bound in nanoseconds, 36 years: sums of it stay clear of overflow.
	MaxSleep = 1 << 60
)

// Limits of what a program's host state holds.
const (
	MaxLogLines = 256      // undelivered log messages; further ones are counted and dropped
	MaxArgs     = 1024     // arguments, and environment variables
	MaxArgBytes = 64 << 10 // of each of the two, with a terminating zero for each string
	MaxErr      = 12 << 10 // end of standard error that is kept
	MaxState    = 2 << 20  // encoded
)

// Row is a stored entry.
type Row struct{ Key, Val []byte }

// Effects carries out what a program asks for. Keys, values and names come within the limits above and may be kept only
// until the method returns, as may what it answers.
//
// A method that returns an Errno refuses, and the program sees it. [vm.ErrPending] means that the answer comes later.
// Any other error ends the program with vm.TrapHost: it is for a host that broke, not for one that says no.
type Effects interface {
	// Get, Put, Delete and Scan act on the store with this index of the program's capability list; 0 is its default.
	// What they write between two suspensions is one transaction, which they see themselves; its end is the caller's
	// matter. Get of an absent key is ErrNotFound; Delete of one succeeds.
	Get(store uint32, key []byte) ([]byte, error)
	Put(store uint32, key, val []byte) error
	Delete(store uint32, key []byte) error
	// Scan answers the entries whose key has the prefix and is greater than after, in the keys' byte order: at least
	// one if there is any, and no more once their size as PackedSize counts it would exceed max.
	Scan(store uint32, prefix, after []byte, max int) ([]Row, error)
	Emit(topic string, data []byte) error

	// Log takes a message, or answers false: the host then keeps it in the program's state until an Effects takes it.
	Log(level uint8, msg string) bool

	Now() (uint64, error)   // nanoseconds since 1970, the same throughout a segment
	Random(p []byte) error  // drawn by the zone
	Goto(zone string) error // nil: the program runs there now
	Sleep(ns uint64) error  // nil: the time has passed
	Zone() (string, error)  // the name of the zone the program runs in
	Gas() (uint64, error)   // units left
}

// PackedSize is what a row takes in the answer of scan: two lengths, key and value.
func PackedSize(r Row) int { return 8 + len(r.Key) + len(r.Val) }

// ErrExit ends a program by its own decision: flow.fail and proc_exit return it. [State.End] has the particulars.
var ErrExit = errors.New("the program ended itself")
