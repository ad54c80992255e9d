package demo

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/examples/investigation"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/api"
)

// wire is the investigator's host, for capsules and for remote calls alike.
type wire struct{ *p2p.Host }

func (w wire) Open(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
	s, err := w.Dial(ctx, k, proto)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// streams is how many a node lets one peer have for reading; a few are left for others.
const streams = 12

// remote looks rows up from where the investigator is. Its streams are opened once and kept.
type remote struct {
	w      wire
	orgs   []*org
	rights []capsule.Chain
	idle   map[string]chan net.Conn // by node
	turn   atomic.Uint64
	left   atomic.Int64 // rows that came from other organisations than the investigator's
}

func newRemote(w wire, orgs []*org, rights []capsule.Chain) *remote {
	r := &remote{w: w, orgs: orgs, rights: rights, idle: map[string]chan net.Conn{}}
	for _, o := range orgs {
		for _, n := range o.nodes {
			pool := make(chan net.Conn, streams)
			for range streams {
				pool <- nil
			}
			r.idle[n.Name] = pool
		}
	}
	return r
}

func (r *remote) close() {
	for _, pool := range r.idle {
		for range streams {
			if c := <-pool; c != nil {
				c.Close()
			}
		}
	}
}

// warm opens every stream, so that no run pays for it.
func (r *remote) warm(ctx context.Context, path func(o *org) string) error {
	var all []func() error
	for i, o := range r.orgs {
		for k := range o.nodes {
			for range streams {
				all = append(all, func() error { _, err := r.from(ctx, i, k, path(o)); return err })
			}
		}
	}
	return each(all, func(fn func() error) error { return fn() })
}

// row asks the next of the owner's nodes. It reads what that node has, without asking a quorum whether it is the newest.
func (r *remote) row(ctx context.Context, path string) (investigation.Package, error) {
	i := slices.Index(names, investigation.Owner(path))
	if i > 0 {
		r.left.Add(1)
	}
	return r.from(ctx, i, int(r.turn.Add(1)%uint64(len(r.orgs[i].nodes))), path)
}

func (r *remote) from(ctx context.Context, i, node int, path string) (investigation.Package, error) {
	n := &r.orgs[i].nodes[node]
	pool := r.idle[n.Name]
	c := <-pool
	defer func() { pool <- c }()
	req := &admin.Request{
		V: admin.Version, Op: admin.OpGet, Zone: r.orgs[i].zone.ID, Key: []byte(rowsSpace + "/" + path), After: []byte{},
		Stale: true, Chain: r.rights[i], Act: []byte{},
	}
	for {
		kept := c != nil
		row, err := r.ask(ctx, n.Key, &c, req)
		if err == nil && row.Version == 0 {
			return investigation.Package{}, kit.ErrNotFound
		}
		if err == nil {
			return kit.Unmarshal[investigation.Package](row.Value)
		}
		if c != nil {
			c.Close()
			c = nil
		}
		if !kept || ctx.Err() != nil { // a node ends streams that are idle for long
			return investigation.Package{}, fmt.Errorf("read %s from %s: %w", path, n.Name, err)
		}
	}
}

// ask makes one request on a stream, which it opens if there is none.
func (r *remote) ask(ctx context.Context, k capsule.Key, c *net.Conn, req *admin.Request) (row admin.RowInfo, err error) {
	if *c == nil {
		if *c, err = r.w.Open(ctx, k, admin.Proto); err != nil {
			return row, err
		}
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := (*c).SetDeadline(deadline); err != nil {
		return row, err
	}
	reply, err := api.Ask[admin.Reply](*c, req, admin.MaxReply)
	if err != nil {
		return row, err
	}
	return row, json.Unmarshal(reply.JSON, &row)
}

// oneByOne makes each lookup when the investigation comes to it.
func (r *remote) oneByOne(ctx context.Context, q investigation.Question) (investigation.Answer, error) {
	return investigation.Compute(q, func(path string, _ *investigation.Search) (investigation.Package, error) { return r.row(ctx, path) })
}

// ahead fetches every lead as soon as it is known, in parallel, whether or not the investigation will come to it.
func (r *remote) ahead(ctx context.Context, q investigation.Question) (investigation.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	type fetched struct {
		row   investigation.Package
		err   error
		ready chan struct{}
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	known := map[string]*fetched{}
	fetch := func(path string) *fetched {
		f := known[path]
		if f == nil {
			f = &fetched{ready: make(chan struct{})}
			known[path] = f
			wg.Go(func() {
				if f.err = ctx.Err(); f.err == nil {
					f.row, f.err = r.row(ctx, path)
				}
				close(f.ready)
			})
		}
		return f
	}
	return investigation.Compute(q, func(path string, s *investigation.Search) (investigation.Package, error) {
		next := fetch(path)
		for _, z := range names {
			for _, l := range slices.Backward(s.Leads[z]) {
				fetch(l.Path)
			}
		}
		<-next.ready
		return next.row, next.err
	})
}

// stateless sends code to each organisation in turn, which runs there from its beginning, and returns what it has found.
func (d *demo) stateless(ctx context.Context, p *sdk.Program, q investigation.Question) (investigation.Answer, error) {
	q.Stay = true
	for at := names[0]; ; {
		q.Case = newCase("stateless")
		pr, err := d.prepare(ctx, p, q)
		if err != nil {
			return investigation.Answer{}, err
		}
		home := d.orgs[slices.Index(names, at)]
		terms := append(d.terms(), sdk.Home(home.zone.ID), func(t *sdk.Terms) { t.Needs = home.needs() })
		bundle, err := d.client.Seal(pr, terms...)
		if err != nil {
			return investigation.Answer{}, err
		}
		sub, err := d.client.Submit(ctx, bundle)
		if err != nil {
			return investigation.Answer{}, err
		}
		res, err := sub.Await(ctx)
		if err != nil {
			return investigation.Answer{}, err
		}
		ans, err := sdk.Decode[investigation.Answer](res)
		if err != nil || ans.Going == nil {
			return ans, err
		}
		q.Going, at = ans.Going, ans.Going.Zone
	}
}

// moving is one investigation by a capsule that moves.
func (d *demo) moving(ctx context.Context, p *sdk.Program, q investigation.Question) (investigation.Answer, *sdk.Submission, *sdk.Prepared, error) {
	q.Case = newCase("move")
	pr, err := d.prepare(ctx, p, q)
	if err != nil {
		return investigation.Answer{}, nil, nil, err
	}
	bundle, err := d.client.Seal(pr, d.terms()...)
	if err != nil {
		return investigation.Answer{}, nil, nil, err
	}
	sub, err := d.client.Submit(ctx, bundle)
	if err != nil {
		return investigation.Answer{}, nil, nil, err
	}
	res, err := sub.Await(ctx)
	if err != nil {
		return investigation.Answer{}, nil, nil, err
	}
	ans, err := sdk.Decode[investigation.Answer](res)
	return ans, sub, pr, err
}

// unknown is the capsule's code under a hash that no zone has.
func (d *demo) unknown() (*sdk.Program, error) {
	var nonce [16]byte
	if _, err := rand.Read(nonce[:]); err != nil {
		return nil, err
	}
	return d.code.again(nonce[:])
}
