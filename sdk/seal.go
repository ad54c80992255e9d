package sdk

import (
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Bundle is a signed capsule with the content that it names: code, and state and base if it has run ahead.
type Bundle struct {
	Capsule *capsule.Capsule
	Blobs   map[capsule.CID][]byte
}

// defaultStateBytes is the live state that a capsule may have at a boundary unless its terms say otherwise. Rent is held
// for it at admission, so it is no more than most programs of Go with a few megabytes of data need.
const defaultStateBytes = 4 << 20

// Seal signs a capsule on terms. Every call makes another capsule: a bundle is what can be submitted again and again.
// The limits are those that it was prepared under, since its state depends on them; terms may leave them out.
func (p *Prepared) Seal(id *capsule.Identity, t Terms) (*Bundle, error) {
	m, err := t.manifest(time.Now())
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", p.Program.Name, err)
	}
	if m.Needs, err = p.Program.Needs(t.Needs, t.Home); err != nil {
		return nil, err
	}
	if m.Gas == 0 {
		m.Gas = DefaultGas
	}
	if m.Limits != (capsule.Limits{}) && fillLimits(m.Limits) != p.Limits {
		return nil, fmt.Errorf("seal %s: the terms' limits are not those that it was prepared under; give them to Prepare, in PrepareOptions", p.Program.Name)
	}
	m.Limits = p.Limits
	m.Code, m.Entry, m.Seed, m.MeterVersion = p.Program.CID, p.Program.Entry, p.Program.seed(), wasm.MeterVersion
	b := &Bundle{Blobs: map[capsule.CID][]byte{p.Program.CID: p.Program.Code}}
	if p.State == nil {
		if len(p.Input) > capsule.MaxInput {
			return nil, fmt.Errorf("seal %s: an input of %d bytes, at most %d without running ahead; keep it in the zone's data",
				p.Program.Name, len(p.Input), capsule.MaxInput)
		}
		m.Input = p.Input
	} else {
		m.State, m.StateHash, m.Base = capsule.RawCID(p.State), p.StateHash, p.BaseCID
		b.Blobs[m.State] = p.State
		if !m.Base.IsZero() {
			b.Blobs[m.Base] = p.Base
		}
	}
	if b.Capsule, err = capsule.Seal(id, m, t.Chains); err != nil {
		return nil, fmt.Errorf("seal %s: %w", p.Program.Name, err)
	}
	return b, nil
}

// Seal signs a prepared capsule as the client, on terms that name zones as the client's book does.
func (c *Client) Seal(p *Prepared, options ...Option) (*Bundle, error) {
	t := newTerms(options)
	t.Chains = append(t.Chains, c.grants...)
	var err error
	switch {
	case !t.Home.IsZero():
	case t.name != "":
		t.Home, err = c.book.Zone(t.name)
	default:
		t.Home, err = c.book.Only()
	}
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", p.Program.Name, err)
	}
	return p.Seal(c.id, t)
}

// fillLimits makes every limit explicit, since the limits are part of what is signed and of the state.
func fillLimits(l capsule.Limits) capsule.Limits {
	pick := func(v *uint32, def uint32) {
		if *v == 0 {
			*v = def
		}
	}
	pick(&l.MemoryPages, vm.DefaultMemoryPages)
	pick(&l.TableElems, vm.DefaultTableElems)
	pick(&l.Depth, vm.DefaultDepth)
	if l.StateBytes == 0 {
		l.StateBytes = defaultStateBytes
	}
	return l
}
