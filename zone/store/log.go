package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"iter"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// pageSize of the log file is fixed, so that a data directory can move between machines of different page sizes.
const pageSize = 4096

// stableRetry is how long a write of the term is tried again before the replica stops. hashicorp/raft panics when it
// fails; a full disk is often emptied within that time, and a voter that cannot store its term can do nothing else.
const stableRetry = 10 * time.Second

// TruncateError refuses to forget an entry that was already applied. Raft never asks for that: a leader that makes it
// ask has rewritten history, or this replica's state is not its log's.
type TruncateError struct {
	From, To uint64 // what should have been deleted or overwritten
	Applied  uint64
	Term     uint64 // of the stored entry at From, 0 if unknown
}

func (e *TruncateError) Error() string {
	return fmt.Sprintf("refused to rewrite log entries %d to %d (stored term %d): entries up to %d are applied; "+
		"the log was forked by its leader, keep this data directory as evidence", e.From, e.To, e.Term, e.Applied)
}

// LogOptions configure a log.
type LogOptions struct {
	// Applied returns the last entry that the state reflects. Entries up to it are never truncated or overwritten.
	Applied func() uint64
	// SnapshotIndex is the newest snapshot's: below it the log may have a gap.
	SnapshotIndex uint64
	// Stored is called with entries after they are durable, from the goroutine that stores: it must not wait.
	Stored func([]*hraft.Log)
	// Fatal is called when entries turn out corrupt or a truncation was refused, from the goroutine that noticed.
	Fatal func(error)
	// NoSync skips fsync, for tests that kill no machine.
	NoSync bool
	// Around, if set, runs each write transaction: tests stop the world before and after it.
	Around func(write func() error) error
}

// Log is Raft's log and stable store: raft-boltdb with a checksum in each entry. It implements hraft.LogStore and
// hraft.StableStore.
type Log struct {
	bolt   *raftboltdb.BoltStore
	opts   LogOptions
	path   string
	served atomic.Bool // Raft's goroutines use it: an error that Raft would panic on ends the goroutine instead
	ran    atomic.Bool // they once did: one of them may outlive Close
	listed sync.Map    // keys that stand in the list of stable keys
	tail   tail
	closed chan struct{}
	gate   sync.RWMutex // held for reading by a write, for writing to close closed: no write begins after that
}

// OpenLog opens the log, reads all of it and refuses it with a *CorruptError if a byte of an entry, or the order of the
// entries, is not what was written.
func OpenLog(path string, opts LogOptions) (*Log, error) {
	if err := checkBolt(path); err != nil {
		return nil, err
	}
	l := &Log{opts: opts, path: path, closed: make(chan struct{})}
	err := l.guard("open", func() (err error) {
		l.bolt, err = raftboltdb.New(raftboltdb.Options{
			Path:   path,
			NoSync: opts.NoSync,
			BoltOptions: &bbolt.Options{
				// A stored list of free pages has no checksum: a flipped bit in it would give a page in use away. Without
				// it the list is rebuilt at open, and each commit writes one page less.
				NoFreelistSync: true,
				FreelistType:   bbolt.FreelistMapType,
				PageSize:       pageSize,
				Timeout:        time.Second,
				NoSync:         opts.NoSync,
			},
		})
		return err
	})
	if err != nil {
		if errors.Is(err, berrors.ErrTimeout) {
			return nil, fmt.Errorf("log %s is in use by another process: stop it first", path)
		}
		return nil, fmt.Errorf("open log %s: %w", path, err)
	}
	if err := l.verify(); err != nil {
		l.guard("close", l.bolt.Close)
		return nil, err
	}
	return l, nil
}

// Serve says that from now on Raft uses the log.
func (l *Log) Serve() {
	l.ran.Store(true)
	l.served.Store(true)
}

