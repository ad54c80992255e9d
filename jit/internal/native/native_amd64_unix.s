//go:build amd64 && (linux || darwin || freebsd)

#include "textflag.h"

// The old stack pointer and frame pointer are kept at the top of the other
// stack, so that the code may use every register. While the code runs, a
// signal handler finds a stack pointer and a program counter that aren't Go's:
// the runtime's handlers run on the signal stack, take neither for Go's own,
// and give up on tracing or preempting, which is what must happen.
//
// func enter(code uintptr, ctx unsafe.Pointer, stack uintptr)
TEXT ·enter(SB), NOSPLIT|NOFRAME, $0-24
	MOVQ code+0(FP), CX
	MOVQ ctx+8(FP), AX
	MOVQ stack+16(FP), DX
	MOVQ SP, -8(DX)
	MOVQ BP, -16(DX)
	LEAQ -16(DX), SP
	CALL CX
	MOVQ 0(SP), BP
	MOVQ 8(SP), SP
	RET

// func hasLZCNT() bool
TEXT ·hasLZCNT(SB), NOSPLIT, $0-1
	MOVL $0x80000001, AX
	XORL CX, CX
	CPUID
	SHRL $5, CX
	ANDL $1, CX
	MOVB CX, ret+0(FP)
	RET
