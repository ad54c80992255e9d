// Package vm runs WebAssembly 2.0 programs that are paid for by the instruction and can be frozen, shipped as bytes and
// continued elsewhere; it must never know of networks, zones, signatures or the machine's clock, and no program's
// behaviour may depend on the machine it runs on.
//
// A [Module] is decoded code, immutable and shared. A [Store] is everything that runs and stops together: the instances
// linked by imports, one stack of frames, one gas account. The life of a program is
//
//	m, err := vm.Decode(wasm)
//	s := vm.NewStore(vm.Config{})
//	defer s.Close()
//	inst, err := s.Instantiate(m, nil)
//	err = s.Start(inst, "main", vm.I32(1))
//	stop, err := s.Run(ctx, 1_000_000)
//
// where Run returns for a [Stop.Reason]: the call is done, it trapped, its gas ran out, a host function wants an answer
// that isn't there yet, or somebody asked it to stop. After each of them but a trap, execution can go on, here by Run or
// Resume, or anywhere by Freeze and Thaw.
//
// A Store belongs to one goroutine at a time. Only [Store.Interrupt] may be called from another.
package vm
