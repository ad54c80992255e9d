package zone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
	"github.com/kitwork/kwnode/zone/store"
)

// snapshotTimeout bounds the wait for a snapshot's state to be certified.
const snapshotTimeout = 30 * time.Second

// Config describes one voter of one zone.
type Config struct {
	Identity  *capsule.Identity
	Genesis   []byte // pins the zone
	Dir       string // of this zone alone
	Transport raft.Transport
	// Contacts are members through which a voter that is not in the genesis learns the zone.
	Contacts []capsule.Key
	// Now is the voter's clock in ms since 1970.
	Now func() uint64
	// Outbox, if set, is told of hops that are on offer or were answered. It must not block.
	Outbox func(id capsule.ID, hop uint32)
	// Content, if set, is told of content that the state begins or ceases to refer to. It must not block.
	Content func(id capsule.CID)
	// Decided, if set, is told of capsules whose admission is decided. It must not block.
	Decided func(id capsule.ID)
	// Verified remembers signatures and chains, for all that the node does with them; nil makes one for the zone alone.
	Verified *capsule.Cache
	Timing   raft.Timing
	Logger   *slog.Logger
	// FS holds the state and the snapshots; the default is the disk. The log and the signing record are always on disk.
	FS     vfs.FS
	NoSync bool // the log does not reach the disk at once: for tests that lose no power
	// Record keeps what this voter has signed; the default is a file in Dir.
	Record cert.RecordStore
	around func(write func() error) error // see store.LogOptions
}

// Zone is one voter. Its methods are safe for concurrent use.
type Zone struct {
	cfg  Config
	id   capsule.ZoneID
	self capsule.Key
	log  *slog.Logger

	m        *machine.Machine
	db       *store.Store
	raftLog  *store.Log
	replica  *replica
	certs    *certs
	sets     *epochs
	signer   *cert.Signer
	record   *cert.FileRecord // nil if the caller supplies one
	node     *raft.Node
	callback atomic.Pointer[raft.Node] // node, for what may be called before Open has returned
	voting   *voting
	calls    *caller
	proposer *proposer
	ticks    *ticks
	hub      *hub
	duties   *duties

	described described

	ctx    context.Context // ends with the voter: for its background work
	cancel context.CancelFunc
	wg     sync.WaitGroup
	failed atomic.Pointer[error]
	// recovery is the act that must be the next entry, if there is one.
	recovery atomic.Pointer[cert.SignedAdmin]
	once     sync.Once
}

// Open starts the voter: it creates its data directory if it founds or joins the zone, and continues from it otherwise.
func Open(cfg Config) (z *Zone, err error) {
	z, err = newZone(cfg)
	if err != nil {
		return nil, err
	}
	g, _, err := cert.ParseGenesis(cfg.Genesis)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			z.Close()
			z = nil
		}
	}()
	if err := z.openStores(); err != nil {
		return z, err
	}
	if err := z.openSigner(); err != nil {
		return z, err
	}
	founder := slices.Contains(g.Voters, z.self)
	if err := z.openNode(g, founder); err != nil {
		return z, err
	}
	z.start()
	return z, nil
}

