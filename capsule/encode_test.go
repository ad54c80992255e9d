package capsule

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// zoo has every shape that an encoder knows.
type zoo struct {
	_  struct{} `cbor:",toarray"`
	B  bool
	U8 uint8 `json:"small,omitempty"`
	U1 uint16
	U3 uint32
	U6 uint64
	U  uint
	I8 int8
	I1 int16
	I3 int32
	I6 int64
	I  int
	animal
	Scope
	S     string
	Bytes []byte
	Key   Key
	Kind  Kind
	List  []animal
	Lists [][]byte
	Keys  []Key
	Names []string
	Links []CID
	Link  CID
	Raw   RawItem
	Raws  []RawItem
	Array [3]uint16
	Pairs [2]animal
	P     *animal
	PP    **uint32
	Ps    []*CID
	None  struct {
		_ struct{} `cbor:",toarray"`
	}
	hidden int
}

type animal struct {
	_    struct{} `cbor:",toarray"`
	Legs uint8
	Name []byte
}

// Scope is embedded, and its fields stand among zoo's.
type Scope struct {
	_    struct{} `cbor:",toarray"`
	Zone ZoneID
	Gen  uint64
}

// fill gives v a random value that can be encoded.
func fill(v reflect.Value, rng *rand.Rand) {
	if !v.CanSet() {
		return
	}
	number := func() uint64 {
		edges := []uint64{0, 23, 24, math.MaxUint8, 1 << 8, math.MaxUint16, 1 << 16, math.MaxUint32, 1 << 32, math.MaxInt64, 1 << 63, math.MaxUint64}
		if rng.IntN(3) == 0 {
			return rng.Uint64()
		}
		return edges[rng.IntN(len(edges))]
	}
	switch v.Type() {
	case linkType:
		c := CID{Codec: Raw}
		if rng.IntN(2) == 0 {
			c.Codec = DagCBOR
		}
		fill(reflect.ValueOf(&c.Digest).Elem(), rng)
		if rng.IntN(4) > 0 {
			v.Set(reflect.ValueOf(c))
		}
		return
	case rawType:
		v.SetBytes([][]byte{{0x01}, {0x82, 0x01, 0xf6}, {0x42, 0xff, 0x00}}[rng.IntN(3)])
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(rng.IntN(2) == 0)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(number() & (math.MaxUint64 >> (64 - v.Type().Bits())))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(number()) >> (64 - v.Type().Bits()))
	case reflect.String:
		v.SetString(string([]rune("aä€𝄞" + string(rune(rng.IntN(0xd800))))[:rng.IntN(5)]))
	case reflect.Slice:
		if n := []int{-1, 0, 1, 3, 30, 300}[rng.IntN(6)]; n >= 0 {
			if v.Type().Elem().Kind() != reflect.Uint8 {
				n = min(n, 30)
			}
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), rng)
		}
	case reflect.Pointer:
		if rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem(), rng)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), rng)
		}
	}
}

func TestEncodersAgree(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, typ := range []reflect.Type{
		reflect.TypeOf(zoo{hidden: 1}), reflect.TypeFor[Manifest](), reflect.TypeFor[Grant](), reflect.TypeFor[everything](),
		reflect.TypeFor[[]zoo](), reflect.TypeFor[uint64](), reflect.TypeFor[string](), reflect.TypeFor[Key](), reflect.TypeFor[*animal](),
	} {
		if planOf(typ) == nil {
			t.Errorf("%s is left to the library", typ)
		}
		for range 60 {
			v := reflect.New(typ)
			fill(v.Elem(), rng)
			for _, x := range []any{v.Interface(), v.Elem().Interface()} {
				got, err := encode(x)
				want, libErr := encMode.Marshal(x)
				if (err == nil) != (libErr == nil) || !bytes.Equal(got, want) {
					t.Fatalf("seed %d: %+v encodes to %x (%v), by the library to %x (%v)", seed, x, got, err, want, libErr)
				}
			}
			b, err := encode(v.Interface())
			if err != nil {
				t.Fatal(err)
			}
			sameReading(t, typ, b)
			for range 8 {
				broken := bytes.Clone(b)
				broken[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
				sameReading(t, typ, broken)
			}
		}
	}
}

// sameReading fails if Unmarshal and the library judge bytes as a type differently, or read other values.
func sameReading(t *testing.T, typ reflect.Type, b []byte) {
	t.Helper()
	got, want := reflect.New(typ), reflect.New(typ)
	err := Unmarshal(b, got.Interface())
	if scan(b) != nil {
		if err == nil {
			t.Fatalf("%x is read as a %s and is not canonical", b, typ)
		}
		return
	}
	libErr := unmarshalByLibrary(b, want.Interface())
	if (err == nil) != (libErr == nil) {
		t.Fatalf("%x as a %s: %v, by the library: %v", b, typ, err, libErr)
	}
	if err == nil && !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Fatalf("%x as a %s is %+v, by the library %+v", b, typ, got.Elem(), want.Elem())
	}
}

