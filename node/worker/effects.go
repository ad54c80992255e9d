package worker

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// rowReader reads the zone's data as it was at the lease's index. The voter that answers checks the capsule's rights.
type rowReader interface {
	Row(key []byte) (api.Row, error)
	Rows(prefix, after []byte) (rows []api.Row, more bool, err error)
}

// effects is what a segment does: reads are journalled, writes and events wait for the commit. It implements
// hostabi.Effects for one attempt at one segment.
type effects struct {
	data rowReader
	caps []capsule.Cap // the capsule's needs in this zone
	zone string        // its name in the itinerary
	here func(name string) (capsule.ZoneID, bool)
	self capsule.ZoneID

	clock uint64 // zone ms
	seed  capsule.Hash
	units uint64 // that the segment may use in all
	used  func() uint64

	reads  map[string]read
	scans  []machine.ScanRead
	writes map[string]machine.Write
	events []machine.Event
	bytes  int // of writes and events

	note func(api.WatchEvent)
	// broken is set once the zone's data can't be reached: the attempt is over, the capsule isn't.
	broken error
}

// read is a row as the segment first saw it.
type read struct {
	version   uint64
	hash      capsule.Hash // of the value; zero if there was none
	value     []byte
	elsewhere bool // an earlier attempt has the value; this one knows its hash
}

// errJournal: the worker that wrote the checkpoint had not read what it said.
var errJournal = errors.New("the checkpoint's journal does not agree with the zone's data")

// maxBuffered bounds what one segment may hold back until its commit. A commit has to fit into one log entry.
const maxBuffered = 4 << 20

func (e *effects) may(resource string, name []byte, a capsule.Ability) error {
	if machine.Permits(e.caps, resource, name)&a == a {
		return nil
	}
	return e.denied(fmt.Sprintf("%v of %s%s", a, resource, name))
}

func (e *effects) denied(what string) error {
	e.note(api.WatchEvent{Kind: api.EventDenied, Text: what, N: uint64(-hostabi.ErrDenied)})
	return hostabi.ErrDenied
}

// row returns a row as the segment sees it, its own writes included.
func (e *effects) row(key []byte) (read, error) {
	if w, ok := e.writes[string(key)]; ok {
		if w.Delete {
			return read{}, nil
		}
		return read{version: 1, value: w.Value}, nil
	}
	old, again := e.reads[string(key)]
	if again && !old.elsewhere {
		return old, nil
	}
	if !again && len(e.reads)+len(e.scans) >= machine.MaxReads {
		return read{}, hostabi.ErrExhausted
	}
	got, err := e.data.Row(key)
	if err != nil {
		return read{}, e.unavailable(err)
	}
	r := read{version: got.Version, value: got.Value}
	if r.version != 0 {
		r.hash = capsule.Sum(got.Value)
	}
	if again && (r.version != old.version || r.hash != old.hash) {
		e.broken = fmt.Errorf("%w: the row %q", errJournal, key)
		return read{}, e.broken
	}
	e.reads[string(key)] = r
	return r, nil
}

// unavailable tells a refusal of the voter, which the program sees, from data that can't be had now.
func (e *effects) unavailable(err error) error {
	var r *api.Refusal
	if errors.As(err, &r) && r.Code == string(machine.CodeDenied) {
		return e.denied(r.Detail)
	}
	e.broken = err
	return err
}

// Get implements hostabi.Effects.
func (e *effects) Get(store uint32, key []byte) ([]byte, error) {
	if store != 0 {
		return nil, hostabi.ErrInvalid
	}
	if err := e.may(machine.ResourceData, key, capsule.Read); err != nil {
		return nil, err
	}
	r, err := e.row(key)
	if err != nil {
		return nil, err
	}
	if r.version == 0 {
		return nil, hostabi.ErrNotFound
	}
	return r.value, nil
}

// Put implements hostabi.Effects.
func (e *effects) Put(store uint32, key, val []byte) error {
	return e.write(store, machine.Write{Key: bytes.Clone(key), Value: append([]byte{}, val...)}, capsule.Write)
}

// Delete implements hostabi.Effects.
func (e *effects) Delete(store uint32, key []byte) error {
	return e.write(store, machine.Write{Key: bytes.Clone(key), Value: []byte{}, Delete: true}, capsule.Delete)
}

func (e *effects) write(store uint32, w machine.Write, a capsule.Ability) error {
	if store != 0 {
		return hostabi.ErrInvalid
	}
	if err := e.may(machine.ResourceData, w.Key, a); err != nil {
		return err
	}
	old, again := e.writes[string(w.Key)]
	if !again && len(e.writes) >= machine.MaxWrites {
		return hostabi.ErrExhausted
	}
	size := len(w.Key) + len(w.Value)
	if again {
		size -= len(old.Key) + len(old.Value)
	}
	if e.bytes+size > maxBuffered {
		return hostabi.ErrTooLarge
	}
	e.bytes += size
	e.writes[string(w.Key)] = w
	return nil
}

