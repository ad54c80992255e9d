package hostabi

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sort"
)

// Memory is Effects that live in this process: zones that come into being when a program goes to them, each with
// ordered stores, under a clock and a random source that are given. It is what a dry run, kwnode exec and tests use.
// What a program wrote since its last suspension is one transaction: goto and sleep commit it, and whoever runs the
// program calls Commit or Rollback at its end.
type Memory struct {
	Time    func() uint64                   // zone time in nanoseconds; nil: it stands at 0
	GasLeft func() uint64                   // nil: none
	LogTo   func(level uint8, msg string)   // nil: messages are dropped
	EmitTo  func(topic string, data []byte) // on commit; nil: events are dropped
	Reach   func(zone string) bool          // nil: every zone can be reached

	// MaxBytes bounds what all stores hold, keys and values, and apart from it what the transaction in progress keeps
	// to be undone or sent; a write or event beyond is ErrExhausted.
	MaxBytes int

	zone  string
	zones map[string]map[uint32]*table
	size  int // of all stores
	undo  []change
	event []event
	held  int // by undo and event
	rand  *rand.ChaCha8
}

// DefaultMaxBytes is Memory's bound where none is set.
const DefaultMaxBytes = 64 << 20

// MaxStores bounds the store indices that Memory knows; one beyond is ErrDenied.
const MaxStores = 64

// table is a store: rows in the order of their keys.
type table struct{ rows []Row }

// change undoes one write; had tells an absent key from an empty value.
type change struct {
	t   *table
	row Row
	had bool
}

type event struct {
	topic string
	data  []byte
}

// NewMemory makes empty stores in the zone of this name, with random numbers from the seed.
func NewMemory(zone string, seed [32]byte) *Memory {
	return &Memory{zone: zone, zones: map[string]map[uint32]*table{}, rand: rand.NewChaCha8(seed), MaxBytes: DefaultMaxBytes}
}

func (m *Memory) table(store uint32) (*table, error) {
	if store >= MaxStores {
		return nil, ErrDenied
	}
	z := m.zones[m.zone]
	if z == nil {
		z = map[uint32]*table{}
		m.zones[m.zone] = z
	}
	if z[store] == nil {
		z[store] = &table{}
	}
	return z[store], nil
}

// find is the place of the key, or where it would stand.
func (t *table) find(key []byte) (int, bool) {
	return sort.Find(len(t.rows), func(i int) int { return bytes.Compare(key, t.rows[i].Key) })
}

// set stores or, with has false, removes a row, and answers what undoes it.
func (m *Memory) set(t *table, row Row, has bool) change {
	i, found := t.find(row.Key)
	c := change{t: t, row: Row{Key: row.Key}, had: found}
	if found {
		c.row = t.rows[i]
		m.size -= len(c.row.Key) + len(c.row.Val)
	}
	switch {
	case has && found:
		t.rows[i] = row
	case has:
		t.rows = slices.Insert(t.rows, i, row)
	case found:
		t.rows = slices.Delete(t.rows, i, i+1)
	}
	if has {
		m.size += len(row.Key) + len(row.Val)
	}
	return c
}

// Get implements Effects.
func (m *Memory) Get(store uint32, key []byte) ([]byte, error) {
	t, err := m.table(store)
	if err != nil {
		return nil, err
	}
	i, found := t.find(key)
	if !found {
		return nil, ErrNotFound
	}
	return t.rows[i].Val, nil
}

// Put implements Effects.
func (m *Memory) Put(store uint32, key, val []byte) error {
	t, err := m.table(store)
	if err != nil {
		return err
	}
	if m.size+len(key)+len(val) > m.MaxBytes {
		return ErrExhausted
	}
	return m.write(t, Row{bytes.Clone(key), bytes.Clone(val)}, true)
}

// entryBytes is what an undo or event entry itself takes, roughly.
const entryBytes = 64

func (m *Memory) write(t *table, row Row, has bool) error {
	if m.held > m.MaxBytes {
		return ErrExhausted
	}
	c := m.set(t, row, has)
	m.undo = append(m.undo, c)
	m.held += entryBytes + len(c.row.Key) + len(c.row.Val)
	return nil
}

// Delete implements Effects.
func (m *Memory) Delete(store uint32, key []byte) error {
	t, err := m.table(store)
	if err != nil {
		return err
	}
	if _, found := t.find(key); !found {
		return nil
	}
	return m.write(t, Row{Key: bytes.Clone(key)}, false)
}

// Scan implements Effects.
func (m *Memory) Scan(store uint32, prefix, after []byte, most int) ([]Row, error) {
	t, err := m.table(store)
	if err != nil {
		return nil, err
	}
	from := prefix
	if bytes.Compare(after, prefix) >= 0 {
		from = append(bytes.Clone(after), 0) // the least key that is greater
	}
	i, _ := t.find(from)
	size, j := 0, i
	for ; j < len(t.rows) && bytes.HasPrefix(t.rows[j].Key, prefix); j++ {
		size += PackedSize(t.rows[j])
		if size > most && j > i {
			break
		}
	}
	return t.rows[i:j], nil
}

// Emit implements Effects.
func (m *Memory) Emit(topic string, data []byte) error {
	if m.held > m.MaxBytes {
		return ErrExhausted
	}
	m.event = append(m.event, event{topic, bytes.Clone(data)})
	m.held += entryBytes + len(topic) + len(data)
	return nil
}

// Log implements Effects.
func (m *Memory) Log(level uint8, msg string) bool {
	if m.LogTo != nil {
		m.LogTo(level, msg)
	}
	return true
}

// Now implements Effects.
func (m *Memory) Now() (uint64, error) {
	if m.Time == nil {
		return 0, nil
	}
	return m.Time(), nil
}

// Random implements Effects.
func (m *Memory) Random(p []byte) error {
	m.rand.Read(p)
	return nil
}

// Goto implements Effects.
func (m *Memory) Goto(zone string) error {
	if m.Reach != nil && !m.Reach(zone) {
		return ErrUnreachable
	}
	m.Commit()
	m.zone = zone
	return nil
}

// Sleep implements Effects: the time passes at once.
func (m *Memory) Sleep(uint64) error {
	m.Commit()
	return nil
}

// Zone implements Effects.
func (m *Memory) Zone() (string, error) { return m.zone, nil }

// Gas implements Effects.
func (m *Memory) Gas() (uint64, error) {
	if m.GasLeft == nil {
		return 0, nil
	}
	return m.GasLeft(), nil
}

// Commit makes the writes since the last suspension final and sends the events.
func (m *Memory) Commit() {
	for _, e := range m.event {
		if m.EmitTo != nil {
			m.EmitTo(e.topic, e.data)
		}
	}
	m.forget()
}

func (m *Memory) forget() {
	clear(m.undo)
	clear(m.event)
	m.undo, m.event, m.held = m.undo[:0], m.event[:0], 0
}

// Rollback takes the writes and events since the last suspension back.
func (m *Memory) Rollback() {
	for _, c := range slices.Backward(m.undo) {
		m.set(c.t, c.row, c.had)
	}
	m.forget()
}
