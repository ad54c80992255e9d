package voter

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// watches keeps the last events of the capsules that something happened to lately. They are this node's word and no
// more; what is certified is asked for as a result.
type watches struct {
	mu   sync.Mutex // guards the fields below
	m    map[capsule.ID]*history
	keys []capsule.ID // oldest first
}

// history is the ring of a capsule.
type history struct {
	events  []api.WatchEvent
	last    uint64 // sequence of the newest
	refusal *machine.Refusal
	more    chan struct{} // closed when an event is added
}

// Bounds of what is kept.
const (
	maxWatched = 4096
	maxEvents  = 128
)

func newWatches() *watches { return &watches{m: map[capsule.ID]*history{}} }

func (w *watches) get(id capsule.ID) *history {
	h := w.m[id]
	if h == nil {
		if len(w.keys) >= maxWatched {
			delete(w.m, w.keys[0])
			w.keys = w.keys[1:]
		}
		h = &history{more: make(chan struct{})}
		w.m[id] = h
		w.keys = append(w.keys, id)
	}
	return h
}

func (w *watches) add(id capsule.ID, e api.WatchEvent) {
	e.V, e.Time = api.Version, uint64(time.Now().UnixMilli())
	e.Text = e.Text[:min(len(e.Text), api.MaxEventText)]
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	h.last++
	e.Sequence = h.last
	if len(h.events) >= maxEvents {
		h.events = append(h.events[:0], h.events[1:]...)
	}
	h.events = append(h.events, e)
	close(h.more)
	h.more = make(chan struct{})
}

func (w *watches) refused(id capsule.ID, r *machine.Refusal) {
	w.mu.Lock()
	w.get(id).refusal = r
	w.mu.Unlock()
	w.add(id, api.WatchEvent{Kind: api.EventStatus, Text: "refused: " + r.Error(), Final: true})
}

// refusal is why the zone did not admit a capsule that was handed in here.
func (w *watches) refusal(id capsule.ID) *machine.Refusal {
	w.mu.Lock()
	defer w.mu.Unlock()
	if h := w.m[id]; h != nil {
		return h.refusal
	}
	return nil
}

// after returns the events that follow a sequence number, and a channel that is closed when there are more.
func (w *watches) after(id capsule.ID, n uint64) ([]api.WatchEvent, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	var out []api.WatchEvent
	for _, e := range h.events {
		if e.Sequence > n {
			out = append(out, e)
		}
	}
	return out, h.more
}

// Watch serves one api.WatchRequest until the capsule has ended or the stream has.
func (s *Server) Watch(ctx context.Context, req *api.WatchRequest, w io.Writer) error {
	if err := s.mine(req.V, req.Zone); err != nil {
		return api.Refuse(w, refusal(err))
	}
	at, status := req.After, machine.Status(0)
	t := time.NewTicker(pauseEvery)
	defer t.Stop()
	for {
		events, more := s.watch.after(req.Capsule, at)
		for i := range events {
			if err := api.Accept(w, &events[i]); err != nil || events[i].Final {
				return err
			}
			at = events[i].Sequence
		}
		if row, err := s.row(req.Capsule); err == nil && row.Status != status {
			status = row.Status
			e := api.WatchEvent{Kind: api.EventStatus, Segment: row.Segment, Text: status.String(), Final: status.Ended()}
			if status == machine.StatusRunning {
				s.watch.add(req.Capsule, api.WatchEvent{Kind: api.EventLease, Segment: row.Segment, Text: row.Lease.Worker.String()})
			}
			s.watch.add(req.Capsule, e)
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-more:
		case <-t.C:
		}
	}
}
