//go:build wasip1

package kit

// Serve is the body of a capsule's exported entry: it decodes the input, calls fn and hands over what it returned. The
// entry file that the SDK generates calls it; nothing else needs to.
func Serve[In, Out any](fn func(Context, In) (Out, error)) int32 {
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
	flowOutput(asString(b))
	return 0
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
