package zone

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/store"
)

// Local rows: statements and decisions by index, and quorums by index.
const (
	localBatch  = 'B'
	localQuorum = 'Q'
)

// ErrNoCertificate says that no certificate of an outcome is at hand: ask for it to be restated.
var ErrNoCertificate = errors.New("no certificate of this outcome is at hand")

// ForkError says that a quorum signed another history than this replica applied: this replica's disk or its leader has
// deceived it, or too many voters lie.
type ForkError struct {
	Mine  cert.Statement
	Other cert.Quorate
}

func (e *ForkError) Error() string {
	return fmt.Sprintf("a quorum certified entry %d with chain %s and state %s, this replica has chain %s and state %s; keep this data directory as evidence",
		e.Mine.Index, e.Other.Statement.Chain, e.Other.Statement.State, e.Mine.Chain, e.Mine.State)
}

// batchRow is what is kept of an applied entry until nobody needs its certificates.
type batchRow struct {
	_         struct{} `cbor:",toarray"`
	Statement cert.Statement
	Decided   []decided
}

// decided is what tells a decision from the others of its entry.
type decided struct {
	_       struct{} `cbor:",toarray"`
	Slot    cert.Slot
	Verdict cert.Verdict
	Body    capsule.Hash
}

// decisions are those of the entry, whole.
func (r *batchRow) decisions() []cert.Decision {
	st := &r.Statement
	out := make([]cert.Decision, len(r.Decided))
	for i, d := range r.Decided {
		out[i] = cert.Decision{V: st.V, Zone: st.Zone, Generation: st.Generation, Epoch: st.Epoch, Index: st.Index, Time: st.Time,
			Slot: d.Slot, Verdict: d.Verdict, Chain: st.Chain, Body: d.Body}
	}
	return out
}

// certs keeps statements and the quorums that stand under them.
type certs struct {
	db  *store.Store
	log *slog.Logger
	// outcome returns the entry of the state that decided a slot, or restated it last; 0 if there is none.
	outcome func(cert.Slot) (uint64, error)

	mu      sync.Mutex // guards what follows
	mine    map[uint64]cert.Statement
	quorums map[uint64]*cert.Quorate
	waiters map[uint64][]chan struct{}
	newest  uint64 // greatest index in mine
	// Above began, the quorum of an index in mine stands in quorums or does not count: what the disk has from before the
	// start may be of a history that a recovery has left.
	began uint64
	// What the newest entries decided, as state and rows on disk say too: nearly every certificate is asked for at once.
	batches map[uint64]*cert.Batch
	slots   map[cert.Slot]uint64 // newest index of each of their decisions
	kept    []uint64             // indices in batches, oldest first
	decided int                  // decisions in batches
}

// maxDecided bounds the decisions that are kept in memory, each of some hundred bytes.
const maxDecided = 4096

// recent is how many indices are kept in memory, besides the rows on disk.
const recent = 4096

func newCerts(db *store.Store, log *slog.Logger) *certs {
	return &certs{db: db, log: log, outcome: stateOutcome(db), mine: map[uint64]cert.Statement{}, quorums: map[uint64]*cert.Quorate{}, waiters: map[uint64][]chan struct{}{},
		batches: map[uint64]*cert.Batch{}, slots: map[cert.Slot]uint64{}}
}

func indexKey(kind byte, i uint64) []byte { return binary.BigEndian.AppendUint64([]byte{kind}, i) }

func stateOutcome(db *store.Store) func(cert.Slot) (uint64, error) {
	return func(s cert.Slot) (uint64, error) {
		v, err := db.View()
		if err != nil {
			return 0, err
		}
		defer v.Close()
		return machine.NewView(v).DecidedAt(s)
	}
}

// record writes an entry's statement and decisions together with its rows.
func (c *certs) record(tx *store.Batch, a *applied) error {
	r := batchRow{Statement: a.st, Decided: make([]decided, len(a.out.Decisions))}
	for i := range a.out.Decisions {
		d := &a.out.Decisions[i]
		r.Decided[i] = decided{Slot: d.Slot, Verdict: d.Verdict, Body: d.Body}
	}
	b, err := capsule.Marshal(&r)
	if err != nil {
		return err
	}
	return tx.SetLocal(indexKey(localBatch, a.st.Index), b)
}

