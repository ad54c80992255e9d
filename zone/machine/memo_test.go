package machine

import (
	"encoding/binary"
	"math"
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
		m.put(&prepared{hash: h, size: size}, place{index: 1})
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
	at := place{index: 1}
	if m.take(h, at) == nil || m.take(h, at) != nil {
		t.Fatal("a command is taken once")
	}
}

// TestMemoKeepsNothingForNobody: what Apply has passed, and what nobody proposes, isn't kept.
func TestMemoKeepsNothingForNobody(t *testing.T) {
	hash := func(i int) capsule.Hash { return capsule.Sum(binary.BigEndian.AppendUint32(nil, uint32(i))) }
	for i, c := range []struct {
		taken, put place
		refused    bool
		kept       bool
	}{
		{put: place{7, 3}, kept: true},
		{taken: place{7, 3}, put: place{7, 3}},
		{taken: place{7, 4}, put: place{7, 3}},
		{taken: place{8, 0}, put: place{7, 3}},
		{taken: place{7, 2}, put: place{7, 3}, kept: true},
		{taken: place{6, 9}, put: place{7, 3}, kept: true},
		{taken: place{7, 3}, put: place{index: math.MaxUint64}, kept: true},
		{put: place{7, 3}, refused: true},
	} {
		m := newMemo()
		m.take(hash(100), c.taken)
		p := &prepared{hash: hash(i), size: 1}
		if c.refused {
			p.refusal = refuse(CodeEncoding, "no command")
		}
		if m.passed(c.put) == c.kept && !c.refused {
			t.Errorf("%d: passed is %v", i, !c.kept)
		}
		m.put(p, c.put)
		if got := m.take(p.hash, place{index: 9}) != nil; got != c.kept {
			t.Errorf("%d: kept is %v, want %v", i, got, c.kept)
		}
	}
}

// TestLatePreparation: a command that is prepared when its entry has been applied leaves nothing behind.
func TestLatePreparation(t *testing.T) {
	w := founded(t, 1)
	cmd := must(NewAdmit(w.seal().Bytes()))
	w.apply(cmd)
	w.m.PrepareLogged(w.index, 0, cmd)
	if n := w.m.memo.kept.Len(); n != 0 {
		t.Fatalf("%d commands are kept, none will be asked for", n)
	}
	w.m.PrepareLogged(w.index+1, 0, cmd)
	if n := w.m.memo.kept.Len(); n != 1 {
		t.Fatalf("%d commands are kept, want the next entry's", n)
	}
}
