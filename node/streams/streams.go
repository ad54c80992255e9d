// Package streams shows a host of the mesh to the consensus of a zone as its transport; it must never know what is
// sent.
package streams

import (
	"context"
	"net"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/raft"
)

// Transport is a host as a zone's consensus wants it. Whoever it dials is protected as a voter.
type Transport struct{ Host *p2p.Host }

// Dial implements raft.Transport.
func (t Transport) Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error) {
	t.Host.Protect(peer, "voter")
	s, err := t.Host.Dial(ctx, peer, proto)
	if err != nil {
		return nil, err // a nil *p2p.Stream would be a net.Conn that isn't nil
	}
	return s, nil
}

// Listen implements raft.Transport.
func (t Transport) Listen(proto string, accept func(capsule.Key) bool) (raft.Listener, error) {
	l, err := t.Host.Listen(proto, accept)
	if err != nil {
		return nil, err
	}
	return listener{l}, nil
}

type listener struct{ *p2p.Listener }

func (l listener) Accept() (net.Conn, capsule.Key, error) {
	s, err := l.AcceptStream()
	if err != nil {
		return nil, capsule.Key{}, err
	}
	return s, s.Peer(), nil
}
