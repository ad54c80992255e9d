package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

const (
	maxSlots  = 1 << 12
	maxLeases = 1 << 12
	// lookAt bounds the free workers, and the waiting capsules, that one placement looks at.
	lookAt = 8
)

func (r *Register) check() error {
	if r.Slots > maxSlots || r.Pages > 1<<30 {
		return fmt.Errorf("a worker of %d slots and %d pages; at most %d and %d", r.Slots, r.Pages, maxSlots, 1<<30)
	}
	return nil
}

func (r *Renew) check() error {
	if len(r.Keep) > maxLeases || len(r.Drop) > maxLeases {
		return fmt.Errorf("more than %d leases in one command", maxLeases)
	}
	return nil
}

func (a *apply) worker(k capsule.Key) (WorkerRow, bool) {
	return load[WorkerRow](a.state, row(tabWorker, k[:]))
}

// free returns the segments that w can take now.
func (w *WorkerRow) free() uint32 {
	if w.Drain || w.Closed || w.Suspect || w.Used >= w.Slots {
		return 0
	}
	return w.Slots - w.Used
}

// saveWorker is the only way to change a worker: it keeps the index of free ones and their slots' number.
func (a *apply) saveWorker(k capsule.Key, w WorkerRow) {
	old, known := a.worker(k)
	before, after := old.free(), w.free()
	if before != after || !known {
		a.count(func(c *Counts) {
			c.FreeSlots += after - before
			if !known {
				c.Workers++
			}
		})
	}
	if free := row(tabFree, k[:]); before == 0 && after > 0 {
		a.setRaw(free, nil)
	} else if before > 0 && after == 0 {
		a.delete(free)
	}
	save(a.state, row(tabWorker, k[:]), w)
}

func runRegister(a *apply, p *prepared) (Result, *Refusal) {
	r := p.body.(*Register)
	w, known := a.worker(p.signer)
	if known && r.Sequence == w.Sequence {
		return Result{Repeated: true, N: r.Sequence}, nil // its answer was lost
	}
	if r.Sequence <= w.Sequence {
		return Result{}, refuse(CodeSequence, "worker command %d, the last was %d", r.Sequence, w.Sequence)
	}
	if !known && a.counts().Workers >= a.policy().Bounds.Workers {
		return Result{}, refuse(CodeCapacity, "the zone has %d workers, at most %d", a.counts().Workers, a.policy().Bounds.Workers)
	}
	w.Until, w.Grants = maxAmount, nil
	if !a.policy().OpenWorkers {
		v, ref := a.workerGrant(p.signer, r.Chain)
		if ref != nil {
			return Result{}, ref
		}
		w.Until = v.Grant(v.Len() - 1).Expires
		for i := range v.Len() {
			w.Grants = append(w.Grants, v.Hash(i))
		}
	}
	w.Sequence, w.Slots, w.Pages, w.Drain = r.Sequence, r.Slots, r.Pages, r.Drain
	w.Suspect, w.Seen = false, a.time
	a.moveWorkerTimer(p.signer, &w)
	a.saveWorker(p.signer, w)
	if r.Began {
		a.restarted(p.signer)
	}
	return Result{N: r.Sequence}, nil
}

// restarted takes back what a worker held in an earlier life: the attempts came to nothing, and are itemised as such even if
// the same worker goes on from their checkpoints.
func (a *apply) restarted(k capsule.Key) {
	for _, key := range a.keys(row(tabHeldBy, k[:]), nil, maxSlots) {
		id := capsule.ID([]byte(key)[1+len(k):])
		if c, ok := a.capsule(id); ok {
			a.loseLease(id, &c, CauseRestarted)
			a.requeue(id, &c)
			a.saveCapsule(id, c)
		}
	}
}

func (a *apply) workerGrant(k capsule.Key, chain capsule.Chain) (*capsule.VerifiedChain, *Refusal) {
	v, err := chain.Verify(a.m.verified, a.isRoot, a.m.zone, a.time)
	if err != nil {
		return nil, refuseErr(CodeGrant, err)
	}
	if v.Audience() != k || v.Permits(ResourceWorker)&capsule.Write == 0 {
		return nil, refuse(CodeGrant, "the chain does not permit %s on %s to %s", capsule.Write, ResourceWorker, k)
	}
	return v, a.checkRevoked(v)
}

