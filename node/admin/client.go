package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Client asks nodes, as one identity.
type Client struct {
	h     *p2p.Host
	id    *capsule.Identity
	node  capsule.Key   // that was dialled
	chain capsule.Chain // shown with each request that has none
}

// Dial connects to a node by multiaddr, or to the first of several that answers; commas stand between them.
func Dial(ctx context.Context, addr string, id *capsule.Identity) (*Client, error) {
	if k, err := p2p.PeerOf(addr); err == nil && k == id.Key() {
		return nil, errors.New("a node cannot be asked as itself: start it with --operator and the public key of another identity, and ask as that")
	}
	h, err := p2p.New(p2p.Config{Identity: id})
	if err != nil {
		return nil, err
	}
	c := &Client{h: h, id: id, chain: capsule.Chain{}}
	err = p2p.First(ctx, addr, func(ctx context.Context, addr string) (err error) {
		c.node, err = h.Connect(ctx, addr)
		return err
	})
	if err != nil {
		h.Close()
		return nil, err
	}
	return c, nil
}

// Close drops the connections.
func (c *Client) Close() error { return c.h.Close() }

// Node is the key of the node that was dialled.
func (c *Client) Node() capsule.Key { return c.node }

// Show lets the node see, with each request that has no grants of its own, by which grants its client asks.
func (c *Client) Show(chain capsule.Chain) { c.chain = chain }

// Identity is who asks.
func (c *Client) Identity() *capsule.Identity { return c.id }

// Connect reaches one more node.
func (c *Client) Connect(ctx context.Context, addr string) (capsule.Key, error) {
	return c.h.Connect(ctx, addr)
}

// Ping measures the way to the node that was dialled and back.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) { return c.h.Ping(ctx, c.node) }

const (
	askTime   = 15 * time.Second // one question to one node
	retryWait = 200 * time.Millisecond
)

// ask has one node answer one request of a protocol.
func ask[T any](ctx context.Context, c *Client, to capsule.Key, proto string, req any, most int) (*T, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	s, err := c.h.Dial(ctx, to, proto)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if d, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(d)
	}
	return api.Ask[T](s, req, most)
}

// Ask has a node answer one request into out.
func (c *Client) Ask(ctx context.Context, to capsule.Key, req *Request, out any) error {
	req.V = Version
	if req.Key == nil {
		req.Key = []byte{}
	}
	if req.After == nil {
		req.After = []byte{}
	}
	if req.Act == nil {
		req.Act = []byte{}
	}
	if req.Peers == nil {
		req.Peers = []capsule.Key{}
	}
	if req.Chain == nil {
		req.Chain = c.chain
	}
	rep, err := ask[Reply](ctx, c, to, Proto, req, MaxReply)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(rep.JSON, out); err != nil {
		return fmt.Errorf("%w: %v", api.ErrMessage, err)
	}
	return nil
}

// Zone is a zone as a client knows it.
type Zone struct {
	ID      capsule.ZoneID
	Raw     []byte
	Genesis *cert.Genesis
	Voters  []api.Peer // as the node tells; hints
}

// Zones are those that the dialled node serves or knows.
func (c *Client) Zones(ctx context.Context) ([]Zone, error) {
	rep, err := ask[api.Zones](ctx, c, c.node, api.ProtoZone, &api.ZoneRequest{V: api.Version}, api.MaxMessage)
	if err != nil {
		return nil, err
	}
	var out []Zone
	for _, z := range rep.Zones {
		g, id, err := cert.ParseGenesis(z.Genesis)
		if err != nil || id != z.Zone {
			return nil, fmt.Errorf("node %s shows a genesis that isn't zone %s's", c.node, z.Zone)
		}
		for _, p := range z.Voters {
			if p.Key != c.node && len(p.Addrs) > 0 {
				c.h.Hint(p.Key, p.Addrs[:min(len(p.Addrs), api.MaxAddrs)])
			}
		}
		out = append(out, Zone{id, z.Genesis, g, z.Voters})
	}
	return out, nil
}

// voters lists whom to ask about a zone, the dialled node first.
func (c *Client) voters(z *Zone) []capsule.Key {
	out := []capsule.Key{c.node}
	for _, p := range z.Voters {
		if !slices.Contains(out, p.Key) {
			out = append(out, p.Key)
		}
	}
	return out
}

// passing reports whether another voter, or the same one later, may do better.
func passing(err error) bool {
	var r *api.Refusal
	if !errors.As(err, &r) {
		return true // the node didn't answer
	}
	return r.Code == api.CodeNotVoter || r.Code == api.CodeUnavailable || r.Code == api.CodeBusy || r.Code == api.CodeUnknownZone
}

