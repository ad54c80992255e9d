package p2p

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"github.com/kitwork/kwnode/capsule"
)

// Stream is one ordered, reliable, encrypted byte stream with an authenticated peer. It is a net.Conn.
//
// Close ends both directions; data already written still reaches the peer. CloseWrite ends only ours, so that the peer
// reads io.EOF and can still answer. Reset throws both away at once and tells the peer so.
type Stream struct {
	s     network.Stream
	peer  capsule.Key
	self  capsule.Key
	proto string

	once    sync.Once
	release func() // nil, or gives back what the protocol's limits counted
}

func (s *Stream) Write(b []byte) (int, error)        { return s.s.Write(b) }
func (s *Stream) CloseWrite() error                  { return s.s.CloseWrite() }
func (s *Stream) SetDeadline(t time.Time) error      { return s.s.SetDeadline(t) }
func (s *Stream) SetReadDeadline(t time.Time) error  { return s.s.SetReadDeadline(t) }
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.s.SetWriteDeadline(t) }

// Read reads what the peer sent. A peer that stopped serving the protocol since it announced it is noticed only here:
// the error is then ErrUnsupported.
func (s *Stream) Read(b []byte) (int, error) {
	n, err := s.s.Read(b)
	if err != nil && unsupported(err) {
		err = ErrUnsupported
	}
	return n, err
}

// unsupported reports whether err is the peer's refusal of the protocol: said in the negotiation, or by the code of
// the reset when the negotiation was left for the first bytes.
func unsupported(err error) bool {
	var reset *network.StreamError
	return errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}) ||
		errors.As(err, &reset) && reset.Remote && reset.ErrorCode == network.StreamProtocolNegotiationFailed
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
