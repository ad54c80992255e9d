package zone

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/internal/memnet"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

func ident(n uint64) *capsule.Identity {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n)
	return capsule.IdentityFromSeed(seed)
}

func sortedIdents(from uint64, n int) []*capsule.Identity {
	out := make([]*capsule.Identity, n)
	for i := range out {
		out[i] = ident(from + uint64(i))
	}
	slices.SortFunc(out, func(a, b *capsule.Identity) int {
		ka, kb := a.Key(), b.Key()
		return bytes.Compare(ka[:], kb[:])
	})
	return out
}

func keysOf(ids []*capsule.Identity) []capsule.Key {
	out := make([]capsule.Key, len(ids))
	for i, id := range ids {
		out[i] = id.Key()
	}
	return out
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// cluster is a zone of several voters in one process.
type cluster struct {
	t       testing.TB
	net     *memnet.Network
	dir     string
	genesis *cert.Genesis
	raw     []byte
	id      capsule.ZoneID
	roots   []*capsule.Identity
	voters  []*capsule.Identity
	author  *capsule.Identity
	owner   *capsule.Identity
	worker  *capsule.Identity
	fs      []*vfs.MemFS
	disk    bool // state on the disk instead of in memory
	sync    bool // the log reaches the disk
	records []*cert.MemRecord
	zones   []*Zone
	skew    [9]atomic.Int64 // ms
	timing  raft.Timing
	change  func(*Config) // the last word on each voter
	nonce   atomic.Uint64
	seq     uint64
}

func newCluster(t testing.TB, n int, change ...func(*cluster)) *cluster {
	c := &cluster{
		t: t, net: memnet.New(nil), dir: t.TempDir(), roots: sortedIdents(100, 3), voters: sortedIdents(200, n),
		author: ident(1), owner: ident(2), worker: ident(3),
		fs: make([]*vfs.MemFS, n), records: make([]*cert.MemRecord, n), zones: make([]*Zone, n),
	}
	c.genesis = &cert.Genesis{
		V: cert.Version, Dev: n < 3, Roots: keysOf(c.roots), Voters: keysOf(c.voters), MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 2, Mint: 2, Membership: 2, Recover: 3},
	}
	c.raw = must(c.genesis.Bytes())
	c.id = capsule.ZoneID(capsule.Sum(c.raw))
	for i := range n {
		c.fs[i], c.records[i] = vfs.NewCrashableMem(), &cert.MemRecord{}
	}
	for _, f := range change {
		f(c)
	}
	for i := range n {
		c.start(i)
	}
	return c
}

