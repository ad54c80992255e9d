package machine

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/kitwork/kwnode/capsule"
)

// A user's row lives under its whole key, "namespace/rest". The newest version stands in tabData: 8 bytes
// of index, one byte that is 1 for a deletion which older readers must still see, and the value. Versions
// that a live lease may read move to tabHistory, without the index, when they are replaced.

// What stands before a name in the resource of a grant.
const (
	ResourceData  = "kv/"    // user's keys: Read, Write, Delete, Export
	ResourceEvent = "event/" // topics: Emit
)

const versionHead = 8 + 1

func encodeVersion(index uint64, deleted bool, val []byte) []byte {
	b := make([]byte, versionHead, versionHead+len(val))
	binary.BigEndian.PutUint64(b, index)
	if deleted {
		b[8] = 1
	}
	return append(b, val...)
}

func decodeVersion(b []byte) (index uint64, deleted bool, val []byte, err error) {
	if len(b) < versionHead || b[8] > 1 {
		return 0, false, nil, errors.New("a data row is shorter than its head")
	}
	return binary.BigEndian.Uint64(b), b[8] == 1, b[versionHead:], nil
}

func historyKey(key []byte, index uint64) []byte {
	return row(tabHistory, binary.BigEndian.AppendUint16(nil, uint16(len(key))), key, be64(^index))
}

// namespaceOf returns the first segment of a user's key.
func namespaceOf(key []byte) (string, bool) {
	name, _, ok := bytes.Cut(key, []byte("/"))
	return string(name), ok && len(name) > 0
}

// Permits returns the abilities that caps give on a name under a resource: a user's key under
// ResourceData, a topic under ResourceEvent. Unlike a resource, such a name is any bytes.
func Permits(caps []capsule.Cap, resource string, name []byte) capsule.Ability {
	var a capsule.Ability
	for _, c := range caps {
		path, ok := strings.CutPrefix(c.Resource, resource)
		if !ok {
			continue
		}
		if prefix, wild := strings.CutSuffix(path, "*"); wild && strings.HasPrefix(string(name), prefix) || path == string(name) {
			a |= c.Ability
		}
	}
	return a
}

// PermitsScan reports whether caps let every key with prefix be read.
func PermitsScan(caps []capsule.Cap, prefix []byte) bool {
	for _, c := range caps {
		path, ok := strings.CutPrefix(c.Resource, ResourceData)
		if stem, wild := strings.CutSuffix(path, "*"); ok && wild && c.Ability&capsule.Read != 0 && strings.HasPrefix(string(prefix), stem) {
			return true
		}
	}
	return false
}

// current returns the newest version of a user's key; version 0 means that there is none.
func (a *apply) current(key []byte) (version uint64, val []byte) {
	b, ok := a.getRaw(row(tabData, key))
	if !ok {
		return 0, nil
	}
	v, deleted, val, err := decodeVersion(b)
	if err != nil {
		a.fail(err)
	}
	if deleted {
		return 0, nil
	}
	return v, val
}

// write replaces a user's row. The caller has checked permission, quota and locks.
func (a *apply) write(w *Write) {
	key := row(tabData, w.Key)
	old, had := a.getRaw(key)
	oldest, live := a.oldestLease()
	live = live && oldest < a.index // somebody may still read what was here before this entry
	if had {
		v, _, _, err := decodeVersion(old)
		if err != nil {
			a.fail(err)
			return
		}
		switch {
		case v == a.index: // written in this entry: nobody has seen it
		case live:
			h := historyKey(w.Key, v)
			a.setRaw(h, old[8:])
			a.trash(a.index, h)
		default:
			a.raiseFloor(a.index)
		}
	}
	switch {
	case !w.Delete:
		a.setRaw(key, encodeVersion(a.index, false, w.Value))
	case had && live:
		a.setRaw(key, encodeVersion(a.index, true, nil))
		a.trash(a.index, key)
	default:
		a.delete(key)
	}
}

// oldestLease returns the oldest index that somebody reads at. Every write asks, so the answer is kept
// until leases change.
func (a *apply) oldestLease() (uint64, bool) {
	if !a.oldest.known {
		k, ok := a.first([]byte{tabLease})
		a.oldest.known, a.oldest.exists = true, ok
		if ok {
			a.oldest.index = binary.BigEndian.Uint64([]byte(k)[1:])
		}
	}
	return a.oldest.index, a.oldest.exists
}

func (a *apply) raiseFloor(index uint64) {
	if a.counts().Floor < index {
		a.count(func(n *Counts) { n.Floor = index })
	}
}

// trash marks a row that no reader at or above index sees.
func (a *apply) trash(index uint64, key []byte) {
	var seq uint64
	a.count(func(n *Counts) {
		n.Trash++
		n.Garbage++
		seq = n.Trash
	})
	a.setRaw(row(tabGarbage, be64(index), be64(seq)), key)
}

// collectPerEntry bounds the old versions that one entry collects, beyond those that it makes.
const collectPerEntry = 2 * MaxWrites

