package p2p

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"github.com/kitwork/kwnode/capsule"
)

// Stream is one ordered, reliable, encrypted byte stream with an authenticated peer. It is a net.Conn.
//
// Close ends both directions; data already written still reaches the peer. CloseWrite ends only ours, so that the peer
// reads io.EOF and can still answer. CloseRead says that nothing more is wanted: what still comes is thrown away instead
// of being kept for a Read, up to 256 KiB of it. Reset throws both away at once and tells the peer so.
type Stream struct {
	s     network.Stream
	peer  capsule.Key
	self  capsule.Key
	proto string

	sent  *atomic.Uint64 // nil, or counts what is written
	fault func()         // nil if we opened it

	once    sync.Once
	release func() // nil, or gives back what the protocol's limits counted
}

func (s *Stream) CloseWrite() error                  { return s.s.CloseWrite() }
func (s *Stream) CloseRead() error                   { return s.s.CloseRead() }
func (s *Stream) SetDeadline(t time.Time) error      { return s.s.SetDeadline(t) }
func (s *Stream) SetReadDeadline(t time.Time) error  { return s.s.SetReadDeadline(t) }
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.s.SetWriteDeadline(t) }

// Read reads what the peer sent. A peer that refuses the stream is noticed only here, since nothing waits for its
// consent before: the error is then ErrUnsupported, ErrDenied or ErrBusy.
func (s *Stream) Read(b []byte) (int, error) {
	n, err := s.s.Read(b)
	return n, refusal(err)
}

// Write sends b. Its errors are those of Read.
func (s *Stream) Write(b []byte) (int, error) {
	n, err := s.s.Write(b)
	if s.sent != nil {
		s.sent.Add(uint64(n))
	}
	return n, refusal(err)
}

// refusal names what the peer meant by its reset, or returns err.
func refusal(err error) error {
	var reset *network.StreamError
	switch {
	case err == nil:
	case errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}):
		return ErrUnsupported
	case errors.As(err, &reset) && reset.Remote:
		switch reset.ErrorCode {
		case network.StreamProtocolNegotiationFailed:
			return ErrUnsupported
		case network.StreamGated:
			return ErrDenied
		case network.StreamRateLimited, network.StreamResourceLimitExceeded:
			return ErrBusy
		}
	}
	return err
}

// Fault says that what came on a stream that the peer opened breaks its protocol. Who has a lot of them is cut off.
func (s *Stream) Fault() {
	if s.fault != nil {
		s.fault()
	}
}

// Close ends both directions. Closing twice is harmless.
func (s *Stream) Close() error {
	defer s.free()
	return s.s.Close()
}

// Reset drops the stream and whatever was in flight.
func (s *Stream) Reset() error {
	defer s.free()
	return s.s.Reset()
}

func (s *Stream) free() {
	s.once.Do(func() {
		if s.release != nil {
			s.release()
		}
	})
}

// Peer is the authenticated key of the other end.
func (s *Stream) Peer() capsule.Key { return s.peer }

// Proto is the protocol that both ends agreed on.
func (s *Stream) Proto() string { return s.proto }

// LocalAddr is our key; a stream outlives no connection but belongs to a peer, not to an address.
func (s *Stream) LocalAddr() net.Addr { return Addr(s.self) }

// RemoteAddr is the peer's key.
func (s *Stream) RemoteAddr() net.Addr { return Addr(s.peer) }

// Addr is a peer's key as a net.Addr.
type Addr capsule.Key

// Network names the kind of address.
func (Addr) Network() string { return "kitwork" }

func (a Addr) String() string { return capsule.Key(a).String() }

var _ net.Conn = (*Stream)(nil)
