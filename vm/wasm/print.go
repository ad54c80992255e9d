package wasm

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"strings"
)

// What a few bytes of a module can make the output repeat is cut to these sizes.
const (
	maxIndent    = 32 // levels
	maxShownName = 80 // bytes of a callee's name
	maxShownType = 16 // values of a function's type
)

// Fprint writes a module as text to read: its sections, then each function instruction by instruction,
// with byte offsets. The format follows the text format where that has a word, and is not meant to be
// parsed. Memory does not grow with the module. The error is that of w.
func Fprint(w io.Writer, m *Module) error {
	p := printer{w: bufio.NewWriter(w), m: m}
	p.header()
	for i := range m.Code {
		p.function(m.NumImportedFuncs + uint32(i))
	}
	p.segments()
	return p.w.Flush()
}

type printer struct {
	w *bufio.Writer
	m *Module
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p.w, format, args...) }

func (p *printer) header() {
	m := p.m
	p.printf("module sha256:%x (%d bytes)\n", m.Hash(), len(m.Bytes))
	for i, t := range m.Types {
		p.printf("type %d: %s\n", i, t)
	}
	for i := range m.Imports {
		im := &m.Imports[i]
		p.printf("import %s %d %q %q", im.Kind, im.Index, im.Module, im.Name)
		switch im.Kind {
		case ExternFunc:
			p.printf(": type %d %s\n", m.FuncTypes[im.Index], m.Types[m.FuncTypes[im.Index]])
		case ExternTable:
			p.printf(": %s\n", tableText(&m.Tables[im.Index]))
		case ExternMem:
			p.printf(": %s pages\n", limitsText(&m.Mems[im.Index].Limits))
		case ExternGlobal:
			p.printf(": %s\n", globalText(&m.Globals[im.Index]))
		}
	}
	for i := int(m.NumImportedTables); i < len(m.Tables); i++ {
		p.printf("table %d: %s\n", i, tableText(&m.Tables[i]))
	}
	for i := int(m.NumImportedMems); i < len(m.Mems); i++ {
		p.printf("memory %d: %s pages\n", i, limitsText(&m.Mems[i].Limits))
	}
	for i := int(m.NumImportedGlobals); i < len(m.Globals); i++ {
		p.printf("global %d: %s = ", i, globalText(&m.Globals[i]))
		p.constExpr(m.Globals[i].Init)
		p.printf("\n")
	}
	for _, ex := range m.Exports {
		p.printf("export %q: %s %d\n", ex.Name, ex.Kind, ex.Index)
	}
	if m.Start >= 0 {
		p.printf("start: func %d\n", m.Start)
	}
}

func limitsText(l *Limits) string {
	if l.HasMax {
		return fmt.Sprintf("%d to %d", l.Min, l.Max)
	}
	return fmt.Sprintf("at least %d", l.Min)
}

func tableText(t *TableType) string { return limitsText(&t.Limits) + " " + t.Elem.String() }

func globalText(g *Global) string {
	if g.Mutable {
		return "mut " + g.Type.String()
	}
	return g.Type.String()
}

func (p *printer) segments() {
	m := p.m
	for i := range m.Elems {
		e := &m.Elems[i]
		p.printf("elem %d: %s, %d of %s", i, modeText(e.Mode), e.Count, e.Type)
		if e.Mode == SegActive {
			p.printf(", table %d at ", e.Table)
			p.constExpr(e.Offset)
		}
		p.printf(":")
		items := m.ElemItems(e)
		for it, ok := items.Next(); ok; it, ok = items.Next() {
			switch it.Kind {
			case ElemNull:
				p.printf(" null")
			case ElemGlobal:
				p.printf(" global %d", it.Index)
			default:
				p.printf(" %d", it.Index)
			}
		}
		p.printf("\n")
	}
	for i := range m.Datas {
		s := &m.Datas[i]
		p.printf("data %d: %s", i, modeText(s.Mode))
		if s.Mode == SegActive {
			p.printf(", memory %d at ", s.Mem)
			p.constExpr(m.DataOffset(s))
		}
		p.printf(", %d bytes\n", s.Len)
	}
}

