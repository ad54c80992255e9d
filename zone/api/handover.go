package api

import (
	"github.com/kitwork/kwnode/capsule"
)

// ProtoHandover is how a zone that releases a capsule speaks to the zone that is to take it: HandoverRequest →
// HandoverReply. Who brings a message does not matter, since everything in it is certified.
const ProtoHandover = "/kitwork/handover/1"

// HandoverKind says what a HandoverRequest is about.
type HandoverKind uint8

// The kinds, each with what Body encodes.
const (
	HandoverOffer   HandoverKind = 1 + iota // handover.Transfer: take this capsule
	HandoverCancel                          // handover.Transfer: say yes or no to it now
	HandoverExpired                         // handover.Offer: its time is over, and nothing was heard
	HandoverClosed                          // machine.Closed: the acceptance is known
	HandoverAhead                           // Ahead: an offer with this state is about to come
)

// MaxHandover bounds a request: an envelope, an inline state and the longest lineage.
const MaxHandover = 1 << 20

// HandoverRequest is one message from a capsule's owner to another zone.
type HandoverRequest struct {
	_      struct{} `cbor:",toarray"`
	V      uint8
	Zone   capsule.ZoneID // that is asked
	Source capsule.ZoneID
	Kind   HandoverKind
	Body   []byte
	Epochs [][]byte // encodings of the cert.SignedAdmin that lead to the source's present voters, at most MaxEpochs
}

// Ahead tells of a state that its sender, a voter of the source, has and is about to offer. It proves nothing and binds
// nobody: who hears of it may have the state by the time the offer comes.
type Ahead struct {
	_     struct{} `cbor:",toarray"`
	State capsule.CID
	Size  uint64
}

// HandoverReply is the certified answer. Of HandoverClosed and HandoverAhead all fields are empty.
type HandoverReply struct {
	_           struct{} `cbor:",toarray"`
	V           uint8
	Answer      []byte // encoding of a handover.Answer
	Certificate []byte // encoding of a cert.Certificate
	Epochs      [][]byte
}
