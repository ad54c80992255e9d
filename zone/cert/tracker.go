package cert

import (
	"errors"
	"fmt"
	"os"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/internal/recent"
)

// ErrFrozen says that a zone contradicted itself. Nothing of it is believed until its operators explain.
var ErrFrozen = errors.New("the zone is frozen: it certified two outcomes for one slot")

// Tracker is what a client or a foreign zone holds of a zone: the pinned genesis and every voter set that
// followed. It only moves forward. It is not safe for concurrent use.
type Tracker struct {
	genesis  *Genesis
	state    trackerState
	evidence *Evidence
	held     *recent.Map[capsule.Hash, struct{}] // quorums that held
}

// maxHeld is how many quorums one generation of them has: the outcomes of one log entry share theirs and come together, and
// a capsule that moves on brings the proofs of all its hops again. Both take some 100 KB.
const maxHeld = 1024

type trackerState struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Genesis  []byte
	Sets     []VoterSet  // founding set first, newest last; each verified when it was added
	Retained []retention // one for each recovery that the operator accepted
	Time     uint64      // newest zone time seen in a certificate
	Evidence []byte
}

// retention is where a generation's log ends.
type retention struct {
	_                 struct{} `cbor:",toarray"`
	Generation, Index uint64
	Chain             capsule.Hash
}

// NewTracker pins a genesis. The caller compares Zone with the zone ID that it was told.
func NewTracker(genesis []byte) (*Tracker, error) {
	g, zone, err := ParseGenesis(genesis)
	if err != nil {
		return nil, err
	}
	state := trackerState{V: Version, Genesis: genesis, Sets: []VoterSet{g.VoterSet(zone)}}
	return &Tracker{genesis: g, state: state, held: recent.New[capsule.Hash, struct{}](maxHeld, nil)}, nil
}

// Zone returns the zone's name.
func (t *Tracker) Zone() capsule.ZoneID { return t.state.Sets[0].Zone }

// Genesis returns the pinned genesis. The caller does not change it.
func (t *Tracker) Genesis() *Genesis { return t.genesis }

// Newest returns the newest voter set known.
func (t *Tracker) Newest() VoterSet { return t.state.Sets[len(t.state.Sets)-1] }

// Voted reports whether a key is or was a voter, in any epoch that t has followed.
func (t *Tracker) Voted(k capsule.Key) bool {
	for i := range t.state.Sets {
		if t.state.Sets[i].Position(k) >= 0 {
			return true
		}
	}
	return false
}

// Time returns the newest zone time seen in a verified certificate.
func (t *Tracker) Time() uint64 { return t.state.Time }

// Follow takes the next epoch. It refuses a recovery, which is a person's decision: see AcceptRecovery.
// An epoch that is known already is no error.
func (t *Tracker) Follow(s *SignedAdmin) error { return t.follow(s, OpEpoch) }

// AcceptRecovery takes the next generation on the operator's word.
func (t *Tracker) AcceptRecovery(s *SignedAdmin) error { return t.follow(s, OpRecover) }

func (t *Tracker) follow(s *SignedAdmin, op Op) error {
	a, err := s.Verify(t.genesis, t.Zone())
	if err != nil {
		return err
	}
	if a.Op != op {
		if a.Op == OpRecover {
			return fmt.Errorf("zone %s was recovered into generation %d; its operator's word is needed to accept that", t.Zone(), a.Generation+1)
		}
		return fmt.Errorf("a %s act where %s was expected", a.Op, op)
	}
	newest := t.Newest()
	known := new(Epoch)
	if capsule.Unmarshal(a.Body, known) == nil && known.Number <= newest.Epoch && a.Generation <= newest.Generation {
		return nil
	}
	next, e, err := s.next(t.genesis, &newest, a)
	if err != nil {
		return err
	}
	if op == OpRecover {
		t.state.Retained = append(t.state.Retained, retention{Generation: newest.Generation, Index: e.RetainedIndex, Chain: e.RetainedChain})
	}
	t.state.Sets = append(t.state.Sets, next)
	return nil
}

// Set returns the voter set of an epoch, or nil if it is not known.
func (t *Tracker) Set(generation, epoch uint64) *VoterSet {
	for i := range t.state.Sets {
		if s := &t.state.Sets[i]; s.Generation == generation && s.Epoch == epoch {
			return s
		}
	}
	return nil
}

