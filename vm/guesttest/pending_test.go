package guesttest

import (
	"testing"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
)

// elsewhere is effects that can't be had here while wait is set: the program has to be taken to where they can.
type elsewhere struct {
	*hostabi.Memory
	wait bool
}

func (e *elsewhere) here() error {
	if e.wait {
		return vm.ErrPending
	}
	return nil
}

func (e *elsewhere) Get(s uint32, k []byte) ([]byte, error) {
	if err := e.here(); err != nil {
		return nil, err
	}
	return e.Memory.Get(s, k)
}

func (e *elsewhere) Put(s uint32, k, v []byte) error {
	if err := e.here(); err != nil {
		return err
	}
	return e.Memory.Put(s, k, v)
}

func (e *elsewhere) Delete(s uint32, k []byte) error {
	if err := e.here(); err != nil {
		return err
	}
	return e.Memory.Delete(s, k)
}

func (e *elsewhere) Scan(s uint32, p, a []byte, most int) ([]hostabi.Row, error) {
	if err := e.here(); err != nil {
		return nil, err
	}
	return e.Memory.Scan(s, p, a, most)
}

func (e *elsewhere) Emit(t string, d []byte) error {
	if err := e.here(); err != nil {
		return err
	}
	return e.Memory.Emit(t, d)
}

func (e *elsewhere) Now() (uint64, error) {
	if err := e.here(); err != nil {
		return 0, err
	}
	return e.Memory.Now()
}

func (e *elsewhere) Random(p []byte) error {
	if err := e.here(); err != nil {
		return err
	}
	return e.Memory.Random(p)
}

func (e *elsewhere) Goto(z string) error {
	if err := e.here(); err != nil {
		return err
	}
	return e.Memory.Goto(z)
}

func (e *elsewhere) Sleep(ns uint64) error {
	if err := e.here(); err != nil {
		return err
	}
	return e.Memory.Sleep(ns)
}

func (e *elsewhere) Zone() (string, error) {
	if err := e.here(); err != nil {
		return "", err
	}
	return e.Memory.Zone()
}

func (e *elsewhere) Gas() (uint64, error) {
	if err := e.here(); err != nil {
		return 0, err
	}
	return e.Memory.Gas()
}

// TestPendingCallsMove stops each guest before every effect, ships it as bytes, and has the effect carried out where it
// arrives: nothing differs from having it done at once.
func TestPendingCallsMove(t *testing.T) {
	effects := 0
	for i := range list {
		g := &list[i]
		t.Run(g.name, func(t *testing.T) {
			mod := load(t, g)
			want, _ := play(t, mod, g, nil)
			got, m := playAway(t, mod, g)
			compare(t, "moved", got, want)
			t.Logf("%d effects elsewhere, at most %d bytes", m.freezes, m.largest)
			effects += m.freezes
		})
	}
	if effects < len(list) {
		t.Errorf("all guests together asked for %d effects; the test no longer moves any", effects)
	}
}
