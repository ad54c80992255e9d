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

// content is what voters are to hold.
type content struct {
	id    capsule.CID // of bytes
	bytes []byte
}

// placement is content that was offered to the zone and that an entry is about to name.
type placement struct {
	w     *Worker
	owner string
	ids   []capsule.CID
	words [][]byte // attestations, which go into the log before the entry's command
}

// release ends this node's own part in keeping the content.
func (p *placement) release() {
	for _, id := range p.ids {
		p.w.cfg.Net.Release(id, p.owner)
	}
}

// place makes content findable for the zone: its voters fetch it from here, and enough of them attest that they hold it.
// Their words go into the log together with the command that needs them. A target is told of the content ahead.
func (w *Worker) place(ctx context.Context, s machine.Segment, target capsule.ZoneID, contents ...content) (*placement, error) {
	p := &placement{w: w, owner: fmt.Sprintf("segment %s/%d/%d", s.Capsule, s.Segment, s.Lease)}
	if len(contents) == 0 {
		return p, nil
	}
	select {
	case w.placing <- struct{}{}:
		defer func() { <-w.placing }()
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
	w.mu.Lock()
	set := w.cfg.Tracker.Newest()
	w.mu.Unlock()
	scope := machine.NewScope(w.zone, set.Generation)
	var facts []machine.Attest
	for _, c := range contents {
		w.cfg.Net.Keep(c.id, p.owner)
		p.ids = append(p.ids, c.id)
		if _, err := w.cfg.Net.Lend(c.id.Codec, c.bytes); err != nil {
			return p, err
		}
		facts = append(facts, attest.Held(scope, set.Epoch, c.id, len(c.bytes), time.Now()))
	}
	call := attest.Call(w.cfg.Net.Open)
	ask := func(_ context.Context, k capsule.Key, req *api.HoldRequest) (*api.HoldReply, error) {
		// A quorum is enough to go on; the others are given the time to have it too.
		ctx, cancel := context.WithTimeout(w.ctx, placeTime)
		defer cancel()
		return call(ctx, k, req)
	}
	gather, cancel := context.WithTimeout(ctx, placeTime)
	defer cancel()
	req := api.HoldRequest{Lease: api.LeaseRef{Capsule: s.Capsule, Number: s.Lease}, Target: target}
	var err error
	for wait := retryLow; ; wait *= 2 {
		p.words, err = attest.Gather(gather, &set, facts, req, ask, w.wg.Go)
		if err == nil || wait > retryHigh || isRefused(err, machine.CodeLease) {
			break
		}
		// A voter that is busy with others has room a little later, and keeps what it has got so far.
		select {
		case <-gather.Done():
			return p, context.Cause(gather)
		case <-time.After(wait):
		}
	}
	if err != nil {
		return p, fmt.Errorf("the zone's voters don't hold %d contents: %w", len(facts), err)
	}
	return p, nil
}
