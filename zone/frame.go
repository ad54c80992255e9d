package zone

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/kitwork/kwnode/capsule"
)

// writeFrame sends a structure with its length before it.
func writeFrame(w io.Writer, v any, limit int) error {
	b, err := capsule.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > limit {
		return fmt.Errorf("message of %d bytes exceeds %d", len(b), limit)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(b)), uint32(len(b))), b...))
	return err
}

// readFrame receives what writeFrame sent. Memory grows with what arrives, not with what the length claims.
func readFrame(r io.Reader, v any, limit int) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > limit {
		return fmt.Errorf("message of %d bytes exceeds %d", n, limit)
	}
	const step = 64 << 10
	var b []byte
	for len(b) < n {
		k := min(step, n-len(b))
		b = append(b, make([]byte, k)...)
		if _, err := io.ReadFull(r, b[len(b)-k:]); err != nil {
			return err
		}
	}
	return capsule.Unmarshal(b, v)
}
