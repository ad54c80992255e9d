package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// placeTime bounds how long a worker waits for the zone to take content.
const placeTime = 30 * time.Second

// place makes content findable for the zone: its voters fetch it from here, enough of them attest that they hold it, and
// the log knows. Then an entry may name it. release ends this node's own part in that.
func (w *Worker) place(ctx context.Context, s machine.Segment, contents ...[]byte) (release func(), err error) {
	owner := fmt.Sprintf("segment %s/%d/%d", s.Capsule, s.Segment, s.Lease)
	var ids []capsule.CID
	release = func() {
		for _, id := range ids {
			w.cfg.Net.Release(id, owner)
		}
	}
	w.mu.Lock()
	set := w.cfg.Tracker.Newest()
	w.mu.Unlock()
	scope := machine.NewScope(w.zone, set.Generation)
	var facts []machine.Attest
	for _, b := range contents {
		id := capsule.RawCID(b)
		w.cfg.Net.Keep(id, owner)
		ids = append(ids, id)
		if _, err := w.cfg.Net.Put(id.Codec, b); err != nil {
			return release, err
		}
		facts = append(facts, attest.Held(scope, set.Epoch, id, len(b), time.Now()))
	}
	if len(facts) == 0 {
		return release, nil
	}
	call := attest.Call(w.cfg.Net.Open)
	ask := func(_ context.Context, k capsule.Key, req *api.HoldRequest) (*api.HoldReply, error) {
		// A quorum is enough to go on; the others are given the time to have it too.
		ctx, cancel := context.WithTimeout(w.ctx, placeTime)
		defer cancel()
		return call(ctx, k, req)
	}
	ctx, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	req := api.HoldRequest{Lease: api.LeaseRef{Capsule: s.Capsule, Number: s.Lease}}
	cmds, err := attest.Gather(ctx, &set, facts, req, ask, w.wg.Go)
	if err != nil {
		return release, fmt.Errorf("the zone's voters don't hold %d contents: %w", len(facts), err)
	}
	for _, cmd := range cmds {
		if _, err := w.command(ctx, cmd); err != nil {
			return release, fmt.Errorf("attestation: %w", err)
		}
	}
	return release, nil
}
