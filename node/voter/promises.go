package voter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
)

// promises is what this voter has said that it holds, and until when. A word is on disk before it is given: the entry
// that makes it known to the zone may come after a crash.
//
// The file is records of promiseSize bytes: codec, digest, end in ms since 1970 (big-endian), CRC-32C of these. What
// follows the first damaged record was never vouched for, since records are flushed in order.
type promises struct {
	path string

	mu    sync.Mutex // guards the fields below
	f     *os.File
	until map[capsule.CID]uint64
	size  int // records in the file
}

const (
	promiseSize = 1 + 32 + 8 + 4
	// rewriteFrom is how many records, beyond twice those that count, make the file worth writing anew.
	rewriteFrom = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encodePromise(id capsule.CID, until uint64) []byte {
	b := append(make([]byte, 0, promiseSize), byte(id.Codec))
	b = append(b, id.Digest[:]...)
	b = binary.BigEndian.AppendUint64(b, until)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodePromises reads records up to the first that is torn or damaged, and returns how many bytes were good.
func decodePromises(b []byte, fn func(id capsule.CID, until uint64)) int {
	good := 0
	for len(b) >= promiseSize {
		r := b[:promiseSize]
		if crc32.Checksum(r[:promiseSize-4], castagnoli) != binary.BigEndian.Uint32(r[promiseSize-4:]) {
			break
		}
		fn(capsule.CID{Codec: capsule.Codec(r[0]), Digest: capsule.Hash(r[1:33])}, binary.BigEndian.Uint64(r[33:41]))
		b = b[promiseSize:]
		good += promiseSize
	}
	return good
}

// maxPromises bounds the file that is read at a start.
const maxPromises = 1 << 26

// openPromises reads what was promised, but for what ended before now.
func openPromises(path string, now uint64) (*promises, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("promises: %w", err)
	}
	p := &promises{path: path, f: f, until: map[capsule.CID]uint64{}}
	b, err := io.ReadAll(io.LimitReader(f, maxPromises))
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("promises: %w", err)
	}
	good := decodePromises(b, func(id capsule.CID, until uint64) { p.until[id] = max(p.until[id], until) })
	p.size = good / promiseSize
	if err := errors.Join(f.Truncate(int64(good)), p.rewrite(now)); err != nil {
		p.f.Close()
		return nil, fmt.Errorf("promises: %w", err)
	}
	return p, nil
}

// rewrite leaves out what is over. The new file replaces the old one whole.
func (p *promises) rewrite(now uint64) error {
	var b []byte
	for id, until := range p.until {
		if until < now {
			delete(p.until, id)
			continue
		}
		b = append(b, encodePromise(id, until)...)
	}
	// Windows renames over a file only when nobody has it open.
	err := p.f.Close()
	if err == nil {
		err = atomicfile.Write(p.path, b, 0o600)
	}
	var again error
	if p.f, again = os.OpenFile(p.path, os.O_RDWR|os.O_APPEND, 0o600); again == nil {
		p.size = len(p.until)
		_, again = p.f.Seek(0, io.SeekEnd)
	}
	return errors.Join(err, again)
}

// add makes promises. When it returns they survive a crash.
func (p *promises) add(ids []capsule.CID, until, now uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b []byte
	for _, id := range ids {
		if p.until[id] < until {
			b = append(b, encodePromise(id, until)...)
		}
	}
	if len(b) == 0 {
		return nil
	}
	if _, err := p.f.Write(b); err != nil {
		return fmt.Errorf("promise: %w", err)
	}
	if err := p.f.Sync(); err != nil {
		return fmt.Errorf("promise: %w", err)
	}
	for _, id := range ids {
		p.until[id] = max(p.until[id], until)
	}
	if p.size += len(b) / promiseSize; p.size > 2*len(p.until)+rewriteFrom {
		return p.rewrite(now)
	}
	return nil
}

// standing reports whether a promise has not ended.
func (p *promises) standing(id capsule.CID, now uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	until, ok := p.until[id]
	if ok && until < now {
		delete(p.until, id)
		return false
	}
	return ok
}

func (p *promises) list() []capsule.CID {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]capsule.CID, 0, len(p.until))
	for id := range p.until {
		out = append(out, id)
	}
	return out
}

func (p *promises) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.f.Close()
}
