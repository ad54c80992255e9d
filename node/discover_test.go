package node

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/api/apitest"
)

// TestSeekSaysWhy: clients give up a zone that nobody knows; one whose voters were met, and a node that has no time, are others.
func TestSeekSaysWhy(t *testing.T) {
	z := capsule.ZoneID{1}
	soon := uint64(time.Now().Add(time.Hour).UnixMilli())
	for name, c := range map[string]struct {
		known known
		want  string
	}{
		"proved":      {known: known{expires: soon}},
		"met":         {known: known{looked: time.Now(), missing: fmt.Errorf("%w: %w", find.ErrNotFound, find.ErrNotYet)}, want: api.CodeUnavailable},
		"unknown":     {known: known{looked: time.Now(), missing: find.ErrNotFound}, want: api.CodeUnknownZone},
		"no time":     {known: known{}, want: api.CodeBusy},
		"being found": {known: known{looking: make(chan struct{}), missing: find.ErrNotFound}, want: api.CodeUnavailable},
	} {
		n := &Node{known: map[capsule.ZoneID]*known{z: &c.known}, looks: make(chan struct{}), ctx: t.Context()}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // of who doesn't wait
		r := n.seek(ctx, z)
		if r == nil && c.want != "" || r != nil && r.Code != c.want {
			t.Errorf("%s: %v, want %q", name, r, c.want)
		}
	}
}

// TestOnlyVotersSayNotYet: a voter without a descriptor is asked again soon, anybody else without one has answered falsely; what
// arrives while another answer is checked says nothing of who sent it.
func TestOnlyVotersSayNotYet(t *testing.T) {
	z := apitest.NewZone(t, "z", 4)
	n := &Node{known: map[capsule.ZoneID]*known{}, ctx: t.Context()}
	info := &api.ZoneInfo{V: api.Version, Zone: z.ID, Genesis: z.Genesis}
	if err := n.believe(info, z.Voters[0].Key()); !errors.Is(err, find.ErrNotYet) {
		t.Errorf("a voter: %v", err)
	}
	if err := n.believe(info, capsule.Key{1}); err == nil || errors.Is(err, find.ErrNotYet) {
		t.Errorf("a stranger: %v", err)
	}
	n.known[z.ID].busy = true
	if err := n.believe(info, capsule.Key{1}); !errors.Is(err, find.ErrNotYet) {
		t.Errorf("beside another answer: %v", err)
	}
}