func modeText(m SegMode) string {
	return [...]string{SegActive: "active", SegPassive: "passive", SegDeclared: "declared"}[m]
}

func (p *printer) constExpr(e ConstExpr) {
	var in Instr
	r := NewConstReader(p.m, e)
	for first := true; r.Next(&in) && in.Op != OpEnd; first = false {
		if !first {
			p.printf("; ")
		}
		p.instr(&in)
	}
}

func (p *printer) function(fn uint32) {
	m := p.m
	t, body := m.Func(fn)
	p.printf("\nfunc %d", fn)
	if name := m.FuncName(fn); name != "" {
		p.printf(" %q", name)
	}
	p.printf(": type %d", m.FuncTypes[fn])
	if len(t.Params)+len(t.Results) <= maxShownType {
		p.printf(" %s", *t)
	}
	p.printf("\n")
	if body.NumLocals > 0 {
		p.printf("  locals")
		for g := range m.LocalGroups(body) {
			p.printf(" %d*%s", g.N, g.Type)
		}
		p.printf("\n")
	}
	var in Instr
	depth := 1
	r := NewReader(m, body)
	for r.Next(&in) {
		indent := depth
		switch in.Op {
		case OpBlock, OpLoop, OpIf:
			depth++
		case OpElse:
			indent--
		case OpEnd:
			depth--
			indent--
		}
		p.printf("  %06x  %s", in.Off, strings.Repeat("  ", min(indent, maxIndent)))
		p.instr(&in)
		p.printf("\n")
	}
}

func (p *printer) instr(in *Instr) {
	info := in.Info()
	if in.Op == OpSelectT {
		p.printf("select %s", in.Type)
		return
	}
	p.w.WriteString(info.Name)
	switch info.Imm {
	case ImmNone:
	case ImmBlock:
		p.blockType(in.Block)
	case ImmBrTable:
		ts := p.m.Targets(in)
		for label, ok := ts.Next(); ok; label, ok = ts.Next() {
			p.printf(" %d", label)
		}
	case ImmFunc:
		p.printf(" %d", in.X)
		if name := p.m.FuncName(in.X); len(name) > maxShownName {
			p.printf(" %q...", name[:maxShownName])
		} else if name != "" {
			p.printf(" %q", name)
		}
	case ImmCallIndirect:
		p.printf(" type %d table %d", in.X, in.Y)
	case ImmTableTable, ImmElemTable, ImmDataMem, ImmMemMem:
		p.printf(" %d %d", in.X, in.Y)
	case ImmI32, ImmI64:
		p.printf(" %d", int64(in.Const))
	case ImmF32:
		p.printf(" %v (0x%08x)", math.Float32frombits(uint32(in.Const)), uint32(in.Const))
	case ImmF64:
		p.printf(" %v (0x%016x)", math.Float64frombits(in.Const), in.Const)
	case ImmV128, ImmShuffle:
		p.printf(" 0x%016x%016x", in.Hi, in.Const)
	case ImmRefType:
		p.printf(" %s", in.Type)
	case ImmLane2, ImmLane4, ImmLane8, ImmLane16:
		p.printf(" %d", in.Lane)
	default:
		if _, ok := info.Imm.AccessLog2(); ok {
			p.memArg(in)
			return
		}
		p.printf(" %d", in.X)
	}
}

func (p *printer) blockType(bt BlockType) {
	if bt >= 0 {
		p.printf(" type %d", bt)
	} else if _, results := p.m.BlockType(bt); len(results) > 0 {
		p.printf(" %s", results[0])
	}
}

func (p *printer) memArg(in *Instr) {
	if in.X != 0 {
		p.printf(" memory %d", in.X)
	}
	if in.Offset != 0 {
		p.printf(" offset=%d", in.Offset)
	}
	natural, _ := in.Info().Imm.AccessLog2()
	if in.Align != natural {
		p.printf(" align=%d", 1<<in.Align)
	}
	if in.Info().Imm >= ImmMemLane8 {
		p.printf(" lane %d", in.Lane)
	}
}
