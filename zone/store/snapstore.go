package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/internal/plant"
)

// Snapshots keeps Raft's snapshots as files. hashicorp/raft has such a store, but leaves the file with the membership
// without a checksum; here a flipped bit in either file makes Open fail.
type Snapshots struct {
	fs  vfs.FS
	dir string
}

const (
	snapPrefix  = "snap-"
	metaFile    = "meta"
	dataFile    = "rows"
	tmpSuffix   = ".tmp"
	keepSnaps   = 2
	maxSnapMeta = 1 << 20
)

// OpenSnapshots opens the directory and removes what a crash left unfinished.
func OpenSnapshots(dir string, fsys vfs.FS) (*Snapshots, error) {
	if fsys == nil {
		fsys = vfs.Default
	}
	if err := mkdirSync(fsys, dir); err != nil {
		return nil, fmt.Errorf("create snapshot directory: %w", err)
	}
	s := &Snapshots{fs: fsys, dir: dir}
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, tmpSuffix) {
			if err := fsys.RemoveAll(fsys.PathJoin(dir, n)); err != nil {
				return nil, fmt.Errorf("remove unfinished snapshot: %w", err)
			}
		}
	}
	return s, nil
}

// Create starts a snapshot.
func (s *Snapshots) Create(version hraft.SnapshotVersion, index, term uint64, conf hraft.Configuration, confIndex uint64, _ hraft.Transport) (hraft.SnapshotSink, error) {
	if version != 1 {
		return nil, fmt.Errorf("unsupported raft snapshot version %d", version)
	}
	meta := hraft.SnapshotMeta{Version: version, Index: index, Term: term, Configuration: conf, ConfigurationIndex: confIndex}
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	// Fixed width makes the names sort by age. The last part keeps apart those of the same entry: a leader that lost the answer
	// sends its snapshot again.
	entry, n := fmt.Sprintf("%s%016x-%016x-", snapPrefix, index, term), uint64(0)
	for _, name := range names {
		if last, ok := strings.CutPrefix(name, entry); ok {
			if m, err := strconv.ParseUint(last, 16, 32); err == nil {
				n = max(n, m+1)
			}
		}
	}
	meta.ID = fmt.Sprintf("%s%04x", entry, n)
	tmp := s.fs.PathJoin(s.dir, meta.ID+tmpSuffix)
	if err := s.fs.RemoveAll(tmp); err != nil && !isNotExist(err) {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	if err := s.fs.MkdirAll(tmp, 0o700); err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	f, err := s.fs.Create(s.fs.PathJoin(tmp, dataFile), writeCategory)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	return &sink{s: s, meta: meta, tmp: tmp, f: f}, nil
}

// List returns the snapshots, newest first. One whose description is corrupt is an error: to skip it would silently
// go back in time.
func (s *Snapshots) List() ([]*hraft.SnapshotMeta, error) {
	names, err := s.names()
	if err != nil {
		return nil, err
	}
	var out []*hraft.SnapshotMeta
	for _, n := range names {
		m, err := s.meta(n)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}

func (s *Snapshots) names() ([]string, error) {
	names, err := s.fs.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	names = slices.DeleteFunc(names, func(n string) bool {
		return !strings.HasPrefix(n, snapPrefix) || strings.HasSuffix(n, tmpSuffix)
	})
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

func (s *Snapshots) meta(id string) (*hraft.SnapshotMeta, error) {
	path := s.fs.PathJoin(s.dir, id, metaFile)
	b, err := readFile(s.fs, path, maxSnapMeta)
	if err != nil {
		return nil, fmt.Errorf("read snapshot description: %w", err)
	}
	// The name is part of the checksum: one snapshot's description does not fit another.
	b, err = unseal(b, []byte(id))
	if err != nil {
		return nil, &CorruptError{What: "file " + path, Err: err}
	}
	m := new(hraft.SnapshotMeta)
	if err := json.Unmarshal(b, m); err != nil {
		return nil, &CorruptError{What: "file " + path, Err: err}
	}
	return m, nil
}

// Open returns a snapshot's description and rows. Who reads the rows verifies them with a SnapshotReader.
func (s *Snapshots) Open(id string) (*hraft.SnapshotMeta, io.ReadCloser, error) {
	m, err := s.meta(id)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.fs.Open(s.fs.PathJoin(s.dir, id, dataFile))
	if err != nil {
		return nil, nil, fmt.Errorf("open snapshot: %w", err)
	}
	return m, f, nil
}

// reap removes old snapshots, but not the one that was just published.
func (s *Snapshots) reap(published string) {
	names, err := s.names()
	if err != nil {
		return
	}
	for _, n := range names[min(keepSnaps, len(names)):] {
		if n == published {
			continue
		}
		// Best effort: one that is being sent stays on systems where an open file can't be removed, until the next time.
		s.fs.RemoveAll(s.fs.PathJoin(s.dir, n))
	}
}

type sink struct {
	s    *Snapshots
	meta hraft.SnapshotMeta
	tmp  string
	f    vfs.File
	buf  []byte
	done bool
}

func (k *sink) ID() string { return k.meta.ID }

func (k *sink) Write(p []byte) (int, error) {
	// The file system may scribble on the slice it is given, the caller's must stay.
	k.buf = append(k.buf[:0], p...)
	n, err := k.f.Write(k.buf)
	k.meta.Size += int64(n)
	return n, err
}

// Close verifies the rows as they are in the file, whoever sent them, makes them durable and publishes the snapshot.
func (k *sink) Close() error {
	if k.done {
		return nil
	}
	var err error
	if !plant.SkipSync {
		err = k.f.Sync()
	}
	if cerr := k.f.Close(); err == nil {
		err = cerr
	}
	k.f = nil
	if err == nil {
		err = k.verify()
	}
	if err == nil {
		err = k.publish()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("finish snapshot at entry %d: %w", k.meta.Index, err), k.Cancel())
	}
	k.done = true
	k.s.reap(k.meta.ID)
	return nil
}

func (k *sink) verify() error {
	f, err := k.s.fs.Open(k.s.fs.PathJoin(k.tmp, dataFile))
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := NewSnapshotReader(f)
	if err != nil {
		return err
	}
	if r.Applied().Index > k.meta.Index {
		return &CorruptError{What: "snapshot", Err: fmt.Errorf("rows are at entry %d, beyond %d", r.Applied().Index, k.meta.Index)}
	}
	return r.Rows(func(_, _ []byte) error { return nil })
}

func (k *sink) publish() error {
	b, err := json.Marshal(&k.meta)
	if err != nil {
		return err
	}
	if err := writeFileAtomic(k.s.fs, k.tmp, metaFile, seal(nil, []byte(k.meta.ID), b)); err != nil {
		return err
	}
	if err := k.s.fs.Rename(k.tmp, k.s.fs.PathJoin(k.s.dir, k.meta.ID)); err != nil {
		return err
	}
	return syncDir(k.s.fs, k.s.dir)
}

// Cancel drops the snapshot. After Close it does nothing.
func (k *sink) Cancel() error {
	if k.done {
		return nil
	}
	k.done = true
	if k.f != nil {
		k.f.Close()
	}
	if err := k.s.fs.RemoveAll(k.tmp); err != nil && !isNotExist(err) {
		return fmt.Errorf("remove unfinished snapshot: %w", err)
	}
	return nil
}
