package hostabi

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func fullState() *State {
	return &State{
		Input: []byte("in"), Args: []string{"program", "", "x y"}, Env: []string{"A=1"},
		Output: []byte("out"), HasOutput: true, Started: true,
		End: &End{Fail: true, Code: 17, Msg: "no funds"},
		Log: []Line{{1, "moved"}, {3, "héllo"}}, Dropped: 4,
		Pending: &Pending{
			Request{Op: OpPut, Store: 2, Key: []byte("k"), Val: []byte("v")},
			Delivery{Shape: ShapePoll, Dst: 1, Cap: 2, Dst2: 3, Fixed: make([]byte, 2*PollEvent)},
		},
	}
}

func TestStateRoundTrip(t *testing.T) {
	for _, s := range []*State{{}, fullState()} {
		b := s.Marshal()
		got, err := UnmarshalState(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v came back as %+v", s, got)
		}
		for i := range b {
			if _, err := UnmarshalState(b[:i]); err == nil {
				t.Fatalf("cut to %d bytes: accepted", i)
			}
		}
	}
}

func TestStateRefusals(t *testing.T) {
	long := strings.Repeat("x", MaxArgBytes)
	for name, change := range map[string]func(*State){
		"long input":       func(s *State) { s.Input = make([]byte, MaxValue+1) },
		"many arguments":   func(s *State) { s.Args = make([]string, MaxArgs+1) },
		"long arguments":   func(s *State) { s.Env = []string{long} },
		"zero in argument": func(s *State) { s.Args = []string{"a\x00b"} },
		"exit message":     func(s *State) { s.End.Fail = false },
		"long message":     func(s *State) { s.Log[0].Msg = long },
		"many messages":    func(s *State) { s.Log = make([]Line, MaxLogLines+1) },
		"operation 0":      func(s *State) { s.Pending.Op = 0 },
		"operation":        func(s *State) { s.Pending.Op = opEnd },
		"shape":            func(s *State) { s.Pending.Shape = shapeEnd },
		"empty key":        func(s *State) { s.Pending.Key = nil },
		"long key":         func(s *State) { s.Pending.Key = make([]byte, MaxKey+1) },
		"value to get":     func(s *State) { s.Pending.Op = OpGet },
		"zone not text":    func(s *State) { s.Pending.Op, s.Pending.Key, s.Pending.Val = OpGoto, []byte{0xff}, nil },
		"part of an event": func(s *State) { s.Pending.Fixed = s.Pending.Fixed[1:] },
		"sleep": func(s *State) {
			s.Pending.Request = Request{Op: OpSleep, N: MaxSleep + 1}
		},
	} {
		s := fullState()
		change(s)
		_, err := UnmarshalState(s.Marshal())
		if !errors.As(err, new(*StateError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string][]byte{
		"behind the end": append(new(State).Marshal(), 0),
		"version":        append([]byte{2}, new(State).Marshal()[1:]...),
		"flag":           bytes.Replace(fullState().Marshal(), []byte("\x03\x00\x00\x00out\x01"), []byte("\x03\x00\x00\x00out\x02"), 1),
		"size":           make([]byte, MaxState+1),
	} {
		if _, err := UnmarshalState(b); !errors.As(err, new(*StateError)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzState: what decodes is what encodes to the same bytes.
func FuzzState(f *testing.F) {
	f.Add(new(State).Marshal())
	f.Add(fullState().Marshal())
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := UnmarshalState(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Marshal(), b) {
			t.Fatalf("%x decodes to what encodes as %x", b, s.Marshal())
		}
	})
}
