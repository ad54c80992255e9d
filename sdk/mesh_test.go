package sdk

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

// TestOverTheMesh is the client against nodes on real connections, one of which goes away.
func TestOverTheMesh(t *testing.T) {
	f := newFixture(t)
	var addr string
	hosts := map[*fakeNode]*p2p.Host{}
	for _, n := range f.nodes[:2] {
		h, err := p2p.New(p2p.Config{Identity: n.id, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		hosts[n] = h
		for _, proto := range []string{api.ProtoZone, api.ProtoSubmit, api.ProtoResult} {
			err := h.Handle(proto, p2p.StreamLimits{PerPeer: api.MaxStreams, Streams: 4 * api.MaxStreams, Rate: -1}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
				for n.serve(s, proto) == nil {
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if addr == "" {
			addr = h.Addrs()[0]
		}
		n.peers = func() (ps []api.Peer) {
			for n, h := range hosts {
				ps = append(ps, api.Peer{Key: n.id.Key(), Addrs: h.Addrs()})
			}
			return ps
		}
	}
	book := NewBook()
	if err := book.Trust("eu", f.nodes[0].z.ID); err != nil {
		t.Fatal(err)
	}
	c, err := Dial(t.Context(), addr, WithIdentity(author(t)), WithBook(book))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := &Prepared{Program: &Program{Name: "test", Entry: "run", Code: bytes.Repeat([]byte("code"), 100_000)}, Limits: fillLimits(capsule.Limits{})}
	p.Program.CID = capsule.RawCID(p.Program.Code)
	var all sync.WaitGroup
	for range 32 {
		b, err := c.Seal(p)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			s, err := c.Submit(t.Context(), b)
			if err != nil {
				t.Error(err)
				return
			}
			res, err := s.Await(t.Context())
			if err != nil || res.Verdict != cert.Finished {
				t.Errorf("%+v, %v", res, err)
			}
		})
	}
	all.Wait()
	b, err := c.Seal(p)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.Submit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	for n, h := range hosts {
		if n.id.Key() == s.Ack.Voter {
			h.Close()
		}
	}
	if _, err := s.Await(t.Context()); err != nil {
		t.Errorf("after the node that took it went away: %v", err)
	}
	if _, err := Dial(t.Context(), "/ip4/127.0.0.1/tcp/1", WithIdentity(author(t))); err == nil {
		t.Error("an address without a key was dialled")
	}
}
