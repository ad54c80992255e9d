package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kitwork/kwnode/jit"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// TestExecScripts runs testdata/exec. Beside testscript's own commands a script has
//
//	kwnode ARGS          this program; "! kwnode" wants another exit status than 0
//	status N             the exit status of the last kwnode
//	assemble FILE.hex    writes FILE.wasm from hex digits, with comments behind #
//	[compiler]           whether this machine has a compiled tier
//	timeless FILE        replaces what may differ between equal runs in FILE, a result of exec --json
func TestExecScripts(t *testing.T) {
	guests, err := filepath.Abs("../../vm/testdata/guests")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/exec",
		Setup: func(e *testscript.Env) error { e.Setenv("GUESTS", guests); return nil },
		Condition: func(cond string) (bool, error) {
			if cond != "compiler" {
				return false, fmt.Errorf("unknown condition %q", cond)
			}
			return jit.Supported(), nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"kwnode": func(ts *testscript.TestScript, neg bool, args []string) {
				for i, a := range args {
					if strings.HasSuffix(a, ".wasm") {
						args[i] = ts.MkAbs(a)
					}
				}
				status := run(args, strings.NewReader(""), ts.Stdout(), ts.Stderr())
				ts.Setenv("STATUS", fmt.Sprint(status))
				if neg != (status != 0) {
					ts.Fatalf("exit status %d", status)
				}
			},
			"status": func(ts *testscript.TestScript, _ bool, args []string) {
				if got := ts.Getenv("STATUS"); got != args[0] {
					ts.Fatalf("exit status %s, want %s", got, args[0])
				}
			},
			"assemble": func(ts *testscript.TestScript, _ bool, args []string) {
				text := regexp.MustCompile(`#.*|\s`).ReplaceAllString(ts.ReadFile(args[0]), "")
				b, err := hex.DecodeString(text)
				ts.Check(err)
				ts.Check(os.WriteFile(ts.MkAbs(strings.TrimSuffix(args[0], ".hex")+".wasm"), b, 0o600))
			},
			"timeless": func(ts *testscript.TestScript, _ bool, args []string) {
				text := regexp.MustCompile(`((_ns|freezes|state_bytes)": )\d+`).ReplaceAllString(ts.ReadFile(args[0]), "${1}0")
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
			},
		},
	})
}

func TestParseInvocation(t *testing.T) {
	for s, want := range map[string]string{
		"f(1,2)": "f[1 2]", "f()": "f[]", "f": "f[]", "a(b)(1)": "a(b)[1]", "f( 1 , -2 )": "f[1 -2]", "(1)": "[1]", "f(1": "!", "f(1)x": "!",
	} {
		inv, err := parseInvocation(s)
		got := fmt.Sprint(inv.name, inv.args)
		if err != nil {
			got = "!"
		}
		if got != want {
			t.Errorf("%s: %s, %v; want %s", s, got, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	for _, c := range []struct {
		t    wasm.ValType
		in   string
		want string // as JSON, ! for a refusal
	}{
		{wasm.I32, "-1", "-1"}, {wasm.I32, "4294967295", "-1"}, {wasm.I32, "0xffffffff", "-1"}, {wasm.I32, "-0x80000000", "-2147483648"},
		{wasm.I32, "+7", "7"}, {wasm.I32, "4294967296", "!"}, {wasm.I32, "-2147483649", "!"}, {wasm.I32, "", "!"}, {wasm.I32, "1.5", "!"},
		{wasm.I32, "010", "10"}, {wasm.I32, "1_0", "!"}, {wasm.I32, "--1", "!"}, {wasm.I32, "0x-1", "!"},
		{wasm.I64, "-9223372036854775808", `"-9223372036854775808"`}, {wasm.I64, "18446744073709551615", `"-1"`}, {wasm.I64, "18446744073709551616", "!"},
		{wasm.F32, "1.5", `"3fc00000"`}, {wasm.F32, "-0", `"80000000"`}, {wasm.F32, "inf", `"7f800000"`}, {wasm.F32, "-inf", `"ff800000"`},
		{wasm.F32, "nan", `"7fc00000"`}, {wasm.F32, "-nan:0x1", `"ff800001"`}, {wasm.F32, "nan:0x7fffff", `"7fffffff"`}, {wasm.F32, "nan:0x800000", "!"},
		{wasm.F32, "nan:0x0", "!"}, {wasm.F32, "1e39", "!"}, {wasm.F32, "infinity", "!"}, {wasm.F32, "16777217", `"4b800000"`}, {wasm.F32, ".5", `"3f000000"`},
		{wasm.F64, "0.1", `"3fb999999999999a"`}, {wasm.F64, "nan:0xfffffffffffff", `"7fffffffffffffff"`}, {wasm.F64, "0x1p-3", `"3fc0000000000000"`},
		{wasm.F64, "x", "!"}, {wasm.F64, "1_0", "!"}, {wasm.F64, "0x1_0p1", "!"}, {wasm.F64, "--1", "!"},
		{wasm.V128, "000102030405060708090a0b0c0d0e0f", `"000102030405060708090a0b0c0d0e0f"`}, {wasm.V128, "00", "!"}, {wasm.V128, "zz", "!"},
		{wasm.ExternRef, "null", "null"}, {wasm.ExternRef, "7", "7"}, {wasm.ExternRef, "-1", "!"}, {wasm.FuncRef, "3", "3"}, {wasm.FuncRef, "null", "null"},
	} {
		v, err := parseValue(c.t, c.in)
		got := string(toJSON(v).Value)
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%v %q: %s, want %s (%v)", c.t, c.in, got, c.want, err)
		}
	}
	for _, s := range []string{"-inf", "inf", "nan:0x400000", "-nan:0x1", "-0", "1.5e+30"} {
		v, err := parseValue(wasm.F32, s)
		if got := toJSON(v).readable(); err != nil || got != s {
			t.Errorf("%s prints as %s (%v)", s, got, err)
		}
	}
	if v, _ := parseValue(wasm.V128, "010000000000000002000000000000ff"); v != vm.V128(1, 0xff00000000000002) {
		t.Errorf("lane 0 isn't first: %v", v)
	}
}

func TestParseTime(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "123": 123, "1970-01-01T00:00:01Z": 1e9, "2026-01-02T03:04:05.5+01:00": 1767319445500000000} {
		if got, err := parseTime(s); err != nil || got != want {
			t.Errorf("%s: %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "-1", "9223372036854775807", "1969-12-31T23:59:59Z", "2300-01-01T00:00:00Z", "now"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%s: %d", s, got)
		}
	}
}

// TestTrapsAreDocumented: the list in docs/EXEC.md is the one that programs can meet.
func TestTrapsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/EXEC.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z ]+)` \\| [^|]+ \\|$").FindAllStringSubmatch(string(doc[strings.Index(string(doc), "## Traps"):]), -1) {
		listed[m[1]] = true
	}
	want := []string{trapFailed}
	for c := vm.TrapUnreachable; !strings.HasPrefix(c.String(), "trap "); c++ {
		want = append(want, c.String())
	}
	for _, w := range want {
		if !listed[w] {
			t.Errorf("%q isn't documented", w)
		}
		delete(listed, w)
	}
	for _, l := range []string{"invalid", "ok"} {
		delete(listed, l)
	}
	if len(listed) > 0 {
		t.Errorf("documented and unknown: %v", listed)
	}
}
