package api

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// WorkRequest opens a worker's line to a voter: leases that the zone grants to the worker come down it. The worker is the
// stream's authenticated peer.
type WorkRequest struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Zone  capsule.ZoneID
	Holds []LeaseRef // leases that the worker still runs: the voter sends what it lacks and stops what is over
}

// LeaseRef names a lease: its number fences, since it only grows.
type LeaseRef struct {
	_       struct{} `cbor:",toarray"`
	Capsule capsule.ID
	Number  uint64
}

// Work is one message down the line: a grant, or the end of a lease.
type Work struct {
	_      struct{} `cbor:",toarray"`
	V      uint8
	Lease  LeaseRef
	Stop   bool   // the lease is over: what was not committed is void
	Yield  bool   // the lease is wanted back: save the segment and drop it
	Cancel bool   // the author wants no more of it: stop, and end the capsule with what was used
	Grant  []byte // encoding of a LeaseGrant, empty with the others
}

// MaxWork bounds a Work: an envelope, an inline continuation and two certificates.
const MaxWork = 256 << 10

// LeaseGrant is everything that a worker needs to begin. The worker runs nothing before it has verified both certificates
// against voter sets that it trusts, and that Body, which Segment must agree with, is what the warrant decided.
type LeaseGrant struct {
	_         struct{} `cbor:",toarray"`
	V         uint8
	Zone      capsule.ZoneID
	Segment   []byte   // encoding of a machine.Warrant: envelope, lease, start, and the continuation if it is small
	Admission []byte   // encoding of the cert.Certificate of the capsule's admission
	Warrant   []byte   // encoding of the cert.Certificate of the segment's lease
	Body      []byte   // encoding of the machine.LeaseBody that the warrant's Decision.Body is the hash of
	Epochs    [][]byte // encodings of cert.SignedAdmin up to the newest of the two
	Holders   []Peer   // who is known to hold code and state
	Now       uint64   // zone milliseconds when this was sent
}

// Check verifies a grant's certificates: that the zone admitted the capsule and leased this segment of it.
func (g *LeaseGrant) Check(id capsule.ID, t *cert.Tracker) (*cert.Decision, error) {
	if g.V != Version {
		return nil, fmt.Errorf("lease grant has version %d, want %d", g.V, Version)
	}
	verify := func(what string, b []byte, phase cert.Phase, verdicts ...cert.Verdict) (*cert.Decision, error) {
		c, err := cert.ParseCertificate(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		d := &c.Decision
		if d.Zone != g.Zone {
			return nil, fmt.Errorf("%s: of zone %s, the grant is of %s", what, d.Zone, g.Zone)
		}
		if err := t.Verify(c); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		for _, v := range verdicts {
			if d.Slot.Capsule == id && d.Slot.Phase == phase && d.Verdict == v {
				return d, nil
			}
		}
		return nil, fmt.Errorf("%s: certifies %s of %s, want %s of capsule %s", what, d.Verdict, d.Slot, verdicts[0], id)
	}
	if _, err := verify("admission", g.Admission, cert.PhaseIn, cert.Admitted, cert.Accepted); err != nil {
		return nil, err
	}
	d, err := verify("warrant", g.Warrant, cert.PhaseLease, cert.Leased)
	if err != nil {
		return nil, err
	}
	if capsule.Sum(g.Body) != d.Body {
		return nil, fmt.Errorf("warrant: the body for %s is not what was certified", d.Slot)
	}
	return d, nil
}

// ReadRequest reads data of the zone under a lease. The voter serves the state at Index and refuses every key that the
// capsule's grants don't cover.
type ReadRequest struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Zone  capsule.ZoneID
	Lease LeaseRef
	Index uint64
	Key   []byte // of one row; or the prefix of a scan
	Scan  bool
	After []byte // of a scan: keys greater than it
	Rows  uint32 // of a scan: at most so many, at most MaxRows
}

// MaxRows bounds the rows of one reply; MaxRead its bytes. The last row of a scan may be left out to keep to them.
const (
	MaxRows = 1024
	MaxRead = 2 << 20
)

// Row is a stored value. Version is the log index that wrote it, 0 if there is none.
type Row struct {
	_       struct{} `cbor:",toarray"`
	Key     []byte
	Value   []byte
	Version uint64
}

// ReadReply has the row asked for (with Version 0 if it is absent), or those of a scan in order of their keys.
type ReadReply struct {
	_    struct{} `cbor:",toarray"`
	V    uint8
	Rows []Row
	More bool // of a scan: keys follow the last one
}
