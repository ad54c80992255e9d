//go:build !wasip1

package kit

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"sync"
)

// Local is a mesh in memory, for tests: zones with their own data, segments that commit or vanish as one, time that
// passes only when a capsule sleeps. A Local may be used by several goroutines; their capsules run one after the other.
type Local struct {
	mu     sync.Mutex
	zones  map[string]map[string][]byte
	home   string
	denied []string
	clock  uint64
	gas    uint64
	rand   *rand.ChaCha8
	events []Event
	lines  []Line
}

// Event is one that a committed segment emitted. Data is in the package's encoding; see [Unmarshal].
type Event struct {
	Zone  string
	Topic string
	Data  []byte
}

// Line is one logged line.
type Line struct {
	Level   Level
	Message string
}

// LocalStart is the time, in nanoseconds since 1970, at which a new Local's clock stands: the start of 2026.
const LocalStart uint64 = 1767225600e9

// localGas is what capsules of a Local find left unless a test says otherwise: plenty. Each answer of Gas counts as gasStep.
const (
	localGas uint64 = 1 << 40
	gasStep  uint64 = 1000
)

// maxSleep is the longest single sleep in nanoseconds.
const maxSleep = 1 << 60

// NewLocal makes a mesh whose first zone, the one capsules start in, is called home.
func NewLocal(home string) *Local {
	l := &Local{home: home, zones: map[string]map[string][]byte{}, clock: LocalStart, gas: localGas, rand: rand.NewChaCha8([32]byte{})}
	l.AddZone(home)
	return l
}

// AddZone adds a zone that [Goto] can reach.
func (l *Local) AddZone(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.zones[name] == nil {
		l.zones[name] = map[string][]byte{}
	}
}

// Deny makes every access to keys with the prefix fail with [ErrDenied], as it does for a capsule without the grant.
func (l *Local) Deny(prefix string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.denied = append(l.denied, prefix)
}

// SetGas says how many units the capsules that follow find left. Native code is not metered: each call of [Gas] counts as
// 1,000 units and nothing else does, so that a loop that looks at what is left ends.
func (l *Local) SetGas(units uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gas = units
}

// Events are those of committed segments, oldest first.
func (l *Local) Events() []Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event(nil), l.events...)
}

// Log is every line logged so far, by failed segments too.
func (l *Local) Log() []Line {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Line(nil), l.lines...)
}

