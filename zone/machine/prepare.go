package machine

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/internal/recent"
	"github.com/kitwork/kwnode/zone/cert"
)

// prepared is a command with everything done that needs no state: decoding and signatures.
type prepared struct {
	hash    capsule.Hash // of the encoded command
	size    int
	cmd     Command
	fatal   error    // this version cannot judge the command
	refusal *Refusal // true of the bytes for ever

	signer  capsule.Key
	body    any // pointer to the kind's structure
	capsule *capsule.Capsule
	quorum  *Quorum
	// signedBy is the voter set that the quorum was verified against, if it was.
	signedBy *cert.VoterSet
	admin    *cert.Admin
	signed   *cert.SignedAdmin
}

// kind is one row of the table that says everything about a command.
type kind struct {
	level  uint32                                     // feature level from which it is allowed
	keyed  bool                                       // carries an idempotency key, signed with it
	decode func(*Machine, *prepared) *Refusal         // pure: no state
	run    func(*apply, *prepared) (Result, *Refusal) // deterministic: state and prepared only
}

// kinds is the table of commands.
var kinds [kindEnd]kind

// init, because the handlers lead back to the table.
func init() {
	kinds = [kindEnd]kind{
		KindGenesis:    {decode: decodeRaw, run: runGenesis},
		KindTick:       {decode: decodeQuorum[Tick], run: runTick},
		KindAttest:     {decode: decodeQuorum[Attest], run: runAttest},
		KindAdmin:      {decode: decodeAdmin, run: runAdmin},
		KindRegister:   {decode: decodeSigned[Register], run: runRegister},
		KindRenew:      {decode: decodeSigned[Renew], run: runRenew},
		KindAdmit:      {decode: decodeAdmit, run: runAdmit},
		KindAdmitState: {decode: decodeAdmitState, run: runAdmit},
		KindCommit:     {decode: decodeSigned[Commit], run: runCommit},
		KindCheckpoint: {decode: decodeSigned[Checkpoint], run: runCheckpoint},
		KindCancel:     {decode: decodeSigned[Cancel], run: runCancel},
		KindTopUp:      {keyed: true, decode: decodeSigned[TopUp], run: runTopUp},
		KindData:       {keyed: true, decode: decodeSigned[Data], run: runData},
		KindRevoke:     {decode: decodeSigned[RevokeGrant], run: runRevoke},
		KindRestate:    {decode: decodeBody[cert.Slot], run: runRestate},
		KindNamespace:  {decode: decodeSigned[Transfer], run: runTransfer},

		KindAccept:          {decode: decodeBody[handover.Transfer], run: runOffered},
		KindTombstone:       {decode: decodeBody[handover.Transfer], run: runOffered},
		KindExpiredNoRecord: {decode: decodeBody[handover.Offer], run: runExpired},
		KindAnswer:          {decode: decodeBody[Answered], run: runAnswer},
		KindClosed:          {decode: decodeBody[Closed], run: runClosed},
		KindPeerEpoch:       {decode: decodeBody[PeerEpoch], run: runPeerEpoch},
		KindPeerEvidence:    {decode: decodeBody[cert.Evidence], run: runPeerEvidence},
	}
}

// checker is a structure with rules of its own, checked when it is decoded.
type checker interface{ check() error }

func unmarshal(b []byte, v any) *Refusal {
	if err := capsule.Unmarshal(b, v); err != nil {
		return refuseErr(CodeEncoding, err)
	}
	if c, ok := v.(checker); ok {
		if err := c.check(); err != nil {
			return refuseErr(CodeEncoding, err)
		}
	}
	return nil
}

func decodeRaw(*Machine, *prepared) *Refusal { return nil }

// decodeBody is for commands that prove themselves: anybody may bring them.
func decodeBody[T any](_ *Machine, p *prepared) *Refusal {
	p.body = new(T)
	return unmarshal(p.cmd.Body, p.body)
}

func decodeSigned[T any](_ *Machine, p *prepared) *Refusal {
	var s Signed
	if r := unmarshal(p.cmd.Body, &s); r != nil {
		return r
	}
	p.body, p.signer = new(T), s.Signer
	if r := unmarshal(s.Payload, p.body); r != nil {
		return r
	}
	if !capsule.VerifySig(s.Signer, p.cmd.Kind.SigKind(), s.Payload, s.Sig) {
		return refuse(CodeSignature, "not a signature of %s", s.Signer)
	}
	return nil
}

func decodeQuorum[T any](m *Machine, p *prepared) *Refusal {
	p.quorum, p.body = new(Quorum), new(T)
	if r := unmarshal(p.cmd.Body, p.quorum); r != nil {
		return r
	}
	if r := unmarshal(p.quorum.Payload, p.body); r != nil {
		return r
	}
	if v := m.view.Load(); v != nil && v.voters.VerifyQuorum(p.cmd.Kind.SigKind(), p.quorum.Payload, p.quorum.Sigs) == nil {
		p.signedBy = &v.voters
	}
	return nil
}

func decodeAdmin(m *Machine, p *prepared) *Refusal {
	p.signed = new(cert.SignedAdmin)
	if r := unmarshal(p.cmd.Body, p.signed); r != nil {
		return r
	}
	if v := m.view.Load(); v != nil {
		return p.verifyAdmin(m.zone, v.genesis)
	}
	return nil
}

