package p2p_test

import (
	"context"
	"io"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

func benchPair(b *testing.B, listen string) (client, server *p2p.Host) {
	b.Helper()
	var hosts []*p2p.Host
	for i := range 2 {
		h, err := p2p.New(p2p.Config{Identity: sim.Identity(i), Listen: []string{listen}})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		hosts = append(hosts, h)
	}
	if _, err := hosts[0].Connect(b.Context(), hosts[1].Addrs()[0]); err != nil {
		b.Fatal(err)
	}
	return hosts[0], hosts[1]
}

var transports = map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"}

func BenchmarkBulk(b *testing.B) {
	for name, listen := range transports {
		b.Run(name, func(b *testing.B) {
			client, server := benchPair(b, listen)
			const size = 4 << 20
			err := server.Handle(proto, p2p.StreamLimits{Rate: -1}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
				n, _ := io.Copy(io.Discard, s)
				_, _ = s.Write([]byte{byte(n >> 20)})
			})
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, size)
			b.SetBytes(size)
			for b.Loop() {
				if got, err := roundTrip(b.Context(), client, server.Key(), buf); err != nil || len(got) != 1 {
					b.Fatal(got, err)
				}
			}
		})
	}
}

func BenchmarkOpenAndEcho(b *testing.B) {
	for name, listen := range transports {
		b.Run(name, func(b *testing.B) {
			client, server := benchPair(b, listen)
			if err := server.Handle(proto, p2p.StreamLimits{Rate: -1}, echo); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := roundTrip(b.Context(), client, server.Key(), []byte("x")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
