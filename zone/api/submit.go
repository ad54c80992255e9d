package api

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Bounds of what may follow a submission.
const (
	MaxContents = 4        // code, base, state, and one to spare
	MaxContent  = 32 << 20 // bytes of one, on the wire and unpacked
)

// Encoding says how a content's bytes are packed on the wire.
type Encoding uint8

// The encodings.
const (
	Plain Encoding = iota
	Deflate
)

// Content announces bytes that follow the request, in the order of announcement.
type Content struct {
	_        struct{} `cbor:",toarray"`
	CID      capsule.CID
	Encoding Encoding
	Size     uint64 // on the wire
}

// SubmitRequest hands in a capsule, with whatever content the client believes to be missing there. First try without
// code and base: most submissions run code that the zone has.
type SubmitRequest struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Envelope []byte // at most capsule.MaxEnvelope
	Contents []Content
}

// SubmitReply acknowledges a capsule, or names the content without which it can't be admitted: the client submits again
// and sends it along. Exactly one of the two is present.
type SubmitReply struct {
	_       struct{} `cbor:",toarray"`
	V       uint8
	Ack     []byte        // encoding of a SignedAck
	Missing []capsule.CID // what nobody there has
}

// TellAfter is how long a capsule that was handed in waits for the zone before others are told of it: by the gateway that
// took it, if no voter has answered, and by the voter that has it, if it isn't decided. Mostly the zone is quicker.
const TellAfter = 500 * time.Millisecond

// MaxSubmit bounds a SubmitRequest; content comes on top.
const MaxSubmit = capsule.MaxEnvelope + 4096

// KindAck is the kind of a voter's signature under an Ack.
const KindAck capsule.Kind = "ack"

// Ack is a voter's word that it holds a capsule and will propose it: held, not admitted. Of one that was handed in before
// it says how far that has come, so that whoever replays a capsule learns that nothing new will come of it.
type Ack struct {
	_                 struct{} `cbor:",toarray"`
	V                 uint8
	Zone              capsule.ZoneID
	Generation, Epoch uint64
	Capsule           capsule.ID
	Voter             capsule.Key
	Time              uint64 // zone milliseconds
	// Status is how the zone has the capsule as far as this voter has seen; 0: it is not decided yet.
	Status machine.Status
}

// Decided reports whether the capsule has come to its end before.
func (a *Ack) Decided() bool { return a.Status.Ended() && a.Status != machine.StatusGone }

// SignedAck is an Ack that its voter signed.
type SignedAck struct {
	_       struct{} `cbor:",toarray"`
	Payload []byte
	Sig     capsule.Sig
}

// SignAck makes the encoding of a signed Ack. The voter's key is filled in.
func SignAck(id *capsule.Identity, a Ack) ([]byte, error) {
	a.V, a.Voter = Version, id.Key()
	p, err := capsule.Marshal(&a)
	if err != nil {
		return nil, err
	}
	return capsule.Marshal(&SignedAck{Payload: p, Sig: id.Sign(KindAck, p)})
}

// VerifyAck checks an acknowledgement against the voters of its zone. set answers with the voter set of an epoch, or nil
// if it isn't known, which is cert.ErrEpoch.
func VerifyAck(b []byte, id capsule.ID, zone capsule.ZoneID, set func(generation, epoch uint64) *cert.VoterSet) (*Ack, error) {
	var s SignedAck
	if err := capsule.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("decode acknowledgement: %w", err)
	}
	a := new(Ack)
	if err := capsule.Unmarshal(s.Payload, a); err != nil {
		return nil, fmt.Errorf("decode acknowledgement: %w", err)
	}
	if a.V != Version || a.Capsule != id || a.Zone != zone {
		return nil, fmt.Errorf("acknowledgement of capsule %s in zone %s, want %s in %s", a.Capsule, a.Zone, id, zone)
	}
	voters := set(a.Generation, a.Epoch)
	if voters == nil {
		return nil, fmt.Errorf("acknowledgement: %w: generation %d epoch %d is not known", cert.ErrEpoch, a.Generation, a.Epoch)
	}
	if voters.Position(a.Voter) < 0 {
		return nil, fmt.Errorf("acknowledgement by %s, which is no voter of epoch %d", a.Voter, a.Epoch)
	}
	if !capsule.VerifySig(a.Voter, KindAck, s.Payload, s.Sig) {
		return nil, fmt.Errorf("acknowledgement: the signature of %s is invalid", a.Voter)
	}
	return a, nil
}

// Check holds a request to its bounds. What the envelope says is for capsule.Peek and capsule.Verify.
func (r *SubmitRequest) Check() *Refusal {
	refuse := func(format string, args ...any) *Refusal {
		return &Refusal{Code: CodeProtocol, Detail: fmt.Sprintf(format, args...)}
	}
	switch {
	case r.V != Version:
		return refuse("version %d, this node knows %d", r.V, Version)
	case len(r.Envelope) > capsule.MaxEnvelope:
		return refuse("an envelope of %d bytes, at most %d", len(r.Envelope), capsule.MaxEnvelope)
	case len(r.Contents) > MaxContents:
		return refuse("%d contents, at most %d", len(r.Contents), MaxContents)
	}
	for _, c := range r.Contents {
		if c.Size > MaxContent || c.Encoding > Deflate || c.CID.IsZero() {
			return refuse("content %s: %d bytes in encoding %d; at most %d, encodings 0 and 1", c.CID, c.Size, c.Encoding, MaxContent)
		}
	}
	return nil
}