// TestReaderBounds: lists are bounded in number, and memory by the input's size, before anything is known of the elements.
func TestReaderBounds(t *testing.T) {
	list := func(n int, element byte) []byte {
		return append(appendHead(nil, majorArray, uint64(n)), bytes.Repeat([]byte{element}, n)...)
	}
	var numbers []uint16
	if err := Unmarshal(list(maxElements, 1), &numbers); err != nil || len(numbers) != maxElements {
		t.Errorf("%d numbers: %v", maxElements, err)
	}
	if err := Unmarshal(list(maxElements+1, 1), &numbers); err == nil {
		t.Errorf("%d numbers are read", maxElements+1)
	}
	b := list(maxElements, 0x80)
	var zoos []zoo
	before := allocated()
	err := Unmarshal(b, &zoos)
	if cost := allocated() - before; err == nil || cost > uint64(32*len(b)) {
		t.Errorf("%d bytes that are no list of zoos allocate %d (%v)", len(b), cost, err)
	}
}

func FuzzReadersAgree(f *testing.F) {
	rng := rand.New(rand.NewPCG(1, 1))
	types := []reflect.Type{reflect.TypeFor[zoo](), reflect.TypeFor[everything](), reflect.TypeFor[Manifest]()}
	for i, typ := range types {
		v := reflect.New(typ)
		fill(v.Elem(), rng)
		b, err := encode(v.Interface())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) { sameReading(t, types[int(i)%len(types)], b) })
}

// TestEncoderLeaves gives what no encoder may be made for: the library encodes it, or says why not.
func TestEncoderLeaves(t *testing.T) {
	type recursive struct {
		_    struct{} `cbor:",toarray"`
		Next *recursive
	}
	type tagged struct {
		_ struct{} `cbor:",toarray"`
		A int      `cbor:"b"`
	}
	type embedsPointer struct {
		_ struct{} `cbor:",toarray"`
		*Scope
	}
	type shadows struct {
		_   struct{} `cbor:",toarray"`
		Gen uint8
		Scope
	}
	type left struct {
		_ struct{} `cbor:",toarray"`
		A int      `json:"-"`
		B int
	}
	for _, v := range []any{
		&left{A: 1, B: 2}, &recursive{Next: &recursive{}}, &tagged{}, &embedsPointer{Scope: &Scope{}}, &shadows{}, struct{ A int }{1},
		map[string]int{"a": 1}, 1.5, time.Unix(0, 0), any(nil), &struct {
			_ struct{} `cbor:",toarray"`
			A any
		}{},
	} {
		got, err := encode(v)
		want, libErr := encMode.Marshal(v)
		if (err == nil) != (libErr == nil) || !bytes.Equal(got, want) {
			t.Errorf("%T encodes to %x (%v), by the library to %x (%v)", v, got, err, want, libErr)
		}
		if v == nil {
			continue
		}
		if typ := reflect.TypeOf(v); typ.Kind() == reflect.Pointer && planOf(typ.Elem()) != nil || typ.Kind() != reflect.Pointer && planOf(typ) != nil {
			t.Errorf("%T has an encoder", v)
		}
	}
	for _, v := range []any{&CID{Codec: 7, Digest: Hash{1}}, &RawItem{0xff}, &RawItem{}} {
		if b, err := encode(v); err == nil {
			t.Errorf("%T %v encodes to %x", v, v, b)
		}
	}
}

func BenchmarkMarshal(b *testing.B) {
	m := testCapsule(b, 3).Manifest()
	b.Run("plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encode(m)
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encMode.Marshal(m)
		}
	})
}

func BenchmarkUnmarshal(b *testing.B) {
	data := testCapsule(b, 3).ManifestBytes()
	b.Run("plan", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Unmarshal(data, new(Manifest))
		}
	})
	b.Run("library", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			unmarshalByLibrary(data, new(Manifest))
		}
	})
}
