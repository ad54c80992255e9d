package voter

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// watches keeps the last events of the capsules that something happened to lately. They are this node's word and no
// more; what is certified is asked for as a result.
type watches struct {
	mu    sync.Mutex // guards the fields below
	m     map[capsule.ID]*history
	keys  []capsule.ID // oldest first
	bytes int          // Invariant: the sum of the histories' bytes

	emitting sync.Mutex // held while what capsules emitted is told
	emitted  uint64     // sequence in the zone's outbox of the last event that was told
}

// history is the ring of a capsule.
type history struct {
	events  []api.WatchEvent
	last    uint64 // sequence of the newest
	status  machine.Status
	place   uint64 // among those that wait for a worker, as an event told last
	lease   uint64 // number of the one that an event told of last
	retries uint32 // that events told of
	refusal *machine.Refusal
	more    chan struct{} // closed when an event is added
	bytes   int           // of the events
	readers int           // who watch now: while there are any it is not forgotten
}

// Bounds of what is kept: what guests log and emit is in it.
const (
	maxUntold       = 4096 // events in the outbox that a look goes through; of more the oldest are not told
	maxWatched      = 4096
	maxEvents       = 128
	maxHistoryBytes = 1 << 20
	maxWatchBytes   = 16 << 20
)

func newWatches() *watches { return &watches{m: map[capsule.ID]*history{}} }

// eventSize is what an event is counted as.
func eventSize(e *api.WatchEvent) int { return 128 + len(e.Text) + len(e.Data) + len(e.Outcome) }

func (w *watches) get(id capsule.ID) *history {
	h := w.m[id]
	if h == nil {
		if len(w.keys) >= maxWatched {
			w.forget()
		}
		h = &history{more: make(chan struct{})}
		w.m[id] = h
		w.keys = append(w.keys, id)
	}
	return h
}

// forget drops the oldest history that nobody reads and reports whether there was one.
func (w *watches) forget() bool {
	for i, id := range w.keys {
		if h := w.m[id]; h.readers == 0 {
			w.bytes -= h.bytes
			delete(w.m, id)
			w.keys = slices.Delete(w.keys, i, i+1)
			return true
		}
	}
	return false
}

// drop takes the oldest event out of a history.
func (w *watches) drop(h *history) {
	n := eventSize(&h.events[0])
	h.bytes, w.bytes = h.bytes-n, w.bytes-n
	h.events = slices.Delete(h.events, 0, 1)
}

func (w *watches) add(id capsule.ID, e api.WatchEvent) {
	e.V, e.Time = api.Version, uint64(time.Now().UnixMilli())
	e.Text = e.Text[:min(len(e.Text), api.MaxEventText)]
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	h.last++
	e.Sequence = h.last
	h.events = append(h.events, e)
	h.bytes, w.bytes = h.bytes+eventSize(&e), w.bytes+eventSize(&e)
	for len(h.events) > 1 && (len(h.events) > maxEvents || h.bytes > maxHistoryBytes) {
		w.drop(h)
	}
	h.readers++ // whoever adds to it is about to be told
	for w.bytes > maxWatchBytes {
		if w.forget() {
			continue
		}
		if len(h.events) == 1 {
			break
		}
		w.drop(h)
	}
	h.readers--
	close(h.more)
	h.more = make(chan struct{})
}

// read keeps a capsule's events from being forgotten until leave is called: their numbers would begin anew, and who has read
// some would wait for ever.
func (w *watches) read(id capsule.ID) (leave func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	h.readers++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		h.readers--
	}
}

// changed compares a capsule's row, and its place among those that wait for a worker, with what events told of it last, and
// takes note. One of those who watch gets to tell. Who waits hears of it each time that it has half as many before it.
func (w *watches) changed(id capsule.ID, row *machine.CapsuleRow, place uint64) (status, lease bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h := w.get(id)
	status, lease = h.status != row.Status || place > 0 && place <= h.place/2, row.Status == machine.StatusRunning && h.lease < row.Lease.Number
	if h.status = row.Status; status {
		h.place = place
	}
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
	defer s.watch.read(req.Capsule)()
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
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return false
	}
	emitted := s.tellEmitted(v, id) // first: nothing follows an end
	row, err := v.Capsule(id)
	index := v.Index()
	v.Close()
	if err != nil {
		return emitted
	}
	var place uint64
	if row.Queue != 0 {
		place = s.queue.place(id, index, s.waiting)
	}
	status, lease := s.watch.changed(id, &row, place)
	if !status && !lease {
		return emitted
	}
	var end machine.EndBody
	e := api.WatchEvent{Kind: api.EventStatus, Segment: row.Segment, N: place, Text: row.Status.String(), Final: row.Status.Ended()}
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

// tellEmitted makes events of what capsules have emitted since the last look, and reports whether this one has.
func (s *Server) tellEmitted(v *zone.View, id capsule.ID) (found bool) {
	s.watch.emitting.Lock()
	defer s.watch.emitting.Unlock()
	counts, err := v.Counts()
	if err != nil || counts.Event <= s.watch.emitted {
		return false
	}
	after := max(s.watch.emitted, counts.Event-min(counts.Event, maxUntold))
	if err := v.Events(after, maxUntold, func(_ uint64, e machine.EventRow) {
		s.watch.add(e.Slot.Capsule, api.WatchEvent{
			Kind: api.EventEmitted, Segment: e.Slot.Segment, N: uint64(e.N), Text: e.Event.Topic, Data: e.Event.Data,
		})
		found = found || e.Slot.Capsule == id
	}); err != nil {
		s.cfg.Logger.Debug("not told what capsules emitted", "zone", s.id, "err", err)
	}
	s.watch.emitted = counts.Event
	return found
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
