package capsule

// Header is what somebody who only passes a capsule on needs to know of it. Nothing in it is proven: it
// says what the bytes claim.
type Header struct {
	ID        ID
	Author    Key
	Home      ZoneID
	NotBefore uint64 // ms of the home zone
	Expires   uint64
	Size      int // of the envelope, bytes
}

// Fields of the manifest that Peek reads, by position. TestPeekFields keeps them true to Manifest.
const (
	fieldNotBefore = 17
	fieldExpires   = fieldNotBefore + 1
	manifestFields = 23
)

// The start of every capsule, which settles most garbage: an array of V, manifest, signature and chains;
// the version; the manifest's array; its version; a key; a zone. 0x58 0x20 is a byte string of 32.
const (
	envelopeHead = majorArray<<5 | 4
	manifestHead = majorArray<<5 | manifestFields

	manifestAt = 2
	versionAt  = 3
	authorAt   = 6
	homeAt     = authorAt + 32 + 2
	codeAt     = homeAt + 32
	codeField  = 3 // fields before it: version, author, home
)

const bytes32Head, bytes64Head = "\x58\x20", "\x58\x40"

// Peek is the first stage: size, versions, canonical form of every byte, period, home zone and ID, with
// no signature verified and nothing allocated but an error. now is the time in milliseconds. Errors are
// *Refusal.
func Peek(b []byte, now uint64) (Header, error) {
	h, r := peek(b, now)
	if r != nil {
		return Header{}, r
	}
	return h, nil
}

func peek(b []byte, now uint64) (h Header, r *Refusal) {
	if len(b) > MaxEnvelope {
		return h, refuse(CodeSize, "%d bytes, at most %d", len(b), MaxEnvelope)
	}
	if len(b) < codeAt || b[0] != envelopeHead || b[manifestAt] != manifestHead ||
		string(b[authorAt-2:authorAt]) != bytes32Head || string(b[homeAt-2:homeAt]) != bytes32Head {
		return h, refuse(CodeEncoding, "the bytes do not start as a capsule does")
	}
	if b[1] != Version || b[versionAt] != Version {
		return h, refuse(CodeVersion, "envelope and manifest of other versions than %d", Version)
	}
	h.Size, h.Author, h.Home = len(b), Key(b[authorAt:homeAt-2]), ZoneID(b[homeAt:codeAt])
	off, fail := scanItems(b, codeAt, fieldNotBefore-codeField)
	if fail == nil {
		h.NotBefore, off, fail = peekTime(b, off)
	}
	if fail == nil {
		h.Expires, off, fail = peekTime(b, off)
	}
	if fail == nil {
		off, fail = scanItems(b, off, manifestFields-fieldExpires-1)
	}
	if fail != nil {
		return h, refuseEncoding("manifest", fail)
	}
	// Settle the period before the work that grows with the rest of the envelope.
	if r := checkPeriod(h.NotBefore, h.Expires, now); r != nil {
		return h, r
	}
	if r := peekTail(b, off); r != nil {
		return h, r
	}
	h.ID = ID(Sum(b[manifestAt:off]))
	return h, nil
}

func peekTime(b []byte, off int) (ms uint64, end int, fail *EncodingError) {
	major, ms, end := readHead(b, off)
	if end < 0 || major != majorUint {
		return 0, 0, &EncodingError{Offset: off, Reason: "a time is not an unsigned integer in its shortest form"}
	}
	return ms, end, nil
}

// peekTail checks the signature's form and the chains', which must be an array and end the envelope.
func peekTail(b []byte, off int) *Refusal {
	const size = 2 + 64
	if len(b)-off < size+1 || string(b[off:off+2]) != bytes64Head || b[off+size]>>5 != majorArray {
		return refuseEncoding("envelope", &EncodingError{Offset: off, Reason: "the manifest is not followed by a signature and chains"})
	}
	if fail := scan(b[off+size:]); fail != nil {
		return refuseEncoding("chains", &EncodingError{Offset: fail.Offset + off + size, Reason: fail.Reason})
	}
	return nil
}
