package sdk

import (
	"context"
	"net"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
)

// Transport is how a client reaches nodes. A connection is authenticated: it leads to the key that was asked for.
type Transport interface {
	// Connect reaches the node at a multiaddr and says who it is.
	Connect(ctx context.Context, addr string) (capsule.Key, error)
	// Hint says where a key may be.
	Hint(k capsule.Key, addrs []string)
	// Open begins a protocol with a node.
	Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)
	Close() error
}

// mesh is the Transport over a host of the mesh that only dials out.
type mesh struct{ *p2p.Host }

func newMesh(id *capsule.Identity, delay time.Duration, line *p2p.Line) (Transport, error) {
	h, err := p2p.New(p2p.Config{Identity: id, LinkDelay: delay, Line: line})
	if err != nil {
		return nil, err
	}
	return mesh{h}, nil
}

func (m mesh) Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
	s, err := m.Dial(ctx, k, proto)
	if err != nil {
		return nil, err
	}
	return s, nil
}
