package api

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

// TestRelayKeepsStreams: content goes along, answers are passed on as they came, one stream serves many requests, and one that died meanwhile is
// replaced without the caller's doing.
func TestRelayKeepsStreams(t *testing.T) {
	want, content := []byte("an answer, whatever it says"), []byte("what follows the request")
	var ends []net.Conn
	pool := &Pool{Open: func(context.Context, capsule.Key, string) (net.Conn, error) {
		here, there := net.Pipe()
		ends = append(ends, there)
		go func() {
			defer there.Close()
			for {
				var req ZoneRequest
				along := make([]byte, len(content))
				if Read(there, &req, MaxMessage) != nil {
					return
				}
				if _, err := io.ReadFull(there, along); err != nil || !bytes.Equal(along, content) || WriteFrame(there, want) != nil {
					return
				}
			}
		}()
		return here, nil
	}}
	defer pool.Close()
	ask := func(opened int) {
		t.Helper()
		got, err := pool.Relay(t.Context(), capsule.Key{1}, ProtoZone, &ZoneRequest{V: Version}, content, MaxMessage)
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
