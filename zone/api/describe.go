package api

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// ErrUndescribed means that a node tells of a zone and has no descriptor of it: the zone is just being founded, or has no quorum.
// From a voter of the zone this is an honest answer, and another one may come soon; see [Undescribed].
var ErrUndescribed = errors.New("no descriptor that a quorum has signed")

// Undescribed reports whether err, from Describe, is a voter's word that its zone can't prove itself yet. Only the voters that
// t knows can say so: anybody else who tells of a zone without its word has nothing to tell.
func Undescribed(err error, t *cert.Tracker, from capsule.Key) bool {
	if t == nil || !errors.Is(err, ErrUndescribed) {
		return false
	}
	set := t.Newest()
	return set.Position(from) >= 0
}

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
		return t, nil, fmt.Errorf("zone %s: the node has %w", zone, ErrUndescribed)
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
