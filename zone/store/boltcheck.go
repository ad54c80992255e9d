package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

// bbolt takes its file on trust: if the newer of the two meta pages is damaged it silently goes on with the older one and
// forgets a transaction that was acknowledged; if the file is shorter than the meta page says, the process dies of a bus
// error; and a damaged tree makes a goroutine of its own panic at open. So the file's structure is checked before bbolt
// sees it. The layout is bbolt's internal/common (v1.4.3), in the machine's byte order.
const (
	pageHeader    = 16 // id (8) | flags (2) | count (2) | overflow (4)
	metaSize      = 64 // magic … free list, page count at 40, transaction at 48, checksum at 56
	elementSize   = 16 // branch: pos (4), key size (4), page (8); leaf: flags (4), pos (4), key size (4), value size (4)
	branchFlag    = 0x01
	leafFlag      = 0x02
	bucketFlag    = 0x01
	maxTreeDepth  = 32
	maxPageExtent = 64 << 20 // bytes of one page with its overflow; an entry is smaller
)

type boltChecker struct {
	f    io.ReaderAt
	high uint64 // pages in the file, by the newest meta page
	seen []uint64
}

// checkBolt verifies the file's structure; values inside have checksums of their own.
func checkBolt(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	if st.Size() == 0 {
		return nil
	}
	if err := checkBoltFile(f, st.Size()); err != nil {
		return &CorruptError{What: "log file " + path, Err: err}
	}
	return nil
}

func checkBoltFile(f io.ReaderAt, size int64) error {
	var high, txid, root uint64
	for i := range int64(2) {
		// A meta page is written by one call and its contents fit one sector: a crash does not tear it.
		var m [metaSize]byte
		if _, err := io.ReadFull(io.NewSectionReader(f, i*pageSize+pageHeader, metaSize), m[:]); err != nil {
			return fmt.Errorf("meta page %d: %w", i, err)
		}
		h := fnv.New64a()
		h.Write(m[:metaSize-8])
		if h.Sum64() != binary.NativeEndian.Uint64(m[metaSize-8:]) {
			return fmt.Errorf("meta page %d has a wrong checksum", i)
		}
		if binary.NativeEndian.Uint32(m[8:]) != pageSize {
			return fmt.Errorf("meta page %d: page size is not %d", i, pageSize)
		}
		if t := binary.NativeEndian.Uint64(m[48:]); t >= txid {
			txid, high, root = t, binary.NativeEndian.Uint64(m[40:]), binary.NativeEndian.Uint64(m[16:])
		}
	}
	if high > uint64(size)/pageSize {
		return fmt.Errorf("file of %d bytes is shorter than its %d pages", size, high)
	}
	c := &boltChecker{f: f, high: high, seen: make([]uint64, high/64+1)}
	return c.page(root, nil, nil, 0)
}

// page checks the tree below a page whose keys must lie in [lo, hi).
func (c *boltChecker) page(id uint64, lo, hi []byte, depth int) error {
	if id < 2 || id >= c.high || depth > maxTreeDepth {
		return fmt.Errorf("reference to page %d of %d", id, c.high)
	}
	var head [pageHeader]byte
	if _, err := c.f.ReadAt(head[:], int64(id)*pageSize); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if binary.NativeEndian.Uint64(head[:]) != id || id+overflow >= c.high || (overflow+1)*pageSize > maxPageExtent {
		return fmt.Errorf("page %d has a damaged header", id)
	}
	for p := id; p <= id+overflow; p++ {
		if c.seen[p/64]&(1<<(p%64)) != 0 {
			return fmt.Errorf("page %d is used twice", p)
		}
		c.seen[p/64] |= 1 << (p % 64)
	}
	b := make([]byte, (overflow+1)*pageSize)
	if _, err := c.f.ReadAt(b, int64(id)*pageSize); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	if err := c.elements(b, lo, hi, depth); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

func (c *boltChecker) elements(b, lo, hi []byte, depth int) error {
	flags, count := binary.NativeEndian.Uint16(b[8:]), int(binary.NativeEndian.Uint16(b[10:]))
	if (flags != branchFlag && flags != leafFlag) || pageHeader+count*elementSize > len(b) || (flags == branchFlag && count == 0) {
		return errors.New("damaged header")
	}
	var prev []byte
	for i := range count {
		at := pageHeader + i*elementSize
		e := b[at : at+elementSize]
		var key, val []byte
		var ok bool
		if flags == branchFlag {
			key, _, ok = element(b, at, e[0:], e[4:], nil)
		} else {
			key, val, ok = element(b, at, e[4:], e[8:], e[12:])
		}
		if !ok || (i > 0 && bytes.Compare(key, prev) <= 0) || (i == 0 && lo != nil && bytes.Compare(key, lo) < 0) ||
			(hi != nil && bytes.Compare(key, hi) >= 0) {
			return fmt.Errorf("element %d is out of place", i)
		}
		prev = key
		var err error
		switch {
		case flags == branchFlag:
			next := hi
			if i+1 < count {
				nat := at + elementSize
				if next, _, ok = element(b, nat, b[nat:], b[nat+4:], nil); !ok {
					return fmt.Errorf("element %d is out of place", i+1)
				}
			}
			err = c.page(binary.NativeEndian.Uint64(e[8:]), key, next, depth+1)
		case binary.NativeEndian.Uint32(e)&bucketFlag != 0:
			err = c.bucket(val, depth+1)
		case binary.NativeEndian.Uint32(e) != 0:
			err = fmt.Errorf("element %d has unknown flags", i)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// element returns the key and value that an element at offset at points to; positions count from the element itself.
func element(b []byte, at int, pos, ksize, vsize []byte) (key, val []byte, ok bool) {
	from := uint64(at) + uint64(binary.NativeEndian.Uint32(pos))
	k := from + uint64(binary.NativeEndian.Uint32(ksize))
	v := k
	if vsize != nil {
		v += uint64(binary.NativeEndian.Uint32(vsize))
	}
	if v > uint64(len(b)) {
		return nil, nil, false
	}
	return b[from:k], b[k:v], true
}

// bucket checks a bucket's value: root page (8), sequence (8), and the page itself if it is small enough to be inline.
func (c *boltChecker) bucket(val []byte, depth int) error {
	if len(val) < 16 || depth > maxTreeDepth {
		return errors.New("damaged bucket")
	}
	if root := binary.NativeEndian.Uint64(val); root != 0 {
		return c.page(root, nil, nil, depth)
	}
	if len(val) < 16+pageHeader {
		return errors.New("damaged bucket")
	}
	return c.elements(val[16:], nil, nil, depth)
}
