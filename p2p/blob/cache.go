package blob

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
)

// Cache keeps blobs in one directory, at most a given number of bytes of them.
//
// Eviction: to make room for a blob, the blobs that nobody keeps (see Keep) go, least recently used first. Kept ones
// never go; when they leave no room, Put and Fetch fail with ErrFull. Order of use survives a restart only as file
// times.
type Cache struct {
	dir string
	max int64

	mu     sync.Mutex // owns the fields below and the names in dir, not the content of the files
	blobs  map[capsule.Hash]*entry
	kept   map[capsule.Hash]map[string]bool // digest → owners; Invariant: no empty sets
	recent *list.List                       // of *entry, most recently used first
	used   int64                            // Invariant: sum of the sizes in blobs
	counts CacheCounts
}

type entry struct {
	digest capsule.Hash
	size   int64 // of the file
	soft   bool  // may be gone after a power loss: nobody has flushed it yet
	at     *list.Element
}

// CacheCounts are running totals, and what is held now.
type CacheCounts struct {
	Blobs, Kept  int
	Bytes, Max   int64
	Hits, Misses uint64
	Evicted      uint64
	Corrupt      uint64 // found damaged and removed
	Stored       uint64 // put or fetched by this process
}

const (
	putPrefix  = ".put"  // a Put that has not finished
	partSuffix = ".part" // a fetch that has not finished
	partShare  = 4       // unfinished fetches may take 1/partShare of the cache's size beside it
)

// OpenCache opens or makes a cache of at most maxBytes in dir. Files that cannot be its own are left alone; torn ones
// are removed.
func OpenCache(dir string, maxBytes int64) (*Cache, error) {
	if maxBytes < 1<<20 {
		return nil, fmt.Errorf("blob: a cache of %d bytes is too small; give it 1 MiB or more", maxBytes)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("blob: cache: %w", err)
	}
	c := &Cache{dir: dir, max: maxBytes, blobs: make(map[capsule.Hash]*entry), kept: make(map[capsule.Hash]map[string]bool), recent: list.New()}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("blob: cache: %w", err)
	}
	type found struct {
		digest capsule.Hash
		size   int64
		used   time.Time
	}
	var all []found
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !f.Type().IsRegular() {
			continue
		}
		name, part := strings.CutSuffix(f.Name(), partSuffix)
		d, err := capsule.ParseHash(name)
		switch {
		case strings.HasPrefix(f.Name(), putPrefix):
			os.Remove(filepath.Join(dir, f.Name()))
		case err != nil, part:
		case !wholeFile(filepath.Join(dir, f.Name()), info.Size()):
			os.Remove(filepath.Join(dir, f.Name()))
			c.counts.Corrupt++
		default:
			all = append(all, found{d, info.Size(), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b found) int { return a.used.Compare(b.used) })
	for _, f := range all {
		c.add(f.digest, f.size)
	}
	return c, nil
}

// wholeFile reports whether the header of a blob file agrees with the file's length. The content is checked when read.
func wholeFile(path string, length int64) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	size, err := readHeader(f)
	return err == nil && fileSize(size) == length
}

func (c *Cache) path(d capsule.Hash) string { return filepath.Join(c.dir, d.String()) }

// add enters a file that exists. The caller holds mu or owns c.
func (c *Cache) add(d capsule.Hash, size int64) *entry {
	e := &entry{digest: d, size: size}
	e.at = c.recent.PushFront(e)
	c.blobs[d] = e
	c.used += size
	return e
}

// Has reports whether the cache holds id. The copy is verified only when it is read.
func (c *Cache) Has(id capsule.CID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blobs[id.Digest] != nil
}

// Keep protects id from eviction on behalf of owner until Release. It may be called before the blob is there. Nothing
// of it is on disk: after a restart the owners say again what they need, before anything new is put.
func (c *Cache) Keep(id capsule.CID, owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	owners := c.kept[id.Digest]
	if owners == nil {
		owners = make(map[string]bool)
		c.kept[id.Digest] = owners
	}
	owners[owner] = true
}

// Release ends owner's Keep. The blob stays until its room is needed.
func (c *Cache) Release(id capsule.CID, owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept[id.Digest], owner)
	if len(c.kept[id.Digest]) == 0 {
		delete(c.kept, id.Digest)
	}
}

// Remove deletes the copy of id, kept or not.
func (c *Cache) Remove(id capsule.CID) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drop(id.Digest)
}

// drop forgets d and deletes its file. The caller holds mu.
func (c *Cache) drop(d capsule.Hash) error {
	e := c.blobs[d]
	if e == nil {
		return nil
	}
	if err := os.Remove(c.path(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("blob: remove %s: %w", d, err)
	}
	delete(c.blobs, d)
	c.recent.Remove(e.at)
	c.used -= e.size
	return nil
}

// room evicts until size more bytes fit. The caller holds mu.
func (c *Cache) room(size int64) error {
	for at := c.recent.Back(); at != nil && c.used+size > c.max; {
		e := at.Value.(*entry)
		at = at.Prev()
		if len(c.kept[e.digest]) > 0 {
			continue
		}
		if c.drop(e.digest) == nil { // Windows refuses while the file is being served; then another goes
			c.counts.Evicted++
		}
	}
	if c.used+size > c.max {
		return fmt.Errorf("%w: %d of %d bytes are kept and %d more are wanted", ErrFull, c.used, c.max, size)
	}
	return nil
}

// Put stores b and returns its address. When it returns, b survives a power loss.
func (c *Cache) Put(codec capsule.Codec, b []byte) (capsule.CID, error) {
	return c.store(codec, b, true)
}

// Lend stores b for others to fetch. It waits for no disk: b may be gone after a power loss, until it is Put or an
// Exchange returns it from its Fetch.
func (c *Cache) Lend(codec capsule.Codec, b []byte) (capsule.CID, error) {
	return c.store(codec, b, false)
}

func (c *Cache) store(codec capsule.Codec, b []byte, lasting bool) (capsule.CID, error) {
	if len(b) > MaxSize {
		return capsule.CID{}, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), MaxSize)
	}
	st, digest := states(b)
	id := capsule.CID{Codec: codec, Digest: digest}
	if !c.use(digest) {
		f, err := os.CreateTemp(c.dir, putPrefix+"*")
		if err != nil {
			return id, fmt.Errorf("blob: put: %w", err)
		}
		defer os.Remove(f.Name()) // fails once renamed
		if err = writeWhole(f, st, b); err == nil {
			err = c.commit(f, digest, int64(len(b)))
		}
		f.Close()
		if err != nil {
			return id, fmt.Errorf("blob: put: %w", err)
		}
	}
	if lasting {
		return id, c.Flush(id)
	}
	return id, nil
}