// applied makes an entry's statement known in memory. It returns the statement that a quorum has signed instead, if the
// quorum came before the entry.
func (c *certs) applied(st cert.Statement) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mine[st.Index] = st
	c.newest = max(c.newest, st.Index)
	if len(c.mine) > recent {
		c.forgetLocked()
	}
	if q := c.quorums[st.Index]; q != nil && q.Statement != st {
		return &ForkError{Mine: st, Other: *q}
	}
	return nil
}

// recall brings the quorums after one index and up to another back to memory, before the next entry is applied.
func (c *certs) recall(after, upTo uint64, seen func(*cert.Quorate)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began = after
	return c.db.ScanLocal([]byte{localQuorum}, indexKey(localQuorum, after), func(k, b []byte) bool {
		i := binary.BigEndian.Uint64(k[1:])
		if q, err := cert.ParseQuorate(b); err == nil && q.Statement.Index == i && i <= upTo {
			c.quorums[i] = q
			seen(q)
		}
		return i < upTo
	})
}

// keep keeps what an entry decided until newer ones take its room.
func (c *certs) keep(index uint64, b *cert.Batch) {
	ds := b.Decisions()
	if len(ds) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.batches[index] = b
	c.kept = append(c.kept, index)
	c.decided += len(ds)
	for i := range ds {
		c.slots[ds[i].Slot] = index
	}
	for c.decided > maxDecided && len(c.kept) > 1 {
		c.forget()
	}
}

// forget drops the oldest entry that is kept. The caller holds mu.
func (c *certs) forget() {
	old := c.kept[0]
	c.kept = c.kept[1:]
	for _, d := range c.batches[old].Decisions() {
		if c.slots[d.Slot] == old {
			delete(c.slots, d.Slot)
		}
		c.decided--
	}
	delete(c.batches, old)
}

// floor is the index below which votes are not collected any more.
func (c *certs) floor() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest - min(c.newest, recent/2)
}

// newestIndex returns the last entry that has a statement.
func (c *certs) newestIndex() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// statement returns what this replica computed at a recent index.
func (c *certs) statement(i uint64) (cert.Statement, bool) {
	c.mu.Lock()
	st, ok := c.mine[i]
	c.mu.Unlock()
	if ok {
		return st, true
	}
	r, err := c.batch(i)
	if err != nil {
		return cert.Statement{}, false
	}
	return r.Statement, true
}

// forgetLocked drops the older half.
func (c *certs) forgetLocked() {
	low := c.newest - min(c.newest, recent/2)
	for i := range c.mine {
		if i < low {
			delete(c.mine, i)
			delete(c.quorums, i)
		}
	}
}

// add takes a verified quorum. It returns a *ForkError if this replica applied something else.
func (c *certs) add(q *cert.Quorate) error {
	i := q.Statement.Index
	c.mu.Lock()
	if c.quorums[i] != nil {
		c.mu.Unlock()
		return nil
	}
	if st, ok := c.mine[i]; ok && st != q.Statement {
		c.mu.Unlock()
		return &ForkError{Mine: st, Other: *q}
	}
	c.quorums[i] = q
	waiters := c.waiters[i]
	delete(c.waiters, i)
	c.mu.Unlock()
	b, err := capsule.Marshal(q)
	if err == nil {
		err = c.db.SetLocal(store.LocalRow{Key: indexKey(localQuorum, i), Val: b})
	}
	for _, w := range waiters {
		close(w)
	}
	return err
}

// quorum returns the quorum at an index, or nil.
func (c *certs) quorum(i uint64) (*cert.Quorate, error) {
	c.mu.Lock()
	q := c.quorums[i]
	known := q != nil || i > c.began && c.mine[i].Index != 0 // else memory would have it
	c.mu.Unlock()
	if known {
		return q, nil
	}
	b, ok, err := c.db.GetLocal(indexKey(localQuorum, i))
	if err != nil || !ok {
		return nil, err
	}
	return cert.ParseQuorate(b)
}

