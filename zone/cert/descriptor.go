package cert

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// Descriptor tells strangers how a zone stands now. It expires, so that nobody is held on an old one.
type Descriptor struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Generation, Epoch uint64
	Dev               bool
	Voters            []capsule.Key
	Index             uint64 // of the state it describes
	At, Expires       uint64 // zone milliseconds
	PolicyVersion     uint64
	GasPrice          uint64 // credits per million units
	MeterVersion      uint16
	Feature           uint32
}

// SignedDescriptor is a descriptor with a quorum of its own epoch.
type SignedDescriptor struct {
	_       struct{} `cbor:",toarray"`
	Payload []byte
	Sigs    []IndexSig
}

// Sign adds a voter's signature.
func (s *SignedDescriptor) Sign(set *VoterSet, voter *capsule.Identity) error {
	pos := set.Position(voter.Key())
	if pos < 0 {
		return fmt.Errorf("sign descriptor: %s is no voter of epoch %d", voter.Key(), set.Epoch)
	}
	s.Sigs = insertSig(s.Sigs, IndexSig{Pos: uint8(pos), Sig: voter.Sign(KindDescriptor, s.Payload)})
	return nil
}

// Verify checks s against the voter set that the reader already trusts. now is the reader's time.
func (s *SignedDescriptor) Verify(set *VoterSet, now uint64) (*Descriptor, error) {
	d := new(Descriptor)
	if len(s.Payload) > MaxAdmin {
		return nil, fmt.Errorf("descriptor of %d bytes, at most %d", len(s.Payload), MaxAdmin)
	}
	if err := capsule.Unmarshal(s.Payload, d); err != nil {
		return nil, fmt.Errorf("decode descriptor: %w", err)
	}
	switch {
	case d.V != Version || d.Zone != set.Zone:
		return nil, fmt.Errorf("descriptor is of zone %s, want %s", d.Zone, set.Zone)
	case d.Generation != set.Generation || d.Epoch != set.Epoch:
		return nil, fmt.Errorf("%w: descriptor of %d/%d, known is %d/%d; fetch the epochs between", ErrEpoch, d.Generation, d.Epoch, set.Generation, set.Epoch)
	case now >= d.Expires:
		return nil, fmt.Errorf("descriptor of zone %s expired %d ms ago; ask another node", d.Zone, now-d.Expires)
	}
	if err := checkSigs(set.Keys, KindDescriptor, s.Payload, s.Sigs, set.Quorum()); err != nil {
		return nil, err
	}
	return d, nil
}
