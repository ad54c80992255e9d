package machine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/cert"
)

// Errors of reads.
var (
	// ErrNotFound: the zone holds no such thing.
	ErrNotFound = errors.New("not found in this zone")
	// ErrCollected: the values at that index are gone; begin again at a newer one.
	ErrCollected = errors.New("the index is older than what the zone still keeps")
	// ErrFuture: this replica has not applied that index yet; wait, or ask another voter.
	ErrFuture = errors.New("the index is not applied here yet")
)

// View reads a zone's rows. It is as consistent as its Tx: give it a snapshot.
type View struct{ tx Tx }

// NewView returns a view of what tx holds.
func NewView(tx Tx) View { return View{tx: tx} }

func fetch[T any](v View, what string, key []byte) (T, error) {
	var out T
	b, ok, err := v.tx.Get(key)
	if err != nil {
		return out, fmt.Errorf("read %s: %w", what, err)
	}
	if !ok {
		return out, fmt.Errorf("%s: %w", what, ErrNotFound)
	}
	if err := capsule.Unmarshal(b, &out); err != nil {
		return out, fmt.Errorf("read %s: %w", what, err)
	}
	return out, nil
}

// Head returns where the log stands.
func (v View) Head() (Head, error) { return fetch[Head](v, "head", keyHead) }

// Zone returns what only administration changes.
func (v View) Zone() (Zone, error) { return fetch[Zone](v, "zone", keyZone) }

// Voters returns the current epoch.
func (v View) Voters() (cert.VoterSet, error) { return fetch[cert.VoterSet](v, "voters", keyVoters) }

// Epochs calls fn with the acts that led to the voter sets after an epoch, oldest first: what a reader that
// stands at that epoch follows, at most limit at a time.
func (v View) Epochs(after uint64, limit int, fn func(number uint64, act cert.SignedAdmin)) error {
	return list(v, tabEpoch, nil, be64(after), limit, func(k []byte, s cert.SignedAdmin) { fn(binary.BigEndian.Uint64(k), s) })
}

// Policy returns the current policy.
func (v View) Policy() (Policy, error) { return fetch[Policy](v, "policy", keyPolicy) }

// Totals returns the sums over all accounts.
func (v View) Totals() (Totals, error) { return fetch[Totals](v, "totals", keyTotals) }

// Counts returns sizes and sequences.
func (v View) Counts() (Counts, error) { return fetch[Counts](v, "counts", keyCounts) }

// Genesis returns the founding bytes.
func (v View) Genesis() ([]byte, error) {
	b, ok, err := v.tx.Get(keyGenesis)
	if err == nil && !ok {
		err = fmt.Errorf("genesis: %w", ErrNotFound)
	}
	return b, err
}

// StateHash returns the logical state hash.
func (v View) StateHash() (capsule.Hash, error) {
	b, _, err := v.tx.Get(keyHash)
	if err != nil {
		return capsule.Hash{}, err
	}
	var h ltHash
	if err := h.load(b); err != nil {
		return capsule.Hash{}, err
	}
	return h.digest(), nil
}

// ComputeStateHash goes through all rows and returns what StateHash should be, and whether it is: the
// check of a restored snapshot.
func (v View) ComputeStateHash() (capsule.Hash, bool, error) {
	var h ltHash
	for tab := 1; tab < 256; tab++ {
		err := v.tx.Scan([]byte{byte(tab)}, nil, func(k, val []byte) bool {
			h.add(k, val)
			return true
		})
		if err != nil {
			return capsule.Hash{}, false, err
		}
	}
	kept, err := v.StateHash()
	return h.digest(), kept == h.digest(), err
}

// ChainAt returns the chain after an index of the last 1,024 that were applied.
func (v View) ChainAt(index uint64) (capsule.Hash, bool) {
	r, err := fetch[ChainRow](v, "chain", row(tabChain, be64(index%chainWindow)))
	return r.Chain, err == nil && r.Index == index
}

// Deadline returns the zone time at which a tick is due, or 0.
func (v View) Deadline() (uint64, error) {
	var at uint64
	err := v.tx.Scan([]byte{tabTimer}, nil, func(k, _ []byte) bool {
		at = binary.BigEndian.Uint64(k[1:])
		return false
	})
	return at, err
}

