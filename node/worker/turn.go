package worker

import (
	"context"
	"time"
)

// turn is a segment's part in the processors. As many segments run at a time as there are processors, for a slice each: if
// all of them were left to the scheduler, whatever answers the network, renewals of leases above all, would wait until each
// of some hundred programs had had its turn.
type turn struct {
	all   chan struct{} // holds a token for each segment that runs
	held  bool
	since time.Time
	ran   time.Duration // in all turns
}

// begin waits for a turn.
func (t *turn) begin(ctx context.Context) error {
	select {
	case t.all <- struct{}{}:
		t.held, t.since = true, time.Now()
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end gives the processor to others.
func (t *turn) end() {
	if t.held {
		t.ran += time.Since(t.since)
		t.held = false
		<-t.all
	}
}
