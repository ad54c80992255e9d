#include "textflag.h"

// The schedule of AES-256: X1 and X3 are the two last round keys.

// EVEN makes the next round key of an even number, into X1.
#define EVEN(rcon, at) \
	AESKEYGENASSIST $rcon, X3, X2 \
	PSHUFD $0xff, X2, X2 \
	MOVO X1, X4           \
	PSLLO $4, X4          \
	PXOR X4, X1           \
	PSLLO $4, X4          \
	PXOR X4, X1           \
	PSLLO $4, X4          \
	PXOR X4, X1           \
	PXOR X2, X1           \
	MOVOU X1, at(SP)

// ODD makes the next one of an odd number, into X3.
#define ODD(at) \
	AESKEYGENASSIST $0, X1, X2 \
	PSHUFD $0xaa, X2, X2 \
	MOVO X3, X4          \
	PSLLO $4, X4         \
	PXOR X4, X3          \
	PSLLO $4, X4         \
	PXOR X4, X3          \
	PSLLO $4, X4         \
	PXOR X4, X3          \
	PXOR X2, X3          \
	MOVOU X3, at(SP)

// START whitens the counter into a block, and counts.
#define START(x) \
	MOVO X9, x   \
	PXOR X8, x   \
	PADDQ X10, X9

#define ROUND(op, at) \
	MOVOU at(SP), X8 \
	op X8, X0        \
	op X8, X1        \
	op X8, X2        \
	op X8, X3        \
	op X8, X4        \
	op X8, X5        \
	op X8, X6        \
	op X8, X7

// SUM adds eight lanes, or their negatives −b = (b xor −1) − (−1).
#define SUM(x, at) \
	PXOR X11, x      \
	PSUBW X11, x     \
	MOVOU at(DI), X8 \
	PADDW X8, x      \
	MOVOU x, at(DI)

// func sumRow(lanes *[ltBytes / 8]uint64, seed *[32]byte, negative uint64)
TEXT ·sumRow(SB), NOSPLIT, $240-24
	MOVQ lanes+0(FP), DI
	MOVQ seed+8(FP), SI
	MOVOU (SI), X1
	MOVOU 16(SI), X3
	MOVOU X1, 0(SP)
	MOVOU X3, 16(SP)
	EVEN(0x01, 32)
	ODD(48)
	EVEN(0x02, 64)
	ODD(80)
	EVEN(0x04, 96)
	ODD(112)
	EVEN(0x08, 128)
	ODD(144)
	EVEN(0x10, 160)
	ODD(176)
	EVEN(0x20, 192)
	ODD(208)
	EVEN(0x40, 224)

	// X9 counts blocks in its last byte, as the 128 bits of a counter do that begins with 0; X10 is the step.
	PXOR X9, X9
	MOVQ $0x0100000000000000, AX
	MOVQ AX, X10
	PSLLO $8, X10
	MOVQ negative+16(FP), AX
	MOVQ AX, X11
	PUNPCKLQDQ X11, X11
	MOVQ $16, CX

eight:
	MOVOU 0(SP), X8
	START(X0)
	START(X1)
	START(X2)
	START(X3)
	START(X4)
	START(X5)
	START(X6)
	START(X7)
	ROUND(AESENC, 16)
	ROUND(AESENC, 32)
	ROUND(AESENC, 48)
	ROUND(AESENC, 64)
	ROUND(AESENC, 80)
	ROUND(AESENC, 96)
	ROUND(AESENC, 112)
	ROUND(AESENC, 128)
	ROUND(AESENC, 144)
	ROUND(AESENC, 160)
	ROUND(AESENC, 176)
	ROUND(AESENC, 192)
	ROUND(AESENC, 208)
	ROUND(AESENCLAST, 224)
	SUM(X0, 0)
	SUM(X1, 16)
	SUM(X2, 32)
	SUM(X3, 48)
	SUM(X4, 64)
	SUM(X5, 80)
	SUM(X6, 96)
	SUM(X7, 112)
	ADDQ $128, DI
	SUBQ $1, CX
	JNZ eight
	RET
