package node

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/zone/api"
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
