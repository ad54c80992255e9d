package capsule

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"testing/iotest"
)

func TestBlobReader(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	size := int64(len(content))
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"plain": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader,
		"data with EOF": iotest.DataErrReader, "half": iotest.HalfReader,
	} {
		for _, most := range []int64{size, size + 1, math.MaxInt64} {
			got, err := io.ReadAll(NewBlobReader(wrap(bytes.NewReader(content)), RawCID(content), most))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s, at most %d: %d bytes, %v", name, most, len(got), err)
			}
		}
		for _, most := range []int64{0, 1, size - 1} {
			got, err := io.ReadAll(NewBlobReader(wrap(bytes.NewReader(content)), RawCID(content), most))
			if e, ok := errors.AsType[*BlobError](err); !ok || e.Max != most || int64(len(got)) > most {
				t.Errorf("%s, at most %d: %d bytes, %v", name, most, len(got), err)
			}
		}
		for at := 0; at < len(content); at += 9973 {
			bad := bytes.Clone(content)
			bad[at] ^= 1
			if _, err := io.ReadAll(NewBlobReader(wrap(bytes.NewReader(bad)), RawCID(content), size)); !errors.As(err, new(*BlobError)) {
				t.Errorf("%s, byte %d changed: %v", name, at, err)
			}
		}
		if _, err := io.ReadAll(NewBlobReader(wrap(bytes.NewReader(content[1:])), RawCID(content), size)); !errors.As(err, new(*BlobError)) {
			t.Errorf("%s, too short: %v", name, err)
		}
	}
}

func TestBlobReaderEdges(t *testing.T) {
	if got, err := io.ReadAll(NewBlobReader(bytes.NewReader(nil), RawCID(nil), 0)); err != nil || len(got) != 0 {
		t.Errorf("the empty blob: %v", err)
	}
	if _, err := io.ReadAll(NewBlobReader(bytes.NewReader(nil), CID{}, 0)); !errors.As(err, new(*BlobError)) {
		t.Errorf("content of nothing: %v", err)
	}
	broken := NewBlobReader(iotest.ErrReader(io.ErrUnexpectedEOF), RawCID(nil), 1)
	for range 2 {
		if _, err := broken.Read(make([]byte, 1)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a broken source: %v", err)
		}
	}
	wrong := NewBlobReader(bytes.NewReader([]byte("x")), RawCID(nil), 10)
	_, first := io.ReadAll(wrong)
	if _, again := wrong.Read(make([]byte, 1)); first == nil || again != first {
		t.Errorf("the verdict changed from %v to %v", first, again)
	}
}

// TestBlobReaderMemory: 64 MiB pass through a few kilobytes.
func TestBlobReaderMemory(t *testing.T) {
	const size = 64 << 20
	src := func() io.Reader { return io.LimitReader(zeros{}, size) }
	before := allocated()
	n, err := io.Copy(io.Discard, NewBlobReader(src(), RawCID(nil), size))
	if n != size || !errors.As(err, new(*BlobError)) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if cost := allocated() - before; cost > 128<<10 {
		t.Errorf("allocated %d bytes", cost)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
