package api

import (
	"context"
	"errors"
	"io"
	"time"
)

// IdleTime is how long a node waits for the next request on a stream.
const IdleTime = 2 * time.Minute

// Stream is what requests come on.
type Stream interface {
	io.ReadWriter
	SetReadDeadline(t time.Time) error
	Reset() error
	Fault() // blames the peer for what it sent
}

// Each has fn answer the requests of one stream, of at most most bytes each, until the stream or ctx ends, fn fails, or
// nothing comes for IdleTime. What is no request is refused, since who sent it may be of another version, and blamed on
// the peer.
func Each[T any](ctx context.Context, s Stream, most int, fn func(*T) error) {
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	for {
		_ = s.SetReadDeadline(time.Now().Add(IdleTime))
		req := new(T)
		if err := Read(s, req, most); err != nil {
			if errors.Is(err, ErrMessage) {
				s.Fault()
				_ = Refuse(s, &Refusal{Code: CodeProtocol, Detail: err.Error()})
			}
			return
		}
		_ = s.SetReadDeadline(time.Time{})
		if fn(req) != nil {
			return
		}
	}
}
