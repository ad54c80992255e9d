package voter

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Work serves one worker's line: it sends every lease that the zone grants to the worker, and every end of one, until the
// stream or the voter ends.
func (s *Server) Work(ctx context.Context, worker capsule.Key, req *api.WorkRequest, w io.Writer) error {
	if err := s.mine(req.V, req.Zone); err != nil {
		return api.Refuse(w, refusal(err))
	}
	sub, err := s.cfg.Zone.Subscribe(worker)
	if err != nil {
		return api.Refuse(w, refusal(err))
	}
	defer sub.Close()
	if err := s.over(worker, req, w); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, ok := <-sub.C:
			if !ok {
				return errors.New("the voter stops, or the worker reads too slowly")
			}
			if err := s.tell(ctx, e, w); err != nil {
				return err
			}
		}
	}
}

// over tells a worker which of the leases that it thinks it holds have ended.
func (s *Server) over(worker capsule.Key, req *api.WorkRequest, w io.Writer) error {
	for _, ref := range req.Holds {
		m := &api.Work{V: api.Version, Lease: ref, Grant: []byte{}}
		c, err := s.row(ref.Capsule)
		m.Stop = err != nil || !c.LeasedTo(worker, ref.Number)
		m.Cancel = !m.Stop && c.CancelAsked
		if m.Stop || m.Cancel {
			if err := api.Accept(w, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) tell(ctx context.Context, e machine.Effect, w io.Writer) error {
	m := &api.Work{V: api.Version, Lease: api.LeaseRef{Capsule: e.Capsule, Number: e.Lease}, Grant: []byte{}}
	switch e.Kind {
	case machine.EffectStop:
		c, err := s.row(e.Capsule)
		m.Cancel = err == nil && c.CancelAsked && c.LeasedTo(e.Worker, e.Lease)
		m.Stop = !m.Cancel
		return api.Accept(w, m)
	case machine.EffectYield:
		m.Yield = true
		return api.Accept(w, m)
	}
	g, err := s.grant(ctx, e)
	if err != nil {
		// The lease may have ended since; if not, it runs out and is granted anew.
		s.cfg.Logger.Debug("lease not delivered", "capsule", e.Capsule, "lease", e.Lease, "err", err)
		return nil
	}
	if m.Grant, err = capsule.Marshal(g); err != nil {
		return err
	}
	return api.Accept(w, m)
}

// grant collects everything that the worker verifies.
func (s *Server) grant(ctx context.Context, e machine.Effect) (*api.LeaseGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	warrant, c, err := s.cfg.Zone.Warrant(ctx, e.Capsule)
	if err != nil {
		return nil, err
	}
	if warrant.Segment.Lease != e.Lease || warrant.Worker != e.Worker {
		return nil, errors.New("the lease has been replaced")
	}
	row, err := s.row(e.Capsule)
	if err != nil {
		return nil, err
	}
	admission, err := s.cfg.Zone.Certificate(ctx, cert.Slot{Capsule: e.Capsule, Hop: row.In, Phase: cert.PhaseIn})
	if err != nil {
		return nil, err
	}
	g := &api.LeaseGrant{V: api.Version, Zone: s.id}
	if g.Segment, err = capsule.Marshal(warrant); err != nil {
		return nil, err
	}
	if g.Admission, err = admission.Bytes(); err != nil {
		return nil, err
	}
	if g.Warrant, err = c.Bytes(); err != nil {
		return nil, err
	}
	// Mostly the warrant says all that was decided.
	g.Body, err = capsule.Marshal(warrant.Body())
	if err == nil && capsule.Sum(g.Body) != c.Decision.Body {
		g.Body, err = s.body(c)
	}
	if err != nil {
		return nil, err
	}
	if g.Epochs, err = s.since(0); err != nil {
		return nil, err
	}
	now, err := s.cfg.Zone.Time()
	if err != nil {
		return nil, err
	}
	set := s.cfg.Zone.Voters()
	g.Now = max(now, min(uint64(time.Now().UnixMilli()), warrant.Expires))
	g.Holders = s.cfg.Peers(set.Keys)
	return g, nil
}
