package mover

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// maxContent bounds a module or a base.
const maxContent = 32 << 20

// Serve answers one request of another zone's mover.
func (m *Mover) Serve(ctx context.Context, peer capsule.Key, req *api.HandoverRequest, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := m.serve(ctx, peer, req)
	if err != nil {
		return api.Refuse(w, refusal(err))
	}
	return api.Accept(w, reply)
}

func refusal(err error) *api.Refusal {
	var own *api.Refusal
	var r *machine.Refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &r):
		return &api.Refusal{Code: string(r.Code), Detail: r.Error(), Retry: 1000}
	case errors.Is(err, zone.ErrBusy):
		return &api.Refusal{Code: api.CodeBusy, Detail: err.Error(), Retry: 1000}
	}
	return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error(), Retry: 1000}
}

func malformed(err error) error { return &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()} }

func (m *Mover) serve(ctx context.Context, peer capsule.Key, req *api.HandoverRequest) (*api.HandoverReply, error) {
	if req.V != api.Version || req.Zone != m.cfg.Zone.ID() || len(req.Epochs) > api.MaxEpochs {
		return nil, malformed(fmt.Errorf("version %d for zone %s with %d epochs", req.V, req.Zone, len(req.Epochs)))
	}
	if err := m.follow(ctx, req.Source, req.Epochs); err != nil {
		return nil, err
	}
	switch req.Kind {
	case api.HandoverOffer, api.HandoverCancel:
		var t handover.Transfer
		if err := capsule.Unmarshal(req.Body, &t); err != nil {
			return nil, malformed(err)
		}
		return m.decide(ctx, req.Kind, &t)
	case api.HandoverExpired:
		o, err := handover.ParseOffer(req.Body)
		if err != nil {
			return nil, malformed(err)
		}
		cmd, err := machine.NewExpiredNoRecord(o)
		if err != nil {
			return nil, err
		}
		return m.reply(ctx, [][]byte{cmd}, o, capsule.Sum(req.Body))
	case api.HandoverClosed:
		var x machine.Closed
		if err := capsule.Unmarshal(req.Body, &x); err != nil {
			return nil, malformed(err)
		}
		cmd, err := machine.NewClosed(&x)
		if err != nil {
			return nil, err
		}
		return nothing(), m.propose(ctx, cmd)
	case api.HandoverAhead:
		var a api.Ahead
		if err := capsule.Unmarshal(req.Body, &a); err != nil {
			return nil, malformed(err)
		}
		return nothing(), m.heard(peer, req.Source, a)
	}
	return nil, malformed(fmt.Errorf("a request of the unknown kind %d", req.Kind))
}

// nothing is the reply to what only informs.
func nothing() *api.HandoverReply {
	return &api.HandoverReply{V: api.Version, Answer: []byte{}, Certificate: []byte{}, Epochs: [][]byte{}}
}

// decide has the log decide about an offer. An offer that is genuine has its content fetched first, so that a worker
// finds it here; a state that doesn't fit the code is turned down for good.
func (m *Mover) decide(ctx context.Context, kind api.HandoverKind, t *handover.Transfer) (*api.HandoverReply, error) {
	o, err := t.Parse()
	if err != nil {
		return nil, malformed(err)
	}
	m.trace("offer comes in", key{o.Capsule, o.Hop})
	build := machine.NewTombstone
	var words [][]byte // about its state, for the log
	if kind == api.HandoverOffer {
		build = machine.NewAccept
		c, err := capsule.Decode(t.Envelope)
		if err != nil {
			return nil, malformed(err)
		}
		m.cfg.Voter.Reserve(c.Manifest())
		defer m.cfg.Voter.Reconsider(c.Manifest())
		var r *api.Refusal
		if words, err = m.fetch(ctx, t, o); errors.As(err, &r) && r.Code == api.CodeUnfit {
			m.cfg.Logger.Warn("offer turned down: its state does not fit its code", "capsule", o.Capsule, "hop", o.Hop, "from", o.Source, "err", err)
			build = machine.NewTombstone
		} else if err != nil {
			return nil, err
		}
		m.trace("offer has its content", key{o.Capsule, o.Hop})
	}
	cmd, err := build(t)
	if err != nil {
		return nil, err
	}
	reply, err := m.reply(ctx, append(words, cmd), o, capsule.Sum(t.Offer))
	m.trace("offer is answered", key{o.Capsule, o.Hop}, "err", err)
	return reply, err
}

