package machine

import (
	"encoding/binary"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

// TestMemoIsBounded: commands that are prepared and never applied go, and one that comes again and again stays until it is
// taken.
func TestMemoIsBounded(t *testing.T) {
	m := newMemo()
	const size = 64 << 10
	put := func(i uint32) capsule.Hash {
		h := capsule.Sum(binary.BigEndian.AppendUint32(nil, i))
		m.put(&prepared{hash: h, size: size})
		return h
	}
	for i := range uint32(10 * memoBytes / size) {
		h := put(i)
		if m.look(h) == nil {
			t.Fatalf("command %d is not found again", i)
		}
		if held := m.kept.Len() * size; held > 2*memoBytes {
			t.Fatalf("%d bytes of commands are held, at most %d", held, 2*memoBytes)
		}
	}
	h := put(1 << 20)
	if m.take(h) == nil || m.take(h) != nil {
		t.Fatal("a command is taken once")
	}
}
