package zone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/plant"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// Limits of the batches in which commands go into the log.
const (
	maxBatchBytes = 1 << 20
	maxInFlight   = 2        // entries that wait for their commit: one on the disks while the next fills
	maxQueue      = 8192     // commands that wait for a batch; more are refused
	maxQueueBytes = 16 << 20 // of them
	retryEvery    = 50 * time.Millisecond
)

// ErrBusy refuses a command because too many wait already.
var ErrBusy = errors.New("the zone has more proposals than it can take: try again later")

// Outcome is what came of a command.
type Outcome struct {
	Index        uint64 // of the entry
	Result       machine.Result
	Certificates []*cert.Certificate // of the decisions about the command's capsule in this entry, or of what was decided before
}

type proposal struct {
	cmds [][]byte // that stand in one entry, in this order
	size int      // bytes of them
	done chan struct{}
	// Set before done is closed.
	a   *applied
	at  int // the last command's place in the entry
	err error
}

// proposer turns commands into log entries while this voter leads.
type proposer struct {
	z    *Zone
	slot chan struct{} // one token for each entry in flight
	wake chan struct{}

	mu    sync.Mutex // guards what follows
	queue []*proposal
	bytes int // of the commands in queue
}

// propose puts commands into an entry and waits until the entry is applied here.
func (p *proposer) propose(ctx context.Context, cmds ...[]byte) (*proposal, error) {
	if _, ok := p.z.node.Leading(); !ok {
		return nil, raft.ErrNotLeader
	}
	if p.z.recovery.Load() != nil {
		return nil, fmt.Errorf("%w: its recovery comes first", raft.ErrNotLeader)
	}
	pr := &proposal{cmds: cmds, done: make(chan struct{})}
	for _, cmd := range cmds {
		pr.size += len(cmd)
	}
	if err := p.enqueue(pr); err != nil {
		return nil, err
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
	select {
	case <-pr.done:
		return pr, pr.err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", raft.ErrUnknown, ctx.Err())
	case <-p.z.ctx.Done():
		return nil, fmt.Errorf("%w: %w", raft.ErrUnknown, raft.ErrStopped)
	}
}

// enqueue has a proposal wait for its entry. A single one has room in an empty queue, whatever its size.
func (p *proposer) enqueue(pr *proposal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.queue); n >= maxQueue || n > 0 && p.bytes+pr.size > maxQueueBytes {
		return ErrBusy
	}
	p.bytes += pr.size
	if machine.KindOf(pr.cmds[0]) == machine.KindRenew {
		// Leases run out while renewals wait: then the zone would do its work again just when it has most of it.
		p.queue = slices.Insert(p.queue, 0, pr)
	} else {
		p.queue = append(p.queue, pr)
	}
	return nil
}

func (p *proposer) run() {
	defer p.z.wg.Done()
	for {
		select {
		case <-p.z.ctx.Done():
			return
		case <-p.wake:
		}
		for {
			select {
			case <-p.z.ctx.Done():
				return
			case p.slot <- struct{}{}:
			}
			batch := p.take()
			if len(batch) == 0 {
				<-p.slot
				break
			}
			p.z.wg.Add(1)
			go func() {
				defer p.z.wg.Done()
				p.commit(batch)
				<-p.slot
			}()
		}
	}
}

// take removes what fills the next entry from the queue. One place is left for a tick.
func (p *proposer) take() []*proposal {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, cmds, size := 0, 0, 0
	for ; n < len(p.queue); n++ {
		pr := p.queue[n]
		cmds += len(pr.cmds)
		if cmds > machine.MaxCommands-1 || n > 0 && size+pr.size > maxBatchBytes {
			break
		}
		size += pr.size
	}
	p.bytes -= size
	batch := p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	return batch
}

