package voter

import (
	"context"
	"slices"
	"sync"
)

// room bounds bytes that are in memory at a time. Whoever finds too little left waits for its turn: many small ones can't keep
// a large one out.
type room struct {
	mu    sync.Mutex // guards what follows
	left  int64
	queue []*waiter
}

type waiter struct {
	bytes int64
	in    chan struct{} // closed when it has them
}

func newRoom(bytes int64) *room { return &room{left: bytes} }

// take waits until so many bytes, which must not be more than there ever are, are the caller's until it gives them back.
func (r *room) take(ctx context.Context, bytes int64) error {
	r.mu.Lock()
	w := &waiter{bytes: bytes, in: make(chan struct{})}
	r.queue = append(r.queue, w)
	r.admit()
	r.mu.Unlock()
	select {
	case <-w.in:
		return nil
	case <-ctx.Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.queue, w); i >= 0 {
		r.queue = slices.Delete(r.queue, i, i+1)
	} else {
		r.left += bytes // its turn came at the same moment
	}
	r.admit()
	return ctx.Err()
}

func (r *room) give(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left += bytes
	r.admit()
}

// admit lets in those whose turn it is. r.mu is held.
func (r *room) admit() {
	for len(r.queue) > 0 && r.queue[0].bytes <= r.left {
		r.left -= r.queue[0].bytes
		close(r.queue[0].in)
		r.queue = slices.Delete(r.queue, 0, 1)
	}
}
