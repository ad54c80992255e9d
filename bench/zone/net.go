package main

import (
	"context"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
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
