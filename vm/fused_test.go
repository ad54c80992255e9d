package vm

import (
	"flag"
	"fmt"
	"go/format"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what a test would compare")

const (
	fusedBegin = "\t\t// fused sequences: written by TestFusedCases -update, do not edit\n"
	fusedEnd   = "\t\t// end of fused sequences\n"
)

// TestFusedCases makes the interpreter's cases for fused sequences out of its cases for single operations and the table
// of sequences, and compares. A case performs its operations one after the other, each as its own case does.
func TestFusedCases(t *testing.T) {
	src, err := os.ReadFile("interp.go")
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("../internal/code/fusions.go")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(src), fusedBegin)
	_, tail, ok2 := strings.Cut(rest, fusedEnd)
	if !ok1 || !ok2 {
		t.Fatal("interp.go has lost its marks")
	}
	bodies := singleCases(head)
	var out strings.Builder
	for _, line := range regexp.MustCompile(`\{(0x[0-9a-f]+), \[\]Op\{(.*)\}\},`).FindAllStringSubmatch(string(table), -1) {
		seq := splitOps(line[2])
		fmt.Fprintf(&out, "\t\tcase %s: // %s\n", line[1], strings.Join(seq, " · "))
		last := ""
		for _, op := range seq {
			body, ok := bodies[op]
			if !ok {
				t.Fatalf("the loop has no case for %s", op)
			}
			out.WriteString("{\n" + body + "}\n")
			last = body
		}
		if lines := strings.Split(strings.TrimSpace(last), "\n"); !strings.HasPrefix(strings.TrimSpace(lines[len(lines)-1]), "goto ") {
			out.WriteString("continue\n")
		}
	}
	want, err := format.Source([]byte(head + fusedBegin + "\n" + out.String() + fusedEnd + tail))
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == string(src) {
		return
	}
	if !*update {
		t.Fatal("the fused cases don't follow from the table; run this test with -update")
	}
	if err := os.WriteFile("interp.go", want, 0o644); err != nil {
		t.Fatal(err)
	}
}

// singleCases returns the body of each case, by operation, without its last continue.
func singleCases(src string) map[string]string {
	bodies := map[string]string{}
	parts := strings.Split(src, "\n\t\tcase ")
	for _, p := range parts[1:] {
		ops, body, _ := strings.Cut(p, ":\n")
		body = strings.TrimSuffix(strings.TrimRight(body, "\n\t ")+"\n", "\t\t\tcontinue\n")
		for _, op := range strings.Split(ops, ", ") {
			bodies[op] = body
		}
	}
	return bodies
}

// splitOps gives the operations of a row the names that the loop's cases have.
func splitOps(row string) []string {
	ops := strings.Split(row, ", ")
	for i, op := range ops {
		terms := strings.Split(op, " ")
		for k, term := range terms {
			if len(term) > 1 && !strings.HasPrefix(term, "wasm.") {
				terms[k] = "code." + term
			}
		}
		ops[i] = strings.Join(terms, " ")
	}
	return ops
}