// fetch gets what the capsule needs from the source's voters, which must have released it, and returns what this zone's
// voters say about it.
func (m *Mover) fetch(ctx context.Context, t *handover.Transfer, o *handover.Offer) ([][]byte, error) {
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	p, err := v.Peer(o.Source)
	v.Close()
	if err != nil {
		return nil, &api.Refusal{Code: string(machine.CodePeer), Detail: fmt.Sprintf("zone %s is not pinned here", o.Source), Retry: 1000}
	}
	tracker, err := cert.ParseTracker(p.Tracker)
	if err != nil {
		return nil, err
	}
	if d := &t.Released.Decision; d.Zone != o.Source || d.Slot != handover.OutSlot(o.Capsule, o.Hop) || d.Body != capsule.Sum(t.Offer) {
		return nil, malformed(errors.New("the certificate is not of this offer's release"))
	}
	if err := tracker.Verify(&t.Released); err != nil {
		return nil, malformed(err)
	}
	holders := m.cfg.Voters(o.Source)
	for _, id := range []capsule.CID{o.Code, o.Base} {
		if id.IsZero() || m.cfg.Contents.Has(id) {
			continue
		}
		if _, err := m.cfg.Contents.Fetch(ctx, id, maxContent, holders...); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", id, err)
		}
	}
	if o.State.IsZero() {
		return nil, nil
	}
	if len(t.Inline) > 0 {
		// What stands in the log needs nobody's word. One that is unfit would end at once, and better where it came from.
		return nil, m.cfg.Voter.Fits(ctx, t.Envelope, t.Inline, holders)
	}
	return m.vouch(ctx, t, o, holders)
}

// vouch has this zone's voters hold the state of an offer and check it against its code, unless they have done so.
func (m *Mover) vouch(ctx context.Context, t *handover.Transfer, o *handover.Offer, holders []capsule.Key) ([][]byte, error) {
	v, err := m.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	row, err := v.Blob(o.State)
	v.Close()
	if err != nil && !errors.Is(err, machine.ErrNotFound) {
		return nil, err
	}
	now := time.Now()
	if err == nil && row.Fits == o.Code && row.Keep > uint64(now.Add(attest.Promise/2).UnixMilli()) {
		return nil, nil
	}
	if o.StateSize > api.MaxHeld {
		return nil, nil // the log refuses it
	}
	fact := attest.Held(machine.Scope{}, 0, o.State, int(o.StateSize), now)
	fact.Other = o.Code
	return m.cfg.Voter.Vouch(ctx, []machine.Attest{fact}, t.Envelope, m.cfg.Peers(holders[:min(len(holders), api.MaxHolders)]))
}

// reply applies commands and returns the answer that the last one led to.
func (m *Mover) reply(ctx context.Context, cmds [][]byte, o *handover.Offer, hash capsule.Hash) (*api.HandoverReply, error) {
	out, err := m.cfg.Zone.Propose(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	if out.Result.Refusal != nil {
		return nil, out.Result.Refusal
	}
	slot := handover.InSlot(o.Capsule, o.Hop)
	for _, c := range out.Certificates {
		if c.Decision.Slot != slot {
			continue
		}
		r := &api.HandoverReply{V: api.Version}
		if r.Certificate, err = c.Bytes(); err != nil {
			return nil, err
		}
		if r.Answer, err = m.body(ctx, c, hash); err != nil {
			return nil, err
		}
		r.Epochs, err = m.epochs()
		return r, err
	}
	return nil, &api.Refusal{Code: api.CodeUnavailable, Detail: "the zone has decided nothing about the hop", Retry: 1000}
}

// body returns what a certificate of an answer is about.
func (m *Mover) body(ctx context.Context, c *cert.Certificate, offer capsule.Hash) ([]byte, error) {
	if c.Decision.Verdict == cert.ExpiredNoRecord {
		return machine.ExpiredAnswer(offer)
	}
	v, err := m.cfg.Zone.Read(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	r, ok, err := v.Outcome(c.Decision.Slot)
	if err == nil && !ok {
		err = errors.New("the answer's content is no longer kept here")
	}
	return r.Body, err
}