// Pack announces content and gives its bytes for the wire, in whichever encoding is smaller.
func Pack(id capsule.CID, b []byte) (Content, []byte, error) {
	if len(b) > MaxContent {
		return Content{}, nil, fmt.Errorf("content %s has %d bytes, at most %d", id, len(b), MaxContent)
	}
	// A compressor takes a megabyte. What is small is mostly a continuation, which is compressed already.
	if len(b) < packFrom {
		return Content{CID: id, Size: uint64(len(b))}, b, nil
	}
	return packs.get(packKey{id, &b[0], len(b)}, func() (Content, []byte, error) { return pack(id, b) })
}

// packKey is content in one place of memory, whose owner does not change it.
type packKey struct {
	id    capsule.CID
	first *byte
	size  int
}

type packedContent struct {
	content Content
	wire    []byte
}

// packer keeps what was packed last: a client hands the same code to several nodes, and again with every capsule.
type packer struct {
	mu   sync.Mutex // guards what follows; held while one packs, so that others need not
	m    map[packKey]packedContent
	keys []packKey // oldest first
}

const maxPacks = 8 // each at most MaxContent

var packs = packer{m: map[packKey]packedContent{}}

func (p *packer) get(k packKey, pack func() (Content, []byte, error)) (Content, []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if x, ok := p.m[k]; ok {
		return x.content, x.wire, nil
	}
	c, wire, err := pack()
	if err != nil {
		return c, wire, err
	}
	if len(p.keys) >= maxPacks {
		delete(p.m, p.keys[0])
		p.keys = p.keys[1:]
	}
	p.m[k] = packedContent{c, wire}
	p.keys = append(p.keys, k)
	return c, wire, nil
}

func pack(id capsule.CID, b []byte) (Content, []byte, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		return Content{}, nil, err
	}
	if _, err = w.Write(b); err == nil {
		err = w.Close()
	}
	if err != nil {
		return Content{}, nil, err
	}
	if packed.Len() >= len(b) {
		return Content{CID: id, Size: uint64(len(b))}, b, nil
	}
	return Content{CID: id, Encoding: Deflate, Size: uint64(packed.Len())}, packed.Bytes(), nil
}

// packFrom is the size in bytes from which packing is tried.
const packFrom = 64 << 10

// unpackBuffers hold what is on its way from a stream to where it is stored: most content is small, and io.Copy would make
// 32 KiB of garbage of each.
var unpackBuffers = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// Unpack reads one announced content off the stream, checks it against its address and hands it to store in pieces. It
// holds no more than a decompression window. If it fails, the stream is of no use any more, and what store was given is
// unproven.
func Unpack(r io.Reader, c Content, store io.Writer) error {
	if c.Size > MaxContent || c.Encoding > Deflate {
		return fmt.Errorf("%w: content %s beyond its bounds", ErrMessage, c.CID)
	}
	wire := &io.LimitedReader{R: r, N: int64(c.Size)}
	var plain io.Reader = wire
	if c.Encoding == Deflate {
		plain = flate.NewReader(wire)
	}
	buf := unpackBuffers.Get().(*[]byte)
	defer unpackBuffers.Put(buf)
	if _, err := io.CopyBuffer(store, capsule.NewBlobReader(plain, c.CID, MaxContent), *buf); err != nil {
		return fmt.Errorf("content %s: %w", c.CID, err)
	}
	// Bytes behind the end of the compressed data are the sender's nonsense, but the next content stands behind them.
	_, err := io.Copy(io.Discard, wire)
	return err
}

// errNoBytes: a submission names content whose bytes were not given.
var errNoBytes = errors.New("announced content has no bytes")

// send writes content and reads the reply. A node that refuses doesn't wait for the content, nor does it take it: what it
// says ends the writing, and counts for more than that it hung up.
func send(s io.ReadWriter, wires [][]byte) (*SubmitReply, error) {
	if len(wires) == 0 {
		return Receive[SubmitReply](s, MaxMessage)
	}
	type answer struct {
		reply *SubmitReply
		err   error
	}
	got := make(chan answer, 1)
	go func() {
		reply, err := Receive[SubmitReply](s, MaxMessage)
		if d, ok := s.(interface{ SetWriteDeadline(time.Time) error }); ok && err != nil {
			_ = d.SetWriteDeadline(time.Unix(1, 0))
		}
		got <- answer{reply, err}
	}()
	var failed error
	for _, wire := range wires {
		if _, failed = s.Write(wire); failed != nil {
			break
		}
	}
	a := <-got
	var refusal *Refusal
	if failed != nil && !errors.As(a.err, &refusal) {
		return nil, failed
	}
	return a.reply, a.err
}

// Submit writes a submission with its content and reads the reply.
func Submit(s io.ReadWriter, envelope []byte, contents map[capsule.CID][]byte, order []capsule.CID) (*SubmitReply, error) {
	req := SubmitRequest{V: Version, Envelope: envelope}
	var wires [][]byte
	for _, id := range order {
		b, ok := contents[id]
		if !ok {
			return nil, fmt.Errorf("submit: %w: %s", errNoBytes, id)
		}
		c, wire, err := Pack(id, b)
		if err != nil {
			return nil, fmt.Errorf("submit: %w", err)
		}
		req.Contents = append(req.Contents, c)
		wires = append(wires, wire)
	}
	if err := Write(s, &req); err != nil {
		return nil, err
	}
	reply, err := send(s, wires)
	if err != nil {
		return nil, err
	}
	if (len(reply.Ack) == 0) == (len(reply.Missing) == 0) {
		return nil, fmt.Errorf("%w: a reply has an acknowledgement or missing content, this one both or neither", ErrMessage)
	}
	return reply, nil
}
