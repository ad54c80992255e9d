package cert

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// Thresholds are how many root signatures each class of administration needs.
type Thresholds struct {
	_                                 struct{} `cbor:",toarray"`
	Policy, Mint, Membership, Recover uint8
}

// Genesis founds a zone. Its hash is the zone's name, so nothing in it can ever change.
//
// Invariant: Roots and Voters are strictly ascending.
type Genesis struct {
	_            struct{} `cbor:",toarray"`
	V            uint8
	Dev          bool // fewer than three voters; certificates of such a zone survive no fault at all
	Roots        []capsule.Key
	Thresholds   Thresholds
	Voters       []capsule.Key
	MeterVersion uint16 // gas table
	Nonce        [16]byte
}

// Check verifies what the types cannot say.
func (g *Genesis) Check() error {
	if g.V != Version {
		return fmt.Errorf("genesis has version %d, want %d", g.V, Version)
	}
	if err := checkKeys("root", g.Roots, MaxRoots); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if err := checkKeys("voter", g.Voters, MaxVoters); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	if err := checkSize(len(g.Voters), g.Dev); err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	for _, k := range []uint8{g.Thresholds.Policy, g.Thresholds.Mint, g.Thresholds.Membership, g.Thresholds.Recover} {
		if k < 1 || int(k) > len(g.Roots) {
			return fmt.Errorf("genesis: a threshold of %d with %d root keys; want 1 to %d", k, len(g.Roots), len(g.Roots))
		}
	}
	return nil
}

func checkSize(voters int, dev bool) error {
	if voters < 3 && !dev {
		return fmt.Errorf("%d voters survive no crash; use at least 3, or declare a development zone", voters)
	}
	return nil
}

// Bytes returns the canonical encoding of a valid genesis.
func (g *Genesis) Bytes() ([]byte, error) {
	if err := g.Check(); err != nil {
		return nil, err
	}
	return capsule.Marshal(g)
}

// ParseGenesis decodes and checks a genesis and returns the zone that it founds.
func ParseGenesis(b []byte) (*Genesis, capsule.ZoneID, error) {
	g := new(Genesis)
	if len(b) > MaxAdmin {
		return nil, capsule.ZoneID{}, fmt.Errorf("genesis of %d bytes, at most %d", len(b), MaxAdmin)
	}
	if err := capsule.Unmarshal(b, g); err != nil {
		return nil, capsule.ZoneID{}, fmt.Errorf("decode genesis: %w", err)
	}
	if err := g.Check(); err != nil {
		return nil, capsule.ZoneID{}, err
	}
	return g, capsule.ZoneID(capsule.Sum(b)), nil
}

// VoterSet returns the founding set: generation 0, epoch 0.
func (g *Genesis) VoterSet(zone capsule.ZoneID) VoterSet {
	return VoterSet{Zone: zone, Keys: g.Voters}
}

// Op is a kind of administration.
type Op uint8

// Administrative operations. Their numbers are signed: append only.
const (
	OpPolicy Op = 1 + iota
	OpCredit
	OpNamespace
	OpEpoch
	OpFeature
	OpRecover
	OpPeer   // what this zone holds of another: accept its new generation, freeze, ledger cap
	OpWorker // a worker gives back what it runs and gets no more, or is given work again
	opEnd
)

var opNames = [...]string{OpPolicy: "policy", OpCredit: "credit", OpNamespace: "namespace", OpEpoch: "epoch", OpFeature: "feature", OpRecover: "recover", OpPeer: "peer", OpWorker: "worker"}

