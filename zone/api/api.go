// Package api is what a client, a gateway, a worker and a voter say to each other about capsules: the messages, their
// bounds and how they are framed; it must never know who carries the streams or how an answer comes about.
//
// Every protocol is a sequence of requests on one stream. The side that opened it writes a request and reads one
// [Response] to it before it writes the next; [ProtoSubmit] lets content follow the request, [ProtoWatch] and [ProtoWork]
// answer one request with many responses. A stream may be closed after any response, and both sides have to expect a
// reset at any moment: no request has an effect that asking again would double.
//
// Nothing here is trusted for who sent it. What a client believes is signed: an [Ack] by one voter, an outcome by the
// quorum of its certificate.
package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/kitwork/kwnode/capsule"
)

// Protocol IDs. The number is the version of the messages: fields are never added to a version.
const (
	ProtoSubmit  = "/kitwork/submit/1"  // client → gateway or voter: SubmitRequest, content → SubmitReply
	ProtoResult  = "/kitwork/result/1"  // client → gateway or voter: ResultRequest → Outcome
	ProtoWatch   = "/kitwork/watch/1"   // client → gateway or voter: WatchRequest → WatchEvent*
	ProtoCommand = "/kitwork/command/2" // client or worker → voter: CommandRequest → CommandReply
	ProtoZone    = "/kitwork/zone/1"    // anybody: ZoneRequest → Zones, of what the node knows
	ProtoSeek    = "/kitwork/seek/1"    // client → gateway: ZoneRequest of one zone → Zones, of what the node finds
	ProtoWork    = "/kitwork/work/1"    // worker → voter: WorkRequest → Work*
	ProtoRead    = "/kitwork/read/1"    // worker → voter: ReadRequest → ReadReply
)

// Version is that of every message of this package.
const Version = 1

// MaxStreams is how many streams of one protocol a peer may have open with a node at a time: a client that follows many
// capsules has one waiting for each.
const MaxStreams = 128

// MaxMessage bounds any message but those with a bound of their own: an envelope with inline content, or a scan's rows.
const MaxMessage = 1 << 20

// Refusal is why a request was not served. Code is a word that a caller may branch on, one of this package's or one of
// those that packages capsule and machine define; Detail is for people and says what to do.
type Refusal struct {
	_      struct{} `cbor:",toarray"`
	Code   string
	Detail string
	Retry  uint64 // ms after which asking again may help; 0: it won't, not here
}

// Codes of refusals that only a node gives; the others come from checking capsules and applying commands.
const (
	CodeProtocol    = "protocol"     // the message is not what the protocol expects
	CodeBusy        = "busy"         // over a quota or out of room: ask again, or elsewhere
	CodeUnknownZone = "unknown_zone" // this node doesn't serve the zone and found nobody who does
	CodeUnknown     = "unknown"      // no such capsule here
	CodeUnavailable = "unavailable"  // no quorum, no leader, or shutting down: ask another node
	CodeNotVoter    = "not_voter"    // only a voter of the zone answers this
	CodeUnfit       = "unfit"        // a continuation does not fit the code that it is said to be of
	CodeTimeout     = "timeout"      // nothing to tell within the time asked for
)

func (r *Refusal) Error() string {
	if r.Detail == "" {
		return "refused (" + r.Code + ")"
	}
	return "refused (" + r.Code + "): " + r.Detail
}

// Because is the refusal that an error with the same code stands for, without saying the code twice.
func Because(code string, err error) *Refusal {
	text := strings.TrimPrefix(err.Error(), "refused ("+code+")")
	return &Refusal{Code: code, Detail: strings.TrimLeft(text, ": ")}
}

// Response answers one request: a refusal if its code isn't empty, else the body that the protocol names.
type Response struct {
	_       struct{} `cbor:",toarray"`
	V       uint8
	Refusal Refusal
	Body    []byte
}

// ErrMessage means that the other side does not speak the protocol: close the stream.
var ErrMessage = errors.New("malformed message")

// ErrTooLong means that a message is longer than the other side reads. Nothing of it was sent.
var ErrTooLong = errors.New("message too long")

// Encode is v's canonical encoding for [WriteFrame], for who must not send more than most bytes: the other side would end the
// stream and not say why.
func Encode(v any, most int) ([]byte, error) {
	b, err := capsule.Marshal(v)
	if err == nil && len(b) > most {
		err = fmt.Errorf("%w: %d bytes, at most %d; send it in parts", ErrTooLong, len(b), most)
	}
	if err != nil {
		return nil, fmt.Errorf("write %T: %w", v, err)
	}
	return b, nil
}

// Write frames v: a big-endian length of four bytes, and its canonical encoding.
func Write(w io.Writer, v any) error {
	b, err := capsule.Marshal(v)
	if err != nil {
		return fmt.Errorf("write %T: %w", v, err)
	}
	return WriteFrame(w, b)
}

// WriteFrame is Write of what is encoded already.
func WriteFrame(w io.Writer, b []byte) error {
	_, err := w.Write(frame(b, nil))
	return err
}

// frame is an encoded message with its length, and what follows it, for one write.
func frame(b, content []byte) []byte {
	f := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)+len(content)), uint32(len(b)))
	return append(append(f, b...), content...)
}

// Read reads one message into v, at most most bytes of it, and refuses what is not canonical with [ErrMessage]. A stream
// that ends before the first byte is io.EOF.
func Read(r io.Reader, v any, most int) error {
	b, err := readFrame(r, most)
	if err != nil {
		return err
	}
	if err := capsule.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %v", ErrMessage, err)
	}
	return nil
}

// chunk is how much a reader commits to a message before its bytes have come.
const chunk = 64 << 10

func readFrame(r io.Reader, most int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: cut off in its length", ErrMessage)
		}
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if uint64(n) > uint64(most) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrMessage, n, most)
	}
	b := make([]byte, 0, min(int(n), chunk))
	for len(b) < int(n) {
		at := len(b)
		b = append(b, make([]byte, min(int(n)-at, chunk))...)
		if _, err := io.ReadFull(r, b[at:]); err != nil {
			return nil, fmt.Errorf("%w: cut off at %d of %d bytes: %v", ErrMessage, at, n, err)
		}
	}
	return b, nil
}

// Accept writes the response that carries body.
func Accept(w io.Writer, body any) error {
	b, err := capsule.Marshal(body)
	if err != nil {
		return fmt.Errorf("answer with %T: %w", body, err)
	}
	return Write(w, &Response{V: Version, Body: b})
}

// Refuse writes the response that says why not.
func Refuse(w io.Writer, r *Refusal) error {
	return Write(w, &Response{V: Version, Refusal: *r})
}

// Receive reads one response and its body. A refusal comes back as a [*Refusal].
func Receive[T any](r io.Reader, most int) (*T, error) {
	var resp Response
	if err := Read(r, &resp, most+responseOverhead); err != nil {
		return nil, err
	}
	if resp.V != Version {
		return nil, fmt.Errorf("%w: version %d, this side knows %d", ErrMessage, resp.V, Version)
	}
	if resp.Refusal.Code != "" {
		return nil, &resp.Refusal
	}
	body := new(T)
	if err := capsule.Unmarshal(resp.Body, body); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrMessage, err)
	}
	return body, nil
}

// responseOverhead is what a response takes beside its body.
const responseOverhead = 8 << 10

// Ask writes a request and reads the response to it.
func Ask[T any](s io.ReadWriter, request any, most int) (*T, error) {
	if err := Write(s, request); err != nil {
		return nil, err
	}
	return Receive[T](s, most)
}
