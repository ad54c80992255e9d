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

func wroteState() *State {
	s := fullState()
	s.Lines, s.Err = [2][]byte{[]byte("half a"), []byte("panic: ")}, []byte("gone\npanic: ")
	return s
}

func TestStateRoundTrip(t *testing.T) {
	for _, s := range []*State{{}, fullState(), wroteState()} {
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
		"long line":        func(s *State) { s.Lines[1] = make([]byte, MaxLog) },
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
		"version":        append([]byte{3}, new(State).Marshal()[1:]...),
		"cut off":        append([]byte{2}, new(State).Marshal()[1:]...),
		"not written":    append(append([]byte{2}, new(State).Marshal()[1:]...), make([]byte, 12)...),
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
	f.Add(wroteState().Marshal())
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

// keeping leaves the log to the state.
type keeping struct{ Effects }

func (keeping) Log(uint8, string) bool { return false }

// TestWrite: a program writes in pieces, and what is logged are its lines; the end of standard error is kept, as much of it
// wherever the program was frozen and thawed meanwhile.
func TestWrite(t *testing.T) {
	levels := [2]uint8{1, 3}
	all := strings.Repeat("0123456789abcdef\n", 3000) + "panic: no\n\ttry: again"
	var states [][]byte
	for _, step := range []int{1, 7, 1000, 4096} {
		h := New(keeping{})
		var logged []string
		for at := 0; at < len(all); at += step {
			h.Write(1, 3, []byte(all[at:min(at+step, len(all))]))
			for _, l := range h.State.Log {
				logged = append(logged, l.Msg)
			}
			h.State.Log = nil
			if at%64 == 0 {
				s, err := UnmarshalState(h.State.Marshal())
				if err != nil {
					t.Fatal(err)
				}
				h.State = *s
			}
		}
		if got := strings.Join(logged, "\n"); got != all[:strings.LastIndexByte(all, '\n')] {
			t.Errorf("in pieces of %d: %d bytes logged, want %d", step, len(got), strings.LastIndexByte(all, '\n'))
		}
		if got := h.State.ErrTail(); string(got) != all[len(all)-MaxErr:] {
			t.Errorf("in pieces of %d: kept %d bytes that end in %q", step, len(got), got[max(0, len(got)-30):])
		}
		states = append(states, h.State.Marshal())
		h.Flush(levels)
		if len(h.State.Log) != 1 || h.State.Log[0] != (Line{3, "\ttry: again"}) || h.State.wrote() {
			t.Errorf("flushed: %+v", h.State)
		}
	}
	for _, s := range states[1:] {
		if !bytes.Equal(s, states[0]) {
			t.Error("the state depends on how the text was cut into pieces")
		}
	}
	h := New(keeping{})
	h.Write(0, 1, bytes.Repeat([]byte("x"), 2*MaxLog+5))
	if n := len(h.State.Log); n != 3 || len(h.State.Lines[0]) != 0 || len(h.State.Err) != 0 {
		t.Errorf("a line without end: %d messages, %d bytes wait", n, len(h.State.Lines[0]))
	}
}
