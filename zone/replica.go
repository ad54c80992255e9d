package zone

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
	"github.com/kitwork/kwnode/zone/store"
)

// applied is one entry after its Apply: what the shell acts on.
type applied struct {
	out   machine.Outcome
	batch *cert.Batch
	st    cert.Statement
	// epoch is the administrative act that changed the voter set in this entry, if one did.
	epoch *cert.SignedAdmin
}

// replica is the state machine under the log: machine, store and signer together.
type replica struct {
	db     *store.Store
	m      *machine.Machine
	signer *cert.Signer
	sets   *epochs
	certs  *certs
	// recovered judges a snapshot that only a recovery vouches for; pending is called when one was restored.
	recovered func(store.Applied, *cert.SignedAdmin) error
	pending   func() error
	// after is called with each applied entry, in order, by the goroutine that applies. It must not wait.
	after func(*applied)
}

var _ raft.StateMachine = (*replica)(nil)

// Applied implements raft.StateMachine.
func (r *replica) Applied() uint64 { return r.db.Applied().Index }

// Apply implements raft.StateMachine. It returns an *applied.
func (r *replica) Apply(index uint64, entry []byte) (any, error) {
	tx, err := r.db.Begin()
	if err != nil {
		return nil, err
	}
	defer tx.Discard()
	out, err := r.m.Apply(tx, index, entry)
	if err != nil {
		return nil, err
	}
	a := &applied{out: out}
	if a.batch, a.st, err = out.Batch(); err != nil {
		return nil, err
	}
	if a.epoch, err = epochAct(&out, entry); err != nil {
		return nil, err
	}
	if founded(a) {
		if err := r.certs.record(tx, a); err != nil {
			return nil, err
		}
	}
	if a.epoch != nil {
		if err := r.sets.record(tx, a.epoch); err != nil {
			return nil, err
		}
	}
	if err := tx.Commit(store.Applied{Index: index, Chain: out.Chain, State: out.State}); err != nil {
		return nil, err
	}
	r.after(a)
	return a, nil
}

// founded reports whether the zone exists after the entry: before its genesis there is nothing to certify.
func founded(a *applied) bool { return a.out.Chain != a.out.Previous }

// epochAct finds the act behind a change of the voter set.
func epochAct(out *machine.Outcome, entry []byte) (*cert.SignedAdmin, error) {
	changed := false
	for i := range out.Effects {
		changed = changed || out.Effects[i].Kind == machine.EffectMembers
	}
	if !changed {
		return nil, nil
	}
	cmds, err := machine.Commands(entry)
	if err != nil {
		return nil, err
	}
	for i := range cmds {
		var c machine.Command
		if out.Results[i].Kind != machine.KindAdmin || out.Results[i].Refusal != nil || out.Results[i].Repeated {
			continue
		}
		if err := capsule.Unmarshal(cmds[i], &c); err != nil {
			return nil, err
		}
		s, a := new(cert.SignedAdmin), new(cert.Admin)
		if err := capsule.Unmarshal(c.Body, s); err != nil {
			return nil, err
		}
		if err := capsule.Unmarshal(s.Payload, a); err != nil {
			return nil, err
		}
		if a.Op == cert.OpEpoch || a.Op == cert.OpRecover {
			return s, nil
		}
	}
	return nil, nil // the genesis
}

// proof travels in a snapshot: the quorum of its state, and the epochs from the genesis to that quorum's voters. The one
// snapshot by which a recovery begins has the recovery in the quorum's place.
type proof struct {
	_        struct{} `cbor:",toarray"`
	Quorum   cert.Quorate
	Epochs   []cert.SignedAdmin
	Recovery []cert.SignedAdmin // at most one
}

type snapshot struct {
	r *replica
	v *store.View
}

// Snapshot implements raft.StateMachine.
func (r *replica) Snapshot() (raft.Snapshot, error) {
	v, err := r.db.View()
	if err != nil {
		return nil, err
	}
	return &snapshot{r: r, v: v}, nil
}

