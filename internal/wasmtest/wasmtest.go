// Package wasmtest builds small modules for tests of host functions; it must never know what the functions do.
package wasmtest

import "github.com/kitwork/kwnode/vm/wasm"

// Func is a host function that a module imports and exports again, wrapped, under its name.
type Func struct {
	Module, Name string
	Type         wasm.FuncType
}

// Forwarder makes a module with pages of memory, exported as "memory", and for each import an exported function that
// calls it with its own parameters and returns what it returned. With repeat it calls it so often and returns nothing.
func Forwarder(pages, repeat int, fs ...Func) []byte {
	var types, imports, funcs, exports, code [][]byte
	exports = append(exports, join(name("memory"), []byte{2, 0}))
	for i, f := range fs {
		wrapper := f.Type
		if repeat > 0 {
			wrapper.Results = nil
		}
		types = append(types, funcType(f.Type), funcType(wrapper))
		imports = append(imports, join(name(f.Module), name(f.Name), []byte{0}, uleb(2*i)))
		funcs = append(funcs, uleb(2*i+1))
		exports = append(exports, join(name(f.Name), []byte{0}, uleb(len(fs)+i)))
		var call []byte
		for p := range f.Type.Params {
			call = join(call, []byte{0x20}, uleb(p)) // local.get
		}
		call = join(call, []byte{0x10}, uleb(i)) // call
		body := join([]byte{0}, call, []byte{0x0b})
		if repeat > 0 {
			body = loop(len(f.Type.Params), repeat, call, len(f.Type.Results))
		}
		code = append(code, join(uleb(len(body)), body))
	}
	return join([]byte("\x00asm\x01\x00\x00\x00"), section(1, types), section(2, imports), section(3, funcs),
		section(5, [][]byte{join([]byte{0}, uleb(pages))}), section(7, exports), section(10, code))
}

func funcType(t wasm.FuncType) []byte { return join([]byte{0x60}, vals(t.Params), vals(t.Results)) }

// loop is a body that does what call does n times, with the counter in the local behind the parameters.
func loop(counter, n int, call []byte, results int) []byte {
	for range results {
		call = append(call, 0x1a) // drop
	}
	c := uleb(counter)
	return join([]byte{1, 1, 0x7f}, []byte{0x41}, uleb(n), []byte{0x21}, c, // i32.const n, local.set
		[]byte{0x03, 0x40}, call, []byte{0x20}, c, []byte{0x41, 1, 0x6b, 0x22}, c, // loop, …, i32.const 1, i32.sub, local.tee
		[]byte{0x0d, 0, 0x0b, 0x0b}) // br_if 0, end, end
}

func section(id byte, items [][]byte) []byte {
	b := join(uleb(len(items)), join(items...))
	return join([]byte{id}, uleb(len(b)), b)
}

func vals(ts []wasm.ValType) []byte {
	b := uleb(len(ts))
	for _, t := range ts {
		b = append(b, byte(t))
	}
	return b
}

func name(s string) []byte { return join(uleb(len(s)), []byte(s)) }

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func uleb(n int) []byte {
	var b []byte
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}
