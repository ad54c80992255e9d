package wasm

// TypesAt returns the types of the locals (parameters first) and of the operands before the
// instruction at offset off of function fn. ok is false if off is not an instruction of fn, or if no
// execution can reach it. It validates the function again up to off.
func (m *Module) TypesAt(fn, off uint32) (locals, operands []ValType, ok bool) { return nil, nil, false }