// Persist writes the pinned state once a quorum has certified it. The log behind the snapshot is deleted afterwards: with
// the state on disk first, a loss of power costs the replay of a few entries and not a restore.
func (s *snapshot) Persist(ctx context.Context, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	at := s.v.Applied()
	q, err := s.r.certs.wait(ctx, at.Index)
	if err != nil {
		return fmt.Errorf("the state at entry %d was not certified in time: %w", at.Index, err)
	}
	if err := s.r.db.Sync(); err != nil {
		return err
	}
	b, err := capsule.Marshal(&proof{Quorum: *q, Epochs: s.r.sets.acts(q.Statement.Epoch), Recovery: []cert.SignedAdmin{}})
	if err != nil {
		return err
	}
	return s.v.WriteSnapshot(w, b)
}

func (s *snapshot) Release() { s.v.Close() }

// Restore implements raft.StateMachine. It accepts only a state that a quorum of an epoch, followed from the genesis, has
// certified.
func (r *replica) Restore(in io.Reader) error {
	_, err := r.restore(in)
	return err
}

// restore is Restore, and returns the proof that came with the state.
func (r *replica) restore(in io.Reader) (*proof, error) {
	p := new(proof)
	err := r.db.Restore(in, func(a store.Applied, b []byte) error {
		return p.check(r.sets, a, b, r.recovered)
	}, func(v *store.View) ([32]byte, error) {
		h, kept, err := machine.NewView(v).ComputeStateHash()
		if err == nil && !kept {
			err = &store.MismatchError{Applied: v.Applied(), Reason: "the state hash that it holds is not that of its rows"}
		}
		return [32]byte(h), err
	})
	if err != nil {
		return nil, err
	}
	if err := r.sets.save(r.db); err != nil {
		return nil, err
	}
	if len(p.Recovery) > 0 {
		// Should this voter lead first, the recovery must still be its first entry.
		b, err := capsule.Marshal(&p.Recovery[0])
		if err != nil {
			return nil, err
		}
		if err := r.db.SetLocal(store.LocalRow{Key: localRecovery, Val: b}); err != nil {
			return nil, err
		}
		if err := r.pending(); err != nil {
			return nil, err
		}
	}
	return p, r.startSigner()
}

// check decodes the proof and verifies that it is of this state. recovered judges one that only a recovery vouches for.
func (p *proof) check(sets *epochs, a store.Applied, b []byte, recovered func(store.Applied, *cert.SignedAdmin) error) error {
	if err := capsule.Unmarshal(b, p); err != nil {
		return fmt.Errorf("decode snapshot proof: %w", err)
	}
	if err := sets.follow(p.Epochs); err != nil {
		return err
	}
	if len(p.Recovery) > 0 {
		return recovered(a, &p.Recovery[0])
	}
	st := &p.Quorum.Statement
	set := sets.set(st.Generation, st.Epoch)
	if set == nil {
		return &store.MismatchError{Applied: a, Reason: fmt.Sprintf("its voters of generation %d, epoch %d are unknown", st.Generation, st.Epoch)}
	}
	if err := p.Quorum.Verify(set); err != nil {
		return &store.MismatchError{Applied: a, Reason: err.Error()}
	}
	if a.Index != st.Index || capsule.Hash(a.Chain) != st.Chain || capsule.Hash(a.State) != st.State {
		return &store.MismatchError{Applied: a, Reason: fmt.Sprintf("its certificate is of entry %d", st.Index)}
	}
	return nil
}

// startSigner tells the signer where the state stands. One that must not sign is no reason not to apply.
func (r *replica) startSigner() error {
	v, err := r.db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	a := v.Applied()
	mv := machine.NewView(v)
	var generation uint64
	z, err := mv.Zone()
	switch {
	case err == nil:
		generation = z.Generation
	case !errors.Is(err, machine.ErrNotFound):
		return err
	}
	if err := r.signer.Start(generation, a.Index, capsule.Hash(a.Chain), mv.ChainAt); err != nil {
		r.certs.log.Error("this voter does not sign", "zone", r.m.Zone(), "err", err)
	}
	return nil
}
