package machine

import (
	"errors"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// MaxFeature is the feature level that this binary knows. Every zone begins at the first, whatever the
// binary that founds it.
const (
	MaxFeature   = 1
	firstFeature = 1
)

func runGenesis(a *apply, p *prepared) (Result, *Refusal) {
	if a.genesis != nil {
		if b, _ := a.getRaw(keyGenesis); string(b) == string(p.cmd.Body) {
			return Result{Repeated: true}, nil
		}
		return Result{}, refuse(CodeExists, "the zone exists already")
	}
	g, zone, err := cert.ParseGenesis(p.cmd.Body)
	if err != nil {
		return Result{}, refuseErr(CodeEncoding, err)
	}
	if zone != a.m.zone {
		return Result{}, refuse(CodeZone, "the genesis founds %s, this replica serves %s", zone, a.m.zone)
	}
	a.genesis = g
	a.setRaw(keyGenesis, p.cmd.Body)
	save(a.state, keyZone, Zone{ID: zone, Feature: firstFeature, Supported: firstFeature})
	save(a.state, keyVoters, g.VoterSet(zone))
	save(a.state, keyPolicy, DefaultPolicy())
	save(a.state, keyTotals, Totals{})
	save(a.state, keyCounts, Counts{Floor: a.index})
	return Result{}, nil
}

// checkQuorum verifies that the current epoch's voters signed p, unless Prepare has done so for this set.
func (a *apply) checkQuorum(p *prepared, epoch uint64, all bool) *Refusal {
	set := a.voters()
	if epoch != set.Epoch {
		return refuse(CodeGeneration, "signed in epoch %d, the zone is at %d", epoch, set.Epoch)
	}
	if all {
		if err := set.VerifyAll(p.cmd.Kind.SigKind(), p.quorum.Payload, p.quorum.Sigs); err != nil {
			return refuseErr(CodeSignature, err)
		}
		return nil
	}
	if s := p.signedBy; s != nil && s.Epoch == set.Epoch && s.Generation == set.Generation {
		return nil
	}
	if err := set.VerifyQuorum(p.cmd.Kind.SigKind(), p.quorum.Payload, p.quorum.Sigs); err != nil {
		return refuseErr(CodeSignature, err)
	}
	return nil
}

// runTick moves the time and does what has become due.
func runTick(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*Tick)
	if r := a.checkQuorum(p, t.Epoch, false); r != nil {
		return Result{}, r
	}
	if t.At <= a.time {
		return Result{}, refuse(CodeTime, "a tick to %d ms, it is %d ms already", t.At, a.time)
	}
	if t.At > maxAmount {
		return Result{}, refuse(CodeTime, "a tick beyond 2^62 ms")
	}
	a.time = t.At
	a.runTimers()
	a.expireEvents()
	return Result{N: t.At}, nil
}

func runAdmin(a *apply, p *prepared) (Result, *Refusal) {
	if p.admin == nil {
		if r := p.verifyAdmin(a.m.zone, a.genesis); r != nil {
			return Result{}, r
		}
	}
	act, z, hash := p.admin, a.zoneRow(), capsule.Sum(p.signed.Payload)
	if z.AdminSequence > 0 && hash == z.LastAct {
		// Whoever did not learn the outcome repeats the act; the next one may be signed only when it is known.
		return Result{Repeated: true, N: act.Sequence}, nil
	}
	if act.Generation != z.Generation {
		return Result{}, refuse(CodeGeneration, "signed for generation %d, the zone is at %d", act.Generation, z.Generation)
	}
	if act.Sequence != z.AdminSequence+1 {
		return Result{}, refuse(CodeSequence, "administration %d, the next is %d; sign it again with that number", act.Sequence, z.AdminSequence+1)
	}
	z.AdminSequence++
	z.LastAct = hash
	save(a.state, keyZone, z)
	var r *Refusal
	switch act.Op {
	case cert.OpPolicy:
		r = a.setPolicy(act.Body)
	case cert.OpCredit:
		r = a.mint(act.Body)
	case cert.OpNamespace:
		r = a.giveNamespace(act.Body)
	case cert.OpEpoch, cert.OpRecover:
		r = a.setVoters(p.signed, act)
	case cert.OpFeature:
		r = a.setFeature(act.Body)
	case cert.OpPeer:
		r = a.setPeer(act.Body)
	case cert.OpWorker:
		r = a.setWorker(act.Body)
	default:
		r = refuse(CodeFeature, "%s is not supported at feature level %d", act.Op, z.Feature)
	}
	return Result{N: act.Sequence}, r
}

