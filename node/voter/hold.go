package voter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// Hold serves one api.HoldRequest.
func (s *Server) Hold(ctx context.Context, peer capsule.Key, req *api.HoldRequest, w io.Writer) error {
	out, err := s.hold(ctx, peer, req)
	return reply(w, out, err)
}

// holdTime bounds one request: fetching what is to be attested, and checking it.
const holdTime = 30 * time.Second

// maxPromise bounds the time for which this voter promises anything that nothing refers to.
const maxPromise = 10 * time.Minute

// maxHoldBytes bounds the contents that are in memory at a time because somebody asks this voter to hold them. Invariant: what
// one request needs, a content that is checked and one that is not, is no more.
const maxHoldBytes = 2 * api.MaxHeld

// roomFor is how many bytes of a request's contents are in memory at a time: of those that are only to be held, one.
func roomFor(facts []machine.Attest) (n int64) {
	var held int64
	for i := range facts {
		if f := &facts[i]; f.Other.IsZero() {
			held = max(held, int64(f.Size))
		} else {
			n += int64(f.Size)
		}
	}
	return n + held
}

// hold fetches, checks and signs. Whatever is wrong with one fact, none is signed.
func (s *Server) hold(ctx context.Context, peer capsule.Key, req *api.HoldRequest) (*api.HoldReply, error) {
	ctx, cancel := context.WithTimeout(ctx, holdTime)
	defer cancel()
	facts, err := parseFacts(req)
	if err != nil {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()}
	}
	if err := s.mayAsk(peer, req, facts); err != nil {
		return nil, err
	}
	// Who asks has the content itself, unless it names others: then it is fetching it at this moment.
	var holders []capsule.Key
	for _, p := range req.Holders {
		if s.cfg.Hint != nil {
			s.cfg.Hint(p)
		}
		holders = append(holders, p.Key)
	}
	return s.attestTo(ctx, req, facts, append(holders, peer))
}

// attestTo does so for whoever may ask. It waits its turn for the memory that it needs.
func (s *Server) attestTo(ctx context.Context, req *api.HoldRequest, facts []machine.Attest, holders []capsule.Key) (*api.HoldReply, error) {
	bytes := roomFor(facts)
	if err := s.holds.Acquire(ctx, bytes); err != nil {
		return nil, &api.Refusal{Code: api.CodeBusy, Detail: fmt.Sprintf("no room for %d bytes within %s: others have this voter hold content", bytes, holdTime), Retry: 1000}
	}
	defer s.holds.Release(bytes)
	var state []byte // to check
	for i := range facts {
		f := &facts[i]
		b, err := s.cfg.Contents.Borrow(ctx, f.Blob, int64(f.Size), holders...)
		if err != nil {
			return nil, &api.Refusal{Code: string(machine.CodeBlob), Detail: err.Error(), Retry: 500}
		}
		if uint64(len(b)) != f.Size {
			return nil, &api.Refusal{Code: string(machine.CodeBlob), Detail: fmt.Sprintf("%s has %d bytes, not %d", f.Blob, len(b), f.Size)}
		}
		if !f.Other.IsZero() {
			state = b
		}
		if s.cfg.Ahead != nil && f.Fact == machine.FactHeld && req.Target != (capsule.ZoneID{}) {
			s.cfg.Ahead(req.Target, api.Ahead{State: f.Blob, Size: f.Size})
		}
	}
	// Three waits at once, and each must be over before a word is given: for the disk that is to have the content, for the
	// disk that is to have the promise, and for what is checked. A promise without a word keeps content a little longer.
	done := make(chan error, 2)
	var err error
	go func() { done <- s.settle(facts) }()
	go func() { done <- s.promise(facts) }()
	for i := range facts {
		if f := &facts[i]; !f.Other.IsZero() {
			err = errors.Join(err, s.fitsCode(ctx, f.Other, req.Envelope, state, holders))
		}
	}
	if err := errors.Join(err, <-done, <-done); err != nil {
		return nil, err
	}
	for _, f := range facts {
		if f.Fact != machine.FactHeld {
			continue
		}
		s.cfg.Contents.Keep(f.Blob, s.keep.owner)
		// It may have gone while nobody kept it, and come again: then the word isn't given, or the disk waited for once more.
		if err := s.cfg.Contents.Flush(f.Blob); err != nil {
			return nil, &api.Refusal{Code: api.CodeBusy, Detail: "no room for " + f.Blob.String() + " here: " + err.Error(), Retry: 1000}
		}
	}
	out := &api.HoldReply{V: api.Version}
	for _, b := range req.Facts {
		out.Sigs = append(out.Sigs, s.cfg.Identity.Sign(machine.KindAttest.SigKind(), b))
	}
	return out, nil
}

