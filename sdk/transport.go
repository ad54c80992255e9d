package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/zone/api"
)

// Transport is how a client reaches nodes. A connection is authenticated: it leads to the key that was asked for. One that
// also is a [Seeker] finds the nodes of a zone.
type Transport interface {
	// Connect reaches the node at a multiaddr and says who it is.
	Connect(ctx context.Context, addr string) (capsule.Key, error)
	// Hint says where a key may be.
	Hint(k capsule.Key, addrs []string)
	// Open begins a protocol with a node.
	Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)
	Close() error
}

// mesh is the Transport over a host of the mesh that only dials out. It asks the mesh's directory and answers nobody.
type mesh struct {
	*p2p.Host
	finder *find.Finder

	mu    sync.Mutex // guards prove
	prove map[capsule.ZoneID]func(context.Context, capsule.Key) error
}

func newMesh(cfg p2p.Config) (Transport, error) {
	h, err := p2p.New(cfg)
	if err != nil {
		return nil, err
	}
	m := &mesh{Host: h, prove: map[capsule.ZoneID]func(context.Context, capsule.Key) error{}}
	if m.finder, err = find.New(h, find.Config{Mode: find.Client, Check: m.check}); err != nil {
		h.Close()
		return nil, err
	}
	return m, nil
}

func (m *mesh) check(ctx context.Context, zone capsule.ZoneID, k capsule.Key) error {
	m.mu.Lock()
	prove := m.prove[zone]
	m.mu.Unlock()
	err := prove(ctx, k)
	if errors.Is(err, api.ErrUndescribed) {
		return fmt.Errorf("%w: %w", find.ErrNotYet, err)
	}
	return err
}

func (m *mesh) Seek(ctx context.Context, zone capsule.ZoneID, prove func(context.Context, capsule.Key) error) error {
	m.mu.Lock()
	m.prove[zone] = prove // of one client always: whichever is called does the same
	m.mu.Unlock()
	_, err := m.finder.Find(ctx, zone, 1)
	return err
}

func (m *mesh) Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
	s, err := m.Dial(ctx, k, proto)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (m *mesh) Close() error {
	err := m.finder.Close()
	if herr := m.Host.Close(); err == nil {
		err = herr
	}
	return err
}
