package api

import (
	"bytes"
	"context"
	"net"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

// TestRelayKeepsStreams: answers are passed on as they came, one stream serves many requests, and one that died meanwhile is
// replaced without the caller's doing.
func TestRelayKeepsStreams(t *testing.T) {
	want := []byte("an answer, whatever it says")
	var ends []net.Conn
	pool := &Pool{Open: func(context.Context, capsule.Key, string) (net.Conn, error) {
		here, there := net.Pipe()
		ends = append(ends, there)
		go func() {
			defer there.Close()
			for {
				var req ZoneRequest
				if Read(there, &req, MaxMessage) != nil || WriteFrame(there, want) != nil {
					return
				}
			}
		}()
		return here, nil
	}}
	defer pool.Close()
	ask := func(opened int) {
		t.Helper()
		got, err := pool.Relay(t.Context(), capsule.Key{1}, ProtoZone, &ZoneRequest{V: Version}, MaxMessage)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("answer %q, %v", got, err)
		}
		if len(ends) != opened {
			t.Fatalf("%d streams were opened, want %d", len(ends), opened)
		}
	}
	for range 5 {
		ask(1)
	}
	ends[0].Close()
	ask(2)
	ask(2)
}
