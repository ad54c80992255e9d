package node

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/api"
)

const (
	meetFirst = 100 * time.Millisecond
	meetEvery = 30 * time.Second
	meetTime  = 5 * time.Second // one peer
)

// meet asks the peers that the node was given which zones they serve and where their voters are, until the node stops.
// What they say are addresses to try; who answers there proves its key.
func (n *Node) meet() {
	wait := meetFirst
	for {
		for _, addr := range n.cfg.Peers {
			if err := n.ask(addr); err != nil && n.ctx.Err() == nil {
				n.log.Debug("peer not met", "addr", addr, "err", err)
			}
		}
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = min(2*wait, meetEvery)
	}
}

func (n *Node) ask(addr string) error {
	ctx, cancel := context.WithTimeout(n.ctx, meetTime)
	defer cancel()
	k, err := n.host.Connect(ctx, addr)
	if err != nil {
		return err
	}
	if k == n.Key() {
		return nil
	}
	s, err := n.host.Dial(ctx, k, api.ProtoZone)
	if err != nil {
		return err
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(meetTime))
	zones, err := api.Ask[api.Zones](s, &api.ZoneRequest{V: api.Version}, api.MaxMessage)
	if err != nil {
		return err
	}
	for i := range zones.Zones[:min(len(zones.Zones), api.MaxZones)] {
		n.learn(&zones.Zones[i], k)
	}
	return nil
}

// learn takes a node's word for where a zone's voters are, beside what proves itself: a zone that has no quorum yet, or
// no more, cannot sign how it stands.
func (n *Node) learn(z *api.ZoneInfo, from capsule.Key) {
	if err := n.believe(z, from); err == nil {
		return
	}
	for _, p := range z.Voters[:min(len(z.Voters), maxTold)] {
		if p.Key == n.Key() {
			continue
		}
		n.host.Hint(p.Key, p.Addrs[:min(len(p.Addrs), api.MaxAddrs)])
		n.mu.Lock()
		if k := n.zoneOf(z.Zone); len(k.told) < maxTold && !slices.Contains(k.told, p.Key) {
			k.told = append(k.told, p.Key)
		}
		n.mu.Unlock()
	}
}

// limits of the streams by which workers and operators come.
var voterLimits = p2p.StreamLimits{Rate: 500, Burst: 2000, PerPeer: 512, Streams: 4096, Memory: 64 << 10}

// toVoter hands the requests of a stream, of at most most bytes each, to this node's voter of the zone that they name.
func toVoter[T any](n *Node, most int, zone func(*T) capsule.ZoneID,
	serve func(ctx context.Context, v *voting, peer capsule.Key, req *T, s *p2p.Stream) error) p2p.Handler {
	return func(ctx context.Context, peer capsule.Key, s *p2p.Stream) {
		api.Each(ctx, s, most, func(req *T) error {
			v := n.voters[zone(req)]
			if v == nil {
				return notVoter(s, zone(req))
			}
			return serve(ctx, v, peer, req, s)
		})
	}
}

// serveVoters serves what only a voter answers.
func (n *Node) serveVoters() error {
	if len(n.voters) == 0 {
		return nil
	}
	for proto, serve := range map[string]p2p.Handler{
		api.ProtoCommand: toVoter(n, api.MaxCommand+16<<10, func(r *api.CommandRequest) capsule.ZoneID { return r.Zone },
			func(ctx context.Context, v *voting, _ capsule.Key, r *api.CommandRequest, s *p2p.Stream) error {
				return v.server.Command(ctx, r, s)
			}),
		api.ProtoRead: toVoter(n, api.MaxMessage, func(r *api.ReadRequest) capsule.ZoneID { return r.Zone },
			func(ctx context.Context, v *voting, peer capsule.Key, r *api.ReadRequest, s *p2p.Stream) error {
				return v.server.Read(ctx, peer, r, s)
			}),
		api.ProtoHandover: toVoter(n, api.MaxHandover, func(r *api.HandoverRequest) capsule.ZoneID { return r.Zone },
			func(ctx context.Context, v *voting, peer capsule.Key, r *api.HandoverRequest, s *p2p.Stream) error {
				return v.mover.Serve(ctx, peer, r, s)
			}),
		api.ProtoHold: toVoter(n, api.MaxHold, func(r *api.HoldRequest) capsule.ZoneID { return r.Zone },
			func(ctx context.Context, v *voting, peer capsule.Key, r *api.HoldRequest, s *p2p.Stream) error {
				return v.server.Hold(ctx, peer, r, s)
			}),
		api.ProtoNote: toVoter(n, api.MaxNoteBytes, func(r *api.Notes) capsule.ZoneID { return r.Zone },
			func(_ context.Context, v *voting, peer capsule.Key, r *api.Notes, s *p2p.Stream) error {
				return v.server.Notes(peer, r, s)
			}),
		api.ProtoPending: toVoter(n, api.MaxMessage, func(r *api.PendingRequest) capsule.ZoneID { return r.Zone },
			func(_ context.Context, v *voting, peer capsule.Key, r *api.PendingRequest, s *p2p.Stream) error {
				return v.server.Compare(peer, r, s)
			}),
		api.ProtoWork: toVoter(n, api.MaxMessage, func(r *api.WorkRequest) capsule.ZoneID { return r.Zone },
			func(ctx context.Context, v *voting, peer capsule.Key, r *api.WorkRequest, s *p2p.Stream) error {
				return v.server.Work(ctx, peer, r, s)
			}),
	} {
		if err := n.host.Handle(proto, voterLimits, serve); err != nil {
			return err
		}
	}
	return nil
}

// Meet asks the node at a multiaddr which zones it serves and where their voters are, as is done with the peers that the
// node was given.
func (n *Node) Meet(addr string) error { return n.ask(addr) }

// open is a stream to a node elsewhere.
func (n *Node) open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
	s, err := n.host.Dial(ctx, k, proto)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// maxForwards is how many results of other zones are waited for at a time: each holds a stream, and capsules that move to
// the same zone need some too. crowdedWait is how long one may wait for it while others have to wait for their turn, in ms.
const (
	maxForwards = 24
	crowdedWait = 100
)

// forward asks voters of another zone for the result of a capsule that went there.
func (n *Node) forward(ctx context.Context, req *api.ResultRequest) (*api.Outcome, error) {
	select {
	case n.forwards <- struct{}{}:
	default:
		req.Wait = min(req.Wait, crowdedWait)
		select {
		case n.forwards <- struct{}{}:
		case <-ctx.Done():
			return nil, &api.Refusal{Code: api.CodeTimeout, Detail: "the capsule has not ended; ask again"}
		}
	}
	defer func() { <-n.forwards }()
	err := error(&api.Refusal{Code: api.CodeUnavailable, Detail: "no voter of zone " + req.Zone.String() + " is known here", Retry: 1000})
	for _, k := range n.locate(ctx, req.Zone, nil) {
		out, ferr := n.forwardTo(ctx, k, req)
		var refused *api.Refusal
		if ferr == nil || errors.As(ferr, &refused) && refused.Code == api.CodeTimeout {
			return out, ferr
		}
		if err = ferr; ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

func (n *Node) forwardTo(ctx context.Context, k capsule.Key, req *api.ResultRequest) (*api.Outcome, error) {
	s, err := n.open(ctx, k, api.ProtoResult)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })()
	return api.Ask[api.Outcome](s, req, api.MaxOutcome)
}

func notVoter(s *p2p.Stream, z capsule.ZoneID) error {
	return api.Refuse(s, &api.Refusal{Code: api.CodeNotVoter, Detail: "this node is no voter of zone " + z.String()})
}
