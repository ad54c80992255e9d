// Package rpc is one request and one response over one stream, bounded before it is read; it must never know what either means.
//
// A method is a value: its protocol ID and every limit stand in one place, and the client and the server use the same
// one. On the wire a request is a frame; a response is a status byte and a frame; a frame is its length in 4 bytes,
// big-endian, and that many bytes. The client ends its side after the request.
package rpc

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
)

// Method is one protocol of requests and responses. ID, MaxRequest and MaxResponse are required.
type Method struct {
	ID          string        // such as /kitwork/submit/1
	MaxRequest  int           // bytes; a longer request is refused by its length prefix alone
	MaxResponse int           // bytes; the client refuses a longer one likewise
	Timeout     time.Duration // of the whole exchange, on both sides; default 10 s
	Concurrency int           // requests served at once; default 64
	PerPeer     int           // of one peer; default 8
	Rate        float64       // requests a second from one peer; default 20, negative is no limit
	Burst       int           // requests at once before Rate counts; default 40
	Accept      func(peer capsule.Key) bool
}

func (m Method) withDefaults() Method {
	if m.Timeout == 0 {
		m.Timeout = 10 * time.Second
	}
	if m.Concurrency == 0 {
		m.Concurrency = 64
	}
	if m.PerPeer == 0 {
		m.PerPeer = 8
	}
	return m
}

// Code classes what a server answers instead of a response.
type Code uint8

// The codes. Every other byte on the wire is read as Internal.
const (
	ok       Code = 0
	Internal Code = 1 // the server failed; trying again may help
	Invalid  Code = 2 // the request is not understood; trying again will not help
	Denied   Code = 3 // the peer may not ask this
	NotFound Code = 4 // the server does not have it; another may
	Busy     Code = 5 // later, or elsewhere
)

func (c Code) String() string {
	switch c {
	case Invalid:
		return "invalid"
	case Denied:
		return "denied"
	case NotFound:
		return "not found"
	case Busy:
		return "busy"
	default:
		return "internal"
	}
}

// Error is a refusal by the server. A handler returns one to choose the code; any other error is sent as Internal
// without its text, which may speak of things that are not the peer's business.
type Error struct {
	Code Code
	Msg  string // at most MaxErrorText bytes of UTF-8 arrive
}

func (e *Error) Error() string { return e.Code.String() + ": " + e.Msg }

// MaxErrorText bounds the text of an error on the wire.
const MaxErrorText = 1024

// Errorf makes an *Error.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{c, fmt.Sprintf(format, args...)}
}

// ErrFrameTooLong: the peer announced more bytes than the method allows. Nothing of it was read.
var ErrFrameTooLong = errors.New("rpc: frame is longer than this method allows")

// frameHeader is the length prefix.
const frameHeader = 4

// WriteFrame writes b with its length, in one write.
func WriteFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, frameHeader+len(b)), uint32(len(b))), b...))
	return err
}

// ReadFrame reads what WriteFrame wrote. Memory grows with the bytes that arrive, not with the length announced.
func ReadFrame(r io.Reader, most int) ([]byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(h[:]))
	if n > int64(most) {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFrameTooLong, n, most)
	}
	const first = 4 << 10
	if n <= first {
		b := make([]byte, n)
		_, err := io.ReadFull(r, b)
		return b, noEOF(err)
	}
	b := make([]byte, 0, first)
	for int64(len(b)) < n {
		if len(b) == cap(b) {
			b = append(make([]byte, 0, min(n, 4*int64(cap(b)))), b...)
		}
		m, err := io.ReadFull(r, b[len(b):min(int64(cap(b)), n)])
		b = b[:len(b)+m]
		if err != nil {
			return nil, noEOF(err)
		}
	}
	return b, nil
}

// noEOF makes an end inside a frame an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Handler answers one request. It must not keep req.
type Handler func(ctx context.Context, peer capsule.Key, req []byte) (resp []byte, err error)

// Server serves one method until it is closed.
type Server struct {
	h      *p2p.Host
	m      Method
	fn     Handler
	counts counts
}

type counts struct{ served, refused, malformed, failed atomic.Uint64 }

// Counts are a server's running totals. What the stream limits refused is in p2p.ProtocolInfo.
type Counts struct {
	Served    uint64 // answered
	Refused   uint64 // answered with an Error
	Malformed uint64 // the frame was too long or torn
	Failed    uint64 // internal errors, and answers that did not get out
}

// Serve answers m with fn, each request in its own goroutine.
func Serve(h *p2p.Host, m Method, fn Handler) (*Server, error) {
	if m.ID == "" || m.MaxRequest <= 0 || m.MaxResponse <= 0 {
		return nil, fmt.Errorf("rpc: method %q needs an ID, MaxRequest and MaxResponse", m.ID)
	}
	m = m.withDefaults()
	s := &Server{h: h, m: m, fn: fn}
	return s, h.Handle(m.ID, p2p.StreamLimits{
		Accept: m.Accept, Rate: m.Rate, Burst: m.Burst, PerPeer: m.PerPeer, Streams: m.Concurrency,
		Memory: m.MaxRequest + m.MaxResponse, Timeout: m.Timeout,
	}, s.serve)
}