// wait returns the quorum at an index as soon as there is one.
func (c *certs) wait(ctx context.Context, i uint64) (*cert.Quorate, error) {
	for {
		c.mu.Lock()
		w := make(chan struct{})
		c.waiters[i] = append(c.waiters[i], w)
		c.mu.Unlock()
		q, err := c.quorum(i)
		if q == nil && err == nil {
			select {
			case <-w:
				continue
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
		c.unwait(i, w)
		return q, err
	}
}

func (c *certs) unwait(i uint64, w chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.waiters[i]
	for j := range l {
		if l[j] == w {
			l = append(l[:j:j], l[j+1:]...)
			break
		}
	}
	if len(l) == 0 {
		delete(c.waiters, i)
	} else {
		c.waiters[i] = l
	}
}

// batch returns what was recorded at an index.
func (c *certs) batch(i uint64) (*batchRow, error) {
	b, ok, err := c.db.GetLocal(indexKey(localBatch, i))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("entry %d: %w", i, ErrNoCertificate)
	}
	r := new(batchRow)
	if err := capsule.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("statement of entry %d: %w", i, err)
	}
	return r, nil
}

// slot returns the newest index at which an outcome was decided or restated, if what was decided there is at hand.
func (c *certs) slot(s cert.Slot) (uint64, bool, error) {
	c.mu.Lock()
	at, known := c.slots[s]
	c.mu.Unlock()
	if known {
		return at, true, nil
	}
	at, err := c.outcome(s)
	if err != nil || at == 0 {
		return 0, false, err
	}
	_, ok, err := c.db.GetLocal(indexKey(localBatch, at))
	return at, ok && err == nil, err
}

// certificate joins a decision recorded at an index with the quorum there.
func (c *certs) certificate(s cert.Slot, q *cert.Quorate) (*cert.Certificate, error) {
	c.mu.Lock()
	b := c.batches[q.Statement.Index]
	c.mu.Unlock()
	if b == nil {
		r, err := c.batch(q.Statement.Index)
		if err != nil {
			return nil, err
		}
		if b, err = cert.NewBatch(r.decisions()); err != nil {
			return nil, err
		}
	}
	for i, d := range b.Decisions() {
		if d.Slot == s {
			return b.Certificate(i, q)
		}
	}
	return nil, fmt.Errorf("%s at entry %d: %w", s, q.Statement.Index, ErrNoCertificate)
}

// prune removes the certificates of at most limit entries below an index. An outcome that somebody asks for later is
// restated.
func (c *certs) prune(below uint64, limit int) error {
	var rows []store.LocalRow
	var last uint64 // index that is removed
	err := c.db.ScanLocal([]byte{localBatch}, nil, func(k, _ []byte) bool {
		i := binary.BigEndian.Uint64(k[1:])
		if i >= below || limit == 0 {
			return false
		}
		limit--
		last = i
		rows = append(rows, store.LocalRow{Key: bytes.Clone(k)}, store.LocalRow{Key: indexKey(localQuorum, i)})
		return true
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	if err := c.db.SetLocal(rows...); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.kept) > 0 && c.kept[0] <= last {
		c.forget()
	}
	return nil
}

// uncertified calls fn with the statements of the newest entries that have no quorum yet, oldest first.
func (c *certs) uncertified(after uint64, fn func(*batchRow) bool) error {
	var fail error
	err := c.db.ScanLocal([]byte{localBatch}, indexKey(localBatch, after), func(k, v []byte) bool {
		i := binary.BigEndian.Uint64(k[1:])
		q, err := c.quorum(i)
		if err != nil {
			fail = err
			return false
		}
		if q != nil {
			return true
		}
		r := new(batchRow)
		if fail = capsule.Unmarshal(v, r); fail != nil {
			return false
		}
		return fn(r)
	})
	return errors.Join(err, fail)
}