func newZone(cfg Config) (*Zone, error) {
	_, id, err := cert.ParseGenesis(cfg.Genesis)
	if err != nil {
		return nil, err
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	z := &Zone{cfg: cfg, id: id, self: cfg.Identity.Key(), log: cfg.Logger, m: machine.New(id, cfg.Verified), hub: newHub()}
	z.ctx, z.cancel = context.WithCancel(context.Background())
	return z, nil
}

func (z *Zone) openStores() (err error) {
	if err := os.MkdirAll(z.cfg.Dir, 0o700); err != nil {
		return fmt.Errorf("create zone directory: %w", err)
	}
	z.db, err = store.Open(z.cfg.FS.PathJoin(z.cfg.Dir, "state"), store.Options{FS: z.cfg.FS, Logger: z.log, Fatal: z.fail})
	if err != nil {
		return err
	}
	z.certs = newCerts(z.db, z.log)
	if z.sets, err = newEpochs(z.cfg.Genesis); err != nil {
		return err
	}
	return z.sets.load(z.db)
}

func (z *Zone) openSigner() (err error) {
	rec := z.cfg.Record
	if rec == nil {
		path := filepath.Join(z.cfg.Dir, "signed")
		// Only a voter whose state is as new as its record may begin a record: see cert.ErrAmnesia.
		if _, serr := os.Lstat(path); errors.Is(serr, os.ErrNotExist) && z.db.Applied().Index == 0 {
			z.record, err = cert.CreateRecord(path, z.self)
		} else {
			z.record, err = cert.OpenRecord(path, z.self)
		}
		rec = z.record
		if errors.Is(err, cert.ErrAmnesia) {
			z.log.Error("this voter does not sign", "zone", z.id, "err", err)
			rec, err = &cert.MemRecord{Record: cert.Record{Burned: true}}, nil
		}
		if err != nil {
			return err
		}
	}
	if z.signer, err = cert.NewSigner(z.cfg.Identity, z.id, rec); err != nil {
		return err
	}
	z.replica = &replica{db: z.db, m: z.m, signer: z.signer, sets: z.sets, certs: z.certs, after: z.after,
		recovered: z.acceptRecovered, pending: z.pendingRecovery}
	if err := z.pendingRecovery(); err != nil {
		return err
	}
	return z.replica.startSigner()
}

func (z *Zone) proto(name string) string { return "/kitwork/zone/" + z.id.String() + name }

// openLog opens the snapshots and the log, which goes on behind the newest of them.
func (z *Zone) openLog(opt store.LogOptions) (*store.Snapshots, *store.Log, error) {
	snaps, err := store.OpenSnapshots(z.cfg.FS.PathJoin(z.cfg.Dir, "snapshots"), z.cfg.FS)
	if err != nil {
		return nil, nil, err
	}
	list, err := snaps.List()
	if err != nil {
		return nil, nil, err
	}
	if len(list) > 0 {
		opt.SnapshotIndex = list[0].Index
	}
	opt.NoSync = z.cfg.NoSync
	log, err := store.OpenLog(filepath.Join(z.cfg.Dir, "log"), opt)
	return snaps, log, err
}

func (z *Zone) openNode(g *cert.Genesis, founder bool) error {
	snaps, log, err := z.openLog(store.LogOptions{Applied: z.replica.Applied, Stored: z.prepare, Fatal: z.fail, Around: z.cfg.around})
	if err != nil {
		return err
	}
	z.raftLog = log
	if founder {
		if err := raft.Bootstrap(g.Voters, z.raftLog, snaps); err != nil {
			return fmt.Errorf("found the zone: %w", err)
		}
	}
	z.proposer = &proposer{z: z, slot: make(chan struct{}, maxInFlight), wake: make(chan struct{}, 1)}
	z.ticks = &ticks{z: z, wake: make(chan struct{}, 1), one: make(chan struct{}, 1)}
	z.duties = &duties{z: z, wake: make(chan struct{}, 1)}
	z.voting = &voting{
		self: z.self, signer: z.signer, sets: z.sets, certs: z.certs, t: z.cfg.Transport, proto: z.proto(votesProto),
		member: z.member, fork: z.fail, wake: make(chan struct{}, 1), ctx: z.ctx,
		peers: map[capsule.Key]*votePeer{}, collectors: map[[2]uint64]*cert.Collector{}, last: map[capsule.Key]cert.Vote{},
		own: map[uint64]cert.Vote{}, greeted: map[capsule.Key]bool{}, suspects: map[capsule.Key]bool{}, conns: map[net.Conn]bool{},
	}
	z.calls = &caller{
		pool: api.Pool{Open: z.cfg.Transport.Dial}, proto: z.proto(callProto), member: z.member, handle: z.serve, ctx: z.ctx,
		gate: make(chan struct{}, maxCalls), conns: map[net.Conn]bool{}, slots: map[capsule.Key]chan struct{}{},
	}
	if z.voting.l, err = z.cfg.Transport.Listen(z.voting.proto, z.member); err != nil {
		return fmt.Errorf("listen for votes: %w", err)
	}
	if z.calls.l, err = z.cfg.Transport.Listen(z.calls.proto, z.member); err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	if err := z.recall(); err != nil {
		return err
	}
	node, err := raft.Open(raft.Config{
		Self: z.self, Protocol: z.proto("/raft/1"), Transport: z.cfg.Transport, Machine: z.replica, Log: z.raftLog,
		Snapshots: snaps, Contacts: z.cfg.Contacts, Confirm: z.confirm, Timing: z.cfg.Timing, Logger: z.log,
		Failed: z.fail,
	})
	if err != nil {
		return err
	}
	z.node = node
	z.callback.Store(node)
	return z.Err()
}

// recall brings back what memory held before a restart: the time, and the newest statements and quorums.
func (z *Zone) recall() error {
	v, err := z.db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	mv := machine.NewView(v)
	head, err := mv.Head()
	if errors.Is(err, machine.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	zr, err := mv.Zone()
	if err != nil {
		return err
	}
	set, err := mv.Voters()
	if err != nil {
		return err
	}
	deadline, err := mv.Deadline()
	if err != nil {
		return err
	}
	z.ticks.applied(&machine.Outcome{Zone: z.id, Generation: zr.Generation, Epoch: set.Epoch, Time: head.Time, Deadline: deadline})
	from := head.Index - min(head.Index, 2*maxVotes)
	var fail error
	err = z.db.ScanLocal([]byte{localBatch}, indexKey(localBatch, from), func(_, b []byte) bool {
		r := new(batchRow)
		if fail = capsule.Unmarshal(b, r); fail == nil {
			fail = z.certs.applied(r.Statement)
		}
		return fail == nil
	})
	if err := errors.Join(err, fail); err != nil {
		return err
	}
	return z.certs.recall(from, head.Index, z.voting.seed)
}

func (z *Zone) start() {
	z.wg.Add(3)
	go z.proposer.run()
	go z.ticks.run()
	go z.duties.run()
	z.voting.wg.Add(2)
	go z.voting.run()
	go z.voting.accept()
	z.calls.wg.Add(1)
	go z.calls.accept()
	z.watchMembers()
}

// after performs what must follow an Apply. It runs on the goroutine that applies and never waits.
func (z *Zone) after(a *applied) {
	if !founded(a) {
		return
	}
	if a.epoch != nil {
		z.recovery.Store(nil)
	}
	z.voting.enqueue(a)
	z.ticks.applied(&a.out)
	z.hub.publish(&a.out)
	if z.cfg.Decided != nil {
		for i := range a.out.Decisions {
			if s := &a.out.Decisions[i].Slot; s.Phase == cert.PhaseIn {
				z.cfg.Decided(s.Capsule)
			}
		}
	}
	for i := range a.out.Effects {
		switch e := &a.out.Effects[i]; e.Kind {
		case machine.EffectMembers:
			z.duties.members.Store(a.out.Index)
			z.duties.signal()
		case machine.EffectKeep, machine.EffectCollect:
			if z.cfg.Content != nil {
				z.cfg.Content(e.Blob)
			}
		case machine.EffectOutbox:
			if z.cfg.Outbox != nil {
				z.cfg.Outbox(e.Capsule, uint32(e.N))
			}
		case machine.EffectFrozen:
			z.log.Error("a zone contradicted itself; nothing of it is believed until the roots decide: kwnode zone ledger --json has the evidence", "zone", z.id, "frozen", e.Zone)
		}
	}
}

// member reports whether a peer may open streams.
func (z *Zone) member(k capsule.Key) bool {
	n := z.callback.Load()
	if n == nil {
		set := z.sets.newest()
		return set.Position(k) >= 0 || slices.Contains(z.cfg.Contacts, k)
	}
	return n.Member(k)
}

func (z *Zone) watchMembers() {
	var keys []capsule.Key
	for k := range z.node.Members() {
		keys = append(keys, k)
	}
	z.voting.setPeers(keys)
}

// fail stops the voter and keeps the reason.
func (z *Zone) fail(err error) {
	if !z.failed.CompareAndSwap(nil, &err) {
		return
	}
	z.log.Error("voter stops", "zone", z.id, "err", err)
	z.cancel()
	if n := z.callback.Load(); n != nil {
		n.Fail(err)
	}
}

// Err returns why the voter stopped itself, or nil.
func (z *Zone) Err() error {
	if p := z.failed.Load(); p != nil {
		return *p
	}
	return nil
}

// Done is closed when the voter stops, by Close or by itself.
func (z *Zone) Done() <-chan struct{} { return z.ctx.Done() }

// Close stops the voter and waits for everything it started.
func (z *Zone) Close() error {
	var errs []error
	z.once.Do(func() {
		z.cancel()
		if z.node != nil {
			errs = append(errs, z.node.Close())
		}
		if z.voting != nil && z.voting.l != nil {
			z.voting.close()
		}
		if z.calls != nil && z.calls.l != nil {
			z.calls.close()
		}
		z.wg.Wait()
		z.hub.close()
		if z.raftLog != nil {
			errs = append(errs, z.raftLog.Close())
		}
		if z.db != nil {
			errs = append(errs, z.db.Close())
		}
		if z.record != nil {
			errs = append(errs, z.record.Close())
		}
	})
	return errors.Join(errs...)
}

// pause waits, and reports whether the voter still runs.
func (z *Zone) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-z.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// ID returns the zone.
func (z *Zone) ID() capsule.ZoneID { return z.id }

// Key returns this voter's key.
func (z *Zone) Key() capsule.Key { return z.self }
