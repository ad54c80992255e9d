package voter

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/mover"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// Result serves one api.ResultRequest.
func (s *Server) Result(ctx context.Context, req *api.ResultRequest, w io.Writer) error {
	out, err := s.result(ctx, req)
	return reply(w, out, err)
}

const (
	// lookEvery is how often a waiting request looks whether the zone knows the capsule by now.
	lookEvery = 100 * time.Millisecond
	// lookRarely is how often it looks again at one that the zone knows. Ends and suspensions are told as they are applied,
	// but not by a copy of the state that a voter takes over because it was far behind.
	lookRarely = 2 * time.Second
)

// unknownAfter is how long a capsule that was handed in elsewhere may take to be heard of here. Whoever waits for one that
// no voter has, because the one that did died with it, hands it in again.
const unknownAfter = time.Second

func (s *Server) result(ctx context.Context, req *api.ResultRequest) (*api.Outcome, error) {
	if err := s.mine(req.V, req.Zone); err != nil {
		return nil, err
	}
	if req.Wait == 0 {
		return nil, s.look(ctx, req.Capsule)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(min(req.Wait, api.MaxWait))*time.Millisecond)
	defer cancel()
	for {
		out, gone, err := s.here(ctx, req)
		if gone == nil {
			return out, err
		}
		// It may have come back meanwhile, or gone on.
		var r *api.Refusal
		if out, err = s.elsewhere(ctx, req, gone); !errors.As(err, &r) || r.Code != api.CodeTimeout || ctx.Err() != nil {
			return out, err
		}
	}
}

// look tells a capsule that the zone knows, or this voter holds, from one of which there is no trace. It answers from a state
// that has everything that anybody was told of, so that one voter that is behind denies nothing that happened.
func (s *Server) look(ctx context.Context, id capsule.ID) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	known := &api.Refusal{Code: api.CodeTimeout, Detail: "the capsule is known here; wait for its result", Retry: 1}
	if s.held(id) {
		return known
	}
	v, err := s.cfg.Zone.Read(ctx)
	if err != nil {
		return err
	}
	defer v.Close()
	if _, err = v.Capsule(id); err == nil {
		return known
	}
	if r := s.watch.refusal(id); r != nil {
		return r
	}
	return err
}