// moveWorkerTimer lets the zone look at the worker when its right ends, or when it was not heard of for as
// long as the longest capsule lives.
func (a *apply) moveWorkerTimer(k capsule.Key, w *WorkerRow) {
	if w.Due != 0 {
		a.delete(timerKey(w.Due, timerWorker, k[:]))
	}
	w.Due = min(w.Until, sum(w.Seen, a.policy().Times.MaxExpiry))
	if w.Due <= a.time {
		w.Due = sum(a.time, a.policy().Times.MaxExpiry)
	}
	a.setTimer(w.Due, timerWorker, k[:])
}

// workerDue forgets a worker that is gone, and stops one whose right has ended.
func (a *apply) workerDue(k capsule.Key) {
	w, ok := a.worker(k)
	if !ok {
		return
	}
	w.Due = 0
	if w.Used == 0 && a.time >= sum(w.Seen, a.policy().Times.MaxExpiry) {
		w.Drain = true
		a.saveWorker(k, w)
		a.delete(row(tabWorker, k[:]))
		a.count(func(n *Counts) { n.Workers-- })
		return
	}
	a.moveWorkerTimer(k, &w)
	a.saveWorker(k, w)
	if a.time >= w.Until {
		a.dismiss(k)
	}
}

// setWorker opens or closes a worker for leases.
func (a *apply) setWorker(body []byte) *Refusal {
	var x SetWorker
	if r := unmarshal(body, &x); r != nil {
		return r
	}
	w, ok := a.worker(x.Worker)
	if !ok {
		return refuse(CodeUnknown, "no worker %s; see kwnode zone workers", x.Worker)
	}
	w.Closed = x.Drain
	a.saveWorker(x.Worker, w)
	if !x.Drain {
		return nil
	}
	for _, key := range a.keys(row(tabHeldBy, x.Worker[:]), nil, maxSlots) {
		id := capsule.ID([]byte(key)[1+len(x.Worker):])
		if c, ok := a.capsule(id); ok {
			a.effect(Effect{Kind: EffectYield, Worker: x.Worker, Capsule: id, Lease: c.Lease.Number})
		}
	}
	return nil
}

// dismiss takes all work from a worker whose right has ended.
func (a *apply) dismiss(k capsule.Key) {
	w, ok := a.worker(k)
	if !ok {
		return
	}
	w.Until = min(w.Until, a.time)
	w.Suspect = true
	a.saveWorker(k, w)
	for _, key := range a.keys(row(tabHeldBy, k[:]), nil, maxSlots) {
		id := capsule.ID([]byte(key)[1+len(k):])
		if c, ok := a.capsule(id); ok {
			a.effect(Effect{Kind: EffectStop, Worker: k, Capsule: id, Lease: c.Lease.Number})
			a.loseLease(id, &c, CauseDismissed)
			a.requeue(id, &c)
			a.saveCapsule(id, c)
		}
	}
}

// dismissAll dismisses the workers whose right rests on a grant that was revoked.
func (a *apply) dismissAll(grant capsule.Hash) {
	for _, key := range a.keys([]byte{tabWorker}, nil, int(a.counts().Workers)+1) {
		k := capsule.Key([]byte(key)[1:])
		if w, _ := a.worker(k); slices.Contains(w.Grants, grant) {
			a.dismiss(k)
		}
	}
}

// runRenew prolongs leases and takes back what the worker gives up. A lease that it no longer holds is
// answered with an order to stop.
func runRenew(a *apply, p *prepared) (Result, *Refusal) {
	r := p.body.(*Renew)
	w, known := a.worker(p.signer)
	if !known {
		return Result{}, refuse(CodeUnknown, "no worker %s; register first", p.signer)
	}
	if r.Sequence == w.Sequence {
		return Result{Repeated: true, N: r.Sequence}, nil // its answer was lost
	}
	if r.Sequence < w.Sequence {
		return Result{}, refuse(CodeSequence, "worker command %d, the last was %d", r.Sequence, w.Sequence)
	}
	if a.time >= w.Until {
		return Result{}, refuse(CodeGrant, "the worker's right has ended; register again with a valid chain")
	}
	w.Sequence, w.Suspect, w.Seen = r.Sequence, false, a.time
	a.saveWorker(p.signer, w)
	for _, ref := range r.Keep {
		if c, ok := a.held(p.signer, ref); ok {
			c.Lease.Expires = sum(a.time, a.policy().Times.Lease)
			a.saveCapsule(ref.Capsule, c)
		} else {
			a.effect(Effect{Kind: EffectStop, Worker: p.signer, Capsule: ref.Capsule, Lease: ref.Number})
		}
	}
	for _, ref := range r.Drop {
		if c, ok := a.held(p.signer, ref); ok {
			a.loseLease(ref.Capsule, &c, CauseReturned)
			a.requeue(ref.Capsule, &c)
			a.saveCapsule(ref.Capsule, c)
		}
	}
	return Result{N: r.Sequence}, nil
}

