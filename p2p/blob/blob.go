// Package blob moves and keeps content that is named by its SHA-256: chunk by chunk, each verified as it comes, from any holder, into a bounded cache on disk; it must never know what the content is.
//
// A plain SHA-256 says nothing about a part of the content, so a liar would be found out only at the end. Chunks
// therefore travel last first, each with the hash's chaining value before it: the digest proves the last chunk and the
// value before that chunk, that value proves the chunk before, and so on down to SHA-256's initial value. DESIGN.md
// has the argument.
//
// The protocol, on a stream of its own:
//
//	request   digest [32], first u64 (chunk to begin with, all ones is the last), count u32 (chunks wanted)
//	response  status u8; if ok: size u64, then for each chunk downwards: state before it [32], its bytes
//
// Integers are big-endian. A holder may end the stream after any chunk; the client goes on elsewhere.
package blob

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

// ID is the protocol.
const ID = "/kitwork/blob/1"

// Limits of the protocol. Options may lower what concerns memory.
const (
	MaxSize      = 1 << 30          // bytes of one blob, whatever the caller allows
	streams      = 64               // served at once
	perPeer      = 4                // of one peer
	chunkTimeout = 10 * time.Second // of one chunk, on both sides; what is slower than 26 KB/s is given up
)

const requestSize = 32 + 8 + 4

// fromLast in a request's first means the last chunk: the client does not know the size yet.
const fromLast = ^uint64(0)

type request struct {
	digest capsule.Hash
	first  uint64
	count  uint32
}

func (r request) encode() []byte {
	b := append(make([]byte, 0, requestSize), r.digest[:]...)
	b = binary.BigEndian.AppendUint64(b, r.first)
	return binary.BigEndian.AppendUint32(b, r.count)
}

func readRequest(rd io.Reader) (r request, err error) {
	var b [requestSize]byte
	if _, err := io.ReadFull(rd, b[:]); err != nil {
		return r, err
	}
	copy(r.digest[:], b[:32])
	r.first = binary.BigEndian.Uint64(b[32:])
	r.count = binary.BigEndian.Uint32(b[40:])
	return r, nil
}

// Statuses of a response.
const (
	statusOK       = 0
	statusNotFound = 1
	statusDenied   = 2
)

// Errors that callers branch on.
var (
	// ErrNotFound: nobody asked has the blob.
	ErrNotFound = errors.New("blob: no holder has it; ask for more holders or later")
	// ErrTooLarge: the blob is larger than the caller allows.
	ErrTooLarge = errors.New("blob: larger than allowed")
	// ErrFull: everything in the cache is kept, so nothing can make room.
	ErrFull = errors.New("blob: the cache is full of blobs that must be kept; raise its size or release some")
	// ErrLie: a holder sent bytes that do not hash to the digest.
	ErrLie = errors.New("blob: a holder sent bytes that are not the blob's")
	// ErrCorrupt: the copy on disk was damaged. It has been removed.
	ErrCorrupt = errors.New("blob: the copy on disk was damaged and has been removed; fetch it again")
)
