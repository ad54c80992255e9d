package zone

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/store"
)

// image is what the disks of a voter hold when it is killed at one moment, and what had been acknowledged until then.
type image struct {
	what   string
	state  *vfs.MemFS // what was synced
	log    []byte     // the file as it is: torn writes of bbolt's own are the store's TestLogTornWrites
	record cert.Record
	acked  map[string]string
	signed uint64 // greatest index that a certificate was seen of
}

// camera takes an image before and after everything that makes something durable. While it does, nothing else does.
type camera struct {
	mu     sync.Mutex // held by whoever makes something durable; guards what follows
	fs     *vfs.MemFS
	path   string // of the log
	record cert.Record
	acked  map[string]string
	signed uint64
	images []image
	off    bool
}

func (c *camera) shootLocked(what string) {
	if c.off {
		return
	}
	log, err := os.ReadFile(c.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		panic(err)
	}
	c.images = append(c.images, image{what: what, state: c.fs.CrashClone(vfs.CrashCloneCfg{}), log: log, record: c.record,
		acked: maps.Clone(c.acked), signed: c.signed})
}

func (c *camera) around(what string, fn func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shootLocked("before " + what)
	err := fn()
	c.shootLocked("after " + what)
	return err
}

func (c *camera) acknowledge(key, val string, index uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.acked[key], c.signed = val, max(c.signed, index)
}

// Load and Save implement cert.RecordStore.
func (c *camera) Load() (cert.Record, error) { return c.record, nil }

func (c *camera) Save(r cert.Record) error {
	return c.around("the signing record", func() error { c.record = r; return nil })
}

// watchedFS tells the camera of every sync of a file or folder.
type watchedFS struct {
	vfs.FS
	c *camera
}

func (w watchedFS) watch(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return watchedFile{f, w.c}, nil
}

func (w watchedFS) Create(name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	return w.watch(w.FS.Create(name, cat))
}

func (w watchedFS) OpenReadWrite(name string, cat vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return w.watch(w.FS.OpenReadWrite(name, cat, opts...))
}

func (w watchedFS) OpenDir(name string) (vfs.File, error) { return w.watch(w.FS.OpenDir(name)) }

func (w watchedFS) ReuseForWrite(old, name string, cat vfs.DiskWriteCategory) (vfs.File, error) {
	return w.watch(w.FS.ReuseForWrite(old, name, cat))
}

type watchedFile struct {
	vfs.File
	c *camera
}

func (f watchedFile) Sync() error     { return f.c.around("a sync of the state", f.File.Sync) }
func (f watchedFile) SyncData() error { return f.c.around("a sync of the state", f.File.SyncData) }
func (f watchedFile) SyncTo(n int64) (full bool, err error) {
	err = f.c.around("a sync of the state", func() (err error) { full, err = f.File.SyncTo(n); return err })
	return full, err
}

// A zone whose only voter is killed at each point at which something becomes durable: it starts again from what was on
// the disks, has everything that was acknowledged, signs on, and takes new entries.
func TestKillAtEverySyncPoint(t *testing.T) {
	var images []image
	c := &cluster{}
	dir := t.TempDir()
	one := func(c *cluster) {
		c.genesis.Dev, c.dir = true, dir
		c.timing.SnapshotAfter, c.timing.SnapshotEvery, c.timing.TrailingLogs = 4, 200*time.Millisecond, 2
	}
	bubble.Test(t, func(t *testing.T) {
		cam := &camera{fs: newFS(), acked: map[string]string{}}
		c = newCluster(t, 1, one, func(c *cluster) {
			cam.path = filepath.Join(c.dir, "0", "log")
			c.change = func(cfg *Config) {
				cfg.FS, cfg.Record, cfg.around = watchedFS{cam.fs, cam}, cam, func(fn func() error) error { return cam.around("a write of the log", fn) }
			}
		})
		z := c.furnish()
		for n := range 12 {
			key, val := fmt.Sprintf("orders/%d", n%5), fmt.Sprintf("value %d", n)
			out := c.ok(z, c.data(machine.Write{Key: []byte(key), Value: []byte(val)}))
			cam.acknowledge(key, val, out.Index)
			if n%4 == 3 {
				time.Sleep(300 * time.Millisecond) // a snapshot falls due
			}
		}
		cam.mu.Lock()
		cam.off = true
		images = cam.images
		cam.mu.Unlock()
		c.close()
	})
	snapshots := 0
	for i := range images {
		m := &images[i]
		ok := t.Run(fmt.Sprintf("%d %s", i, m.what), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { snapshots += c.revived(t, m) })
		})
		if !ok {
			break
		}
	}
	if len(images) < 60 || snapshots == 0 {
		t.Errorf("%d points, %d of them with a snapshot: the run is not what it was meant to be", len(images), snapshots)
	}
	t.Logf("%d points, %d of them with a snapshot", len(images), snapshots)
}

// revived starts a voter from an image and judges it. It returns 1 if the image has a snapshot.
func (c *cluster) revived(t *testing.T, m *image) (snapshots int) {
	snapshots = wholeSnapshots(t, m.state, filepath.Join(c.dir, "0", "snapshots"))
	r := newCluster(t, 1, func(r *cluster) {
		r.genesis, r.raw, r.id, r.timing, r.dir = c.genesis, c.raw, c.id, c.timing, c.dir
		r.fs[0] = m.state
		*r.records[0] = cert.MemRecord{Record: m.record}
		r.nonce.Store(c.nonce.Load() + 1000)
		r.seq = c.seq
		log := filepath.Join(r.dir, "0", "log")
		err := os.Remove(log)
		if len(m.log) > 0 {
			err = os.WriteFile(log, m.log, 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	})
	defer r.close()
	if m.record.Index < m.signed {
		t.Errorf("entry %d was certified, the record of what was signed ends at %d", m.signed, m.record.Index)
	}
	z := r.leader()
	if len(m.acked) > 0 {
		for key, want := range m.acked {
			v := must(z.Query())
			row, err := v.Get([]byte(key), 0)
			v.Close()
			// What was on its way may have come after.
			if err != nil || bytes.Compare(row.Value, []byte(want)) < 0 && len(row.Value) <= len(want) {
				t.Errorf("%s was acknowledged as %q, is %q: %v", key, want, row.Value, err)
			}
		}
		r.ok(z, r.data(machine.Write{Key: []byte("orders/after"), Value: []byte("x")}))
	}
	if err := errors.Join(z.Err(), z.signer.Broken()); err != nil {
		t.Error(err)
	}
	v := must(z.Query())
	defer v.Close()
	if _, kept, err := v.ComputeStateHash(); len(m.acked) > 0 && (err != nil || !kept) {
		t.Errorf("the state hash is not that of the rows: %v", err)
	}
	return snapshots
}

// wholeSnapshots reads all snapshots that have their name: followers will be sent them. It returns 1 if there are any.
func wholeSnapshots(t *testing.T, fs vfs.FS, dir string) int {
	snaps := must(store.OpenSnapshots(dir, fs))
	list := must(snaps.List())
	for _, meta := range list {
		_, in, err := snaps.Open(meta.ID)
		if err != nil {
			t.Fatal(err)
		}
		r, err := store.NewSnapshotReader(in)
		if err == nil {
			err = r.Rows(func(_, _ []byte) error { return nil })
		}
		if err != nil {
			t.Errorf("snapshot %s: %v", meta.ID, err)
		}
		in.Close()
	}
	return min(len(list), 1)
}
