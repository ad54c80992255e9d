package wasmgen

import "github.com/kitwork/kwnode/vm/wasm"

func uleb(b []byte, x uint64) []byte {
	for x >= 0x80 {
		b = append(b, byte(x)|0x80)
		x >>= 7
	}
	return append(b, byte(x))
}

func sleb(b []byte, x int64) []byte {
	for x < -64 || x > 63 {
		b = append(b, byte(x)|0x80)
		x >>= 7
	}
	return append(b, byte(x&0x7f))
}

func appendOp(b []byte, op wasm.Op) []byte {
	switch {
	case op >= wasm.PrefixSIMD:
		return uleb(append(b, 0xfd), uint64(op-wasm.PrefixSIMD))
	case op >= wasm.PrefixMisc:
		return uleb(append(b, 0xfc), uint64(op-wasm.PrefixMisc))
	}
	return append(b, byte(op))
}

func appendSized(b, content []byte) []byte {
	return append(uleb(b, uint64(len(content))), content...)
}

func appendTypes(b []byte, ts []wasm.ValType) []byte {
	b = uleb(b, uint64(len(ts)))
	for _, t := range ts {
		b = append(b, byte(t))
	}
	return b
}

func appendFuncType(b []byte, t wasm.FuncType) []byte {
	return appendTypes(appendTypes(append(b, 0x60), t.Params), t.Results)
}

// section appends a section of n entries.
func section(b []byte, id byte, n int, entries []byte) []byte {
	return appendSized(append(b, id), append(uleb(nil, uint64(n)), entries...))
}

// appendLocals appends the declaration of locals, one group for each run of a type.
func appendLocals(b []byte, locals []wasm.ValType) []byte {
	var groups []byte
	n := 0
	for i := 0; i < len(locals); n++ {
		j := i
		for j < len(locals) && locals[j] == locals[i] {
			j++
		}
		groups = append(uleb(groups, uint64(j-i)), byte(locals[i]))
		i = j
	}
	return append(uleb(b, uint64(n)), groups...)
}
