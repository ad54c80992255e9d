// Package cert is what a zone's voters sign and what anybody can check of it without talking to the zone:
// decisions, statements, quorums, voter sets and the signing record; it must never know of Raft, storage
// engines, networks or how a decision came about.
package cert

import (
	"github.com/kitwork/kwnode/capsule"
)

// Version is the only version of the formats in this package.
const Version = 1

// Signature kinds. A signature of one kind is never valid as another.
const (
	// KindStatement signs a Statement: one voter's word about one log index.
	KindStatement capsule.Kind = "statement"
	// KindAdmin is a root's signature of an Admin payload.
	KindAdmin capsule.Kind = "admin"
	// KindEpoch is a voter's signature of the Admin payload that replaces its voter set.
	KindEpoch capsule.Kind = "epoch"
	// KindDescriptor is a voter's signature of a Descriptor.
	KindDescriptor capsule.Kind = "descriptor"
)

// Limits of what a decoder accepts.
const (
	// MaxVoters bounds a voter set. Agreement costs grow with the square; zones scale by number, not size.
	MaxVoters = 9
	// MaxRoots bounds the root keys of a zone.
	MaxRoots = 16
	// MaxBatch bounds the decisions under one signature: a path then has at most 14 steps.
	MaxBatch = 1 << 14
	// MaxAdmin bounds an administrative payload in bytes.
	MaxAdmin = 64 << 10
)

// IndexSig is a signature by the key at a position of a list that both sides know.
type IndexSig struct {
	_   struct{} `cbor:",toarray"`
	Pos uint8
	Sig capsule.Sig
}
