package p2p_test

import (
	"context"
	"io"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
)

// TestAPeerMayHaveAsManyStreamsAsItIsTold: all of them wait, over each transport, and then all are answered.
func TestAPeerMayHaveAsManyStreamsAsItIsTold(t *testing.T) {
	for name, listen := range map[string]string{"tcp": "/ip4/127.0.0.1/tcp/0", "quic": "/ip4/127.0.0.1/udp/0/quic-v1"} {
		t.Run(name, func(t *testing.T) {
			const many = 120
			a, b := loopback(t, 1, listen), loopback(t, 2, listen)
			all, answer := make(chan struct{}, many), make(chan struct{})
			err := b.Handle(proto, p2p.StreamLimits{Rate: -1, PerPeer: many}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
				if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
					return
				}
				all <- struct{}{}
				<-answer
				_, _ = s.Write([]byte("y"))
			})
			if err != nil {
				t.Fatal(err)
			}
			connect(t, a, b)
			var streams []*p2p.Stream
			for range many {
				s, err := a.Dial(t.Context(), b.Key(), proto)
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if _, err := s.Write([]byte("x")); err != nil {
					t.Fatalf("stream %d: %v", len(streams), err)
				}
				streams = append(streams, s)
			}
			for range many {
				<-all
			}
			close(answer)
			for i, s := range streams {
				if _, err := io.ReadFull(s, make([]byte, 1)); err != nil {
					t.Fatalf("stream %d: %v", i, err)
				}
			}
		})
	}
}
