package capsule

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// TestCanonical reads testdata/cbor.txt: one item a line, and what the scanner says of it.
func TestCanonical(t *testing.T) {
	f, err := os.Open("testdata/cbor.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cases := 0
	for line, lines := 1, bufio.NewScanner(f); lines.Scan(); line++ {
		text, want, ok := strings.Cut(lines.Text(), "//")
		if !ok {
			continue
		}
		cases++
		b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatalf("line %d: %v", line, err)
		}
		got := "ok"
		if fail := scan(b); fail != nil {
			got = strconv.Itoa(fail.Offset) + " " + fail.Reason
		}
		if want = strings.TrimSpace(want); got != want {
			t.Errorf("line %d: %s: got %q, want %q", line, text, got, want)
		}
	}
	if cases < 40 {
		t.Errorf("only %d cases", cases)
	}
}

// everything has a field of every type that structures use.
type everything struct {
	_     struct{} `cbor:",toarray"`
	Small uint8
	Big   uint64
	Neg   int64
	Yes   bool
	Bytes []byte
	Text  string
	Hash  Hash
	List  []Need
	Link  CID
	None  CID
	Raw   RawItem
	Ptr   *Need
}

func sampleEverything() everything {
	return everything{
		Small: 255, Big: 1 << 63, Neg: -5, Yes: true, Bytes: []byte{1}, Text: "grün", Hash: Sum(nil),
		List: []Need{{Zone: testZone("z"), Resource: "kv/*", Ability: Read}}, Link: RawCID(nil),
		Raw: RawItem{0x82, 0x01, 0x60}, Ptr: &Need{},
	}
}

func TestRoundTrip(t *testing.T) {
	for _, v := range []everything{sampleEverything(), {Raw: RawItem{cborNull}}} {
		b, err := Marshal(&v)
		if err != nil {
			t.Fatal(err)
		}
		var got everything
		if err := Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		again, err := Marshal(&got)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("decode and encode changed %x to %x (%v)", b, again, err)
		}
	}
}

func TestMarshalRefusesWhatIsNotOurs(t *testing.T) {
	for _, v := range []any{
		map[string]int{"a": 1}, 1.5, struct{ A int }{1}, RawItem{0x18, 0x01}, CID{Codec: 1},
		struct {
			_ struct{} `cbor:",toarray"`
			F float32
		}{},
	} {
		if b, err := Marshal(v); err == nil {
			t.Errorf("%T encoded to %x", v, b)
		}
	}
}

// respell returns every other spelling of the canonical item b that a lenient decoder would take for the
// same value, or a value with a field more or less: for each item inside, at each offset.
func respell(b []byte) map[string][]byte {
	out := map[string][]byte{}
	splice := func(name string, at, cut int, with ...byte) {
		spelled := append(append(append([]byte{}, b[:at]...), with...), b[at+cut:]...)
		out[name+" at "+strconv.Itoa(at)] = spelled
	}
	var walk func(off int) int
	walk = func(off int) int {
		major, arg, next := readHead(b, off)
		for _, size := range []int{1, 2, 4, 8} {
			if 1+size <= next-off || major == majorSimple {
				continue
			}
			long := []byte{major<<5 | 24 + byte(len(strconv.FormatInt(int64(size), 2))-1)}
			for i := size - 1; i >= 0; i-- {
				long = append(long, byte(arg>>(8*i)))
			}
			splice("head of "+strconv.Itoa(size), off, next-off, long...)
		}
		end, _ := scanItem(b, off)
		splice("dropped", off, end-off)
		splice("doubled", off, 0, b[off:end]...)
		splice("tagged", off, 0, 0xc0)
		splice("self-described", off, 0, 0xd9, 0xd9, 0xf7)
		splice("undefined", off, end-off, 0xf7)
		// Another number or length in the same place, which fixed widths must not cut to the old one.
		for _, bits := range []int{8, 16, 32} {
			more := binary.BigEndian.AppendUint64([]byte{major<<5 | 27}, arg+1<<bits)
			if major == majorUint {
				more, _ = Marshal(arg + 1<<bits)
			}
			splice("2^"+strconv.Itoa(bits)+" more", off, next-off, more...)
		}
		switch major {
		case majorBytes, majorText:
			if arg > 24 {
				splice("shortened", off, end-off, append([]byte{b[off], byte(arg - 1)}, b[next:end-1]...)...)
			}
			indefinite := append([]byte{major<<5 | 31}, b[off:end]...)
			splice("indefinite", off, end-off, append(indefinite, 0xff)...)
			splice("other string", off, 1, b[off]^0x20)
			// A list of the bytes, which decoders for byte arrays may accept too.
			if major == majorBytes {
				splice("list of bytes", off, 1, b[off]^0xc0)
			}
			return end
		case majorArray:
			indefinite := append([]byte{0x9f}, b[next:end]...)
			splice("indefinite", off, end-off, append(indefinite, 0xff)...)
			for range arg {
				next = walk(next)
			}
			return next
		case majorTag:
			splice("bare", off, next-off)
			return end
		case majorUint:
			if arg == 0 {
				splice("false for 0", off, 1, 0xf4)
			}
			splice("null", off, end-off, cborNull)
		}
		return end
	}
	walk(0)
	out["trailing"] = append(append([]byte{}, b...), 0)
	return out
}