// Account returns an account; one that was never used is empty.
func (v View) Account(k capsule.Key) (Account, error) {
	acc, err := fetch[Account](v, "account", row(tabAccount, k[:]))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return acc, err
}

// Capsule returns a capsule's row.
func (v View) Capsule(id capsule.ID) (CapsuleRow, error) {
	return fetch[CapsuleRow](v, "capsule "+id.String(), row(tabCapsule, id[:]))
}

// Output returns the end of a capsule that has ended.
func (v View) Output(id capsule.ID) (Output, error) {
	return fetch[Output](v, "result of "+id.String(), row(tabOutput, id[:]))
}

// Retries returns the attempts that came to nothing so far, of a capsule that has not ended.
func (v View) Retries(id capsule.ID) (Retries, error) {
	r, err := fetch[Retries](v, "retries", row(tabRetries, id[:]))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return r, err
}

// Envelope returns the bytes of a capsule that has not ended.
func (v View) Envelope(id capsule.ID) ([]byte, error) {
	p, err := fetch[ProgramRow](v, "envelope of "+id.String(), row(tabProgram, id[:]))
	return p.Envelope, err
}

// Continuation returns the inline bytes of where the capsule's segment starts, if they are inline;
// CheckpointBytes those of its checkpoint.
func (v View) Continuation(id capsule.ID) ([]byte, error) {
	return v.bytes("inline continuation", tabInline, id)
}

// CheckpointBytes returns the inline bytes of the capsule's checkpoint.
func (v View) CheckpointBytes(id capsule.ID) ([]byte, error) {
	return v.bytes("inline checkpoint", tabCheck, id)
}

func (v View) bytes(what string, tab byte, id capsule.ID) ([]byte, error) {
	b, ok, err := v.tx.Get(row(tab, id[:]))
	if err == nil && !ok {
		err = fmt.Errorf("%s of %s: %w", what, id, ErrNotFound)
	}
	return b, err
}

