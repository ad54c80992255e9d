package api

import (
	"fmt"
	"slices"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// MaxWait bounds how long a node lets a result request wait.
const MaxWait = 60_000 // ms

// ResultRequest asks how a capsule ended. A node that has nothing to tell answers CodeTimeout after Wait.
// Without a wait it asks whether the zone knows the capsule at all: CodeTimeout if it does, CodeUnknown if it does not, each
// from a state that no voter is ahead of.
type ResultRequest struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Capsule           capsule.ID
	Generation, Epoch uint64 // newest voter set that the client has
	Wait              uint64 // ms, at most MaxWait
	// Pauses is how many suspensions the client knows of: it is told of the next one as of an end. NoPauses asks for the
	// end alone.
	Pauses uint32
	// Receipt asks for the lineage too.
	Receipt bool
}

// NoPauses is the value of ResultRequest.Pauses for a client that doesn't top up.
const NoPauses = 1<<32 - 1

// Outcome is a certified decision about a capsule with all that is needed to verify it.
//
// Invariant: capsule.Sum(Body) is the certificate's Decision.Body.
type Outcome struct {
	_           struct{} `cbor:",toarray"`
	V           uint8
	Certificate []byte // encoding of a cert.Certificate
	Body        []byte // what Decision.Body is the hash of: a machine.EndBody, or a machine.SegmentBody of a suspension
	Output      []byte // what EndBody.Output is the hash of: the result, or the message and stack trace of a failure
	Events      []Emitted
	Epochs      [][]byte // encodings of cert.SignedAdmin that lead from the client's voter set to the certificate's
	Lineage     []byte   // encoding of a handover.Lineage, if a receipt was asked for, or empty
}

// MaxOutcome bounds an Outcome: the largest result, and as many epochs as one reply may have.
const MaxOutcome = 1 << 20

// Emitted is an event that a capsule published in its last segment. Only their number is certified. Who watches is told of
// those of all segments.
type Emitted struct {
	_       struct{} `cbor:",toarray"`
	Segment uint32
	N       uint32 // position in its segment
	Topic   string
	Data    []byte
}

// Zone is the zone whose certificate the outcome has, before anything is verified: a capsule may end elsewhere than it
// began.
func (o *Outcome) Zone() (capsule.ZoneID, error) {
	c, err := cert.ParseCertificate(o.Certificate)
	if err != nil {
		return capsule.ZoneID{}, err
	}
	return c.Decision.Zone, nil
}

// Verify checks an outcome against what the client knows of the zone, and returns the decision. tracker learns the epochs
// on the way. Success proves that the zone decided so about this capsule, and that Body and Output are what it decided.
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
	if d.Slot.Phase == cert.PhaseRun && d.Verdict != cert.Committed {
		end, err := o.End()
		if err != nil {
			return nil, err
		}
		if capsule.Sum(o.Output) != end.Output {
			return nil, fmt.Errorf("the output of %s is not what was certified", d.Slot)
		}
	}
	return d, nil
}

// End is the body of a decision that ended the capsule.
func (o *Outcome) End() (*machine.EndBody, error) {
	b := new(machine.EndBody)
	if err := capsule.Unmarshal(o.Body, b); err != nil {
		return nil, fmt.Errorf("decode the end of a capsule: %w", err)
	}
	return b, nil
}

// Pause is the body of a decision that suspended the capsule.
func (o *Outcome) Pause() (*machine.SegmentBody, error) {
	b := new(machine.SegmentBody)
	if err := capsule.Unmarshal(o.Body, b); err != nil {
		return nil, fmt.Errorf("decode the suspension of a capsule: %w", err)
	}
	return b, nil
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
	EventStatus  EventKind = 1 + iota // a decision: Outcome is set, Text the status, N the place of one that waits for a worker
	EventLease                        // a worker took or lost the segment: Text its key
	EventLog                          // a line that the capsule logged: N its level
	EventDenied                       // a call was refused: Text the call and the resource, N the error code
	EventRetry                        // a segment is run again: Text the reason
	EventEmitted                      // the capsule emitted Data under the topic Text, as the N-th event of its segment, from 0
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
	// First are attestations that the command needs, at most MaxHolds: they stand before it in the same entry.
	First [][]byte
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
	Voters     []Peer   // first the one to turn to first: the leader, if it is known
	Gateways   []Peer
}

// First puts k before the others, if it is among keys.
func First(keys []capsule.Key, k capsule.Key) {
	if i := slices.Index(keys, k); i > 0 {
		copy(keys[1:], keys[:i])
		keys[0] = k
	}
}

// Zones is the reply to a ZoneRequest.
type Zones struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Zones []ZoneInfo
}
