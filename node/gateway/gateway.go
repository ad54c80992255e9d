// Package gateway is where a client's requests enter: it checks what can be checked cheaply, limits traffic by author and
// by peer, and hands everything else to a voter of the zone, here or elsewhere. It must never be believed by anybody: no
// decision rests on its checks, and what it relays is signed by others.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/quota"
	"github.com/kitwork/kwnode/zone/api"
)

// Voter answers for a zone in this process.
type Voter interface {
	Submit(ctx context.Context, req *api.SubmitRequest, s io.ReadWriter) error
	Result(ctx context.Context, req *api.ResultRequest, w io.Writer) error
	Watch(ctx context.Context, req *api.WatchRequest, w io.Writer) error
	Info(ctx context.Context, req *api.ZoneRequest) (*api.ZoneInfo, error)
}

// Config joins a gateway to its node.
type Config struct {
	Host *p2p.Host
	// Voter returns the voter of a zone that runs in this process, or nil.
	Voter func(z capsule.ZoneID) Voter
	// Find returns voters of a zone elsewhere, best first.
	Find func(ctx context.Context, z capsule.ZoneID) []capsule.Key
	// Seek looks for a zone elsewhere until Tell can tell of it, or says why it can't.
	Seek  func(ctx context.Context, z capsule.ZoneID) *api.Refusal
	Zones func() []Voter // those of this process
	// Tell returns what was proved of a zone elsewhere, or nil. It must not ask anybody.
	Tell func(req *api.ZoneRequest) *api.ZoneInfo
	// Known are zones elsewhere of which Tell may tell.
	Known func() []capsule.ZoneID
	// Publish gossips a checked capsule to its zone, when no voter elsewhere takes it at once. Nil: it is not gossiped.
	Publish func(c *capsule.Capsule)
	// Verified remembers signatures and chains; may be nil.
	Verified *capsule.Cache
	Logger   *slog.Logger
	// Trusting leaves out every check. It exists so that a test can show that no decision needs them.
	Trusting bool
}

// Quotas of one author and one peer, in capsules a second. They filter traffic; they grant nothing.
const (
	perAuthor, authorBurst = 200, 2000
	perPeer, peerBurst     = 1000, 4000
	maxKeys                = 1 << 15 // that are told apart, of each kind
)

// Counts are what a gateway has done.
type Counts struct {
	Forwarded, Refused, Limited, Relayed uint64
}

// Gateway serves the protocols of clients.
type Gateway struct {
	cfg    Config
	filter *Filter
	counts struct{ forwarded, refused, limited, relayed atomic.Uint64 }

	mu      sync.Mutex // guards what follows
	serving bool
	pool    *api.Pool // of streams to voters while it serves
}

// Filter is what a gateway checks of a submission: from cheap to dear, and nothing that a voter doesn't repeat.
type Filter struct {
	verified *capsule.Cache
	author   *quota.Table[capsule.Key]
	peer     *quota.Table[capsule.Key]
}

// NewFilter makes a filter that has met nobody. verified remembers signatures and chains, and may be nil.
func NewFilter(verified *capsule.Cache) *Filter {
	return &Filter{
		verified: verified,
		author:   quota.New[capsule.Key](maxKeys, perAuthor, authorBurst), peer: quota.New[capsule.Key](maxKeys, perPeer, peerBurst),
	}
}

// limits of the streams by which clients come.
var limits = p2p.StreamLimits{Rate: 200, Burst: 1000, PerPeer: 128, Streams: 2048, Memory: 256 << 10}

// seekLimits are those of questions that make the node search: clients ask them, once in a while.
var seekLimits = p2p.StreamLimits{Rate: 2, Burst: 20, PerPeer: 8, Streams: 64, Memory: 64 << 10, Timeout: 30 * time.Second}

// New makes a gateway that doesn't serve yet.
func New(cfg Config) *Gateway {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Gateway{cfg: cfg, filter: NewFilter(cfg.Verified)}
}

