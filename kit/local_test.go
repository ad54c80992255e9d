//go:build !wasip1

package kit

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
)

func keysOf(l *Local) []string { return l.Keys("home") }

func TestSegmentIsAtomic(t *testing.T) {
	l := NewLocal("home")
	put := func(c Context, fail bool) (int, error) {
		if err := Put(c, "a", 1); err != nil {
			return 0, err
		}
		if err := Emit(c, "made", "a"); err != nil {
			return 0, err
		}
		if v, err := Get[int](c, "a"); err != nil || v != 1 {
			return 0, fmt.Errorf("own write: %d, %w", v, err)
		}
		Log(c, LevelInfo, "half way")
		if fail {
			return 0, fmt.Errorf("wrapped: %w", Fail(20, "no"))
		}
		return 5, nil
	}
	_, err := Run(l, put, true)
	var f *Failure
	if !errors.As(err, &f) || f.Code != 20 {
		t.Fatalf("failure came back as %v", err)
	}
	if keys := keysOf(l); len(keys) != 0 || len(l.Events()) != 0 {
		t.Errorf("a failed segment left %v, %v", keys, l.Events())
	}
	if len(l.Log()) != 1 {
		t.Errorf("a failed segment's log is lost")
	}
	if v, err := Run(l, put, false); err != nil || v != 5 {
		t.Fatalf("Run = %d, %v", v, err)
	}
	if keys := keysOf(l); len(keys) != 1 || len(l.Events()) != 1 {
		t.Errorf("committed %v, %v", keys, l.Events())
	}
}

func TestBoundariesCommit(t *testing.T) {
	l := NewLocal("home")
	l.AddZone("eu")
	_, err := Run(l, func(c Context, in struct{}) (struct{}, error) {
		_ = Put(c, "before", 1)
		start := Now(c)
		if err := Sleep(c, 3*Second); err != nil {
			return in, err
		}
		if d := Now(c) - start; d != 3*Second {
			t.Errorf("slept %d ns", d)
		}
		if err := Goto(c, "mars"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Goto to an unknown zone: %v", err)
		}
		if err := Goto(c, "eu"); err != nil || Zone(c) != "eu" {
			t.Errorf("in %s after %v", Zone(c), err)
		}
		_ = Put(c, "there", 1)
		return in, errors.New("stop")
	}, struct{}{})
	if err == nil {
		t.Fatal("no error")
	}
	if got := keysOf(l); !reflect.DeepEqual(got, []string{"before"}) {
		t.Errorf("home holds %v", got)
	}
	if got := l.Keys("eu"); len(got) != 0 {
		t.Errorf("eu holds %v, written by the failed segment", got)
	}
}

func TestScan(t *testing.T) {
	l := NewLocal("home")
	want := []string{}
	if err := l.Do(func(c Context) error {
		for i := range 3 * localPage {
			if err := Put(c, fmt.Sprintf("d/%03d", i), i); err != nil {
				return err
			}
		}
		return Put(c, "e", 0)
	}); err != nil {
		t.Fatal(err)
	}
	err := l.Do(func(c Context) error {
		_ = Delete(c, "d/003")
		_ = Put(c, "d/0035", 99)
		_ = Put(c, "d/001", 77)
		for row, err := range Scan[int](c, "d/") {
			if err != nil {
				return err
			}
			want = append(want, fmt.Sprintf("%s=%d", row.Key, row.Value))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 3*localPage || want[1] != "d/001=77" || want[3] != "d/0035=99" {
		t.Errorf("scan gave %d rows: %v", len(want), want[:5])
	}
	err = l.Do(func(c Context) error {
		for _, err := range Scan[string](c, "d/") {
			if err != nil {
				return err
			}
		}
		return nil
	})
	var de *DecodeError
	if !errors.As(err, &de) {
		t.Errorf("rows of another type: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	l := NewLocal("home")
	l.Deny("secret/")
	err := l.Do(func(c Context) error {
		for _, x := range []struct {
			err  error
			want Errno
		}{
			{second(Get[int](c, "nothing")), ErrNotFound},
			{second(Get[int](c, "secret/1")), ErrDenied},
			{Put(c, "secret/1", 1), ErrDenied},
			{Put(c, "", 1), ErrInvalid},
			{Put(c, string(make([]byte, MaxKey+1)), 1), ErrTooLarge},
			{Put(c, "k", make([]byte, MaxValue)), ErrTooLarge},
			{Emit(c, "", 1), ErrInvalid},
			{Goto(c, ""), ErrInvalid},
			{Sleep(c, int64(maxSleep+1)), ErrTooLarge},
			{Sleep(c, -1*Second), ErrInvalid},
		} {
			if !errors.Is(x.err, x.want) {
				t.Errorf("%v, want %v", x.err, x.want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestResultIsBounded(t *testing.T) {
	long := func(c Context, n int) ([]byte, error) { return make([]byte, n), Put(c, "k", n) }
	l := NewLocal("home")
	if b, err := Run(l, long, MaxResult-3); err != nil || len(b) != MaxResult-3 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	var f *Failure
	if _, err := Run(NewLocal("home"), long, MaxResult); !errors.As(err, &f) || f.Code != CodeOutput {
		t.Errorf("a result above the limit: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestRandomIsRepeatable(t *testing.T) {
	draw := func() [8]byte {
		v, err := Run(NewLocal("home"), func(c Context, _ int) (out [8]byte, err error) {
			err = Random(c, out[:])
			return out, err
		}, 0)
		if err != nil || v == [8]byte{} {
			t.Fatalf("Random: %v, %v", v, err)
		}
		return v
	}
	if a, b := draw(), draw(); a != b {
		t.Errorf("two fresh Locals drew %x and %x", a, b)
	}
}
