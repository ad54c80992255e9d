package zone

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/store"
)

// localRecovery is the key of the local row that holds a recovery which is not in the log yet.
var localRecovery = []byte{'V'}

// ErrBehind refuses a recovery that would undo what a quorum has certified, as this voter knows.
var ErrBehind = errors.New("the recovery would go behind what is certified")

// Recover makes a stopped voter begin a new generation of a zone that lost its quorum for good. It is an operator's act,
// signed by enough roots, that names the voters to come and the entry and chain that are retained: those of this voter,
// see Look. Uncommitted entries beyond are dropped; if this voter knows of a certified one it returns ErrBehind. Voters with the same position are recovered in the same way; others
// start anew with this one among their Contacts, and take its state on the roots' word.
func Recover(cfg Config, act *cert.SignedAdmin) error {
	z, err := prepareStopped(cfg)
	if err != nil {
		return err
	}
	defer z.Close()
	e, err := z.checkRecovery(act)
	if err != nil {
		return err
	}
	a := z.db.Applied()
	if e.RetainedIndex != a.Index || e.RetainedChain != capsule.Hash(a.Chain) {
		return fmt.Errorf("the recovery retains entry %d with chain %s; this voter stands at %d with %s: name that, or let it join anew",
			e.RetainedIndex, e.RetainedChain, a.Index, capsule.Hash(a.Chain))
	}
	q, err := z.certifiedAbove(a.Index)
	if err != nil {
		return err
	}
	if q != nil {
		return fmt.Errorf("%w: the voters have certified entry %d with chain %s, and this one stands at %d: recover from a voter that has entry %[2]d, or start this one beside one that has it",
			ErrBehind, q.Statement.Index, q.Statement.Chain, a.Index)
	}
	b, err := capsule.Marshal(act)
	if err != nil {
		return err
	}
	if err := z.db.SetLocal(store.LocalRow{Key: localRecovery, Val: b}); err != nil {
		return err
	}
	if err := z.db.Sync(); err != nil {
		return err
	}
	return z.rebase(act, e)
}

// prepareStopped opens a voter's stores without starting it.
func prepareStopped(cfg Config) (*Zone, error) {
	z, err := newZone(cfg)
	if err != nil {
		return nil, err
	}
	err = z.openStores()
	if err == nil {
		err = z.replayCommitted()
	}
	if err != nil {
		z.Close()
		return nil, err
	}
	return z, nil
}

// replayCommitted applies what the log has and the state lost, or never reached, when this voter was killed: up to the last
// entry that it has signed, or that a quorum has certified as the log has it. Both were committed.
func (z *Zone) replayCommitted() error {
	if err := z.openSigner(); err != nil {
		return err
	}
	rec, a := z.signer.Record(), z.db.Applied()
	last := a.Index
	if rec.Generation == z.sets.newest().Generation {
		last = max(last, rec.Index)
	}
	q, err := z.certifiedAbove(last)
	if err != nil || q == nil && last == a.Index {
		return err
	}
	log, err := store.OpenLog(filepath.Join(z.cfg.Dir, "log"), store.LogOptions{SnapshotIndex: a.Index, NoSync: z.cfg.NoSync})
	if err != nil {
		return err
	}
	defer log.Close()
	if q != nil && leadsTo(log, a, &q.Statement) {
		last = q.Statement.Index
	}
	z.replica.after = func(*applied) {}
	var e hraft.Log
	for i := a.Index + 1; i <= last; i++ {
		if err := log.GetLog(i, &e); err != nil {
			return fmt.Errorf("entry %d, which this voter has signed: %w", i, err)
		}
		if e.Type != hraft.LogCommand || len(e.Data) == 0 {
			continue
		}
		if _, err := z.replica.Apply(i, e.Data); err != nil {
			return err
		}
	}
	return z.db.Sync()
}

// leadsTo reports whether the log's entries behind a state are those of a certified history. The chain shows it before
// anything is applied: what the log has beyond the last signed entry may have been replaced elsewhere.
func leadsTo(log *store.Log, from store.Applied, to *cert.Statement) bool {
	var e hraft.Log
	chain := capsule.Hash(from.Chain)
	for i := from.Index + 1; i <= to.Index; i++ {
		if log.GetLog(i, &e) != nil {
			return false
		}
		if e.Type == hraft.LogCommand && len(e.Data) > 0 {
			chain = machine.NextChain(chain, i, e.Data)
		}
	}
	return chain == to.Chain
}

// certifiedAbove returns the newest quorum of this generation that this voter has under an entry above index, nil if there
// is none. Quorums come from others, so that one may be here before its entry is.
func (z *Zone) certifiedAbove(index uint64) (newest *cert.Quorate, err error) {
	generation := z.sets.newest().Generation
	err = z.db.ScanLocal([]byte{localQuorum}, indexKey(localQuorum, index), func(_, b []byte) bool {
		q, err := cert.ParseQuorate(b)
		if err != nil || q.Statement.Generation != generation {
			return true
		}
		if set := z.sets.set(generation, q.Statement.Epoch); set != nil && q.Verify(set) == nil {
			newest = q
		}
		return true
	})
	return newest, err
}

