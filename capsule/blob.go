package capsule

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
)

// BlobError says that bytes are not the content that they were asked for as.
type BlobError struct {
	Want CID
	Got  Hash // of what came, zero if it was too long to finish
	Size int64
	Max  int64 // exceeded, or 0
}

func (e *BlobError) Error() string {
	if e.Max > 0 {
		return fmt.Sprintf("blob %s: more than %d bytes came; raise the limit or distrust the sender", e.Want, e.Max)
	}
	return fmt.Sprintf("blob %s: the %d bytes that came hash to %s; fetch it from somebody else", e.Want, e.Size, e.Got)
}

// BlobReader passes content through while it hashes it, with no buffer of its own. Only the io.EOF that
// it returns says that the content is the right one: whatever was read before is unproven.
type BlobReader struct {
	r    io.Reader
	h    hash.Hash
	want CID
	left int64
	size int64
	err  error // sticky: a reader that failed or ended stays so
}

// NewBlobReader checks what r delivers against want and refuses more than most bytes.
func NewBlobReader(r io.Reader, want CID, most int64) *BlobReader {
	return &BlobReader{r: r, h: sha256.New(), want: want, left: most}
}

// Read implements io.Reader. Where io.EOF was due but the content is wrong, the error is *BlobError.
func (b *BlobReader) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	// One byte more than allowed is enough to see that there is more.
	if int64(len(p))-1 > b.left {
		p = p[:b.left+1]
	}
	n, err := b.r.Read(p)
	if int64(n) > b.left {
		b.err = &BlobError{Want: b.want, Size: b.size + int64(n), Max: b.size + b.left}
		return 0, b.err
	}
	b.h.Write(p[:n])
	b.left -= int64(n)
	b.size += int64(n)
	if err == io.EOF {
		err = b.finish()
	}
	b.err = err
	return n, err
}

func (b *BlobReader) finish() error {
	var got Hash
	b.h.Sum(got[:0])
	if got != b.want.Digest || b.want.IsZero() {
		return &BlobError{Want: b.want, Got: got, Size: b.size}
	}
	return io.EOF
}
