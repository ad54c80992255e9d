// Package wasmtest builds small modules for tests of host functions; it must never know what the functions do.
package wasmtest

import "github.com/kitwork/kwnode/vm/wasm"

// Func is a host function that a module imports and exports again, wrapped, under its name.
type Func struct {
	Module, Name string
	Type         wasm.FuncType
}

// Forwarder makes a module with one page of memory, exported as "memory", and for each import an exported function
// that calls it with its own parameters and returns what it returned.
func Forwarder(fs ...Func) []byte {
	var types, imports, funcs, exports, code [][]byte
	exports = append(exports, join(name("memory"), []byte{2, 0}))
	for i, f := range fs {
		types = append(types, join([]byte{0x60}, vals(f.Type.Params), vals(f.Type.Results)))
		imports = append(imports, join(name(f.Module), name(f.Name), []byte{0}, uleb(i)))
		funcs = append(funcs, uleb(i))
		exports = append(exports, join(name(f.Name), []byte{0}, uleb(len(fs)+i)))
		body := []byte{0} // no locals
		for p := range f.Type.Params {
			body = append(append(body, 0x20), uleb(p)...) // local.get
		}
		body = append(append(append(body, 0x10), uleb(i)...), 0x0b) // call, end
		code = append(code, join(uleb(len(body)), body))
	}
	return join([]byte("\x00asm\x01\x00\x00\x00"), section(1, types), section(2, imports), section(3, funcs),
		section(5, [][]byte{{0, 1}}), section(7, exports), section(10, code))
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
