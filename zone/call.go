package zone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// The call protocol: a voter asks another, one thing after the other on a stream. Streams are kept: opening one costs as
// much as a call, and hosts limit how many a peer may open in a second.
const (
	callProto   = "/call/1"
	maxCall     = machine.MaxEntry + 64<<10
	maxCalls    = 512 // served at a time; more wait
	callTimeout = 10 * time.Second
	callStreams = 28              // to one peer at a time, fewer than a host takes
	callIdle    = 5 * time.Minute // a stream that carried nothing for so long ends
)

type callKind uint8

const (
	callTerm       callKind = 1 + iota // which election do you know of?
	callReadIndex                      // from which entry on is a read current?
	callTick                           // sign this time
	callPropose                        // put this command into the log
	callEpoch                          // sign this change of the voter set
	callDescriptor                     // sign this description of the zone
	callProposeAll                     // put these commands, encoded as an entry, into the log together
)

type callRequest struct {
	_    struct{} `cbor:",toarray"`
	Kind callKind
	Body []byte
}

type callResponse struct {
	_     struct{} `cbor:",toarray"`
	Error string   // empty: it succeeded
	Code  uint8    // of the errors that callers branch on
	Body  []byte
}

// Codes of errors that keep their identity across a call.
const (
	codeOther uint8 = iota
	codeNotLeader
	codeUnknown
)

// caller is both ends of the protocol.
type caller struct {
	t      raft.Transport
	l      raft.Listener
	proto  string
	member func(capsule.Key) bool
	handle func(ctx context.Context, from capsule.Key, kind callKind, body []byte) ([]byte, error)

	ctx  context.Context
	wg   sync.WaitGroup
	gate chan struct{} // one token for each call being served

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	peers  map[capsule.Key]*callPeer
	closed bool
}

// callPeer is the streams to one peer.
type callPeer struct {
	slots chan struct{} // one token for each stream in use
	idle  []net.Conn    // guarded by the caller's mu
}

// take returns an idle stream, or nil, once the peer has room for one more call.
func (c *caller) take(ctx context.Context, to capsule.Key) (*callPeer, net.Conn, error) {
	c.mu.Lock()
	p := c.peers[to]
	if p == nil {
		p = &callPeer{slots: make(chan struct{}, callStreams)}
		c.peers[to] = p
	}
	c.mu.Unlock()
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return p, nil, nil
	}
	conn := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return p, conn, nil
}

// give keeps a stream for the next call.
func (c *caller) give(p *callPeer, conn net.Conn) {
	conn.SetDeadline(time.Time{})
	c.mu.Lock()
	closed := c.closed
	if !closed {
		p.idle = append(p.idle, conn)
	}
	c.mu.Unlock()
	if closed {
		conn.Close()
	}
}

// exchange asks and reads the answer.
func exchange(ctx context.Context, conn net.Conn, req *callRequest) (*callResponse, error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	resp := new(callResponse)
	err := writeFrame(conn, req, maxCall)
	if err == nil {
		err = readFrame(bufio.NewReader(conn), resp, maxCall)
	}
	if !stop() && err == nil {
		err = ctx.Err() // the deadline is in the past, or is about to be
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return resp, err
}

func (c *caller) call(ctx context.Context, to capsule.Key, kind callKind, body []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("call voter %s: %w", to, err) }
	p, conn, err := c.take(ctx, to)
	if err != nil {
		return fail(err)
	}
	defer func() { <-p.slots }()
	req := &callRequest{Kind: kind, Body: body}
	var resp *callResponse
	for kept := conn != nil; ; kept = false {
		if conn == nil {
			if conn, err = c.t.Dial(ctx, to, c.proto); err != nil {
				return fail(err)
			}
		}
		if resp, err = exchange(ctx, conn, req); err == nil {
			c.give(p, conn)
			break
		}
		conn.Close()
		conn = nil
		if !kept || ctx.Err() != nil {
			return fail(err)
		}
		// The peer may have ended a stream that was idle; every call may be repeated.
	}
	if resp.Error == "" {
		return resp.Body, nil
	}
	err = fmt.Errorf("voter %s: %s", to, resp.Error)
	switch resp.Code {
	case codeNotLeader:
		err = fmt.Errorf("%w: %w", raft.ErrNotLeader, err)
	case codeUnknown:
		err = fmt.Errorf("%w: %w", raft.ErrUnknown, err)
	}
	return nil, err
}

func (c *caller) accept() {
	defer c.wg.Done()
	for {
		conn, k, err := c.l.Accept()
		if err != nil {
			return
		}
		if !c.member(k) {
			conn.Close()
			continue
		}
		c.mu.Lock()
		c.conns[conn] = true
		closed := c.closed
		c.mu.Unlock()
		if closed {
			conn.Close()
		}
		c.wg.Add(1)
		go c.serve(conn, k)
	}
}

func (c *caller) serve(conn net.Conn, k capsule.Key) {
	defer c.wg.Done()
	defer func() {
		c.mu.Lock()
		delete(c.conns, conn)
		c.mu.Unlock()
		conn.Close()
	}()
	for r := bufio.NewReader(conn); c.member(k); {
		conn.SetDeadline(time.Now().Add(callIdle))
		var req callRequest
		if err := readFrame(r, &req, maxCall); err != nil {
			return
		}
		select {
		case c.gate <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		resp := c.answer(k, &req)
		<-c.gate
		conn.SetDeadline(time.Now().Add(callTimeout))
		if err := writeFrame(conn, resp, maxCall); err != nil {
			return
		}
	}
}

func (c *caller) answer(k capsule.Key, req *callRequest) *callResponse {
	ctx, cancel := context.WithTimeout(c.ctx, callTimeout)
	defer cancel()
	resp := &callResponse{Body: []byte{}}
	body, err := c.handle(ctx, k, req.Kind, req.Body)
	if err != nil {
		resp.Error = err.Error()
		switch {
		case errors.Is(err, raft.ErrUnknown):
			resp.Code = codeUnknown
		case errors.Is(err, raft.ErrNotLeader):
			resp.Code = codeNotLeader
		}
	} else if body != nil {
		resp.Body = body
	}
	return resp
}

func (c *caller) close() {
	c.l.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		conn.Close()
	}
	for _, p := range c.peers {
		for _, conn := range p.idle {
			conn.Close()
		}
		p.idle = nil
	}
	c.mu.Unlock()
	c.wg.Wait()
}