// held returns the capsule if worker k holds exactly this lease of it.
func (a *apply) held(k capsule.Key, ref LeaseRef) (CapsuleRow, bool) {
	c, ok := a.capsule(ref.Capsule)
	return c, ok && c.LeasedTo(k, ref.Number)
}

// suspect stops giving work to a worker until it is heard of again.
func (a *apply) suspect(k capsule.Key) {
	if w, ok := a.worker(k); ok && !w.Suspect {
		w.Suspect = true
		a.saveWorker(k, w)
	}
}

// requeue makes the capsule wait for a worker. Waiting ones are served in the order in which they came.
func (a *apply) requeue(id capsule.ID, c *CapsuleRow) {
	if c.CancelAsked {
		a.end(id, c, ending{status: StatusCancelled, verdict: cert.Cancelled})
		return
	}
	a.setStatus(c, StatusReady)
	var seq uint64
	a.count(func(n *Counts) {
		n.Ready++
		n.Queued++
		seq = n.Ready
	})
	c.Queue = seq
	a.set(a.fresh(row(tabReady, be64(seq))), cellValue{val: id[:], ok: true}) // a sequence number is used once
}

// unqueue takes the capsule out of the queue, if it stands there.
func (a *apply) unqueue(c *CapsuleRow) {
	if c.Queue != 0 {
		a.delete(row(tabReady, be64(c.Queue)))
		a.count(func(n *Counts) { n.Queued-- })
		c.Queue = 0
	}
}

// placeReady leases waiting capsules to free workers, in the order in which they came. One that is too
// large for those that are free lets the next few pass.
func (a *apply) placeReady() {
	if n := a.counts(); n.FreeSlots == 0 || n.Queued == 0 {
		return
	}
	ring := a.freeWorkers()
	var after []byte
	for passed := 0; passed < lookAt && a.counts().FreeSlots > 0; {
		// A page at a time: opening a scan costs more than reading a row of it.
		page := a.keys([]byte{tabReady}, after, placePage)
		if len(page) == 0 {
			return
		}
		for _, key := range page {
			if passed >= lookAt || a.counts().FreeSlots == 0 {
				return
			}
			after = []byte(key)
			v, _ := a.getRaw(after)
			id := capsule.ID(v)
			c, ok := a.capsule(id)
			if !ok {
				a.fail(fmt.Errorf("the queue holds %s, which does not exist", id))
				return
			}
			k, ok := ring.next(c.Pages)
			if !ok {
				passed++
				continue
			}
			a.lease(id, &c, k)
			a.saveCapsule(id, c)
		}
	}
}

// placePage is how many waiting capsules, and how many free workers, one scan brings.
const placePage = 64

// workerRing is some free workers in the order of their keys, beginning after the one that was given work
// last.
type workerRing struct {
	a    *apply
	keys []string
}

func (a *apply) freeWorkers() *workerRing {
	last := a.counts().LastWorker
	r := &workerRing{a: a, keys: a.keys([]byte{tabFree}, row(tabFree, last[:]), placePage)}
	if n := len(r.keys); n < placePage {
		for _, k := range a.keys([]byte{tabFree}, nil, placePage-n) {
			if string(k[1:]) > string(last[:]) {
				break // the ring is closed
			}
			r.keys = append(r.keys, k)
		}
	}
	return r
}

// next returns the worker with most free slots among the next few that have the memory, and turns the
// ring past it.
func (r *workerRing) next(pages uint32) (capsule.Key, bool) {
	best, most := -1, uint32(0)
	for i := 0; i < len(r.keys) && i < lookAt; {
		w, _ := r.a.worker(capsule.Key([]byte(r.keys[i])[1:]))
		n := w.free()
		if n == 0 {
			r.keys = slices.Delete(r.keys, i, i+1)
			continue
		}
		if n > most && w.Pages-w.UsedPages >= pages {
			best, most = i, n
		}
		i++
	}
	if best < 0 {
		return capsule.Key{}, false
	}
	k := r.keys[best]
	r.keys = append(append(slices.Clone(r.keys[best+1:]), r.keys[:best]...), k)
	return capsule.Key([]byte(k)[1:]), true
}

var errLeaseCount = errors.New("a lease ends that was not counted")

// pinIndex keeps the values at an index readable; unpinIndex lets go.
func (a *apply) pinIndex(index uint64) {
	k := row(tabLease, be64(index))
	n, _ := load[uint64](a.state, k)
	save(a.state, k, n+1)
	a.oldest.known = false
}

