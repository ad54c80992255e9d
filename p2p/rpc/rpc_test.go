package rpc

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

var method = Method{ID: "/kitwork/test/1", MaxRequest: 1 << 10, MaxResponse: 1 << 20, Timeout: 5 * time.Second, Concurrency: 8, PerPeer: 4}

// pair returns two connected hosts, the second serving m with fn.
func pair(t *testing.T, m Method, fn Handler) (client, server *p2p.Host, s *Server) {
	t.Helper()
	nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
	var hosts []*p2p.Host
	for i := range 2 {
		h, err := nw.Host(i)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		hosts = append(hosts, h)
	}
	s, err := Serve(hosts[1], m, fn)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hosts[0].Connect(t.Context(), hosts[1].Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	return hosts[0], hosts[1], s
}

func code(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestCall(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		a, b, s := pair(t, method, func(ctx context.Context, peer capsule.Key, req []byte) ([]byte, error) {
			switch string(req) {
			case "none":
				return nil, nil
			case "refuse":
				return nil, Errorf(NotFound, "no \x1b[31mzone\nhere")
			case "fail":
				return nil, errors.New("secret path")
			case "long":
				return make([]byte, method.MaxResponse+1), nil
			case "hang":
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return bytes.Repeat(req, 1000), nil
		})
		call := func(req string) ([]byte, error) { return Call(t.Context(), a, b.Key(), method, []byte(req)) }

		if got, err := call("abc"); err != nil || len(got) != 3000 {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if got, err := call("none"); err != nil || len(got) != 0 {
			t.Fatalf("empty response: %q, %v", got, err)
		}
		if _, err := call("refuse"); code(err) != NotFound || strings.ContainsAny(err.Error(), "\x1b\n") {
			t.Fatalf("refusal: %q", err)
		}
		if _, err := call("fail"); code(err) != Internal || strings.Contains(err.Error(), "secret") {
			t.Fatalf("internal error: %v", err)
		}
		if _, err := call("long"); code(err) != Internal {
			t.Fatalf("response over the limit: %v", err)
		}
		start := time.Now()
		if _, err := call("hang"); err == nil || time.Since(start) > 6*time.Second {
			t.Fatalf("a hanging handler: %v after %v", err, time.Since(start))
		}
		if _, err := call(strings.Repeat("x", method.MaxRequest+1)); err == nil {
			t.Fatal("a request over the limit was sent")
		}
		bigger := method
		bigger.MaxRequest *= 2
		if _, err := Call(t.Context(), a, b.Key(), bigger, make([]byte, method.MaxRequest+1)); code(err) != Invalid {
			t.Fatalf("server's own limit: %v", err)
		}
		if n := s.Counts(); n.Served != 2 || n.Refused != 1 || n.Malformed != 1 {
			t.Fatalf("counts %+v", n)
		}
		s.Close()
		if _, err := call("abc"); !errors.Is(err, p2p.ErrUnsupported) {
			t.Fatalf("after the server closed: %v", err)
		}
	})
}

func TestFloodIsRefusedBeforeItIsRead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		m := method
		m.Rate, m.Burst = 1, 10
		release := make(chan struct{})
		a, b, _ := pair(t, m, func(ctx context.Context, _ capsule.Key, req []byte) ([]byte, error) {
			<-release
			return req, nil
		})
		results := make(chan error, 40)
		for range cap(results) {
			go func() {
				_, err := Call(t.Context(), a, b.Key(), m, []byte("x"))
				results <- err
			}()
		}
		synctest.Wait()
		time.Sleep(time.Second)
		close(release)
		served := 0
		for range cap(results) {
			if <-results == nil {
				served++
			}
		}
		if served == 0 || served > m.PerPeer {
			t.Fatalf("served %d of %d at once, want 1 to %d", served, cap(results), m.PerPeer)
		}
		var p p2p.ProtocolInfo
		for _, q := range b.Snapshot().Protocols {
			if q.ID == m.ID {
				p = q
			}
		}
		if p.Open != 0 || p.Busy == 0 || p.Limited < uint64(cap(results)-m.Burst-2) {
			t.Fatalf("counts %+v", p)
		}
	})
}

func TestFramesGrowWithWhatArrives(t *testing.T) {
	head := binary.BigEndian.AppendUint32(nil, 64<<20)
	r := io.MultiReader(bytes.NewReader(head), bytes.NewReader(make([]byte, 1000)))
	b, err := ReadFrame(r, 1<<30)
	if !errors.Is(err, io.ErrUnexpectedEOF) || cap(b) > 64<<10 {
		t.Fatalf("torn frame: %v, and %d bytes were reserved for 1,000", err, cap(b))
	}
	if _, err := ReadFrame(bytes.NewReader(head), 64<<20-1); !errors.Is(err, ErrFrameTooLong) {
		t.Fatalf("frame over the limit: %v", err)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte{0, 0, 0, 2, 'h', 'i'}, 10)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff}, 1<<30)
	f.Fuzz(func(t *testing.T, in []byte, most int) {
		most = min(max(most, 0), 1<<30)
		b, err := ReadFrame(bytes.NewReader(in), most)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if len(b) > most || WriteFrame(&out, b) != nil || !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatalf("%x was read as %x", in, b)
		}
	})
}

func FuzzReadResponse(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{4, 0, 0, 0, 2, 0xff, '\n'})
	f.Fuzz(func(t *testing.T, in []byte) {
		b, err := readResponse(bytes.NewReader(in), 1<<10)
		if len(b) > 1<<10 {
			t.Fatalf("%d bytes", len(b))
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b\x00") {
			t.Fatalf("error text can act on a terminal: %q", err)
		}
	})
}
