package cert

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// collectorWindow bounds the indices that a Collector keeps open, ahead of and behind its own replica.
const collectorWindow = 4096

// VoteConflict is proof against one voter: it signed two different statements for one index of one
// generation.
type VoteConflict struct {
	_    struct{} `cbor:",toarray"`
	A, B Vote
}

// Verify checks that both votes are by the key and contradict each other.
func (c *VoteConflict) Verify(key capsule.Key) error {
	a, b := &c.A.Statement, &c.B.Statement
	if a.Zone != b.Zone || a.Generation != b.Generation || a.Index != b.Index || *a == *b {
		return fmt.Errorf("the two votes do not contradict each other")
	}
	for _, v := range []*Vote{&c.A, &c.B} {
		p, err := v.Statement.Payload()
		if err != nil {
			return err
		}
		if !capsule.VerifySig(key, KindStatement, p, v.Sig) {
			return fmt.Errorf("%w: a vote is not by %s", ErrSignatures, key)
		}
	}
	return nil
}

// Collector gathers votes of one epoch into quorums. Invariant: at most one vote of each voter is kept for
// an index, so its memory is bounded by window × voters. It is not safe for concurrent use.
type Collector struct {
	set    VoterSet
	low    uint64 // smallest index that is still collected
	rounds map[uint64]*round
}

type round struct {
	votes []Vote // verified
	done  bool
}

// NewCollector collects for set the indices above after.
func NewCollector(set VoterSet, after uint64) *Collector {
	return &Collector{set: set, low: after + 1, rounds: map[uint64]*round{}}
}

// Set returns the voter set.
func (c *Collector) Set() *VoterSet { return &c.set }

// Add takes a vote. It returns the quorum that the vote completes, once for each index, or nil. A vote that
// contradicts an earlier one of the same voter is returned as evidence; it does not count.
func (c *Collector) Add(v *Vote) (*Quorate, *VoteConflict, error) {
	st := &v.Statement
	switch {
	case st.V != Version || st.Zone != c.set.Zone:
		return nil, nil, fmt.Errorf("vote is of zone %s, want %s", st.Zone, c.set.Zone)
	case st.Generation != c.set.Generation || st.Epoch != c.set.Epoch:
		return nil, nil, fmt.Errorf("%w: vote of %d/%d, collecting %d/%d", ErrEpoch, st.Generation, st.Epoch, c.set.Generation, c.set.Epoch)
	case int(v.Voter) >= len(c.set.Keys):
		return nil, nil, fmt.Errorf("vote of position %d in a set of %d", v.Voter, len(c.set.Keys))
	case st.Index < c.low:
		return nil, nil, nil
	case st.Index >= c.low+collectorWindow:
		return nil, nil, fmt.Errorf("vote for index %d is too far ahead of %d", st.Index, c.low)
	}
	r := c.rounds[st.Index]
	if r == nil {
		r = new(round)
		c.rounds[st.Index] = r
	}
	for i := range r.votes {
		if r.votes[i].Voter != v.Voter {
			continue
		}
		if r.votes[i].Statement == *st {
			return nil, nil, nil
		}
		if err := c.verify(v); err != nil {
			return nil, nil, err
		}
		return nil, &VoteConflict{A: r.votes[i], B: *v}, nil
	}
	if err := c.verify(v); err != nil {
		return nil, nil, err
	}
	r.votes = append(r.votes, *v)
	if r.done {
		return nil, nil, nil
	}
	q := c.quorum(r, st)
	r.done = q != nil
	return q, nil, nil
}

func (c *Collector) verify(v *Vote) error {
	p, err := v.Statement.Payload()
	if err != nil {
		return err
	}
	if !capsule.VerifySig(c.set.Keys[v.Voter], KindStatement, p, v.Sig) {
		return fmt.Errorf("%w: the vote for index %d is not by %s", ErrSignatures, v.Statement.Index, c.set.Keys[v.Voter])
	}
	return nil
}

// quorum joins the votes for st if they are enough.
func (c *Collector) quorum(r *round, st *Statement) *Quorate {
	var sigs []IndexSig
	for i := range r.votes {
		if r.votes[i].Statement == *st {
			sigs = insertSig(sigs, IndexSig{Pos: r.votes[i].Voter, Sig: r.votes[i].Sig})
		}
	}
	if len(sigs) < c.set.Quorum() {
		return nil
	}
	return &Quorate{Statement: *st, Sigs: sigs}
}

// Split reports the statements for an index on which voters disagree: more than one means that some
// replica computed something else, or that a voter lies.
func (c *Collector) Split(index uint64) []Statement {
	var out []Statement
	r := c.rounds[index]
	if r == nil {
		return nil
	}
next:
	for i := range r.votes {
		for j := range out {
			if out[j] == r.votes[i].Statement {
				continue next
			}
		}
		out = append(out, r.votes[i].Statement)
	}
	return out
}

// Forget closes all indices up to index.
func (c *Collector) Forget(index uint64) {
	for i := c.low; i <= index && len(c.rounds) > 0; i++ {
		delete(c.rounds, i)
	}
	c.low = max(c.low, index+1)
}
