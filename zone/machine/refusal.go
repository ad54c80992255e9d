package machine

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// Code is the reason of a refusal in one word: a metric label, and what a caller branches on. Reasons that
// package capsule finds keep its codes.
type Code string

const (
	CodeEncoding   Code = "encoding"   // not canonical, not the structure, or a field out of range
	CodeSignature  Code = "signature"  // missing, wrong, or too few
	CodeZone       Code = "zone"       // meant for another zone
	CodeGeneration Code = "generation" // from before a recovery, or from another epoch
	CodeSequence   Code = "sequence"   // out of order, or done already
	CodeReplay     Code = "replay"     // the idempotency key, or the author's nonce, stands for something else
	CodeUnknown    Code = "unknown"    // names what this zone does not hold
	CodeExists     Code = "exists"     // there already
	CodeExpired    Code = "expired"    // too late
	CodeTime       Code = "time"       // a time that does not move forward, or is not allowed
	CodeMeter      Code = "meter"      // counts gas by another table
	CodePrice      Code = "price"      // the zone's price is above what the author pays
	CodeFunds      Code = "funds"      // the payer's account does not suffice
	CodeHeldCap    Code = "held_cap"   // the zone holds as many credits as it may
	CodeGrant      Code = "grant"      // no valid chain from somebody with authority
	CodeRevoked    Code = "revoked"    // a link of the chain was revoked
	CodeCapacity   Code = "capacity"   // no room, and no room to wait
	CodeLimit      Code = "limit"      // beyond a bound of the zone
	CodeBlob       Code = "blob"       // the attestation for a blob is missing or stale
	CodeState      Code = "state"      // not possible in the capsule's present state
	CodeLease      Code = "lease"      // not under the current lease: somebody else owns the segment now
	CodeGas        Code = "gas"        // more gas than is reserved
	CodeDenied     Code = "denied"     // a write outside the grants
	CodeNamespace  Code = "namespace"  // no such namespace, or its rent is due
	CodeQuota      Code = "quota"      // the namespace is full
	CodeLocked     Code = "locked"     // the keys are locked for a capsule that lost three conflicts
	CodeConflict   Code = "conflict"   // what the segment read has changed: it runs again
	CodePeer       Code = "peer"       // a zone that is not pinned here, is frozen, or may not owe as much
	CodeLineage    Code = "lineage"    // the certificates do not prove who owns the capsule
	CodeFeature    Code = "feature"    // the zone's feature level does not allow it
)

// Refusal is why a command had no effect. It is data of the replicated state machine: every replica gives
// the same one.
type Refusal struct {
	Code   Code
	Detail string
	Err    error // cause, if there is one: *capsule.Refusal, *capsule.EncodingError
}

func (r *Refusal) Error() string {
	s := "refused (" + string(r.Code) + ")"
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	if r.Err != nil {
		s += ": " + r.Err.Error()
	}
	return s
}

func (r *Refusal) Unwrap() error { return r.Err }

func refuse(c Code, format string, args ...any) *Refusal {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	return &Refusal{Code: c, Detail: format}
}

func refuseErr(c Code, err error) *Refusal { return &Refusal{Code: c, Err: err} }

// refuseCapsule keeps the code that package capsule gives.
func refuseCapsule(r *capsule.Refusal) *Refusal { return &Refusal{Code: Code(r.Code), Err: r} }