// Serve begins to serve clients on the host, if the gateway doesn't yet.
func (g *Gateway) Serve() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.serving {
		return nil
	}
	g.serving = true
	g.pool = &api.Pool{Open: func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
		s, err := g.cfg.Host.Dial(ctx, k, proto)
		if err != nil {
			return nil, unreached{err}
		}
		return s, nil
	}}
	for proto, serve := range map[string]p2p.Handler{
		api.ProtoSubmit: g.submit, api.ProtoResult: g.result, api.ProtoWatch: g.watch, api.ProtoZone: g.zone,
	} {
		if err := g.cfg.Host.Handle(proto, limits, serve); err != nil {
			g.rest()
			return err
		}
	}
	if err := g.cfg.Host.Handle(api.ProtoSeek, seekLimits, g.seek); err != nil {
		g.rest()
		return err
	}
	return nil
}

// Close stops serving. Serve begins anew.
func (g *Gateway) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.serving {
		g.rest()
	}
}

// Serving reports whether clients are served.
func (g *Gateway) Serving() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.serving
}

// rest stops serving. g.mu is held.
func (g *Gateway) rest() {
	g.serving = false
	g.pool.Close()
	for _, proto := range []string{api.ProtoSubmit, api.ProtoResult, api.ProtoWatch, api.ProtoZone, api.ProtoSeek} {
		g.cfg.Host.Unhandle(proto)
	}
}

// Counts returns what the gateway has done.
func (g *Gateway) Counts() Counts {
	return Counts{g.counts.forwarded.Load(), g.counts.refused.Load(), g.counts.limited.Load(), g.counts.relayed.Load()}
}

// submitTimeout bounds one submission with its content.
const submitTimeout = 60 * time.Second

func (g *Gateway) submit(ctx context.Context, peer capsule.Key, s *p2p.Stream) {
	api.Each(ctx, s, api.MaxSubmit, func(req *api.SubmitRequest) error {
		_ = s.SetDeadline(time.Now().Add(submitTimeout))
		c, home, r := g.check(req, peer)
		if r != nil {
			g.counts.refused.Add(1)
			// Its content is still on the way: the stream is of no use any more.
			_ = api.Refuse(s, r)
			return r
		}
		if v := g.cfg.Voter(home); v != nil {
			g.counts.forwarded.Add(1)
			return v.Submit(ctx, req, s)
		}
		ctx, cancel := context.WithTimeout(ctx, submitTimeout)
		defer cancel()
		if c == nil || g.cfg.Publish == nil {
			return g.relay(ctx, home, api.ProtoSubmit, req, s, contentSize(req))
		}
		late := time.AfterFunc(api.TellAfter, func() { g.cfg.Publish(c) })
		err := g.relay(ctx, home, api.ProtoSubmit, req, s, contentSize(req))
		if late.Stop() && err != nil {
			g.cfg.Publish(c)
		}
		return err
	})
}

// check applies the filter.
func (g *Gateway) check(req *api.SubmitRequest, peer capsule.Key) (*capsule.Capsule, capsule.ZoneID, *api.Refusal) {
	if g.cfg.Trusting {
		c, err := capsule.Decode(req.Envelope)
		if err != nil {
			return nil, capsule.ZoneID{}, nil
		}
		return nil, c.Manifest().Home, nil // unchecked, so it is not gossiped
	}
	c, home, r := g.filter.Check(req, peer)
	if r != nil && r.Code == api.CodeBusy {
		g.counts.limited.Add(1)
	}
	return c, home, r
}

