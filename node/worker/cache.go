package worker

import (
	"errors"
	"fmt"
	"sync"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm"
)

// Cache keeps decoded modules and loaded bases: most capsules of a zone run a few programs. Whoever runs capsules and
// whoever checks them share one.
type Cache struct {
	mu      sync.Mutex // guards the fields below
	modules map[capsule.CID]*vm.Module
	bases   map[capsule.CID]*vm.Base
	codes   []capsule.CID // of modules, oldest first
	images  []capsule.CID // of bases, oldest first
}

// Bounds of what is kept: a module takes a few megabytes, a base as much as its program's memory after initialisation.
const (
	maxModules = 64
	maxBases   = 32
)

// NewCache makes an empty cache.
func NewCache() *Cache {
	return &Cache{modules: map[capsule.CID]*vm.Module{}, bases: map[capsule.CID]*vm.Base{}}
}

func (c *Cache) module(id capsule.CID, fetch func(capsule.CID) ([]byte, error)) (*vm.Module, error) {
	c.mu.Lock()
	m := c.modules[id]
	c.mu.Unlock()
	if m != nil {
		return m, nil
	}
	b, err := fetch(id)
	if err != nil {
		return nil, err
	}
	if m, err = vm.Decode(b); err != nil {
		return nil, fmt.Errorf("%w: %w", errBroken, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if had := c.modules[id]; had != nil {
		return had, nil
	}
	if len(c.codes) >= maxModules {
		delete(c.modules, c.codes[0])
		c.codes = c.codes[1:]
	}
	c.modules[id], c.codes = m, append(c.codes, id)
	return m, nil
}

// errFetch: content could not be had, which says nothing about the capsule.
var errFetch = errors.New("content is not at hand")

// baseOf returns what thawing uses to find the base that a manifest names.
func (c *Cache) baseOf(m *capsule.Manifest, fetch func(capsule.CID) ([]byte, error)) baseSource {
	return func(hash [32]byte, cfg vm.Config, src vm.Sources) (*vm.Base, error) {
		if m.Base.IsZero() {
			return nil, errors.New("the state needs a base that the manifest doesn't name")
		}
		c.mu.Lock()
		base := c.bases[m.Base]
		c.mu.Unlock()
		if base != nil && base.Hash() == hash {
			return base, nil
		}
		b, err := fetch(m.Base)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errFetch, err)
		}
		if base, err = vm.LoadBase(b, hash, cfg, src); err != nil {
			return nil, err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bases[m.Base] == nil {
			if len(c.images) >= maxBases {
				delete(c.bases, c.images[0])
				c.images = c.images[1:]
			}
			c.bases[m.Base], c.images = base, append(c.images, m.Base)
		}
		return base, nil
	}
}

// baseSource finds the base of a hash.
type baseSource func(hash [32]byte, cfg vm.Config, src vm.Sources) (*vm.Base, error)
