package zone

import (
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// Member is a peer in Raft's configuration.
type Member struct {
	Key   capsule.Key `json:"key"`
	Voter bool        `json:"voter"`
}

// Status is what an operator sees of a voter.
type Status struct {
	Zone        capsule.ZoneID `json:"zone"`
	Self        capsule.Key    `json:"self"`
	Dev         bool           `json:"dev"` // fewer voters than survive a fault
	Leader      capsule.Key    `json:"leader"`
	State       string         `json:"state"` // of consensus: leader, follower, candidate, shutdown
	Term        uint64         `json:"term"`
	LastContact time.Time      `json:"last_contact"` // with the leader

	Generation uint64        `json:"generation"`
	Epoch      uint64        `json:"epoch"`
	Voters     []capsule.Key `json:"voters"`
	Quorum     int           `json:"quorum"`
	Members    []Member      `json:"members"`

	Applied   uint64       `json:"applied"` // entry
	Committed uint64       `json:"committed"`
	LastLog   uint64       `json:"last_log"`
	Chain     capsule.Hash `json:"chain"`
	StateHash capsule.Hash `json:"state_hash"`
	Time      uint64       `json:"time"` // the zone's, ms
	Signed    uint64       `json:"signed"`

	NoQuorum    string              `json:"no_quorum,omitempty"`    // why nothing is decided
	TimeError   string              `json:"time_error,omitempty"`   // why the zone's time stands still
	SignerError string              `json:"signer_error,omitempty"` // why this voter signs no more
	Error       string              `json:"error,omitempty"`        // why this voter has stopped
	Conflicts   []cert.VoteConflict `json:"conflicts,omitempty"`    // proofs against other voters
}

// Leader returns the voter that leads, as far as this one knows.
func (z *Zone) Leader() (capsule.Key, bool) { return z.node.Leader() }

// Status returns the voter's position and troubles.
func (z *Zone) Status() Status {
	set := z.sets.newest()
	n := z.node.Status()
	a := z.db.Applied()
	s := Status{
		Zone: z.id, Self: z.self, Dev: len(set.Keys) < 3, State: n.State, Term: n.Term, LastContact: n.LastContact,
		Generation: set.Generation, Epoch: set.Epoch, Voters: set.Keys, Quorum: set.Quorum(),
		Applied: a.Index, Committed: n.Commit, LastLog: n.LastLog, Chain: capsule.Hash(a.Chain), StateHash: capsule.Hash(a.State),
		Signed: z.signer.Record().Index,
	}
	s.Leader, _ = z.node.Leader()
	for k, voter := range z.node.Members() {
		s.Members = append(s.Members, Member{Key: k, Voter: voter})
	}
	slices.SortFunc(s.Members, func(a, b Member) int { return slices.Compare(a.Key[:], b.Key[:]) })
	z.ticks.mu.Lock()
	s.Time = z.ticks.time
	if z.ticks.failing != nil {
		s.TimeError = z.ticks.failing.Error()
	}
	z.ticks.mu.Unlock()
	if err := z.noQuorum(); err != nil {
		s.NoQuorum = err.Error()
	}
	if err := z.signer.Broken(); err != nil {
		s.SignerError = err.Error()
	}
	if err := z.Err(); err != nil {
		s.Error = err.Error()
	}
	z.voting.mu.Lock()
	s.Conflicts = slices.Clone(z.voting.conflicts)
	z.voting.mu.Unlock()
	return s
}