// verify reads every entry and the stable rows.
func (l *Log) verify() error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if first > l.opts.SnapshotIndex+1 {
		return l.corrupt(0, fmt.Errorf("entries start at %d, the newest snapshot is at %d: what is between is lost", first, l.opts.SnapshotIndex))
	}
	var e hraft.Log
	for i := first; i != 0 && i <= last; i++ {
		err := l.getLog(i, &e)
		if errors.Is(err, hraft.ErrLogNotFound) && i <= l.opts.SnapshotIndex {
			continue // older entries that a snapshot jumped over
		}
		if errors.Is(err, hraft.ErrLogNotFound) {
			err = l.corrupt(i, errors.New("entry is missing"))
		}
		if err != nil {
			return err
		}
	}
	return l.verifyStable(last)
}

// stableKeys names the list of keys that were ever set. A flipped bit can hide a row, and a vote that is forgotten could
// be cast twice: what is in the list must be found.
const stableKeys = "kw-stable-keys"

// verifyStable reads the stable rows. Raft stores its term before its first entry, so a log with entries has a list.
func (l *Log) verifyStable(last uint64) error {
	list, err := l.Get([]byte(stableKeys))
	missing := errors.Is(err, raftboltdb.ErrKeyNotFound)
	if err != nil && !missing {
		return err
	}
	for _, k := range []string{"CurrentTerm", "LastVoteTerm", "LastVoteCand"} {
		_, err := l.Get([]byte(k))
		absent := errors.Is(err, raftboltdb.ErrKeyNotFound)
		if err != nil && !absent {
			return err
		}
		should := slices.Contains(strings.Fields(string(list)), k)
		switch {
		case absent && should, !absent && missing, missing && last > 0:
			return l.corrupt(0, fmt.Errorf("the row of %s, or the list of such rows, is gone", k))
		case should:
			l.listed.Store(k, true)
		}
	}
	if missing {
		// The list comes before the first key: who finds a key and no list has lost it.
		return l.Set([]byte(stableKeys), []byte(" "))
	}
	return nil
}

// list adds a key that was set to the list of stable keys. It happens once for each of a handful of keys. If the machine
// stops in between, the list is completed by the key's next change; until then only the key itself is unguarded.
func (l *Log) list(key string) error {
	if _, ok := l.listed.Load(key); ok || key == stableKeys {
		return nil
	}
	list, err := l.Get([]byte(stableKeys))
	if err != nil && !errors.Is(err, raftboltdb.ErrKeyNotFound) {
		return err
	}
	if err := l.Set([]byte(stableKeys), append(append(list, ' '), key...)); err != nil {
		return err
	}
	l.listed.Store(key, true)
	return nil
}

func (l *Log) corrupt(index uint64, err error) error {
	what := "log file " + l.path
	if index != 0 {
		what = fmt.Sprintf("log entry %d in %s", index, l.path)
	}
	return &CorruptError{What: what, Err: err}
}

// guard runs one call into bbolt, which panics or faults on pages that make no sense.
func (l *Log) guard(what string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = l.corrupt(0, fmt.Errorf("%s: %v", what, p))
		}
	}()
	return fn()
}

// write runs one write transaction, unless the log was abandoned.
func (l *Log) write(what string, fn func() error) error {
	l.gate.RLock()
	defer l.gate.RUnlock()
	select {
	case <-l.closed:
		return ErrClosed
	default:
	}
	if l.opts.Around != nil {
		return l.opts.Around(func() error { return l.guard(what, fn) })
	}
	return l.guard(what, fn)
}

// stop reports an error that Raft would answer with a panic, and ends Raft's goroutine when there is one.
func (l *Log) stop(err error) error {
	if l.opts.Fatal != nil {
		l.opts.Fatal(err)
	}
	if l.served.Load() {
		runtime.Goexit()
	}
	return err
}

// FirstIndex returns the oldest entry's index, 0 if there is none.
func (l *Log) FirstIndex() (i uint64, err error) {
	err = l.guard("first index", func() (err error) { i, err = l.bolt.FirstIndex(); return err })
	return i, err
}

// LastIndex returns the newest entry's index, 0 if there is none.
func (l *Log) LastIndex() (i uint64, err error) {
	err = l.guard("last index", func() (err error) { i, err = l.bolt.LastIndex(); return err })
	return i, err
}

