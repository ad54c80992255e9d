// Package attest collects voters' words for facts that no replica can compute: that they hold content, that a
// continuation fits its code. It must never vouch for anything itself, or know how a voter makes sure.
package attest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Promise is for how long voters promise to keep content that nothing refers to yet: the time to bring an entry that does.
const Promise = 20 * time.Second

// Held is the fact that a zone's voters hold b until now + Promise, in zone time as the caller knows it.
func Held(scope machine.Scope, epoch uint64, id capsule.CID, size int, now time.Time) machine.Attest {
	return machine.Attest{
		Scope: scope, Epoch: epoch, Fact: machine.FactHeld, Blob: id, Size: uint64(size), Until: uint64(now.Add(Promise).UnixMilli()),
	}
}

// AtOnce is how many gatherings one asker has under way: a voter takes so many streams of content from one peer.
const AtOnce = 4

// Ask puts a request to one voter.
type Ask func(ctx context.Context, voter capsule.Key, req *api.HoldRequest) (*api.HoldReply, error)

// Call is an Ask over streams.
func Call(open func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)) Ask {
	return func(ctx context.Context, k capsule.Key, req *api.HoldRequest) (*api.HoldReply, error) {
		s, err := open(ctx, k, api.ProtoHold)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })()
		return api.Ask[api.HoldReply](s, req, api.MaxMessage)
	}
}

// answer is one voter's.
type answer struct {
	pos  int
	sigs []capsule.Sig
	err  error
}

// Gather asks all voters of a set and returns the commands that bring the facts into the log, as soon as a quorum has
// signed. The others go on until ctx ends, in goroutines started by background: the more hold it, the better.
func Gather(ctx context.Context, set *cert.VoterSet, facts []machine.Attest, req api.HoldRequest, ask Ask, background func(func())) ([][]byte, error) {
	req.V, req.Zone = api.Version, set.Zone
	for i := range facts {
		b, err := capsule.Marshal(&facts[i])
		if err != nil {
			return nil, err
		}
		req.Facts = append(req.Facts, b)
	}
	answers := make(chan answer, len(set.Keys))
	for pos, k := range set.Keys {
		background(func() {
			a := answer{pos: pos}
			var reply *api.HoldReply
			if reply, a.err = ask(ctx, k, &req); a.err == nil {
				a.sigs, a.err = reply.Sigs, verify(k, req.Facts, reply)
			}
			answers <- a
		})
	}
	sigs := make([][]cert.IndexSig, len(facts))
	var failed []error
	for signed := 0; signed < set.Quorum(); {
		if len(failed) > len(set.Keys)-set.Quorum() {
			return nil, fmt.Errorf("%d of %d voters attest, want %d: %w", signed, len(set.Keys), set.Quorum(), errors.Join(failed...))
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(append(failed, ctx.Err())...)
		case a := <-answers:
			if a.err != nil {
				failed = append(failed, fmt.Errorf("voter %s: %w", set.Keys[a.pos], a.err))
				continue
			}
			for i := range sigs {
				sigs[i] = append(sigs[i], cert.IndexSig{Pos: uint8(a.pos), Sig: a.sigs[i]})
			}
			signed++
		}
	}
	var out [][]byte
	for i := range sigs {
		slices.SortFunc(sigs[i], func(a, b cert.IndexSig) int { return int(a.Pos) - int(b.Pos) })
		cmd, err := machine.NewQuorum(machine.KindAttest, req.Facts[i], sigs[i])
		if err != nil {
			return nil, err
		}
		out = append(out, cmd)
	}
	return out, nil
}

func verify(k capsule.Key, facts [][]byte, reply *api.HoldReply) error {
	if reply.V != api.Version || len(reply.Sigs) != len(facts) {
		return fmt.Errorf("%w: %d signatures under %d facts", api.ErrMessage, len(reply.Sigs), len(facts))
	}
	for i, f := range facts {
		if !capsule.VerifySig(k, machine.KindAttest.SigKind(), f, reply.Sigs[i]) {
			return fmt.Errorf("%w: an invalid signature", api.ErrMessage)
		}
	}
	return nil
}
