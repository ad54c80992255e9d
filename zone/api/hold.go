package api

import (
	"github.com/kitwork/kwnode/capsule"
)

// ProtoHold is how a voter is asked for its word that it holds content, or that a continuation fits its code:
// HoldRequest → HoldReply. Enough voters' words are an entry of the log.
const ProtoHold = "/kitwork/hold/1"

// Bounds of a HoldRequest.
const (
	MaxHolds   = 4        // facts of one request
	MaxHeld    = 32 << 20 // bytes of one content
	MaxHolders = 32       // peers named as having it
	MaxHold    = 128 << 10
)

// HoldRequest asks one voter to attest to facts, all of them or none. The voter fetches what it lacks from the peer that
// asks and from those that it names, and checks every byte: it takes nobody's word.
type HoldRequest struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Zone  capsule.ZoneID
	Facts [][]byte // encodings of machine.Attest, at most MaxHolds: the payloads to sign
	// Lease is the right to ask for storage: a worker's, for the capsule that it runs. A voter of the zone needs none.
	Lease LeaseRef
	// Envelope is the capsule whose code a continuation is to fit. Only FactFits needs it.
	Envelope []byte
	Holders  []Peer // who has the content beside the one that asks, at most MaxHolders
	// Target is the zone that the capsule is about to be offered to, or zero: its voters may fetch the content meanwhile.
	Target capsule.ZoneID
}

// HoldReply has the voter's signatures under the facts, in their order.
type HoldReply struct {
	_    struct{} `cbor:",toarray"`
	V    uint8
	Sigs []capsule.Sig
}
