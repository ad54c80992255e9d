package sdk

import (
	"context"
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

// Receipt returns the proof of a capsule's whole journey, once it has ended: every zone's certificate from admission to
// end, with what is needed to verify them offline. It is verified before it is returned.
func (s *Submission) Receipt(ctx context.Context) (*handover.Receipt, error) {
	if s.bundle == nil {
		return nil, errors.New("receipt: the capsule's own bytes are needed; ask where it was submitted")
	}
	r, err := anyNode(ctx, s.c, s.Home, roleVoter|roleGateway, hedgeMost, func(ctx context.Context, key capsule.Key) (*handover.Receipt, error) {
		req := &api.ResultRequest{
			V: api.Version, Zone: s.Home, Capsule: s.ID, Wait: uint64(pollWait.Milliseconds()), Pauses: api.NoPauses, Receipt: true,
		}
		o, err := ask[api.Outcome](ctx, s.c, key, api.ProtoResult, req, pollWait+askTimeout)
		if err != nil {
			return nil, err
		}
		r := &handover.Receipt{V: handover.Version, Envelope: s.bundle.Capsule.Bytes(), Body: o.Body, Output: o.Output}
		if err := capsule.Unmarshal(o.Lineage, &r.Lineage); err != nil {
			return nil, err
		}
		c, err := cert.ParseCertificate(o.Certificate)
		if err != nil {
			return nil, err
		}
		r.Final = *c
		if err := s.proofs(ctx, r); err != nil {
			return nil, err
		}
		_, err = r.Verify()
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("receipt of capsule %s: %w", s.ID, err)
	}
	return r, nil
}

// proofs adds the history of every zone that signed.
func (s *Submission) proofs(ctx context.Context, r *handover.Receipt) error {
	signed := map[capsule.ZoneID]bool{r.Lineage.Admitted.Decision.Zone: true, r.Final.Decision.Zone: true}
	for i := range r.Lineage.Steps {
		signed[r.Lineage.Steps[i].Offer.Target] = true
	}
	m := s.bundle.Capsule.Manifest()
	zones := []capsule.ZoneID{m.Home}
	for _, stop := range m.Itinerary {
		zones = append(zones, stop.Zone)
	}
	for _, z := range zones {
		if !signed[z] {
			continue
		}
		delete(signed, z)
		p, err := s.proof(ctx, z)
		if err != nil {
			return err
		}
		r.Zones = append(r.Zones, *p)
	}
	return nil
}

func (s *Submission) proof(ctx context.Context, z capsule.ZoneID) (*handover.ZoneProof, error) {
	return anyNode(ctx, s.c, z, roleVoter|roleGateway, hedgeMost, func(ctx context.Context, key capsule.Key) (*handover.ZoneProof, error) {
		p := &handover.ZoneProof{Epochs: []cert.SignedAdmin{}}
		zones, err := ask[api.Zones](ctx, s.c, key, api.ProtoZone, &api.ZoneRequest{V: api.Version, Zone: z}, askTimeout)
		if err != nil {
			return nil, err
		}
		for i := range zones.Zones {
			if zones.Zones[i].Zone != z {
				continue
			}
			p.Genesis = zones.Zones[i].Genesis
			for _, b := range zones.Zones[i].Epochs {
				var act cert.SignedAdmin
				if err := capsule.Unmarshal(b, &act); err != nil {
					return nil, err
				}
				p.Epochs = append(p.Epochs, act)
			}
			return p, nil
		}
		return nil, fmt.Errorf("the node tells nothing of zone %s", z)
	})
}
