package vm

import "bytes"

// Base is a store's state that others are told against and started from: typically a program after its initialisation,
// of which every capsule of that program shares nearly all. It is immutable and may be used by any number of goroutines.
type Base struct {
	hash   [32]byte
	bytes  []byte // a continuation against the modules, to send to others
	body   []byte // the state told against this base itself: all but memories and tables
	images []*image
	elems  [][]uint64
	codec  codec // for continuations that are told against the base
}

// NewBase captures the store's state as a base. The store is unchanged.
func (s *Store) NewBase() (*Base, error) {
	b := &Base{}
	var err error
	if b.hash, err = s.StateHash(nil); err != nil {
		return nil, err
	}
	if b.bytes, err = s.Freeze(FreezeOptions{}); err != nil {
		return nil, err
	}
	for _, mem := range s.memories {
		src := bytes.TrimRight(mem.bytes(), "\x00")
		img, err := newImage((len(src)+4095)&^4095, func(dst []byte) error { copy(dst, src); return nil })
		if err != nil {
			return nil, err
		}
		b.images = append(b.images, img)
	}
	for _, t := range s.tables {
		b.elems = append(b.elems, append([]uint64(nil), t.elems...))
	}
	w := &bodyWriter{s: s}
	defer w.done()
	if err := s.writeBody(w, b, nil); err != nil {
		return nil, err
	}
	b.body = append([]byte(nil), w.b...)
	b.codec.dict = b.body[:min(len(b.body), maxDictionary)]
	return b, nil
}

// LoadBase makes a base out of another one's Bytes. hash is what they were named by; anything else is refused.
func LoadBase(b []byte, hash [32]byte, c Config, src Sources) (*Base, error) {
	s, _, err := Thaw(b, c, src)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	base, err := s.NewBase()
	if err != nil {
		return nil, err
	}
	if base.hash != hash {
		return nil, &ThawError{-1, "the base has another hash than its name"}
	}
	return base, nil
}

// Hash names the base: the StateHash of the store that it was made from, without host state.
func (b *Base) Hash() [32]byte { return b.hash }

// Bytes is the base as a continuation, for LoadBase elsewhere.
func (b *Base) Bytes() []byte { return b.bytes }

// NewStore makes a store in the base's state. Memory is mapped, not copied, so it takes microseconds whatever its size.
// Limits, seed and clock are the base's.
func (b *Base) NewStore(c Config, src Sources) (*Store, error) {
	s, _, err := fromBody(b.body, againstBase, b, c, src)
	return s, err
}

func (b *Base) image(mem int) (*image, error) {
	if mem < len(b.images) {
		return b.images[mem], nil
	}
	return nil, nil
}

func (b *Base) table(i int) []uint64 {
	if i < len(b.elems) {
		return b.elems[i]
	}
	return nil
}

func fromBody(body []byte, against byte, base *Base, c Config, src Sources) (*Store, []byte, error) {
	s := NewStore(c)
	r := newBodyReader(bytes.NewReader(body), min(len(body), readBuffer), s, src)
	if err := r.body(against, base); err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, r.host, nil
}

// Checkpoint is a store's state in memory, without compression.
type Checkpoint struct {
	body    []byte
	against byte
	base    *Base
}

// Checkpoint copies what differs from the base, or from the modules' initial state if base is nil. It is for going back
// in the same process; Freeze is for others.
func (s *Store) Checkpoint(base *Base, host []byte) (*Checkpoint, error) {
	c := &Checkpoint{against: againstModule}
	var line baseline = moduleLine{s}
	if base != nil {
		c.against, c.base, line = againstBase, base, base
	}
	w := &bodyWriter{s: s}
	defer w.done()
	if err := s.writeBody(w, line, host); err != nil {
		return nil, err
	}
	c.body = w.b
	return c, nil
}

// Size is the memory that the checkpoint holds, in bytes.
func (c *Checkpoint) Size() int { return cap(c.body) }

// Restore makes a new store in the checkpoint's state and returns the host's bytes with it.
func (c *Checkpoint) Restore(cfg Config, src Sources) (*Store, []byte, error) {
	return fromBody(c.body, c.against, c.base, cfg, src)
}