// Slots returns the outcomes of a capsule that are remembered, with the bodies that decisions hash.
func (v View) Slots(id capsule.ID) ([]SlotRow, error) {
	var c *CapsuleRow
	var slots SlotRows
	got, err := v.Capsule(id)
	if err == nil {
		if c = &got; c.Slots {
			slots, err = fetch[SlotRows](v, "outcomes", row(tabSlots, id[:]))
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	stray, err := fetch[SlotRows](v, "outcomes", row(tabStray, id[:]))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	all := outcomes(c, stray, slots)
	if len(all) == 0 {
		return nil, fmt.Errorf("outcomes of %s: %w", id, ErrNotFound)
	}
	return all, nil
}

// DecidedAt returns the entry that decided an outcome, or restated it last; 0 if it is not remembered.
func (v View) DecidedAt(s cert.Slot) (uint64, error) {
	r, _, err := v.Outcome(s)
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return r.At, err
}

// Outcome returns what was decided for a slot, if that is remembered. ErrNotFound says that nothing is of its capsule.
func (v View) Outcome(s cert.Slot) (r SlotRow, ok bool, err error) {
	rows, err := v.Slots(s.Capsule)
	for i := len(rows) - 1; i >= 0; i-- {
		if rows[i].slot(s.Capsule) == s {
			return rows[i], true, nil
		}
	}
	return SlotRow{}, false, err
}

// Rights returns what a capsule that has not ended may do.
func (v View) Rights(id capsule.ID) (Rights, error) {
	p, err := fetch[ProgramRow](v, "rights of "+id.String(), row(tabProgram, id[:]))
	return p.Rights, err
}

// Namespace returns a namespace's row.
func (v View) Namespace(name string) (NamespaceRow, error) {
	return fetch[NamespaceRow](v, "namespace "+name, row(tabNamespace, []byte(name)))
}

// Revoked reports whether a grant was withdrawn, by its hash. That is forgotten when the grant would have expired by itself.
func (v View) Revoked(grant capsule.Hash) (bool, error) {
	_, ok, err := v.tx.Get(row(tabRevoked, grant[:]))
	return ok, err
}

// Blob returns what the zone knows of a blob.
func (v View) Blob(c capsule.CID) (BlobRow, error) {
	return fetch[BlobRow](v, "blob "+c.String(), blobKey(c))
}

// Blobs lists what the zone knows of blobs, in the order of their names.
func (v View) Blobs(after capsule.CID, limit int, fn func(capsule.CID, BlobRow)) error {
	var from []byte
	if !after.IsZero() {
		from = blobKey(after)[1:]
	}
	return list(v, tabBlob, nil, from, limit, func(name []byte, b BlobRow) {
		fn(capsule.CID{Codec: capsule.Codec(name[0]), Digest: capsule.Hash(name[1:])}, b)
	})
}

// Worker returns a worker's row.
func (v View) Worker(k capsule.Key) (WorkerRow, error) {
	return fetch[WorkerRow](v, "worker "+k.String(), row(tabWorker, k[:]))
}

// list goes through a table and decodes at most limit rows after a name.
func list[T any](v View, tab byte, prefix, after []byte, limit int, fn func(name []byte, r T)) error {
	var fail error
	from := []byte(nil)
	if len(after) > 0 {
		from = row(tab, prefix, after)
	}
	err := v.tx.Scan(row(tab, prefix), from, func(k, val []byte) bool {
		if limit--; limit < 0 {
			return false
		}
		var r T
		if fail = capsule.Unmarshal(val, &r); fail != nil {
			fail = fmt.Errorf("row %q: %w", k, fail)
			return false
		}
		fn(k[1+len(prefix):], r)
		return true
	})
	return errors.Join(err, fail)
}

// Workers calls fn with at most limit workers whose keys are greater than after.
func (v View) Workers(after capsule.Key, limit int, fn func(capsule.Key, WorkerRow)) error {
	return list(v, tabWorker, nil, after[:], limit, func(k []byte, r WorkerRow) { fn(capsule.Key(k), r) })
}

// Capsules calls fn with at most limit capsules whose IDs are greater than after.
func (v View) Capsules(after capsule.ID, limit int, fn func(capsule.ID, CapsuleRow)) error {
	return list(v, tabCapsule, nil, after[:], limit, func(k []byte, r CapsuleRow) { fn(capsule.ID(k), r) })
}

// MaxPlace bounds how far back in the queue for workers a capsule's place is told.
const MaxPlace = 4096

// Places returns where capsules stand, from 1, of the first MaxPlace that wait for a worker.
func (v View) Places() (map[capsule.ID]uint64, error) {
	places := map[capsule.ID]uint64{}
	err := v.tx.Scan([]byte{tabReady}, nil, func(_, id []byte) bool {
		places[capsule.ID(id)] = uint64(len(places) + 1)
		return len(places) < MaxPlace
	})
	return places, err
}

// Namespaces calls fn with at most limit namespaces whose names are greater than after.
func (v View) Namespaces(after string, limit int, fn func(string, NamespaceRow)) error {
	return list(v, tabNamespace, nil, []byte(after), limit, func(k []byte, r NamespaceRow) { fn(string(k), r) })
}

// Accounts calls fn with at most limit accounts whose keys are greater than after.
func (v View) Accounts(after capsule.Key, limit int, fn func(capsule.Key, Account)) error {
	return list(v, tabAccount, nil, after[:], limit, func(k []byte, r Account) { fn(capsule.Key(k), r) })
}

// Events calls fn with at most limit events of the outbox after a sequence.
func (v View) Events(after uint64, limit int, fn func(seq uint64, e EventRow)) error {
	return list(v, tabEvent, nil, be64(after), limit, func(k []byte, r EventRow) { fn(binary.BigEndian.Uint64(k), r) })
}

// Outbox calls fn with at most limit hops after one that this zone has offered: those that wait for an answer, and those
// whose target is to be told that its answer has come.
func (v View) Outbox(after capsule.ID, hop uint32, limit int, fn func(id capsule.ID, hop uint32, o OutRow)) error {
	from := binary.BigEndian.AppendUint32(bytes.Clone(after[:]), hop)
	if after.IsZero() {
		from = nil
	}
	return list(v, tabSource, nil, from, limit, func(k []byte, r OutRow) {
		fn(capsule.ID(k[:len(after)]), binary.BigEndian.Uint32(k[len(after):]), r)
	})
}

// Offered returns a hop that this zone has offered.
func (v View) Offered(id capsule.ID, hop uint32) (OutRow, error) {
	return fetch[OutRow](v, "offer of "+id.String(), outKey(id, hop))
}

// Target returns what this zone has decided about hops of a capsule that were offered to it.
func (v View) Target(id capsule.ID) (TargetRow, error) {
	return fetch[TargetRow](v, "hops of "+id.String(), row(tabTarget, id[:]))
}

// Lineage returns the certificates that led a capsule here. Those of this zone's own decisions are blank, the admission
// too if this is its home.
func (v View) Lineage(id capsule.ID) (handover.Lineage, error) {
	l, err := fetch[handover.Lineage](v, "lineage of "+id.String(), row(tabLineage, id[:]))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return l, err
}

// Peer returns what this zone holds of another one.
func (v View) Peer(z capsule.ZoneID) (PeerRow, error) {
	return fetch[PeerRow](v, "peer zone "+z.String(), row(tabPeer, z[:]))
}

// Peers calls fn with at most limit zones that are pinned here, after one.
func (v View) Peers(after capsule.ZoneID, limit int, fn func(capsule.ZoneID, PeerRow)) error {
	return list(v, tabPeer, nil, after[:], limit, func(k []byte, r PeerRow) { fn(capsule.ZoneID(k), r) })
}

// Held calls fn with the capsules that a worker leases: what a worker asks for after a restart.
func (v View) Held(worker capsule.Key, fn func(capsule.ID)) error {
	prefix := row(tabHeldBy, worker[:])
	return v.tx.Scan(prefix, nil, func(k, _ []byte) bool {
		fn(capsule.ID(k[len(prefix):]))
		return true
	})
}

// Warrant is all that a worker needs to run a segment.
type Warrant struct {
	_        struct{} `cbor:",toarray"`
	Segment  Segment
	Worker   capsule.Key
	Index    uint64 // to read at
	Expires  uint64 // of the lease, zone time
	Units    uint64 // that the segment may use in all
	Fresh    bool
	Start    SavedRow // where the segment starts
	Check    SavedRow // a later point of it, if Meter or Check.State is set
	Meter    uint64   // units until Check
	Seed     capsule.Hash
	Clock    uint64
	Resume   int32
	Envelope []byte
	Inline   []byte // of Check if there is one, else of Start, when it is inline
	Entries  []byte // of Check's journal, when it is inline
}

// Body is what the warrant says of the Leased decision that it rests on.
func (w *Warrant) Body() *LeaseBody {
	return &LeaseBody{
		Fresh: w.Fresh, State: w.Start.State, StateHash: w.Start.StateHash, Seed: w.Seed, Clock: w.Clock, Units: w.Units, Resume: w.Resume,
	}
}

// Warrant returns the warrant for a running capsule.
func (v View) Warrant(id capsule.ID) (*Warrant, error) {
	c, err := v.Capsule(id)
	if err != nil {
		return nil, err
	}
	if c.Status != StatusRunning {
		return nil, fmt.Errorf("capsule %s is %s, nobody leases it", id, c.Status)
	}
	w := &Warrant{
		Segment: Segment{Capsule: id, Hop: c.Hop, Segment: c.Segment, Lease: c.Lease.Number}, Worker: c.Lease.Worker,
		Index: c.Lease.Index, Expires: c.Lease.Expires, Units: c.Gas.left(), Fresh: c.Run.Fresh, Start: c.Run.Saved,
		Check: c.Run.Check, Meter: c.Run.Meter, Seed: c.Run.Seed, Clock: c.Run.Clock, Resume: c.Run.Resume,
	}
	if w.Envelope, err = v.Envelope(id); err != nil {
		return nil, err
	}
	switch {
	case !w.Check.State.IsZero():
		if w.Check.Inline {
			w.Inline, err = v.CheckpointBytes(id)
		}
		if w.Check.Entries && err == nil {
			w.Entries, err = v.bytes("inline journal", tabJournal, id)
		}
	case w.Start.Inline:
		w.Inline, err = v.Continuation(id)
	}
	return w, err
}

// Row is a user's row as of an index.
type Row struct {
	_       struct{} `cbor:",toarray"`
	Key     []byte
	Version uint64
	Value   []byte
}

// checkIndex verifies that values at index can be read.
func (v View) checkIndex(index uint64) error {
	head, err := v.Head()
	if err != nil {
		return err
	}
	n, err := v.Counts()
	switch {
	case err != nil:
		return err
	case index > head.Index:
		return fmt.Errorf("%w: %d, applied is %d", ErrFuture, index, head.Index)
	case index < n.Floor:
		return fmt.Errorf("%w: %d, the oldest is %d", ErrCollected, index, n.Floor)
	}
	return nil
}

// Get returns a user's row as it was at index; 0 means now. ErrNotFound if there was none. It checks no
// rights.
func (v View) Get(key []byte, index uint64) (Row, error) {
	if index != 0 {
		if err := v.checkIndex(index); err != nil {
			return Row{}, err
		}
	}
	b, ok, err := v.tx.Get(row(tabData, key))
	if err != nil {
		return Row{}, err
	}
	if !ok {
		return Row{}, fmt.Errorf("key %q: %w", key, ErrNotFound)
	}
	r, ok, err := v.at(key, b, index)
	if err == nil && !ok {
		err = fmt.Errorf("key %q at index %d: %w", key, index, ErrNotFound)
	}
	return r, err
}

// at returns the version of a key at an index, given its newest.
func (v View) at(key, newest []byte, index uint64) (Row, bool, error) {
	version, deleted, val, err := decodeVersion(newest)
	if err != nil {
		return Row{}, false, err
	}
	if index == 0 || version <= index {
		return Row{Key: bytes.Clone(key), Version: version, Value: bytes.Clone(val)}, !deleted, nil
	}
	var out Row
	found := false
	h := historyKey(key, index)
	prefix := h[:len(h)-8]
	// Versions are stored inverted, so the first from here on is the newest that is not younger.
	err = v.tx.Scan(prefix, before(h), func(k, b []byte) bool {
		if len(b) > 0 && b[0] == 0 {
			out = Row{Key: bytes.Clone(key), Version: ^binary.BigEndian.Uint64(k[len(prefix):]), Value: bytes.Clone(b[1:])}
			found = true
		}
		return false
	})
	return out, found, err
}

// before returns the greatest key of the same length that is less than k, for keys that end in 8 bytes of
// number; nil if that is the first.
func before(k []byte) []byte {
	n := binary.BigEndian.Uint64(k[len(k)-8:])
	if n == 0 {
		return nil
	}
	return binary.BigEndian.AppendUint64(bytes.Clone(k[:len(k)-8]), n-1)
}

// Scan returns rows with prefix whose keys are greater than after (empty: from the first), as they were at
// index (0: now), until limit rows or size bytes are reached; more reports that rows may follow. A scan
// that is to be repeated in a commit names its last key, or none if more is false.
func (v View) Scan(prefix, after []byte, index uint64, limit int, size int) (rows []Row, more bool, err error) {
	if index != 0 {
		if err := v.checkIndex(index); err != nil {
			return nil, false, err
		}
	}
	from := []byte(nil)
	if len(after) > 0 {
		from = row(tabData, after)
	}
	var fail error
	err = v.tx.Scan(row(tabData, prefix), from, func(k, val []byte) bool {
		if limit <= 0 || size <= 0 {
			more = true
			return false
		}
		r, ok, e := v.at(k[1:], val, index)
		if e != nil {
			fail = e
			return false
		}
		if ok {
			rows = append(rows, r)
			limit--
			size -= len(r.Key) + len(r.Value)
		}
		return true
	})
	return rows, more, errors.Join(err, fail)
}