// Close stops serving. Requests in work are finished.
func (s *Server) Close() error {
	s.h.Unhandle(s.m.ID)
	return nil
}

// Counts returns the running totals.
func (s *Server) Counts() Counts {
	return Counts{s.counts.served.Load(), s.counts.refused.Load(), s.counts.malformed.Load(), s.counts.failed.Load()}
}

func (s *Server) serve(ctx context.Context, peer capsule.Key, st *p2p.Stream) {
	req, err := ReadFrame(st, s.m.MaxRequest)
	if err != nil {
		s.counts.malformed.Add(1)
		st.Fault()
		if !errors.Is(err, ErrFrameTooLong) || writeResponse(st, Invalid, []byte(err.Error())) != nil {
			st.Reset()
		}
		return
	}
	if err := st.CloseRead(); err != nil {
		return // the peer is gone
	}
	resp, err := s.fn(ctx, peer, req)
	code := ok
	if err != nil {
		var refusal *Error
		if errors.As(err, &refusal) && refusal.Code != ok {
			s.counts.refused.Add(1)
			code, resp = refusal.Code, clipText(refusal.Msg)
		} else {
			s.counts.failed.Add(1)
			code, resp = Internal, []byte("the peer could not answer; see its log")
		}
	} else if len(resp) > s.m.MaxResponse {
		s.counts.failed.Add(1)
		code, resp = Internal, []byte("the response is longer than the method allows")
	}
	if err := writeResponse(st, code, resp); err != nil {
		s.counts.failed.Add(1)
		st.Reset()
		return
	}
	if code == ok {
		s.counts.served.Add(1)
	}
}

func clipText(s string) []byte {
	if len(s) > MaxErrorText {
		s = s[:MaxErrorText]
		for !utf8.ValidString(s) && len(s) > MaxErrorText-utf8.UTFMax {
			s = s[:len(s)-1]
		}
	}
	return []byte(s)
}

func writeResponse(w io.Writer, code Code, b []byte) error {
	bw := bufio.NewWriterSize(w, 1+frameHeader+min(len(b), 64<<10))
	if err := bw.WriteByte(byte(code)); err != nil {
		return err
	}
	if err := WriteFrame(bw, b); err != nil {
		return err
	}
	return bw.Flush()
}

// readResponse reads what writeResponse wrote: the response, or the peer's refusal as *Error.
func readResponse(r io.Reader, most int) ([]byte, error) {
	var code [1]byte
	if _, err := io.ReadFull(r, code[:]); err != nil {
		return nil, noEOF(err)
	}
	if Code(code[0]) != ok {
		most = MaxErrorText
	}
	b, err := ReadFrame(r, most)
	if err != nil {
		return nil, noEOF(err)
	}
	switch c := Code(code[0]); c {
	case ok:
		return b, nil
	case Invalid, Denied, NotFound, Busy:
		return nil, &Error{c, printable(b)}
	default:
		return nil, &Error{Internal, printable(b)}
	}
}

// printable keeps a stranger's text from acting on a terminal or a log.
func printable(b []byte) string {
	q := strconv.QuoteToASCII(string(b))
	return q[1 : len(q)-1]
}

// Call sends req to peer and returns its response, or its refusal as *Error. The exchange ends with ctx or after the
// method's timeout, whichever is first.
func Call(ctx context.Context, h *p2p.Host, peer capsule.Key, m Method, req []byte) ([]byte, error) {
	m = m.withDefaults()
	if len(req) > m.MaxRequest {
		return nil, fmt.Errorf("rpc: %s: request of %d bytes, at most %d", m.ID, len(req), m.MaxRequest)
	}
	ctx, cancel := context.WithTimeout(ctx, m.Timeout)
	defer cancel()
	st, err := h.Dial(ctx, peer, m.ID)
	if err != nil {
		return nil, err
	}
	defer st.Close()
	stop := context.AfterFunc(ctx, func() { st.Reset() })
	defer stop()
	resp, err := exchange(st, m, req)
	if err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			return nil, fmt.Errorf("%s by %s: %w", m.ID, peer, err)
		}
		st.Reset()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("rpc: %s to %s: %w", m.ID, peer, err)
	}
	return resp, nil
}

func exchange(st *p2p.Stream, m Method, req []byte) ([]byte, error) {
	if err := WriteFrame(st, req); err != nil {
		return nil, err
	}
	if err := st.CloseWrite(); err != nil {
		return nil, err
	}
	return readResponse(st, m.MaxResponse)
}
