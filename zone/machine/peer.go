package machine

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// PeerRow is what this zone holds of another one. Administration pins it; its epochs are followed by whoever
// brings them.
type PeerRow struct {
	_              struct{} `cbor:",toarray"`
	Tracker        []byte   // encoding of a cert.Tracker
	Cap            uint64   // credits that it may owe: Received less Sent
	Sent, Received uint64   // credits, with capsules; what came back was not sent
	Frozen         bool     // nothing of it is believed
	Evidence       []byte   // encoding of the cert.Evidence that froze it, or empty
}

// Peer is the body of cert.OpPeer: pin a zone, change what it may owe, freeze or trust it again.
type Peer struct {
	_       struct{} `cbor:",toarray"`
	Genesis []byte
	Cap     uint64
	Frozen  bool
	Acts    [][]byte // encodings of cert.SignedAdmin to follow, recoveries among them
}

// PeerEpoch is the next voter set of another zone. The signatures in it are that zone's own.
type PeerEpoch struct {
	_    struct{} `cbor:",toarray"`
	Zone capsule.ZoneID
	Act  cert.SignedAdmin
}

func (a *apply) peer(z capsule.ZoneID) (PeerRow, bool) {
	return load[PeerRow](a.state, row(tabPeer, z[:]))
}

func (a *apply) savePeer(z capsule.ZoneID, p PeerRow) { save(a.state, row(tabPeer, z[:]), p) }

// usablePeer returns the row of a zone with which capsules may be exchanged.
func (a *apply) usablePeer(z capsule.ZoneID) (PeerRow, *Refusal) {
	p, ok := a.peer(z)
	switch {
	case !ok:
		return p, refuse(CodePeer, "zone %s is not pinned here; its operator and ours have to exchange their zones' identities", z)
	case p.Frozen:
		return p, refuse(CodePeer, "zone %s is frozen here until our operators decide otherwise", z)
	}
	return p, nil
}

func (a *apply) setPeer(body []byte) *Refusal {
	var x Peer
	if r := unmarshal(body, &x); r != nil {
		return r
	}
	fresh, err := cert.NewTracker(x.Genesis)
	if err != nil {
		return refuseErr(CodeEncoding, err)
	}
	z := fresh.Zone()
	if z == a.m.zone || x.Cap > maxAmount {
		return refuse(CodePeer, "a zone is no peer of its own, and no debt reaches 2^62")
	}
	p, known := a.peer(z)
	t := fresh
	if known {
		if t, err = cert.ParseTracker(p.Tracker); err != nil {
			a.fail(err)
			return nil
		}
	}
	for _, b := range x.Acts {
		var s cert.SignedAdmin
		if r := unmarshal(b, &s); r != nil {
			return r
		}
		if err := followAny(t, &s); err != nil {
			return refusalFrom(err)
		}
	}
	if p.Tracker, err = t.Bytes(); err != nil {
		return refuseErr(CodeEncoding, err)
	}
	p.Cap, p.Frozen = x.Cap, x.Frozen
	if !p.Frozen {
		p.Evidence = nil
	}
	a.savePeer(z, p)
	return nil
}

// followAny takes the next voter set, whether it came about by an epoch or by a recovery that was accepted.
func followAny(t *cert.Tracker, s *cert.SignedAdmin) error {
	act, err := s.Verify(t.Genesis(), t.Zone())
	if err != nil {
		return err
	}
	if act.Op == cert.OpRecover {
		return t.AcceptRecovery(s)
	}
	return t.Follow(s)
}

func runPeerEpoch(a *apply, p *prepared) (Result, *Refusal) {
	x := p.body.(*PeerEpoch)
	peer, ok := a.peer(x.Zone)
	if !ok {
		return Result{}, refuse(CodePeer, "zone %s is not pinned here", x.Zone)
	}
	t, err := cert.ParseTracker(peer.Tracker)
	if err != nil {
		a.fail(err)
		return Result{}, nil
	}
	before := t.Newest().Epoch
	if err := t.Follow(&x.Act); err != nil {
		return Result{}, refusalFrom(err)
	}
	after := t.Newest().Epoch
	if after == before {
		return Result{Repeated: true, N: after}, nil
	}
	if peer.Tracker, err = t.Bytes(); err != nil {
		a.fail(err)
		return Result{}, nil
	}
	a.savePeer(x.Zone, peer)
	return Result{N: after}, nil
}