// prunePartsBut removes unfinished fetches, oldest first, until they take no more than their share. Those in busy stay.
// Without it a holder that always withholds the last chunk would fill the disk.
func (c *Cache) prunePartsBut(busy map[capsule.Hash]bool) {
	files, err := os.ReadDir(c.dir)
	if err != nil {
		return // the fetch will say what is wrong with the directory
	}
	var parts []os.FileInfo
	var total int64
	for _, f := range files {
		name, part := strings.CutSuffix(f.Name(), partSuffix)
		d, err := capsule.ParseHash(name)
		if !part || err != nil || busy[d] {
			continue
		}
		if info, err := f.Info(); err == nil {
			parts = append(parts, info)
			total += info.Size()
		}
	}
	slices.SortFunc(parts, func(a, b os.FileInfo) int { return a.ModTime().Compare(b.ModTime()) })
	for _, p := range parts {
		if total <= c.max/partShare {
			return
		}
		if os.Remove(filepath.Join(c.dir, p.Name())) == nil {
			total -= p.Size()
		}
	}
}

// use moves d to the front if it is there.
func (c *Cache) use(d capsule.Hash) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.blobs[d]
	if e == nil {
		c.counts.Misses++
		return false
	}
	c.counts.Hits++
	c.recent.MoveToFront(e.at)
	return true
}

// commit makes the finished file f the copy of d, which Flush then makes last. It closes f, which Windows wants before a
// rename. A power loss may leave the name with anything under it: OpenCache and Get find that out.
func (c *Cache) commit(f *os.File, d capsule.Hash, size int64) error {
	if err := f.Close(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.blobs[d] != nil {
		return os.Remove(f.Name()) // somebody else was faster
	}
	if err := c.room(fileSize(size)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), c.path(d)); err != nil {
		return err
	}
	c.add(d, fileSize(size)).soft = true
	c.counts.Stored++
	return nil
}

// Flush makes the copy of id survive a power loss: the file with its name, then the directory. ErrNotFound says that there
// is none.
func (c *Cache) Flush(id capsule.CID) error {
	d := id.Digest
	c.mu.Lock()
	e := c.blobs[d]
	soft := e != nil && e.soft
	c.mu.Unlock()
	if e == nil {
		return ErrNotFound
	}
	if !soft {
		return nil
	}
	f, err := os.OpenFile(c.path(d), os.O_RDWR, 0) // Windows flushes only what may be written
	if errors.Is(err, os.ErrNotExist) {
		return ErrNotFound // evicted meanwhile
	}
	if err != nil {
		return fmt.Errorf("blob: flush %s: %w", d, err)
	}
	if err := errors.Join(f.Sync(), f.Close(), atomicfile.SyncDir(c.dir)); err != nil {
		return fmt.Errorf("blob: flush %s: %w", d, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e.soft = false // of this copy, even if another has taken its place
	return nil
}

// Get returns the content of id, verified against its digest. Without a copy the error is ErrNotFound; a damaged copy
// is removed and the error is ErrCorrupt.
func (c *Cache) Get(id capsule.CID) ([]byte, error) {
	f, err := c.open(id.Digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := readHeader(f)
	if err == nil {
		b := make([]byte, size)
		if _, err = io.ReadFull(io.NewSectionReader(f, dataAt(size), size), b); err == nil && capsule.Sum(b) == id.Digest {
			c.touch(id.Digest)
			return b, nil
		}
	}
	return nil, c.corrupt(id.Digest, err)
}

// open opens the copy of d.
func (c *Cache) open(d capsule.Hash) (*os.File, error) {
	if !c.use(d) {
		return nil, ErrNotFound
	}
	f, err := os.Open(c.path(d))
	if errors.Is(err, os.ErrNotExist) {
		return nil, c.corrupt(d, err) // somebody else deleted it
	}
	return f, err
}

// touch writes the time of use for the next start. That it may fail only disturbs the order of eviction.
func (c *Cache) touch(d capsule.Hash) {
	now := time.Now()
	_ = os.Chtimes(c.path(d), now, now)
}

// corrupt removes a copy that does not verify.
func (c *Cache) corrupt(d capsule.Hash, cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Corrupt++
	if err := c.drop(d); err != nil {
		return errors.Join(ErrCorrupt, err)
	}
	if cause != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, cause)
	}
	return ErrCorrupt
}

// Counts returns the running totals.
func (c *Cache) Counts() CacheCounts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	n.Blobs, n.Bytes, n.Max = len(c.blobs), c.used, c.max
	for d := range c.kept {
		if c.blobs[d] != nil {
			n.Kept++
		}
	}
	return n
}