func TestEveryRespellingRefused(t *testing.T) {
	v := sampleEverything()
	b, err := Marshal(&v)
	if err != nil {
		t.Fatal(err)
	}
	for name, spelled := range respell(b) {
		var got everything
		if err := Unmarshal(spelled, &got); err == nil {
			again, _ := Marshal(&got)
			if !bytes.Equal(again, spelled) {
				t.Errorf("%s: %x accepted, encodes to %x", name, spelled, again)
			}
		} else if !errors.As(err, new(*EncodingError)) {
			t.Errorf("%s: %T, want *EncodingError", name, err)
		}
	}
}

// TestUnmarshalShape: what is canonical CBOR but not the structure.
func TestUnmarshalShape(t *testing.T) {
	type pair struct {
		_ struct{} `cbor:",toarray"`
		H Hash
		N uint8
	}
	good, err := Marshal(&pair{H: Sum(nil), N: 7})
	if err != nil {
		t.Fatal(err)
	}
	short := append([]byte{0x82, 0x58, 0x1f}, good[4:]...)
	for name, b := range map[string][]byte{
		"one field less":    append([]byte{0x81}, good[1:len(good)-1]...),
		"one field more":    append(append([]byte{0x83}, good[1:]...), 0),
		"short byte string": short,
		"too big a number":  append(append([]byte{}, good[:len(good)-1]...), 0x19, 0x01, 0x00),
		"negative":          append(append([]byte{}, good[:len(good)-1]...), 0x20),
		"null for a number": append(append([]byte{}, good[:len(good)-1]...), cborNull),
		"empty":             {},
	} {
		var p pair
		err := Unmarshal(b, &p)
		if !errors.As(err, new(*EncodingError)) {
			t.Errorf("%s: got %v, want *EncodingError", name, err)
		}
	}
}

// TestHostileLengths: a length is a claim, and claims cost no memory.
func TestHostileLengths(t *testing.T) {
	for _, text := range []string{
		"9bffffffffffffffff", "5bffffffffffffffff", "7b7fffffffffffffff", "9a7fffffff", "5a7fffffff",
		"8401979bffffffffffffffff", "84019701" + "5820" + strings.Repeat("00", 32) + "5bffffffffffffff00",
		strings.Repeat("81", 60000), strings.Repeat("9a0000ffff", 5000),
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		for name, decode := range map[string]func() error{
			"Unmarshal": func() error { return Unmarshal(b, new(everything)) },
			"Decode":    func() error { _, err := Decode(b); return err },
			"Peek":      func() error { _, err := Peek(b, 0); return err },
			"Grant":     func() error { _, err := SignedGrant{Payload: b}.Grant(); return err },
		} {
			before := allocated()
			err := decode()
			if err == nil {
				t.Errorf("%s accepted %.40s", name, text)
			}
			if cost := allocated() - before; cost > uint64(2*len(b)+32<<10) {
				t.Errorf("%s of %d bytes allocated %d", name, len(b), cost)
			}
		}
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// FuzzUnmarshal: whatever is accepted encodes to the same bytes; memory follows the input's size.
func FuzzUnmarshal(f *testing.F) {
	v := sampleEverything()
	seed, err := Marshal(&v)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocated()
		var got everything
		err := Unmarshal(b, &got)
		// 56 bytes for each one-byte element that turns out not to be a need, and the error's text.
		if cost := allocated() - before; cost > uint64(100*len(b)+256<<10) {
			t.Errorf("%d bytes allocated %d", len(b), cost)
		}
		if err != nil {
			return
		}
		again, err := Marshal(&got)
		if err != nil || !bytes.Equal(b, again) {
			t.Errorf("%x was accepted and encodes to %x (%v)", b, again, err)
		}
	})
}

// FuzzDecodeAgrees holds the decoder of what travels to the general one: what it accepts Unmarshal
// accepts with the same result, and what Unmarshal and the format's rules accept it accepts.
func FuzzDecodeAgrees(f *testing.F) {
	c := testCapsule(f, 3)
	f.Add(true, []byte(c.ManifestBytes()))
	f.Add(false, []byte(c.Chains()[0][1].Payload))
	f.Fuzz(func(t *testing.T, isManifest bool, b []byte) {
		if isManifest {
			agree(t, b, (*decoder).manifest, (*Manifest).check)
		} else {
			agree(t, b, (*decoder).grant, (*Grant).check)
		}
	})
}

func agree[T any](t *testing.T, b []byte, decode func(*decoder, *T), check func(*T) *Refusal) {
	t.Helper()
	var ours, general T
	d := decoder{b: b}
	decode(&d, &ours)
	d.end()
	err := Unmarshal(b, &general)
	switch {
	case d.fail == nil && err != nil:
		t.Errorf("%x: the decoder accepts what Unmarshal refuses: %v", b, err)
	case d.fail == nil && !reflect.DeepEqual(ours, general):
		t.Errorf("%x: the decoder reads %+v, Unmarshal %+v", b, ours, general)
	case d.fail != nil && err == nil && check(&general) == nil:
		t.Errorf("%x: Unmarshal accepts what the decoder refuses: %v", b, d.fail)
	}
}

// TestDecodeAgrees runs the comparison on all respellings and truncations, which a fuzzer finds late.
func TestDecodeAgrees(t *testing.T) {
	c := testCapsule(t, 3)
	for _, b := range respell(c.ManifestBytes()) {
		agree(t, b, (*decoder).manifest, (*Manifest).check)
	}
	for _, b := range respell(c.Chains()[0][1].Payload) {
		agree(t, b, (*decoder).grant, (*Grant).check)
	}
	for n := range c.ManifestBytes() {
		agree(t, c.ManifestBytes()[:n], (*decoder).manifest, (*Manifest).check)
	}
}
