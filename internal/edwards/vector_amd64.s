#include "textflag.h"

// A field element is five limbs of 51 bits; a register holds one limb of four elements. VPMADD52 multiplies the low 52 bits
// of two lanes and adds the low or the high half of the product: every limb that is multiplied must be below 2^52.

DATA mask51<>+0(SB)/8, $0x7ffffffffffff
GLOBL mask51<>(SB), RODATA|NOPTR, $8

DATA nineteen<>+0(SB)/8, $19
GLOBL nineteen<>(SB), RODATA|NOPTR, $8

// The limbs of 2p, the lowest and the other four: what is subtracted is less, limb by limb.
DATA twiceP<>+0(SB)/8, $0xfffffffffffda
DATA twiceP<>+8(SB)/8, $0xffffffffffffe
GLOBL twiceP<>(SB), RODATA|NOPTR, $16

// The lowest limbs of (0, 0, 0, 2).
DATA lastTwo<>+0(SB)/8, $0
DATA lastTwo<>+8(SB)/8, $0
DATA lastTwo<>+16(SB)/8, $0
DATA lastTwo<>+24(SB)/8, $2
GLOBL lastTwo<>(SB), RODATA|NOPTR, $32

// Registers: Y0–Y4 and Y5–Y9 are the limbs of two factors, Y10–Y18 the sums of low halves of weight 0 to 8, Y19–Y27 those of
// high halves of weight 1 to 9. Y28 is 51 ones, Y29 and Y30 are 2p. Masks: K1 lanes 0–2, K2 lane 0, K3 lanes 0 and 1, K4
// lanes 0 and 2, K5 lane 2.

// ROW adds x times the second factor; lo and hi are the sums for the factor's limbs in order.
#define ROW(x, l0, l1, l2, l3, l4, h0, h1, h2, h3, h4) \
	VPMADD52LUQ Y5, x, l0; \
	VPMADD52LUQ Y6, x, l1; \
	VPMADD52LUQ Y7, x, l2; \
	VPMADD52LUQ Y8, x, l3; \
	VPMADD52LUQ Y9, x, l4; \
	VPMADD52HUQ Y5, x, h0; \
	VPMADD52HUQ Y6, x, h1; \
	VPMADD52HUQ Y7, x, h2; \
	VPMADD52HUQ Y8, x, h3; \
	VPMADD52HUQ Y9, x, h4

// TWICE adds a high half, which weighs 2^52, to the sum of its limb, which weighs 2^51.
#define TWICE(h, l) \
	VPADDQ h, l, l; \
	VPADDQ h, l, l

// CARRY moves what is above 51 bits of each limb to the next, and from the last 19 times to the first: limbs below 2^61
// become less than 2^51 + 2^15.
#define CARRY(a0, a1, a2, a3, a4, t0, t1, t2, t3, t4) \
	VPSRLQ $51, a0, t0; \
	VPSRLQ $51, a1, t1; \
	VPSRLQ $51, a2, t2; \
	VPSRLQ $51, a3, t3; \
	VPSRLQ $51, a4, t4; \
	VPMULLQ.BCST nineteen<>(SB), t4, t4; \
	VPANDQ Y28, a0, a0; \
	VPANDQ Y28, a1, a1; \
	VPANDQ Y28, a2, a2; \
	VPANDQ Y28, a3, a3; \
	VPANDQ Y28, a4, a4; \
	VPADDQ t0, a1, a1; \
	VPADDQ t1, a2, a2; \
	VPADDQ t2, a3, a3; \
	VPADDQ t3, a4, a4; \
	VPADDQ t4, a0, a0

#define ZERO(y) VPXORQ y, y, y

// MULTIPLY leaves Y0–Y4 times Y5–Y9 in Y0–Y4. No sum comes near 2^61: at most 1 + 19·14 halves of 52 bits.
#define MULTIPLY \
	ZERO(Y10); ZERO(Y11); ZERO(Y12); ZERO(Y13); ZERO(Y14); ZERO(Y15); ZERO(Y16); ZERO(Y17); ZERO(Y18); \
	ZERO(Y19); ZERO(Y20); ZERO(Y21); ZERO(Y22); ZERO(Y23); ZERO(Y24); ZERO(Y25); ZERO(Y26); ZERO(Y27); \
	ROW(Y0, Y10, Y11, Y12, Y13, Y14, Y19, Y20, Y21, Y22, Y23); \
	ROW(Y1, Y11, Y12, Y13, Y14, Y15, Y20, Y21, Y22, Y23, Y24); \
	ROW(Y2, Y12, Y13, Y14, Y15, Y16, Y21, Y22, Y23, Y24, Y25); \
	ROW(Y3, Y13, Y14, Y15, Y16, Y17, Y22, Y23, Y24, Y25, Y26); \
	ROW(Y4, Y14, Y15, Y16, Y17, Y18, Y23, Y24, Y25, Y26, Y27); \
	TWICE(Y19, Y11); \
	TWICE(Y20, Y12); \
	TWICE(Y21, Y13); \
	TWICE(Y22, Y14); \
	TWICE(Y23, Y15); \
	TWICE(Y24, Y16); \
	TWICE(Y25, Y17); \
	TWICE(Y26, Y18); \
	VPADDQ Y27, Y27, Y27; \
	VPMULLQ.BCST nineteen<>(SB), Y15, Y15; \
	VPMULLQ.BCST nineteen<>(SB), Y16, Y16; \
	VPMULLQ.BCST nineteen<>(SB), Y17, Y17; \
	VPMULLQ.BCST nineteen<>(SB), Y18, Y18; \
	VPMULLQ.BCST nineteen<>(SB), Y27, Y27; \
	VPADDQ Y15, Y10, Y0; \
	VPADDQ Y16, Y11, Y1; \
	VPADDQ Y17, Y12, Y2; \
	VPADDQ Y18, Y13, Y3; \
	VPADDQ Y27, Y14, Y4; \
	CARRY(Y0, Y1, Y2, Y3, Y4, Y19, Y20, Y21, Y22, Y23)

