package demo

import (
	"bytes"
	"context"
	"fmt"
	"index/suffixarray"
	"slices"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
	"github.com/kitwork/kwnode/vm/wasi"
)

// carried is what a continuation took along when it left an organisation.
type carried struct {
	Bytes uint64 `json:"bytes"` // of the state on the wire
	Rows  int    `json:"rows"`  // whose encoding stands in its memory
	Names int    `json:"names"` // of packages that stand in it
}

// replayGas bounds a replay.
const replayGas = 1 << 36

// replay runs a capsule here, on the rows of all organisations, up to each of its moves, and looks into its memory there.
// That it is the memory which crossed is proven by the hash of its state, which the zones have certified.
func replay(ctx context.Context, p *sdk.Prepared, g *graph, l *handover.Lineage) ([]carried, error) {
	eff := &crossing{Memory: hostabi.NewMemory(names[0], [32]byte{})}
	for _, z := range names {
		if err := eff.Memory.Goto(z); err != nil {
			return nil, err
		}
		for _, path := range g.owned(z) {
			b, err := kit.Marshal(g.rows[path])
			if err != nil {
				return nil, err
			}
			if err := eff.Memory.Put(0, []byte(rowsSpace+"/"+path), b); err != nil {
				return nil, err
			}
		}
		eff.Memory.Commit()
	}
	if err := eff.Memory.Goto(names[0]); err != nil {
		return nil, err
	}
	store, host, err := thaw(p, eff)
	if err != nil {
		return nil, err
	}
	defer store.Close()
	eff.GasLeft = func() uint64 { return replayGas }
	var out []carried
	own := look(store, g, 0, nil)
	for hop := 0; ; {
		if host.State.Pending != nil {
			if err := host.Perform(store); err != nil {
				return nil, err
			}
		}
		eff.across = false
		stop, err := store.Run(ctx, replayGas)
		if err != nil {
			return nil, err
		}
		if stop.Reason != vm.Waiting {
			break
		}
		if hop >= len(l.Steps) {
			return nil, fmt.Errorf("the replay moves more often than the capsule did")
		}
		offer := &l.Steps[hop].Offer
		hash, err := store.StateHash(host.State.Marshal())
		if err != nil {
			return nil, err
		}
		if capsule.Hash(hash) != offer.StateHash {
			return nil, fmt.Errorf("move %d: the state here is not the one that the zones have certified", hop+1)
		}
		out = append(out, look(store, g, offer.StateSize, own).carried)
		eff.across = true
		hop++
	}
	if len(out) != len(l.Steps) {
		return nil, fmt.Errorf("the replay moves %d times, the capsule moved %d times", len(out), len(l.Steps))
	}
	return out, nil
}

// crossing stops a program where it would move, the first time.
type crossing struct {
	*hostabi.Memory
	across bool
}

func (c *crossing) Goto(zone string) error {
	if !c.across {
		return vm.ErrPending
	}
	return c.Memory.Goto(zone)
}

func thaw(p *sdk.Prepared, eff hostabi.Effects) (*vm.Store, *hostabi.Host, error) {
	mod, err := vm.Decode(p.Program.Code)
	if err != nil {
		return nil, nil, err
	}
	host := hostabi.New(eff)
	limits := vm.Limits{MemoryPages: p.Limits.MemoryPages, TableElems: p.Limits.TableElems, Depth: p.Limits.Depth}
	cfg := vm.Config{Limits: limits}
	src := vm.Sources{
		Host:   vm.Resolvers{host, wasi.New(host)},
		Module: func([32]byte) (*vm.Module, error) { return mod, nil },
	}
	src.Base = func(hash [32]byte) (*vm.Base, error) { return vm.LoadBase(p.Base, hash, cfg, src) }
	store, saved, err := vm.Thaw(p.State, cfg, src)
	if err != nil {
		return nil, nil, err
	}
	if err := host.Restore(saved); err != nil {
		store.Close()
		return nil, nil, err
	}
	return store, host, nil
}

// found is which rows and names stand in a program's memory.
type found struct {
	carried
	rows, names map[string]bool
}

// look counts the rows and names in a program's memory, but for those that were there before it looked at any row: the
// names of packages that its own code is made of.
func look(store *vm.Store, g *graph, size uint64, before *found) *found {
	f := &found{carried{Bytes: size}, map[string]bool{}, map[string]bool{}}
	memory := suffixarray.New(used(store.Instances()[0].Memory().Bytes()))
	holds := func(b []byte) bool { return len(memory.Lookup(b, 1)) > 0 }
	for path, row := range g.rows {
		if holds([]byte(path)) && (before == nil || !before.names[path]) {
			f.names[path] = true
		}
		b, err := kit.Marshal(row)
		if err == nil && len(row.Imports) > 0 && holds(b) && (before == nil || !before.rows[path]) {
			f.rows[path] = true
		}
	}
	f.Rows, f.Names = len(f.rows), len(f.names)
	return f
}

// used leaves out what is empty: most of a memory is, and no name or row is longer than the gap that stays.
func used(memory []byte) []byte {
	const page = 1 << 12
	var empty [page]byte
	out := make([]byte, 0, len(memory)/8)
	gap := true
	for part := range slices.Chunk(memory, page) {
		if bytes.Equal(part, empty[:len(part)]) {
			if !gap {
				out = append(out, empty[:]...)
			}
			gap = true
			continue
		}
		out, gap = append(out, part...), false
	}
	return out
}