// runPeerEvidence freezes a zone that contradicted itself.
func runPeerEvidence(a *apply, p *prepared) (Result, *Refusal) {
	e := p.body.(*cert.Evidence)
	z := e.A.Decision.Zone
	peer, ok := a.peer(z)
	switch {
	case !ok:
		return Result{}, refuse(CodePeer, "zone %s is not pinned here", z)
	case peer.Frozen:
		return Result{Repeated: true}, nil
	}
	return Result{}, a.freeze(z, peer, e)
}

func (a *apply) freeze(z capsule.ZoneID, peer PeerRow, e *cert.Evidence) *Refusal {
	t, err := cert.ParseTracker(peer.Tracker)
	if err != nil {
		a.fail(err)
		return nil
	}
	if err := t.Freeze(e); err != nil {
		return refusalFrom(err)
	}
	if peer.Evidence, err = capsule.Marshal(e); err != nil {
		return refuseErr(CodeEncoding, err)
	}
	peer.Frozen = true
	a.savePeer(z, peer)
	a.effect(Effect{Kind: EffectFrozen, Zone: z})
	return nil
}

// trust verifies a certificate of this zone or of one that is pinned here and not frozen.
func (a *apply) trust(c *cert.Certificate) error {
	z := c.Decision.Zone
	if z == a.m.zone {
		t, err := a.ownTracker()
		if err != nil {
			return err
		}
		return t.Verify(c)
	}
	p, r := a.usablePeer(z)
	if r != nil {
		return r
	}
	t, err := a.peerTracker(z, p.Tracker)
	if err != nil {
		return err
	}
	return t.Verify(c)
}

// peerTracker returns what row says of a zone. A tracker remembers quorums that held, so a lineage that comes with one step
// more costs the signatures of that step: it is kept as long as the row is the same.
func (a *apply) peerTracker(z capsule.ZoneID, row []byte) (*cert.Tracker, error) {
	if k, ok := a.m.peers[z]; ok && bytes.Equal(k.row, row) {
		return k.tracker, nil
	}
	t, err := cert.ParseTracker(row)
	if err != nil {
		a.fail(err)
		return nil, err
	}
	if len(a.m.peers) >= maxPeersHeld {
		clear(a.m.peers)
	}
	a.m.peers[z] = heldPeer{row: bytes.Clone(row), tracker: t}
	return t, nil
}

// heldPeer is a zone's tracker with the row that it was made of.
type heldPeer struct {
	row     []byte
	tracker *cert.Tracker // nothing but Verify is called on it, whose answers don't depend on what it remembers
}

// maxPeersHeld bounds the trackers in memory.
const maxPeersHeld = 64

// ownTracker returns this zone's voter sets from its genesis on, as it would show them to others.
func (a *apply) ownTracker() (*cert.Tracker, error) {
	now := a.voters()
	if t := a.m.own; t != nil {
		if n := t.Newest(); n.Epoch == now.Epoch && n.Generation == now.Generation && slices.Equal(n.Keys, now.Keys) {
			return t, nil
		}
	}
	b, _ := a.getRaw(keyGenesis)
	t, err := cert.NewTracker(b)
	if err != nil {
		return nil, err
	}
	for _, k := range a.keys([]byte{tabEpoch}, nil, 1<<20) {
		s, _ := load[cert.SignedAdmin](a.state, []byte(k))
		if err := followAny(t, &s); err != nil {
			err = fmt.Errorf("an epoch of this zone does not follow the one before: %w", err)
			a.fail(err)
			return nil, err
		}
	}
	if a.err != nil {
		return nil, errors.New("the store failed")
	}
	a.m.own = t
	return t, nil
}
