package zone

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"

	hraft "github.com/hashicorp/raft"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// serve answers another voter's call.
func (z *Zone) serve(ctx context.Context, from capsule.Key, kind callKind, body []byte) ([]byte, error) {
	switch kind {
	case callTerm:
		return binary.BigEndian.AppendUint64(nil, z.node.Term()), nil
	case callReadIndex:
		i, err := z.node.ReadIndex(ctx)
		return binary.BigEndian.AppendUint64(nil, i), err
	case callTick:
		return z.signTick(body)
	case callEpoch:
		return z.signEpoch(body)
	case callDescriptor:
		return z.signDescriptor(body)
	case callPropose:
		return z.serveProposal(ctx, [][]byte{body})
	case callProposeAll:
		cmds, err := machine.Commands(body)
		if err != nil {
			return nil, err
		}
		return z.serveProposal(ctx, cmds)
	}
	return nil, fmt.Errorf("unknown call %d: this voter may be older than yours", kind)
}

func (z *Zone) serveProposal(ctx context.Context, cmds [][]byte) ([]byte, error) {
	out, err := z.unsound(cmds)
	if out == nil && err == nil {
		out, err = z.proposeHere(ctx, cmds)
	}
	if err != nil {
		return nil, err
	}
	return out.bytes()
}

// confirm asks a voter which election it knows of.
func (z *Zone) confirm(ctx context.Context, voter capsule.Key) (uint64, error) {
	b, err := z.calls.call(ctx, voter, callTerm, []byte{})
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, errors.New("answer is no term")
	}
	return binary.BigEndian.Uint64(b), nil
}

// prepare verifies the signatures of entries as soon as they are in the log, while they wait for their commit. The leader
// has done so before it proposed them.
func (z *Zone) prepare(entries []*hraft.Log) {
	n := z.callback.Load()
	if n == nil {
		return
	}
	if _, leading := n.Leading(); leading {
		return
	}
	for _, e := range entries {
		if e.Type != hraft.LogCommand || len(e.Data) == 0 {
			continue
		}
		index, data := e.Index, e.Data
		z.duties.background(func() {
			cmds, err := machine.Commands(data)
			if err != nil {
				return
			}
			parallel(len(cmds), func(i int) { z.m.PrepareLogged(index, i, cmds[i]) })
		})
	}
}

// parallel runs fn for 0 to n−1 on all processors.
func parallel(n int, fn func(int)) {
	workers := min(n, runtime.GOMAXPROCS(0))
	if workers <= 1 {
		for i := range n {
			fn(i)
		}
		return
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := w; i < n; i += workers {
				fn(i)
			}
		}()
	}
	wg.Wait()
}

// signEpoch signs a change of the voter set that enough roots have signed.
func (z *Zone) signEpoch(payload []byte) ([]byte, error) {
	var s cert.SignedAdmin
	if err := capsule.Unmarshal(payload, &s); err != nil {
		return nil, err
	}
	set := z.sets.newest()
	g, _, err := cert.ParseGenesis(z.cfg.Genesis)
	if err != nil {
		return nil, err
	}
	a, err := s.Verify(g, z.id)
	if err != nil {
		return nil, err
	}
	if a.Op != cert.OpEpoch || a.Generation != set.Generation {
		return nil, fmt.Errorf("a %s act of generation %d is no change of this generation's voters", a.Op, a.Generation)
	}
	if set.Position(z.self) < 0 {
		return nil, fmt.Errorf("%s is no voter of epoch %d", z.self, set.Epoch)
	}
	if err := z.signer.Broken(); err != nil {
		return nil, err
	}
	sig := z.cfg.Identity.Sign(cert.KindEpoch, s.Payload)
	return sig[:], nil
}

// ChangeVoters proposes a change of the voter set that enough roots have signed: it collects the present voters' signatures
// and appends the act. Raft's configuration follows by itself. Members that are to vote must have joined before: see
// AddLearner.
func (z *Zone) ChangeVoters(ctx context.Context, s *cert.SignedAdmin) (*Outcome, error) {
	set := z.sets.newest()
	req, err := capsule.Marshal(&cert.SignedAdmin{Payload: s.Payload, Roots: s.Roots, Voters: []cert.IndexSig{}})
	if err != nil {
		return nil, err
	}
	full := *s
	full.Voters, err = z.gatherEpoch(ctx, &set, req, s.Payload)
	if err != nil {
		return nil, fmt.Errorf("change of voters: %w", err)
	}
	cmd, err := machine.NewAdmin(&full)
	if err != nil {
		return nil, err
	}
	return z.Propose(ctx, cmd)
}

// AddLearner makes a peer receive the log without a vote, the first step of its joining. Only the leader can.
func (z *Zone) AddLearner(k capsule.Key) error {
	return z.leaderOnly(func() error { return z.node.AddLearner(k) })
}

// RemoveLearner takes back AddLearner.
func (z *Zone) RemoveLearner(k capsule.Key) error {
	set := z.sets.newest()
	if set.Position(k) >= 0 {
		return fmt.Errorf("%s votes in epoch %d: change the voters first", k, set.Epoch)
	}
	return z.leaderOnly(func() error { return z.node.Remove(k) })
}

// Transfer hands leadership to another voter, or to the most advanced one if k is zero.
func (z *Zone) Transfer(k capsule.Key) error {
	return z.leaderOnly(func() error { return z.node.Transfer(k) })
}

func (z *Zone) leaderOnly(fn func() error) error {
	if _, ok := z.node.Leading(); !ok {
		leader, known := z.node.Leader()
		if !known {
			return fmt.Errorf("%w and knows of no leader; a quorum of voters must be up", raft.ErrNotLeader)
		}
		return fmt.Errorf("%w: ask %s", raft.ErrNotLeader, leader)
	}
	return fn()
}
