package mover

import (
	"context"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
)

// lines are the ways to other zones' voters.
type lines struct {
	pool api.Pool

	mu    sync.Mutex                    // guards slots
	slots map[capsule.Key]chan struct{} // of each voter, a token for each request on its way
}

// streams is how many requests one voter is sent at a time: a fifth of the streams that its host takes from a peer, which
// voters of several zones may share. The others wait.
const streams = 12

func (l *lines) slotsOf(k capsule.Key) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slots == nil {
		l.slots = map[capsule.Key]chan struct{}{}
	}
	s := l.slots[k]
	if s == nil {
		s = make(chan struct{}, streams)
		l.slots[k] = s
	}
	return s
}

// ask makes one request, perhaps twice.
func (l *lines) ask(ctx context.Context, k capsule.Key, req *api.HandoverRequest) (*api.HandoverReply, error) {
	slots := l.slotsOf(k)
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return api.AskPool[api.HandoverReply](ctx, &l.pool, k, api.ProtoHandover, req, api.MaxHandover)
}
