package vm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// based is a program that has run on from a base, and its continuation against that.
func based(t *testing.T) (s *Store, base *Base, src Sources, frozen []byte) {
	t.Helper()
	p := programs(t)[0]
	s = p.boot(t)
	t.Cleanup(func() { s.Close() })
	if _, err := s.Run(context.Background(), 500); err != nil {
		t.Fatal(err)
	}
	base, err := s.NewBase()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(context.Background(), 2000); err != nil {
		t.Fatal(err)
	}
	if frozen, err = s.Freeze(FreezeOptions{Base: base}); err != nil {
		t.Fatal(err)
	}
	src = sourcesOf(p.mods...)
	src.Base = func([32]byte) (*Base, error) { return base, nil }
	return s, base, src, frozen
}

// TestDictionary reads a continuation as CONTINUATION.md describes it, with a decoder of the test's own.
func TestDictionary(t *testing.T) {
	s, base, src, frozen := based(t)
	size, n := binary.Uvarint(frozen[4+1+1+32:])
	twin, err := base.NewStore(testConfig, src)
	if err != nil {
		t.Fatal(err)
	}
	defer twin.Close()
	self, err := twin.Checkpoint(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	dict := self.body[:min(len(self.body), 65536)]
	dec, err := zstd.NewReader(nil, zstd.WithDecoderDictRaw(0, dict))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	body, err := dec.DecodeAll(frozen[4+1+1+32+n:], nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Checkpoint(base, nil)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(body)) != size || !bytes.Equal(body, want.body) {
		t.Errorf("the frame holds %d bytes, want %d that are the body", len(body), len(want.body))
	}
}

// TestDictionaryStaysWithItsBase: no frame reads what another base's coder knows, however often that was used.
func TestDictionaryStaysWithItsBase(t *testing.T) {
	s, base, src, frozen := based(t)
	for range 4 {
		back, _, err := Thaw(frozen, testConfig, src)
		if err != nil {
			t.Fatal(err)
		}
		back.Close()
	}
	c, err := s.Checkpoint(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	whole := append([]byte(contMagic), contVersion, againstModule)
	whole = binary.AppendUvarint(whole, uint64(len(c.body)))
	honest := plain.encode(c.body, bytes.Clone(whole))
	if back, _, err := Thaw(honest, testConfig, src); err != nil {
		t.Fatal(err)
	} else {
		back.Close()
	}
	var refused *ThawError
	if _, _, err := Thaw(base.codec.encode(c.body, whole), testConfig, src); !errors.As(err, &refused) {
		t.Errorf("a frame without a base was read with the dictionary of one: %v", err)
	}
	src.Base = func([32]byte) (*Base, error) { return nil, nil }
	if _, _, err := Thaw(frozen, testConfig, src); !errors.As(err, &refused) {
		t.Errorf("thawed against no base: %v", err)
	}
	old := bytes.Clone(frozen)
	old[len(contMagic)] = 1
	if _, _, err := Thaw(old, testConfig, src); !errors.As(err, &refused) {
		t.Errorf("another version was read: %v", err)
	}
}

// sparse is a module of one memory of 4,096 pages with single bytes of data at places so far apart that nothing but their
// number bounds what an image of them would take.
func sparse(segments int) []byte {
	section := func(id byte, body []byte) []byte {
		return append(binary.AppendUvarint([]byte{id}, uint64(len(body))), body...)
	}
	data := binary.AppendUvarint(nil, uint64(segments))
	for i := range segments {
		data = append(data, 0, 0x41)
		addr := int64(i) * (250 << 20) / int64(segments)
		for ; addr >= 64; addr >>= 7 {
			data = append(data, byte(addr)|0x80)
		}
		data = append(data, byte(addr), 0x0b, 1, byte(i)|1)
	}
	b := append([]byte("\x00asm\x01\x00\x00\x00"), section(5, []byte{1, 0, 0x80, 0x20})...)
	return append(b, section(11, data)...)
}

// TestSparseDataHasNoImage: an image belongs to no budget, so it mustn't be large where the module is small.
func TestSparseDataHasNoImage(t *testing.T) {
	big := Config{Limits: Limits{MemoryPages: 4096}}
	m, err := Decode(sparse(2000))
	if err != nil {
		t.Fatal(err)
	}
	if img, err := m.initialImage(); img != nil || err != nil {
		t.Fatalf("an image of %d bytes for a module of %d (%v)", len(img.view), len(m.w.Bytes), err)
	}
	s := NewStore(big)
	defer s.Close()
	inst, err := s.Instantiate(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := inst.Memory().Bytes()[1000*(250<<20)/2000]; got != 1000&0xff|1 {
		t.Errorf("a segment holds %d", got)
	}
	want, err := s.StateHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.Freeze(FreezeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	back, _, err := Thaw(b, big, sourcesOf(m))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if got, err := back.StateHash(nil); got != want || err != nil {
		t.Errorf("hash %x, want %x (%v)", got, want, err)
	}
}