// here waits for what this zone has to tell: gone is the capsule's row if it went on to another.
func (s *Server) here(ctx context.Context, req *api.ResultRequest) (out *api.Outcome, gone *machine.CapsuleRow, err error) {
	admitted, began := false, time.Now()
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	// What happens between a look and the next wait must not be missed.
	moved, leave := s.cfg.Zone.Moved(req.Capsule)
	defer func() { leave() }()
	for {
		// What is held is not decided, and being decided ends that.
		if admitted || !s.held(req.Capsule) {
			row, err := s.row(req.Capsule)
			if err == nil && !admitted {
				admitted = true
				t.Reset(lookRarely)
			} else if err != nil {
				err = s.absent(req, err, time.Since(began))
			}
			if err != nil {
				return nil, nil, err
			}
			switch {
			case !admitted:
			case row.Status == machine.StatusGone:
				return nil, &row, nil
			case row.Status.Ended():
				out, err = s.end(ctx, req)
				return out, nil, err
			case row.Status == machine.StatusSuspended && req.Pauses != api.NoPauses && row.Run.Pauses > req.Pauses:
				out, err = s.pause(req, row.Run.Pauses-1)
				return out, nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, nil, s.still(req, admitted)
		case <-s.ctx.Done():
			return nil, nil, raft.ErrStopped
		case <-moved:
			leave()
			moved, leave = s.cfg.Zone.Moved(req.Capsule)
		case <-t.C:
		}
	}
}

// absent judges that a capsule's row was not read: nil if it may still come.
func (s *Server) absent(req *api.ResultRequest, err error, waited time.Duration) error {
	if r := s.watch.refusal(req.Capsule); r != nil {
		return r
	}
	if !errors.Is(err, machine.ErrNotFound) {
		return err
	}
	if waited >= unknownAfter {
		return s.still(req, false)
	}
	return nil
}

// end is the outcome of a capsule that has ended, as soon as it is certified.
func (s *Server) end(ctx context.Context, req *api.ResultRequest) (*api.Outcome, error) {
	r, err := s.cfg.Zone.Await(ctx, req.Capsule)
	if err != nil && ctx.Err() != nil {
		return nil, s.still(req, true)
	} else if err != nil {
		return nil, err
	}
	return s.outcome(req, r)
}

// forwardWait bounds how long another zone is asked to wait, in ms. A capsule that goes to and fro would otherwise leave a
// chain of questions behind, each of which holds a stream between the zones.
const forwardWait = 1000

// elsewhere asks the zone to which a capsule went. The client verifies what that zone certified.
func (s *Server) elsewhere(ctx context.Context, req *api.ResultRequest, row *machine.CapsuleRow) (*api.Outcome, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	o, err := v.Offered(req.Capsule, row.Hop)
	v.Close()
	if err != nil {
		return nil, err
	}
	if s.cfg.Forward == nil {
		return nil, &api.Refusal{Code: api.CodeUnavailable, Detail: "the capsule went on to zone " + o.Target.String(), Retry: 1000}
	}
	next := *req
	next.Zone, next.Generation, next.Epoch = o.Target, 0, 0
	next.Wait = forwardWait
	if deadline, ok := ctx.Deadline(); ok {
		next.Wait = uint64(min(max(time.Until(deadline).Milliseconds(), 1), forwardWait))
	}
	return s.cfg.Forward(ctx, &next)
}

// lineage is how the capsule came to this zone, complete with this zone's certificates.
func (s *Server) lineage(id capsule.ID) ([]byte, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	l, err := v.Lineage(id)
	v.Close()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, readTimeout)
	defer cancel()
	// A lineage that begins elsewhere has its admission.
	home := s.id
	if !l.Admitted.Decision.Zone.IsZero() {
		home = l.Admitted.Decision.Zone
	}
	if err := mover.Complete(ctx, s.cfg.Zone, id, home, &l); err != nil {
		return nil, err
	}
	return capsule.Marshal(&l)
}

// still is the answer when nothing happened in time.
func (s *Server) still(req *api.ResultRequest, admitted bool) error {
	if !admitted {
		if _, err := s.row(req.Capsule); err != nil {
			return &api.Refusal{Code: api.CodeUnknown, Detail: "this zone has no such capsule; submit it again", Retry: 200}
		}
	}
	return &api.Refusal{Code: api.CodeTimeout, Detail: "the capsule has not ended; ask again", Retry: 1}
}

func (s *Server) row(id capsule.ID) (machine.CapsuleRow, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return machine.CapsuleRow{}, err
	}
	defer v.Close()
	return v.Capsule(id)
}

// outcome joins a certified end with what it is about.
func (s *Server) outcome(req *api.ResultRequest, r *zone.Result) (*api.Outcome, error) {
	out, err := s.certified(req, r.Certificate, r.Body)
	if err != nil {
		return nil, err
	}
	out.Output = append([]byte{}, r.Output.Data...)
	if req.Receipt {
		if out.Lineage, err = s.lineage(req.Capsule); err != nil {
			return nil, err
		}
	}
	if n := r.Output.EventsPublished; n > 0 {
		v, err := s.cfg.Zone.Query()
		if err != nil {
			return nil, err
		}
		defer v.Close()
		err = v.Events(r.Output.EventsFirst-1, int(n), func(_ uint64, e machine.EventRow) {
			if e.Slot.Capsule == req.Capsule {
				out.Events = append(out.Events, api.Emitted{Segment: e.Slot.Segment, N: e.N, Topic: e.Event.Topic, Data: e.Event.Data})
			}
		})
		return out, err
	}
	return out, nil
}

