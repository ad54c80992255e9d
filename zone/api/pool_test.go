package api

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

// server answers what a pool's streams bring, and counts them.
type server struct {
	answer func(s net.Conn) error // nil: an empty Zones
	mu     sync.Mutex             // guards what follows
	opened int
	open   int
}

func (v *server) Open(ctx context.Context, _ capsule.Key, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	v.mu.Lock()
	v.opened++
	v.open++
	v.mu.Unlock()
	go func() {
		defer func() {
			far.Close()
			v.mu.Lock()
			v.open--
			v.mu.Unlock()
		}()
		Each(ctx, &line{Conn: far}, 1024, func(*ZoneRequest) error {
			if v.answer != nil {
				return v.answer(far)
			}
			return Accept(far, &Zones{V: Version, Zones: []ZoneInfo{}})
		})
	}()
	return near, nil
}

func (v *server) counts() (opened, open int) {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.opened, v.open
}

func askOnce(ctx context.Context, p *Pool, to byte) error {
	_, err := AskPool[Zones](ctx, p, capsule.Key{to}, "/x", &ZoneRequest{V: Version}, MaxMessage)
	return err
}

func TestPoolKeepsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		v := &server{}
		p := &Pool{Open: func(_ context.Context, k capsule.Key, proto string) (net.Conn, error) { return v.Open(ctx, k, proto) }}
		for range 10 {
			if err := askOnce(ctx, p, 1); err != nil {
				t.Fatal(err)
			}
		}
		if opened, open := v.counts(); opened != 1 || open != 1 {
			t.Fatalf("%d streams opened, %d open after ten requests one after the other, want 1", opened, open)
		}
		if err := askOnce(ctx, p, 2); err != nil {
			t.Fatal(err)
		}
		if opened, _ := v.counts(); opened != 2 {
			t.Fatalf("%d streams opened, want one for each node", opened)
		}
		// The node ends what is idle. The next request notices, and is made again.
		time.Sleep(2 * IdleTime)
		if _, open := v.counts(); open != 0 {
			t.Fatalf("%d streams open after they were idle", open)
		}
		if err := askOnce(ctx, p, 1); err != nil {
			t.Fatalf("after the node ended the stream: %v", err)
		}
		p.Close()
		if _, open := v.counts(); open != 0 {
			t.Fatalf("%d streams open after Close", open)
		}
		if err := askOnce(ctx, p, 1); err != nil {
			t.Fatal(err)
		}
		if _, open := v.counts(); open != 0 {
			t.Fatal("a closed pool keeps a stream")
		}
	})
}

func TestPoolKeepsBoundedStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		gate := make(chan struct{})
		v := &server{answer: func(s net.Conn) error { <-gate; return Accept(s, &Zones{V: Version, Zones: []ZoneInfo{}}) }}
		p := &Pool{Open: func(_ context.Context, k capsule.Key, proto string) (net.Conn, error) { return v.Open(ctx, k, proto) }}
		defer p.Close()
		errs := make(chan error)
		const all = maxIdle + 20
		for range all {
			go func() { errs <- askOnce(ctx, p, 1) }()
		}
		if _, open := v.counts(); open != all {
			t.Fatalf("%d streams open, want one for each of %d requests at a time", open, all)
		}
		close(gate)
		for range all {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if _, open := v.counts(); open != maxIdle {
			t.Errorf("%d streams are kept, want %d", open, maxIdle)
		}
	})
}

// A refusal leaves the stream as good as it was; a request that was given up, or an answer that is none, does not.
func TestPoolKeepsOnlySoundStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		v := &server{answer: func(s net.Conn) error { return Refuse(s, &Refusal{Code: CodeBusy}) }}
		p := &Pool{Open: func(_ context.Context, k capsule.Key, proto string) (net.Conn, error) { return v.Open(ctx, k, proto) }}
		defer p.Close()
		for range 3 {
			var r *Refusal
			if err := askOnce(ctx, p, 1); !errors.As(err, &r) || r.Code != CodeBusy {
				t.Fatalf("refused with %v", err)
			}
		}
		if opened, open := v.counts(); opened != 1 || open != 1 {
			t.Fatalf("%d streams opened, %d open after refusals, want 1", opened, open)
		}
		late := make(chan struct{})
		v.answer = func(s net.Conn) error { <-late; return Accept(s, &Zones{V: Version, Zones: []ZoneInfo{}}) }
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		began := time.Now()
		if err := askOnce(short, p, 1); err == nil || time.Since(began) != time.Second {
			t.Fatalf("given up after %s: %v", time.Since(began), err)
		}
		close(late)
		if _, open := v.counts(); open != 0 {
			t.Error("a stream on which an answer may still come is kept")
		}
		v.answer = func(s net.Conn) error { _, err := s.Write([]byte{0, 0, 0, 1, 0xff}); return err }
		if err := askOnce(ctx, p, 1); err == nil {
			t.Error("an answer that is none is taken")
		}
		if _, open := v.counts(); open != 0 {
			t.Error("a stream that brought no answer is kept")
		}
	})
}
