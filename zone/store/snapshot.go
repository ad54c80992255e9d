package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// A snapshot is a stream of frames: one header, rows in key order, one end. Each frame is
//
//	kind (1) | length (4, big endian) | payload | SHA-256 (32) of the previous frame's sum and everything before it
//
// so that a reader with one frame of memory knows, at each frame, that all bytes up to it are those that were written, in
// order. Rows rather than the database's files travel, because the receiver must not let another voter's bytes reach the
// parsers of table and manifest files, and has to see each row anyway to compute the state's hash.
const (
	snapshotMagic = "kitwork zone snapshot 1\n"

	frameHeader = 'h' // Applied | proof
	frameRows   = 'r' // (uvarint key length, uvarint value length, key, value)...
	frameEnd    = 'e' // number of rows (8) | number of frames before this one (8)

	frameTarget = 256 << 10 // bytes at which a row frame is closed
	maxFrame    = frameTarget + MaxKey + MaxValue + 2*binary.MaxVarintLen64
	maxProof    = 64 << 10
)

// MismatchError refuses a snapshot whose rows are not the state that was certified.
type MismatchError struct {
	Applied Applied
	Reason  string
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("snapshot at entry %d does not match a certified state: %s; take it from another voter", e.Applied.Index, e.Reason)
}

