package handover

import (
	"fmt"
	"math/bits"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// Version is the first field of every structure that is hashed or signed here.
const Version = 1

// Offer is the body of a RELEASED decision: what the source puts on offer.
type Offer struct {
	_              struct{} `cbor:",toarray"`
	V              uint8
	Capsule        capsule.ID
	Hop            uint32 // the source's own; the target executes Hop+1
	Source, Target capsule.ZoneID
	// Expires is in the target's time, milliseconds: its clock alone decides.
	//
	// Invariant: not zero, and not after the manifest's expiry.
	Expires   uint64
	Code      capsule.CID
	Base      capsule.CID // absent: the state is a delta to the module's own image
	State     capsule.CID
	StateHash capsule.Hash // of the logical state, whatever State's encoding
	StateSize uint64       // bytes of the blob behind State
	// Credits is what travels with the capsule: what was held for it, less
	// what its stay at the source cost.
	Credits uint64
	Used    uint64 // units of the whole journey so far
	Left    uint64 // units that the author still lets it use, whatever its credits would buy
	Charged uint64 // credits of the whole journey so far
}

// Bytes returns the canonical encoding, whose hash is the decision's body.
func (o *Offer) Bytes() ([]byte, error) { return capsule.Marshal(o) }

// ParseOffer decodes and checks an offer.
func ParseOffer(b []byte) (*Offer, error) {
	o := new(Offer)
	if err := capsule.Unmarshal(b, o); err != nil {
		return nil, fmt.Errorf("decode offer: %w", err)
	}
	switch {
	case o.V != Version:
		return nil, fmt.Errorf("offer has version %d, want %d", o.V, Version)
	case o.Source == o.Target:
		return nil, fmt.Errorf("offer of %s from zone %s to itself", o.Capsule, o.Source)
	case o.Expires == 0:
		return nil, fmt.Errorf("offer of %s never expires", o.Capsule)
	case o.Credits >= capsule.MaxGas || o.Used >= capsule.MaxGas || o.Left >= capsule.MaxGas || o.Charged >= capsule.MaxGas:
		return nil, fmt.Errorf("offer of %s has an amount that is not below 2^62", o.Capsule)
	case o.Hop == 1<<32-1:
		return nil, fmt.Errorf("offer of %s has used every hop number", o.Capsule)
	}
	return o, nil
}

// Answer is the body of the target's decision on an offer.
type Answer struct {
	_       struct{} `cbor:",toarray"`
	V       uint8
	Offer   capsule.Hash // of the offer's bytes
	Verdict Verdict
	// Reason is what the capsule's code will be told about a refusal, one of
	// the host interface's error codes as a positive number; zero if accepted.
	Reason uint8
	Price  uint64 // credits a million units, certified by the target; zero unless accepted
	Units  uint64 // units the capsule may spend there; zero unless accepted
}

// Bytes returns the canonical encoding, whose hash is the decision's body.
func (a *Answer) Bytes() ([]byte, error) { return capsule.Marshal(a) }

// ParseAnswer decodes and checks an answer.
func ParseAnswer(b []byte) (*Answer, error) {
	a := new(Answer)
	if err := capsule.Unmarshal(b, a); err != nil {
		return nil, fmt.Errorf("decode answer: %w", err)
	}
	accepted := a.Verdict == Accepted
	switch {
	case a.V != Version:
		return nil, fmt.Errorf("answer has version %d, want %d", a.V, Version)
	case a.Verdict < Accepted || a.Verdict > ExpiredNoRecord:
		return nil, fmt.Errorf("%w: %v", ErrVerdict, a.Verdict)
	case accepted != (a.Reason == 0):
		return nil, fmt.Errorf("answer %v with reason %d", a.Verdict, a.Reason)
	case !accepted && (a.Price != 0 || a.Units != 0):
		return nil, fmt.Errorf("answer %v grants units", a.Verdict)
	}
	return a, nil
}

// PriceScale is how many units a price is for.
const PriceScale = 1_000_000

// Units converts what travels into units at a price in credits a million units, keeping the exit reserve
// untouchable. It rounds down: a fraction of a unit can't be spent.
func Units(credits, reserve, price uint64) uint64 {
	const most = capsule.MaxGas - 1
	if credits <= reserve {
		return 0
	}
	if price == 0 {
		return most
	}
	hi, lo := bits.Mul64(credits-reserve, PriceScale)
	if hi >= price {
		return most
	}
	n, _ := bits.Div64(hi, lo, price)
	return min(n, most)
}

// Transfer is everything that a target needs to judge an offer, or a demand for a final answer to it. Whoever brings it
// adds nothing by bringing it.
type Transfer struct {
	_        struct{} `cbor:",toarray"`
	Envelope []byte   // of the capsule, as its author sealed it
	Offer    []byte   // encoding of an Offer
	Released cert.Certificate
	Lineage  Lineage // up to the offer
	Inline   []byte  // the state, if it is small enough to travel in the log
}

// Parse decodes and checks the offer, and that Inline is what it names.
func (t *Transfer) Parse() (*Offer, error) {
	o, err := ParseOffer(t.Offer)
	if err != nil {
		return nil, err
	}
	if len(t.Inline) > 0 && (capsule.RawCID(t.Inline) != o.State || uint64(len(t.Inline)) != o.StateSize) {
		return nil, fmt.Errorf("the state beside the offer of %s is not the one that it names", o.Capsule)
	}
	return o, nil
}
