package api

import (
	"context"
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// line is a stream over a pipe.
type line struct {
	net.Conn
	faults int
}

func (l *line) Reset() error { return l.Close() }
func (l *line) Fault()       { l.faults++ }

// serveEach answers requests on one end of a pipe, and tells when it has stopped.
func serveEach(ctx context.Context, answered *int) (near net.Conn, far *line, done chan struct{}) {
	near, other := net.Pipe()
	far, done = &line{Conn: other}, make(chan struct{})
	go func() {
		defer close(done)
		defer far.Close()
		Each(ctx, far, 1024, func(req *ZoneRequest) error {
			*answered++
			return Accept(far, &Zones{V: Version, Zones: []ZoneInfo{}})
		})
	}()
	return near, far, done
}

func TestEachAnswersUntilTheStreamIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		near, far, done := serveEach(t.Context(), &n)
		defer near.Close()
		for range 3 {
			time.Sleep(IdleTime - time.Second)
			if _, err := Ask[Zones](near, &ZoneRequest{V: Version}, MaxMessage); err != nil {
				t.Fatal(err)
			}
		}
		last := time.Now()
		<-done
		if n != 3 || time.Since(last) != IdleTime || far.faults != 0 {
			t.Fatalf("%d answers, given up %s after the last, %d faults", n, time.Since(last), far.faults)
		}
	})
}

func TestEachRefusesWhatIsNoRequest(t *testing.T) {
	for name, frame := range map[string][]byte{
		"too long":   binary.BigEndian.AppendUint32(nil, 1025),
		"no message": append(binary.BigEndian.AppendUint32(nil, 3), 1, 2, 3),
	} {
		synctest.Test(t, func(t *testing.T) {
			var n int
			near, far, done := serveEach(t.Context(), &n)
			defer near.Close()
			if _, err := near.Write(frame); err != nil {
				t.Fatal(err)
			}
			var resp Response
			if err := Read(near, &resp, MaxMessage); err != nil || resp.Refusal.Code != CodeProtocol {
				t.Fatalf("%s: answered with %+v, %v", name, resp.Refusal, err)
			}
			<-done
			if n != 0 || far.faults != 1 {
				t.Fatalf("%s: %d answers, %d faults", name, n, far.faults)
			}
		})
	}
}

func TestEachEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n int
		ctx, cancel := context.WithCancel(t.Context())
		near, _, done := serveEach(ctx, &n)
		defer near.Close()
		cancel()
		<-done
		if _, err := near.Write([]byte{0}); err == nil {
			t.Fatal("the stream is still open")
		}
	})
}