// pause joins a certified suspension with what it is about.
func (s *Server) pause(req *api.ResultRequest, n uint32) (*api.Outcome, error) {
	row, err := s.row(req.Capsule)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, readTimeout)
	defer cancel()
	c, err := s.cfg.Zone.Certificate(ctx, cert.Slot{Capsule: req.Capsule, Hop: row.Hop, Segment: n, Phase: cert.PhasePause})
	if err != nil {
		return nil, err
	}
	body, err := s.body(c)
	if err != nil {
		return nil, err
	}
	return s.certified(req, c, body)
}

// certified starts an outcome from its certificate: the body that it hashes, and the epochs that lead to it.
func (s *Server) certified(req *api.ResultRequest, c *cert.Certificate, body []byte) (*api.Outcome, error) {
	b, err := c.Bytes()
	if err != nil {
		return nil, err
	}
	out := &api.Outcome{V: api.Version, Certificate: b, Body: body, Output: []byte{}, Events: []api.Emitted{}, Lineage: []byte{}}
	out.Epochs, err = s.since(req.Epoch)
	return out, err
}

// body is what a certificate's decision is the hash of.
func (s *Server) body(c *cert.Certificate) ([]byte, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	r, ok, err := v.Outcome(c.Decision.Slot)
	if err == nil && !ok {
		err = errors.New("the outcome's content is no longer kept here")
	}
	return r.Body, err
}

// Read serves one api.ReadRequest of a worker.
func (s *Server) Read(ctx context.Context, worker capsule.Key, req *api.ReadRequest, w io.Writer) error {
	out, err := s.read(worker, req)
	return reply(w, out, err)
}

func (s *Server) read(worker capsule.Key, req *api.ReadRequest) (*api.ReadReply, error) {
	if err := s.mine(req.V, req.Zone); err != nil {
		return nil, err
	}
	v, err := s.at(req.Index)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	c, err := v.Capsule(req.Lease.Capsule)
	if err != nil {
		return nil, err
	}
	if !c.LeasedTo(worker, req.Lease.Number) {
		return nil, &api.Refusal{Code: string(machine.CodeLease), Detail: "the lease has ended, or is another worker's"}
	}
	rights, err := v.Rights(req.Lease.Capsule)
	if err != nil {
		return nil, err
	}
	rep := &api.ReadReply{V: api.Version, Rows: []api.Row{}}
	if !req.Scan {
		if machine.Permits(rights.Caps, machine.ResourceData, req.Key)&capsule.Read == 0 {
			return nil, &api.Refusal{Code: string(machine.CodeDenied), Detail: "no grant of the capsule covers the key"}
		}
		r, err := v.Get(req.Key, req.Index)
		if errors.Is(err, machine.ErrNotFound) {
			r, err = machine.Row{Key: req.Key}, nil
		}
		rep.Rows = append(rep.Rows, api.Row{Key: req.Key, Value: append([]byte{}, r.Value...), Version: r.Version})
		return rep, err
	}
	if !machine.PermitsScan(rights.Caps, req.Key) {
		return nil, &api.Refusal{Code: string(machine.CodeDenied), Detail: "no grant of the capsule covers the prefix"}
	}
	rows, more, err := v.Scan(req.Key, req.After, req.Index, int(min(req.Rows, api.MaxRows)), api.MaxRead/2)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		rep.Rows = append(rep.Rows, api.Row{Key: r.Key, Value: append([]byte{}, r.Value...), Version: r.Version})
	}
	rep.More = more
	return rep, nil
}

// at returns a view that reflects an index, waiting for a replica that is behind.
func (s *Server) at(index uint64) (*zone.View, error) {
	deadline := time.Now().Add(readTimeout)
	for {
		v, err := s.cfg.Zone.Query()
		if err != nil || v.Index() >= index {
			return v, err
		}
		v.Close()
		if time.Now().After(deadline) {
			return nil, &api.Refusal{Code: api.CodeUnavailable, Detail: "this voter is behind; ask another", Retry: 100}
		}
		select {
		case <-s.ctx.Done():
			return nil, s.ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