// Check returns a submission's capsule, verified, and its home, or why it is refused.
func (f *Filter) Check(req *api.SubmitRequest, peer capsule.Key) (*capsule.Capsule, capsule.ZoneID, *api.Refusal) {
	now := uint64(time.Now().UnixMilli())
	if r := req.Check(); r != nil {
		return nil, capsule.ZoneID{}, r
	}
	h, err := capsule.Peek(req.Envelope, now)
	if err != nil {
		return nil, h.Home, reason(err)
	}
	if !f.peer.Allow(peer, 1) || !f.author.Allow(h.Author, 1) {
		return nil, h.Home, &api.Refusal{Code: api.CodeBusy, Detail: "more capsules a second than this gateway forwards for one author or peer", Retry: 1000}
	}
	c, err := capsule.Verify(req.Envelope, now, f.verified)
	if err != nil {
		return nil, h.Home, reason(err)
	}
	return c, h.Home, nil
}

func reason(err error) *api.Refusal {
	var r *capsule.Refusal
	if errors.As(err, &r) {
		return api.Because(string(r.Code), r)
	}
	return &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()}
}

func contentSize(req *api.SubmitRequest) (n int64) {
	for _, c := range req.Contents {
		n += int64(c.Size)
	}
	return n
}

func (g *Gateway) result(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
	api.Each(ctx, s, api.MaxMessage, func(req *api.ResultRequest) error {
		_ = s.SetDeadline(time.Now().Add(api.MaxWait*time.Millisecond + api.IdleTime))
		if v := g.cfg.Voter(req.Zone); v != nil {
			return v.Result(ctx, req, s)
		}
		ctx, cancel := context.WithTimeout(ctx, api.MaxWait*time.Millisecond+api.IdleTime)
		defer cancel()
		return g.relay(ctx, req.Zone, api.ProtoResult, req, s, 0)
	})
}

func (g *Gateway) watch(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
	api.Each(ctx, s, api.MaxMessage, func(req *api.WatchRequest) error {
		_ = s.SetDeadline(time.Time{})
		if v := g.cfg.Voter(req.Zone); v != nil {
			return v.Watch(ctx, req, s)
		}
		return g.relay(ctx, req.Zone, api.ProtoWatch, req, s, -1)
	})
}

func (g *Gateway) zone(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
	api.Each(ctx, s, api.MaxMessage, func(req *api.ZoneRequest) error {
		_ = s.SetDeadline(time.Now().Add(submitTimeout))
		out := &api.Zones{V: api.Version, Zones: []api.ZoneInfo{}}
		for _, v := range g.cfg.Zones() {
			info, err := v.Info(ctx, req)
			if err != nil {
				g.cfg.Logger.Debug("zone not told of", "err", err)
				continue
			}
			if req.Zone.IsZero() || info.Zone == req.Zone {
				out.Zones = append(out.Zones, *info)
			}
		}
		if len(out.Zones) == 0 && !req.Zone.IsZero() {
			info := g.cfg.Tell(req)
			if info == nil {
				return api.Refuse(s, &api.Refusal{Code: api.CodeUnknownZone, Detail: "this node does not know zone " + req.Zone.String() + "; look it up in the mesh"})
			}
			out.Zones = append(out.Zones, *info)
		}
		if len(out.Zones) == 0 && g.cfg.Known != nil {
			for _, z := range g.cfg.Known() {
				if info := g.cfg.Tell(&api.ZoneRequest{V: api.Version, Zone: z}); info != nil && len(out.Zones) < api.MaxZones {
					out.Zones = append(out.Zones, *info)
				}
			}
		}
		return api.Accept(s, out)
	})
}

// seek answers for a zone that the node may have to look for. Nodes do not ask each other like this: one question must not
// become many.
func (g *Gateway) seek(ctx context.Context, _ capsule.Key, s *p2p.Stream) {
	api.Each(ctx, s, api.MaxMessage, func(req *api.ZoneRequest) error {
		if v := g.cfg.Voter(req.Zone); v != nil {
			info, err := v.Info(ctx, req)
			if err != nil {
				return api.Refuse(s, &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error(), Retry: 1000})
			}
			return api.Accept(s, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{*info}})
		}
		info := g.cfg.Tell(req)
		if info == nil {
			if r := g.cfg.Seek(ctx, req.Zone); r != nil {
				return api.Refuse(s, r)
			}
			info = g.cfg.Tell(req)
		}
		if info == nil {
			return api.Refuse(s, &api.Refusal{Code: api.CodeUnavailable, Detail: "zone " + req.Zone.String() + " was found, and this node can't tell of it: ask one of its voters"})
		}
		return api.Accept(s, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{*info}})
	})
}

