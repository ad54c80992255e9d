package cert

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// Quorate is a statement with the signatures of a quorum. For a statement without decisions it is the
// certificate of a state: what a snapshot is checked against before it is restored.
type Quorate struct {
	_         struct{} `cbor:",toarray"`
	Statement Statement
	Sigs      []IndexSig
}

// Certificate is a decision that anybody verifies with nothing but the voter set: the decision, its place
// in its batch, and t signatures of the batch.
type Certificate struct {
	_        struct{} `cbor:",toarray"`
	Decision Decision
	Path     Path
	Root     capsule.Hash
	State    capsule.Hash
	Sigs     []IndexSig
}

// ErrEpoch says that a signature is of another epoch or generation than the voter set at hand: fetch the
// epochs between.
var ErrEpoch = errors.New("signed under another epoch")

// Certificate returns the certificate of decision i, given the quorum of the batch's statement.
func (b *Batch) Certificate(i int, q *Quorate) (*Certificate, error) {
	if i < 0 || i >= len(b.decisions) {
		return nil, fmt.Errorf("no decision %d in a batch of %d", i, len(b.decisions))
	}
	if q.Statement.Root != b.root || !q.Statement.covers(&b.decisions[i]) {
		return nil, fmt.Errorf("the quorum is of index %d, another batch than the decision's at %d", q.Statement.Index, b.decisions[i].Index)
	}
	return &Certificate{Decision: b.decisions[i], Path: b.Path(i), Root: b.root, State: q.Statement.State, Sigs: q.Sigs}, nil
}

// Statement returns what the voters of c signed.
func (c *Certificate) Statement() Statement {
	d := &c.Decision
	return Statement{
		V: d.V, Zone: d.Zone, Generation: d.Generation, Epoch: d.Epoch, Index: d.Index, Time: d.Time,
		Chain: d.Chain, Root: c.Root, State: c.State,
	}
}

// Verify checks c against the voter set of its epoch. Success proves that the zone decided so, not that a
// computation behind the decision was right.
func (c *Certificate) Verify(set *VoterSet) error {
	return c.verify(func(q *Quorate) error { return q.Verify(set) })
}

// verify checks everything but the quorum.
func (c *Certificate) verify(quorum func(*Quorate) error) error {
	if err := c.Decision.Check(); err != nil {
		return err
	}
	p, err := capsule.Marshal(&c.Decision)
	if err != nil {
		return err
	}
	root, ok := c.Path.root(leafHash(p))
	if !ok || root != c.Root {
		return fmt.Errorf("the decision for %s does not stand under the root that was signed", c.Decision.Slot)
	}
	return quorum(&Quorate{Statement: c.Statement(), Sigs: c.Sigs})
}

// Verify checks q against the voter set of its epoch.
func (q *Quorate) Verify(set *VoterSet) error {
	s := &q.Statement
	if s.V != Version {
		return fmt.Errorf("statement has version %d, want %d", s.V, Version)
	}
	if s.Zone != set.Zone {
		return fmt.Errorf("statement is of zone %s, want %s", s.Zone, set.Zone)
	}
	if s.Generation != set.Generation || s.Epoch != set.Epoch {
		return fmt.Errorf("%w: generation %d epoch %d, the voter set at hand is %d/%d", ErrEpoch, s.Generation, s.Epoch, set.Generation, set.Epoch)
	}
	p, err := s.Payload()
	if err != nil {
		return err
	}
	return checkSigs(set.Keys, KindStatement, p, q.Sigs, set.Quorum())
}

// Bytes returns the canonical encoding.
func (c *Certificate) Bytes() ([]byte, error) { return capsule.Marshal(c) }

// ParseCertificate decodes what Bytes wrote. It verifies no signature.
func ParseCertificate(b []byte) (*Certificate, error) {
	c := new(Certificate)
	if err := capsule.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("decode certificate: %w", err)
	}
	return c, nil
}

// ParseQuorate decodes a quorum's canonical bytes. It verifies no signature.
func ParseQuorate(b []byte) (*Quorate, error) {
	q := new(Quorate)
	if err := capsule.Unmarshal(b, q); err != nil {
		return nil, fmt.Errorf("decode certified statement: %w", err)
	}
	return q, nil
}

// Evidence is proof against a zone: two certificates that decide one slot differently. At least f+1 of
// its voters signed both.
type Evidence struct {
	_    struct{} `cbor:",toarray"`
	A, B Certificate
}

// Verify checks that both certificates hold, each under its own epoch's voter set, and that they
// contradict each other.
func (e *Evidence) Verify(a, b *VoterSet) error {
	if !e.A.Decision.Contradicts(&e.B.Decision) {
		return errors.New("the two certificates do not contradict each other")
	}
	if err := e.A.Verify(a); err != nil {
		return fmt.Errorf("first certificate: %w", err)
	}
	if err := e.B.Verify(b); err != nil {
		return fmt.Errorf("second certificate: %w", err)
	}
	return nil
}
