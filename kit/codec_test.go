package kit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

type inner struct {
	Name string
	Tags []string
}

type outer struct {
	A int64
	B uint8
	C float64
	D map[string]inner
	E *inner
	F [3]bool
	G []byte
	H map[[2]int8]uint16
	I []inner
	J float32
	K int8
}

type tree struct {
	V    int
	Kids []tree
}

type list struct{ Next *list }

func hexOf[T any](t *testing.T, v T) string {
	t.Helper()
	b, err := Marshal(v)
	if err != nil {
		t.Fatalf("Marshal(%#v): %v", v, err)
	}
	return hex.EncodeToString(b)
}

// TestBytes pins the encoding: stored data outlives every build of this package.
func TestBytes(t *testing.T) {
	one := int16(-2)
	for _, c := range []struct{ got, want string }{
		{hexOf(t, true), "01"},
		{hexOf(t, int64(0)), "00"},
		{hexOf(t, int64(-1)), "01"},
		{hexOf(t, int64(64)), "8001"},
		{hexOf(t, int64(math.MinInt64)), "ffffffffffffffffff01"},
		{hexOf(t, uint64(math.MaxUint64)), "ffffffffffffffffff01"},
		{hexOf(t, uint8(255)), "ff01"},
		{hexOf(t, float32(1)), "0000803f"},
		{hexOf(t, -1.5), "000000000000f8bf"},
		{hexOf(t, math.Float64frombits(0xfff8000000000123)), "000000000000f87f"},
		{hexOf(t, float32(math.NaN())), "0000c07f"},
		{hexOf(t, "häh"), "0468c3a468"},
		{hexOf(t, []byte{1, 2}), "020102"},
		{hexOf(t, []uint16(nil)), "00"},
		{hexOf(t, [2]int32{1, -1}), "0201"},
		{hexOf(t, map[string]int{"b": 1, "a": 2, "aa": 3}), "03016104" + "016202" + "02616106"},
		{hexOf(t, map[int8]bool{-1: true, 1: false}), "02" + "0101" + "0200"},
		{hexOf(t, &one), "0103"},
		{hexOf(t, (*int)(nil)), "00"},
		{hexOf(t, inner{"x", []string{"y"}}), "02" + "0178" + "01" + "0179"},
		{hexOf(t, struct{}{}), "00"},
	} {
		if c.got != c.want {
			t.Errorf("encoded %s, want %s", c.got, c.want)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	str := func() string { return strings.Repeat("x", r.IntN(200)) }
	for range 500 {
		v := outer{
			A: int64(r.Uint64()), B: uint8(r.Uint32()), C: math.Float64frombits(r.Uint64() &^ (1 << 62)), F: [3]bool{r.IntN(2) == 0, true, false},
			D: map[string]inner{}, H: map[[2]int8]uint16{}, J: r.Float32(), K: int8(r.Uint32()),
		}
		for range r.IntN(40) {
			v.D[str()] = inner{str(), nil}
			v.H[[2]int8{int8(r.Uint32()), int8(r.Uint32())}] = uint16(r.Uint32())
			v.I = append(v.I, inner{Tags: []string{str(), str()}})
			v.G = append(v.G, byte(r.Uint32()))
			v.E = &inner{Name: str()}
		}
		b, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Unmarshal[outer](b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(v, w) {
			t.Fatalf("decoded\n%#v, want\n%#v", w, v)
		}
	}
	deep := tree{1, []tree{{2, nil}, {3, []tree{{4, nil}}}}}
	b, _ := Marshal(deep)
	if w, err := Unmarshal[tree](b); err != nil || !reflect.DeepEqual(w, deep) {
		t.Fatalf("tree: %v, %v", w, err)
	}
}

func TestOlderStructReads(t *testing.T) {
	type v1 struct{ A int }
	type v2 struct {
		A int
		B string
	}
	b, _ := Marshal(v1{7})
	if w, err := Unmarshal[v2](b); err != nil || w != (v2{A: 7}) {
		t.Errorf("older value as newer type: %v, %v", w, err)
	}
	b, _ = Marshal(v2{7, "x"})
	if _, err := Unmarshal[v1](b); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("newer value as older type: %v", err)
	}
}

func TestRefusedBytes(t *testing.T) {
	refuse := func(name, in string, read func([]byte) error) {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		var de *DecodeError
		if err := read(b); !errors.As(err, &de) {
			t.Errorf("%s (%s): %v", name, in, err)
		}
	}
	as := func(v any) func([]byte) error { return func(b []byte) error { return decodeAs(v, b) } }
	refuse("empty", "", as(int(0)))
	refuse("trailing", "0000", as(int(0)))
	refuse("longer than needed", "8000", as(int(0)))
	refuse("65 bits", "ffffffffffffffffff02", as(uint64(0)))
	refuse("endless", "ffffffffffffffffffffff01", as(uint64(0)))
	refuse("range", "8002", as(uint8(0)))
	refuse("range", "8002", as(int8(0)))
	refuse("bool", "02", as(false))
	refuse("pointer", "0200", as((*int)(nil)))
	refuse("odd NaN", "010000000000f07f", as(0.0))
	refuse("odd NaN", "0100c07f", as(float32(0)))
	refuse("length", "ffffffff0f", as(""))
	refuse("length", "ffffffffffffffff7f00", as([]int(nil)))
	refuse("map order", "02016200016100", as(map[string]int(nil)))
	refuse("map twice", "02016100016100", as(map[string]int(nil)))
	refuse("fields", "0300000000", as(inner{}))
	// A kilobyte of empty structs must not stand for megabytes of memory.
	type big struct{ X [1 << 14]byte }
	bomb := append([]byte{0xe8, 0x07}, make([]byte, 1000)...)
	refuse("bomb", hex.EncodeToString(bomb), as([]big(nil)))
	// A list 5,000 deep must not become a stack as deep.
	refuse("depth", strings.Repeat("0101", 5000)+"00", as(list{}))
}

func decodeAs(v any, b []byte) error {
	p, err := planOf(reflect.TypeOf(v))
	if err != nil {
		return err
	}
	d := decoder{b: b, budget: 1<<16 + 256*len(b)}
	d.value(p, reflect.New(p.t).UnsafePointer(), 0)
	if d.err == nil && d.off != len(b) {
		d.fail("more bytes than the value has")
	}
	if d.err != nil {
		return d.err
	}
	return nil
}

func TestRefusedTypes(t *testing.T) {
	type hidden struct {
		Ok  int
		bad int
	}
	type deep struct{ M map[string][]hidden }
	for _, c := range []struct {
		v    any
		want string
	}{
		{make(chan int), "chan int"},
		{struct{ F func() }{}, ".F"},
		{struct{ X any }{}, ".X"},
		{deep{}, "deep.M.bad"},
		{map[float64]int{}, "keys"},
		{map[*int]int{}, "keys"},
		{[0]int{}, "length 0"},
		{complex64(0), "complex64"},
	} {
		var te *TypeError
		if err := Encodable(reflect.TypeOf(c.v)); !errors.As(err, &te) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%T: %v, want an error naming %q", c.v, err, c.want)
		}
	}
	ring := &list{}
	ring.Next = ring
	if _, err := Marshal(ring); err == nil {
		t.Error("a ring of pointers was encoded")
	}
	_ = hidden{bad: 1}
}

// FuzzDecode holds that what decodes encodes to the same bytes: a value has one encoding.
func FuzzDecode(f *testing.F) {
	for _, v := range []outer{{}, {A: -5, D: map[string]inner{"a": {"b", []string{"c"}}}, E: &inner{}, G: []byte("xyz"), I: []inner{{}, {}}, H: map[[2]int8]uint16{{1, 2}: 3}}} {
		b, err := Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Unmarshal[outer](b)
		if err != nil || b[0] != 11 {
			return
		}
		again, err := Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		// Structs may be written short; only the outermost is known to be complete.
		w, err := Unmarshal[outer](again)
		if err != nil || !reflect.DeepEqual(w, v) && !strings.Contains(hex.EncodeToString(again), "f87f") {
			t.Fatalf("%v: %#v became %#v", err, v, w)
		}
		if len(again) == len(b) && !bytes.Equal(again, b) {
			t.Fatalf("%x and %x are the same value", b, again)
		}
	})
}

// FuzzRows holds that a page of rows from a hostile host is split or refused, never read beyond its end.
func FuzzRows(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x01\x00\x00\x00ab"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rows, err := unpackRows(b)
		if err != nil {
			return
		}
		n := 0
		for _, r := range rows {
			n += 8 + len(r.key) + len(r.val)
		}
		if n != len(b) {
			t.Fatalf("rows of %d bytes from a page of %d", n, len(b))
		}
	})
}
