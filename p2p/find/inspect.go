package find

import (
	"bytes"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// Provision is a zone that this host announces.
type Provision struct {
	Zone capsule.ZoneID
	Last time.Time // of the last success; zero before the first
	Next time.Time
	Err  string // of the last attempt, "" if it worked
}

// Record is an announcement that a peer left with this host.
type Record struct {
	Zone     capsule.ZoneID
	Provider capsule.Key
	At       time.Time
}

// Outcome is what became of a claim to serve a zone, wherever it was found.
type Outcome struct {
	Zone capsule.ZoneID
	Peer capsule.Key
	At   time.Time
	Err  string // why it was not believed, "" if it was
}

// Snapshot is the state of the discovery as plain data.
type Snapshot struct {
	Server   bool          // whether this host answers the DHT
	Table    []capsule.Key // the routing table
	LAN      []capsule.Key // heard by mDNS
	Provided []Provision
	Held     []Record
	Known    map[capsule.ZoneID][]capsule.Key // proven members
	Outcomes []Outcome                        // of the last claims, last last
	// Running totals.
	Finds, Found   uint64 // searches, and those that found somebody
	Empty, Retried uint64 // DHT lookups without any record, and those repeated
	Checks         uint64 // peers asked to prove what they claim
	Refuted        uint64 // of these, failed
	Limited        uint64 // requests refused for their rate
}

// Snapshot reads the state.
func (f *Finder) Snapshot() Snapshot {
	s := Snapshot{
		Server: slices.Contains(f.inner.Mux().Protocols(), Prefix+"/kad/1.0.0"),
		Known:  make(map[capsule.ZoneID][]capsule.Key),
		Finds:  f.count.finds.Load(), Found: f.count.found.Load(), Empty: f.count.empty.Load(), Retried: f.count.retried.Load(),
		Checks: f.count.checks.Load(), Refuted: f.count.refuted.Load(), Limited: f.count.limited.Load(),
	}
	for _, id := range f.dht.RoutingTable().ListPeers() {
		if k, ok := raw.Key(id); ok {
			s.Table = append(s.Table, k)
		}
	}
	f.mu.Lock()
	s.LAN = slices.Clone(f.lanPeers)
	for z, p := range f.provided {
		v := Provision{Zone: z, Last: p.last, Next: p.due}
		if p.err != nil {
			v.Err = p.err.Error()
		}
		s.Provided = append(s.Provided, v)
	}
	s.Outcomes = slices.Clone(f.outcomes)
	for z, ks := range f.known {
		s.Known[z] = slices.Clone(ks)
	}
	f.mu.Unlock()
	now := time.Now()
	f.held.mu.Lock()
	f.held.prune(now)
	for z, provs := range f.held.zones {
		for k, at := range provs {
			s.Held = append(s.Held, Record{z, k, at})
		}
	}
	f.held.mu.Unlock()
	slices.SortFunc(s.Provided, func(a, b Provision) int { return bytes.Compare(a.Zone[:], b.Zone[:]) })
	slices.SortFunc(s.Held, func(a, b Record) int {
		if c := bytes.Compare(a.Zone[:], b.Zone[:]); c != 0 {
			return c
		}
		return bytes.Compare(a.Provider[:], b.Provider[:])
	})
	return s
}