func testLogger() *slog.Logger {
	if os.Getenv("ZONE_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (c *cluster) config(i int) Config {
	cfg := Config{
		Identity: c.voters[i], Genesis: c.raw, Dir: filepath.Join(c.dir, fmt.Sprint(i)), Transport: c.net.Host(c.voters[i].Key()),
		Now:    func() uint64 { return uint64(time.Now().UnixMilli() + c.skew[i].Load()) },
		Timing: c.timing, NoSync: !c.sync,
	}
	if c.records[i] != nil {
		cfg.Record = c.records[i]
	}
	if !c.disk {
		cfg.FS = c.fs[i]
	}
	if l := testLogger(); l != nil {
		cfg.Logger = l.With("voter", i)
	}
	if c.change != nil {
		c.change(&cfg)
	}
	return cfg
}

func (c *cluster) start(i int) *Zone {
	c.t.Helper()
	z, err := Open(c.config(i))
	if err != nil {
		c.t.Fatalf("start voter %d: %v", i, err)
	}
	c.zones[i] = z
	return z
}

// stop ends a voter in good order.
func (c *cluster) stop(i int) {
	z := c.zones[i]
	if z == nil {
		return
	}
	c.zones[i] = nil
	z.Close()
	c.net.Kill(z.Key())
}

func (c *cluster) close() {
	for i := range c.zones {
		c.stop(i)
	}
}

func (c *cluster) leader() *Zone {
	c.t.Helper()
	for range 1200 {
		for _, z := range c.zones {
			if z != nil && z.Err() == nil {
				if _, ok := z.node.Leading(); ok && !z.unfounded() {
					return z
				}
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.t.Fatal("no leader within a minute")
	return nil
}

func (c *cluster) ctx(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// ok proposes a command that must succeed.
func (c *cluster) ok(z *Zone, cmd []byte) *Outcome {
	c.t.Helper()
	ctx, cancel := c.ctx(20 * time.Second)
	defer cancel()
	out, err := z.Propose(ctx, cmd)
	if err != nil {
		c.t.Fatalf("propose: %v", err)
	}
	if out.Result.Refusal != nil {
		c.t.Fatalf("propose: %v", out.Result.Refusal)
	}
	return out
}

func (c *cluster) admin(z *Zone, op cert.Op, body any) {
	c.t.Helper()
	c.ok(z, must(machine.NewAdmin(c.act(op, 0, body))))
}

func (c *cluster) act(op cert.Op, generation uint64, body any) *cert.SignedAdmin {
	c.seq++
	a := &cert.Admin{V: cert.Version, Zone: c.id, Generation: generation, Sequence: c.seq, Op: op, Body: must(capsule.Marshal(body))}
	return must(cert.SignAdmin(c.genesis, a, c.roots...))
}

// furnish gives the zone credits, a namespace "orders" and a worker.
func (c *cluster) furnish() *Zone {
	c.t.Helper()
	z := c.leader()
	c.admin(z, cert.OpCredit, &machine.Credit{Account: c.author.Key(), Amount: 1 << 50})
	c.admin(z, cert.OpCredit, &machine.Credit{Account: c.owner.Key(), Amount: 1 << 50})
	c.admin(z, cert.OpNamespace, &machine.GiveNamespace{Name: "orders", Owner: c.owner.Key(), Quota: 1 << 30})
	pol := machine.DefaultPolicy()
	pol.OpenWorkers = true
	c.admin(z, cert.OpPolicy, &pol)
	return z
}

func (c *cluster) register(z *Zone, slots uint32) {
	c.t.Helper()
	c.ok(z, must(machine.NewRegister(c.worker, &machine.Register{Scope: machine.NewScope(c.id, 0), Sequence: 1, Slots: slots, Pages: 1 << 20})))
}

func (c *cluster) grant() capsule.Chain {
	return must(c.owner.Delegate(nil, capsule.Grant{
		Audience: c.author.Key(), Subject: c.id, Gas: 1 << 40, NotBefore: 1, Expires: 1 << 50,
		Caps: []capsule.Cap{{Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete}},
	}))
}

func (c *cluster) seal(now uint64) *capsule.Capsule {
	m := &capsule.Manifest{
		Home: c.id, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: []byte("in"), Gas: 1_000_000, MaxPrice: 1 << 40,
		Expires: now + 3_600_000, MeterVersion: 1, Limits: capsule.Limits{MemoryPages: 16, StateBytes: 1 << 16},
		Needs: []capsule.Need{{Zone: c.id, Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete}},
	}
	binary.BigEndian.PutUint64(m.Nonce[:], c.nonce.Add(1))
	return must(capsule.Seal(c.author, m, []capsule.Chain{c.grant()}))
}

func now() uint64 { return uint64(time.Now().UnixMilli()) }

// data is a write by the owner of "orders".
func (c *cluster) data(writes ...machine.Write) []byte { return c.dataIn(0, writes...) }

func (c *cluster) dataIn(generation uint64, writes ...machine.Write) []byte {
	var key [16]byte
	binary.BigEndian.PutUint64(key[:], c.nonce.Add(1))
	return must(machine.NewData(c.owner, key, &machine.Data{Scope: machine.NewScope(c.id, generation), Expires: now() + 600_000, Writes: writes}))
}

// converge waits until all running voters reflect the leader's last entry, and checks that their states are equal.
func (c *cluster) converge(d time.Duration) {
	c.t.Helper()
	deadline := time.Now().Add(d)
	for {
		var heads []string
		for _, z := range c.zones {
			if z == nil {
				continue
			}
			v, err := z.Query()
			if err != nil {
				c.t.Fatal(err)
			}
			h, err := v.Head()
			sh, err2 := v.StateHash()
			v.Close()
			heads = append(heads, fmt.Sprint(h.Index, h.Chain, sh, err, err2))
		}
		slices.Sort(heads)
		if len(slices.Compact(heads)) == 1 {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("voters differ after %v: %v", d, heads)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func newFS() *vfs.MemFS { return vfs.NewCrashableMem() }

func sortKeys(k []capsule.Key) {
	slices.SortFunc(k, func(a, b capsule.Key) int { return bytes.Compare(a[:], b[:]) })
}

func waitFor(t testing.TB, d time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(d); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", d, what)
		}
	}
}
