package testnet

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/worker"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// granted is what a voter sends a worker of a lease.
func (w *impostor) granted(ctx context.Context, id capsule.ID) (*api.Work, *api.LeaseGrant) {
	w.t.Helper()
	line, err := w.host.Dial(ctx, w.n.Voters[0].Key(), api.ProtoWork)
	if err != nil {
		w.t.Fatal(err)
	}
	defer line.Close()
	if err := api.Write(line, &api.WorkRequest{V: api.Version, Zone: w.n.Zone, Holds: []api.LeaseRef{}}); err != nil {
		w.t.Fatal(err)
	}
	for {
		m, err := api.Receive[api.Work](line, api.MaxWork)
		if err != nil {
			w.t.Fatal(err)
		}
		if m.Lease.Capsule == id && len(m.Grant) > 0 {
			g := new(api.LeaseGrant)
			if err := capsule.Unmarshal(m.Grant, g); err != nil {
				w.t.Fatal(err)
			}
			return m, g
		}
	}
}

// lyingVoter is a worker's way to a voter that sends it what a test makes up. Everything else reaches the zone, and is noted but
// for what a worker says whatever it runs.
type lyingVoter struct {
	*impostor
	send chan *api.Work

	mu       sync.Mutex // guards what follows
	asked    []string
	refusals int
}

func (l *lyingVoter) Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
	if proto != api.ProtoWork && proto != api.ProtoCommand {
		l.note(proto)
		return l.host.Dial(ctx, k, proto)
	}
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		if proto == api.ProtoCommand {
			l.commands(ctx, k, there)
			return
		}
		var req api.WorkRequest
		if api.Read(there, &req, api.MaxMessage) != nil {
			return
		}
		for m := range l.send {
			if api.Accept(there, m) != nil {
				return
			}
		}
	}()
	return here, nil
}

// commands answers those of a worker that the impostor has given already.
func (l *lyingVoter) commands(ctx context.Context, k capsule.Key, s net.Conn) {
	pool := api.Pool{Open: func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
		return l.host.Dial(ctx, k, proto)
	}}
	defer pool.Close()
	for {
		var req api.CommandRequest
		if api.Read(s, &req, api.MaxMessage) != nil {
			return
		}
		reply := &api.CommandReply{V: api.Version}
		if kind := machine.KindOf(req.Command); kind != machine.KindRegister && kind != machine.KindRenew {
			l.note(kind.String())
			var err error
			if reply, err = api.AskPool[api.CommandReply](context.WithoutCancel(ctx), &pool, k, api.ProtoCommand, &req, api.MaxMessage); err != nil {
				return
			}
		}
		if api.Accept(s, reply) != nil {
			return
		}
	}
}

func (l *lyingVoter) note(what string) {
	l.mu.Lock()
	l.asked = append(l.asked, what)
	l.mu.Unlock()
}

func (l *lyingVoter) Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error) {
	l.note("fetch")
	return l.x.Borrow(ctx, id, most, holders...)
}
func (l *lyingVoter) Lend(codec capsule.Codec, b []byte) (capsule.CID, error) {
	return l.cache.Lend(codec, b)
}
func (*lyingVoter) Keep(capsule.CID, string)    {}
func (*lyingVoter) Release(capsule.CID, string) {}

// Enabled, Handle, WithAttrs and WithGroup count the leases that the worker says it has refused.
func (l *lyingVoter) Enabled(context.Context, slog.Level) bool { return true }
func (l *lyingVoter) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "lease refused" {
		l.mu.Lock()
		l.refusals++
		l.mu.Unlock()
	}
	return nil
}
func (l *lyingVoter) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l *lyingVoter) WithGroup(string) slog.Handler      { return l }

