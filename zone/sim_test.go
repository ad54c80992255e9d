package zone

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/internal/memnet"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this seed alone")
	simSeeds = flag.Int("sim.seeds", 200, "number of seeds")
)

// sim is one run: clients, faults, and what the clients were told.
type sim struct {
	*cluster
	seed  uint64
	plan  []fault
	clock atomic.Int64

	mu                 sync.Mutex // guards what follows
	history            []porcupine.Operation
	puts               map[string]*simPut
	admits             map[capsule.ID]*cert.Certificate
	slots              map[cert.Slot]*cert.Decision // first outcome seen of each
	diverge            []string
	commits, conflicts int
	gate               []sync.Mutex // held while a voter is started or stopped
	disks              []*slowDisk
}

type simPut struct {
	acked   bool
	version uint64
}

func newSim(t *testing.T, seed uint64) *sim {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := &sim{seed: seed, puts: map[string]*simPut{}, admits: map[capsule.ID]*cert.Certificate{}, slots: map[cert.Slot]*cert.Decision{}}
	n := []int{3, 3, 3, 4, 5}[rng.IntN(5)]
	s.plan = planOf(rng, n)
	delays := map[[2]capsule.Key]*rand.Rand{}
	s.gate = make([]sync.Mutex, n)
	for range n {
		s.disks = append(s.disks, &slowDisk{turn: make(chan struct{}, 1)})
	}
	s.cluster = newCluster(t, n, func(c *cluster) {
		c.change = func(cfg *Config) {
			i := slices.IndexFunc(c.voters, func(id *capsule.Identity) bool { return id == cfg.Identity })
			cfg.around = s.disks[i].around
		}
		// Called under the network's own lock.
		c.net = memnet.New(func(from, to capsule.Key) time.Duration {
			link := [2]capsule.Key{from, to}
			r := delays[link]
			if r == nil { // the n-th message of a link takes the same time in each run
				r = rand.New(rand.NewPCG(seed, binary.BigEndian.Uint64(from[:])^binary.BigEndian.Uint64(to[8:])))
				delays[link] = r
			}
			return time.Duration(r.IntN(3000)) * time.Microsecond
		})
		c.timing = raft.Timing{Heartbeat: 250 * time.Millisecond, Commit: 300 * time.Millisecond, RPC: 2 * time.Second,
			SnapshotEvery: 700 * time.Millisecond, SnapshotAfter: 12, TrailingLogs: 6}
	})
	return s
}

// slowDisk makes every write of a log take its time.
type slowDisk struct {
	slow   atomic.Pointer[slowness] // nil: it isn't
	writes atomic.Int64             // that were delayed
	// turn is held by who writes. A mutex would not do: the clock of a bubble stands still while a goroutine waits for one.
	turn chan struct{}
}

type slowness struct {
	delay time.Duration
	over  chan struct{} // closed when the disk is fast again: whoever waits for it goes on
}

func (d *slowDisk) around(write func() error) error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if s := d.slow.Load(); s != nil {
		d.writes.Add(1)
		select {
		case <-time.After(s.delay):
		case <-s.over:
		}
	}
	return write()
}

// set makes the disk slow, or fast with 0.
func (d *slowDisk) set(delay time.Duration) {
	var next *slowness
	if delay > 0 {
		next = &slowness{delay, make(chan struct{})}
	}
	if s := d.slow.Swap(next); s != nil {
		close(s.over)
	}
}

func (s *sim) tick() int64 { return s.clock.Add(1) }

// voter returns a running voter, or nil.
func (s *sim) voter(i int) *Zone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zones[i]
}

func (s *sim) client(id int, until time.Time) {
	rng := rand.New(rand.NewPCG(s.seed, uint64(100+id)))
	for n := 0; time.Now().Before(until); n++ {
		time.Sleep(time.Duration(20+rng.IntN(250)) * time.Millisecond)
		z := s.voter(rng.IntN(len(s.zones)))
		if z == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(200+rng.IntN(3000))*time.Millisecond)
		switch rng.IntN(10) {
		case 0, 1, 2:
			s.put(ctx, z, id, n, rng)
		case 3, 4:
			s.get(ctx, z, id, rng)
		case 5, 6, 7:
			s.scan(ctx, z, id)
		default:
			s.admit(ctx, z)
		}
		cancel()
	}
}

