package machine

import (
	"github.com/kitwork/kwnode/capsule"
)

// ResourceWorker is the resource on which Write lets a key work for a zone.
const ResourceWorker = "worker"

// AdmitState is a capsule with the state that its manifest names.
type AdmitState struct {
	_        struct{} `cbor:",toarray"`
	Envelope []byte
	State    []byte // 1 to MaxInline bytes
}

// Tick moves zone time. Voters sign it only near their own clocks.
type Tick struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Epoch uint64
	At    uint64 // ms since 1970
}

// Fact is what an Attest is about.
type Fact uint8

const (
	// FactHeld: Blob is held by enough voters until Until, and was checked against the code Other if that is named.
	FactHeld Fact = 1 + iota
	// FactFits: the continuation Blob was checked against the code Other.
	FactFits
	// FactSupports: all voters run a binary that knows feature level Until.
	FactSupports
	factEnd
)

// Attest brings a fact that no replica can compute into the log, on the word of a quorum.
type Attest struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Epoch uint64
	Fact  Fact
	Blob  capsule.CID
	Other capsule.CID
	Size  uint64 // bytes of Blob
	Until uint64 // keep until, ms; or a feature level
}

// Register announces a worker or changes what it offers.
type Register struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Sequence uint64 // greater than in any command before from this worker
	Slots    uint32 // segments at a time
	Pages    uint32 // memory for all of them, 64 KiB each
	Drain    bool   // take no more work
	Began    bool   // the worker has just begun, and knows nothing of leases that it held before
	Chain    capsule.Chain
}

// LeaseRef names a lease.
type LeaseRef struct {
	_       struct{} `cbor:",toarray"`
	Capsule capsule.ID
	Number  uint64
}

// Renew keeps a worker's leases alive and gives back those that it will not finish.
type Renew struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Sequence uint64
	Keep     []LeaseRef
	Drop     []LeaseRef
}

// Read is a key that a segment read outside its own writes.
type Read struct {
	_       struct{} `cbor:",toarray"`
	Key     []byte
	Version uint64       // index at which the value was written; 0 = there was none
	Hash    capsule.Hash // of the value; zero if there was none
}

// ScanRead is a range that a segment scanned: the keys with Prefix, greater than After, up to and
// including Last, or to the end of the prefix if Last is empty.
type ScanRead struct {
	_                   struct{} `cbor:",toarray"`
	Prefix, After, Last []byte
	Rows                uint32
	Hash                capsule.Hash // see ScanHash
}

// Write is a change to a user's row.
type Write struct {
	_      struct{} `cbor:",toarray"`
	Key    []byte
	Value  []byte
	Delete bool // Invariant: Value is empty if set
}

// Event is data for the outside. Its identity is (slot, position in the commit).
type Event struct {
	_     struct{} `cbor:",toarray"`
	Topic string
	Data  []byte
}

// End is how a segment ended.
type End uint8

const (
	EndDone   End = 1 + iota // the capsule returned
	EndFail                  // it reported an error; the segment's writes are dropped
	EndTrap                  // it trapped; the segment's writes are dropped
	EndSleep                 // it waits until Due
	EndYield                 // its effects become visible and it goes on
	EndGoto                  // it asks to continue in Target
	EndDry                   // it ran out of gas: saved as a checkpoint, no effect yet
	EndCancel                // the worker stopped it because its author cancelled
	endEnd
)

// ends reports whether the capsule is over.
func (e End) ends() bool { return e == EndDone || e == EndFail || e == EndTrap || e == EndCancel }

// effects reports whether the segment's writes and events take effect.
func (e End) effects() bool {
	return e == EndDone || e == EndSleep || e == EndYield || e == EndGoto
}

// Saved is a continuation. Small ones travel inline, larger ones as blobs; either way State names the
// bytes.
type Saved struct {
	_         struct{}     `cbor:",toarray"`
	State     capsule.CID  // of the continuation's bytes; absent if the capsule is over
	StateHash capsule.Hash // of the logical state
	Size      uint64       // bytes of the continuation
	Inline    []byte       // the bytes, if they fit
	Journal   capsule.CID  // of a checkpoint: the Journal so far; absent if nothing was read or held back
	Entries   []byte       // the journal's bytes, if they fit
}

// Segment names one attempt at one segment: fencing in three numbers.
type Segment struct {
	_            struct{} `cbor:",toarray"`
	Capsule      capsule.ID
	Hop, Segment uint32
	Lease        uint64
}

// Commit ends a segment: everything that it read, changed and became, in one transaction.
type Commit struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Segment Segment
	Gas     uint64 // the segment's meter, units since its start
	Reads   []Read
	Scans   []ScanRead
	Writes  []Write // Invariant: ascending by key, each once
	Events  []Event
	End     End
	Saved   Saved
	Due     uint64         // EndSleep: zone time
	Target  capsule.ZoneID // EndGoto
	Code    uint32         // EndFail, EndTrap
	Output  []byte         // result, or message and stack trace
}

// Checkpoint saves a segment that still runs, so that a successor need not start over. It has no effect.
type Checkpoint struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Segment Segment
	Gas     uint64
	Saved   Saved
}

// Cancel ends a capsule on its author's word. Envelope proves the authorship of a capsule that the zone
// has not seen; its admission is barred then.
type Cancel struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Capsule  capsule.ID
	Envelope []byte
}

// TopUp adds gas to a capsule from the signer's account.
type TopUp struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Key     [16]byte // idempotency key: signed, so that nobody can repeat the command under another
	Capsule capsule.ID
	Units   uint64
	Expires uint64
}

// Data writes rows without a capsule.
type Data struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Key     [16]byte // idempotency key, as in TopUp
	Expires uint64   // the request means nothing later
	Reads   []Read   // what must still hold
	Writes  []Write
	Chain   capsule.Chain // from an owner to the signer; empty if the signer owns the namespaces
}

// RevokeGrant withdraws the last grant of Chain. The signer is an issuer in it.
type RevokeGrant struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Chain capsule.Chain
}

// Transfer gives a namespace to another owner.
type Transfer struct {
	_ struct{} `cbor:",toarray"`
	Scope
	Namespace string
	Sequence  uint64 // of the namespace's changes of owner
	To        capsule.Key
}

// Bodies of administrative operations that package cert does not define.

// Credit mints credits into an account.
type Credit struct {
	_       struct{} `cbor:",toarray"`
	Account capsule.Key
	Amount  uint64
}

// GiveNamespace creates a namespace or changes its owner and quota.
type GiveNamespace struct {
	_     struct{} `cbor:",toarray"`
	Name  string
	Owner capsule.Key
	Quota uint64 // bytes of keys and values
}

// SetFeature raises the feature level.
type SetFeature struct {
	_     struct{} `cbor:",toarray"`
	Level uint32
}

// SetWorker is the body of cert.OpWorker: whether a worker may have leases. One that may not saves what it runs and gives
// it back; what it does not give back it loses as any worker does that is silent.
type SetWorker struct {
	_      struct{} `cbor:",toarray"`
	Worker capsule.Key
	Drain  bool
}
