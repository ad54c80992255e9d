package machine

import (
	"encoding/binary"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// Tables, by the first byte of a row's key. Every row but tabHash is under the state hash.
const (
	tabHash      = 0x00 // the state hash's accumulator
	tabSingle    = 'm'  // one row each: see below
	tabAccount   = 'a'  // key → Account
	tabNonce     = 'N'  // author, nonce → capsule ID
	tabCapsule   = 'c'  // ID → CapsuleRow
	tabProgram   = 'e'  // ID → ProgramRow
	tabInline    = 'i'  // ID → inline continuation
	tabCheck     = 'j'  // ID → inline continuation of a checkpoint
	tabJournal   = 'J'  // ID → inline journal of a checkpoint
	tabSlots     = 's'  // ID → SlotRows of a capsule that has a row
	tabStray     = 'u'  // ID → SlotRows of one that has none, or had none then
	tabOutput    = 'o'  // ID → Output
	tabReady     = 'q'  // sequence → capsule ID: waiting for a worker
	tabWorker    = 'w'  // key → WorkerRow
	tabFree      = 'f'  // key → nothing: workers with a free slot
	tabHeldBy    = 'W'  // worker, capsule ID → nothing: who leases what
	tabTimer     = 't'  // time, kind, name → nothing
	tabLease     = 'l'  // index → number of live leases that read there
	tabData      = 'd'  // user key → version, value
	tabHistory   = 'h'  // length, user key, ^version → value
	tabGarbage   = 'g'  // index of death, sequence → key of a row to delete
	tabNamespace = 'n'  // name → NamespaceRow
	tabRevoked   = 'R'  // grant hash → expiry
	tabIdem      = 'I'  // key → IdemRow
	tabEvent     = 'E'  // sequence → EventRow
	tabBlob      = 'b'  // CID → BlobRow
	tabLock      = 'k'  // capsule ID → LockRow
	tabWaitLock  = 'K'  // capsule ID → LockRow: waiting, in capsule-ID order
	tabEpoch     = 'p'  // epoch number → cert.SignedAdmin
	tabSource    = 'S'  // ID, hop → OutRow: what this zone has offered
	tabTarget    = 'T'  // ID → TargetRow: the hops that were offered here
	tabLineage   = 'L'  // ID → handover.Lineage up to here
	tabPeer      = 'P'  // zone → PeerRow: another zone's voter sets, ledger and evidence
	tabRetries   = 'y'  // capsule ID → Retries
	tabChain     = 'x'  // index mod chainWindow → ChainRow
)

// chainWindow is how many indices back the chain is remembered, for voters that restart.
const chainWindow = 1024

var (
	keyHash    = []byte{tabHash}
	keyHead    = []byte("mhead")
	keyGenesis = []byte("mgenesis")
	keyZone    = []byte("mzone")
	keyVoters  = []byte("mvoters")
	keyPolicy  = []byte("mpolicy")
	keyTotals  = []byte("mtotals")
	keyCounts  = []byte("mcounts")
)

// row joins a table and the parts of a key.
func row(tab byte, parts ...[]byte) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	k := append(make([]byte, 0, n), tab)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// Head is where the log stands.
type Head struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Time  uint64 // zone time, ms
	Chain capsule.Hash
}

// Zone is what changes only by administration.
type Zone struct {
	_             struct{} `cbor:",toarray"`
	ID            capsule.ZoneID
	Generation    uint64
	AdminSequence uint64 // of the last act
	LastAct       capsule.Hash
	PolicyVersion uint64
	Feature       uint32
	Supported     uint32 // feature level that all voters have attested
	RevokedCount  uint64 // revocations so far: rights that were checked at this count need no new check
}

// Totals are what conservation is asserted over: Available + Held + Burned + Sent = Minted + Received.
type Totals struct {
	_                               struct{} `cbor:",toarray"`
	Available, Held, Burned, Minted uint64
	Sent, Received                  uint64 // with capsules to and from other zones; what came back was not sent
}

