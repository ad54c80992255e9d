package vm

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNoImageIsAnError: where the system has no room for a module's image, thawing and freezing say so. What they would
// do without it has another meaning. Afterwards both work.
func TestNoImageIsAnError(t *testing.T) {
	code := loadGuest(t, "c/libc.wasm").w.Bytes
	fresh := func() *Module {
		m, err := Decode(code)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	link := Imports{}
	for _, im := range fresh().Imports() {
		link[[2]string{im.Module, im.Name}] = &HostFunc{Type: *im.Func, Fn: func(*HostCall) error { return nil }}
	}
	first := fresh()
	s := NewStore(Config{})
	defer s.Close()
	if _, err := s.Instantiate(first, link); err != nil {
		t.Fatal(err)
	}
	if first.image == nil {
		t.Fatal("the guest has no image, so there is nothing to see here")
	}
	b, err := s.Freeze(FreezeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.StateHash(nil)
	if err != nil {
		t.Fatal(err)
	}
	src := sourcesOf(fresh())
	src.Host = link
	var had unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &had); err != nil {
		t.Fatal(err)
	}
	none := unix.Rlimit{Cur: 0, Max: had.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	first.image = nil
	_, _, thawErr := Thaw(b, Config{}, src)
	_, freezeErr := s.Freeze(FreezeOptions{})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &had); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(thawErr, ErrBudget) || !errors.Is(freezeErr, ErrBudget) {
		t.Errorf("thaw: %v, freeze: %v, want %v of both", thawErr, freezeErr, ErrBudget)
	}
	back, _, err := Thaw(b, Config{}, src)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if got, err := back.StateHash(nil); err != nil || got != want {
		t.Errorf("thawed to %x, want %x (%v)", got, want, err)
	}
}