// String returns the operation's name.
func (o Op) String() string {
	if o == 0 || o >= opEnd {
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return opNames[o]
}

// Threshold returns how many roots must sign an operation.
func (g *Genesis) Threshold(o Op) int {
	switch o {
	case OpCredit:
		return int(g.Thresholds.Mint)
	case OpEpoch:
		return int(g.Thresholds.Membership)
	case OpRecover:
		return int(g.Thresholds.Recover)
	default:
		return int(g.Thresholds.Policy)
	}
}

// Admin is what root keys sign. Sequence makes each act apply once and in order; Generation keeps an act
// from before a recovery out of the log after it.
type Admin struct {
	_          struct{} `cbor:",toarray"`
	V          uint8
	Zone       capsule.ZoneID
	Generation uint64
	Sequence   uint64 // 1 for the first act of a zone
	Op         Op
	Body       []byte // canonical bytes of the operation's own structure
}

// SignedAdmin is an act with its signatures: roots sign as KindAdmin; for OpEpoch the voters of the
// epoch that ends sign the same payload as KindEpoch.
type SignedAdmin struct {
	_       struct{} `cbor:",toarray"`
	Payload []byte
	Roots   []IndexSig
	Voters  []IndexSig
}

// ErrNoRoot says that an act was to be signed by keys of which none is a root.
var ErrNoRoot = errors.New("none of the keys is a root of this zone")

// SignAdmin returns a's payload and the signature of each identity that is a root of g. It is what one
// operator's machine does; MergeAdmin joins the parts.
func SignAdmin(g *Genesis, a *Admin, roots ...*capsule.Identity) (*SignedAdmin, error) {
	p, err := capsule.Marshal(a)
	if err != nil {
		return nil, err
	}
	s := &SignedAdmin{Payload: p}
	for pos, k := range g.Roots {
		for _, id := range roots {
			if id.Key() == k {
				s.Roots = append(s.Roots, IndexSig{Pos: uint8(pos), Sig: id.Sign(KindAdmin, p)})
				break
			}
		}
	}
	if len(s.Roots) == 0 && len(roots) > 0 {
		return nil, fmt.Errorf("sign administration: %w", ErrNoRoot)
	}
	return s, nil
}

// SignEpoch adds the signature of a voter of set.
func (s *SignedAdmin) SignEpoch(set *VoterSet, voter *capsule.Identity) error {
	pos := set.Position(voter.Key())
	if pos < 0 {
		return fmt.Errorf("sign epoch: %s is no voter of epoch %d", voter.Key(), set.Epoch)
	}
	s.Voters = insertSig(s.Voters, IndexSig{Pos: uint8(pos), Sig: voter.Sign(KindEpoch, s.Payload)})
	return nil
}

// Merge adds the signatures of o, another part of the same act.
func (s *SignedAdmin) Merge(o *SignedAdmin) error {
	if string(s.Payload) != string(o.Payload) {
		return errors.New("merge signatures: the two files are different acts")
	}
	for _, x := range o.Roots {
		s.Roots = insertSig(s.Roots, x)
	}
	for _, x := range o.Voters {
		s.Voters = insertSig(s.Voters, x)
	}
	return nil
}

// insertSig keeps l ascending by position; a position that is there already stays as it is.
func insertSig(l []IndexSig, s IndexSig) []IndexSig {
	i := 0
	for i < len(l) && l[i].Pos < s.Pos {
		i++
	}
	if i < len(l) && l[i].Pos == s.Pos {
		return l
	}
	l = append(l, IndexSig{})
	copy(l[i+1:], l[i:])
	l[i] = s
	return l
}

// Verify checks the root signatures and returns the act. The caller compares generation and sequence.
func (s *SignedAdmin) Verify(g *Genesis, zone capsule.ZoneID) (*Admin, error) {
	if len(s.Payload) > MaxAdmin {
		return nil, fmt.Errorf("administration of %d bytes, at most %d", len(s.Payload), MaxAdmin)
	}
	a := new(Admin)
	if err := capsule.Unmarshal(s.Payload, a); err != nil {
		return nil, fmt.Errorf("decode administration: %w", err)
	}
	switch {
	case a.V != Version:
		return nil, fmt.Errorf("administration has version %d, want %d", a.V, Version)
	case a.Zone != zone:
		return nil, fmt.Errorf("administration is of zone %s, want %s", a.Zone, zone)
	case a.Op == 0 || a.Op >= opEnd:
		return nil, fmt.Errorf("unknown administrative operation %d", a.Op)
	}
	if err := checkSigs(g.Roots, KindAdmin, s.Payload, s.Roots, g.Threshold(a.Op)); err != nil {
		return nil, err
	}
	return a, nil
}

// Epoch is the body of OpEpoch and of OpRecover: the next voter set.
type Epoch struct {
	_      struct{} `cbor:",toarray"`
	V      uint8
	Number uint64 // one more than the epoch before, also across a recovery
	Voters []capsule.Key
	// Retained is what a recovery keeps of the old generation's log: later certificates of that
	// generation mean nothing any more. Zero for OpEpoch.
	RetainedIndex uint64
	RetainedChain capsule.Hash
}

// Next verifies that s is the epoch that follows set, or the recovery from it, and returns the new set.
// Taking part in a recovery is the operator's choice: callers that only follow refuse OpRecover first.
func (s *SignedAdmin) Next(g *Genesis, set *VoterSet) (VoterSet, *Epoch, error) {
	a, err := s.Verify(g, set.Zone)
	if err != nil {
		return VoterSet{}, nil, err
	}
	return s.next(g, set, a)
}

func (s *SignedAdmin) next(g *Genesis, set *VoterSet, a *Admin) (VoterSet, *Epoch, error) {
	if a.Op != OpEpoch && a.Op != OpRecover {
		return VoterSet{}, nil, fmt.Errorf("a %s act changes no voter set", a.Op)
	}
	if a.Generation != set.Generation {
		return VoterSet{}, nil, fmt.Errorf("%w: the act is of generation %d, the zone is at %d", ErrEpoch, a.Generation, set.Generation)
	}
	e := new(Epoch)
	if err := capsule.Unmarshal(a.Body, e); err != nil {
		return VoterSet{}, nil, fmt.Errorf("decode epoch: %w", err)
	}
	if e.V != Version {
		return VoterSet{}, nil, fmt.Errorf("epoch has version %d, want %d", e.V, Version)
	}
	if e.Number != set.Epoch+1 {
		return VoterSet{}, nil, fmt.Errorf("%w: epoch %d cannot follow %d; follow them one at a time", ErrEpoch, e.Number, set.Epoch)
	}
	if err := checkKeys("voter", e.Voters, MaxVoters); err != nil {
		return VoterSet{}, nil, fmt.Errorf("epoch: %w", err)
	}
	if err := checkSize(len(e.Voters), g.Dev); err != nil {
		return VoterSet{}, nil, fmt.Errorf("epoch: %w", err)
	}
	next := VoterSet{Zone: set.Zone, Generation: set.Generation, Epoch: e.Number, Keys: e.Voters}
	if a.Op == OpRecover {
		next.Generation++
		return next, e, nil
	}
	if e.RetainedIndex != 0 || !e.RetainedChain.IsZero() {
		return VoterSet{}, nil, errors.New("epoch: only a recovery names a retained log")
	}
	if err := checkSigs(set.Keys, KindEpoch, s.Payload, s.Voters, set.Quorum()); err != nil {
		return VoterSet{}, nil, err
	}
	return next, e, nil
}