// checkRecovery verifies that the act follows what this replica knows.
func (z *Zone) checkRecovery(act *cert.SignedAdmin) (*cert.Epoch, error) {
	g, _, err := cert.ParseGenesis(z.cfg.Genesis)
	if err != nil {
		return nil, err
	}
	a, err := act.Verify(g, z.id)
	if err != nil {
		return nil, err
	}
	if a.Op != cert.OpRecover {
		return nil, fmt.Errorf("a %s act is no recovery", a.Op)
	}
	set := z.sets.newest()
	_, e, err := act.Next(g, &set)
	return e, err
}

// rebase replaces log and membership by a snapshot of the present state under the new voters.
func (z *Zone) rebase(act *cert.SignedAdmin, e *cert.Epoch) error {
	snaps, log, err := z.openLog(store.LogOptions{})
	if err != nil {
		return err
	}
	defer log.Close()
	term, err := log.GetUint64([]byte("CurrentTerm"))
	if err != nil {
		return fmt.Errorf("read the term: %w", err)
	}
	var conf hraft.Configuration
	for _, k := range e.Voters {
		conf.Servers = append(conf.Servers, hraft.Server{Suffrage: hraft.Voter, ID: hraft.ServerID(k.String()), Address: hraft.ServerAddress(k.String())})
	}
	v, err := z.db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	p, err := capsule.Marshal(&proof{Quorum: cert.Quorate{Sigs: []cert.IndexSig{}}, Epochs: z.sets.acts(e.Number - 1), Recovery: []cert.SignedAdmin{*act}})
	if err != nil {
		return err
	}
	sink, err := snaps.Create(1, v.Applied().Index, term, conf, v.Applied().Index, nil)
	if err != nil {
		return err
	}
	if err := v.WriteSnapshot(sink, p); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	// The log may still name the old voters: it goes last, so that a crash before leaves the voter as it was.
	return log.Clear()
}

// pendingRecovery loads a recovery that is not in the log yet.
func (z *Zone) pendingRecovery() error {
	b, ok, err := z.db.GetLocal(localRecovery)
	if err != nil || !ok {
		return err
	}
	act := new(cert.SignedAdmin)
	if err := capsule.Unmarshal(b, act); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if _, err := z.checkRecovery(act); err != nil {
		return nil // it is done: the voter set has moved past it
	}
	z.recovery.Store(act)
	return nil
}

// appendRecovery puts the recovery into the log, as the first entry of its generation.
func (z *Zone) appendRecovery(act *cert.SignedAdmin) error {
	cmd, err := machine.NewAdmin(act)
	if err != nil {
		return err
	}
	entry, err := machine.NewEntry(cmd)
	if err != nil {
		return err
	}
	a, err := z.append(entry)
	if err != nil {
		return err
	}
	if r := a.out.Results[0].Refusal; r != nil {
		return fmt.Errorf("the recovery was refused: %w", r)
	}
	return nil
}

// acceptRecovered checks a snapshot that nobody but the roots vouches for.
func (z *Zone) acceptRecovered(a store.Applied, act *cert.SignedAdmin) error {
	e, err := z.checkRecovery(act)
	if err == nil && (e.RetainedIndex != a.Index || e.RetainedChain != capsule.Hash(a.Chain)) {
		err = fmt.Errorf("the recovery retains entry %d", e.RetainedIndex)
	}
	if err == nil && !slices.Contains(e.Voters, z.self) {
		err = errors.New("the recovery does not name this voter")
	}
	if err != nil {
		return &store.MismatchError{Applied: a, Reason: err.Error()}
	}
	return nil
}

// Position is where a stopped voter stands: what a recovery may retain.
type Position struct {
	Zone       capsule.ZoneID `json:"zone"`
	Self       capsule.Key    `json:"self"`
	Generation uint64         `json:"generation"`
	Epoch      uint64         `json:"epoch"`
	Voters     []capsule.Key  `json:"voters"`
	Index      uint64         `json:"index"`
	Chain      capsule.Hash   `json:"chain"`
	StateHash  capsule.Hash   `json:"state_hash"`
	Certified  bool           `json:"certified"`        // a quorum's certificate of the entry is here
	Signed     bool           `json:"signed"`           // by this voter: the entry was committed
	Beyond     uint64         `json:"certified_beyond"` // the newest entry above Index that a quorum has certified and this voter lacks, or 0
	Sequence   uint64         `json:"admin_sequence"`   // of the last act
}

// Look returns a stopped voter's position.
func Look(cfg Config) (*Position, error) {
	if _, err := os.Stat(cfg.Dir); err != nil {
		return nil, fmt.Errorf("no data of the zone: %w", err)
	}
	z, err := prepareStopped(cfg)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	set, a := z.sets.newest(), z.db.Applied()
	p := &Position{Zone: z.id, Self: z.self, Generation: set.Generation, Epoch: set.Epoch, Voters: set.Keys,
		Index: a.Index, Chain: capsule.Hash(a.Chain), StateHash: capsule.Hash(a.State)}
	q, err := z.certs.quorum(a.Index)
	if err != nil {
		return nil, err
	}
	p.Certified = q != nil
	if q, err = z.certifiedAbove(a.Index); err != nil {
		return nil, err
	}
	if q != nil {
		p.Beyond = q.Statement.Index
	}
	rec := z.signer.Record()
	p.Signed = rec.Generation == set.Generation && rec.Index >= a.Index
	v, err := z.db.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	row, err := machine.NewView(v).Zone()
	if err != nil && !errors.Is(err, machine.ErrNotFound) {
		return nil, err
	}
	p.Sequence = row.AdminSequence
	return p, nil
}
