package sdk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kitwork/kwnode/zone/api"
)

// ErrUnknown means that no voter of a zone knows a capsule that was to be followed there.
var ErrUnknown = errors.New("it was never handed in there, or ended so long ago that the zone has forgotten it")

// lookTime bounds the question whether a capsule is known. A voter that takes longer counts as one that was not reached.
const lookTime = 3 * time.Second

// look refuses to wait for a capsule that there is no trace of. Whoever has the bundle need not ask: it hands the capsule in
// again. All voters are asked at a time, for one alone may hold it, acknowledged and not yet admitted; each answers from a
// state that no other is ahead of. A gateway's word for a voter counts if no voter is known.
func (s *Submission) look(ctx context.Context) error {
	if s.bundle != nil {
		return nil
	}
	keys := s.c.candidates(s.Home, roleVoter)
	if len(keys) == 0 {
		keys = s.c.candidates(s.Home, roleGateway)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	var all sync.WaitGroup
	answers := make(chan error, len(keys))
	for _, k := range keys {
		all.Go(func() {
			_, err := ask[api.Outcome](ctx, s.c, k, api.ProtoResult, &api.ResultRequest{V: api.Version, Zone: s.Home, Capsule: s.ID}, lookTime)
			answers <- err
		})
	}
	defer all.Wait()
	defer cancel()
	unknown := 0
	for range keys {
		var r *api.Refusal
		switch err := <-answers; {
		case !errors.As(err, &r):
		case r.Code == api.CodeUnknown:
			unknown++
		case elsewhere(r.Code):
			return nil // it is known, or may be: who waits learns
		default:
			return r
		}
	}
	if unknown == 0 {
		return nil
	}
	return fmt.Errorf("capsule %s is not known in zone %s, say %d of %d nodes: %w", s.ID, s.Home, unknown, len(keys), ErrUnknown)
}
