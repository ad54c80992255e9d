package zone

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/store"
)

// A backup is the magic, a head with its length before and its SHA-256 behind it, and a snapshot. The snapshot has the
// quorum's certificate of its state, so that a backup is worth as much as the voters that signed it, whoever kept it.
const (
	backupMagic   = "kitwork zone backup 1\n"
	maxBackupHead = 128 << 10
)

type backupHead struct {
	_       struct{} `cbor:",toarray"`
	V       uint8
	Genesis []byte
	Index   uint64
	Term    uint64 // of the entry at Index
	Members []backupMember
}

type backupMember struct {
	_     struct{} `cbor:",toarray"`
	Key   capsule.Key
	Voter bool
}

// BackupInfo says what a backup holds.
type BackupInfo struct {
	Zone       capsule.ZoneID `json:"zone"`
	Index      uint64         `json:"index"`
	Chain      capsule.Hash   `json:"chain"`
	StateHash  capsule.Hash   `json:"state_hash"`
	Generation uint64         `json:"generation"`
	Epoch      uint64         `json:"epoch"`
	Rows       uint64         `json:"rows"`
}

// ErrVoterKey refuses to restore a backup under a key that has voted: what it signed after the backup is forgotten, and it
// might contradict it.
var ErrVoterKey = errors.New("this key has voted in the zone, and what it signed since the backup would be forgotten; it must never sign again. Restore under a new key: kwnode keygen new.key")

// Backup writes a consistent copy of the state as it is now, once its certificate is there. Keys, log and signing record
// are not part of it.
func (z *Zone) Backup(ctx context.Context, w io.Writer) error {
	v, err := z.db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	at := v.Applied()
	if at.Index == 0 {
		return errors.New("nothing has been decided in this zone yet: there is nothing to back up")
	}
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	if have, err := z.certs.quorum(at.Index); err == nil && have == nil {
		if err := z.noQuorum(); err != nil {
			return fmt.Errorf("the state at entry %d is not certified: %w", at.Index, err)
		}
	}
	q, err := z.certs.wait(ctx, at.Index)
	if err != nil {
		return fmt.Errorf("the state at entry %d is not certified (%w): a quorum of voters must be up", at.Index, err)
	}
	head := backupHead{V: cert.Version, Genesis: z.cfg.Genesis, Index: at.Index}
	if head.Term, err = z.node.TermOf(at.Index); err != nil {
		return err
	}
	for k, voter := range z.node.Members() {
		head.Members = append(head.Members, backupMember{Key: k, Voter: voter})
	}
	slices.SortFunc(head.Members, func(a, b backupMember) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	p, err := capsule.Marshal(&proof{Quorum: *q, Epochs: z.sets.acts(q.Statement.Epoch), Recovery: []cert.SignedAdmin{}})
	if err != nil {
		return err
	}
	if err := writeHead(w, &head); err != nil {
		return err
	}
	return v.WriteSnapshot(w, p)
}

func writeHead(w io.Writer, h *backupHead) error {
	b, err := capsule.Marshal(h)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	for _, part := range [][]byte{[]byte(backupMagic), binary.BigEndian.AppendUint32(nil, uint32(len(b))), b, sum[:]} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write backup: %w", err)
		}
	}
	return nil
}

// readHead reads and checks what stands before the snapshot.
func readHead(r io.Reader) (*backupHead, error) {
	bad := func(what string, err error) error {
		if err != nil {
			what += ": " + err.Error()
		}
		return fmt.Errorf("this is no intact backup of a zone: %s", what)
	}
	pre := make([]byte, len(backupMagic)+4)
	if _, err := io.ReadFull(r, pre); err != nil || string(pre[:len(backupMagic)]) != backupMagic {
		return nil, bad("it does not begin like one", err)
	}
	n := binary.BigEndian.Uint32(pre[len(backupMagic):])
	if n > maxBackupHead {
		return nil, bad(fmt.Sprintf("its head has %d bytes", n), nil)
	}
	b := make([]byte, n+sha256.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, bad("it is cut off", err)
	}
	if sum := sha256.Sum256(b[:n]); !bytes.Equal(sum[:], b[n:]) {
		return nil, bad("the hash of its head differs", nil)
	}
	h := new(backupHead)
	if err := capsule.Unmarshal(b[:n], h); err != nil {
		return nil, bad("its head", err)
	}
	if h.V != cert.Version {
		return nil, fmt.Errorf("the backup has version %d, this program knows %d", h.V, cert.Version)
	}
	return h, nil
}