func (a *apply) setPolicy(body []byte) *Refusal {
	var p Policy
	if r := unmarshal(body, &p); r != nil {
		return r
	}
	if err := p.check(); err != nil {
		return refuseErr(CodeEncoding, err)
	}
	save(a.state, keyPolicy, p)
	z := a.zoneRow()
	z.PolicyVersion++
	save(a.state, keyZone, z)
	return nil
}

func (a *apply) mint(body []byte) *Refusal {
	var c Credit
	if r := unmarshal(body, &c); r != nil {
		return r
	}
	t := a.totals()
	if c.Amount == 0 || c.Amount > maxAmount-t.Minted {
		return refuse(CodeLimit, "minting %d credits on top of %d; want 1 to the bound of 2^62", c.Amount, t.Minted)
	}
	if c.Account.Weak() {
		return refuse(CodeEncoding, "anybody could sign for the account %s", c.Account)
	}
	acc := a.account(c.Account)
	acc.Available += c.Amount
	a.saveAccount(c.Account, acc)
	t = a.totals()
	t.Minted += c.Amount
	save(a.state, keyTotals, t)
	return nil
}

func (a *apply) setVoters(s *cert.SignedAdmin, act *cert.Admin) *Refusal {
	set := a.voters()
	next, e, err := s.Next(a.genesis, &set)
	switch {
	case errors.Is(err, cert.ErrSignatures):
		return refuseErr(CodeSignature, err)
	case errors.Is(err, cert.ErrEpoch):
		return refuseErr(CodeGeneration, err)
	case err != nil:
		return refuseErr(CodeEncoding, err)
	}
	if act.Op == cert.OpRecover {
		if r := a.recover(e); r != nil {
			return r
		}
	}
	save(a.state, keyVoters, next)
	save(a.state, row(tabEpoch, be64(next.Epoch)), *s)
	a.effect(Effect{Kind: EffectMembers, N: next.Epoch})
	return nil
}

// recover begins a new generation on the log that the roots name: it must be this one. Leases end, since
// workers of the old generation may have been told anything.
func (a *apply) recover(e *cert.Epoch) *Refusal {
	head, _ := load[Head](a.state, keyHead)
	if e.RetainedIndex != head.Index || e.RetainedChain != head.Chain {
		return refuse(CodeSequence, "the recovery retains index %d, this log stands at %d", e.RetainedIndex, head.Index)
	}
	z := a.zoneRow()
	z.Generation++
	save(a.state, keyZone, z)
	for _, k := range a.keys([]byte{tabHeldBy}, nil, int(a.counts().Live)+1) {
		id := capsule.ID([]byte(k)[1+32:])
		if c, ok := a.capsule(id); ok && c.Status == StatusRunning {
			a.loseLease(id, &c, CauseRecovery)
			a.requeue(id, &c)
			a.saveCapsule(id, c)
		}
	}
	return nil
}

func (a *apply) setFeature(body []byte) *Refusal {
	var f SetFeature
	if r := unmarshal(body, &f); r != nil {
		return r
	}
	z := a.zoneRow()
	switch {
	case f.Level <= z.Feature:
		return refuse(CodeFeature, "level %d, the zone is at %d; it only rises", f.Level, z.Feature)
	case f.Level > z.Supported:
		return refuse(CodeFeature, "level %d, the voters have attested %d; upgrade and attest first", f.Level, z.Supported)
	case f.Level > MaxFeature:
		// The other voters have attested it, so this binary is the old one.
		a.fail(errors.Join(ErrUnknownEntry, refuse(CodeFeature, "feature level %d, this version knows %d", f.Level, MaxFeature)))
		return nil
	}
	z.Feature = f.Level
	save(a.state, keyZone, z)
	return nil
}

func runAttest(a *apply, p *prepared) (Result, *Refusal) {
	t := p.body.(*Attest)
	if r := a.checkQuorum(p, t.Epoch, t.Fact == FactSupports); r != nil {
		return Result{}, r
	}
	switch t.Fact {
	case FactSupports:
		if t.Until > 1<<31 {
			return Result{}, refuse(CodeLimit, "feature level %d", t.Until)
		}
		z := a.zoneRow()
		z.Supported = max(z.Supported, uint32(t.Until))
		save(a.state, keyZone, z)
		return Result{}, nil
	case FactHeld:
		return Result{}, a.promiseBlob(t)
	default:
		return Result{}, a.fitBlob(t)
	}
}

func (t *Attest) check() error {
	switch {
	case t.Fact == 0 || t.Fact >= factEnd:
		return errors.New("an attestation of an unknown fact")
	case t.Fact != FactSupports && t.Blob.IsZero(), t.Fact == FactFits && t.Other.IsZero():
		return errors.New("an attestation without the blob that it is about")
	}
	return nil
}
