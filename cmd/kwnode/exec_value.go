package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// invocation is one --invoke: a name and the arguments as they were written.
type invocation struct {
	name string
	args []string
}

// parseInvocation reads name(arg, …). The name ends at the last parenthesis that opens, since export names may contain
// anything; without one it is a call with no arguments.
func parseInvocation(s string) (invocation, error) {
	at := strings.LastIndexByte(s, '(')
	if at < 0 {
		return invocation{name: s}, nil
	}
	if !strings.HasSuffix(s, ")") {
		return invocation{}, fmt.Errorf("--invoke %q: no closing parenthesis; write name(1,2)", s)
	}
	inv := invocation{name: s[:at]}
	list := s[at+1 : len(s)-1]
	if strings.TrimSpace(list) == "" {
		return inv, nil
	}
	for a := range strings.SplitSeq(list, ",") {
		inv.args = append(inv.args, strings.TrimSpace(a))
	}
	return inv, nil
}

// values types the arguments by the function's signature.
func (inv invocation) values(params []wasm.ValType) ([]vm.Value, error) {
	if len(inv.args) != len(params) {
		return nil, fmt.Errorf("--invoke %s: %d arguments given, the function takes %d", inv.name, len(inv.args), len(params))
	}
	vs := make([]vm.Value, len(params))
	for i, t := range params {
		v, err := parseValue(t, inv.args[i])
		if err != nil {
			return nil, fmt.Errorf("--invoke %s: argument %d: %w", inv.name, i+1, err)
		}
		vs[i] = v
	}
	return vs, nil
}

func parseValue(t wasm.ValType, s string) (vm.Value, error) {
	var err error
	v := vm.Value{Type: t}
	switch t {
	case wasm.I32:
		v.Lo, err = parseInt(s, 32)
	case wasm.I64:
		v.Lo, err = parseInt(s, 64)
	case wasm.F32:
		v.Lo, err = parseFloat(s, 32)
	case wasm.F64:
		v.Lo, err = parseFloat(s, 64)
	case wasm.V128:
		var b []byte
		if b, err = hex.DecodeString(s); err == nil && len(b) != 16 {
			err = errors.New("want 32 hex digits, lane 0 first")
		}
		if err == nil {
			v.Lo, v.Hi = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		}
	default:
		if s == "null" {
			return v, nil
		}
		v.Hi = 1
		v.Lo, err = strconv.ParseUint(s, 0, 64)
	}
	if err != nil {
		return v, fmt.Errorf("%q is no %v: %w", s, t, err)
	}
	return v, nil
}

// parseInt reads a decimal or 0x number of w bits, signed or unsigned, and gives its bits.
func parseInt(s string, w int) (uint64, error) {
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	base := 10
	if h, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		digits, base = h, 16
	}
	u, err := strconv.ParseUint(digits, base, w)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && negative && u > 1<<(w-1):
		return 0, errors.New("out of range")
	case err != nil:
		return 0, errors.New("want a decimal or 0x number")
	case negative:
		u = -u
	}
	return u & (math.MaxUint64 >> (64 - w)), nil
}

// parseFloat reads a number, inf, nan or nan:0x… with the payload, and gives its bits.
func parseFloat(s string, w int) (uint64, error) {
	mantissa := 52
	if w == 32 {
		mantissa = 23
	}
	quiet := uint64(1) << (mantissa - 1)
	exponent := (uint64(1)<<(w-1-mantissa) - 1) << mantissa
	digits, negative := strings.CutPrefix(s, "-")
	if !negative {
		digits = strings.TrimPrefix(digits, "+")
	}
	sign := uint64(0)
	if negative {
		sign = 1 << (w - 1)
	}
	switch payload, isNaN := strings.CutPrefix(digits, "nan:0x"); {
	case digits == "nan":
		return sign | exponent | quiet, nil
	case digits == "inf":
		return sign | exponent, nil
	case isNaN:
		p, err := strconv.ParseUint(payload, 16, 64)
		if err != nil || p == 0 || p >= 1<<mantissa {
			return 0, fmt.Errorf("a NaN's payload is 1 to %#x", uint64(1)<<mantissa-1)
		}
		return sign | exponent | p, nil
	case digits == "" || !strings.ContainsRune("0123456789.", rune(digits[0])) || strings.ContainsRune(digits, '_'):
		return 0, errors.New("want a decimal number, inf, nan or nan:0x…")
	}
	f, err := strconv.ParseFloat(digits, w)
	if err != nil {
		return 0, errors.New("want a decimal number in range, inf, nan or nan:0x…")
	}
	if w == 32 {
		return sign | uint64(math.Float32bits(float32(f))), nil
	}
	return sign | math.Float64bits(f), nil
}

// jsonValue is a value as --json prints it.
type jsonValue struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
	v     vm.Value
}

func toJSON(v vm.Value) jsonValue {
	text := exactText(v)
	switch v.Type {
	case wasm.I64, wasm.F32, wasm.F64, wasm.V128:
		text = `"` + text + `"`
	}
	return jsonValue{v.Type.String(), json.RawMessage(text), v}
}

// readable prints a value for people, as it can be given to --invoke.
func (j jsonValue) readable() string {
	switch v := j.v; v.Type {
	case wasm.F32:
		return readableFloat(float64(v.F32()), v.Lo, 32, 23)
	case wasm.F64:
		return readableFloat(v.F64(), v.Lo, 64, 52)
	default:
		return exactText(v)
	}
}

func readableFloat(f float64, bits uint64, width, mantissa int) string {
	text := ""
	switch {
	case math.IsInf(f, 0):
		text = "inf"
	case math.IsNaN(f):
		text = fmt.Sprintf("nan:%#x", bits&(1<<mantissa-1))
	default:
		return strconv.FormatFloat(f, 'g', -1, width)
	}
	if bits>>(width-1) != 0 {
		return "-" + text
	}
	return text
}

// exactText prints a value's bits: floats and vectors in hex, the rest as it can be given to --invoke.
func exactText(v vm.Value) string {
	switch v.Type {
	case wasm.I32:
		return strconv.Itoa(int(v.I32()))
	case wasm.I64:
		return strconv.FormatInt(v.I64(), 10)
	case wasm.F32:
		return fmt.Sprintf("%08x", uint32(v.Lo))
	case wasm.F64:
		return fmt.Sprintf("%016x", v.Lo)
	case wasm.V128:
		b := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, v.Lo), v.Hi)
		return hex.EncodeToString(b)
	}
	if v.IsNull() {
		return "null"
	}
	return strconv.FormatUint(v.Lo, 10)
}
