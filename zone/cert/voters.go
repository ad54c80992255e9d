package cert

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// Faults returns f, the number of lying voters that n voters withstand: ⌊(n−1)/3⌋.
//
//	n  1  2  3  4  5  6  7  8  9
//	f  0  0  0  1  1  1  2  2  2
//	t  1  2  2  3  4  4  5  6  6
//
// Three voters survive a crash and no liar; four are the least that survive one liar.
func Faults(n int) int {
	if n < 1 {
		return 0
	}
	return (n - 1) / 3
}

// Quorum returns t, the signatures that make a certificate: ⌊(n+f)/2⌋+1. Two quorums share at least
// f+1 voters, so at least one honest voter stands in both and two different outcomes cannot both pass.
func Quorum(n int) int { return (n+Faults(n))/2 + 1 }

// VoterSet is who may sign for a zone in one epoch.
//
// Invariant: Keys is strictly ascending, so that a set has one encoding and positions are unambiguous.
type VoterSet struct {
	_                 struct{} `cbor:",toarray"`
	Zone              capsule.ZoneID
	Generation, Epoch uint64
	Keys              []capsule.Key
}

// Quorum returns the signatures needed from this set.
func (s *VoterSet) Quorum() int { return Quorum(len(s.Keys)) }

// Position returns where k stands in the set, or −1.
func (s *VoterSet) Position(k capsule.Key) int {
	for i := range s.Keys {
		if s.Keys[i] == k {
			return i
		}
	}
	return -1
}

// checkKeys verifies that keys are 1 to most, ascending, distinct and none of them weak.
func checkKeys(what string, keys []capsule.Key, most int) error {
	if len(keys) < 1 || len(keys) > most {
		return fmt.Errorf("%d %s keys, want 1 to %d", len(keys), what, most)
	}
	for i, k := range keys {
		if k.Weak() {
			return fmt.Errorf("%s key %d has a small order: anybody could sign for it", what, i)
		}
		if i > 0 && bytes.Compare(keys[i-1][:], k[:]) >= 0 {
			return fmt.Errorf("%s key %d is not greater than the one before; sort them and drop doubles", what, i)
		}
	}
	return nil
}

// VerifyQuorum checks that a quorum of s signed payload as kind.
func (s *VoterSet) VerifyQuorum(kind capsule.Kind, payload []byte, sigs []IndexSig) error {
	return checkSigs(s.Keys, kind, payload, sigs, s.Quorum())
}

// VerifyAll checks that every voter of s signed payload as kind.
func (s *VoterSet) VerifyAll(kind capsule.Kind, payload []byte, sigs []IndexSig) error {
	return checkSigs(s.Keys, kind, payload, sigs, len(s.Keys))
}

// ErrSignatures says that too few valid signatures stand under something that needs a quorum.
var ErrSignatures = errors.New("not enough valid signatures")

// checkSigs verifies that sigs are in ascending position, all valid, and at least need. A signature that
// does not verify refuses the whole: nothing that was altered passes on the strength of the rest.
func checkSigs(keys []capsule.Key, kind capsule.Kind, payload []byte, sigs []IndexSig, need int) error {
	if len(sigs) < need || need < 1 {
		return fmt.Errorf("%w: %d %s signatures, want %d", ErrSignatures, len(sigs), kind, need)
	}
	if len(sigs) > len(keys) {
		return fmt.Errorf("%w: %d %s signatures of %d keys", ErrSignatures, len(sigs), kind, len(keys))
	}
	last := -1
	for _, s := range sigs {
		if int(s.Pos) <= last || int(s.Pos) >= len(keys) {
			return fmt.Errorf("%w: %s signature at position %d is doubled, out of order or of no key", ErrSignatures, kind, s.Pos)
		}
		last = int(s.Pos)
		if !capsule.VerifySig(keys[s.Pos], kind, payload, s.Sig) {
			return fmt.Errorf("%w: the %s signature of %s is invalid", ErrSignatures, kind, keys[s.Pos])
		}
	}
	return nil
}
