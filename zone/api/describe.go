package api

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// Describe checks that what a node tells of a zone is the zone's own word: the genesis is the one that the zone is named
// by, the epochs follow from it, and a quorum of the newest has signed a descriptor that has not expired at now, in Unix
// milliseconds. t is what the caller knows of the zone, and learns the epochs; nil begins with the genesis. Addresses
// remain hints, and so does who sent it: a descriptor is public.
func (z *ZoneInfo) Describe(zone capsule.ZoneID, t *cert.Tracker, now uint64) (*cert.Tracker, *cert.Descriptor, error) {
	if z.V != Version || z.Zone != zone {
		return t, nil, fmt.Errorf("an answer of version %d about zone %s, want %s", z.V, z.Zone, zone)
	}
	if t == nil {
		var err error
		if t, err = cert.NewTracker(z.Genesis); err != nil {
			return nil, nil, fmt.Errorf("zone %s: %w", zone, err)
		}
	}
	if t.Zone() != zone {
		return t, nil, fmt.Errorf("the genesis is of zone %s, want %s", t.Zone(), zone)
	}
	if len(z.Epochs) > MaxEpochs {
		return t, nil, fmt.Errorf("zone %s: %d epochs in one answer, at most %d", zone, len(z.Epochs), MaxEpochs)
	}
	for _, b := range z.Epochs {
		var s cert.SignedAdmin
		if err := capsule.Unmarshal(b, &s); err != nil {
			return t, nil, fmt.Errorf("zone %s: decode an epoch: %w", zone, err)
		}
		if err := t.Follow(&s); err != nil {
			return t, nil, fmt.Errorf("zone %s: %w", zone, err)
		}
	}
	if len(z.Descriptor) == 0 {
		return t, nil, fmt.Errorf("zone %s: the node has no descriptor that a quorum of it has signed", zone)
	}
	var s cert.SignedDescriptor
	if err := capsule.Unmarshal(z.Descriptor, &s); err != nil {
		return t, nil, fmt.Errorf("zone %s: decode the descriptor: %w", zone, err)
	}
	set := t.Newest()
	d, err := s.Verify(&set, now)
	if err != nil {
		return t, nil, err
	}
	return t, d, nil
}