// Keys are the keys of a zone, in order.
func (l *Local) Keys(zone string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []string
	for k := range l.zones[zone] {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

// Run runs a capsule's function to its end as a zone would: on a copy of its input, with its result copied back, and with
// the last segment's writes undone if it fails.
func Run[In, Out any](l *Local, fn func(Context, In) (Out, error), in In) (out Out, err error) {
	b, err := Marshal(in)
	if err != nil {
		return out, fmt.Errorf("input: %w", err)
	}
	copied, err := Unmarshal[In](b)
	if err != nil {
		return out, fmt.Errorf("input: %w", err)
	}
	err = l.Do(func(c Context) error {
		res, err := fn(c, copied)
		if err != nil {
			return err
		}
		if b, err = Marshal(res); err != nil {
			return fmt.Errorf("result: %w", err)
		}
		if len(b) > MaxResult {
			return &Failure{CodeOutput, tooLong(len(b))}
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	return Unmarshal[Out](b)
}

// Do runs fn as one capsule in the home zone and commits what it did unless it fails: the way a test lays out data
// beforehand and looks at it afterwards.
func (l *Local) Do(fn func(Context) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &segment{l: l, name: l.home}
	s.begin()
	if err := fn(Context{h: host{s}}); err != nil {
		return err
	}
	s.commit()
	return nil
}

// segment is one running capsule. Local.mu is held for as long as it runs.
type segment struct {
	l      *Local
	name   string            // of the zone it is in
	writes map[string][]byte // nil value: deleted
	events []Event
}

func (s *segment) begin() {
	s.writes = map[string][]byte{}
	s.events = nil
}

func (s *segment) commit() {
	zone := s.l.zones[s.name]
	for k, v := range s.writes {
		if v == nil {
			delete(zone, k)
		} else {
			zone[k] = v
		}
	}
	s.l.events = append(s.l.events, s.events...)
	s.begin()
}

// host answers the calls of package kit for a native build.
type host struct{ *segment }

func noop() {}

func (h host) check(key string) Errno {
	if h.segment == nil {
		panic("kit: the zero Context belongs to no capsule; take one from Local.Do or kit.Run")
	}
	switch {
	case key == "":
		return ErrInvalid
	case len(key) > MaxKey:
		return ErrTooLarge
	}
	return h.allowed(key)
}

func (h host) allowed(key string) Errno {
	for _, p := range h.l.denied {
		if strings.HasPrefix(key, p) {
			return ErrDenied
		}
	}
	return 0
}

func (h host) get(key string) ([]byte, func(), Errno) {
	if e := h.check(key); e != 0 {
		return nil, nil, e
	}
	v, written := h.writes[key]
	if !written {
		v = h.l.zones[h.name][key]
	}
	if v == nil {
		return nil, nil, ErrNotFound
	}
	return v, noop, 0
}

func (h host) put(key string, val []byte) Errno {
	if e := h.check(key); e != 0 {
		return e
	}
	if len(val) > MaxValue {
		return ErrTooLarge
	}
	h.writes[key] = append([]byte{}, val...)
	return 0
}

func (h host) delete(key string) Errno {
	if e := h.check(key); e != 0 {
		return e
	}
	h.writes[key] = nil
	return 0
}

// localPage is how many rows one scan call answers: few, so that tests cross page borders.
const localPage = 16

func (h host) scan(prefix, after string) ([]byte, func(), Errno) {
	if len(prefix) > MaxKey || len(after) > MaxKey {
		return nil, nil, ErrTooLarge
	}
	if e := h.allowed(prefix); e != 0 {
		return nil, nil, e
	}
	zone := h.l.zones[h.name]
	var keys []string
	add := func(k string) {
		if strings.HasPrefix(k, prefix) && k > after {
			keys = append(keys, k)
		}
	}
	for k := range zone {
		if _, written := h.writes[k]; !written {
			add(k)
		}
	}
	for k, v := range h.writes {
		if v != nil {
			add(k)
		}
	}
	sort.Strings(keys)
	var page []byte
	for _, k := range keys[:min(len(keys), localPage)] {
		v, written := h.writes[k]
		if !written {
			v = zone[k]
		}
		page = appendLE(page, uint64(len(k)), 4)
		page = appendLE(page, uint64(len(v)), 4)
		page = append(append(page, k...), v...)
	}
	return page, noop, 0
}

func (h host) emit(topic string, data []byte) Errno {
	switch {
	case topic == "":
		return ErrInvalid
	case len(topic) > MaxTopic || len(data) > MaxEvent:
		return ErrTooLarge
	}
	h.events = append(h.events, Event{h.name, topic, data})
	return 0
}

func (h host) sleep(ns uint64) Errno {
	if ns > maxSleep {
		return ErrTooLarge
	}
	h.commit()
	h.l.clock += ns
	return 0
}

func (h host) goTo(zone string) Errno {
	if zone == "" {
		return ErrInvalid
	}
	h.commit()
	if h.l.zones[zone] == nil {
		return ErrNotFound
	}
	h.name = zone
	return 0
}

func (h host) zone() string { return h.name }
func (h host) now() uint64  { return h.l.clock }

func (h host) gas() uint64 {
	left := h.l.gas
	h.l.gas -= min(left, gasStep)
	return left
}

func (h host) random(p []byte) Errno {
	h.l.rand.Read(p)
	return 0
}

func (h host) log(level Level, msg string) {
	h.l.lines = append(h.l.lines, Line{level, msg})
}
