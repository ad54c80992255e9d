package zone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
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
	codeNoQuorum
)

// caller is both ends of the protocol.
type caller struct {
	pool   api.Pool // of streams to other voters
	l      raft.Listener
	proto  string
	member func(capsule.Key) bool
	handle func(ctx context.Context, from capsule.Key, kind callKind, body []byte) ([]byte, error)

	ctx  context.Context
	wg   sync.WaitGroup
	gate chan struct{} // one token for each call being served

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	slots  map[capsule.Key]chan struct{} // one token for each stream to a peer that is in use
	closed bool
}

// slot waits until the peer has room for one more call, which ends with a receive.
func (c *caller) slot(ctx context.Context, to capsule.Key) (chan struct{}, error) {
	c.mu.Lock()
	slots := c.slots[to]
	if slots == nil {
		slots = make(chan struct{}, callStreams)
		c.slots[to] = slots
	}
	c.mu.Unlock()
	select {
	case slots <- struct{}{}:
		return slots, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// call asks a voter. It may come twice, and every call may be repeated.
func (c *caller) call(ctx context.Context, to capsule.Key, kind callKind, body []byte) ([]byte, error) {
	fail := func(err error) ([]byte, error) { return nil, fmt.Errorf("call voter %s: %w", to, err) }
	req, err := api.Encode(&callRequest{Kind: kind, Body: body}, maxCall)
	if err != nil {
		return fail(err)
	}
	slots, err := c.slot(ctx, to)
	if err != nil {
		return fail(err)
	}
	defer func() { <-slots }()
	var resp callResponse
	err = c.pool.Use(ctx, to, c.proto, func(s net.Conn) error {
		if err := api.WriteFrame(s, req); err != nil {
			return err
		}
		return api.Read(bufio.NewReader(s), &resp, maxCall)
	})
	if err != nil {
		return fail(err)
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
	case codeNoQuorum:
		err = fmt.Errorf("%w: %s", raft.ErrNoQuorum, strings.TrimPrefix(resp.Error, raft.ErrNoQuorum.Error()+": "))
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
		if err := api.Read(r, &req, maxCall); err != nil {
			return
		}
		select {
		case c.gate <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		resp, err := c.answer(k, &req)
		<-c.gate
		if err != nil {
			return
		}
		conn.SetDeadline(time.Now().Add(callTimeout))
		if err := api.WriteFrame(conn, resp); err != nil {
			return
		}
	}
}

// answer serves a call and encodes what came of it: an answer too long to be read is an error like any other.
func (c *caller) answer(k capsule.Key, req *callRequest) ([]byte, error) {
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
		case errors.Is(err, raft.ErrNoQuorum):
			resp.Code = codeNoQuorum
		}
	} else if body != nil {
		resp.Body = body
	}
	b, err := api.Encode(resp, maxCall)
	if errors.Is(err, api.ErrTooLong) {
		return api.Encode(&callResponse{Error: err.Error(), Body: []byte{}}, maxCall)
	}
	return b, err
}

func (c *caller) close() {
	c.l.Close()
	c.mu.Lock()
	c.closed = true
	for conn := range c.conns {
		conn.Close()
	}
	c.mu.Unlock()
	c.pool.Close()
	c.wg.Wait()
}