func (p *prepared) verifyAdmin(zone capsule.ZoneID, g *cert.Genesis) *Refusal {
	var err error
	p.admin, err = p.signed.Verify(g, zone)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, cert.ErrSignatures):
		return refuseErr(CodeSignature, err)
	default:
		return refuseErr(CodeEncoding, err)
	}
}

// decodeAdmit verifies the envelope as of the last known zone time. If it passes, all that depends on time
// is checked again in Apply; if it doesn't, everything is.
func decodeAdmit(m *Machine, p *prepared) *Refusal {
	p.body = &AdmitState{Envelope: p.cmd.Body}
	p.verifyEnvelope(m, p.cmd.Body)
	return nil
}

func decodeAdmitState(m *Machine, p *prepared) *Refusal {
	t := new(AdmitState)
	if r := unmarshal(p.cmd.Body, t); r != nil {
		return r
	}
	if n := len(t.State); n == 0 || n > MaxInline {
		return refuse(CodeEncoding, "a state of %d bytes inline; want 1 to %d, and more is named by the manifest alone", n, MaxInline)
	}
	p.body = t
	p.verifyEnvelope(m, t.Envelope)
	return nil
}

func (p *prepared) verifyEnvelope(m *Machine, envelope []byte) {
	var now uint64
	if v := m.view.Load(); v != nil {
		now = v.time
	}
	if c, err := capsule.Verify(envelope, now, m.verified); err == nil {
		p.capsule = c
	}
}

// Prepare does for a command, as it will stand in an entry, what needs no state, and keeps the result for
// Apply. It may run in parallel with itself and with Apply, and be left out: Apply then does it. The error
// is a *Refusal that Apply would give for certain, or ErrUnknownEntry.
func (m *Machine) Prepare(command []byte) error {
	p := m.prepareAhead(command, place{index: math.MaxUint64})
	if p.fatal != nil {
		return fmt.Errorf("%w: %v", ErrUnknownEntry, p.fatal)
	}
	if p.refusal != nil {
		return p.refusal
	}
	return nil
}

// PrepareLogged is Prepare for the command at a place of an entry that is in the log, unless Apply has come so far.
func (m *Machine) PrepareLogged(index uint64, at int, command []byte) {
	if pl := (place{index, at}); !m.memo.passed(pl) {
		m.prepareAhead(command, pl)
	}
}

func (m *Machine) prepareAhead(command []byte, pl place) *prepared {
	hash := capsule.Sum(command)
	p := m.memo.look(hash) // a voter that passed the command on to its leader finds it in the log again
	if p == nil {
		p = m.prepare(command, hash)
		m.memo.put(p, pl)
	}
	return p
}

// Commands splits an entry, so that its commands can be prepared in parallel.
func Commands(entry []byte) ([][]byte, error) {
	var e Entry
	if r := decodeEntry(entry, &e); r != nil {
		return nil, r
	}
	return e.Commands, nil
}

// prepared returns the kept result for the command that is applied, or computes it.
func (m *Machine) prepared(command []byte, pl place) *prepared {
	hash := capsule.Sum(command)
	if p := m.memo.take(hash, pl); p != nil {
		return p
	}
	return m.prepare(command, hash)
}

func (m *Machine) prepare(command []byte, hash capsule.Hash) *prepared {
	p := &prepared{hash: hash, size: len(command)}
	if err := capsule.Unmarshal(command, &p.cmd); err != nil {
		p.refusal = refuseErr(CodeEncoding, err)
		return p
	}
	if p.cmd.V != Version || p.cmd.Kind >= kindEnd || kinds[p.cmd.Kind].run == nil {
		p.fatal = fmt.Errorf("command %s of version %d", p.cmd.Kind, p.cmd.V)
		return p
	}
	if k := &kinds[p.cmd.Kind]; k.keyed == (p.cmd.Key == [16]byte{}) {
		p.refusal = refuse(CodeReplay, "an idempotency key is for commands that sign one: %s, %s", KindData, KindTopUp)
	} else {
		p.refusal = k.decode(m, p)
	}
	return p
}

// place is where a command stands: its entry, and which of the entry's commands it is.
type place struct {
	index uint64
	at    int
}

func (p place) after(q place) bool { return p.index > q.index || p.index == q.index && p.at > q.at }

// memo keeps prepared commands between Prepare and Apply. A command that is never applied is pushed out
// by later ones.
type memo struct {
	mu   sync.Mutex // guards what follows
	kept *recent.Map[capsule.Hash, *prepared]
	last place // of the command that Apply asked for last
}

// memoBytes bounds the commands of one generation of the memo, as encoded. Decoded they take about twice as much. It is
// room for what a voter has in its log and not applied; what is pushed out is only computed again.
const memoBytes = 2 << 20

func newMemo() memo {
	return memo{kept: recent.New(memoBytes, func(_ capsule.Hash, p *prepared) int { return p.size })}
}

// put keeps what Apply may still ask for. A result that comes too late would only fill the memo, and so would those of
// commands that nobody proposes because they are refused.
func (c *memo) put(p *prepared, pl place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pl.after(c.last) && p.refusal == nil && p.fatal == nil {
		c.kept.Put(p.hash, p)
	}
}

// passed reports whether Apply has asked for the command at a place.
func (c *memo) passed(pl place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !pl.after(c.last)
}

func (c *memo) look(h capsule.Hash) *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, _ := c.kept.Peek(h)
	return p
}

// take removes the result: a command is applied once, and several machines' worth of log would not fit.
func (c *memo) take(h capsule.Hash, pl place) *prepared {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = pl
	p, _ := c.kept.Take(h)
	return p
}