// GetLog returns one entry: as it was stored, if that was just now, and else read and verified.
func (l *Log) GetLog(index uint64, e *hraft.Log) error {
	if held, ok := l.tail.get(index); ok {
		*e = held
		return nil
	}
	err := l.getLog(index, e)
	if c := (*CorruptError)(nil); errors.As(err, &c) {
		return l.stop(err)
	}
	return err
}

func (l *Log) getLog(index uint64, e *hraft.Log) error {
	*e = hraft.Log{}
	var readErr error
	err := l.guard("read entry", func() error {
		readErr = l.bolt.GetLog(index, e)
		return nil
	})
	switch {
	case err != nil:
		return err
	case errors.Is(readErr, hraft.ErrLogNotFound):
		return hraft.ErrLogNotFound
	case readErr != nil:
		return l.corrupt(index, readErr)
	}
	n := len(e.Data) - sumSize
	if n < 0 {
		return l.corrupt(index, errors.New("entry is shorter than its checksum"))
	}
	want := binary.BigEndian.Uint32(e.Data[n:])
	if e.Data = e.Data[:n:n]; n == 0 {
		e.Data = nil
	}
	if got := entrySum(e); got != want || e.Index != index {
		return l.corrupt(index, fmt.Errorf("checksum is %08x, stored %08x", got, want))
	}
	return nil
}

// entrySum covers all fields but AppendedAt, which is not stored.
func entrySum(e *hraft.Log) uint32 {
	var head [25]byte
	binary.BigEndian.PutUint64(head[0:], e.Index)
	binary.BigEndian.PutUint64(head[8:], e.Term)
	head[16] = byte(e.Type)
	binary.BigEndian.PutUint64(head[17:], uint64(len(e.Data)))
	c := crc32.Update(0, castagnoli, head[:])
	c = crc32.Update(c, castagnoli, e.Data)
	return crc32.Update(c, castagnoli, e.Extensions)
}

// StoreLog appends one entry.
func (l *Log) StoreLog(e *hraft.Log) error { return l.StoreLogs([]*hraft.Log{e}) }

// StoreLogs appends entries and returns when they are durable.
func (l *Log) StoreLogs(entries []*hraft.Log) error {
	if len(entries) == 0 {
		return nil
	}
	if a := l.appliedIndex(); entries[0].Index <= a {
		return l.refuse(entries[0].Index, entries[len(entries)-1].Index, a)
	}
	sealed := make([]hraft.Log, len(entries))
	ptrs := make([]*hraft.Log, len(entries))
	for i, e := range entries {
		// The leader's wall clock is left out: nothing may depend on it.
		sealed[i] = hraft.Log{Index: e.Index, Term: e.Term, Type: e.Type, Extensions: e.Extensions}
		data := make([]byte, 0, len(e.Data)+sumSize)
		sealed[i].Data = binary.BigEndian.AppendUint32(append(data, e.Data...), entrySum(e))
		ptrs[i] = &sealed[i]
	}
	if err := l.write("store entries", func() error { return l.bolt.StoreLogs(ptrs) }); err != nil {
		return fmt.Errorf("store log entries %d to %d: %w", entries[0].Index, entries[len(entries)-1].Index, err)
	}
	l.tail.put(entries)
	if l.opts.Stored != nil {
		l.opts.Stored(entries)
	}
	return nil
}

func (l *Log) appliedIndex() uint64 {
	if l.opts.Applied == nil {
		return 0
	}
	return l.opts.Applied()
}

// refuse reports a rewrite of applied entries. Raft takes the error without a panic.
func (l *Log) refuse(from, to, applied uint64) error {
	e := &TruncateError{From: from, To: to, Applied: applied}
	var old hraft.Log
	if l.getLog(from, &old) == nil {
		e.Term = old.Term
	}
	if l.opts.Fatal != nil {
		l.opts.Fatal(e)
	}
	return e
}