// collectVersions deletes what no live lease can read any more. The floor follows what was really lost, so
// that a checkpoint without lease stays usable for as long as its reads can be repeated.
func (a *apply) collectVersions() {
	if a.counts().Garbage == 0 {
		return
	}
	oldest, ok := a.oldestLease()
	if !ok {
		oldest = a.index
	}
	var dead []string
	a.scan([]byte{tabGarbage}, nil, func(k string, _ []byte) bool {
		if binary.BigEndian.Uint64([]byte(k)[1:]) > oldest {
			return false
		}
		dead = append(dead, k)
		return len(dead) < collectPerEntry
	})
	for _, k := range dead {
		a.raiseFloor(binary.BigEndian.Uint64([]byte(k)[1:]))
		target, _ := a.getRaw([]byte(k))
		if len(target) > 0 && target[0] == tabData {
			// A deletion marker, unless the key was written again meanwhile.
			b, ok := a.getRaw(target)
			if v, deleted, _, err := decodeVersion(b); ok && (err != nil || !deleted || v > oldest) {
				target = nil
			}
		}
		if target != nil {
			a.delete(target)
		}
		a.delete([]byte(k))
	}
	a.count(func(n *Counts) { n.Garbage -= uint64(len(dead)) })
}

// ScanHash extends a running hash over the rows of a scan, starting from zero: key, version and value in
// an encoding that no other rows share.
func ScanHash(h capsule.Hash, key []byte, version uint64, val []byte) capsule.Hash {
	d := sha256.New()
	d.Write(h[:])
	var n [16]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(key)))
	binary.BigEndian.PutUint64(n[8:], version)
	d.Write(n[:])
	d.Write(key)
	d.Write(val)
	return capsule.Hash(d.Sum(nil))
}

// reader repeats the reads of a transaction and counts what that costs.
type reader struct {
	*apply
	rows, bytes uint64
}

// maxReadBytes bounds the bytes under the reads of one transaction.
const maxReadBytes = 16 << 20

// holds reports whether all reads would give the same now. It stops early when they are too large; see
// tooLarge.
func (r *reader) holds(reads []Read, scans []ScanRead) bool {
	for i := range reads {
		if !r.readHolds(&reads[i]) {
			return false
		}
	}
	for i := range scans {
		if !r.scanHolds(&scans[i]) {
			return false
		}
	}
	return true
}

func (r *reader) tooLarge() bool { return r.bytes > maxReadBytes }

func (r *reader) saw(val []byte) {
	r.rows++
	r.bytes += uint64(len(val))
}

func (r *reader) readHolds(x *Read) bool {
	v, val := r.current(x.Key)
	r.saw(val)
	if v != x.Version || r.tooLarge() {
		return false
	}
	return v == 0 && x.Hash.IsZero() || v != 0 && capsule.Sum(val) == x.Hash
}

// scanHolds reports whether a scan would give the same rows now: none changed, gone, or new.
func (r *reader) scanHolds(x *ScanRead) bool {
	var h capsule.Hash
	var n uint32
	same := true
	var after []byte
	if len(x.After) > 0 {
		after = row(tabData, x.After)
	}
	r.scan(row(tabData, x.Prefix), after, func(k string, val []byte) bool {
		key := []byte(k)[1:]
		if len(x.Last) > 0 && bytes.Compare(key, x.Last) > 0 {
			return false
		}
		v, deleted, data, err := decodeVersion(val)
		if err != nil {
			r.fail(err)
		}
		r.saw(data)
		if deleted {
			return !r.tooLarge()
		}
		n++
		if n > x.Rows || r.tooLarge() {
			same = false
			return false
		}
		h = ScanHash(h, key, v, data)
		return true
	})
	return same && n == x.Rows && h == x.Hash
}

func checkWrites(writes []Write) error {
	if len(writes) > MaxWrites {
		return fmt.Errorf("%d writes, at most %d", len(writes), MaxWrites)
	}
	for i := range writes {
		w := &writes[i]
		if err := checkKey(w.Key); err != nil {
			return err
		}
		if len(w.Value) > MaxValue || w.Delete && len(w.Value) > 0 {
			return fmt.Errorf("write %d: a value of %d bytes, at most %d, and none for a deletion", i, len(w.Value), MaxValue)
		}
		if i > 0 && bytes.Compare(writes[i-1].Key, w.Key) >= 0 {
			return fmt.Errorf("write %d: keys are not in ascending order", i)
		}
	}
	return nil
}

func checkKey(key []byte) error {
	if _, ok := namespaceOf(key); !ok || len(key) > MaxKey {
		return fmt.Errorf("a key of %d bytes, at most %d, and it begins with a namespace and \"/\"", len(key), MaxKey)
	}
	return nil
}