// put writes or deletes a shared register, for the history, and writes a row of its own, for loss and duplication.
func (s *sim) put(ctx context.Context, z *Zone, id, n int, rng *rand.Rand) {
	own := fmt.Sprintf("orders/own/%d/%d", id, n)
	in := historyInput{kind: opPut, key: rng.IntN(len(registers{})), val: fmt.Sprintf("%d-%d", id, n)}
	shared := machine.Write{Key: []byte(registerKey(in.key)), Value: []byte(in.val)}
	if rng.IntN(4) == 0 {
		in.val, shared.Value, shared.Delete = "", []byte{}, true
	}
	cmd := s.data(machine.Write{Key: []byte(own), Value: []byte("mine")}, shared)
	p := &simPut{}
	s.mu.Lock()
	s.puts[own] = p
	s.mu.Unlock()
	call := s.tick()
	out, err := z.Propose(ctx, cmd)
	switch {
	case err != nil:
		in.unknown = true
	case out.Result.Refusal != nil:
		if c := out.Result.Refusal.Code; c != machine.CodeExpired && c != machine.CodeTime && c != machine.CodeLocked { // three conflicts end in a lock
			s.report("put refused: %v", out.Result.Refusal)
		}
		s.mu.Lock()
		delete(s.puts, own)
		s.mu.Unlock()
		return
	default:
		s.mu.Lock()
		p.acked, p.version = true, out.Result.N
		s.mu.Unlock()
	}
	s.record(id, in, nil, call)
}

func (s *sim) admit(ctx context.Context, z *Zone) {
	c := s.seal(now())
	out, err := z.Propose(ctx, must(machine.NewAdmit(c.Bytes())))
	if err != nil || out.Result.Refusal != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range out.Certificates {
		s.see(k)
		if k.Decision.Slot.Phase == cert.PhaseIn {
			s.admits[c.ID()] = k
		}
	}
}

// see compares an outcome with what was seen of its slot before. The caller holds mu.
func (s *sim) see(k *cert.Certificate) {
	set := cert.VoterSet{Zone: s.id, Keys: s.genesis.Voters}
	if err := k.Verify(&set); err != nil {
		s.diverge = append(s.diverge, fmt.Sprintf("certificate: %v", err))
	}
	if old := s.slots[k.Decision.Slot]; old != nil && old.Contradicts(&k.Decision) {
		s.diverge = append(s.diverge, fmt.Sprintf("two outcomes for %s", k.Decision.Slot))
	}
	s.slots[k.Decision.Slot] = &k.Decision
}

// crash takes a voter away as a loss of power does: of its state, only what was synced stays for certain.
func (s *sim) crash(i int, f *fault) {
	s.gate[i].Lock()
	defer s.gate[i].Unlock()
	z := s.voter(i)
	if z == nil {
		return
	}
	s.mu.Lock()
	s.zones[i] = nil
	s.mu.Unlock()
	s.net.Kill(z.Key())
	s.disks[i].set(0)
	z.raftLog.Abandon() // what the log has written stays, as it is synced by itself
	after := s.fs[i].CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: f.unsynced, RNG: rand.New(rand.NewPCG(s.seed, f.salt))})
	z.Close()
	s.net.Kill(z.Key())
	s.fs[i] = after
	if err := z.Err(); err != nil {
		s.report("voter %d stopped itself: %v", i, err)
	}
}

func (s *sim) report(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.diverge = append(s.diverge, fmt.Sprintf(format, args...))
}

func (s *sim) revive(i int) {
	s.gate[i].Lock()
	defer s.gate[i].Unlock()
	if s.voter(i) != nil {
		return
	}
	z, err := Open(s.config(i))
	if err != nil {
		s.report("voter %d does not start again: %v", i, err)
		return
	}
	s.mu.Lock()
	s.zones[i] = z
	s.mu.Unlock()
}

// fault is one thing that is done to the cluster, after a pause. It is all drawn before the run, so that a seed always
// means the same faults at the same moments, whatever the zone does meanwhile.
type fault struct {
	pause    time.Duration
	heal     bool
	kind     int
	voter    int
	other    int
	unsynced int // percent of what was not synced that survives a crash
	salt     uint64
	skew     int64         // ms
	delay    time.Duration // of each write of the log
}