func (t *Totals) conserved() bool {
	return t.Available+t.Held+t.Burned+t.Sent == t.Minted+t.Received
}

// Counts are sizes and sequences.
type Counts struct {
	_                   struct{} `cbor:",toarray"`
	Live, Queued, Locks uint32
	Workers, FreeSlots  uint32
	Ready, Event, Trash uint64      // next sequence in tabReady, tabEvent, tabGarbage
	Garbage             uint64      // rows in tabGarbage
	Floor               uint64      // oldest index that can be read
	LastWorker          capsule.Key // the search for a free worker begins after it
	Admitted, Ended     uint64      // capsules, ever
	UnitsSpent          uint64      // settled, ever
	UnitsRetried        uint64
}

// Account holds credits.
type Account struct {
	_               struct{} `cbor:",toarray"`
	Available, Held uint64
}

// Status is where a capsule stands in its life.
type Status uint8

const (
	StatusReady     Status = 1 + iota // waits for a worker
	StatusRunning                     // leased
	StatusLocking                     // waits for the locks of its read set
	StatusSleeping                    // until Due
	StatusSuspended                   // out of gas, until a top-up
	StatusDone                        // ended: see Output
	StatusFailed
	StatusCancelled
	StatusExpired
	StatusOffered // to another zone
	StatusAsked   // and that zone is to say yes or no now
	StatusLimbo   // and that zone stays silent
	StatusGone    // another zone owns it
	StatusAbandoned
)

var statusNames = [...]string{
	StatusReady: "ready", StatusRunning: "running", StatusLocking: "locking", StatusSleeping: "sleeping",
	StatusSuspended: "suspended", StatusDone: "done", StatusFailed: "failed", StatusCancelled: "cancelled",
	StatusExpired: "expired", StatusOffered: "offered", StatusAsked: "asked", StatusLimbo: "limbo", StatusGone: "gone",
	StatusAbandoned: "abandoned",
}

// String returns the status in one word.
func (s Status) String() string {
	if int(s) >= len(statusNames) || s == 0 {
		return "unknown"
	}
	return statusNames[s]
}

// Ended reports whether nothing more will happen to the capsule here.
func (s Status) Ended() bool {
	switch s {
	case StatusDone, StatusFailed, StatusCancelled, StatusExpired, StatusGone, StatusAbandoned:
		return true
	}
	return false
}

// CapsuleRow is a capsule as its zone holds it.
//
// Invariant: Due is the time of the capsule's one row in tabTimer, or 0.
type CapsuleRow struct {
	_             struct{} `cbor:",toarray"`
	Author, Payer capsule.Key
	Nonce         [16]byte
	Status        Status
	Hop, Segment  uint32
	In            uint32 // hop of the slot by which this zone became the owner: admission at 0, or acceptance
	Since         uint64 // zone time of the last change of status
	Expires       uint64
	Due           uint64
	Wake          uint64 // while StatusSleeping; while StatusLimbo, when it is given up, or 0
	Queue         uint64 // its sequence in tabReady while StatusReady, else 0
	Pages         uint32
	StateBytes    uint64 // bound of Saved.Size
	CancelAsked   bool
	Run           RunState
	Gas           GasState
	Lease         Lease
	Admitted      Admission // its admission here, if it was
	Slots         bool      // there is a row in tabSlots
}

// Admission is the outcome by which a capsule came to its home. At is 0 if there was none.
type Admission struct {
	_    struct{} `cbor:",toarray"`
	At   uint64   // entry that decided it, or restated it last
	Body []byte
}

// LeasedTo reports whether the capsule runs under a worker's lease of that number.
func (c *CapsuleRow) LeasedTo(worker capsule.Key, number uint64) bool {
	return c.Status == StatusRunning && c.Lease.Worker == worker && c.Lease.Number == number
}

