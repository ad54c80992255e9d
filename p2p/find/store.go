package find

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p-kbucket/peerdiversity"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/kitwork/kwnode/capsule"
)

// Bounds of the records that this host keeps for others. The library's own store has none.
const (
	maxRecords     = 8192 // about 200 bytes each
	maxPerProvider = 64   // the zones that one host may provide
)

// recordStore is a bounded datastore for provider records, /providers/KEY/PROVIDER. When it is full, the provider with
// the most records loses one: whoever floods it displaces itself.
type recordStore struct {
	most, perProvider int

	mu      sync.Mutex
	records map[string]map[string][]byte // /providers/KEY → PROVIDER → value. Invariant: no empty maps
	count   map[string]int               // records of each PROVIDER. Invariant: positive, sums to size
	size    int
}

func newRecordStore(most, perProvider int) *recordStore {
	return &recordStore{most: most, perProvider: perProvider, records: make(map[string]map[string][]byte), count: make(map[string]int)}
}

// split returns the two parts of a key.
func split(k ds.Key) (key, provider string) {
	s := k.String()
	i := strings.LastIndexByte(s, '/')
	return s[:i], s[i+1:]
}

func (r *recordStore) Put(_ context.Context, k ds.Key, v []byte) error {
	key, prov := split(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.records[key][prov]; ok {
		r.records[key][prov] = v
		return nil
	}
	if r.count[prov] >= r.perProvider {
		return nil // the host announces more than a host may; what it has stays
	}
	if r.size >= r.most {
		r.evict()
	}
	if r.records[key] == nil {
		r.records[key] = make(map[string][]byte)
	}
	r.records[key][prov] = v
	r.count[prov]++
	r.size++
	return nil
}

// evict removes a record of the provider that has the most. The caller holds mu.
func (r *recordStore) evict() {
	var most string
	for p, n := range r.count {
		if n > r.count[most] || n == r.count[most] && p < most {
			most = p
		}
	}
	for key, provs := range r.records {
		if _, ok := provs[most]; ok {
			r.remove(key, most)
			return
		}
	}
}

// remove deletes a record if it is there. The caller holds mu.
func (r *recordStore) remove(key, prov string) {
	if _, ok := r.records[key][prov]; !ok {
		return
	}
	delete(r.records[key], prov)
	if len(r.records[key]) == 0 {
		delete(r.records, key)
	}
	if r.count[prov]--; r.count[prov] == 0 {
		delete(r.count, prov)
	}
	r.size--
}

func (r *recordStore) Delete(_ context.Context, k ds.Key) error {
	key, prov := split(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(key, prov)
	return nil
}

func (r *recordStore) Get(_ context.Context, k ds.Key) ([]byte, error) {
	key, prov := split(k)
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.records[key][prov]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return v, nil
}

func (r *recordStore) Has(ctx context.Context, k ds.Key) (bool, error) {
	_, err := r.Get(ctx, k)
	return err == nil, nil
}

func (r *recordStore) GetSize(ctx context.Context, k ds.Key) (int, error) {
	v, err := r.Get(ctx, k)
	if err != nil {
		return -1, err
	}
	return len(v), nil
}

// Query serves the library's two questions: the records of one key, at once, and all of them, to drop old ones.
func (r *recordStore) Query(_ context.Context, q query.Query) (query.Results, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []query.Entry
	take := func(key string, provs map[string][]byte) {
		for p, v := range provs {
			out = append(out, query.Entry{Key: key + "/" + p, Value: v, Size: len(v)})
		}
	}
	prefix := strings.TrimSuffix(q.Prefix, "/")
	if provs, ok := r.records[prefix]; ok {
		take(prefix, provs)
	} else {
		for key, provs := range r.records {
			take(key, provs)
		}
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, out)), nil
}

func (r *recordStore) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(r), nil }
func (r *recordStore) Sync(context.Context, ds.Key) error      { return nil } // memory only
func (r *recordStore) Close() error                            { return nil }

// heldRecords is what peers announced to this host, for inspection. It is bounded on its own: the library keeps records
// where they cannot be listed.
type heldRecords struct {
	mu    sync.Mutex
	zones map[capsule.ZoneID]map[capsule.Key]time.Time
	n     int
}

const maxHeld = 1024

func newHeld() *heldRecords {
	return &heldRecords{zones: make(map[capsule.ZoneID]map[capsule.Key]time.Time)}
}

// note records an announcement. A key that is no zone's is left out.
func (l *heldRecords) note(key []byte, from capsule.Key, now time.Time) {
	if len(key) != 34 || key[0] != 0x12 || key[1] != 0x20 {
		return
	}
	zone := capsule.ZoneID(key[2:])
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.zones[zone][from]; !ok {
		if l.n >= maxHeld {
			l.prune(now)
		}
		if l.n >= maxHeld {
			return
		}
		l.n++
	}
	if l.zones[zone] == nil {
		l.zones[zone] = make(map[capsule.Key]time.Time)
	}
	l.zones[zone][from] = now
}

// prune drops what has expired. The caller holds mu.
func (l *heldRecords) prune(now time.Time) {
	for z, provs := range l.zones {
		for k, at := range provs {
			if now.Sub(at) > recordLife {
				delete(provs, k)
				l.n--
			}
		}
		if len(provs) == 0 {
			delete(l.zones, z)
		}
	}
}

// diversity keeps one network from filling the routing table: at most perBucket peers of a bucket of 20, and perTable
// of all, share an IPv4 /16 or an IPv6 AS. Private and loopback networks are exempt, nobody far away has one.
type diversity struct {
	h host.Host

	mu     sync.Mutex
	table  map[peerdiversity.PeerIPGroupKey]int
	bucket map[bucketGroup]int
}

type bucketGroup struct {
	cpl   int
	group peerdiversity.PeerIPGroupKey
}

const perBucket, perTable = 8, 32

func newDiversity(h host.Host) *diversity {
	return &diversity{h: h, table: make(map[peerdiversity.PeerIPGroupKey]int), bucket: make(map[bucketGroup]int)}
}

func (d *diversity) Allow(g peerdiversity.PeerGroupInfo) bool {
	if a, err := netip.ParseAddr(string(g.IPGroupKey)); err == nil && (a.IsPrivate() || a.IsLoopback()) {
		return true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.table[g.IPGroupKey] < perTable && d.bucket[bucketGroup{g.Cpl, g.IPGroupKey}] < perBucket
}

func (d *diversity) Increment(g peerdiversity.PeerGroupInfo) { d.add(g, 1) }
func (d *diversity) Decrement(g peerdiversity.PeerGroupInfo) { d.add(g, -1) }

func (d *diversity) add(g peerdiversity.PeerGroupInfo, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := bucketGroup{g.Cpl, g.IPGroupKey}
	if d.table[g.IPGroupKey] += n; d.table[g.IPGroupKey] <= 0 {
		delete(d.table, g.IPGroupKey)
	}
	if d.bucket[b] += n; d.bucket[b] <= 0 {
		delete(d.bucket, b)
	}
}

func (d *diversity) PeerAddresses(p peer.ID) []multiaddr.Multiaddr {
	var out []multiaddr.Multiaddr
	for _, c := range d.h.Network().ConnsToPeer(p) {
		if !c.Stat().Limited { // a relay's address says nothing about the peer
			out = append(out, c.RemoteMultiaddr())
		}
	}
	return out
}
