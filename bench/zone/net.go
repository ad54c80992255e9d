package main

import (
	"context"
	"net"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/raft"
)

// mesh is hosts on loopback that know each other's addresses.
type mesh struct {
	mu    sync.Mutex // guards addrs
	addrs map[capsule.Key][]string
}

func (m *mesh) host(id *capsule.Identity) (*p2p.Host, error) {
	h, err := p2p.New(p2p.Config{Identity: id, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.addrs == nil {
		m.addrs = map[capsule.Key][]string{}
	}
	m.addrs[id.Key()] = h.Addrs()
	h.SetResolver(func(_ context.Context, k capsule.Key) []string {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.addrs[k]
	})
	return h, nil
}

// streams is a host as consensus wants it, as in package node.
type streams struct{ h *p2p.Host }

func (t streams) Dial(ctx context.Context, peer capsule.Key, proto string) (net.Conn, error) {
	t.h.Protect(peer, "voter")
	s, err := t.h.Dial(ctx, peer, proto)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (t streams) Listen(proto string, accept func(capsule.Key) bool) (raft.Listener, error) {
	l, err := t.h.Listen(proto, accept)
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