// RunState is where the execution stands.
type RunState struct {
	_         struct{} `cbor:",toarray"`
	Saved     SavedRow // at the segment's start; State is absent while the capsule is fresh
	Fresh     bool
	Check     SavedRow // last checkpoint in this segment, if Pin is set
	Meter     uint64   // units at the checkpoint
	Pin       uint64   // index that the checkpoint's reads are of, 0 if there is none
	Pinned    bool     // the pin counts in tabLease
	Conflicts uint8    // in this segment
	Seed      capsule.Hash
	Clock     uint64 // zone time of the segment: what its guest reads as now
	Resume    int32  // result of the host call that ended the last segment
	Pauses    uint32 // suspensions so far
	Retried   bool   // there is a row in tabRetries
}

// SavedRow is a continuation that a zone keeps. Its bytes stand in tabInline or tabCheck, or are a blob; those of its
// journal in tabJournal, or are a blob.
type SavedRow struct {
	_         struct{} `cbor:",toarray"`
	State     capsule.CID
	StateHash capsule.Hash
	Size      uint64
	Inline    bool
	Journal   capsule.CID
	Entries   bool // the journal is inline
}

// GasState is a capsule's budget. Units are spent against Limit; credits are settled once, at the end.
//
// Invariant: Spent + Retry ≤ Limit, and Hold ≥ Reserve + the cost of Limit at Price.
type GasState struct {
	_            struct{} `cbor:",toarray"`
	Limit        uint64   // units
	Spent, Retry uint64   // units; Retry is what conflicts wasted
	Price        Price    // at admission, or acceptance
	Hold         uint64   // credits held of the payer's account
	Reserve      uint64   // part of Hold that the guest cannot spend
	Rent         uint64   // credits owed for kept state
	Certificates uint32
	TopUps       []Hold // of others than the payer, settled after the payer's own
	Used, Paid   uint64 // units and credits that earlier stays have cost: settled already
}

// Hold is credits held of one account for one capsule.
type Hold struct {
	_       struct{} `cbor:",toarray"`
	Account capsule.Key
	Amount  uint64
}

// left returns the units that may still be spent.
func (g *GasState) left() uint64 { return g.Limit - g.Spent - g.Retry }

// Lease is a worker's temporary ownership of a segment. Number fences: it only grows.
type Lease struct {
	_       struct{}    `cbor:",toarray"`
	Worker  capsule.Key // zero: not leased
	Number  uint64      // of the last lease, kept when it has ended
	Index   uint64      // the state that the segment reads
	Expires uint64      // zone time
	Locked  bool
}

// Retries are the attempts at segments of a capsule that came to nothing, in this zone. Last holds the latest ones.
type Retries struct {
	_     struct{} `cbor:",toarray"`
	Count uint32
	Last  []Retry
}

// maxRetries bounds Retries.Last.
const maxRetries = 8

// Retry is one of them. Units are those that the capsule was charged for it beside the work that counts.
type Retry struct {
	_       struct{} `cbor:",toarray"`
	Segment uint32
	Cause   RetryCause
	Worker  capsule.Key // that made the attempt; zero for CauseStale
	Units   uint64
	At      uint64 // zone time
}

// RetryCause says why an attempt came to nothing.
type RetryCause uint8

// The causes. The numbers are part of the encoding.
const (
	CauseLost      RetryCause = 1 + iota // the worker fell silent, and its lease ran out
	CauseReturned                        // the worker gave the segment back
	CauseConflict                        // what it had read was changed by another capsule
	CauseDismissed                       // the worker lost its right to work
	CauseRecovery                        // the zone's roots began a new generation
	CauseStale                           // the checkpoint was too old to go on from
	CauseRestarted                       // the worker's process ended, and another took its place before the lease ran out
)

var causeNames = [...]string{
	CauseLost: "its worker fell silent", CauseReturned: "its worker gave it back", CauseConflict: "what it had read was changed meanwhile",
	CauseDismissed: "its worker may not work any more", CauseRecovery: "the zone was recovered", CauseStale: "its checkpoint was too old to go on from",
	CauseRestarted: "its worker began anew",
}

