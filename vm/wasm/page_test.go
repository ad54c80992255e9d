package wasm

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/OPCODES.md anew")

var opcodesPath = filepath.Join("..", "..", "docs", "OPCODES.md")

// TestOpcodesPage fails when docs/OPCODES.md is not what the opcode table says.
func TestOpcodesPage(t *testing.T) {
	want := opcodesPage()
	if *update {
		if err := os.MkdirAll(filepath.Dir(opcodesPath), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(opcodesPath, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(opcodesPath)
	if err != nil || !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Fatalf("docs/OPCODES.md is stale (%v): run `go generate ./vm/wasm` in the repository's root", err)
	}
}

func opcodesPage() []byte {
	var w bytes.Buffer
	fmt.Fprintf(&w, `# Opcodes

Generated from the table in vm/wasm/optable.go by %[1]sgo generate ./vm/wasm%[1]s; a test fails when it is stale.

Meter version %[2]d. Gas is the weight of one execution. Weights are added up by blocks, and a block is paid for as
a whole before its first instruction. What depends on a size comes on top and is paid before the work; a range out
of bounds traps, and a refused grow answers -1, without it:

| what | units of gas |
|---|---|
| memory.init, memory.copy, memory.fill | 1 for every %[3]d bytes, rounded down |
| memory.grow | %[5]d a page |
| table.init, table.copy, table.fill, table.grow | %[4]d a slot |
| entering a function | 1 for every %[6]d slots of locals that are cleared, rounded up, and 1 for every %[6]d slots of results, rounded down |
| br, br_if, br_table | 1 for every %[6]d slots of the label's values, rounded down |
| instantiating a module | %[9]d, and 1 for every %[7]d bytes of it, and %[8]d a segment, and for active segments, memories and tables what the instruction would cost that does the same |

The stack effect lists operands, an arrow, and results; "by use" means that it follows from the immediates
or from the operands. Rows with a feature are refused unless the decoder is given that feature.

| opcode | name | immediates | stack | gas | class | meaning |
|---|---|---|---|---|---|---|
`, "`", MeterVersion, BytesPerGas, GasPerElem, GasPerPage, SlotsPerGas, ModuleBytesPerGas, GasPerSegment, GasPerInstance)
	for op := range Op(NumOps) {
		in := Info(op)
		if in == nil {
			continue
		}
		doc := in.Doc
		if in.Needs != 0 {
			doc += " (feature: " + featureNames[in.Needs] + ")"
		}
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s | %d | %s | %s |\n", encoding(op), in.Name, immNames[in.Imm], effectText(op), in.Gas, in.Class, doc)
	}
	return w.Bytes()
}

var featureNames = map[Features]string{TailCall: "tail calls", ExtendedConst: "extended constants", MultiMemory: "multiple memories"}

var immNames = map[ImmKind]string{
	ImmNone: "", ImmBlock: "block type", ImmLabel: "label", ImmBrTable: "labels, default", ImmFunc: "function",
	ImmCallIndirect: "type, table", ImmLocal: "local", ImmGlobal: "global", ImmTable: "table", ImmTableTable: "tables: to, from",
	ImmElem: "element segment", ImmElemTable: "element segment, table", ImmData: "data segment", ImmDataMem: "data segment, memory",
	ImmMemory: "memory", ImmMemMem: "memories: to, from", ImmI32: "i32", ImmI64: "i64", ImmF32: "4 bytes", ImmF64: "8 bytes",
	ImmV128: "16 bytes", ImmRefType: "reference type", ImmSelect: "type",
	ImmMem8: "align ≤ 1, offset", ImmMem16: "align ≤ 2, offset", ImmMem32: "align ≤ 4, offset", ImmMem64: "align ≤ 8, offset", ImmMem128: "align ≤ 16, offset",
	ImmMemLane8: "align ≤ 1, offset, lane", ImmMemLane16: "align ≤ 2, offset, lane", ImmMemLane32: "align ≤ 4, offset, lane", ImmMemLane64: "align ≤ 8, offset, lane",
	ImmLane2: "lane < 2", ImmLane4: "lane < 4", ImmLane8: "lane < 8", ImmLane16: "lane < 16", ImmShuffle: "16 lanes < 32",
}

func encoding(op Op) string {
	if op < PrefixMisc {
		return fmt.Sprintf("%02x", uint16(op))
	}
	prefix, sub := 0xfb+op>>8, op&0xff
	if sub < 0x80 {
		return fmt.Sprintf("%02x %02x", uint16(prefix), uint16(sub))
	}
	return fmt.Sprintf("%02x %02x 01", uint16(prefix), uint16(sub))
}

func effectText(op Op) string {
	in, out, ok := op.Effect()
	if !ok {
		return "by use"
	}
	var parts []string
	for _, t := range in {
		parts = append(parts, t.String())
	}
	parts = append(parts, "→")
	for _, t := range out {
		parts = append(parts, t.String())
	}
	return strings.Join(parts, " ")
}

// TestOpTable checks the table against itself and against the names of the constants.
func TestOpTable(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "opcodes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]Op{}
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			v, err := strconv.ParseUint(spec.Values[0].(*ast.BasicLit).Value, 0, 16)
			if err != nil {
				t.Fatal(err)
			}
			constants[spec.Names[0].Name] = Op(v)
		}
		return true
	})
	vectors, rows := 0, 0
	for op := range Op(NumOps) {
		in := Info(op)
		if in == nil {
			continue
		}
		rows++
		if op >= PrefixSIMD {
			vectors++
		}
		name := "Op"
		for _, part := range strings.FieldsFunc(in.Name, func(r rune) bool { return r == '.' || r == '_' || r == ' ' }) {
			name += strings.ToUpper(part[:1]) + part[1:]
		}
		if got, ok := constants[name]; !ok || got != op {
			t.Errorf("%s: constant %s is 0x%x, row is 0x%x", in.Name, name, uint16(got), uint16(op))
		}
		if _, ok := immNames[in.Imm]; !ok {
			t.Errorf("%s: immediates without a name", in.Name)
		}
		if in.Doc == "" || strings.Trim(string(in.Sig), "iIfFvr:*") != "" || in.Sig == "" {
			t.Errorf("%s: row is incomplete: %+v", in.Name, *in)
		}
	}
	if vectors != 236 || rows != len(constants) {
		t.Errorf("%d vector opcodes, %d rows, %d constants", vectors, rows, len(constants))
	}
}