// DeleteRange removes entries from lo to hi: a prefix after a snapshot, or a suffix that a new leader replaces. A suffix
// may not reach down to an applied entry.
func (l *Log) DeleteRange(lo, hi uint64) error {
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	if a := l.appliedIndex(); hi >= last && lo <= a {
		return l.refuse(lo, hi, a)
	}
	l.tail.clear()
	for from, to := range parts(lo, hi, hi >= last) {
		if err := l.write("delete entries", func() error { return l.bolt.DeleteRange(from, to) }); err != nil {
			return fmt.Errorf("delete log entries %d to %d: %w", from, to, err)
		}
	}
	return nil
}

// deleteAtOnce is how many entries one transaction removes. It holds every page that it touches in memory, and new entries
// wait until it is on disk.
const deleteAtOnce = 512

// parts are the ranges by which entries are deleted. Whatever is left after each has no hole: a prefix goes from its
// beginning, a suffix from its end.
func parts(lo, hi uint64, suffix bool) iter.Seq2[uint64, uint64] {
	return func(yield func(uint64, uint64) bool) {
		for lo <= hi {
			n := min(hi-lo, deleteAtOnce-1) // beside the first
			from, to := lo, lo+n
			if suffix {
				from, to = hi-n, hi
			}
			if !yield(from, to) || n == hi-lo {
				return
			}
			if suffix {
				hi = from - 1
			} else {
				lo = to + 1
			}
		}
	}
}

// Clear removes every entry, for a recovery that starts the log afresh behind a snapshot. Raft must not be running.
func (l *Log) Clear() error {
	first, err := l.FirstIndex()
	if err != nil || first == 0 {
		return err
	}
	last, err := l.LastIndex()
	if err != nil {
		return err
	}
	l.tail.clear()
	return l.write("clear", func() error { return l.bolt.DeleteRange(first, last) })
}

// Set stores a value of Raft's own, with a checksum, and returns when it is durable.
func (l *Log) Set(key, val []byte) error {
	sealed := seal(nil, key, val)
	deadline := time.Now().Add(stableRetry)
	for {
		err := l.write("store "+string(key), func() error { return l.bolt.Set(key, sealed) })
		if err == nil {
			return l.list(string(key))
		}
		if errors.Is(err, ErrClosed) && l.ran.Load() {
			runtime.Goexit() // nothing is wrong: the voter is being stopped
		}
		if !l.served.Load() {
			return fmt.Errorf("store %s: %w", key, err)
		}
		if time.Now().After(deadline) {
			return l.stop(fmt.Errorf("store %s: %w; this voter stops, start it again when the disk is well", key, err))
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-l.closed:
		}
	}
}

// Get reads a value of Raft's own. The error for one that was never set has the text that hashicorp/raft looks for.
func (l *Log) Get(key []byte) (val []byte, err error) {
	err = l.guard("read "+string(key), func() (err error) { val, err = l.bolt.Get(key); return err })
	if err != nil {
		return nil, err
	}
	if val, err = unseal(val, key); err != nil {
		return nil, l.stop(&CorruptError{What: "log file " + l.path, Key: key, Err: err})
	}
	return val, nil
}

// SetUint64 is Set for a number.
func (l *Log) SetUint64(key []byte, n uint64) error {
	return l.Set(key, binary.BigEndian.AppendUint64(nil, n))
}

// GetUint64 is Get for a number.
func (l *Log) GetUint64(key []byte) (uint64, error) {
	b, err := l.Get(key)
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, l.stop(&CorruptError{What: "log file " + l.path, Key: key, Err: errors.New("not a number")})
	}
	return binary.BigEndian.Uint64(b), nil
}

// Abandon makes every further write fail, and one that is being retried give up. Call it before waiting for Raft to end.
func (l *Log) Abandon() {
	l.gate.Lock()
	defer l.gate.Unlock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
}

// Close closes the file. Raft must have ended.
func (l *Log) Close() error {
	l.served.Store(false)
	l.Abandon()
	return l.guard("close", l.bolt.Close)
}
