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
	status  machine.Status
	lease   uint64 // number of the one that an event told of last
	retries uint32 // that events told of
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

// changed compares a capsule's row with what events told of it last, and takes note. One of those who watch gets to tell.
func (w *watches) changed(id capsule.ID, row *machine.CapsuleRow) (status, lease bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	status, lease = h.status != row.Status, row.Status == machine.StatusRunning && h.lease < row.Lease.Number
	h.status = row.Status
	if lease {
		h.lease = row.Lease.Number
	}
	return status, lease
}

// untold returns those attempts that no event told of.
func (w *watches) untold(id capsule.ID, r *machine.Retries) []machine.Retry {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	n := min(int(r.Count-min(h.retries, r.Count)), len(r.Last))
	h.retries = max(h.retries, r.Count)
	return r.Last[len(r.Last)-n:]
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
	at := req.After
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		events, more := s.watch.after(req.Capsule, at)
		for i := range events {
			if err := api.Accept(w, &events[i]); err != nil || events[i].Final {
				return err
			}
			at = events[i].Sequence
		}
		if s.observe(req.Capsule) {
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

// observe makes events of what changed in a capsule's row since the last look, whoever looked, and reports whether there
// are any.
func (s *Server) observe(id capsule.ID) bool {
	row, err := s.row(id)
	if err != nil {
		return false
	}
	status, lease := s.watch.changed(id, &row)
	if !status && !lease {
		return false
	}
	var end machine.EndBody
	e := api.WatchEvent{Kind: api.EventStatus, Segment: row.Segment, Text: row.Status.String(), Final: row.Status.Ended()}
	if e.Final && row.Status != machine.StatusGone {
		if o, err := s.ended(id); err == nil {
			e.Outcome, end = o.bytes, o.end
		}
	}
	s.tellRetries(id, &row, &end.Retries)
	if lease {
		s.watch.add(id, api.WatchEvent{Kind: api.EventLease, Segment: row.Segment, Text: row.Lease.Worker.String()})
	}
	if status {
		s.watch.add(id, e)
	}
	return true
}

// tellRetries makes events of attempts that came to nothing. Those of a capsule that has ended stand in its end.
func (s *Server) tellRetries(id capsule.ID, row *machine.CapsuleRow, r *machine.Retries) {
	if row.Run.Retried {
		v, err := s.cfg.Zone.Query()
		if err != nil {
			return
		}
		defer v.Close()
		all, err := v.Retries(id)
		if err != nil {
			return
		}
		r = &all
	}
	for _, x := range s.watch.untold(id, r) {
		text := x.Cause.String()
		if !x.Worker.IsZero() {
			text += ": " + x.Worker.String()
		}
		s.watch.add(id, api.WatchEvent{Kind: api.EventRetry, Segment: x.Segment, N: x.Units, Text: text})
	}
}

// certifiedEnd is the proof of an end.
type certifiedEnd struct {
	bytes []byte // encoding of an api.Outcome
	end   machine.EndBody
}

func (s *Server) ended(id capsule.ID) (e certifiedEnd, err error) {
	ctx, cancel := context.WithTimeout(s.ctx, readTimeout)
	defer cancel()
	req := &api.ResultRequest{V: api.Version, Zone: s.id, Capsule: id, Wait: uint64(readTimeout.Milliseconds()), Pauses: api.NoPauses}
	o, err := s.result(ctx, req)
	if err != nil {
		return e, err
	}
	o.Events = []api.Emitted{} // events of their own tell of them
	body, err := o.End()
	if err != nil {
		return e, err
	}
	e.end = *body
	e.bytes, err = capsule.Marshal(o)
	return e, err
}
