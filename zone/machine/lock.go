package machine

import (
	"bytes"
	"slices"
	"strings"

	"github.com/kitwork/kwnode/capsule"
)

// A segment that lost three conflicts gets its last read set locked for one lease: nobody else changes
// those keys meanwhile. Sets are locked whole or not at all, waiting capsules get theirs in the order of
// their IDs, and a lock ends with its lease or its time, so nobody waits for ever.

// maxLocks bounds the capsules that hold or await locks; beyond it a segment runs again without.
const maxLocks = 64

// lockReads locks the read set of t, or makes the capsule wait for it and returns false.
func (a *apply) lockReads(id capsule.ID, c *CapsuleRow, t *Commit) bool {
	want := LockRow{Keys: [][]byte{}, Ranges: [][]byte{}}
	for i := range t.Reads {
		want.Keys = append(want.Keys, t.Reads[i].Key)
	}
	slices.SortFunc(want.Keys, bytes.Compare)
	for i := range t.Scans {
		if want.Ranges = addRange(want.Ranges, t.Scans[i].Prefix); len(want.Ranges) > maxRanges {
			want.Ranges = wholeNamespaces(t.Scans)
			break
		}
	}
	switch {
	case a.counts().Locks >= maxLocks:
		return true
	case a.lockFree(id, &want):
		a.grantLock(id, want)
		return true
	}
	save(a.state, row(tabWaitLock, id[:]), want)
	a.setStatus(c, StatusLocking)
	return false
}

// maxRanges bounds the prefixes of one lock, since locks are compared range by range. A segment that scans
// more has the namespaces locked.
const maxRanges = 64

func addRange(ranges [][]byte, prefix []byte) [][]byte {
	if slices.ContainsFunc(ranges, func(p []byte) bool { return bytes.HasPrefix(prefix, p) }) {
		return ranges
	}
	return append(ranges, prefix)
}

// wholeNamespaces returns the namespaces of all scans. They are few: each needed a capability.
func wholeNamespaces(scans []ScanRead) [][]byte {
	var out [][]byte
	for i := range scans {
		name, _ := namespaceOf(scans[i].Prefix)
		out = addRange(out, []byte(name+"/"))
	}
	return out
}

// lockFree reports whether no other capsule holds, or with a smaller ID awaits, an overlapping lock.
func (a *apply) lockFree(id capsule.ID, want *LockRow) bool {
	for _, tab := range []byte{tabLock, tabWaitLock} {
		for _, k := range a.keys([]byte{tab}, nil, 2*maxLocks) {
			if k[1:] == string(id[:]) || tab == tabWaitLock && k[1:] > string(id[:]) {
				continue
			}
			if held, _ := load[LockRow](a.state, []byte(k)); held.overlaps(want) {
				return false
			}
		}
	}
	return true
}

func (a *apply) grantLock(id capsule.ID, l LockRow) {
	l.Until = sum(a.time, a.policy().Times.Lock)
	save(a.state, row(tabLock, id[:]), l)
	a.setTimer(l.Until, timerLock, id[:])
	a.count(func(n *Counts) { n.Locks++ })
}

// lockDue ends a lock whose time is over; a timer of an earlier lock of the same capsule does nothing.
func (a *apply) lockDue(id capsule.ID) {
	if l, ok := load[LockRow](a.state, row(tabLock, id[:])); ok && l.Until <= a.time {
		a.unlock(id)
	}
}

// unlock ends the lock of a capsule, if it has one, and grants those that waited for it.
func (a *apply) unlock(id capsule.ID) {
	key := row(tabLock, id[:])
	l, ok := load[LockRow](a.state, key)
	if !ok {
		return
	}
	a.delete(key)
	a.delete(timerKey(l.Until, timerLock, id[:]))
	a.count(func(n *Counts) { n.Locks-- })
	a.grantWaiting()
}

// grantWaiting goes through those who wait, in the order of their IDs.
func (a *apply) grantWaiting() {
	for _, k := range a.keys([]byte{tabWaitLock}, nil, 2*maxLocks) {
		id := capsule.ID([]byte(k)[1:])
		want, _ := load[LockRow](a.state, []byte(k))
		if !a.lockFree(id, &want) {
			continue
		}
		a.delete([]byte(k))
		a.grantLock(id, want)
		if c, ok := a.capsule(id); ok {
			a.requeue(id, &c)
			a.saveCapsule(id, c)
		}
	}
}

// stopWaitingForLocks ends what a capsule that is over holds or awaits.
func (a *apply) stopWaitingForLocks(id capsule.ID) {
	if k := row(tabWaitLock, id[:]); a.has(k) {
		a.delete(k)
		a.grantWaiting()
	}
	a.unlock(id)
}

// checkLocks refuses writes to what another capsule has locked. Of two that hold locks the smaller ID
// passes, so that they can't wait for each other.
func (a *apply) checkLocks(writes []Write, self capsule.ID) *Refusal {
	if a.counts().Locks == 0 || len(writes) == 0 {
		return nil
	}
	mine := a.has(row(tabLock, self[:]))
	for _, k := range a.keys([]byte{tabLock}, nil, maxLocks+1) {
		owner := capsule.ID([]byte(k)[1:])
		if owner == self || mine && bytes.Compare(self[:], owner[:]) < 0 {
			continue
		}
		l, _ := load[LockRow](a.state, []byte(k))
		for i := range writes {
			if l.covers(writes[i].Key) {
				return refuse(CodeLocked, "the key %q is locked for %s until %d ms at most; try again", writes[i].Key, owner, l.Until)
			}
		}
	}
	return nil
}

func (l *LockRow) covers(key []byte) bool {
	if _, ok := slices.BinarySearchFunc(l.Keys, key, bytes.Compare); ok {
		return true
	}
	return slices.ContainsFunc(l.Ranges, func(p []byte) bool { return bytes.HasPrefix(key, p) })
}

func (l *LockRow) overlaps(o *LockRow) bool {
	return slices.ContainsFunc(o.Keys, l.covers) || slices.ContainsFunc(l.Keys, o.covers) ||
		slices.ContainsFunc(l.Ranges, func(p []byte) bool {
			return slices.ContainsFunc(o.Ranges, func(q []byte) bool {
				return strings.HasPrefix(string(p), string(q)) || strings.HasPrefix(string(q), string(p))
			})
		})
}