// Verify checks a certificate of any epoch that t has followed. Of a generation that was given up, only
// what the recovery retained counts.
func (t *Tracker) Verify(c *Certificate) error {
	if t.Frozen() {
		return ErrFrozen
	}
	d := &c.Decision
	set := t.Set(d.Generation, d.Epoch)
	if set == nil {
		n := t.Newest()
		return fmt.Errorf("%w: certificate of %d/%d, known up to %d/%d; fetch the epochs between", ErrEpoch, d.Generation, d.Epoch, n.Generation, n.Epoch)
	}
	for _, r := range t.state.Retained {
		if r.Generation == d.Generation && d.Index > r.Index {
			return fmt.Errorf("%w: generation %d ended at index %d, the certificate is of %d", ErrEpoch, d.Generation, r.Index, d.Index)
		}
	}
	if err := c.verify(func(q *Quorate) error { return t.quorum(q, set) }); err != nil {
		return err
	}
	t.state.Time = max(t.state.Time, d.Time)
	return nil
}

// quorum verifies a quorum unless the same bytes held before: they say all that counts, and the epoch is always of one set.
func (t *Tracker) quorum(q *Quorate, set *VoterSet) error {
	b, err := capsule.Marshal(q)
	if err != nil {
		return err
	}
	h := capsule.Sum(b)
	if _, ok := t.held.Get(h); ok {
		return nil
	}
	if err := q.Verify(set); err != nil {
		return err
	}
	t.held.Put(h, struct{}{})
	return nil
}

// Freeze takes evidence that the zone contradicted itself. Unless it holds, nothing changes.
func (t *Tracker) Freeze(e *Evidence) error {
	a := t.Set(e.A.Decision.Generation, e.A.Decision.Epoch)
	b := t.Set(e.B.Decision.Generation, e.B.Decision.Epoch)
	if a == nil || b == nil {
		return fmt.Errorf("%w: evidence of an epoch that is not known", ErrEpoch)
	}
	if err := e.Verify(a, b); err != nil {
		return err
	}
	t.evidence = e
	return nil
}

// Frozen reports whether evidence against the zone is held; Evidence returns it.
func (t *Tracker) Frozen() bool { return t.evidence != nil }

// Evidence returns what froze the zone, or nil.
func (t *Tracker) Evidence() *Evidence { return t.evidence }

// Bytes returns the canonical encoding, for a file that the owner keeps.
func (t *Tracker) Bytes() ([]byte, error) {
	st := t.state
	if t.evidence != nil {
		e, err := capsule.Marshal(t.evidence)
		if err != nil {
			return nil, err
		}
		st.Evidence = e
	}
	return capsule.Marshal(&st)
}

// ParseTracker reads what Bytes wrote. The content is the owner's own: sets were verified when added, and
// only the genesis is checked again.
func ParseTracker(b []byte) (*Tracker, error) {
	t := &Tracker{held: recent.New[capsule.Hash, struct{}](maxHeld, nil)}
	if err := capsule.Unmarshal(b, &t.state); err != nil {
		return nil, fmt.Errorf("decode zone anchor: %w", err)
	}
	g, zone, err := ParseGenesis(t.state.Genesis)
	if err != nil {
		return nil, fmt.Errorf("zone anchor: %w", err)
	}
	if t.state.V != Version || len(t.state.Sets) == 0 || t.state.Sets[0].Zone != zone {
		return nil, errors.New("zone anchor is damaged: its voter sets are not of its genesis; fetch the zone's epochs again")
	}
	t.genesis = g
	if len(t.state.Evidence) > 0 {
		t.evidence = new(Evidence)
		if err := capsule.Unmarshal(t.state.Evidence, t.evidence); err != nil {
			return nil, fmt.Errorf("zone anchor: decode evidence: %w", err)
		}
	}
	return t, nil
}

// Save writes the tracker to a file in one step, so that a crash leaves the old or the new one.
func (t *Tracker) Save(path string) error {
	b, err := t.Bytes()
	if err != nil {
		return err
	}
	if err := atomicfile.Write(path, b, 0o600); err != nil {
		return fmt.Errorf("save zone anchor: %w", err)
	}
	return nil
}

// maxTracker bounds an anchor file: 10,000 epochs of nine voters.
const maxTracker = 8 << 20

// LoadTracker reads a file that Save wrote.
func LoadTracker(path string) (*Tracker, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("load zone anchor: %w", err)
	}
	if st.Size() > maxTracker {
		return nil, fmt.Errorf("load zone anchor %s: %d bytes, at most %d", path, st.Size(), maxTracker)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load zone anchor: %w", err)
	}
	return ParseTracker(b)
}
