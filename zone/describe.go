package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

const (
	// descriptorLife is how long strangers may hold on to what a zone told of itself, in milliseconds.
	descriptorLife = 3_600_000
	// descriptorFresh is how old a descriptor is given away without asking for a newer one, in milliseconds.
	descriptorFresh = descriptorLife / 4
	// descriptorWait bounds how long somebody who asks waits for the signatures.
	descriptorWait = 500 * time.Millisecond
	// descriptorSoon and descriptorEvery pace the attempts, the first after one that failed and the longest after many: strangers'
	// questions must not become calls of all voters.
	descriptorSoon  = 50 * time.Millisecond
	descriptorEvery = time.Second
	// descriptorSkew is how far a descriptor may be from the clock of a voter that signs it, in milliseconds.
	descriptorSkew = 5000
)

// described is the newest descriptor that a quorum has signed.
type described struct {
	mu     sync.Mutex // guards what follows
	set    cert.VoterSet
	at     uint64 // voter's clock
	bytes  []byte
	next   time.Time     // before which nothing is tried
	pause  time.Duration // from the start of the last attempt to that, if it failed
	signed chan struct{} // closed when the attempt under way has ended; nil: none is
}

// Descriptor tells strangers how the zone stands: a cert.SignedDescriptor, encoded. It asks the voters for their
// signatures when the last descriptor is old or of another epoch, and fails if no quorum answers and none is left that
// is valid. Before the zone's genesis is applied here there is nothing to sign, and nobody is asked.
func (z *Zone) Descriptor(ctx context.Context) ([]byte, error) {
	set, now := z.sets.newest(), z.cfg.Now()
	d := &z.described
	d.mu.Lock()
	same := d.bytes != nil && d.set.Generation == set.Generation && d.set.Epoch == set.Epoch
	if same && now < d.at+descriptorFresh {
		defer d.mu.Unlock()
		return d.bytes, nil
	}
	wait, why := d.signed, errUnsigned
	if began := time.Now(); wait == nil && !began.Before(d.next) {
		own, err := z.descriptor(&set)
		if err == nil {
			wait = make(chan struct{})
			d.signed = wait
			d.pause = min(max(2*d.pause, descriptorSoon), descriptorEvery)
			d.next = began.Add(d.pause)
			z.duties.background(func() { z.describe(&set, own, now, wait) })
		} else if why = err; errors.Is(err, machine.ErrNotFound) {
			why = errUnfounded
		}
	}
	d.mu.Unlock()
	if wait != nil && !(same && now < d.at+descriptorLife) {
		select {
		case <-wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-z.ctx.Done():
			return nil, z.ctx.Err()
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bytes == nil || now >= d.at+descriptorLife {
		return nil, fmt.Errorf("zone %s: %w", z.id, why)
	}
	return d.bytes, nil
}

var (
	errUnsigned  = errors.New("no quorum has signed how it stands")
	errUnfounded = errors.New("its genesis is not applied here yet")
)

// describe has the voters sign how the zone stands.
func (z *Zone) describe(set *cert.VoterSet, own *cert.Descriptor, now uint64, done chan struct{}) {
	b, err := z.signedDescriptor(set, own, now)
	if err != nil {
		z.log.Debug("descriptor not signed", "zone", z.id, "err", err)
	}
	d := &z.described
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		d.set, d.at, d.bytes, d.pause = *set, now, b, 0
	}
	d.signed = nil
	close(done)
}

func (z *Zone) signedDescriptor(set *cert.VoterSet, d *cert.Descriptor, now uint64) ([]byte, error) {
	d.At, d.Expires = now, now+descriptorLife
	payload, err := capsule.Marshal(d)
	if err != nil {
		return nil, err
	}
	sigs, err := z.gather(z.ctx, set, callDescriptor, payload, descriptorWait)
	if err != nil {
		return nil, err
	}
	return capsule.Marshal(&cert.SignedDescriptor{Payload: payload, Sigs: sigs})
}

// descriptor is the zone as this voter sees it, without the time.
func (z *Zone) descriptor(set *cert.VoterSet) (*cert.Descriptor, error) {
	v, err := z.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	row, err := v.Zone()
	if err != nil {
		return nil, err
	}
	policy, err := v.Policy()
	if err != nil {
		return nil, err
	}
	g, _, err := cert.ParseGenesis(z.cfg.Genesis)
	if err != nil {
		return nil, err
	}
	return &cert.Descriptor{
		V: cert.Version, Zone: z.id, Generation: set.Generation, Epoch: set.Epoch, Dev: len(set.Keys) < 3, Voters: set.Keys,
		Index: v.Index(), PolicyVersion: row.PolicyVersion, GasPrice: policy.Price.Gas, MeterVersion: g.MeterVersion, Feature: row.Feature,
	}, nil
}

// signDescriptor signs another voter's description of the zone if this one would say the same. Index is where the other
// one stands: replicas are never at the same entry.
func (z *Zone) signDescriptor(payload []byte) ([]byte, error) {
	var d cert.Descriptor
	if err := capsule.Unmarshal(payload, &d); err != nil {
		return nil, err
	}
	set := z.sets.newest()
	own, err := z.descriptor(&set)
	if err != nil {
		return nil, err
	}
	now := z.cfg.Now()
	if d.At > now+descriptorSkew || d.At+descriptorSkew < now || d.Expires > d.At+descriptorLife {
		return nil, fmt.Errorf("a descriptor of %d to %d, this voter's clock is at %d", d.At, d.Expires, now)
	}
	same := slices.Equal(d.Voters, own.Voters)
	d.Voters, d.Index, d.At, d.Expires = own.Voters, own.Index, 0, 0
	mine, err := capsule.Marshal(own)
	if err != nil {
		return nil, err
	}
	theirs, err := capsule.Marshal(&d)
	if err != nil {
		return nil, err
	}
	if !same || string(mine) != string(theirs) {
		return nil, fmt.Errorf("the zone stands otherwise here: epoch %d/%d, policy %d", own.Generation, own.Epoch, own.PolicyVersion)
	}
	sig := z.cfg.Identity.Sign(cert.KindDescriptor, payload)
	return sig[:], nil
}
