package kit

import "strconv"

// Errno is what a host call answers when it refuses. The values are those of the host ABI, so a guest in any language
// sees the same numbers.
type Errno int32

// The refusals. Test for them with errors.Is.
const (
	ErrNotFound    Errno = -1 // nothing stored under the key
	ErrDenied      Errno = -2 // no grant of the capsule covers it
	ErrInvalid     Errno = -3 // malformed argument
	ErrTooLarge    Errno = -4 // key, value or message above the zone's limit
	ErrConflict    Errno = -5 // a concurrent segment won
	ErrUnreachable Errno = -6 // the zone named can't be reached
	ErrExhausted   Errno = -7 // gas or quota is used up
	ErrUnsupported Errno = -8 // this host doesn't offer the call
)

var errnoText = [...]string{
	1: "not found", 2: "denied", 3: "invalid argument", 4: "too large",
	5: "conflict", 6: "unreachable", 7: "exhausted", 8: "unsupported",
}

func (e Errno) Error() string {
	if e < 0 && int(-e) < len(errnoText) {
		return errnoText[-e]
	}
	return "host error " + strconv.Itoa(int(e))
}

// Error says which call failed on what. Unwrap gives an [Errno] or a [*DecodeError].
type Error struct {
	Op  string
	Key string
	Err error
}

func (e *Error) Error() string {
	if e.Key == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + ` "` + e.Key + `": ` + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// Failure is a capsule's own verdict that it did not succeed. Returned from the capsule's function it discards what the
// segment wrote, and reaches the client with its code.
type Failure struct {
	Code    uint32
	Message string
}

func (f *Failure) Error() string { return f.Message }

// CodeUnspecified is the code of an error that is no [Failure]; CodeInput of an input that does not decode as the
// function's parameter; CodeOutput of a result that can't be encoded. Codes from 16 up are the author's.
const (
	CodeUnspecified uint32 = 1
	CodeInput       uint32 = 2
	CodeOutput      uint32 = 3
)

// Fail makes the error by which a capsule's function tells its client why it did not succeed.
func Fail(code uint32, msg string) error { return &Failure{Code: code, Message: msg} }