// CheckBackup reads a whole backup and verifies everything that can be without its database: every byte's hash, and the
// quorum that certified the state, followed from the genesis. The caller compares the zone with the one it means.
func CheckBackup(r io.Reader) (*BackupInfo, error) {
	br := bufio.NewReaderSize(r, 64<<10)
	h, err := readHead(br)
	if err != nil {
		return nil, err
	}
	sr, err := store.NewSnapshotReader(br)
	if err != nil {
		return nil, err
	}
	sets, err := newEpochs(h.Genesis)
	if err != nil {
		return nil, err
	}
	var p proof
	err = p.check(sets, sr.Applied(), sr.Proof(), func(store.Applied, *cert.SignedAdmin) error {
		return errors.New("this is no backup: no quorum has certified its state")
	})
	if err != nil {
		return nil, err
	}
	info := infoOf(h, sr.Applied(), &p)
	err = sr.Rows(func(_, _ []byte) error { info.Rows++; return nil })
	return info, err
}

func infoOf(h *backupHead, a store.Applied, p *proof) *BackupInfo {
	return &BackupInfo{Zone: capsule.ZoneID(capsule.Sum(h.Genesis)), Index: a.Index, Chain: capsule.Hash(a.Chain),
		StateHash: capsule.Hash(a.State), Generation: p.Quorum.Statement.Generation, Epoch: p.Quorum.Statement.Epoch}
}

// Restore makes a voter's data directory, which must not exist yet, out of a backup of the zone that cfg's genesis names.
// Who starts on it has a key that never voted: it joins the zone like any newcomer, only faster, or is named by a recovery
// if the zone's quorum is lost.
func Restore(cfg Config, r io.Reader) (info *BackupInfo, err error) {
	if _, err := os.Lstat(cfg.Dir); err == nil {
		return nil, fmt.Errorf("%s exists already: a backup is restored into a new folder", cfg.Dir)
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	br := bufio.NewReaderSize(r, 64<<10)
	h, err := readHead(br)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(h.Genesis, cfg.Genesis) {
		return nil, fmt.Errorf("the backup is of zone %s, not of the zone %s of this genesis", capsule.ZoneID(capsule.Sum(h.Genesis)), capsule.ZoneID(capsule.Sum(cfg.Genesis)))
	}
	dir := cfg.Dir
	cfg.Dir = dir + ".restoring"
	if err := os.RemoveAll(cfg.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			os.RemoveAll(cfg.Dir)
		}
	}()
	if info, err = restoreInto(cfg, h, br); err != nil {
		return nil, err
	}
	return info, atomicfile.Rename(cfg.Dir, dir)
}

func restoreInto(cfg Config, h *backupHead, r io.Reader) (*BackupInfo, error) {
	z, err := newZone(cfg)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if err := z.openStores(); err != nil {
		return nil, err
	}
	if err := z.openSigner(); err != nil {
		return nil, err
	}
	p, err := z.replica.restore(r)
	if err != nil {
		return nil, err
	}
	if z.sets.voted(z.self) {
		return nil, ErrVoterKey
	}
	if err := z.beginLog(h, p); err != nil {
		return nil, err
	}
	info := infoOf(h, z.db.Applied(), p)
	v, err := z.db.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	err = v.Scan(nil, nil, func(_, _ []byte) bool { info.Rows++; return true })
	return info, errors.Join(err, z.db.Sync())
}

// beginLog makes consensus start behind the restored state: a snapshot with the membership of the backup, and its term.
func (z *Zone) beginLog(h *backupHead, p *proof) error {
	b, err := capsule.Marshal(p)
	if err != nil {
		return err
	}
	snaps, err := store.OpenSnapshots(z.cfg.FS.PathJoin(z.cfg.Dir, "snapshots"), z.cfg.FS)
	if err != nil {
		return err
	}
	var conf hraft.Configuration
	for _, m := range h.Members {
		s := hraft.Server{Suffrage: hraft.Nonvoter, ID: hraft.ServerID(m.Key.String()), Address: hraft.ServerAddress(m.Key.String())}
		if m.Voter {
			s.Suffrage = hraft.Voter
		}
		conf.Servers = append(conf.Servers, s)
	}
	v, err := z.db.View()
	if err != nil {
		return err
	}
	defer v.Close()
	sink, err := snaps.Create(1, h.Index, h.Term, conf, h.Index, nil)
	if err != nil {
		return err
	}
	if err := v.WriteSnapshot(sink, b); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	log, err := store.OpenLog(filepath.Join(z.cfg.Dir, "log"), store.LogOptions{SnapshotIndex: h.Index, NoSync: z.cfg.NoSync})
	if err != nil {
		return err
	}
	return errors.Join(log.SetUint64([]byte("CurrentTerm"), h.Term), log.Close())
}