// MIX replaces the lanes (a, b, c, d) of a limb: (b−a, a+b, c, d) with K2 and K3.
#define MIX(y, t, bias, minus, plus) \
	VPSHUFD $0x4e, y, t; \
	VPSUBQ y, bias, minus, y; \
	VPADDQ t, y, plus, y

// SETUP makes the constants.
#define SETUP \
	VPBROADCASTQ mask51<>(SB), Y28; \
	VPBROADCASTQ twiceP<>(SB), Y29; \
	VPBROADCASTQ twiceP<>+8(SB), Y30; \
	MOVL $7, AX; \
	KMOVW AX, K1; \
	MOVL $1, AX; \
	KMOVW AX, K2; \
	MOVL $3, AX; \
	KMOVW AX, K3; \
	MOVL $5, AX; \
	KMOVW AX, K4; \
	MOVL $4, AX; \
	KMOVW AX, K5; \
	MOVL $15, AX; \
	KMOVW AX, K6

// LOAD loads the entry at DX, and (0, 0, 0, 2) beside it.
#define LOAD \
	VMOVDQU64.Z 0(DX), K1, Y5; \
	VMOVDQU64.Z 24(DX), K1, Y6; \
	VMOVDQU64.Z 48(DX), K1, Y7; \
	VMOVDQU64.Z 72(DX), K1, Y8; \
	VMOVDQU64.Z 96(DX), K1, Y9; \
	VPORQ lastTwo<>(SB), Y5, Y5

// NEGATE exchanges lanes 0 and 1 of a limb and negates lane 2.
#define NEGATE(y, bias) \
	VPERMQ $0xe1, y, y; \
	VPSUBQ y, bias, K5, y

// ADD adds the entry in Y5–Y9 to the point in Y0–Y4.
#define ADD \
	MIX(Y0, Y10, Y29, K2, K3); \
	MIX(Y1, Y11, Y30, K2, K3); \
	MIX(Y2, Y12, Y30, K2, K3); \
	MIX(Y3, Y13, Y30, K2, K3); \
	MIX(Y4, Y14, Y30, K2, K3); \
	CARRY(Y0, Y1, Y2, Y3, Y4, Y10, Y11, Y12, Y13, Y14); \
	MULTIPLY; \
	MIX(Y0, Y10, Y29, K4, K6); \
	MIX(Y1, Y11, Y30, K4, K6); \
	MIX(Y2, Y12, Y30, K4, K6); \
	MIX(Y3, Y13, Y30, K4, K6); \
	MIX(Y4, Y14, Y30, K4, K6); \
	CARRY(Y0, Y1, Y2, Y3, Y4, Y10, Y11, Y12, Y13, Y14); \
	VPERMQ $0xde, Y0, Y5; \
	VPERMQ $0xde, Y1, Y6; \
	VPERMQ $0xde, Y2, Y7; \
	VPERMQ $0xde, Y3, Y8; \
	VPERMQ $0xde, Y4, Y9; \
	VPERMQ $0x84, Y0, Y0; \
	VPERMQ $0x84, Y1, Y1; \
	VPERMQ $0x84, Y2, Y2; \
	VPERMQ $0x84, Y3, Y3; \
	VPERMQ $0x84, Y4, Y4; \
	MULTIPLY

// func addEntries(p *lanes, plus **entry, adds int, minus **entry, subtracts int)
TEXT ·addEntries(SB), NOSPLIT, $0-40
	MOVQ p+0(FP), DI
	MOVQ plus+8(FP), SI
	MOVQ adds+16(FP), CX
	SETUP
	VMOVDQU64 0(DI), Y0
	VMOVDQU64 32(DI), Y1
	VMOVDQU64 64(DI), Y2
	VMOVDQU64 96(DI), Y3
	VMOVDQU64 128(DI), Y4
	TESTQ CX, CX
	JE subtract

add:
	MOVQ (SI), DX
	LOAD
	ADD
	ADDQ $8, SI
	DECQ CX
	JNE add

subtract:
	MOVQ minus+24(FP), SI
	MOVQ subtracts+32(FP), CX
	TESTQ CX, CX
	JE done

next:
	MOVQ (SI), DX
	LOAD
	NEGATE(Y5, Y29)
	NEGATE(Y6, Y30)
	NEGATE(Y7, Y30)
	NEGATE(Y8, Y30)
	NEGATE(Y9, Y30)
	ADD
	ADDQ $8, SI
	DECQ CX
	JNE next

done:
	VMOVDQU64 Y0, 0(DI)
	VMOVDQU64 Y1, 32(DI)
	VMOVDQU64 Y2, 64(DI)
	VMOVDQU64 Y3, 96(DI)
	VMOVDQU64 Y4, 128(DI)
	VZEROUPPER
	RET
