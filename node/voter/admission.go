package voter

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// admission are the commands that admit a capsule, the last one. A small state stands in it; what else it needs and the
// zone has not heard of is attested first, so that no capsule is admitted whose content only one voter has.
func (s *Server) admission(ctx context.Context, c *capsule.Capsule, state []byte) ([][]byte, error) {
	m := c.Manifest()
	if state == nil {
		state = s.pending.stateOf(c.ID())
	}
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	var shared []*word
	for _, id := range []capsule.CID{m.Code, m.Base} {
		if id.IsZero() {
			continue
		}
		if known, err := known(v.View, id); err != nil {
			return nil, err
		} else if known {
			continue
		}
		set, err := v.Voters()
		if err != nil {
			return nil, err
		}
		shared = append(shared, s.words.of(id, &set, s.gather))
	}
	var cmds [][]byte
	if !m.State.IsZero() && state == nil {
		if state, cmds, err = s.vouchState(ctx, v.View, m.State); err != nil {
			return nil, err
		}
	}
	for _, w := range shared {
		select {
		case <-w.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if w.err != nil {
			return nil, w.err
		}
		cmds = append(cmds, w.cmds...)
	}
	admit, err := machine.NewAdmit(c.Bytes())
	if len(state) > 0 {
		admit, err = machine.NewAdmitState(c.Bytes(), state)
	}
	return append(cmds, admit), err
}

// known reports whether the zone has heard that its voters hold some content, for long enough to refer to it.
func known(v machine.View, id capsule.CID) (bool, error) {
	row, err := v.Blob(id)
	if err != nil && !errors.Is(err, machine.ErrNotFound) {
		return false, err
	}
	return row.Refs > 0 || row.Keep > uint64(time.Now().Add(attest.Promise/2).UnixMilli()), nil
}

// vouchState fetches a capsule's state. A small one is to stand in the admission; a large one is attested.
func (s *Server) vouchState(ctx context.Context, v machine.View, id capsule.CID) (state []byte, cmds [][]byte, err error) {
	b, err := s.cfg.Contents.Fetch(ctx, id, api.MaxHeld, s.others()...)
	if err != nil {
		return nil, nil, err
	}
	if len(b) > 0 && len(b) <= machine.MaxInline {
		return b, nil, nil
	}
	if known, err := known(v, id); known || err != nil {
		return nil, nil, err
	}
	cmds, err = s.vouchHeld(ctx, id, len(b))
	return nil, cmds, err
}

func (s *Server) vouchHeld(ctx context.Context, id capsule.CID, size int) ([][]byte, error) {
	fact := attest.Held(machine.Scope{}, 0, id, size, time.Now())
	cmds, err := s.Vouch(ctx, []machine.Attest{fact}, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("the zone's voters don't hold its content: %w", err)
	}
	return cmds, nil
}

// words are the attestations of code and bases. When the zone forgets that its voters hold the code of a busy function,
// all capsules that come at that moment need one: it is gathered once for them, for each gathering has every voter read
// and hash megabytes.
type words struct {
	mu sync.Mutex // guards m
	m  map[wordKey]*word
}

// wordKey has the epoch because a word is signed for one.
type wordKey struct {
	id                capsule.CID
	generation, epoch uint64
}

type word struct {
	fresh time.Time     // until when it may be used for another capsule
	done  chan struct{} // closed when what follows is set
	cmds  [][]byte
	err   error
}

// wordFresh leaves a word that is used last time enough to be applied before its promise ends.
const wordFresh = attest.Promise / 4

// of returns the word for some content, which is gathered in the background unless it is there or on its way.
func (w *words) of(id capsule.CID, set *cert.VoterSet, gather func(id capsule.CID, out *word)) *word {
	now := time.Now()
	key := wordKey{id, set.Generation, set.Epoch}
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.m[key]; x != nil && now.Before(x.fresh) && !x.failed() {
		return x
	}
	for k, x := range w.m {
		if !now.Before(x.fresh) {
			delete(w.m, k)
		}
	}
	if w.m == nil {
		w.m = map[wordKey]*word{}
	}
	x := &word{fresh: now.Add(wordFresh), done: make(chan struct{})}
	w.m[key] = x
	gather(id, x)
	return x
}

func (x *word) failed() bool {
	select {
	case <-x.done:
		return x.err != nil
	default:
		return false
	}
}

// gather fills a word in the background: whoever asked for it first may go before it is there.
func (s *Server) gather(id capsule.CID, out *word) {
	s.wg.Go(func() {
		defer close(out.done)
		ctx, cancel := context.WithTimeout(s.ctx, proposeTimeout)
		defer cancel()
		b, err := s.cfg.Contents.Fetch(ctx, id, api.MaxHeld, s.others()...)
		if err == nil {
			out.cmds, err = s.vouchHeld(ctx, id, len(b))
		}
		out.err = err
	})
}