// WriteSnapshot streams the view's rows with a proof that its state was certified; proof is opaque here.
func (v *View) WriteSnapshot(w io.Writer, proof []byte) error {
	if len(proof) > maxProof {
		return fmt.Errorf("snapshot proof of %d bytes exceeds %d", len(proof), maxProof)
	}
	fw := &frameWriter{w: bufio.NewWriterSize(w, 64<<10)}
	if _, err := fw.w.WriteString(snapshotMagic); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	if err := fw.frame(frameHeader, append(v.at.marshal(), proof...)); err != nil {
		return err
	}
	var buf, last []byte
	var rows uint64
	for more := true; more; {
		buf, more = buf[:0], false
		// Each frame has an iterator of its own: for as long as one is open, Pebble keeps the memory tables that it began with,
		// while it fills others.
		err := v.Scan(nil, last, func(k, val []byte) bool {
			buf = binary.AppendUvarint(buf, uint64(len(k)))
			buf = binary.AppendUvarint(buf, uint64(len(val)))
			buf = append(append(buf, k...), val...)
			rows++
			if more = len(buf) >= frameTarget; more {
				last = append(last[:0], k...)
			}
			return !more
		})
		if err == nil && len(buf) > 0 {
			err = fw.frame(frameRows, buf)
		}
		if err != nil {
			return err
		}
	}
	end := binary.BigEndian.AppendUint64(nil, rows)
	if err := fw.frame(frameEnd, binary.BigEndian.AppendUint64(end, fw.n)); err != nil {
		return err
	}
	if err := fw.w.Flush(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

type frameWriter struct {
	w   *bufio.Writer
	sum [32]byte
	n   uint64
}

func (f *frameWriter) frame(kind byte, payload []byte) error {
	var head [5]byte
	head[0] = kind
	binary.BigEndian.PutUint32(head[1:], uint32(len(payload)))
	f.sum = frameSum(f.sum, head, payload)
	f.n++
	f.w.Write(head[:])
	f.w.Write(payload)
	if _, err := f.w.Write(f.sum[:]); err != nil { // a bufio.Writer repeats its first error
		return fmt.Errorf("write snapshot: %w", err)
	}
	return nil
}

func frameSum(prev [32]byte, head [5]byte, payload []byte) (sum [32]byte) {
	h := sha256.New()
	h.Write(prev[:])
	h.Write(head[:])
	h.Write(payload)
	h.Sum(sum[:0])
	return sum
}

// SnapshotReader reads and verifies a snapshot stream.
type SnapshotReader struct {
	r     *bufio.Reader
	sum   [32]byte
	n     uint64
	rows  uint64
	buf   []byte
	last  []byte
	at    Applied
	proof []byte
}

// NewSnapshotReader reads the header.
func NewSnapshotReader(r io.Reader) (*SnapshotReader, error) {
	s := &SnapshotReader{r: bufio.NewReaderSize(r, 64<<10)}
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(s.r, magic); err != nil || string(magic) != snapshotMagic {
		return nil, s.corrupt("no snapshot header", err)
	}
	kind, p, err := s.frame()
	if err != nil {
		return nil, err
	}
	if kind != frameHeader || len(p) < 72 || len(p) > 72+maxProof {
		return nil, s.corrupt("the first frame is not a header", nil)
	}
	s.at.Index = binary.BigEndian.Uint64(p)
	copy(s.at.Chain[:], p[8:])
	copy(s.at.State[:], p[40:])
	s.proof = append([]byte(nil), p[72:]...)
	return s, nil
}

// Applied returns the entry that the snapshot claims to reflect.
func (s *SnapshotReader) Applied() Applied { return s.at }

// Proof returns the writer's proof that the state was certified.
func (s *SnapshotReader) Proof() []byte { return s.proof }

// Rows calls fn for each row, in key order, after the frame that holds it was verified. It returns nil only when the
// stream was complete.
func (s *SnapshotReader) Rows(fn func(key, val []byte) error) error {
	for {
		kind, p, err := s.frame()
		if err != nil {
			return err
		}
		switch kind {
		case frameRows:
			if err := s.rowsIn(p, fn); err != nil {
				return err
			}
		case frameEnd:
			if len(p) != 16 || binary.BigEndian.Uint64(p) != s.rows || binary.BigEndian.Uint64(p[8:]) != s.n-1 {
				return s.corrupt("the manifest at the end does not match the rows", nil)
			}
			if _, err := s.r.ReadByte(); err != io.EOF {
				return s.corrupt("bytes follow the end", err)
			}
			return nil
		default:
			return s.corrupt(fmt.Sprintf("unknown frame kind %#x", kind), nil)
		}
	}
}

func (s *SnapshotReader) rowsIn(p []byte, fn func(key, val []byte) error) error {
	for len(p) > 0 {
		kl, n := binary.Uvarint(p)
		if n <= 0 || kl > MaxKey {
			return s.corrupt("key length", nil)
		}
		p = p[n:]
		vl, n := binary.Uvarint(p)
		if n <= 0 || vl > MaxValue || uint64(len(p)-n) < kl+vl {
			return s.corrupt("value length", nil)
		}
		p = p[n:]
		k, v := p[:kl:kl], p[kl:kl+vl:kl+vl]
		p = p[kl+vl:]
		if s.rows > 0 && bytes.Compare(k, s.last) <= 0 {
			return s.corrupt("rows are not in order", nil)
		}
		s.last = append(s.last[:0], k...)
		s.rows++
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// frame reads one frame; the payload is valid until the next.
func (s *SnapshotReader) frame() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, s.corrupt("truncated", err)
	}
	size := int(binary.BigEndian.Uint32(head[1:]))
	if size > maxFrame {
		return 0, nil, s.corrupt(fmt.Sprintf("frame of %d bytes exceeds %d", size, maxFrame), nil)
	}
	// The buffer grows with what has arrived, not with what the length claims.
	var err error
	s.buf, err = readN(s.r, s.buf[:0], size)
	if err != nil {
		return 0, nil, s.corrupt("truncated", err)
	}
	var want [32]byte
	if _, err := io.ReadFull(s.r, want[:]); err != nil {
		return 0, nil, s.corrupt("truncated", err)
	}
	s.sum = frameSum(s.sum, head, s.buf)
	if s.sum != want {
		return 0, nil, s.corrupt("hash of a frame differs", nil)
	}
	s.n++
	return head[0], s.buf, nil
}

func readN(r io.Reader, buf []byte, n int) ([]byte, error) {
	const step = 64 << 10
	for n > 0 {
		k := min(n, step)
		at := len(buf)
		if cap(buf)-at < k {
			buf = append(buf, make([]byte, k)...)
		} else {
			buf = buf[:at+k]
		}
		if _, err := io.ReadFull(r, buf[at:]); err != nil {
			return buf, err
		}
		n -= k
	}
	return buf, nil
}

func (s *SnapshotReader) corrupt(what string, err error) error {
	if err == nil {
		err = errors.New(what)
	} else {
		err = fmt.Errorf("%s: %w", what, err)
	}
	return &CorruptError{What: fmt.Sprintf("snapshot, frame %d", s.n), Err: err}
}

// Restore replaces all replicated rows by those of the stream, if check accepts its header and hash, computed from the new
// rows, is what the header claims. Until both hold, and the new rows are on disk, the old ones stay in use; a crash leaves
// either. Rows of this replica alone are kept.
func (s *Store) Restore(r io.Reader, check func(a Applied, proof []byte) error, hash func(*View) ([32]byte, error)) error {
	sr, err := NewSnapshotReader(r)
	if err != nil {
		return err
	}
	if err := check(sr.Applied(), sr.Proof()); err != nil {
		return err
	}
	old, err := s.acquire()
	if err != nil {
		return err
	}
	defer old.release()
	name := s.nextName(old.dir)
	s.opts.FS.RemoveAll(s.opts.FS.PathJoin(s.dir, name))
	fresh, err := s.openHandle(name)
	if err != nil {
		return err
	}
	err = s.fill(fresh, old, sr)
	if err == nil {
		err = matches(fresh, sr.at, hash)
	}
	if err != nil {
		fresh.release()
		s.opts.FS.RemoveAll(fresh.dir)
		return err
	}
	return s.swap(fresh, old, name, sr.Applied())
}

func (s *Store) nextName(dir string) string {
	n, _ := strconv.ParseUint(strings.TrimPrefix(s.opts.FS.PathBase(dir), dirPrefix), 10, 64)
	return dirPrefix + strconv.FormatUint(n+1, 10)
}

// fill writes the stream's rows and this replica's own into a fresh database, and makes them durable.
func (s *Store) fill(fresh, old *handle, sr *SnapshotReader) error {
	b := fresh.db.NewBatch()
	defer func() { b.Close() }()
	var buf []byte
	put := func(full, val []byte) error {
		buf = seal(buf[:0], full, val)
		if err := b.Set(full, buf, nil); err != nil {
			return err
		}
		if b.Len() < 1<<20 {
			return nil
		}
		err := b.Commit(pebble.NoSync)
		b.Close()
		b = fresh.db.NewBatch()
		return err
	}
	err := sr.Rows(func(k, v []byte) error {
		return put(rowKey(spaceState, k), v)
	})
	if err != nil {
		return err
	}
	var perr error
	err = scan(old.db, spaceLocal, nil, nil, func(k, v []byte) bool {
		perr = put(rowKey(spaceLocal, k), v)
		return perr == nil
	})
	if err == nil {
		err = perr
	}
	if err == nil {
		err = put(appliedKey, sr.at.marshal())
	}
	if err == nil {
		err = b.Commit(pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("write restored rows: %w", err)
	}
	return nil
}

func matches(h *handle, want Applied, hash func(*View) ([32]byte, error)) error {
	h.refs.Add(1)
	v := &View{at: want, h: h, sn: h.db.NewSnapshot()}
	defer v.Close()
	got, err := hash(v)
	if err == nil && got != want.State {
		err = &MismatchError{Applied: want, Reason: fmt.Sprintf("its rows hash to %x, certified is %x", got, want.State)}
	}
	return err
}

func (s *Store) swap(fresh, old *handle, name string, a Applied) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		fresh.release()
		return ErrClosed
	}
	if err := s.setCurrent(name); err != nil {
		fresh.release()
		return err
	}
	old.done = func() {
		if err := s.opts.FS.RemoveAll(old.dir); err != nil {
			s.opts.Logger.Warn("zone store: cannot remove the state before a restore", "dir", old.dir, "err", err)
		}
	}
	s.cur = fresh
	s.applied.Store(&a)
	return old.release() // the store's own reference; the caller still holds one
}
