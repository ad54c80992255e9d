// Package store keeps one replica's copy of a zone's state on disk: rows, the log index that they stand at, and snapshots
// of them. It must never know what a row means, and never give back a byte that it did not verify.
package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Limits of one row. They are far above what the state machine writes, and bound what a snapshot can make a replica hold.
const (
	MaxKey   = 4 << 10
	MaxValue = 8 << 20
)

// The first byte of a database key says whose it is.
const (
	spaceMeta  = 'm' // this package's own rows
	spaceState = 's' // replicated rows: part of a snapshot and of the state hash
	spaceLocal = 'l' // this replica's own rows: signatures it collected, never in a snapshot
)

const (
	// memTable is the size of a memory table. It begins smaller and doubles until there is that much to write. With half of it
	// and of compactAt, what is written to the next level more often takes an eighth of a zone's admissions.
	memTable = 16 << 20
	// memTables is how many may wait to be flushed before writers do. There are rarely more than three.
	memTables = 4
	// compactAt is twice the layers of tables in the first level from which on they are merged into the next.
	compactAt = 8
	// blocks is what is kept of the tables on disk. The operating system keeps more, and gives it back when others need it.
	blocks = 8 << 20
)

const (
	currentFile = "CURRENT-STATE"
	dirPrefix   = "state-"
)

var appliedKey = []byte{spaceMeta, 'a'}

// ErrClosed is returned by calls on a store that was closed.
var ErrClosed = errors.New("zone store is closed")

// CorruptError says that bytes read from disk are not the bytes that were written. The replica must stop: what it would
// compute from them differs from what its peers compute.
type CorruptError struct {
	What string // which file or row
	Key  []byte // of the row, if it was one
	Err  error
}

func (e *CorruptError) Error() string {
	s := "corrupt " + e.What
	if e.Key != nil {
		s += fmt.Sprintf(" (key %x)", e.Key)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s + "; this replica must be restored from its peers"
}

func (e *CorruptError) Unwrap() error { return e.Err }

// Applied says which entry of the log the rows reflect.
type Applied struct {
	Index uint64   // 0 before the first entry
	Chain [32]byte // running hash over all entries up to Index
	State [32]byte // logical hash of all replicated rows at Index
}

// Options configure a store. The zero value suits production.
type Options struct {
	FS        vfs.FS // default: the operating system's
	CacheSize int64  // bytes of uncompressed blocks kept; default 8 MiB
	Logger    *slog.Logger
	// Fatal is called, at most once, when the database met an error after which its state is unknown. The goroutine
	// that met it does not go on. Default: panic.
	Fatal func(error)
}

// Store is safe for concurrent use, except that one goroutine at a time may hold an uncommitted Batch or restore.
type Store struct {
	dir  string
	opts Options

	mu  sync.RWMutex // guards cur and closed; held for writing only while a restore swaps directories, and by Close
	cur *handle
	// Invariant: closed is true if and only if cur is nil.
	closed bool

	applied   atomic.Pointer[Applied]
	fatalOnce sync.Once
	failed    atomic.Bool
}

// handle is one open database. The store holds one reference, each View and Batch another; the last one closes it, so
// that a restore does not pull the rows away under a reader.
type handle struct {
	db   *pebble.DB
	dir  string
	refs atomic.Int64
	done func() // after the database is closed
}

func (h *handle) release() error {
	if h.refs.Add(-1) > 0 {
		return nil
	}
	err := h.db.Close()
	if h.done != nil {
		h.done()
	}
	return err
}

// Open opens the store in dir, and creates it if there is none.
func Open(dir string, opts Options) (*Store, error) {
	if opts.FS == nil {
		opts.FS = vfs.Default
	}
	if opts.CacheSize == 0 {
		opts.CacheSize = blocks
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Fatal == nil {
		opts.Fatal = func(err error) { panic(err) }
	}
	s := &Store{dir: dir, opts: opts}
	if err := mkdirSync(opts.FS, dir); err != nil {
		return nil, fmt.Errorf("create zone state directory: %w", err)
	}
	name, err := s.current()
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = dirPrefix + "1"
		if err := s.setCurrent(name); err != nil {
			return nil, err
		}
	}
	s.removeOthers(name)
	h, err := s.openHandle(name)
	if err != nil {
		return nil, err
	}
	a, err := readApplied(h.db)
	if err != nil {
		h.db.Close()
		return nil, err
	}
	s.cur = h
	s.applied.Store(&a)
	return s, nil
}

func (s *Store) openHandle(name string) (*handle, error) {
	dir := s.opts.FS.PathJoin(s.dir, name)
	l := &pebbleLog{s: s, log: s.opts.Logger}
	o := &pebble.Options{
		FS: s.opts.FS,
		// Pebble takes its memory tables out of the cache. With less than the one that is filled and the one that is flushed
		// nothing is left for blocks during a flush, and a zone of 100,000 capsules spends a quarter of its time on reading
		// them again. Room for all that may wait would be filled with blocks by each snapshot, which reads every row.
		CacheSize:                   s.opts.CacheSize + 2*memTable,
		MemTableSize:                memTable,
		MemTableStopWritesThreshold: memTables,
		FormatMajorVersion:          pebble.FormatNewest,
		L0CompactionThreshold:       compactAt,
		MaxOpenFiles:                256,
		Logger:                      l,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { s.opts.Logger.Warn("zone store: background work failed", "err", err) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				s.fatal(&CorruptError{What: "table " + i.Path, Err: i.Details})
			},
		},
	}
	// Most reads of an admission are of rows that do not exist yet; without filters each one searches every level.
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		o.Levels[i].IndexBlockSize = 256 << 10 // one level of index: a second one costs as much as the rest of a look-up
		// Rows are mostly hashes, keys and signatures, which do not get smaller.
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	o.CompactionConcurrencyRange = func() (int, int) { return 1, 1 }
	db, err := openPebble(dir, o)
	if err != nil {
		if pebble.IsCorruptionError(err) {
			return nil, &CorruptError{What: "database " + dir, Err: err}
		}
		return nil, fmt.Errorf("open zone state in %s: %w", dir, err)
	}
	h := &handle{db: db, dir: dir}
	h.refs.Store(1)
	return h, nil
}

