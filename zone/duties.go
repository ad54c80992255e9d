package zone

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

const (
	// sweepEvery is how often a voter looks for certificates that it misses.
	sweepEvery = time.Second
	// restateAfter is how many sweeps a decision may stay uncertified before the leader restates it.
	restateAfter = 3
	maxRestates  = 64 // in one sweep
	// keepCertificates is how many indices back certificates are kept ready; older outcomes are restated when asked for.
	keepCertificates = 1 << 18
	maxPruned        = 4096 // entries in one sweep
)

// duties is what a voter does beside answering: found the zone, complete certificates, keep Raft's configuration and the
// streams in step with the voter set. Everything is found again from the state, so nothing is lost with a leader.
type duties struct {
	z    *Zone
	wake chan struct{}
	// members is the last entry that changed the voter set since the start.
	members atomic.Uint64
	// age counts the sweeps for which an index was found uncertified. Only the loop uses it.
	age  map[uint64]int
	done uint64 // all indices up to here were found certified, or given up
}

func (d *duties) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// background runs a short job that Close waits for. Its callers are goroutines that Close waits for before.
func (d *duties) background(fn func()) {
	if d.z.ctx.Err() != nil {
		return
	}
	d.z.wg.Add(1)
	go func() {
		defer d.z.wg.Done()
		fn()
	}()
}

func (d *duties) run() {
	z := d.z
	defer z.wg.Done()
	d.age = map[uint64]int{}
	t := time.NewTimer(sweepEvery)
	defer t.Stop()
	for {
		sweep := false
		select {
		case <-z.ctx.Done():
			return
		case <-z.node.LeaderChanges():
			z.ticks.signal()
		case <-d.wake:
		case <-t.C:
			sweep = true
		}
		z.watchMembers()
		if _, ok := z.node.Leading(); ok {
			d.lead()
		}
		if sweep {
			d.sweep()
			t.Reset(sweepEvery)
		}
	}
}

// lead does the leader's part.
func (d *duties) lead() {
	z := d.z
	if act := z.recovery.Load(); act != nil {
		if err := z.appendRecovery(act); err != nil {
			z.log.Error("recovery not appended", "zone", z.id, "err", err)
			return
		}
	}
	if z.db.Applied().Index == 0 || z.unfounded() {
		cmd, err := machine.NewGenesis(z.cfg.Genesis)
		if err == nil {
			_, err = z.proposer.propose(z.ctx, cmd)
		}
		if err != nil {
			z.log.Debug("genesis not appended yet", "zone", z.id, "err", err)
			return
		}
	}
	if err := z.reconcile(); err != nil {
		z.log.Debug("membership does not follow yet", "zone", z.id, "err", err)
	}
}

func (z *Zone) unfounded() bool {
	z.ticks.mu.Lock()
	defer z.ticks.mu.Unlock()
	return z.ticks.scope.V == 0
}

// reconcile makes one change that brings Raft's configuration nearer to the voter set. Its success brings the next signal.
func (z *Zone) reconcile() error {
	// Who leaves must not be cut off before it has seen the certificate of its leaving.
	if at := z.duties.members.Load(); at != 0 {
		if q, err := z.certs.quorum(at); q == nil {
			return fmt.Errorf("the change at entry %d is not certified yet (%v)", at, err)
		}
	}
	set := z.sets.newest()
	members := z.node.Members()
	for _, k := range set.Keys {
		if !members[k] {
			return z.node.AddVoter(k)
		}
	}
	var extra []capsule.Key
	for k, votes := range members {
		if votes && set.Position(k) < 0 {
			extra = append(extra, k)
		}
	}
	slices.SortFunc(extra, func(a, b capsule.Key) int { return slices.Compare(a[:], b[:]) })
	for _, k := range extra {
		if k == z.self {
			continue
		}
		return z.node.Remove(k)
	}
	if len(extra) > 0 {
		// A leader that was voted out lets another remove it.
		return z.node.Transfer(capsule.Key{})
	}
	return nil
}

// sweep asks for quorums that are missing, and restates decisions that nobody can complete: voters that crash sign again
// only their newest statement.
func (d *duties) sweep() {
	z := d.z
	var missing []uint64
	var restate []cert.Slot
	age := map[uint64]int{}
	_, leading := z.node.Leading()
	newest := z.certs.newestIndex()
	if newest > keepCertificates {
		if err := z.certs.prune(newest-keepCertificates, maxPruned); err != nil {
			z.log.Warn("old certificates not removed", "zone", z.id, "err", err)
		}
	}
	low := d.done
	err := z.certs.uncertified(low, func(r *batchRow) bool {
		i := r.Statement.Index
		age[i] = d.age[i] + 1
		if age[i] > 1 || i+uint64(maxVotes) < newest {
			missing = append(missing, i)
		}
		if leading && age[i] > restateAfter {
			for j := range r.Decided {
				s := r.Decided[j].Slot
				if at, ok, err := z.certs.slot(s); err == nil && ok && at == i && len(restate) < maxRestates {
					restate = append(restate, s)
				}
			}
		}
		return len(missing) < maxVotes
	})
	if err != nil {
		z.log.Warn("certificates not checked", "zone", z.id, "err", err)
		return
	}
	d.age = age
	if len(age) == 0 {
		d.done = newest
	} else {
		d.advance(age, newest)
	}
	if len(missing) > 0 {
		z.voting.ask(missing)
	}
	for _, s := range restate {
		cmd, err := machine.NewRestate(s)
		if err != nil {
			continue
		}
		d.background(func() {
			ctx, cancel := context.WithTimeout(z.ctx, callTimeout)
			defer cancel()
			if _, err := z.proposer.propose(ctx, cmd); err != nil {
				z.log.Debug("not restated", "slot", s, "err", err)
			}
		})
	}
}

// advance moves the point below which nothing is looked at again: past what is certified, and past what was asked for in
// vain for a while. Its decisions are restated under later indices, which are looked at in their turn.
func (d *duties) advance(age map[uint64]int, newest uint64) {
	const giveUp = 10
	low := newest
	for i, n := range age {
		if n < giveUp {
			low = min(low, i-1)
		}
	}
	d.done = max(d.done, low)
}

// gatherEpoch is gather for a change of voters: what is sent is the act, what is signed its payload.
func (z *Zone) gatherEpoch(ctx context.Context, set *cert.VoterSet, act, payload []byte) ([]cert.IndexSig, error) {
	var sigs []cert.IndexSig
	var why error
	for pos, k := range set.Keys {
		b, err := z.askSig(ctx, k, callEpoch, act)
		if err == nil && (len(b) != 64 || !capsule.VerifySig(k, cert.KindEpoch, payload, capsule.Sig(b))) {
			err = fmt.Errorf("voter %s sent an invalid signature", k)
		}
		if err != nil {
			why = err
			continue
		}
		sigs = append(sigs, cert.IndexSig{Pos: uint8(pos), Sig: capsule.Sig(b)})
	}
	if len(sigs) < set.Quorum() {
		return nil, fmt.Errorf("%d of %d voters signed, want %d: %w", len(sigs), len(set.Keys), set.Quorum(), why)
	}
	return sigs, nil
}
