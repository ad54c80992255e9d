package cert

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kitwork/kwnode/capsule"
)

// ErrForked says that the log a voter applies is not the log that it has signed. It must not sign any
// more until an operator has looked.
var ErrForked = errors.New("the applied log is not an extension of what this voter has signed")

// Vote is one voter's signature of a statement.
type Vote struct {
	_         struct{} `cbor:",toarray"`
	Statement Statement
	Voter     uint8 // position in the voter set of the statement's epoch
	Sig       capsule.Sig
}

// signerWindow is how many applied indices a Signer can still sign for. A voter that falls further behind
// has its outcomes restated.
const signerWindow = 4096

// Signer signs statements about the log that its own replica applies, and never two that contradict each
// other, across crashes and restarts.
type Signer struct {
	id   *capsule.Identity
	zone capsule.ZoneID

	mu      sync.Mutex // guards what follows; held during the fsync of the record, so signatures leave in order
	store   RecordStore
	rec     Record
	head    uint64                  // newest applied index, valid while started
	chains  map[uint64]capsule.Hash // of the last signerWindow applied indices
	oldest  uint64                  // smallest index in chains
	started bool
	broken  error
}

// NewSigner returns a signer that continues from what store remembers. It signs nothing before Start.
func NewSigner(id *capsule.Identity, zone capsule.ZoneID, store RecordStore) (*Signer, error) {
	rec, err := store.Load()
	if err != nil {
		return nil, fmt.Errorf("load signing record: %w", err)
	}
	s := &Signer{id: id, zone: zone, store: store, rec: rec, chains: map[uint64]capsule.Hash{}}
	if rec.Burned {
		s.broken = ErrAmnesia
	}
	return s, nil
}

// Start tells the signer where its replica stands: after opening its state, and after restoring a
// certified snapshot. chainAt returns the chain of an earlier index where the state still knows it.
func (s *Signer) Start(generation, index uint64, chain capsule.Hash, chainAt func(uint64) (capsule.Hash, bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return s.broken
	}
	if generation < s.rec.Generation {
		return s.breakLocked(fmt.Errorf("%w: it is of generation %d, signed was %d", ErrForked, generation, s.rec.Generation))
	}
	if generation == s.rec.Generation && s.rec.Index != 0 && s.rec.Index <= index {
		c, ok := chain, true
		if s.rec.Index < index {
			c, ok = chainAt(s.rec.Index)
		}
		if ok && c != s.rec.Chain {
			return s.breakLocked(fmt.Errorf("%w: they differ at index %d", ErrForked, s.rec.Index))
		}
	}
	clear(s.chains)
	s.chains[index] = chain
	s.head, s.oldest, s.started = index, index, true
	return nil
}

// Observe tells the signer of the next applied entry. prev is the chain before it.
func (s *Signer) Observe(generation, index uint64, prev, chain capsule.Hash) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken != nil:
		return s.broken
	case !s.started:
		return errors.New("signer: Observe before Start")
	case index <= s.head || s.chains[s.head] != prev:
		return s.breakLocked(fmt.Errorf("%w: entry %d does not follow %d", ErrForked, index, s.head))
	case generation == s.rec.Generation && s.head < s.rec.Index && index > s.rec.Index:
		return s.breakLocked(fmt.Errorf("%w: index %d was signed and is not in it", ErrForked, s.rec.Index))
	case generation == s.rec.Generation && index == s.rec.Index && chain != s.rec.Chain:
		return s.breakLocked(fmt.Errorf("%w: they differ at index %d", ErrForked, index))
	}
	s.head = index
	s.chains[index] = chain
	for len(s.chains) > signerWindow {
		delete(s.chains, s.oldest) // indices may have gaps: Raft's own entries are not applied here
		s.oldest++
	}
	return nil
}

func (s *Signer) breakLocked(err error) error {
	s.broken = err
	return err
}

