package wasm

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

func repeat(n int, piece ...byte) []byte { return bytes.Repeat(piece, n) }

func rep(n int, item []byte) []byte {
	return append(uleb(uint32(n)), bytes.Repeat(item, n)...)
}

func TestLimits(t *testing.T) {
	wide := func(n int) []byte {
		return module(section(1, vec(funcType(strings.Repeat("i", n), ""))))
	}
	mustDecode(t, wide(MaxArity), 0)
	wantError(t, wide(MaxArity+1), 0, Limit, "1001 parameters")

	mustDecode(t, oneFunc("", "", [][]byte{group1(MaxLocals-1, I32), group1(1, I64)}), 0)
	wantError(t, oneFunc("i", "", [][]byte{group1(MaxLocals, I32)}), 0, Limit, "50001 locals")
	wantError(t, oneFunc("", "", [][]byte{group1(100_000, I32)}), 0, Limit, "100000 locals")
	wantError(t, oneFunc("", "", [][]byte{group1(40_000, V128)}), 0, Limit, "80000 slots")

	operands := func(n int) []byte {
		return append(repeat(n, byte(OpI32Const), 0), repeat(n, byte(OpDrop))...)
	}
	mustDecode(t, oneFunc("", "", [][]byte{group1(50_000, I32)}, operands(MaxFrameSlots-50_000)...), 0)
	wantError(t, oneFunc("", "", [][]byte{group1(50_000, I32)}, operands(MaxFrameSlots-50_000+1)...), 0, Limit, "more than 65535 slots")

	nested := func(n int) []byte {
		return append(repeat(n, byte(OpBlock), 0x40), repeat(n, byte(OpEnd))...)
	}
	mustDecode(t, oneFunc("", "", nil, nested(MaxNesting-1)...), 0)
	wantError(t, oneFunc("", "", nil, nested(MaxNesting)...), 0, Limit, "blocks inside one another")

	functions := func(n int) []byte {
		return module(section(1, vec(funcType("", ""))), section(3, rep(n, []byte{0})), section(10, rep(n, code(nil))))
	}
	if m := mustDecode(t, functions(MaxEntries), 0); len(m.Code) != MaxEntries {
		t.Errorf("%d functions", len(m.Code))
	}
	wantError(t, functions(MaxEntries+1), 0, Limit, "100001 functions")

	segments := func(n int) []byte {
		return module(section(5, vec([]byte{0, 1})), section(11, rep(n, []byte{0, byte(OpI32Const), 0, byte(OpEnd), 1, 'x'})))
	}
	if m := mustDecode(t, segments(MaxEntries), 0); len(m.Datas) != MaxEntries || string(m.Bytes[m.Datas[9].Off:][:m.Datas[9].Len]) != "x" {
		t.Errorf("%d data segments", len(m.Datas))
	}
	wantError(t, segments(MaxEntries+1), 0, Limit, "100001 data segments")

	wantError(t, make([]byte, MaxModuleBytes+1), 0, Limit, "module of")
}