// unreached: the request was not sent.
type unreached struct{ error }

func (e unreached) Unwrap() error { return e.error }

// relay hands a request to a voter elsewhere and its answer back. content is how many bytes follow the request; −1 means
// that the answer has no end.
func (g *Gateway) relay(ctx context.Context, z capsule.ZoneID, proto string, req any, s net.Conn, content int64) error {
	var small []byte
	if content > 0 && content <= maxBuffered {
		small = make([]byte, content)
		if _, err := io.ReadFull(s, small); err != nil {
			return err
		}
		content = 0
	}
	var last error
	for _, k := range g.cfg.Find(ctx, z) {
		if k == g.cfg.Host.Key() {
			continue
		}
		var err error
		if content == 0 {
			err = g.exchange(ctx, k, proto, req, small, s)
		} else {
			err = g.stream(ctx, k, proto, req, s, content)
		}
		var not unreached
		if errors.As(err, &not) {
			last = err
			continue
		}
		return err
	}
	detail := fmt.Sprintf("this node knows nobody who serves zone %s", z)
	if last != nil {
		detail = fmt.Sprintf("no voter of zone %s was reached: %v", z, last)
	}
	r := &api.Refusal{Code: api.CodeUnknownZone, Detail: detail, Retry: 2000}
	_ = api.Refuse(s, r)
	return r // unread content may follow
}

// maxBuffered is how much content is read before it is passed on: a small continuation is what comes with most capsules, and
// then goes on a stream that is kept.
const maxBuffered = 32 << 10

// exchange relays one request, with content that follows it, and its answer on a stream that is kept: voters limit how many
// one peer may open, whoever its clients are.
func (g *Gateway) exchange(ctx context.Context, k capsule.Key, proto string, req any, content []byte, s net.Conn) error {
	g.mu.Lock()
	pool := g.pool
	g.mu.Unlock()
	answer, err := pool.Relay(ctx, k, proto, req, content, api.MaxOutcome+64<<10)
	var not unreached
	if !errors.As(err, &not) {
		g.counts.relayed.Add(1)
	}
	if err != nil {
		return err
	}
	return api.WriteFrame(s, answer)
}

// stream relays a request with what follows it, or with answers without end.
func (g *Gateway) stream(ctx context.Context, k capsule.Key, proto string, req any, s net.Conn, content int64) error {
	up, err := g.cfg.Host.Dial(ctx, k, proto)
	if err != nil {
		return unreached{err}
	}
	defer up.Close()
	g.counts.relayed.Add(1)
	return g.pipe(req, s, up, content)
}

func (g *Gateway) pipe(req any, s, up net.Conn, content int64) error {
	if err := api.Write(up, req); err != nil {
		return err
	}
	sent := make(chan error, 1)
	if content > 0 {
		// Beside the reading: who refuses doesn't take it all.
		go func() {
			_, err := io.CopyN(up, s, content)
			if err != nil {
				_ = up.SetReadDeadline(time.Unix(1, 0))
			}
			sent <- err
		}()
	} else {
		sent <- nil
	}
	for {
		var resp api.Response
		if err := api.Read(up, &resp, api.MaxOutcome+64<<10); err != nil {
			return err
		}
		if err := api.Write(s, &resp); err != nil {
			return err
		}
		if resp.Refusal.Code != "" {
			select {
			case err := <-sent:
				return err
			default:
				return errUnread
			}
		}
		if content >= 0 {
			return <-sent
		}
	}
}

// errUnread ends a stream on which content is still on the way that nobody wants any more.
var errUnread = errors.New("refused before its content was read")