// A worker runs nothing without certificates that its zone admitted this capsule and leased this very segment of it, whatever
// a voter sends: it fetches nothing for it, reads nothing and says nothing to the zone. With them it runs it.
func TestNoWorkWithoutWarrant(t *testing.T) {
	ctx, n, c := up(t, Options{Workers: -1, Policy: leisurely})
	w := newImpostor(t, ctx, n)
	start := func() (*sdk.Submission, *api.Work, *api.LeaseGrant) {
		s, err := sdk.Start(ctx, c, programs.Count, programs.Order{Name: "hits", By: 1}, sdk.Keys("kv/count/*"))
		if err != nil {
			t.Fatal(err)
		}
		w.leased(ctx, s.ID, 0)
		m, g := w.granted(ctx, s.ID)
		return s, m, g
	}
	s, genuine, grant := start()
	_, _, other := start()
	certificate := func(b []byte, change func(*cert.Certificate)) []byte {
		c, err := cert.ParseCertificate(b)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		if b, err = c.Bytes(); err != nil {
			t.Fatal(err)
		}
		return b
	}
	segment := func(change func(*machine.Warrant)) []byte {
		var x machine.Warrant
		if err := capsule.Unmarshal(grant.Segment, &x); err != nil {
			t.Fatal(err)
		}
		change(&x)
		b, err := capsule.Marshal(&x)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var envelope []byte // of the other capsule
	{
		var x machine.Warrant
		if err := capsule.Unmarshal(other.Segment, &x); err != nil {
			t.Fatal(err)
		}
		envelope = x.Envelope
	}
	forgeries := map[string]func(g *api.LeaseGrant){
		"no warrant":                     func(g *api.LeaseGrant) { g.Warrant = []byte{} },
		"no admission":                   func(g *api.LeaseGrant) { g.Admission = []byte{} },
		"the lease as its own admission": func(g *api.LeaseGrant) { g.Admission = g.Warrant },
		"another capsule's warrant":      func(g *api.LeaseGrant) { g.Warrant, g.Body = other.Warrant, other.Body },
		"another capsule's admission":    func(g *api.LeaseGrant) { g.Admission = other.Admission },
		"one voter's word for the lease": func(g *api.LeaseGrant) {
			g.Warrant = certificate(g.Warrant, func(c *cert.Certificate) { c.Sigs = c.Sigs[:1] })
		},
		"a signature that isn't one": func(g *api.LeaseGrant) {
			g.Warrant = certificate(g.Warrant, func(c *cert.Certificate) { c.Sigs[1].Sig[3] ^= 1 })
		},
		"a verdict that was not reached": func(g *api.LeaseGrant) {
			g.Admission = certificate(g.Admission, func(c *cert.Certificate) { c.Decision.Verdict = cert.Accepted })
		},
		"another zone": func(g *api.LeaseGrant) { g.Zone = capsule.ZoneID{9} },
		"another start": func(g *api.LeaseGrant) {
			g.Segment = segment(func(x *machine.Warrant) { x.Start.State = capsule.RawCID([]byte("evil")) })
		},
		"another seed":     func(g *api.LeaseGrant) { g.Segment = segment(func(x *machine.Warrant) { x.Seed[0] ^= 1 }) },
		"another worker's": func(g *api.LeaseGrant) { g.Segment = segment(func(x *machine.Warrant) { x.Worker = n.Client.Key() }) },
		"another envelope": func(g *api.LeaseGrant) { g.Segment = segment(func(x *machine.Warrant) { x.Envelope = envelope }) },
		"a body that was not certified": func(g *api.LeaseGrant) {
			g.Segment = segment(func(x *machine.Warrant) {
				x.Seed[0] ^= 1
				body, err := capsule.Marshal(x.Body())
				if err != nil {
					t.Fatal(err)
				}
				g.Body = body
			})
		},
		"an author's word, not a voter's": func(g *api.LeaseGrant) { g.Warrant = envelope },
	}
	tracker, err := cert.NewTracker(n.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	l := &lyingVoter{impostor: w, send: make(chan *api.Work)}
	runs := worker.Start(worker.Config{
		Identity: w.id, Tracker: tracker, Slots: 4, Pages: 1 << 14, Net: l, Logger: slog.New(l),
		Voters: func() []capsule.Key { return []capsule.Key{n.Voters[0].Key()} },
	})
	defer runs.Close()
	sent := 0
	for name, forge := range forgeries {
		g := *grant
		forge(&g)
		m := *genuine
		if m.Grant, err = capsule.Marshal(&g); err != nil {
			t.Fatal(err)
		}
		l.send <- &m
		sent++
		waitFor(t, ctx, "an answer to "+name, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			if len(l.asked) > 0 || len(runs.Status().Running) > 0 {
				t.Fatalf("%s: the worker runs %v, and has asked for %v", name, runs.Status().Running, l.asked)
			}
			return l.refusals == sent
		})
	}
	l.send <- genuine
	res, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sdk.Decode[int64](res); err != nil || got != 1 {
		t.Errorf("with its warrant it counted %d (%v)", got, err)
	}
}
