package handover

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// CheckAnswer verifies that target certified encoded, of which a is the decoded form, as its answer about a hop.
func CheckAnswer(a *Answer, encoded []byte, c *cert.Certificate, target capsule.ZoneID, id capsule.ID, hop uint32, trust Trust) error {
	verdict, ok := certVerdict[a.Verdict]
	if !ok {
		return fmt.Errorf("%w: %v", ErrVerdict, a.Verdict)
	}
	if err := check(c, target, InSlot(id, hop), verdict, trust); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	if capsule.Sum(encoded) != c.Decision.Body {
		return errors.New("answer: the certificate is for another answer")
	}
	return nil
}
