package handover

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// MaxReceipt bounds a receipt in bytes.
const MaxReceipt = 4 << 20

// ErrReceipt: the receipt does not prove what it says.
var ErrReceipt = errors.New("handover: invalid receipt")

// Receipt is a capsule's whole journey with everything that proves it. Whoever trusts the zones that the author named
// verifies it without a network.
type Receipt struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Envelope []byte // as the author sealed it
	Lineage  Lineage
	Final    cert.Certificate // of the end
	Body     []byte           // whose hash Final has
	Output   []byte           // whose hash Body has
	Zones    []ZoneProof
}

// ZoneProof is a zone from its genesis on.
type ZoneProof struct {
	_       struct{} `cbor:",toarray"`
	Genesis []byte
	Epochs  []cert.SignedAdmin
}

// Journey is what a receipt proves.
type Journey struct {
	Capsule *capsule.Capsule
	End     Owner
	Verdict cert.Verdict
	Time    uint64 // of the end, in milliseconds of the zone where it ended
}

// Bytes returns the canonical encoding.
func (r *Receipt) Bytes() ([]byte, error) { return capsule.Marshal(r) }

// ParseReceipt decodes what Bytes wrote. It verifies nothing.
func ParseReceipt(b []byte) (*Receipt, error) {
	if len(b) > MaxReceipt {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrReceipt, len(b), MaxReceipt)
	}
	r := new(Receipt)
	if err := capsule.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return r, nil
}

// Verify checks every signature on the way from the author's to the one under the end. What Body says is its reader's to
// decode.
func (r *Receipt) Verify() (*Journey, error) {
	j, err := r.verify()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReceipt, err)
	}
	return j, nil
}

func (r *Receipt) verify() (*Journey, error) {
	if r.V != Version {
		return nil, fmt.Errorf("version %d, want %d", r.V, Version)
	}
	// The zone that admitted it says when: at that time everything in the envelope has to be valid.
	c, err := capsule.Verify(r.Envelope, r.Lineage.Admitted.Decision.Time, nil)
	if err != nil {
		return nil, err
	}
	trust, err := r.trust(c.Manifest())
	if err != nil {
		return nil, err
	}
	end, err := r.Lineage.Verify(c.ID(), c.Manifest().Home, trust)
	if err != nil {
		return nil, err
	}
	d := &r.Final.Decision
	if d.Zone != end.Zone || d.Slot.Capsule != c.ID() || d.Slot.Hop != end.Hop || d.Slot.Phase != cert.PhaseRun || !ends(d.Verdict) {
		return nil, fmt.Errorf("%s of %s by %s is not the end of hop %d in %s", d.Verdict, d.Slot, d.Zone, end.Hop, end.Zone)
	}
	if capsule.Sum(r.Body) != d.Body {
		return nil, errors.New("the body is not the one that was certified")
	}
	if err := trust(&r.Final); err != nil {
		return nil, fmt.Errorf("end: %w", err)
	}
	return &Journey{Capsule: c, End: end, Verdict: d.Verdict, Time: d.Time}, nil
}

func ends(v cert.Verdict) bool {
	switch v {
	case cert.Finished, cert.Failed, cert.Cancelled, cert.Expired:
		return true
	}
	return false
}

// trust follows the zones of the receipt, which must be those that the author named.
func (r *Receipt) trust(m *capsule.Manifest) (Trust, error) {
	zones := map[capsule.ZoneID]*cert.Tracker{}
	for i := range r.Zones {
		t, err := cert.NewTracker(r.Zones[i].Genesis)
		if err != nil {
			return nil, err
		}
		if !m.Reaches(t.Zone()) || zones[t.Zone()] != nil {
			return nil, fmt.Errorf("zone %s is not one that the author named, or stands here twice", t.Zone())
		}
		for k := range r.Zones[i].Epochs {
			if err := t.Follow(&r.Zones[i].Epochs[k]); err != nil {
				return nil, fmt.Errorf("zone %s: %w", t.Zone(), err)
			}
		}
		zones[t.Zone()] = t
	}
	return func(c *cert.Certificate) error {
		t := zones[c.Decision.Zone]
		if t == nil {
			return fmt.Errorf("the receipt holds no proof of zone %s", c.Decision.Zone)
		}
		return t.Verify(c)
	}, nil
}