// Sign returns a vote for each statement, given in ascending index, after one durable write for all of
// them. Only the newest can be signed again after a crash; outcomes of the others are restated.
func (s *Signer) Sign(set *VoterSet, sts ...Statement) ([]Vote, error) {
	pos := set.Position(s.id.Key())
	if pos < 0 {
		return nil, fmt.Errorf("sign: %s is no voter of epoch %d", s.id.Key(), set.Epoch)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	if len(sts) == 0 {
		return nil, nil
	}
	payloads := make([][]byte, len(sts))
	next := s.rec
	for i := range sts {
		st := &sts[i]
		p, err := s.checkLocked(set, st, &next)
		if err != nil {
			return nil, err
		}
		payloads[i] = p
	}
	if next != s.rec {
		if err := s.store.Save(next); err != nil {
			// Whether the record reached the disk is unknown, so nothing of it may be signed; the old
			// record in memory stays the stricter one only if this never happens again.
			return nil, s.breakLocked(fmt.Errorf("sign: %w", err))
		}
		s.rec = next
	}
	votes := make([]Vote, len(sts))
	for i, p := range payloads {
		votes[i] = Vote{Statement: sts[i], Voter: uint8(pos), Sig: s.id.Sign(KindStatement, p)}
	}
	return votes, nil
}

// checkLocked decides whether st may follow what next says was signed, and advances next.
func (s *Signer) checkLocked(set *VoterSet, st *Statement, next *Record) ([]byte, error) {
	if st.V != Version || st.Zone != s.zone || set.Zone != s.zone || st.Generation != set.Generation || st.Epoch != set.Epoch {
		return nil, fmt.Errorf("sign index %d: the statement is not of zone %s, generation %d, epoch %d", st.Index, s.zone, set.Generation, set.Epoch)
	}
	p, err := st.Payload()
	if err != nil {
		return nil, err
	}
	digest := capsule.Sum(p)
	switch {
	case st.Generation < next.Generation:
		return nil, fmt.Errorf("%w: generation %d has ended, the record is at %d", ErrForked, st.Generation, next.Generation)
	case st.Generation == next.Generation && st.Index < next.Index:
		return nil, fmt.Errorf("sign index %d: index %d is signed already; ask for the outcome to be restated", st.Index, next.Index)
	case st.Generation == next.Generation && st.Index == next.Index && next.Index != 0:
		if digest != next.Root {
			return nil, fmt.Errorf("%w: another statement was signed at index %d", ErrForked, st.Index)
		}
		return p, nil
	}
	if c, ok := s.chains[st.Index]; !s.started || !ok || c != st.Chain {
		return nil, fmt.Errorf("%w: index %d was not applied here with chain %s", ErrForked, st.Index, st.Chain)
	}
	*next = Record{Generation: st.Generation, Index: st.Index, Chain: st.Chain, Root: digest}
	return p, nil
}

// SeenOwn tells the signer of a vote in its own name that came from elsewhere. If it is valid and newer
// than the record, this voter runs on a restored disk: it burns its key and returns ErrAmnesia.
func (s *Signer) SeenOwn(v *Vote) error {
	p, err := v.Statement.Payload()
	if err != nil || v.Statement.Zone != s.zone || !capsule.VerifySig(s.id.Key(), KindStatement, p, v.Sig) {
		return nil // not our signature: says nothing about us
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := &v.Statement
	newer := st.Generation > s.rec.Generation || st.Generation == s.rec.Generation && st.Index > s.rec.Index
	other := st.Generation == s.rec.Generation && st.Index == s.rec.Index && capsule.Sum(p) != s.rec.Root
	if !newer && !other {
		return nil
	}
	rec := s.rec
	rec.Burned = true
	s.broken = ErrAmnesia
	if err := s.store.Save(rec); err != nil {
		return fmt.Errorf("%w (and the record could not be marked: %v)", ErrAmnesia, err)
	}
	s.rec = rec
	return ErrAmnesia
}

// Broken returns why the signer stopped, or nil.
func (s *Signer) Broken() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Record returns what the signer remembers.
func (s *Signer) Record() Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec
}
