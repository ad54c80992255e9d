package spectest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/kitwork/kwnode/internal/spectest/suite"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

type action struct {
	Type, Module, Field string
	Args                []value
}

type command struct {
	Type, Name, As, Filename, Text string
	Line                           int
	ModuleType                     string `json:"module_type"`
	Action                         action
	Expected                       []value
}

// script is one file of the suite while it runs. Instances are kept by number, since the store may be replaced at any
// safepoint.
type script struct {
	tests *suite.Suite
	name  string // of the script in the suite
	s     *vm.Store
	names map[string]int // instances by name, "" is the last
	as    map[string]int // registered instances
	run   func(s *vm.Store) (*vm.Store, vm.Stop, error)
	seen  map[[32]byte]*vm.Module
}

func (sc *script) module(name string) (*vm.Module, error) {
	m, err := vm.Decode(sc.tests.Beside(sc.name, name))
	if err == nil {
		sc.seen[m.Hash()] = m
	}
	return m, err
}

// Resolve finds imports among the registered instances.
func (sc *script) Resolve(module, name string) vm.Extern {
	if i, ok := sc.as[module]; ok {
		return sc.s.Instances()[i].Export(name)
	}
	return nil
}

// instantiate does all of it, the start function too.
func (sc *script) instantiate(name string) error {
	m, err := sc.module(name)
	if err != nil {
		return err
	}
	if _, err := sc.s.Instantiate(m, sc); err != nil {
		return err
	}
	_, err = sc.call()
	return err
}

// call runs what is queued.
func (sc *script) call() ([]vm.Value, error) {
	s, stop, err := sc.run(sc.s)
	sc.s = s
	switch {
	case err != nil:
		return nil, err
	case stop.Reason == vm.Trapped:
		return nil, stop.Trap
	case stop.Reason != vm.Done:
		return nil, fmt.Errorf("stopped for reason %d", stop.Reason)
	}
	return stop.Results, nil
}

// command performs a command and reports whether it counts as an assertion.
func (sc *script) command(c *command) (error, bool) {
	switch c.Type {
	case "module":
		if err := sc.instantiate(c.Filename); err != nil {
			return err, false
		}
		sc.names[""] = len(sc.s.Instances()) - 1
		if c.Name != "" {
			sc.names[c.Name] = sc.names[""]
		}
		return nil, false
	case "register":
		sc.as[c.As] = sc.names[c.Name]
		return nil, false
	case "action":
		_, err := sc.action(&c.Action)
		return err, false
	case "assert_return":
		got, err := sc.action(&c.Action)
		if err != nil {
			return err, true
		}
		return matchAll(got, c.Expected), true
	case "assert_trap", "assert_exhaustion":
		_, err := sc.action(&c.Action)
		return wantTrap(err, c.Text), true
	case "assert_uninstantiable":
		return wantTrap(sc.instantiate(c.Filename), c.Text), true
	case "assert_unlinkable":
		var link *vm.LinkError
		if err := sc.instantiate(c.Filename); !errors.As(err, &link) || !strings.Contains(link.Reason, c.Text) {
			return fmt.Errorf("got %v, want %q", err, c.Text), true
		}
		return nil, true
	case "assert_invalid", "assert_malformed":
		if c.ModuleType == "text" {
			return nil, false
		}
		var bad *wasm.Error
		if _, err := sc.module(c.Filename); !errors.As(err, &bad) {
			return fmt.Errorf("accepted, want %q", c.Text), true
		}
		return nil, true
	}
	return fmt.Errorf("unknown command"), true
}

func wantTrap(err error, text string) error {
	var trap *vm.Trap
	if !errors.As(err, &trap) {
		return fmt.Errorf("got %v, want trap %q", err, text)
	}
	if !strings.HasPrefix(text, trap.Code.String()) {
		return fmt.Errorf("trap %q, want %q", trap.Code, text)
	}
	return nil
}

func (sc *script) action(a *action) ([]vm.Value, error) {
	at, ok := sc.names[a.Module]
	if !ok {
		return nil, fmt.Errorf("no module %q", a.Module)
	}
	inst := sc.s.Instances()[at]
	if a.Type == "get" {
		g, ok := inst.Export(a.Field).(*vm.Global)
		if !ok {
			return nil, fmt.Errorf("no global %q", a.Field)
		}
		return []vm.Value{g.Value()}, nil
	}
	args := make([]vm.Value, len(a.Args))
	for i := range args {
		v, err := a.Args[i].parse()
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	if err := sc.s.Start(inst, a.Field, args...); err != nil {
		return nil, err
	}
	return sc.call()
}
