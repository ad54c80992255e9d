package blob

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/kitwork/kwnode/capsule"
)

// A file is: fileMagic, size u64 big-endian, the state before each chunk, the content. The states make a chunk
// verifiable by itself, when it is served and when a fetch is resumed.
const (
	fileMagic  = "kwblob1\n"
	headerSize = int64(len(fileMagic) + 8)
)

var errHeader = errors.New("not a blob file")

func dataAt(size int64) int64   { return headerSize + int64(len(state{}))*chunks(size) }
func fileSize(size int64) int64 { return dataAt(size) + size }
func stateAt(i int64) int64     { return headerSize + int64(len(state{}))*i }

func header(size int64) []byte {
	return binary.BigEndian.AppendUint64([]byte(fileMagic), uint64(size))
}

func readHeader(f io.ReaderAt) (int64, error) {
	var b [headerSize]byte
	if _, err := f.ReadAt(b[:], 0); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint64(b[len(fileMagic):])
	if string(b[:len(fileMagic)]) != fileMagic || size > MaxSize {
		return 0, errHeader
	}
	return int64(size), nil
}

func writeWhole(f *os.File, st []state, b []byte) error {
	head := header(int64(len(b)))
	for _, s := range st {
		head = append(head, s[:]...)
	}
	if _, err := f.Write(head); err != nil {
		return err
	}
	_, err := f.Write(b)
	return err
}

// readChunk reads chunk i and the states around it, into buf. The state after the last chunk is zero.
func readChunk(f io.ReaderAt, size, i int64, buf []byte) (before state, data []byte, after state, err error) {
	data = buf[:chunkLen(size, i)]
	if _, err = f.ReadAt(before[:], stateAt(i)); err != nil {
		return
	}
	if i+1 < chunks(size) {
		if _, err = f.ReadAt(after[:], stateAt(i+1)); err != nil {
			return
		}
	}
	_, err = f.ReadAt(data, dataAt(size)+i*ChunkSize)
	return
}

// part is a blob that is being fetched, filled from its end.
type part struct {
	f      *os.File
	digest capsule.Hash
	size   int64 // -1 until the last chunk proved it
	next   int64 // chunk wanted next; -1 when all are there
	after  state // what chunk next must arrive at, unless it is the last
	// mem has the content from the chunk after next on, if there is room for it: what was verified as it came needn't be
	// read and hashed again.
	mem []byte
}

// maxMem bounds the content that a part has in memory too.
const maxMem = 4 << 20

// remember keeps chunk i in memory if all after it are there too.
func (p *part) remember(size, i int64, data []byte) {
	if size > maxMem {
		return
	}
	if i == chunks(size)-1 {
		p.mem = make([]byte, size)
	}
	if p.mem != nil {
		copy(p.mem[i*ChunkSize:], data)
	}
}

// whole is the content, nil if it is not in memory.
func (p *part) whole() []byte {
	if !p.done() {
		return nil
	}
	return p.mem
}

// openPart opens the part of d in dir. What an earlier attempt left is verified from its end, so that a torn or
// damaged tail costs only its own bytes.
func openPart(dir string, d capsule.Hash) (*part, error) {
	f, err := os.OpenFile(filepath.Join(dir, d.String()+partSuffix), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	p := &part{f: f, digest: d, size: -1}
	size, err := readHeader(f)
	if err != nil || size == 0 {
		return p, nil
	}
	buf := make([]byte, ChunkSize)
	for i := chunks(size) - 1; i >= 0; i-- {
		before, data, after, err := readChunk(f, size, i, buf)
		if err != nil || !links(d, size, i, before, data, after) {
			break
		}
		p.size, p.next, p.after = size, i-1, before
	}
	return p, nil
}

// put verifies chunk i and writes it. size is what the holder says; the last chunk proves it. Before that no other chunk
// passes: there is no state that it could arrive at.
func (p *part) put(size, i int64, before state, data []byte) error {
	if p.size >= 0 && (size != p.size || i != p.next) {
		return fmt.Errorf("%w: chunk %d of %d bytes, want chunk %d of %d", ErrLie, i, size, p.next, p.size)
	}
	if !links(p.digest, size, i, before, data, p.after) {
		return fmt.Errorf("%w: chunk %d does not hash to what follows it", ErrLie, i)
	}
	if p.size < 0 {
		if err := p.f.Truncate(0); err != nil {
			return err
		}
		if _, err := p.f.WriteAt(header(size), 0); err != nil {
			return err
		}
	}
	if _, err := p.f.WriteAt(data, dataAt(size)+i*ChunkSize); err != nil {
		return err
	}
	if _, err := p.f.WriteAt(before[:], stateAt(i)); err != nil {
		return err
	}
	p.size, p.next, p.after = size, i-1, before
	p.remember(size, i, data)
	return nil
}

// putEmpty settles a blob of no bytes.
func (p *part) putEmpty() error {
	if p.digest != capsule.Sum(nil) {
		return fmt.Errorf("%w: it says the blob is empty", ErrLie)
	}
	p.size, p.next = 0, -1
	_, err := p.f.WriteAt(header(0), 0)
	return err
}

// done reports whether every chunk is there.
func (p *part) done() bool { return p.size >= 0 && p.next < 0 }