// simTime is how long faults are done to the cluster.
const simTime = 8 * time.Second

func planOf(rng *rand.Rand, n int) []fault {
	var plan []fault
	for at := time.Duration(0); at < simTime; at += plan[len(plan)-1].pause {
		f := fault{pause: time.Duration(300+rng.IntN(1200)) * time.Millisecond, heal: rng.IntN(3) == 0, kind: rng.IntN(10),
			voter: rng.IntN(n), other: rng.IntN(n), unsynced: rng.IntN(101), salt: rng.Uint64(), skew: int64(rng.IntN(800) - 400),
			delay: time.Duration(20+rng.IntN(400)) * time.Millisecond}
		if rng.IntN(4) == 0 {
			f.skew = int64(rng.IntN(7_200_000) - 3_600_000)
		}
		plan = append(plan, f)
	}
	return plan
}

func (s *sim) do(f *fault) {
	i := f.voter
	k := s.voters[i].Key()
	switch f.kind {
	case 0, 1, 2:
		s.crash(i, f)
	case 3: // isolated
		for _, o := range s.voters {
			if o.Key() != k {
				s.net.Cut(k, o.Key())
				s.net.Cut(o.Key(), k)
			}
		}
	case 4: // heard by nobody
		for _, o := range s.voters {
			if o.Key() != k {
				s.net.Cut(k, o.Key())
			}
		}
	case 5: // one link
		if o := s.voters[f.other].Key(); o != k {
			s.net.Cut(k, o)
			s.net.Cut(o, k)
		}
	case 6:
		s.skew[i].Store(f.skew)
	case 7:
		if z := s.voter(i); z != nil {
			z.Transfer(capsule.Key{})
		}
	case 8:
		s.crash(i, f)
		s.revive(i)
	case 9:
		s.disks[i].set(f.delay)
	}
}

// heal undoes all faults.
func (s *sim) heal() {
	s.net.Heal()
	for i := range s.zones {
		s.skew[i].Store(0)
		s.disks[i].set(0)
		s.revive(i)
	}
}

func (s *sim) run() {
	s.furnish()
	s.register(s.leader(), 2)
	until := time.Now().Add(simTime)
	var clients sync.WaitGroup
	clients.Go(func() { s.work(3, until) })
	for id := range 3 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			s.client(id, until)
		}()
	}
	for i := range s.plan {
		f := &s.plan[i]
		time.Sleep(f.pause)
		if f.heal {
			s.heal()
		} else {
			s.do(f)
		}
	}
	s.heal()
	clients.Wait()
}

type simResult struct{ acknowledged, lost, duplicated, diverged int }

// check compares the end with what clients were told. It returns what is wrong in words.
func (s *sim) check() (r simResult, wrong []string) {
	healed := time.Now()
	const patience = 5 * time.Second
	z := s.leader()
	for z.noQuorum() != nil && time.Since(healed) <= patience { // it hears the others with the next heartbeats
		time.Sleep(50 * time.Millisecond)
		z = s.leader()
	}
	if d := time.Since(healed); d > patience {
		wrong = append(wrong, fmt.Sprintf("a leader with a quorum came %v after healing", d))
	}
	// One more entry through the healed zone, so that everybody has something to agree on.
	s.ok(z, s.data(machine.Write{Key: []byte("orders/last"), Value: []byte("x")}))
	s.converge(20 * time.Second)
	s.mu.Lock()
	defer s.mu.Unlock()
	v := must(z.Query())
	defer v.Close()
	for key, p := range s.puts {
		if !p.acked {
			continue
		}
		r.acknowledged++
		row, err := v.Get([]byte(key), 0)
		switch {
		case err != nil:
			r.lost++
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged: %v", key, err))
		case row.Version != p.version:
			r.duplicated++
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged at %d and written again at %d", key, p.version, row.Version))
		}
	}
	for id, k := range s.admits {
		r.acknowledged++
		row, err := v.Capsule(id)
		if err != nil {
			r.lost++
			wrong = append(wrong, fmt.Sprintf("capsule %s was admitted at %d: %v", id, k.Decision.Index, err))
		} else if row.Since > k.Decision.Time && row.Status == machine.StatusReady && row.Lease.Number == 0 {
			r.duplicated++
			wrong = append(wrong, fmt.Sprintf("capsule %s was admitted again", id))
		}
	}
	if t, err := v.Totals(); err != nil || t.Available+t.Held+t.Burned != t.Minted {
		wrong = append(wrong, fmt.Sprintf("credits are not conserved: %+v %v", t, err))
	}
	if _, kept, err := v.ComputeStateHash(); err != nil || !kept {
		s.diverge = append(s.diverge, fmt.Sprintf("the state hash is not that of the rows: %v", err))
	}
	for i, z := range s.zones {
		if err := z.Err(); err != nil {
			s.diverge = append(s.diverge, fmt.Sprintf("voter %d stopped itself: %v", i, err))
		}
		if err := z.signer.Broken(); err != nil {
			s.diverge = append(s.diverge, fmt.Sprintf("voter %d signs no more: %v", i, err))
		}
		if len(z.Status().Conflicts) > 0 {
			s.diverge = append(s.diverge, fmt.Sprintf("voter %d saw a voter contradict itself", i))
		}
	}
	// The checker looks at the clock, and a bubble's stands still as long as somebody works: without an end it gives none.
	res, _ := porcupine.CheckOperationsVerbose(history, s.history, 0)
	if res == porcupine.Illegal {
		wrong = append(wrong, fmt.Sprintf("the history of %d operations is not linearizable", len(s.history)))
	}
	r.diverged = len(s.diverge)
	return r, append(wrong, s.diverge...)
}

