package mover

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
)

// lines keeps the streams to other zones' voters: opening one costs as much as a request, and hosts limit how many a peer
// may open in a second and have open.
type lines struct {
	open func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)

	mu     sync.Mutex // guards what follows
	peers  map[capsule.Key]*peerLines
	closed bool
}

// peerLines are those to one voter.
type peerLines struct {
	slots chan struct{} // one token for each stream in use
	idle  []net.Conn    // guarded by lines.mu
}

// streams is how many requests one voter is sent at a time: a fifth of the streams that its host takes from a peer, which
// voters of several zones may share. The others wait.
const streams = 12

func (l *lines) peer(k capsule.Key) *peerLines {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.peers[k]
	if p == nil {
		p = &peerLines{slots: make(chan struct{}, streams)}
		l.peers[k] = p
	}
	return p
}

// ask makes one request. It may come twice: a voter ends streams that are idle for long, which is noticed when the next
// request has been sent.
func (l *lines) ask(ctx context.Context, k capsule.Key, req *api.HandoverRequest) (*api.HandoverReply, error) {
	p := l.peer(k)
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn := l.take(p)
	for kept := conn != nil; ; kept = false {
		if conn == nil {
			var err error
			if conn, err = l.open(ctx, k, api.ProtoHandover); err != nil {
				return nil, err
			}
		}
		reply, whole, err := once(ctx, conn, req)
		if whole {
			l.give(p, conn)
			return reply, err
		}
		conn.Close()
		conn = nil
		if !kept || ctx.Err() != nil {
			return nil, err
		}
	}
}

// once makes a request on a stream; whole says whether the answer came in whole, so that the stream can take another.
func once(ctx context.Context, conn net.Conn, req *api.HandoverRequest) (reply *api.HandoverReply, whole bool, err error) {
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	reply, err = api.Ask[api.HandoverReply](conn, req, api.MaxHandover)
	whole = stop() && (err == nil || isRefusal(err))
	return reply, whole, err
}

func (l *lines) take(p *peerLines) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	conn := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return conn
}

func (l *lines) give(p *peerLines, conn net.Conn) {
	_ = conn.SetDeadline(time.Time{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		conn.Close()
		return
	}
	p.idle = append(p.idle, conn)
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, p := range l.peers {
		for _, conn := range p.idle {
			conn.Close()
		}
		p.idle = nil
	}
}
