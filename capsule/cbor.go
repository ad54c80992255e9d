package capsule

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// RawItem is one canonical CBOR item that stays as the bytes it came in, so that what was signed is
// never encoded again. It stands inline in its parent: readers of dag-cbor see the structure itself.
type RawItem []byte

// MarshalCBOR implements cbor.Marshaler.
func (r RawItem) MarshalCBOR() ([]byte, error) {
	if fail := scan(r); fail != nil {
		return nil, fail
	}
	return r, nil
}

// UnmarshalCBOR implements cbor.Unmarshaler. The caller, Unmarshal, has checked the whole input.
func (r *RawItem) UnmarshalCBOR(b []byte) error {
	*r = append((*r)[:0], b...)
	return nil
}

// maxElements bounds one array in a decoded structure. A log entry that lists the functions of the
// largest module stays below it.
const maxElements = 1 << 17

var encMode = must(func() (cbor.EncMode, error) {
	o := cbor.CoreDetEncOptions()
	o.NilContainers = cbor.NilContainerAsEmpty // one form for "no elements"
	return o.EncMode()
}())

var decMode = must(cbor.DecOptions{
	DupMapKey:         cbor.DupMapKeyEnforcedAPF,
	IndefLength:       cbor.IndefLengthForbidden,
	ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
	MaxNestedLevels:   maxNesting + 2, // the library counts tags and scalars too; scanItem is the real bound
	MaxArrayElements:  maxElements,
}.DecMode())

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // fixed options that the library does not take: our own bug
	}
	return v
}

// Marshal returns the canonical CBOR of v. Structs must carry the tag `cbor:",toarray"`: a struct is the
// array of its fields in declared order. Maps, floats and times are an error.
func Marshal(v any) ([]byte, error) {
	b, err := encode(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if fail := scan(b); fail != nil {
		return nil, fmt.Errorf("encode %T: %w; use arrays, integers, strings and links", v, fail)
	}
	return b, nil
}

// Unmarshal decodes b into v, a pointer, and accepts only what Marshal would have written for the value
// that results: no missing, additional or reordered field, no other tag than a link, no second form of
// any value. Errors are *EncodingError. After an error the content of v is unspecified.
func Unmarshal(b []byte, v any) error {
	if fail := scan(b); fail != nil {
		return fail
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer && !rv.IsNil() {
		if p := planOf(rv.Type().Elem()); p != nil {
			r := reader{b: b}
			return r.read(p, rv.UnsafePointer())
		}
	}
	return unmarshalByLibrary(b, v)
}

func unmarshalByLibrary(b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return &EncodingError{Offset: 0, Reason: strings.TrimPrefix(err.Error(), "cbor: ")}
	}
	// The library is lenient about types: a short byte string fills a longer array, a tag is skipped.
	// Encoding the value again settles it, whatever the type: equal bytes or refusal.
	again, err := encMode.Marshal(v)
	if err != nil {
		return &EncodingError{Offset: 0, Reason: err.Error()}
	}
	if !bytes.Equal(b, again) {
		at := 0
		for at < min(len(b), len(again)) && b[at] == again[at] {
			at++
		}
		return &EncodingError{Offset: at, Reason: fmt.Sprintf("the value does not fit its field in %T", v)}
	}
	return nil
}
