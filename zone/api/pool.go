package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

// Pool keeps streams for later requests: opening one costs as much as a request, and hosts limit how many a peer may open
// in a second and have open.
type Pool struct {
	Open func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)

	mu     sync.Mutex // guards what follows
	idle   map[route][]net.Conn
	closed bool
}

// route is a protocol to a node.
type route struct {
	to    capsule.Key
	proto string
}

// maxIdle is how many streams of one protocol to one node are kept.
const maxIdle = 64

// AskPool makes one request of at most most bytes of answer. It may come twice, for a node ends streams that are idle for
// long, which is noticed when the next request has been sent.
func AskPool[T any](ctx context.Context, p *Pool, k capsule.Key, proto string, request any, most int) (*T, error) {
	var reply *T
	err := p.Use(ctx, k, proto, func(s net.Conn) (err error) {
		reply, err = Ask[T](s, request, most)
		return err
	})
	return reply, err
}

// Relay is AskPool for who passes the answer on: it returns the encoding of a [Response], of which nothing was checked but
// its length. content follows the request.
func (p *Pool) Relay(ctx context.Context, k capsule.Key, proto string, request any, content []byte, most int) ([]byte, error) {
	b, err := capsule.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("relay %T: %w", request, err)
	}
	both := frame(b, content)
	var answer []byte
	err = p.Use(ctx, k, proto, func(s net.Conn) (err error) {
		if _, err = s.Write(both); err == nil {
			answer, err = readFrame(s, most+responseOverhead)
		}
		return err
	})
	return answer, err
}

// Use makes an exchange on a stream, a new one if those that were kept are dead: it may come twice. The stream is good for
// another one if exchange returns nil or a [Refusal].
func (p *Pool) Use(ctx context.Context, k capsule.Key, proto string, exchange func(net.Conn) error) error {
	at := route{k, proto}
	for s := p.take(at); ; s = nil {
		kept := s != nil
		if !kept {
			var err error
			if s, err = p.Open(ctx, k, proto); err != nil {
				return err
			}
		}
		err := bounded(ctx, s, exchange)
		var refused *Refusal
		if err == nil || errors.As(err, &refused) {
			p.keep(at, s)
			return err
		}
		s.Close()
		if !kept || ctx.Err() != nil {
			return err
		}
	}
}

// bounded makes an exchange that ends with ctx.
func bounded(ctx context.Context, s net.Conn, exchange func(net.Conn) error) error {
	if err := s.SetDeadline(time.Time{}); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	err := exchange(s)
	if !stop() {
		return context.Cause(ctx) // the deadline is in the past, or is about to be
	}
	return err
}

// take returns a stream that was kept, or nil.
func (p *Pool) take(at route) net.Conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle[at])
	if n == 0 {
		return nil
	}
	s := p.idle[at][n-1]
	p.idle[at] = p.idle[at][:n-1]
	return s
}

// keep takes a stream on which nothing is under way.
func (p *Pool) keep(at route, s net.Conn) {
	p.mu.Lock()
	full := p.closed || len(p.idle[at]) >= maxIdle
	if !full {
		if p.idle == nil {
			p.idle = map[route][]net.Conn{}
		}
		p.idle[at] = append(p.idle[at], s)
	}
	p.mu.Unlock()
	if full {
		s.Close()
	}
}

// Close ends the streams that are kept, and those in use when their requests are answered.
func (p *Pool) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, all := range p.idle {
		for _, s := range all {
			s.Close()
		}
	}
	p.idle = nil
}