func (p *proposer) commit(batch []*proposal) {
	var cmds [][]byte
	if tick := p.z.ticks.due(p.z.ctx); tick != nil {
		cmds = append(cmds, tick)
	}
	for _, pr := range batch {
		cmds = append(cmds, pr.cmds...)
		pr.at = len(cmds) - 1
	}
	entry, err := machine.NewEntry(cmds...)
	var a *applied
	if err == nil {
		a, err = p.z.append(entry)
	}
	for _, pr := range batch {
		pr.a, pr.err = a, err
		close(pr.done)
	}
}

// append puts an entry into the log and returns what came of it.
func (z *Zone) append(entry []byte) (*applied, error) {
	res, _, err := z.node.Propose(entry)
	if err != nil {
		return nil, err
	}
	a, ok := res.(*applied)
	if !ok {
		return nil, fmt.Errorf("%w: the entry was passed over", raft.ErrUnknown)
	}
	return a, nil
}

// maxTogether bounds the commands that are proposed as one.
const maxTogether = 16

// Propose puts a command into the zone's log, through whichever voter leads, and returns its certified outcome. It repeats
// the command while its outcome is unknown, which the state machine makes safe. A refusal is an outcome: see Result.Refusal.
// Of several commands, which stand in one entry in their order, the outcome is the last one's: those before prepare the
// ground for it, and one of them that the zone's state refuses is passed over.
func (z *Zone) Propose(ctx context.Context, cmds ...[]byte) (*Outcome, error) {
	if refused, err := z.unsound(cmds); refused != nil || err != nil {
		return refused, err
	}
	unknown := false
	for {
		out, err := z.proposeOnce(ctx, cmds)
		if errors.Is(err, raft.ErrNoQuorum) && unknown {
			return out, fmt.Errorf("%w: %w", raft.ErrUnknown, err)
		}
		unknown = unknown || errors.Is(err, raft.ErrUnknown) || errors.Is(err, errUnreached)
		if err == nil || !errors.Is(err, raft.ErrNotLeader) && !errors.Is(err, raft.ErrUnknown) && !errors.Is(err, errUnreached) {
			return out, err
		}
		if z.ctx.Err() != nil {
			return nil, err
		}
		t := time.NewTimer(retryEvery)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		case <-z.ctx.Done():
			t.Stop()
			return nil, raft.ErrStopped
		case <-t.C:
		}
	}
}

// errUnreached marks a failed call to the leader: whether it has the command is unknown.
var errUnreached = errors.New("the zone's leader was not reached")

// unsound judges commands by their bytes alone: what these condemn costs the zone nothing.
func (z *Zone) unsound(cmds [][]byte) (*Outcome, error) {
	if len(cmds) == 0 || len(cmds) > maxTogether {
		return nil, fmt.Errorf("%d commands proposed together, want 1 to %d", len(cmds), maxTogether)
	}
	for _, cmd := range cmds {
		err := z.m.Prepare(cmd)
		if r := (*machine.Refusal)(nil); errors.As(err, &r) {
			return &Outcome{Result: machine.Result{Refusal: r}}, nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (z *Zone) proposeOnce(ctx context.Context, cmds [][]byte) (*Outcome, error) {
	if _, ok := z.node.Leading(); ok {
		return z.proposeHere(ctx, cmds)
	}
	leader, ok := z.node.Leader()
	if !ok || leader == z.self {
		if err := z.noQuorum(); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w and knows of no leader; a quorum of voters must be up", raft.ErrNotLeader)
	}
	kind, body := callPropose, cmds[0]
	if len(cmds) > 1 {
		entry, err := machine.NewEntry(cmds...)
		if err != nil {
			return nil, err
		}
		kind, body = callProposeAll, entry
	}
	b, err := z.calls.call(ctx, leader, kind, body)
	if errors.Is(err, api.ErrTooLong) || errors.Is(err, raft.ErrNoQuorum) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnreached, err)
	}
	return parseOutcome(b)
}

// noQuorum says why nothing can be decided, if that will not pass by itself.
func (z *Zone) noQuorum() error {
	set := z.sets.newest()
	err := z.node.Quorumless()
	if err == nil {
		// Of five voters three can order entries, and four must sign what comes of them.
		silent := z.node.Silent(set.Keys)
		if len(set.Keys)-len(silent) >= set.Quorum() {
			return nil
		}
		err = fmt.Errorf("%w: no answer from %v", raft.ErrNoQuorum, silent)
	}
	return fmt.Errorf("%w; %d of the %d voters of epoch %d must be up and reach each other", err, set.Quorum(), len(set.Keys), set.Epoch)
}

// proposeHere is Propose on the leader.
func (z *Zone) proposeHere(ctx context.Context, cmds [][]byte) (*Outcome, error) {
	if err := z.noQuorum(); err != nil {
		return nil, err
	}
	pr, err := z.proposer.propose(ctx, cmds...)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Index: pr.a.out.Index, Result: pr.a.out.Results[pr.at]}
	if out.Result.Refusal != nil || plant.AckEarly {
		return out, nil
	}
	if err := z.certify(ctx, pr.a, out); err != nil {
		// The command is in the log; only its certificate is late.
		return out, fmt.Errorf("%w: entry %d is applied, its certificate is missing: %w", raft.ErrUnknown, out.Index, err)
	}
	return out, nil
}