// TestSim runs zones in virtual time under random crashes with loss of power, partitions, clock skews, slow disks, snapshots
// and changes of leader, and compares what they hold with what their clients were told. A seed fixes the faults, their moments
// and the delays, not the order in which goroutines that are ready run: one that failed may have to run several times.
func TestSim(t *testing.T) {
	seeds := make([]uint64, *simSeeds)
	for i := range seeds {
		seeds[i] = uint64(i + 1)
	}
	if *simSeed != 0 {
		seeds = []uint64{*simSeed}
	} else if testing.Short() {
		seeds = seeds[:min(10, len(seeds))]
	}
	var total simResult
	var commits, conflicts int
	var slow int64
	for _, seed := range seeds {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				s := newSim(t, seed)
				defer s.close()
				s.run()
				r, wrong := s.check()
				slices.Sort(wrong)
				for _, w := range wrong {
					t.Errorf("seed %d: %s", seed, w)
				}
				total.acknowledged += r.acknowledged
				total.lost += r.lost
				total.duplicated += r.duplicated
				total.diverged += r.diverged
				commits, conflicts = commits+s.commits, conflicts+s.conflicts
				for _, d := range s.disks {
					slow += d.writes.Load()
				}
			})
		})
		if !ok {
			t.Errorf("the same faults and delays again, goroutines in whatever order they come: go test ./zone -run '^TestSim$' -sim.seed %d -count 20", seed)
		}
	}
	if *simSeed == 0 && (commits == 0 || conflicts == 0 || slow == 0) {
		t.Errorf("%d segments committed, %d lost to a conflict or their lease, %d slow writes: the run is not what it was meant to be", commits, conflicts, slow)
	}
	t.Logf("%d segments committed, %d lost to a conflict or their lease, %d slow writes", commits, conflicts, slow)
	simSummary = fmt.Sprintf("sim: seeds %d, acknowledged %d, lost %d, duplicated %d, diverged %d",
		len(seeds), total.acknowledged, total.lost, total.duplicated, total.diverged)
}

var simSummary string

// TestMain prints what TestSim came to behind everything else, where it isn't lost among two hundred lines of seeds.
func TestMain(m *testing.M) {
	status := m.Run()
	if simSummary != "" {
		fmt.Println(simSummary)
	}
	os.Exit(status)
}

// A seed is one schedule: what is drawn does not depend on what the zone does.
func TestSimPlan(t *testing.T) {
	plan := func(seed uint64) []fault { return planOf(rand.New(rand.NewPCG(seed, 1)), 4) }
	if !slices.Equal(plan(7), plan(7)) || slices.Equal(plan(7), plan(8)) {
		t.Fatal("a seed does not stand for its faults")
	}
}
