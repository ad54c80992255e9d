package api

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
)

// ProtoPending is how voters tell each other what they hold and the zone has not decided: PendingRequest → PendingReply. It brings
// what gossip dropped.
const ProtoPending = "/kitwork/pending/1" // voter → voter of the same zone

// Bounds of a PendingRequest and a PendingReply.
const (
	MaxPending      = 1024 // capsules named
	MaxPendingBytes = MaxMessage - 4096
)

// PendingRequest asks a voter for the capsules that it holds and the asker does not.
type PendingRequest struct {
	_    struct{} `cbor:",toarray"`
	V    uint8
	Zone capsule.ZoneID
	Have []capsule.ID // at most MaxPending
}

// Check refuses what is out of bounds.
func (r *PendingRequest) Check() error {
	if r.V != Version || len(r.Have) > MaxPending {
		return &Refusal{Code: CodeProtocol, Detail: fmt.Sprintf("version %d with %d capsules, want version %d and at most %d", r.V, len(r.Have), Version, MaxPending)}
	}
	return nil
}

// PendingReply has as many of their envelopes as fit.
type PendingReply struct {
	_         struct{} `cbor:",toarray"`
	V         uint8
	Envelopes [][]byte // at most MaxPendingBytes in all
}