// checkReads bounds what a transaction may depend on.
func checkReads(reads []Read, scans []ScanRead) error {
	if len(reads)+len(scans) > MaxReads {
		return fmt.Errorf("%d reads and scans, at most %d", len(reads)+len(scans), MaxReads)
	}
	for i := range reads {
		if err := checkKey(reads[i].Key); err != nil {
			return fmt.Errorf("read %d: %w", i, err)
		}
	}
	var rows uint64
	for i := range scans {
		s := &scans[i]
		if err := checkKey(s.Prefix); err != nil {
			return fmt.Errorf("scan %d: %w", i, err)
		}
		if len(s.After) > MaxKey || len(s.Last) > MaxKey {
			return fmt.Errorf("scan %d: a bound longer than %d bytes", i, MaxKey)
		}
		rows += uint64(s.Rows)
	}
	if rows > MaxScanned {
		return fmt.Errorf("%d rows scanned, at most %d", rows, MaxScanned)
	}
	return nil
}

func (d *Data) check() error {
	if len(d.Writes) == 0 {
		return errors.New("no writes")
	}
	if err := checkReads(d.Reads, nil); err != nil {
		return err
	}
	return checkWrites(d.Writes)
}

// checkOnce verifies that a signed command is still good, under the key that was signed with it, and not
// for longer than the key is remembered: so it can't be applied twice, whoever proposes it.
func (a *apply) checkOnce(p *prepared, key [16]byte, expires uint64) *Refusal {
	switch keep := a.policy().Times.KeepKey; {
	case key == [16]byte{} || key != p.cmd.Key:
		return refuse(CodeReplay, "the command needs the idempotency key that was signed with it")
	case a.time >= expires:
		return refuse(CodeExpired, "the request expired at %d ms, it is %d ms", expires, a.time)
	case expires-a.time > keep:
		return refuse(CodeTime, "the request is valid for %d ms, at most %d: longer than its key is remembered", expires-a.time, keep)
	}
	return nil
}

// runData writes rows on the word of an owner, or of somebody with a chain from one.
func runData(a *apply, p *prepared) (Result, *Refusal) {
	d := p.body.(*Data)
	if r := a.checkOnce(p, d.Key, d.Expires); r != nil {
		return Result{}, r
	}
	if r := a.checkDataRights(d, p.signer); r != nil {
		return Result{}, r
	}
	if rd := (reader{apply: a}); !rd.holds(d.Reads, nil) {
		if rd.tooLarge() {
			return Result{}, refuse(CodeLimit, "the values read have more than %d bytes", maxReadBytes)
		}
		return Result{}, refuse(CodeConflict, "a key that the request depends on has changed")
	}
	if r := a.checkLocks(d.Writes, capsule.ID{}); r != nil {
		return Result{}, r
	}
	if r := a.writeAll(d.Writes); r != nil {
		return Result{}, r
	}
	return Result{N: a.index}, nil
}

func (a *apply) checkDataRights(d *Data, signer capsule.Key) *Refusal {
	var v *capsule.VerifiedChain
	if len(d.Chain) > 0 {
		var err error
		if v, err = d.Chain.Verify(a.m.verified, capsule.AnyRoot, a.m.zone, a.time); err != nil {
			return refuseErr(CodeGrant, err)
		}
		if v.Audience() != signer {
			return refuse(CodeGrant, "the chain ends at %s, the signer is %s", v.Audience(), signer)
		}
		if r := a.checkRevoked(v); r != nil {
			return r
		}
	}
	may := func(key []byte, ab capsule.Ability) bool {
		name, _ := namespaceOf(key)
		ns, ok := a.namespace(name)
		switch {
		case !ok:
			return false
		case ns.Owner == signer:
			return true
		}
		return v != nil && (a.isRoot(v.Root()) || ns.Owner == v.Root()) && Permits(v.Caps(), ResourceData, key)&ab == ab
	}
	for i := range d.Writes {
		if !may(d.Writes[i].Key, abilityOf(&d.Writes[i])) {
			return refuse(CodeDenied, "%s may not write the key %q", signer, d.Writes[i].Key)
		}
	}
	for i := range d.Reads {
		if !may(d.Reads[i].Key, capsule.Read) {
			return refuse(CodeDenied, "%s may not read the key %q", signer, d.Reads[i].Key)
		}
	}
	return nil
}

func abilityOf(w *Write) capsule.Ability {
	if w.Delete {
		return capsule.Delete
	}
	return capsule.Write
}

// writeAll applies writes within their namespaces' quotas, all or none.
func (a *apply) writeAll(writes []Write) *Refusal {
	for i := range writes {
		w := &writes[i]
		name, _ := namespaceOf(w.Key)
		ns, ok := a.namespace(name)
		if !ok {
			return refuse(CodeNamespace, "no namespace %q", name)
		}
		if ns.Frozen && !w.Delete {
			return refuse(CodeNamespace, "the rent of namespace %q is due: only deletions are possible", name)
		}
		used := ns.Used
		if v, val := a.current(w.Key); v != 0 {
			used -= uint64(len(w.Key) + len(val))
		}
		if !w.Delete {
			used += uint64(len(w.Key) + len(w.Value))
			if used > ns.Quota && used > ns.Used {
				return refuse(CodeQuota, "namespace %q would hold %d bytes, its quota is %d", name, used, ns.Quota)
			}
		}
		if used != ns.Used {
			ns.Used = used
			a.saveNamespace(name, ns)
		}
		a.write(w)
	}
	return nil
}
