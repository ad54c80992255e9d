package cert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
)

// Record is what a voter remembers of its own signatures, so that it never contradicts one.
type Record struct {
	Generation, Index uint64       // the newest statement signed
	Chain             capsule.Hash // the log up to there
	Root              capsule.Hash // digest of the whole statement, decisions' root included
	Burned            bool         // the key was seen to have signed what this record does not know
}

// RecordStore keeps a Record durably. Save returns only when the record survives a loss of power.
type RecordStore interface {
	Load() (Record, error)
	Save(Record) error
}

// ErrAmnesia says that a voter's signing record is missing, damaged, or older than its own signatures.
// The key must never sign again: remove the voter from the zone and let it join with a new key.
var ErrAmnesia = errors.New("the signing record does not hold everything this key has signed; join again with a new key")

// A record file is two areas, written in turn, each with two copies of a record in separate sectors. One
// fsync makes a record durable: no rename, no change of size. A write torn by a crash damages only the
// area that was being written, whose signature was not released yet; a rotten sector has its copy beside.
const (
	recordMagic  = "kwsign1\x00"
	recordSector = 512
	recordArea   = 2 * recordSector
	recordFile   = 2 * recordArea
	recordBody   = 8 + 8 + 8 + 8 + 32 + 32 + 1 // magic, sequence, generation, index, chain, root, burned
)

// FileRecord is a RecordStore in a file. One process holds it; it is not safe for concurrent use (Signer
// serialises).
type FileRecord struct {
	f   *os.File
	key capsule.Key
	seq uint64
	rec Record
}

// CreateRecord makes the record of a key that has never signed. It refuses to replace a file: a voter
// that lost its record must not quietly begin again.
func CreateRecord(path string, key capsule.Key) (*FileRecord, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, fmt.Errorf("create signing record %s: %w; open it instead", path, fs.ErrExist)
	}
	r := &FileRecord{key: key, seq: 1}
	var b [recordFile]byte
	r.encode(b[:recordArea], 0, Record{})
	r.encode(b[recordArea:], 1, Record{})
	if err := atomicfile.Write(path, b[:], 0o600); err != nil {
		return nil, fmt.Errorf("create signing record: %w", err)
	}
	return OpenRecord(path, key)
}

// OpenRecord opens the record of a key that may have signed before. A file that is missing, damaged
// beyond its copies, or of another key is ErrAmnesia.
func OpenRecord(path string, key capsule.Key) (*FileRecord, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open signing record: %w: %v", ErrAmnesia, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open signing record: %w", err)
	}
	r := &FileRecord{f: f, key: key}
	if err := r.read(); err != nil {
		f.Close()
		return nil, fmt.Errorf("open signing record %s: %w", path, err)
	}
	return r, nil
}

// read finds the newest record. Each area must hold at least one good copy, except that the area written
// last may be torn; both areas can't be damaged by one crash.
func (r *FileRecord) read() error {
	var b [recordFile + 1]byte
	n, err := r.f.ReadAt(b[:], 0)
	if n != recordFile {
		return fmt.Errorf("%w: file of %d bytes, want %d (%v)", ErrAmnesia, n, recordFile, err)
	}
	found := false
	for at := 0; at < recordFile; at += recordSector {
		seq, rec, ok := r.decode(b[at : at+recordSector])
		if !ok || seq%2 != uint64(at/recordArea) {
			continue
		}
		if !found || seq > r.seq {
			r.seq, r.rec, found = seq, rec, true
		}
	}
	if !found {
		return fmt.Errorf("%w: no intact copy", ErrAmnesia)
	}
	return nil
}

func (r *FileRecord) encode(area []byte, seq uint64, rec Record) {
	b := area[:recordSector]
	copy(b, recordMagic)
	binary.BigEndian.PutUint64(b[8:], seq)
	binary.BigEndian.PutUint64(b[16:], rec.Generation)
	binary.BigEndian.PutUint64(b[24:], rec.Index)
	copy(b[32:], rec.Chain[:])
	copy(b[64:], rec.Root[:])
	if rec.Burned {
		b[96] = 1
	}
	sum := r.checksum(b[:recordBody])
	copy(b[recordBody:], sum[:])
	copy(area[recordSector:], b)
}

// checksum covers the key too: a record copied from another voter does not pass.
func (r *FileRecord) checksum(body []byte) capsule.Hash {
	return capsule.Sum(append(append(make([]byte, 0, len(body)+len(r.key)), body...), r.key[:]...))
}

func (r *FileRecord) decode(b []byte) (seq uint64, rec Record, ok bool) {
	sum := r.checksum(b[:recordBody])
	if string(b[:8]) != recordMagic || string(b[recordBody:recordBody+len(sum)]) != string(sum[:]) {
		return 0, Record{}, false
	}
	rec = Record{
		Generation: binary.BigEndian.Uint64(b[16:]), Index: binary.BigEndian.Uint64(b[24:]),
		Chain: capsule.Hash(b[32:64]), Root: capsule.Hash(b[64:96]), Burned: b[96] == 1,
	}
	return binary.BigEndian.Uint64(b[8:]), rec, true
}

// Load implements RecordStore.
func (r *FileRecord) Load() (Record, error) { return r.rec, nil }

// Save implements RecordStore.
func (r *FileRecord) Save(rec Record) error {
	var b [recordArea]byte
	seq := r.seq + 1
	r.encode(b[:], seq, rec)
	if _, err := r.f.WriteAt(b[:], int64(seq%2)*recordArea); err != nil {
		return fmt.Errorf("save signing record: %w", err)
	}
	if err := r.f.Sync(); err != nil {
		return fmt.Errorf("save signing record: %w", err)
	}
	r.seq, r.rec = seq, rec
	return nil
}

// Close releases the file.
func (r *FileRecord) Close() error { return r.f.Close() }

// MemRecord is a RecordStore without a disk, for tests and simulations: what it holds is what a disk
// would hold after the last Save.
type MemRecord struct {
	Record Record
	Fail   error // returned by Save when set
}

// Load implements RecordStore.
func (r *MemRecord) Load() (Record, error) { return r.Record, nil }

// Save implements RecordStore.
func (r *MemRecord) Save(rec Record) error {
	if r.Fail != nil {
		return r.Fail
	}
	r.Record = rec
	return nil
}