// TestSegmentsAreNotObjects: a module with very many data segments allocates a handful of slices.
func TestSegmentsAreNotObjects(t *testing.T) {
	b := module(section(5, vec([]byte{0, 1})), section(11, rep(36_776, []byte{0, byte(OpI32Const), 0, byte(OpEnd), 1, 'x'})))
	if n := testing.AllocsPerRun(3, func() { mustDecode(t, b, 0) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

// TestLengthsAreNotTrusted: a count without the bytes to back it allocates nothing for it.
func TestLengthsAreNotTrusted(t *testing.T) {
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0x0f}
	for _, id := range []byte{1, 2, 3, 4, 5, 6, 7, 9, 10, 11} {
		b := module(section(id, huge))
		if grown := allocated(func() { wantError(t, b, 0, Malformed, "") }); grown > 1<<20 {
			t.Errorf("section %d: %d bytes allocated", id, grown)
		}
	}
}

func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// hostileShapes are modules that grow with n and would take longer than linear time or memory in a careless decoder.
var hostileShapes = map[string]func(n int) []byte{
	"nested blocks": func(n int) []byte {
		n = min(n, MaxNesting-1)
		return oneFunc("", "", nil, append(repeat(n, byte(OpBlock), 0x40), repeat(n, byte(OpEnd))...)...)
	},
	"one br_table": func(n int) []byte {
		b := append([]byte{byte(OpI32Const), 0, byte(OpBrTable)}, uleb(uint32(n))...)
		return oneFunc("", "", nil, append(b, make([]byte, n+1)...)...)
	},
	"br_table to every level": func(n int) []byte {
		const depth = 100
		b := repeat(depth, byte(OpBlock), 0x40)
		for range n / depth {
			b = append(b, byte(OpI32Const), 0, byte(OpBrTable), depth-1)
			for i := range byte(depth) {
				b = append(b, i)
			}
		}
		return oneFunc("", "", nil, append(b, repeat(depth, byte(OpEnd))...)...)
	},
	"br_table with 1000 results": func(n int) []byte {
		ts := funcType("", strings.Repeat("I", MaxArity))
		var b []byte
		for range MaxArity {
			b = append(b, byte(OpI64Const), 0)
		}
		b = append(b, byte(OpI32Const), 0, byte(OpBrTable))
		b = append(b, uleb(uint32(n))...)
		b = append(b, make([]byte, n+1)...)
		return module(section(1, vec(ts)), section(3, vec(uleb(0))), section(10, vec(code(nil, b...))))
	},
	"last of many locals": func(n int) []byte {
		var groups [][]byte
		for i := range min(n, MaxLocals) {
			groups = append(groups, group1(1, [...]ValType{I32, I64}[i%2]))
		}
		get := append([]byte{byte(OpLocalGet)}, uleb(uint32(len(groups)-1))...)
		return oneFunc("", "", groups, repeat(n, append(get, byte(OpDrop))...)...)
	},
	"small functions with many locals": func(n int) []byte {
		n = min(n/4, MaxEntries)
		return module(section(1, vec(funcType("", ""))), section(3, rep(n, []byte{0})), section(10, rep(n, code([][]byte{group1(50_000, I32)}))))
	},
	"types": func(n int) []byte {
		return module(section(1, rep(min(n, MaxEntries), funcType("v", ""))))
	},
	"exports": func(n int) []byte {
		var items [][]byte
		for i := range min(n, MaxEntries) {
			items = append(items, append(sized(fmt.Appendf(nil, "%05d", i)), byte(ExternMem), 0))
		}
		return module(section(5, vec([]byte{0, 1})), section(7, vec(items...)))
	},
	"empty local groups": func(n int) []byte {
		return oneFunc("", "", slices.Repeat([][]byte{group1(0, I32)}, n))
	},
	"unreachable selects": func(n int) []byte {
		b := append([]byte{byte(OpUnreachable)}, repeat(n, byte(OpSelect))...)
		return oneFunc("", "", nil, append(b, byte(OpDrop))...)
	},
}

// TestHostileShapesAreLinear compares one size with a size eight times as large. Quadratic work would
// take 64 times as long; the bound of 30 leaves room for a busy machine, and the best of several runs counts.
func TestHostileShapesAreLinear(t *testing.T) {
	const small, large = 2_000, 16_000 // small enough that a run fits between two turns of other processes
	for name, shape := range hostileShapes {
		t.Run(name, func(t *testing.T) {
			a, b := shape(small), shape(large)
			if grown := allocated(func() { mustDecode(t, b, 0) }); grown > uint64(40*len(b)+1<<20) {
				t.Errorf("%d bytes allocated for a module of %d", grown, len(b))
			}
			for try := 0; ; try++ {
				ta, tb := fastest(func() { mustDecode(t, a, 0) }), fastest(func() { mustDecode(t, b, 0) })
				if tb < 30*ta+time.Millisecond {
					break
				}
				if try == 5 {
					t.Fatalf("%v for %d bytes, %v for %d bytes", ta, len(a), tb, len(b))
				}
			}
		})
	}
}

func fastest(fn func()) time.Duration {
	best := time.Hour
	for range 5 {
		start := time.Now()
		fn()
		best = min(best, time.Since(start))
	}
	return best
}

// TestEveryPrefix: no prefix of a valid module brings the decoder down, and what it accepts can be read.
func TestEveryPrefix(t *testing.T) {
	specModules(t, func(_ string, _ specCommand, b []byte) {
		if len(b) > 3000 {
			return
		}
		for n := range b {
			if m, err := Decode(b[:n:n], 0); err == nil {
				checkModule(t, m)
			}
		}
	})
}

// TestShortcutsAgree decodes valid, invalid and damaged modules with and without the shortcuts of run.
func TestShortcutsAgree(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	shortcuts := fastOps
	defer func() { fastOps = shortcuts }()
	compare := func(b []byte) {
		fastOps = shortcuts
		m, err := Decode(b, 0)
		fastOps = [256]fastOp{}
		slow, slowErr := Decode(b, 0)
		if (err == nil) != (slowErr == nil) || err != nil && err.Error() != slowErr.Error() {
			t.Fatalf("seed %d: %v with shortcuts, %v without: %x", seed, err, slowErr, b)
		}
		if err != nil {
			return
		}
		for i := range m.Code {
			if m.Code[i] != slow.Code[i] {
				t.Fatalf("seed %d: body %+v with shortcuts, %+v without: %x", seed, m.Code[i], slow.Code[i], b)
			}
		}
	}
	specModules(t, func(_ string, _ specCommand, b []byte) {
		if len(b) > 20_000 {
			return
		}
		compare(b)
		for range 4 {
			damaged := bytes.Clone(b)
			if len(b) > 8 {
				damaged[8+rng.IntN(len(b)-8)] = byte(rng.Uint32())
			}
			compare(damaged)
		}
	})
}

// TestManyResultsAreBounded: code that pushes a thousand values with every few bytes is refused, some of it is not.
func TestManyResultsAreBounded(t *testing.T) {
	nest := func(n int) []byte {
		code := bytes.Repeat([]byte{byte(OpBlock), 0}, n)
		code = append(code, byte(OpCall), 0)
		code = append(code, bytes.Repeat([]byte{byte(OpEnd)}, n)...)
		return oneFunc("", strings.Repeat("I", 1000), nil, code...)
	}
	mustDecode(t, nest(7), 0)
	wantError(t, nest(5000), 0, Limit, "too many for the size")
}

func FuzzDecode(f *testing.F) {
	for _, shape := range hostileShapes {
		f.Add(shape(100), uint32(0))
	}
	f.Add(oneFunc("iIv", "i", [][]byte{group1(3, F32)}, byte(OpLocalGet), 0, byte(OpBrIf), 0, byte(OpI32Const), 1), uint32(7))
	f.Fuzz(func(t *testing.T, b []byte, features uint32) {
		m, err := Decode(b, Features(features))
		if err != nil {
			return
		}
		checkModule(t, m)
		if err := Fprint(io.Discard, m); err != nil {
			t.Fatal(err)
		}
		for i := range m.Code {
			checkPoints(t, m, m.NumImportedFuncs+uint32(i))
		}
	})
}
