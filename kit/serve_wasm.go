//go:build wasip1

package kit

import "reflect"

// Entry makes the body of a capsule's exported entry out of its function: it decodes the input, calls fn and hands over
// what it returned. The file that the SDK generates calls it during initialisation; nothing else needs to. What can be
// prepared is prepared here: it becomes part of the image that all capsules of the program share.
func Entry[In, Out any](fn func(Context, In) (Out, error)) func() int32 {
	_, inErr := planOf(reflect.TypeFor[In]())
	_, outErr := planOf(reflect.TypeFor[Out]())
	spare = make([]byte, firstBuffer)
	return func() int32 {
		if inErr != nil || outErr != nil {
			flowFail(CodeInput, "the types of the capsule's function can't travel")
		}
		flowOutput(asString(serve(fn)))
		return 0
	}
}

func serve[In, Out any](fn func(Context, In) (Out, error)) []byte {
	raw, done, e := outlist(flowInput)
	if e != 0 {
		flowFail(CodeInput, "input: "+e.Error())
	}
	var in In
	err := decode(raw, &in)
	done()
	if err != nil {
		flowFail(CodeInput, "input: "+err.Error())
	}
	out, err := fn(Context{}, in)
	if err != nil {
		flowFail(failure(err))
	}
	b, err := Marshal(out)
	if err != nil {
		flowFail(CodeOutput, "result: "+err.Error())
	}
	if len(b) > MaxResult {
		flowFail(CodeOutput, tooLong(len(b)))
	}
	return b
}

// failure finds the Failure in a chain of wrapped errors without package errors' reflection.
func failure(err error) (code uint32, msg string) {
	msg = err.Error()
	for e := err; e != nil; {
		if f, ok := e.(*Failure); ok {
			return f.Code, msg
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return CodeUnspecified, msg
}
