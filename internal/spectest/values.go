package spectest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

type value struct {
	Type     string          `json:"type"`
	LaneType string          `json:"lane_type"`
	Value    json.RawMessage `json:"value"`
}

func (v *value) lanes() (texts []string) {
	if v.Type != "v128" {
		var s string
		_ = json.Unmarshal(v.Value, &s)
		return []string{s}
	}
	_ = json.Unmarshal(v.Value, &texts)
	return texts
}

var laneBits = map[string]int{"i8": 8, "i16": 16, "i32": 32, "f32": 32, "i64": 64, "f64": 64}

func (v *value) parse() (vm.Value, error) {
	lanes := v.lanes()
	if v.Type == "funcref" || v.Type == "externref" {
		t := wasm.FuncRef
		if v.Type == "externref" {
			t = wasm.ExternRef
		}
		if lanes[0] == "null" {
			return vm.NullRef(t), nil
		}
		n, err := strconv.ParseUint(lanes[0], 10, 64)
		return vm.Value{Type: t, Lo: n, Hi: 1}, err
	}
	if v.Type == "v128" {
		out := vm.Value{Type: wasm.V128}
		w := laneBits[v.LaneType]
		for i, text := range lanes {
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return out, err
			}
			if at := i * w; at < 64 {
				out.Lo |= n << at
			} else {
				out.Hi |= n << (at - 64)
			}
		}
		return out, nil
	}
	n, err := strconv.ParseUint(lanes[0], 10, 64)
	t := map[string]wasm.ValType{"i32": wasm.I32, "i64": wasm.I64, "f32": wasm.F32, "f64": wasm.F64}[v.Type]
	return vm.Value{Type: t, Lo: n}, err
}

func matchAll(got []vm.Value, want []value) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d results, want %d", len(got), len(want))
	}
	for i := range got {
		if !want[i].matches(got[i]) {
			return fmt.Errorf("result %d is %v, want %s %s", i, got[i], want[i].Type, want[i].Value)
		}
	}
	return nil
}

// matches compares bit for bit, but for the patterns of NaNs.
func (v *value) matches(got vm.Value) bool {
	if got.Type.String() != v.Type {
		return false
	}
	if got.Type.IsRef() {
		if len(v.Value) == 0 {
			return got.Hi == 1
		}
		want, err := v.parse()
		return err == nil && want == got
	}
	width := laneBits[v.LaneType]
	if v.Type != "v128" {
		width = laneBits[v.Type]
	}
	for i, text := range v.lanes() {
		x := got.Lo
		if at := i * width; at >= 64 {
			x = got.Hi >> (at - 64)
		} else {
			x >>= at
		}
		x &= math.MaxUint64 >> (64 - width)
		switch {
		case strings.HasPrefix(text, "nan:"):
			// Both kinds must be the canonical one here, up to what the specification leaves open in arithmetic NaNs.
			if width == 32 && (x>>22)&0x1ff != 0x1ff || width == 64 && (x>>51)&0xfff != 0xfff {
				return false
			}
			if text == "nan:canonical" && x<<(64-width)<<1 != map[int]uint64{32: 0x7fc00000 << 33, 64: 0x7ff8 << 49}[width] {
				return false
			}
		default:
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil || n != x {
				return false
			}
		}
	}
	return true
}
