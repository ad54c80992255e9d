package p2p

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
)

// Bounds of the file of remembered peers. Together with maxAddrLen they keep it under 400 KiB.
const (
	maxRemembered = 256
	maxAddrs      = 8   // of one peer
	maxAddrLen    = 192 // bytes of text
	maxBookBytes  = 512 << 10
	bookName      = "peers"
	bookMagic     = "kwpeers1"
)

// Known is a peer and where it was reached.
type Known struct {
	_     struct{} `cbor:",toarray"`
	Key   capsule.Key
	Addrs []string // multiaddrs without the /p2p suffix
	Seen  uint64   // Unix seconds of the last time
}

type bookFile struct {
	_     struct{} `cbor:",toarray"`
	Peers []Known
}

// book remembers peers across restarts: those this host dialled itself or was told to protect, so that strangers
// who merely connect cannot fill it.
type book struct {
	path string // "" keeps it in memory only

	mu    sync.Mutex // owns the fields below
	peers map[capsule.Key]Known
	dirty bool
}

// openBook reads the file in dir. A damaged file is reported and set aside, never trusted: the book is a convenience
// and a host must start without it.
func openBook(dir string) (*book, error) {
	b := &book{peers: make(map[capsule.Key]Known)}
	if dir == "" {
		return b, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("p2p: remembered peers: %w", err)
	}
	b.path = filepath.Join(dir, bookName)
	f, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("p2p: remembered peers: %w", err)
	}
	defer f.Close()
	data := make([]byte, maxBookBytes+1)
	n, err := readFull(f, data)
	if err != nil {
		return nil, fmt.Errorf("p2p: remembered peers: %w", err)
	}
	known, err := decodeBook(data[:n])
	if err != nil {
		return b, err
	}
	for _, k := range known {
		b.peers[k.Key] = k
	}
	return b, nil
}

// ErrDamagedBook: the file of remembered peers is torn or altered. The host starts with an empty one.
var ErrDamagedBook = errors.New("p2p: file of remembered peers is damaged and was ignored; it is rewritten with the next peer")

func decodeBook(data []byte) ([]Known, error) {
	if len(data) > maxBookBytes || len(data) < len(bookMagic)+sha256.Size || string(data[:len(bookMagic)]) != bookMagic {
		return nil, ErrDamagedBook
	}
	sum, body := data[len(bookMagic):len(bookMagic)+sha256.Size], data[len(bookMagic)+sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(sum, got[:]) {
		return nil, ErrDamagedBook
	}
	var f bookFile
	if err := capsule.Unmarshal(body, &f); err != nil || len(f.Peers) > maxRemembered {
		return nil, ErrDamagedBook
	}
	for _, p := range f.Peers {
		if len(p.Addrs) > maxAddrs || slices.ContainsFunc(p.Addrs, func(s string) bool { return len(s) > maxAddrLen }) {
			return nil, ErrDamagedBook
		}
	}
	return f.Peers, nil
}

func encodeBook(peers []Known) ([]byte, error) {
	body, err := capsule.Marshal(bookFile{Peers: peers})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(bookMagic), sum[:], body), nil
}

// saw notes that k was reached at addrs; the newest addresses come first.
func (b *book) saw(k capsule.Key, addrs []string, now time.Time) {
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(s string) bool { return s == "" || len(s) > maxAddrLen })
	if len(addrs) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.peers[k]
	for _, a := range p.Addrs {
		if len(addrs) < maxAddrs && !slices.Contains(addrs, a) {
			addrs = append(addrs, a)
		}
	}
	b.peers[k] = Known{Key: k, Addrs: addrs[:min(len(addrs), maxAddrs)], Seen: uint64(now.Unix())}
	b.dirty = true
	if len(b.peers) > maxRemembered {
		oldest := k
		for id, p := range b.peers {
			if p.Seen < b.peers[oldest].Seen {
				oldest = id
			}
		}
		delete(b.peers, oldest)
	}
}

// all returns the remembered peers, last seen first.
func (b *book) all() []Known {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Known, 0, len(b.peers))
	for _, p := range b.peers {
		p.Addrs = slices.Clone(p.Addrs)
		out = append(out, p)
	}
	slices.SortFunc(out, func(x, y Known) int {
		return cmp.Or(cmp.Compare(y.Seen, x.Seen), bytes.Compare(x.Key[:], y.Key[:]))
	})
	return out
}

// save writes the book if it changed.
func (b *book) save() error {
	if b.path == "" {
		return nil
	}
	b.mu.Lock()
	dirty := b.dirty
	b.dirty = false
	b.mu.Unlock()
	if !dirty {
		return nil
	}
	data, err := encodeBook(b.all())
	if err == nil {
		err = atomicfile.Write(b.path, data, 0o600)
	}
	if err != nil {
		b.mu.Lock()
		b.dirty = true
		b.mu.Unlock()
		return fmt.Errorf("p2p: remembered peers: %w", err)
	}
	return nil
}

func (b *book) addrs(k capsule.Key) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.peers[k].Addrs)
}

// readFull reads until buf is full or the file ends.
func readFull(f *os.File, buf []byte) (int, error) {
	n, err := io.ReadFull(f, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return n, err
}
