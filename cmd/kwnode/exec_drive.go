package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/vm"
)

// drive runs what the store has queued until it ends in one way or another, freezing and thawing on the way, and
// answers the CPU time that running took.
func (r *execRun) drive(ctx context.Context) (vm.Stop, time.Duration, error) {
	var cpu time.Duration
	var need uint64
	for {
		left := r.gasLeft()
		give := left
		if r.o.freezeEvery > 0 {
			used := r.store.Gas()
			give = min(left, max(r.nextFreeze-min(used, r.nextFreeze), need))
		}
		from := threadCPU()
		stop, err := r.store.Run(ctx, give)
		cpu += threadCPU() - from
		switch {
		case err != nil:
			return stop, cpu, err
		case stop.Reason == vm.Interrupted:
			return stop, cpu, fmt.Errorf("interrupted after %d units of gas", r.store.Gas())
		case stop.Reason == vm.Waiting:
			return stop, cpu, errors.New("a host call is pending, which no call of this command's hosts may be")
		case stop.Reason != vm.OutOfGas || stop.Need > r.gasLeft():
			return stop, cpu, nil
		}
		// Out of what was granted, at a safepoint. Short of the mark, exactly the next step leads to the next one.
		need = stop.Need
		if used := r.store.Gas(); used >= r.nextFreeze {
			need = 0
			r.nextFreeze = (used/r.o.freezeEvery + 1) * r.o.freezeEvery
			if err := r.refreeze(); err != nil {
				return stop, cpu, err
			}
		}
	}
}

// refreeze freezes the store to bytes, drops it, and goes on with what a fresh one thaws from them.
func (r *execRun) refreeze() error {
	b, err := r.store.Freeze(vm.FreezeOptions{Host: r.host.State.Marshal()})
	if err != nil {
		return fmt.Errorf("freeze: %w", err)
	}
	r.store.Close()
	r.res.Freezes++
	r.res.StateBytes = max(r.res.StateBytes, len(b))
	module := func(hash [32]byte) (*vm.Module, error) {
		if hash != r.mod.Hash() {
			return nil, fmt.Errorf("the continuation names another module, %x", hash)
		}
		return r.mod, nil
	}
	store, host, err := vm.Thaw(b, r.cfg, vm.Sources{Module: module, Host: r.newHost()})
	if err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	r.store = store
	if err := r.host.Restore(host); err != nil {
		return fmt.Errorf("thaw: %w", err)
	}
	return nil
}
