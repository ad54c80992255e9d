package code

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/kitwork/kwnode/vm/wasm"
)

// TestBranchesStaySmall: a branch that carries a thousand values is a few words, so that no small module becomes a large
// one by being lowered.
func TestBranchesStaySmall(t *testing.T) {
	uleb := func(n int) []byte { return binary.AppendUvarint(nil, uint64(n)) }
	section := func(id byte, content ...[]byte) []byte {
		b := bytes.Join(content, nil)
		return append(append([]byte{id}, uleb(len(b))...), b...)
	}
	const n = 7
	thousand := append(append([]byte{0x60, 0}, uleb(1000)...), bytes.Repeat([]byte{0x7e}, 1000)...)
	// block i32.const 0 ... call 0, br 0 end ..., each of which moves all values down by the constant's slot.
	body := append([]byte{0}, bytes.Repeat([]byte{0x02, 0, 0x41, 0}, n)...)
	body = append(body, 0x10, 0)
	body = append(body, bytes.Repeat([]byte{0x0c, 0, 0x0b}, n)...)
	body = append(body, 0x0b)
	b := bytes.Join([][]byte{[]byte("\x00asm\x01\x00\x00\x00"), section(1, []byte{1}, thousand), section(3, []byte{1, 0}),
		section(10, []byte{1}, uleb(len(body)), body)}, nil)
	m, err := wasm.Decode(b, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Lower(m, 0, keyOf)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Ins) > 20*n {
		t.Errorf("%d branches became %d words", n, len(f.Ins))
	}
}
