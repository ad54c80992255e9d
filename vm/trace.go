package vm

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/kitwork/kwnode/internal/code"
)

// maxTrace bounds the frames of a trap's trace.
const maxTrace = 64

// StackTrace lists the active calls, innermost first.
func (s *Store) StackTrace() []Frame {
	if s.state == stateIdle || s.state == stateClosed || s.attach() != nil {
		return nil
	}
	defer s.detach()
	frames, _ := s.trace(1 << 30)
	return frames
}

// trace describes at most limit frames and counts all.
func (s *Store) trace(limit int) (frames []Frame, depth int) {
	if s.state == stateIdle {
		return nil, 0
	}
	if s.state == stateEntry || s.state == statePending {
		h := s.hosts[uint32(s.host.ref)]
		frames = append(frames, Frame{Instance: HostInstance, Func: uint32(s.host.ref), Name: h.module + "." + h.name})
		depth++
	}
	if s.m.cur == 0 {
		return frames, depth
	}
	s.walk(func(f frame) bool {
		depth++
		if len(frames) < limit {
			mod := s.instances[f.ref>>32-1].mod
			off, ok := f.fn.CallOff(f.pc)
			if !ok {
				off, ok = f.fn.BlockOff(f.pc)
			}
			if !ok { // a trap in the middle of a block
				off, _ = code.OffsetOf(mod.w, f.fn.Index, mod.sigKey, f.pc)
			}
			frames = append(frames, Frame{Instance: int(f.ref>>32) - 1, Func: f.fn.Index, Offset: off,
				Name: mod.w.FuncName(f.fn.Index)})
		}
		return true
	})
	return frames, depth
}

// Random fills p from the store's deterministic stream: SHA-256 over the seed and a counter, 32 bytes at a time. The
// position is part of the state.
func (s *Store) Random(p []byte) {
	var in [40]byte
	copy(in[:], s.seed[:])
	for len(p) > 0 {
		binary.LittleEndian.PutUint64(in[32:], s.drawn/32)
		block := sha256.Sum256(in[:])
		n := copy(p, block[s.drawn%32:])
		p = p[n:]
		s.drawn += uint64(n)
	}
}
