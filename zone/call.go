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

// The call protocol: a voter asks another one thing on a stream of its own.
const (
	callProto   = "/call/1"
	maxCall     = machine.MaxEntry + 64<<10
	maxCalls    = 512 // served at a time; more are refused unread
	callTimeout = 10 * time.Second
)

type callKind uint8

const (
	callTerm       callKind = 1 + iota // which election do you know of?
	callReadIndex                      // from which entry on is a read current?
	callTick                           // sign this time
	callPropose                        // put this command into the log
	callEpoch                          // sign this change of the voter set
	callDescriptor                     // sign this description of the zone
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
	closed bool
}

func (c *caller) call(ctx context.Context, to capsule.Key, kind callKind, body []byte) ([]byte, error) {
	conn, err := c.t.Dial(ctx, to, c.proto)
	if err != nil {
		return nil, fmt.Errorf("call voter %s: %w", to, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := writeFrame(conn, &callRequest{Kind: kind, Body: body}, maxCall); err != nil {
		return nil, fmt.Errorf("call voter %s: %w", to, err)
	}
	var resp callResponse
	if err := readFrame(bufio.NewReader(conn), &resp, maxCall); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("call voter %s: %w", to, err)
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
		select {
		case c.gate <- struct{}{}:
		default:
			conn.Close()
			continue
		}
		if !c.member(k) {
			conn.Close()
			<-c.gate
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
		<-c.gate
	}()
	ctx, cancel := context.WithTimeout(c.ctx, callTimeout)
	defer cancel()
	conn.SetDeadline(time.Now().Add(callTimeout))
	var req callRequest
	if err := readFrame(bufio.NewReader(conn), &req, maxCall); err != nil {
		return
	}
	resp := callResponse{Body: []byte{}}
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
	writeFrame(conn, &resp, maxCall)
}

func (c *caller) close() {
	c.l.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.wg.Wait()
}