func (a *apply) unpinIndex(index uint64) {
	k := row(tabLease, be64(index))
	n, ok := load[uint64](a.state, k)
	a.oldest.known = false
	switch {
	case !ok:
		a.fail(errLeaseCount)
	case n == 1:
		a.delete(k)
	default:
		save(a.state, k, n-1)
	}
}

// lease gives the capsule's segment to worker k. The first lease of a segment draws its seed and fixes its
// time, from a chain that nobody knew when the capsule was written.
func (a *apply) lease(id capsule.ID, c *CapsuleRow, k capsule.Key) {
	a.unqueue(c)
	w, _ := a.worker(k)
	w.Used++
	w.UsedPages += c.Pages
	a.saveWorker(k, w)
	a.count(func(n *Counts) { n.LastWorker = k })
	a.setRaw(row(tabHeldBy, k[:], id[:]), nil)

	a.setStatus(c, StatusRunning)
	index := a.index
	if c.Run.Pin != 0 && !c.Run.Pinned && c.Run.Pin < a.counts().Floor {
		a.dropCheckpoint(id, c) // its reads can't be repeated any more
	}
	if c.Run.Pin != 0 {
		index = c.Run.Pin
	}
	if !c.Run.Pinned {
		a.pinIndex(index)
	}
	c.Run.Pinned = false // the lease holds the pin now
	c.Lease = Lease{Worker: k, Number: c.Lease.Number + 1, Index: index, Expires: sum(a.time, a.policy().Times.Lease)}
	c.Lease.Locked = a.has(row(tabLock, id[:]))
	if c.Run.Seed.IsZero() {
		c.Run.Seed, c.Run.Clock = SegmentSeed(a.chain, id, c.Hop, c.Segment), a.time
		slot := cert.Slot{Capsule: id, Hop: c.Hop, Segment: c.Segment, Phase: cert.PhaseLease}
		a.decide(c, slot, cert.Leased, leaseBody(c))
	}
	a.effect(Effect{Kind: EffectDeliver, Worker: k, Capsule: id, Lease: c.Lease.Number})
}

// SegmentSeed returns the seed of a segment's randomness, given the chain at its first lease.
func SegmentSeed(chain capsule.Hash, id capsule.ID, hop, segment uint32) capsule.Hash {
	b := append([]byte("kitwork/seed/v1\x00"), chain[:]...)
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint32(b, hop)
	return capsule.Sum(binary.BigEndian.AppendUint32(b, segment))
}

// release ends the lease: the worker has room again, and unless the checkpoint still needs it, the index
// may be collected.
func (a *apply) release(id capsule.ID, c *CapsuleRow, keepPin bool) {
	k := c.Lease.Worker
	if k.IsZero() {
		return
	}
	a.delete(row(tabHeldBy, k[:], id[:]))
	if w, ok := a.worker(k); ok {
		w.Used--
		w.UsedPages -= c.Pages
		a.saveWorker(k, w)
	}
	if keepPin {
		c.Run.Pinned = true
	} else {
		a.unpinIndex(c.Lease.Index)
	}
	c.Lease.Worker = capsule.Key{}
	if c.Lease.Locked {
		a.unlock(id)
		c.Lease.Locked = false
	}
}

// loseLease takes the segment from a worker that did not finish it. Nothing is charged for the attempt; a
// checkpoint stays usable.
func (a *apply) loseLease(id capsule.ID, c *CapsuleRow, cause RetryCause) {
	a.retried(id, c, cause, c.Lease.Worker, 0)
	a.release(id, c, c.Run.Pin != 0)
}

// dropCheckpoint makes the segment start over. What was run until the checkpoint is charged as retry.
func (a *apply) dropCheckpoint(id capsule.ID, c *CapsuleRow) {
	if c.Run.Pinned {
		a.unpinIndex(c.Run.Pin)
	}
	units := min(c.Run.Meter, c.Gas.left())
	c.Gas.Retry += units
	a.retried(id, c, CauseStale, capsule.Key{}, units)
	a.clearCheckpoint(id, c)
}

func (a *apply) clearCheckpoint(id capsule.ID, c *CapsuleRow) {
	a.unrefSaved(&c.Run.Check)
	a.delete(row(tabCheck, id[:]))
	a.delete(row(tabJournal, id[:]))
	c.Run.Check, c.Run.Meter, c.Run.Pin, c.Run.Pinned = SavedRow{}, 0, 0, false
}
