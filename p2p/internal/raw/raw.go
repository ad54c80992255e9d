// Package raw carries the libp2p host from package p2p to its sub-packages; it must never be reachable by anything outside p2p.
//
// A *Host is an opaque token: it has no exported fields or methods, so the rest of the program can hold one and do
// nothing with it. Only code below p2p can import this package and call Unwrap.
package raw

import (
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
)

// Host is the token.
type Host struct{ h host.Host }

// Wrap makes the token for h.
func Wrap(h host.Host) *Host { return &Host{h} }

// Unwrap returns the libp2p host behind the token.
func Unwrap(t *Host) host.Host { return t.h }

// idPrefix is what stands before the 32 key bytes in the binary peer ID of an Ed25519 key: an identity multihash
// (0x00) of 36 bytes (0x24) holding the protobuf {Type: Ed25519 (0x08 0x01), Data: 32 bytes (0x12 0x20)}.
const idPrefix = "\x00\x24\x08\x01\x12\x20"

// PeerID returns the libp2p peer ID of k.
func PeerID(k capsule.Key) peer.ID { return peer.ID(idPrefix + string(k[:])) }

// Key returns the Ed25519 key inside p. It is false for every other kind of key (RSA, ECDSA, secp256k1), which no
// node of the mesh has.
func Key(p peer.ID) (capsule.Key, bool) {
	var k capsule.Key
	if len(p) != len(idPrefix)+len(k) || string(p[:len(idPrefix)]) != idPrefix {
		return k, false
	}
	copy(k[:], p[len(idPrefix):])
	return k, true
}