// openPebble turns the panic by which Pebble answers a failed sync of its directory into an error.
func openPebble(dir string, o *pebble.Options) (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("database gave up: %v", p)
		}
	}()
	return pebble.Open(dir, o)
}

// current reads the name of the directory in use, "" if the store is new.
func (s *Store) current() (string, error) {
	path := s.opts.FS.PathJoin(s.dir, currentFile)
	b, err := readFile(s.opts.FS, path, 256)
	if isNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	name, err := unseal(b, []byte(currentFile))
	if err != nil || !strings.HasPrefix(string(name), dirPrefix) || strings.ContainsAny(string(name), `/\`) {
		return "", &CorruptError{What: "file " + path, Err: err}
	}
	return string(name), nil
}

// setCurrent makes name the directory in use, atomically: after a crash either the old or the new one is.
func (s *Store) setCurrent(name string) error {
	return writeFileAtomic(s.opts.FS, s.dir, currentFile, seal(nil, []byte(currentFile), []byte(name)))
}

// removeOthers clears what a crash in the middle of a restore left.
func (s *Store) removeOthers(keep string) {
	names, err := s.opts.FS.List(s.dir)
	if err != nil {
		return
	}
	for _, n := range names {
		if strings.HasPrefix(n, dirPrefix) && n != keep {
			if err := s.opts.FS.RemoveAll(s.opts.FS.PathJoin(s.dir, n)); err != nil {
				s.opts.Logger.Warn("zone store: cannot remove an unused directory", "dir", n, "err", err)
			}
		}
	}
}

// Applied returns the entry that committed rows reflect.
func (s *Store) Applied() Applied { return *s.applied.Load() }

func (s *Store) acquire() (*handle, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	s.cur.refs.Add(1)
	return s.cur, nil
}

// Sync makes everything committed so far survive a loss of power.
func (s *Store) Sync() error {
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer h.release()
	if err := h.db.LogData(nil, pebble.Sync); err != nil {
		return fmt.Errorf("sync zone state: %w", err)
	}
	return nil
}

// Close waits for running calls. Views still open keep their rows until they are closed.
func (s *Store) Close() error {
	s.mu.Lock()
	h := s.cur
	s.cur, s.closed = nil, true
	s.mu.Unlock()
	if h == nil {
		return nil
	}
	if s.failed.Load() {
		// The goroutine that met the error ended inside the database, perhaps with its locks: closing could wait forever.
		return nil
	}
	return h.release()
}

func (s *Store) fatal(err error) {
	s.failed.Store(true)
	s.fatalOnce.Do(func() { s.opts.Fatal(err) })
}

func readApplied(r pebble.Reader) (Applied, error) {
	v, ok, err := get(r, appliedKey)
	if err != nil || !ok {
		return Applied{}, err
	}
	if len(v) != 72 {
		return Applied{}, &CorruptError{What: "applied index row", Key: appliedKey}
	}
	a := Applied{Index: binary.BigEndian.Uint64(v)}
	copy(a.Chain[:], v[8:])
	copy(a.State[:], v[40:])
	return a, nil
}

func (a Applied) marshal() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 72), a.Index)
	b = append(b, a.Chain[:]...)
	return append(b, a.State[:]...)
}

// Every stored value ends in a CRC-32C of its key and itself, so that a value that comes back under another key is
// noticed too. Pebble's own block checksums do not cover what happens to a block after it was read.
const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(key, val []byte) uint32 {
	c := crc32.Update(0, castagnoli, key)
	return crc32.Update(c, castagnoli, val)
}

func seal(dst, key, val []byte) []byte {
	dst = append(dst, val...)
	return binary.BigEndian.AppendUint32(dst, checksum(key, val))
}

func unseal(b, key []byte) ([]byte, error) {
	n := len(b) - sumSize
	if n < 0 {
		return nil, errors.New("value is shorter than its checksum")
	}
	if got, want := checksum(key, b[:n]), binary.BigEndian.Uint32(b[n:]); got != want {
		return nil, fmt.Errorf("checksum is %08x, stored %08x", got, want)
	}
	return b[:n:n], nil
}

// pebbleLog turns the database's fatal errors into an ordinary report. The interface demands that Fatalf does not
// return; ending the goroutine is what is left when the process, which may serve other zones, shall live on.
type pebbleLog struct {
	s   *Store
	log *slog.Logger
}

func (l *pebbleLog) Infof(format string, args ...any) {}

func (l *pebbleLog) Errorf(format string, args ...any) {
	l.log.Error("zone store: " + fmt.Sprintf(format, args...))
}

func (l *pebbleLog) Fatalf(format string, args ...any) {
	l.s.fatal(fmt.Errorf("zone store: "+format, args...))
	runtime.Goexit()
}