// settle waits until content that is to be held survives a power loss.
func (s *Server) settle(facts []machine.Attest) error {
	for i := range facts {
		if f := &facts[i]; f.Fact == machine.FactHeld {
			if err := s.cfg.Contents.Flush(f.Blob); err != nil {
				return err
			}
		}
	}
	return nil
}

// promise writes down until when content is to be held.
func (s *Server) promise(facts []machine.Attest) error {
	var held []capsule.CID
	var until uint64
	for i := range facts {
		if f := &facts[i]; f.Fact == machine.FactHeld {
			held, until = append(held, f.Blob), max(until, f.Until)
		}
	}
	return s.keep.promises.add(held, until, nowMS())
}

func parseFacts(req *api.HoldRequest) ([]machine.Attest, error) {
	if req.V != api.Version || len(req.Facts) == 0 || len(req.Facts) > api.MaxHolds || len(req.Holders) > api.MaxHolders {
		return nil, fmt.Errorf("version %d with %d facts and %d holders", req.V, len(req.Facts), len(req.Holders))
	}
	facts := make([]machine.Attest, len(req.Facts))
	now := nowMS()
	for i, b := range req.Facts {
		f := &facts[i]
		if err := capsule.Unmarshal(b, f); err != nil {
			return nil, err
		}
		switch {
		case f.V != machine.Version || f.Zone != req.Zone:
			return nil, fmt.Errorf("fact %d is of version %d or of another zone", i, f.V)
		case f.Size > api.MaxHeld:
			return nil, fmt.Errorf("%d bytes, at most %d", f.Size, api.MaxHeld)
		case f.Fact == machine.FactHeld && (f.Until <= now || f.Until > now+uint64(maxPromise.Milliseconds())):
			return nil, fmt.Errorf("a promise until %d ms, it is %d ms; at most for %s", f.Until, now, maxPromise)
		case f.Fact == machine.FactFits && (f.Until != 0 || f.Other.IsZero()), f.Fact != machine.FactHeld && f.Fact != machine.FactFits, f.Blob.IsZero():
			return nil, fmt.Errorf("fact %d is nothing that a voter attests for others", i)
		case !f.Other.IsZero() && slices.ContainsFunc(facts[:i], func(g machine.Attest) bool { return !g.Other.IsZero() }):
			return nil, fmt.Errorf("fact %d is another continuation to check; ask for one at a time", i)
		}
	}
	return facts, nil
}

// mayAsk refuses who may not fill this voter's disk: only voters of the zone and workers that run a capsule may, and those
// not beyond what the capsule may hold.
func (s *Server) mayAsk(peer capsule.Key, req *api.HoldRequest, facts []machine.Attest) error {
	if err := s.mine(req.V, req.Zone); err != nil {
		return err
	}
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return err
	}
	set, err := v.Voters()
	v.Close()
	if err != nil {
		return err
	}
	for i := range facts {
		if f := &facts[i]; f.Generation != set.Generation || f.Epoch != set.Epoch {
			return &api.Refusal{Code: string(machine.CodeGeneration), Detail: fmt.Sprintf("epoch %d.%d, the zone is at %d.%d", f.Generation, f.Epoch, set.Generation, set.Epoch), Retry: 200}
		}
	}
	if set.Position(s.cfg.Identity.Key()) < 0 {
		return &api.Refusal{Code: api.CodeNotVoter, Detail: "this node does not vote in the present epoch"}
	}
	if set.Position(peer) >= 0 {
		return nil
	}
	row, err := s.leased(peer, req.Lease)
	if err != nil {
		return err
	}
	for i := range facts {
		if f := &facts[i]; f.Size > max(row.StateBytes, machine.MaxJournal) {
			return &api.Refusal{Code: string(machine.CodeLimit), Detail: fmt.Sprintf("%d bytes for a capsule that declared at most %d", f.Size, row.StateBytes)}
		}
	}
	return nil
}

