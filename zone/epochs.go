package zone

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/store"
)

// localEpoch is the first byte of local rows that hold the acts which changed the voter set, by epoch.
const localEpoch = 'E'

// epochs knows every voter set since the genesis, and proves each to others.
type epochs struct {
	mu      sync.Mutex // guards what follows
	tracker *cert.Tracker
	list    []cert.SignedAdmin // list[i] led to epoch i+1
}

func newEpochs(genesis []byte) (*epochs, error) {
	t, err := cert.NewTracker(genesis)
	if err != nil {
		return nil, err
	}
	return &epochs{tracker: t}, nil
}

// load follows the acts that this replica has kept.
func (e *epochs) load(db *store.Store) error {
	var acts []cert.SignedAdmin
	var fail error
	err := db.ScanLocal([]byte{localEpoch}, nil, func(_, v []byte) bool {
		var s cert.SignedAdmin
		if fail = capsule.Unmarshal(v, &s); fail == nil {
			acts = append(acts, s)
		}
		return fail == nil
	})
	if err == nil {
		err = fail
	}
	if err == nil {
		err = e.follow(acts)
	}
	return err
}

// follow takes acts in order; those that are known already are passed over.
func (e *epochs) follow(acts []cert.SignedAdmin) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range acts {
		if i < len(e.list) {
			continue
		}
		if err := e.followLocked(&acts[i]); err != nil {
			return err
		}
	}
	return nil
}

// followLocked also takes a recovery: it stands in a log that a quorum of its voters has certified, or is about to.
func (e *epochs) followLocked(s *cert.SignedAdmin) error {
	before := e.tracker.Newest().Epoch
	err := e.tracker.Follow(s)
	if err != nil {
		if e.tracker.AcceptRecovery(s) != nil {
			return fmt.Errorf("follow the epochs: %w", err)
		}
	}
	if e.tracker.Newest().Epoch > before {
		e.list = append(e.list, *s)
	}
	return nil
}

func epochRow(i int, s *cert.SignedAdmin) (store.LocalRow, error) {
	b, err := capsule.Marshal(s)
	return store.LocalRow{Key: binary.BigEndian.AppendUint64([]byte{localEpoch}, uint64(i+1)), Val: b}, err
}

// record takes the act of an entry that is being applied.
func (e *epochs) record(tx *store.Batch, s *cert.SignedAdmin) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.list)
	if err := e.followLocked(s); err != nil {
		return err
	}
	if len(e.list) == n {
		return nil // applied again after a crash
	}
	row, err := epochRow(n, s)
	if err != nil {
		return err
	}
	return tx.SetLocal(row.Key, row.Val)
}

// save keeps everything that was followed.
func (e *epochs) save(db *store.Store) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	rows := make([]store.LocalRow, len(e.list))
	for i := range e.list {
		var err error
		if rows[i], err = epochRow(i, &e.list[i]); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return db.SetLocal(rows...)
}

// acts returns the acts that lead to an epoch.
func (e *epochs) acts(epoch uint64) []cert.SignedAdmin {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]cert.SignedAdmin{}, e.list[:min(epoch, uint64(len(e.list)))]...)
}

// set returns a copy of an epoch's voters, or nil.
func (e *epochs) set(generation, epoch uint64) *cert.VoterSet {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.tracker.Set(generation, epoch)
	if s == nil {
		return nil
	}
	c := *s
	return &c
}

// newest returns the current voters.
func (e *epochs) newest() cert.VoterSet {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tracker.Newest()
}

// voted reports whether a key ever was a voter, as far as is known here.
func (e *epochs) voted(k capsule.Key) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tracker.Voted(k)
}