// certify waits until the outcome is certified and adds what was decided about its capsule.
func (z *Zone) certify(ctx context.Context, a *applied, out *Outcome) error {
	q, err := z.certs.wait(ctx, a.out.Index)
	if err != nil {
		return err
	}
	if out.Result.Capsule.IsZero() {
		return nil
	}
	for i := range a.out.Decisions {
		if a.out.Decisions[i].Slot.Capsule != out.Result.Capsule {
			continue
		}
		c, err := a.batch.Certificate(i, q)
		if err != nil {
			return err
		}
		out.Certificates = append(out.Certificates, c)
	}
	if len(out.Certificates) == 0 && out.Result.Repeated && out.Result.Kind.Admits() {
		c, err := z.Certificate(ctx, cert.Slot{Capsule: out.Result.Capsule, Phase: cert.PhaseIn})
		if err != nil {
			return err
		}
		out.Certificates = append(out.Certificates, c)
	}
	return nil
}

// wireOutcome is an Outcome on its way from the leader.
type wireOutcome struct {
	_            struct{} `cbor:",toarray"`
	Index        uint64
	Kind         machine.Kind
	Refused      bool
	Code, Detail string
	Repeated     bool
	Capsule      capsule.ID
	Status       machine.Status
	N            uint64
	Certificates []cert.Certificate
}

func (o *Outcome) bytes() ([]byte, error) {
	w := wireOutcome{Index: o.Index, Kind: o.Result.Kind, Repeated: o.Result.Repeated, Capsule: o.Result.Capsule,
		Status: o.Result.Status, N: o.Result.N, Certificates: []cert.Certificate{}}
	if r := o.Result.Refusal; r != nil {
		w.Refused, w.Code, w.Detail = true, string(r.Code), r.Detail
		if r.Err != nil {
			w.Detail = r.Err.Error()
		}
	}
	for _, c := range o.Certificates {
		w.Certificates = append(w.Certificates, *c)
	}
	return capsule.Marshal(&w)
}

func parseOutcome(b []byte) (*Outcome, error) {
	var w wireOutcome
	if err := capsule.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("decode the leader's answer: %w", err)
	}
	o := &Outcome{Index: w.Index, Result: machine.Result{Kind: w.Kind, Repeated: w.Repeated, Capsule: w.Capsule, Status: w.Status, N: w.N}}
	if w.Refused {
		o.Result.Refusal = &machine.Refusal{Code: machine.Code(w.Code), Detail: w.Detail}
	}
	for i := range w.Certificates {
		o.Certificates = append(o.Certificates, &w.Certificates[i])
	}
	return o, nil
}