// String returns the cause in words.
func (c RetryCause) String() string {
	if c == 0 || int(c) >= len(causeNames) {
		return "an unknown cause"
	}
	return causeNames[c]
}

// ProgramRow is what only the execution of a capsule needs.
type ProgramRow struct {
	_        struct{} `cbor:",toarray"`
	Envelope []byte
	Rights   Rights
}

// Rights are what an admitted capsule may do here. They never change.
type Rights struct {
	_      struct{} `cbor:",toarray"`
	Caps   []capsule.Cap
	Until  uint64         // earliest expiry of the chains that they rest on
	Grants []capsule.Hash // every link of them
	Seen   uint64         // Zone.RevokedCount at admission
}

// SlotRow is an outcome that was decided, with the content of its Body.
type SlotRow struct {
	_            struct{} `cbor:",toarray"`
	Hop, Segment uint32
	Phase        cert.Phase
	Verdict      cert.Verdict
	At           uint64 // entry that decided it, or restated it last
	Body         []byte
}

// SlotRows are a capsule's outcomes: all at hop boundaries, the newest of the others.
type SlotRows struct {
	_    struct{} `cbor:",toarray"`
	Rows []SlotRow
}

// Output is a capsule's end.
type Output struct {
	_               struct{} `cbor:",toarray"`
	Status          Status
	Reason          Code // of an end that the zone decided, or ""
	Code            uint32
	Data            []byte // result, or message and trace
	Charged         uint64
	Refunded, Fee   uint64
	Spent, Retry    uint64
	Ended           uint64 // zone time
	Burned          uint64 // written off beyond the charge
	EventsFirst     uint64
	EventsPublished uint32
}

// WorkerRow is a worker as its zone knows it.
//
// Invariant: Due is the time of the worker's one row in tabTimer.
type WorkerRow struct {
	_                struct{} `cbor:",toarray"`
	Sequence         uint64
	Slots, Used      uint32
	Pages, UsedPages uint32
	Drain            bool           // by its own wish
	Closed           bool           // by the roots' wish
	Suspect          bool           // lost a lease and was not heard of since, or may not work any more
	Until            uint64         // its right to work ends; 2^62 − 1 where anybody may
	Grants           []capsule.Hash // every link that the right rests on
	Seen             uint64         // zone time of the last command
	Due              uint64
}

// NamespaceRow is a part of the key space with an owner.
type NamespaceRow struct {
	_        struct{} `cbor:",toarray"`
	Owner    capsule.Key
	Sequence uint64 // changes of owner
	Quota    uint64 // bytes of keys and values
	Used     uint64
	PaidTo   uint64 // rent is paid up to this time
	Frozen   bool   // the rent is due: no writes
}

// IdemRow remembers the result of a command.
type IdemRow struct {
	_       struct{} `cbor:",toarray"`
	Command capsule.Hash
	Expires uint64
	Result  storedResult
}

type storedResult struct {
	_      struct{} `cbor:",toarray"`
	Status Status
	N      uint64
}

// EventRow is an event in the outbox.
type EventRow struct {
	_     struct{} `cbor:",toarray"`
	Slot  cert.Slot
	N     uint32 // position in its commit
	At    uint64 // zone time
	Event Event
}

// BlobRow counts who needs a blob and how long its holders promised to keep it.
type BlobRow struct {
	_    struct{} `cbor:",toarray"`
	Refs uint32
	Keep uint64 // zone time
	Size uint64
	Fits capsule.CID // code that it was attested to fit, if it is a continuation
	Due  uint64      // of its row in tabTimer
}

// LockRow is a read set that only one capsule's lease may change.
type LockRow struct {
	_      struct{} `cbor:",toarray"`
	Keys   [][]byte
	Ranges [][]byte // prefixes
	Until  uint64   // once the locks are held
}

// ChainRow is the chain at an earlier index.
type ChainRow struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Chain capsule.Hash
}