// hopeless reports whether a voter says that asking again won't help: the zone has lost its quorum.
func hopeless(err error) bool {
	var r *api.Refusal
	return errors.As(err, &r) && r.Code == api.CodeUnavailable && r.Retry == 0
}

// try asks voters in turn until one answers, a refusal stands, all that can be reached see no quorum, or ctx ends.
func (c *Client) try(ctx context.Context, keys func() ([]capsule.Key, error), fn func(capsule.Key) error) error {
	for {
		ask, last := keys()
		lost := last
		var better bool // one of them may do better later
		for _, k := range ask {
			err := fn(k)
			if err == nil || !passing(err) {
				return err
			}
			last = fmt.Errorf("node %s: %w", k, err)
			if ctx.Err() != nil {
				return fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
			}
			if hopeless(err) {
				lost = last
			} else {
				better = better || errors.As(err, new(*api.Refusal))
			}
		}
		if hopeless(lost) && !better {
			return lost
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = errors.New("no voter is known")
			}
			return fmt.Errorf("%w; last: %w", context.Cause(ctx), last)
		case <-time.After(retryWait):
		}
	}
}

// AskZone has any voter of a zone answer.
func (c *Client) AskZone(ctx context.Context, z *Zone, req *Request, out any) error {
	req.Zone = z.ID
	return c.try(ctx, func() ([]capsule.Key, error) { return c.voters(z), nil }, func(k capsule.Key) error { return c.Ask(ctx, k, req, out) })
}

// AskLeader has the leader of a zone answer.
func (c *Client) AskLeader(ctx context.Context, z *Zone, req *Request, out any) error {
	req.Zone = z.ID
	leader := func() ([]capsule.Key, error) {
		var seen, lost error
		for _, k := range c.voters(z) {
			var st ZoneStatus
			switch err := c.Ask(ctx, k, &Request{Op: OpStatus, Zone: z.ID}, &st); {
			case err != nil:
			case !st.Leader.IsZero():
				return []capsule.Key{st.Leader}, nil
			case st.NoQuorum != "":
				lost = &api.Refusal{Code: api.CodeUnavailable, Detail: st.NoQuorum}
			default:
				seen = errors.New("an election is going on")
			}
		}
		if seen != nil {
			return nil, seen
		}
		return nil, lost
	}
	return c.try(ctx, leader, func(k capsule.Key) error { return c.Ask(ctx, k, req, out) })
}

// Status is how a zone stands.
func (c *Client) Status(ctx context.Context, z *Zone) (*ZoneStatus, error) {
	st := new(ZoneStatus)
	return st, c.AskZone(ctx, z, &Request{Op: OpStatus}, st)
}

// Command has any voter propose a signed command. Every command may be given again: it takes effect once.
func (c *Client) Command(ctx context.Context, z *Zone, cmd []byte) (rep *api.CommandReply, err error) {
	req := &api.CommandRequest{V: api.Version, Zone: z.ID, Command: cmd, First: [][]byte{}}
	err = c.try(ctx, func() ([]capsule.Key, error) { return c.voters(z), nil }, func(k capsule.Key) (err error) {
		rep, err = ask[api.CommandReply](ctx, c, k, api.ProtoCommand, req, api.MaxMessage)
		return err
	})
	return rep, err
}

// Refused reports whether an error is a node's or a zone's considered no.
func Refused(err error) bool {
	var r *api.Refusal
	return errors.As(err, &r) && !passing(err)
}

// SignAct makes an act of administration that follows the zone's last one, signed by the roots given.
func (c *Client) SignAct(ctx context.Context, z *Zone, op cert.Op, body any, roots ...*capsule.Identity) (*cert.SignedAdmin, error) {
	// A follower may not have applied the last act yet; whoever leads has.
	st := new(ZoneStatus)
	if err := c.AskLeader(ctx, z, &Request{Op: OpStatus}, st); err != nil {
		return nil, err
	}
	b, err := capsule.Marshal(body)
	if err != nil {
		return nil, err
	}
	return cert.SignAdmin(z.Genesis, &cert.Admin{
		V: cert.Version, Zone: z.ID, Generation: st.Generation, Sequence: st.AdminSequence + 1, Op: op, Body: b,
	}, roots...)
}

// Act has the zone's roots do something.
func (c *Client) Act(ctx context.Context, z *Zone, op cert.Op, body any, roots ...*capsule.Identity) error {
	s, err := c.SignAct(ctx, z, op, body, roots...)
	if err != nil {
		return err
	}
	cmd, err := machine.NewAdmin(s)
	if err != nil {
		return err
	}
	_, err = c.Command(ctx, z, cmd)
	return err
}
