package api

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// MaxWait bounds how long a node lets a result request wait.
const MaxWait = 60_000 // ms

// ResultRequest asks how a capsule ended. A node that knows nothing final answers CodeTimeout after Wait.
type ResultRequest struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Capsule           capsule.ID
	Generation, Epoch uint64 // newest voter set that the client has
	Wait              uint64 // ms, at most MaxWait
}

// Outcome is a certified decision about a capsule with all that is needed to verify it.
//
// Invariant: capsule.Sum(Body) is the certificate's Decision.Body.
type Outcome struct {
	_           struct{} `cbor:",toarray"`
	V           uint8
	Certificate []byte   // encoding of a cert.Certificate
	Body        []byte   // what Decision.Body is the hash of
	Epochs      [][]byte // encodings of cert.SignedAdmin that lead from the client's voter set to the certificate's
}

// Verify checks an outcome against what the client knows of the zone, and returns the decision. tracker learns the epochs
// on the way. Success proves that the zone decided so about this capsule.
func (o *Outcome) Verify(tracker *cert.Tracker, id capsule.ID) (*cert.Decision, error) {
	if o.V != Version {
		return nil, fmt.Errorf("outcome has version %d, want %d", o.V, Version)
	}
	for i, b := range o.Epochs {
		var s cert.SignedAdmin
		if err := capsule.Unmarshal(b, &s); err != nil {
			return nil, fmt.Errorf("decode epoch %d on the way: %w", i, err)
		}
		if err := tracker.Follow(&s); err != nil {
			return nil, fmt.Errorf("epoch %d on the way: %w", i, err)
		}
	}
	c, err := cert.ParseCertificate(o.Certificate)
	if err != nil {
		return nil, err
	}
	d := &c.Decision
	if d.Slot.Capsule != id {
		return nil, fmt.Errorf("the certificate is about capsule %s, want %s", d.Slot.Capsule, id)
	}
	if capsule.Sum(o.Body) != d.Body {
		return nil, fmt.Errorf("the body of the decision for %s is not what was certified", d.Slot)
	}
	if err := tracker.Verify(c); err != nil {
		return nil, err
	}
	return d, nil
}

// WatchRequest asks for everything that happens to a capsule from a sequence number on, until it ends.
type WatchRequest struct {
	_       struct{} `cbor:",toarray"`
	V       uint8
	Zone    capsule.ZoneID
	Capsule capsule.ID
	After   uint64 // last sequence number seen, 0 for all that the node still has
}

// EventKind says what a WatchEvent is about.
type EventKind uint8

// The kinds. Only those with a certificate are more than what one node says.
const (
	EventStatus  EventKind = 1 + iota // a decision: Outcome is set, Text the status
	EventLease                        // a worker took or lost the segment: Text its key
	EventLog                          // a line that the capsule logged: N its level
	EventDenied                       // a call was refused: Text the call and the resource, N the error code
	EventRetry                        // a segment is run again: Text the reason
	EventEmitted                      // the capsule emitted Data under the topic Text
	EventGas                          // units used so far: N
	eventKinds
)

// WatchEvent is one thing that happened. Sequence numbers are the node's own and have gaps where it forgot.
type WatchEvent struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Sequence uint64
	Kind     EventKind
	Time     uint64 // zone milliseconds
	Segment  uint32
	N        uint64
	Text     string
	Data     []byte
	Outcome  []byte // encoding of an Outcome, of EventStatus
	Final    bool   // nothing follows
}

// Bounds of an event's parts.
const (
	MaxEventText = 4096
	MaxEventData = 64 << 10
)

// Check holds an event to its bounds.
func (e *WatchEvent) Check() error {
	if e.V != Version || e.Kind == 0 || e.Kind >= eventKinds || len(e.Text) > MaxEventText || len(e.Data) > MaxEventData {
		return fmt.Errorf("%w: an event beyond its bounds", ErrMessage)
	}
	return nil
}

// CommandRequest hands a voter one command of the zone's state machine, signed by whoever may give it.
type CommandRequest struct {
	_       struct{} `cbor:",toarray"`
	V       uint8
	Zone    capsule.ZoneID
	Command []byte // at most MaxCommand
}

// MaxCommand bounds a command: a commit with all the writes that one segment may make.
const MaxCommand = 8 << 20

// CommandReply says that a command was applied; one that was not is a Refusal with the state machine's code.
type CommandReply struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Index    uint64 // of the log
	Repeated bool   // it had been applied before
	Status   string // of the capsule it was about, "" if about none
	N        uint64 // place in the queue of an admission, version written of data
}

// ZoneRequest asks what a node knows of a zone; a zero Zone asks for those that it serves.
type ZoneRequest struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Generation, Epoch uint64 // newest voter set that the asker has
}

// Peer is where a key can be reached. Addresses are hints: the key is authenticated on connecting.
type Peer struct {
	_     struct{} `cbor:",toarray"`
	Key   capsule.Key
	Addrs []string // multiaddrs, at most MaxAddrs
}

// Bounds of a ZoneInfo.
const (
	MaxAddrs  = 8
	MaxZones  = 16
	MaxEpochs = 64 // of one reply; ask again from there
)

// ZoneInfo is how a zone stands, as a node tells it.
type ZoneInfo struct {
	_          struct{} `cbor:",toarray"`
	V          uint8
	Zone       capsule.ZoneID
	Genesis    []byte   // whose hash is Zone
	Epochs     [][]byte // encodings of cert.SignedAdmin that follow the asker's voter set
	Descriptor []byte   // encoding of a cert.SignedDescriptor, or empty
	Voters     []Peer
	Gateways   []Peer
}

// Zones is the reply to a ZoneRequest.
type Zones struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Zones []ZoneInfo
}
