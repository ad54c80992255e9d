package amd64

import (
	"bufio"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testdata/amd64.txt holds one line a case, "assembly // hex", written by the
// GNU assembler from the assembly that the cases below spell out:
//
//	go test ./jit/internal/amd64 -run TestEncodings -update
//
// needs as and objdump. The default run needs only the file.
var update = flag.Bool("update", false, "assemble the cases again with GNU as")

type encoding struct {
	asm string // Intel syntax, as GNU as reads it
	got []byte
}

var gpr = map[Width][]string{
	1: {"al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil", "r8b", "r9b", "r10b", "r11b", "r12b", "r13b", "r14b", "r15b"},
	2: {"ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8w", "r9w", "r10w", "r11w", "r12w", "r13w", "r14w", "r15w"},
	4: {"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "r8d", "r9d", "r10d", "r11d", "r12d", "r13d", "r14d", "r15d"},
	8: {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"},
}

var ptr = map[Width]string{1: "byte ptr ", 2: "word ptr ", 4: "dword ptr ", 8: "qword ptr ", 16: "xmmword ptr "}

func (m Mem) asm(w Width) string {
	if m.Base == NoBase {
		return fmt.Sprintf("%s[%s*%d%+d]", ptr[w], gpr[8][m.Index], m.Scale, m.Disp)
	}
	s := ptr[w] + "[" + gpr[8][m.Base]
	if m.Scale != 0 {
		s += fmt.Sprintf("+%s*%d", gpr[8][m.Index], m.Scale)
	}
	if m.Disp != 0 {
		s += fmt.Sprintf("%+d", m.Disp)
	}
	return s + "]"
}

// mems covers each special case of ModRM and SIB: bases that mean something
// else, every scale, every size of displacement, extended registers.
var mems = []Mem{
	{Base: RAX}, {Base: RSP}, {Base: RBP}, {Base: R12}, {Base: R13},
	{Base: RDI, Disp: 8}, {Base: RSP, Disp: -128}, {Base: R12, Disp: 127}, {Base: RBP, Disp: 128},
	{Base: R15, Disp: -129}, {Base: RBX, Disp: 1<<31 - 1}, {Base: R8, Disp: -1 << 31},
	{Base: RAX, Index: RCX, Scale: 1}, {Base: R13, Index: RBP, Scale: 2}, {Base: RBP, Index: R12, Scale: 4},
	{Base: RSP, Index: R15, Scale: 8, Disp: 64}, {Base: R9, Index: R9, Scale: 1, Disp: 4096},
	{Base: NoBase, Index: RCX, Scale: 4, Disp: 1024}, {Base: NoBase, Index: R13, Scale: 8, Disp: -4},
}

var someRegs = []Reg{RAX, RBX, RSP, RBP, RSI, R8, R12, R15}
var someXmm = []Xmm{0, 3, 7, 8, 13, 15}

func cases() []encoding {
	var out []encoding
	add := func(got []byte, format string, args ...any) {
		out = append(out, encoding{fmt.Sprintf(format, args...), got})
	}
	gprCases(add)
	memCases(add)
	vecCases(add)
	return out
}

type adder func(got []byte, format string, args ...any)

func gprCases(add adder) {
	alu := []string{"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"}
	unary := map[Unary]string{NOT: "not", NEG: "neg", MUL: "mul", IMUL: "imul", DIV: "div", IDIV: "idiv"}
	shift := map[Shift]string{ROL: "rol", ROR: "ror", SHL: "shl", SHR: "shr", SAR: "sar"}
	conds := []string{"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"}
	for _, w := range []Width{4, 8} {
		g := gpr[w]
		for i, x := range someRegs {
			y := someRegs[(i*3+1)%len(someRegs)]
			for op, name := range alu {
				add(ALURR(nil, ALU(op), w, x, y), "%s %s, %s", name, g[x], g[y])
				if x != RAX { // as has a shorter form for the accumulator
					add(ALURI(nil, ALU(op), w, x, 1000), "%s %s, 1000", name, g[x])
				}
				add(ALURI(nil, ALU(op), w, x, -5), "%s %s, -5", name, g[x])
			}
			add(TESTRR(nil, w, x, y), "test %s, %s", g[x], g[y])
			if x != RAX {
				add(TESTRI(nil, w, x, 77), "test %s, 77", g[x])
			}
			add(MOVRR(nil, w, x, y), "mov %s, %s", g[x], g[y])
			add(IMULRR(nil, w, x, y), "imul %s, %s", g[x], g[y])
			add(IMULRI(nil, w, x, y, 7), "imul %s, %s, 7", g[x], g[y])
			add(IMULRI(nil, w, x, y, 70000), "imul %s, %s, 70000", g[x], g[y])
			for _, op := range []Unary{NOT, NEG, MUL, IMUL, DIV, IDIV} {
				add(UnaryR(nil, op, w, x), "%s %s", unary[op], g[x])
			}
			for _, op := range []Shift{ROL, ROR, SHL, SHR, SAR} {
				add(ShiftRCL(nil, op, w, x), "%s %s, cl", shift[op], g[x])
				add(ShiftRI(nil, op, w, x, 5), "%s %s, 5", shift[op], g[x])
			}
			for _, op := range []Shift{SHL, SHR, SAR} {
				add(ShiftX(nil, op, w, x, y, R9), "%sx %s, %s, %s", shift[op], g[x], g[y], g[R9])
			}
			add(LZCNT(nil, w, x, y), "lzcnt %s, %s", g[x], g[y])
			add(TZCNT(nil, w, x, y), "tzcnt %s, %s", g[x], g[y])
			add(POPCNT(nil, w, x, y), "popcnt %s, %s", g[x], g[y])
			for c, name := range conds {
				add(CMOVcc(nil, Cond(c), w, x, y), "cmov%s %s, %s", name, g[x], g[y])
			}
			for _, from := range []Width{1, 2} {
				add(ExtendRR(nil, true, from, w, x, y), "movsx %s, %s", g[x], gpr[from][y])
				add(ExtendRR(nil, false, from, 4, x, y), "movzx %s, %s", gpr[4][x], gpr[from][y])
			}
		}
	}
	for i, x := range someRegs {
		y := someRegs[(i*3+1)%len(someRegs)]
		for c, name := range conds {
			add(SETcc(nil, Cond(c), x), "set%s %s", name, gpr[1][x])
		}
		add(ExtendRR(nil, true, 4, 8, x, y), "movsxd %s, %s", gpr[8][x], gpr[4][y])
		add(MOVRI(nil, x, 5), "mov %s, 5", gpr[4][x])
		add(MOVRI(nil, x, 1<<32-1), "mov %s, 0xffffffff", gpr[4][x])
		add(MOVRI(nil, x, ^uint64(1)), "mov %s, -2", gpr[8][x])
		add(MOVRI(nil, x, 0x123456789abcdef0), "movabs %s, 0x123456789abcdef0", gpr[8][x])
		add(LEARIP(nil, x, 0x1000), "lea %s, [rip+0x1000]", gpr[8][x])
		add(PUSH(nil, x), "push %s", gpr[8][x])
		add(POP(nil, x), "pop %s", gpr[8][x])
		add(JMPR(nil, x), "jmp %s", gpr[8][x])
	}
	for c, name := range conds {
		add(Jcc(nil, Cond(c), 0x1000), ".byte 0x0f, 0x%x, 0, 0x10, 0, 0 # j%s", 0x80|c, name)
	}
	add(JMP(nil, -0x1000), ".byte 0xe9, 0, 0xf0, 0xff, 0xff # jmp")
	add(CALL(nil, 0x1000), ".byte 0xe8, 0, 0x10, 0, 0 # call")
	add(CQO(nil, 4), "cdq")
	add(CQO(nil, 8), "cqo")
	add(RET(nil), "ret")
	add(UD2(nil), "ud2")
	for n := 1; n <= 9; n++ {
		add(NOP(nil, n), ".nops %d", n)
	}
}

func memCases(add adder) {
	alu := []string{"add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"}
	for i, m := range mems {
		x := someRegs[i%len(someRegs)]
		for _, w := range []Width{4, 8} {
			g := gpr[w]
			op := ALU(i % len(alu))
			add(ALURM(nil, op, w, x, m), "%s %s, %s", alu[op], g[x], m.asm(w))
			add(ALUMR(nil, op, w, m, x), "%s %s, %s", alu[op], m.asm(w), g[x])
			add(ALUMI(nil, op, w, m, -3), "%s %s, -3", alu[op], m.asm(w))
			add(ALUMI(nil, op, w, m, 3000), "%s %s, 3000", alu[op], m.asm(w))
			add(MOVRM(nil, w, x, m), "mov %s, %s", g[x], m.asm(w))
			add(LEA(nil, w, x, m), "lea %s, %s", g[x], strings.TrimPrefix(m.asm(w), ptr[w]))
			add(IMULRM(nil, w, x, m), "imul %s, %s", g[x], m.asm(w))
			for _, from := range []Width{1, 2} {
				add(ExtendRM(nil, true, from, w, x, m), "movsx %s, %s", g[x], m.asm(from))
				add(ExtendRM(nil, false, from, 4, x, m), "movzx %s, %s", gpr[4][x], m.asm(from))
			}
		}
		add(ExtendRM(nil, true, 4, 8, x, m), "movsxd %s, %s", gpr[8][x], m.asm(4))
		add(ExtendRM(nil, false, 4, 8, x, m), "mov %s, %s", gpr[4][x], m.asm(4))
		for _, w := range []Width{1, 2, 4, 8} {
			if x != RAX || m.Scale != 0 || m.Base != RAX {
				add(MOVMR(nil, w, m, x), "mov %s, %s", m.asm(w), gpr[w][x])
			}
			add(MOVMI(nil, w, m, 17), "mov %s, 17", m.asm(w))
		}
		add(JMPM(nil, m), "jmp %s", m.asm(8))
		add(CALLM(nil, m), "call %s", m.asm(8))
		v := someXmm[i%len(someXmm)]
		add(VecRM(nil, VMOVUPS, v, m), "vmovups xmm%d, %s", v, m.asm(16))
		add(VecMR(nil, VMOVUPSst, m, v), "vmovups %s, xmm%d", m.asm(16), v)
		add(VecRM(nil, VMOVSS, v, m), "vmovss xmm%d, %s", v, m.asm(4))
		add(VecMR(nil, VMOVSSst, m, v), "vmovss %s, xmm%d", m.asm(4), v)
		add(VecRM(nil, VMOVSD, v, m), "vmovsd xmm%d, %s", v, m.asm(8))
		add(VecMR(nil, VMOVSDst, m, v), "vmovsd %s, xmm%d", m.asm(8), v)
		add(VecRRM(nil, VADDSD, v, 5, m), "vaddsd xmm%d, xmm5, %s", v, m.asm(8))
	}
	add(REPMOVSB(nil), "rep movsb")
	add(REPSTOSB(nil), "rep stosb")
}

// Every operation, by the function that takes it; TestEveryVecIsTested keeps
// the lists complete.
var (
	vecRRR = map[string]Vec{
		"vaddss": VADDSS, "vaddsd": VADDSD, "vaddps": VADDPS, "vaddpd": VADDPD,
		"vsubss": VSUBSS, "vsubsd": VSUBSD, "vsubps": VSUBPS, "vsubpd": VSUBPD,
		"vmulss": VMULSS, "vmulsd": VMULSD, "vmulps": VMULPS, "vmulpd": VMULPD,
		"vdivss": VDIVSS, "vdivsd": VDIVSD, "vdivps": VDIVPS, "vdivpd": VDIVPD,
		"vminss": VMINSS, "vminsd": VMINSD, "vminps": VMINPS, "vminpd": VMINPD,
		"vmaxss": VMAXSS, "vmaxsd": VMAXSD, "vmaxps": VMAXPS, "vmaxpd": VMAXPD,
		"vsqrtss": VSQRTSS, "vsqrtsd": VSQRTSD, "vandps": VANDPS, "vandnps": VANDNPS, "vorps": VORPS, "vxorps": VXORPS,
		"vcvtss2sd": VCVTSS2SD, "vcvtsd2ss": VCVTSD2SS, "vunpcklps": VUNPCKLPS, "vunpcklpd": VUNPCKLPD,
		"vpunpcklbw": VPUNPCKLBW, "vpunpcklwd": VPUNPCKLWD, "vpunpckldq": VPUNPCKLDQ, "vpunpcklqdq": VPUNPCKLQDQ,
		"vpunpckhbw": VPUNPCKHBW, "vpunpckhwd": VPUNPCKHWD, "vpunpckhdq": VPUNPCKHDQ, "vpunpckhqdq": VPUNPCKHQDQ,
		"vpacksswb": VPACKSSWB, "vpackuswb": VPACKUSWB, "vpackssdw": VPACKSSDW, "vpackusdw": VPACKUSDW,
		"vpcmpgtb": VPCMPGTB, "vpcmpgtw": VPCMPGTW, "vpcmpgtd": VPCMPGTD, "vpcmpgtq": VPCMPGTQ,
		"vpcmpeqb": VPCMPEQB, "vpcmpeqw": VPCMPEQW, "vpcmpeqd": VPCMPEQD, "vpcmpeqq": VPCMPEQQ,
		"vpaddb": VPADDB, "vpaddw": VPADDW, "vpaddd": VPADDD, "vpaddq": VPADDQ,
		"vpaddsb": VPADDSB, "vpaddsw": VPADDSW, "vpaddusb": VPADDUSB, "vpaddusw": VPADDUSW,
		"vpsubb": VPSUBB, "vpsubw": VPSUBW, "vpsubd": VPSUBD, "vpsubq": VPSUBQ,
		"vpsubsb": VPSUBSB, "vpsubsw": VPSUBSW, "vpsubusb": VPSUBUSB, "vpsubusw": VPSUBUSW,
		"vpmullw": VPMULLW, "vpmulld": VPMULLD, "vpmuludq": VPMULUDQ, "vpmuldq": VPMULDQ,
		"vpmulhrsw": VPMULHRSW, "vpmaddwd": VPMADDWD, "vpmaddubsw": VPMADDUBSW, "vpavgb": VPAVGB, "vpavgw": VPAVGW,
		"vpminsb": VPMINSB, "vpminsw": VPMINSW, "vpminsd": VPMINSD, "vpminub": VPMINUB, "vpminuw": VPMINUW, "vpminud": VPMINUD,
		"vpmaxsb": VPMAXSB, "vpmaxsw": VPMAXSW, "vpmaxsd": VPMAXSD, "vpmaxub": VPMAXUB, "vpmaxuw": VPMAXUW, "vpmaxud": VPMAXUD,
		"vpand": VPAND, "vpandn": VPANDN, "vpor": VPOR, "vpxor": VPXOR, "vpshufb": VPSHUFB,
		"vpsrlw": VPSRLW, "vpsrld": VPSRLD, "vpsrlq": VPSRLQ, "vpsraw": VPSRAW, "vpsrad": VPSRAD,
		"vpsllw": VPSLLW, "vpslld": VPSLLD, "vpsllq": VPSLLQ,
	}
	vecRRRI = map[string]Vec{
		"vcmpps": VCMPPS, "vcmppd": VCMPPD, "vcmpss": VCMPSS, "vcmpsd": VCMPSD, "vroundss": VROUNDSS, "vroundsd": VROUNDSD,
		"vpalignr": VPALIGNR, "vshufps": VSHUFPS, "vpblendw": VPBLENDW,
	}
	vecRR = map[string]Vec{
		"vsqrtps": VSQRTPS, "vsqrtpd": VSQRTPD, "vucomiss": VUCOMISS, "vucomisd": VUCOMISD, "vmovaps": VMOVAPS, "vmovups": VMOVUPS,
		"vmovddup": VMOVDDUP, "vpabsb": VPABSB, "vpabsw": VPABSW, "vpabsd": VPABSD,
		"vpmovsxbw": VPMOVSXBW, "vpmovsxwd": VPMOVSXWD, "vpmovsxdq": VPMOVSXDQ,
		"vpmovzxbw": VPMOVZXBW, "vpmovzxwd": VPMOVZXWD, "vpmovzxdq": VPMOVZXDQ, "vptest": VPTEST,
		"vcvtdq2ps": VCVTDQ2PS, "vcvttps2dq": VCVTTPS2DQ, "vcvtdq2pd": VCVTDQ2PD, "vcvttpd2dq": VCVTTPD2DQ,
		"vcvtps2pd": VCVTPS2PD, "vcvtpd2ps": VCVTPD2PS,
	}
	vecRRI   = map[string]Vec{"vpshufd": VPSHUFD, "vpshuflw": VPSHUFLW, "vroundps": VROUNDPS, "vroundpd": VROUNDPD}
	vecShift = map[string]VecShiftOp{
		"vpsrlw": VPSRLWI, "vpsraw": VPSRAWI, "vpsllw": VPSLLWI, "vpsrld": VPSRLDI, "vpsrad": VPSRADI, "vpslld": VPSLLDI,
		"vpsrlq": VPSRLQI, "vpsllq": VPSLLQI, "vpsrldq": VPSRLDQI, "vpslldq": VPSLLDQI,
	}
)

func vecCases(add adder) {
	for i, d := range someXmm {
		a, b := someXmm[(i+2)%len(someXmm)], someXmm[(i*5+1)%len(someXmm)]
		g := someRegs[(i*2+1)%len(someRegs)]
		for name, op := range vecRRR {
			add(VecRRR(nil, op, d, a, b), "%s xmm%d, xmm%d, xmm%d", name, d, a, b)
		}
		for name, op := range vecRRRI {
			add(VecRRRI(nil, op, d, a, b, 6), "%s xmm%d, xmm%d, xmm%d, 6", name, d, a, b)
		}
		for name, op := range vecRR {
			if strings.HasPrefix(name, "vmov") {
				name = "{load} " + name // as prefers the store form where it is shorter
			}
			add(VecRR(nil, op, d, a), "%s xmm%d, xmm%d", name, d, a)
		}
		for name, op := range vecRRI {
			add(VecRRI(nil, op, d, a, 9), "%s xmm%d, xmm%d, 9", name, d, a)
		}
		for name, op := range vecShift {
			add(VecShift(nil, op, d, a, 3), "%s xmm%d, xmm%d, 3", name, d, a)
		}
		add(VecRG(nil, VMOVD, 4, d, g), "vmovd xmm%d, %s", d, gpr[4][g])
		add(VecRG(nil, VMOVD, 8, d, g), "vmovq xmm%d, %s", d, gpr[8][g])
		add(VecG2(nil, VMOVDst, 4, g, d), "vmovd %s, xmm%d", gpr[4][g], d)
		add(VecG2(nil, VMOVDst, 8, g, d), "vmovq %s, xmm%d", gpr[8][g], d)
		for _, w := range []Width{4, 8} {
			add(VecRRG(nil, VCVTSI2SS, w, d, a, g), "vcvtsi2ss xmm%d, xmm%d, %s", d, a, gpr[w][g])
			add(VecRRG(nil, VCVTSI2SD, w, d, a, g), "vcvtsi2sd xmm%d, xmm%d, %s", d, a, gpr[w][g])
			add(VecGR(nil, VCVTTSS2SI, w, g, d), "vcvttss2si %s, xmm%d", gpr[w][g], d)
			add(VecGR(nil, VCVTTSD2SI, w, g, d), "vcvttsd2si %s, xmm%d", gpr[w][g], d)
		}
		for name, op := range map[string]Vec{"vpmovmskb": VPMOVMSKB, "vmovmskps": VMOVMSKPS, "vmovmskpd": VMOVMSKPD} {
			add(VecGR(nil, op, 4, g, d), "%s %s, xmm%d", name, gpr[4][g], d)
		}
		for name, op := range map[string]Vec{"vpinsrb": VPINSRB, "vpinsrw": VPINSRW, "vpinsrd": VPINSRD} {
			add(VecRRGI(nil, op, d, a, g, 1), "%s xmm%d, xmm%d, %s, 1", name, d, a, gpr[4][g])
		}
		add(VecRRGI(nil, VPINSRQ, d, a, g, 1), "vpinsrq xmm%d, xmm%d, %s, 1", d, a, gpr[8][g])
		add(VecG2I(nil, VPEXTRB, g, d, 1), "vpextrb %s, xmm%d, 1", gpr[4][g], d)
		add(VecG2I(nil, VPEXTRW, g, d, 1), "{store} vpextrw %s, xmm%d, 1", gpr[4][g], d)
		add(VecG2I(nil, VPEXTRD, g, d, 1), "vpextrd %s, xmm%d, 1", gpr[4][g], d)
		add(VecG2I(nil, VPEXTRQ, g, d, 1), "vpextrq %s, xmm%d, 1", gpr[8][g], d)
	}
}

const encodingsFile = "testdata/amd64.txt"

func TestEncodings(t *testing.T) {
	all := cases()
	if *update {
		assemble(t, all)
	}
	f, err := os.Open(encodingsFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]string{}
	for in := bufio.NewScanner(f); in.Scan(); {
		asm, code, ok := strings.Cut(in.Text(), " // ")
		if !ok {
			t.Fatalf("%s: malformed line %q", encodingsFile, in.Text())
		}
		want[asm] = code
	}
	used := map[string]bool{}
	for _, c := range all {
		code, ok := want[c.asm]
		if !ok {
			t.Fatalf("%q is not in %s; run the test with -update", c.asm, encodingsFile)
		}
		used[c.asm] = true
		if got := hex.EncodeToString(c.got); got != code {
			t.Errorf("%s: encoded as %s, the assembler says %s", c.asm, got, code)
		}
	}
	if len(used) != len(want) {
		t.Errorf("%s holds %d cases, the test makes %d; run it with -update", encodingsFile, len(want), len(used))
	}
}

// TestEveryVecIsTested reads the constants' names from the source, so that an
// operation can't be added without a case.
func TestEveryVecIsTested(t *testing.T) {
	src, err := os.ReadFile("vec.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("amd64_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\t(V[A-Z0-9a-z]+) +(?:VecShiftOp )?=`).FindAllSubmatch(src, -1) {
		if !regexp.MustCompile(`\b` + string(m[1]) + `\b`).Match(text) {
			t.Errorf("%s has no case", m[1])
		}
	}
}

func TestRefusesIndexRSP(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("RSP as an index was encoded; it means no index")
		}
	}()
	MOVRM(nil, 8, RAX, Mem{Base: RAX, Index: RSP, Scale: 1})
}

func assemble(t *testing.T, all []encoding) {
	dir := t.TempDir()
	var src strings.Builder
	src.WriteString(".intel_syntax noprefix\n")
	for i, c := range all {
		fmt.Fprintf(&src, "c%d:\n%s\n", i, c.asm)
	}
	asm, obj, bin := filepath.Join(dir, "a.s"), filepath.Join(dir, "a.o"), filepath.Join(dir, "a.bin")
	if err := os.WriteFile(asm, []byte(src.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return string(out)
	}
	run("as", "--64", "-o", obj, asm)
	run("objcopy", "-O", "binary", "-j", ".text", obj, bin)
	code, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	at := make([]int, len(all)+1)
	at[len(all)] = len(code)
	for _, line := range strings.Split(run("nm", obj), "\n") {
		var addr, n int
		if _, err := fmt.Sscanf(line, "%x t c%d", &addr, &n); err == nil {
			at[n] = addr
		}
	}
	var lines []string
	seen := map[string]bool{}
	for i, c := range all {
		if !seen[c.asm] {
			seen[c.asm] = true
			lines = append(lines, fmt.Sprintf("%s // %x", c.asm, code[at[i]:at[i+1]]))
		}
	}
	slices.Sort(lines)
	if err := os.WriteFile(encodingsFile, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}
