package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/zone/cert"
)

// Book is whom a client trusts: names for zones, and for each zone the newest voter set that it has seen. A zone isn't
// believed because a node says so; it is believed because somebody entered its identity here.
type Book struct {
	mu    sync.Mutex
	dir   string // "" keeps everything in memory
	names map[string]capsule.ZoneID
	zones map[capsule.ZoneID]*cert.Tracker
}

// NewBook makes an empty book that is kept in memory.
func NewBook() *Book {
	return &Book{names: map[string]capsule.ZoneID{}, zones: map[capsule.ZoneID]*cert.Tracker{}}
}

const bookFile = "zones.json"

// OpenBook reads the book in a folder, or starts one there.
func OpenBook(dir string) (*Book, error) {
	b := NewBook()
	b.dir = dir
	text, err := os.ReadFile(filepath.Join(dir, bookFile))
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open book of zones: %w", err)
	}
	if err := json.Unmarshal(text, &b.names); err != nil {
		return nil, fmt.Errorf("open book of zones %s: %w; correct the file or remove it", filepath.Join(dir, bookFile), err)
	}
	for name, id := range b.names {
		t, err := cert.LoadTracker(b.trackerFile(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("open book of zones: %s: %w", name, err)
		}
		b.zones[id] = t
	}
	return b, nil
}

func (b *Book) trackerFile(id capsule.ZoneID) string {
	return filepath.Join(b.dir, id.String()+".zone")
}

// Trust gives a zone a name. The name replaces what it stood for before.
func (b *Book) Trust(name string, id capsule.ZoneID) error {
	if name == "" || len(name) > capsule.MaxName || id.IsZero() {
		return fmt.Errorf("trust %q: want a name of 1 to %d characters and a zone", name, capsule.MaxName)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names[name] = id
	if b.dir == "" {
		return nil
	}
	text, err := json.MarshalIndent(b.names, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("save book of zones: %w", err)
	}
	if err := atomicfile.Write(filepath.Join(b.dir, bookFile), append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("save book of zones: %w", err)
	}
	return nil
}

// Zone is the zone of a name, which may also be a zone's identity in full.
func (b *Book) Zone(name string) (capsule.ZoneID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if id, ok := b.names[name]; ok {
		return id, nil
	}
	if id, err := capsule.ParseZoneID(name); err == nil {
		return id, nil
	}
	known := make([]string, 0, len(b.names))
	for n := range b.names {
		known = append(known, n)
	}
	slices.Sort(known)
	return capsule.ZoneID{}, fmt.Errorf("no zone is called %q; known are: %s; enter it with kwnode zone trust", name, strings.Join(known, ", "))
}

// Only is the one zone that is trusted, for capsules that name none.
func (b *Book) Only() (capsule.ZoneID, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var only capsule.ZoneID
	for _, id := range b.names {
		if !only.IsZero() && only != id {
			return capsule.ZoneID{}, errors.New("several zones are trusted; say which one to use, by --zone NAME or sdk.Zone")
		}
		only = id
	}
	if only.IsZero() {
		return capsule.ZoneID{}, errors.New("no zone is trusted yet; enter one with kwnode zone trust NAME ZONEID")
	}
	return only, nil
}

// trusted are the zones of the book.
func (b *Book) trusted() []capsule.ZoneID {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []capsule.ZoneID
	for _, id := range b.names {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// Trusts reports whether the zone stands in the book.
func (b *Book) Trusts(id capsule.ZoneID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, known := range b.names {
		if known == id {
			return true
		}
	}
	return false
}

// learn takes a zone's genesis and epochs. Both prove themselves: the genesis by its hash, an epoch by its signatures.
func (b *Book) learn(id capsule.ZoneID, genesis []byte, epochs [][]byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.zones[id]
	if t == nil {
		var err error
		if t, err = cert.NewTracker(genesis); err != nil {
			return err
		}
		if t.Zone() != id {
			return fmt.Errorf("the genesis offered is of zone %s, want %s", t.Zone(), id)
		}
		b.zones[id] = t
	}
	before := t.Newest().Epoch
	for _, e := range epochs {
		var s cert.SignedAdmin
		if err := capsule.Unmarshal(e, &s); err != nil {
			return fmt.Errorf("decode epoch of zone %s: %w", id, err)
		}
		if err := t.Follow(&s); err != nil {
			return err
		}
	}
	if b.dir == "" || len(epochs) > 0 && t.Newest().Epoch == before {
		return nil
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return fmt.Errorf("save zone anchor: %w", err)
	}
	return t.Save(b.trackerFile(id))
}

// with runs fn on what is known of a zone, alone.
func (b *Book) with(id capsule.ZoneID, fn func(*cert.Tracker) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.zones[id]
	if t == nil {
		return fmt.Errorf("%w: nothing is known of zone %s yet", cert.ErrEpoch, id)
	}
	return fn(t)
}