// leased returns the capsule that a worker runs. A voter that is behind waits until it knows of the lease.
func (s *Server) leased(worker capsule.Key, ref api.LeaseRef) (machine.CapsuleRow, error) {
	if ref.Number == 0 {
		return machine.CapsuleRow{}, &api.Refusal{Code: string(machine.CodeLease), Detail: "content is held for voters of the zone and for workers under a lease; " + worker.String() + " shows none"}
	}
	deadline := time.Now().Add(readTimeout)
	for {
		row, err := s.row(ref.Capsule)
		if err != nil && !errors.Is(err, machine.ErrNotFound) {
			return row, err
		}
		if err == nil && row.LeasedTo(worker, ref.Number) {
			return row, nil
		}
		if err == nil && row.Lease.Number >= ref.Number || time.Now().After(deadline) {
			return row, &api.Refusal{Code: string(machine.CodeLease), Detail: fmt.Sprintf("lease %d of %s has ended, or is another worker's", ref.Number, ref.Capsule)}
		}
		select {
		case <-s.ctx.Done():
			return row, s.ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Fits checks a continuation against the code that its capsule names.
func (s *Server) Fits(ctx context.Context, envelope, state []byte, holders []capsule.Key) error {
	c, err := capsule.Decode(envelope)
	if err != nil {
		return &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()}
	}
	if s.cfg.Fits == nil {
		return &api.Refusal{Code: api.CodeUnavailable, Detail: "this voter has no way to check continuations"}
	}
	return s.cfg.Fits(ctx, c.Manifest(), state, func(id capsule.CID) ([]byte, error) {
		return s.cfg.Contents.Fetch(ctx, id, api.MaxHeld, holders...)
	})
}

// fitsCode checks a continuation against the code that a fact names.
func (s *Server) fitsCode(ctx context.Context, code capsule.CID, envelope, state []byte, holders []capsule.Key) error {
	if c, err := capsule.Decode(envelope); err != nil || c.Manifest().Code != code {
		return &api.Refusal{Code: api.CodeProtocol, Detail: "the envelope is of other code than the fact"}
	}
	return s.Fits(ctx, envelope, state, holders)
}

// Vouch has this zone's voters attest to facts, and returns the commands that say so, to be proposed before one that needs
// them. Content that is not here is fetched from holders.
func (s *Server) Vouch(ctx context.Context, facts []machine.Attest, envelope []byte, holders []api.Peer) ([][]byte, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	set, err := v.Voters()
	v.Close()
	if err != nil {
		return nil, err
	}
	call := attest.Call(s.cfg.Open)
	self := s.cfg.Identity.Key()
	ask := func(_ context.Context, k capsule.Key, req *api.HoldRequest) (*api.HoldReply, error) {
		// A quorum is enough to go on; the others are given the time to have it too.
		ctx, cancel := context.WithTimeout(s.ctx, holdTime)
		defer cancel()
		if k == self {
			return s.hold(ctx, self, req)
		}
		return call(ctx, k, req)
	}
	for i := range facts {
		facts[i].Scope, facts[i].Epoch = machine.NewScope(s.id, set.Generation), set.Epoch
	}
	select {
	case s.vouches <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.vouches }()
	return attest.Gather(ctx, &set, facts, api.HoldRequest{Envelope: envelope, Holders: holders}, ask, s.wg.Go)
}