// Scan implements hostabi.Effects. The rows of the zone are journalled as they are; what the segment wrote itself is
// laid over them.
func (e *effects) Scan(store uint32, prefix, after []byte, max int) ([]hostabi.Row, error) {
	if store != 0 {
		return nil, hostabi.ErrInvalid
	}
	if !machine.PermitsScan(e.caps, prefix) {
		return nil, e.denied("scan of kv/" + string(prefix))
	}
	if len(e.reads)+len(e.scans) >= machine.MaxReads {
		return nil, hostabi.ErrExhausted
	}
	rows, more, err := e.data.Rows(prefix, after)
	if err != nil {
		return nil, e.unavailable(err)
	}
	s := machine.ScanRead{Prefix: bytes.Clone(prefix), After: append([]byte{}, after...), Last: []byte{}, Rows: uint32(len(rows))}
	for _, r := range rows {
		s.Hash = machine.ScanHash(s.Hash, r.Key, r.Version, r.Value)
	}
	if more && len(rows) > 0 {
		s.Last = rows[len(rows)-1].Key
	}
	e.scans = append(e.scans, s)
	return fit(e.overlay(rows, prefix, after, s.Last), max), nil
}

// overlay merges the segment's own writes into rows of a range that ends at last, or with the prefix.
func (e *effects) overlay(rows []api.Row, prefix, after, last []byte) []hostabi.Row {
	merged := map[string][]byte{}
	for _, r := range rows {
		merged[string(r.Key)] = r.Value
	}
	for key, w := range e.writes {
		k := []byte(key)
		if !bytes.HasPrefix(k, prefix) || bytes.Compare(k, after) <= 0 || len(last) > 0 && bytes.Compare(k, last) > 0 {
			continue
		}
		if w.Delete {
			delete(merged, key)
		} else {
			merged[key] = w.Value
		}
	}
	out := make([]hostabi.Row, 0, len(merged))
	for k, v := range merged {
		out = append(out, hostabi.Row{Key: []byte(k), Val: v})
	}
	sort.Slice(out, func(i, j int) bool { return bytes.Compare(out[i].Key, out[j].Key) < 0 })
	return out
}

// fit cuts rows to a packed size, but never below one.
func fit(rows []hostabi.Row, max int) []hostabi.Row {
	size := 0
	for i, r := range rows {
		if size += hostabi.PackedSize(r); size > max && i > 0 {
			return rows[:i]
		}
	}
	return rows
}

// Emit implements hostabi.Effects.
func (e *effects) Emit(topic string, data []byte) error {
	if err := e.may(machine.ResourceEvent, []byte(topic), capsule.Emit); err != nil {
		return err
	}
	if len(e.events) >= machine.MaxEvents || e.bytes+len(data) > maxBuffered {
		return hostabi.ErrExhausted
	}
	e.bytes += len(data)
	e.events = append(e.events, machine.Event{Topic: topic, Data: append([]byte{}, data...)})
	return nil
}

// Log implements hostabi.Effects.
func (e *effects) Log(level uint8, msg string) bool {
	e.note(api.WatchEvent{Kind: api.EventLog, N: uint64(level), Text: msg})
	return true
}

// Now implements hostabi.Effects: the time that the zone fixed for the segment.
func (e *effects) Now() (uint64, error) { return e.clock * 1_000_000, nil }

// Random implements hostabi.Effects. The stream's position is the gas used so far, which is the same in every attempt
// and after every checkpoint, and different at each call.
func (e *effects) Random(p []byte) error {
	var block [32 + 16]byte
	copy(block[:], e.seed[:])
	binary.BigEndian.PutUint64(block[32:], e.used())
	for n := uint64(0); len(p) > 0; n++ {
		binary.BigEndian.PutUint64(block[40:], n)
		sum := sha256.Sum256(block[:])
		p = p[copy(p, sum[:]):]
	}
	return nil
}

// Goto implements hostabi.Effects. Another zone than this one is the end of the segment.
func (e *effects) Goto(name string) error {
	id, ok := e.here(name)
	switch {
	case !ok:
		return hostabi.ErrNotFound
	case id == e.self:
		return nil
	}
	return vm.ErrPending
}

// Sleep implements hostabi.Effects: it ends the segment.
func (e *effects) Sleep(uint64) error { return vm.ErrPending }

// Zone implements hostabi.Effects.
func (e *effects) Zone() (string, error) { return e.zone, nil }

// Gas implements hostabi.Effects.
func (e *effects) Gas() (uint64, error) {
	if used := e.used(); used < e.units {
		return e.units - used, nil
	}
	return 0, nil
}

// journal is what the segment did, as a commit has it.
func (e *effects) journal() *machine.Journal {
	j := &machine.Journal{Scans: e.scans, Events: e.events}
	for _, k := range slices.Sorted(maps.Keys(e.reads)) {
		r := e.reads[k]
		j.Reads = append(j.Reads, machine.Read{Key: []byte(k), Version: r.version, Hash: r.hash})
	}
	for _, k := range slices.Sorted(maps.Keys(e.writes)) {
		j.Writes = append(j.Writes, e.writes[k])
	}
	return j
}

// saved is the encoded journal, nothing if the segment has neither read nor held back anything.
func (e *effects) saved() ([]byte, error) {
	if len(e.reads)+len(e.scans)+len(e.writes)+len(e.events) == 0 {
		return nil, nil
	}
	return e.journal().Bytes()
}

// resume takes over what an earlier attempt had done until its checkpoint. The values that it read are not part of it:
// they are read again when they are wanted, at the same index.
func (e *effects) resume(j *machine.Journal) {
	if j == nil {
		return
	}
	for _, r := range j.Reads {
		e.reads[string(r.Key)] = read{version: r.Version, hash: r.Hash, elsewhere: r.Version != 0}
	}
	e.scans = j.Scans
	for _, w := range j.Writes {
		e.writes[string(w.Key)] = w
		e.bytes += len(w.Key) + len(w.Value)
	}
	e.events = j.Events
	for _, ev := range j.Events {
		e.bytes += len(ev.Data)
	}
}
