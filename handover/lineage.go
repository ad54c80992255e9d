package handover

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// MaxSteps bounds a lineage. A capsule that has moved so often is refused
// everywhere and goes on where it is.
const MaxSteps = 128

// ErrLineage: the chain of certificates does not prove who owns the capsule.
var ErrLineage = errors.New("handover: broken lineage")

// Step is one hop: what its owner released and what the target answered.
type Step struct {
	_        struct{} `cbor:",toarray"`
	Offer    Offer
	Released cert.Certificate
	Answer   Answer
	Answered cert.Certificate
}

// Lineage is the unbroken chain of decisions from a capsule's admission to
// its present owner. Nobody can mint a hop, because each needs the
// certificate of the zone that the chain before it proves to be the owner.
type Lineage struct {
	_        struct{} `cbor:",toarray"`
	Admitted cert.Certificate
	Steps    []Step
}

// Trust verifies a certificate against a zone that the verifier trusts, by
// pinning its genesis and following its epochs.
type Trust func(c *cert.Certificate) error

// Owner is what a lineage proves.
type Owner struct {
	Zone capsule.ZoneID
	Hop  uint32 // the hop that Zone executes
}

// Verify checks every certificate and that each continues the one before. It
// returns the owner after the last step.
func (l *Lineage) Verify(id capsule.ID, home capsule.ZoneID, trust Trust) (Owner, error) {
	if len(l.Steps) > MaxSteps {
		return Owner{}, fmt.Errorf("%w: %d steps, at most %d", ErrLineage, len(l.Steps), MaxSteps)
	}
	at := Owner{Zone: home}
	slot := cert.Slot{Capsule: id, Phase: cert.PhaseIn}
	if err := check(&l.Admitted, home, slot, cert.Admitted, trust); err != nil {
		return Owner{}, fmt.Errorf("%w: admission: %w", ErrLineage, err)
	}
	for i := range l.Steps {
		next, err := l.Steps[i].follow(id, at, trust)
		if err != nil {
			return Owner{}, fmt.Errorf("%w: step %d: %w", ErrLineage, i, err)
		}
		at = next
	}
	return at, nil
}

// Released verifies that the owner that the lineage proves has released the
// capsule by offer, which is what a target must know before it accepts.
func (l *Lineage) Released(offer *Offer, c *cert.Certificate, home capsule.ZoneID, trust Trust) error {
	at, err := l.Verify(offer.Capsule, home, trust)
	if err != nil {
		return err
	}
	if err := released(offer, c, offer.Capsule, at, trust); err != nil {
		return fmt.Errorf("%w: %w", ErrLineage, err)
	}
	return nil
}

func released(o *Offer, c *cert.Certificate, id capsule.ID, at Owner, trust Trust) error {
	if o.V != Version || o.Capsule != id || o.Source != at.Zone || o.Hop != at.Hop {
		return fmt.Errorf("offer of %s hop %d by %s, but its owner is %s at hop %d", o.Capsule, o.Hop, o.Source, at.Zone, at.Hop)
	}
	if err := check(c, at.Zone, OutSlot(id, o.Hop), cert.Released, trust); err != nil {
		return fmt.Errorf("release: %w", err)
	}
	b, err := o.Bytes()
	if err != nil {
		return err
	}
	if capsule.Sum(b) != c.Decision.Body {
		return errors.New("release: the certificate is for another offer")
	}
	return nil
}

func (s *Step) follow(id capsule.ID, at Owner, trust Trust) (Owner, error) {
	if err := released(&s.Offer, &s.Released, id, at, trust); err != nil {
		return Owner{}, err
	}
	verdict, ok := certVerdict[s.Answer.Verdict]
	if !ok {
		return Owner{}, fmt.Errorf("%w: %v", ErrVerdict, s.Answer.Verdict)
	}
	if err := check(&s.Answered, s.Offer.Target, InSlot(id, s.Offer.Hop), verdict, trust); err != nil {
		return Owner{}, fmt.Errorf("answer: %w", err)
	}
	if s.Answer.Offer != s.Released.Decision.Body {
		return Owner{}, errors.New("answer: it is to another offer")
	}
	b, err := s.Answer.Bytes()
	if err != nil {
		return Owner{}, err
	}
	if capsule.Sum(b) != s.Answered.Decision.Body {
		return Owner{}, errors.New("answer: the certificate is for another answer")
	}
	next := Owner{Zone: at.Zone, Hop: at.Hop + 1}
	if s.Answer.Verdict == Accepted {
		next.Zone = s.Offer.Target
	}
	return next, nil
}

// InSlot is where the target of hop decides about it.
func InSlot(id capsule.ID, hop uint32) cert.Slot {
	return cert.Slot{Capsule: id, Hop: hop, Phase: cert.PhaseIn}
}

// OutSlot is where the owner of hop releases it.
func OutSlot(id capsule.ID, hop uint32) cert.Slot {
	return cert.Slot{Capsule: id, Hop: hop, Phase: cert.PhaseOut}
}

var certVerdict = map[Verdict]cert.Verdict{
	Accepted:        cert.Accepted,
	Tombstone:       cert.Tombstone,
	ExpiredNoRecord: cert.ExpiredNoRecord,
}

func check(c *cert.Certificate, zone capsule.ZoneID, slot cert.Slot, v cert.Verdict, trust Trust) error {
	d := &c.Decision
	if d.Zone != zone || d.Slot != slot || d.Verdict != v {
		return fmt.Errorf("certificate says %v of %v by %v, want %v of %v by %v", d.Verdict, d.Slot, d.Zone, v, slot, zone)
	}
	return trust(c)
}
