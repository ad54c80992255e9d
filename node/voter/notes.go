package voter

import (
	"io"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
)

// Notes serves one api.Notes: what a worker says of capsules that it runs, or ran last.
func (s *Server) Notes(worker capsule.Key, req *api.Notes, w io.Writer) error {
	return reply(w, &api.Noted{V: api.Version}, s.noted(worker, req))
}

func (s *Server) noted(worker capsule.Key, req *api.Notes) error {
	if err := s.mine(req.V, req.Zone); err != nil {
		return err
	}
	if err := req.Check(); err != nil {
		return &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()}
	}
	for i := range req.Notes {
		n := &req.Notes[i]
		row, err := s.row(n.Lease.Capsule)
		if err != nil || row.Lease.Worker != worker || row.Lease.Number != n.Lease.Number {
			continue // it ended, or another runs it: nobody is to be confused by what this one says late
		}
		s.watch.add(n.Lease.Capsule, n.Event)
	}
	return nil
}
