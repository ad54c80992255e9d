package testnet

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// read asks a voter for data of the zone, as a worker does.
func (w *impostor) read(ctx context.Context, voter int, req api.ReadRequest) (*api.ReadReply, error) {
	w.t.Helper()
	req.V, req.Zone, req.After, req.Rows = api.Version, w.n.Zone, []byte{}, api.MaxRows
	pool := api.Pool{Open: func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error) {
		return w.host.Dial(ctx, k, proto)
	}}
	defer pool.Close()
	return api.AskPool[api.ReadReply](ctx, &pool, w.n.Voters[voter].Key(), api.ProtoRead, &req, api.MaxRead)
}

// A worker reads what its lease's capsule may read, at the lease's index, and nothing else, from no voter: not another key
// or prefix, not under a lease that is another's, of another number or over.
func TestReadUnderLease(t *testing.T) {
	ctx, n, c := up(t, Options{Workers: -1, Policy: leisurely})
	w, other := newImpostor(t, ctx, n), newImpostor(t, ctx, n)
	put := func(key, value string) {
		t.Helper()
		d := &machine.Data{
			Scope: machine.NewScope(n.Zone, 0), Expires: uint64(time.Now().Add(time.Minute).UnixMilli()), Chain: capsule.Chain{},
			Writes: []machine.Write{{Key: []byte(key), Value: []byte(value)}},
		}
		cmd, err := machine.NewData(n.Client, [16]byte(noise(16)), d)
		w.propose(ctx, cmd, err)
	}
	put("count/hits", "before")
	put("acct/ann", "secret")
	s, err := sdk.Start(ctx, c, programs.Count, programs.Order{Name: "hits", By: 1}, sdk.Keys("kv/count/hits"))
	if err != nil {
		t.Fatal(err)
	}
	var row machine.CapsuleRow
	waitFor(t, ctx, "a lease", func() bool {
		v, err := n.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err = v.Capsule(s.ID)
		return err == nil && row.Status == machine.StatusRunning
	})
	if row.Lease.Worker == other.id.Key() {
		w, other = other, w
	}
	put("count/hits", "after")
	lease := api.LeaseRef{Capsule: s.ID, Number: row.Lease.Number}
	hits := api.ReadRequest{Lease: lease, Index: row.Lease.Index, Key: []byte("count/hits")}
	for voter := range n.Voters {
		got, err := w.read(ctx, voter, hits)
		if err != nil || len(got.Rows) != 1 || string(got.Rows[0].Value) != "before" {
			t.Errorf("voter %d, what it may read: %+v, %v", voter, got, err)
		}
		for what, x := range map[string]struct {
			by   *impostor
			code machine.Code
			req  api.ReadRequest
		}{
			"another namespace":     {w, machine.CodeDenied, api.ReadRequest{Lease: lease, Index: hits.Index, Key: []byte("acct/ann")}},
			"a key beside it":       {w, machine.CodeDenied, api.ReadRequest{Lease: lease, Index: hits.Index, Key: []byte("count/hits2")}},
			"a key above it":        {w, machine.CodeDenied, api.ReadRequest{Lease: lease, Index: hits.Index, Key: []byte("count/")}},
			"no key":                {w, machine.CodeDenied, api.ReadRequest{Lease: lease, Index: hits.Index, Key: []byte{}}},
			"a prefix":              {w, machine.CodeDenied, api.ReadRequest{Lease: lease, Index: hits.Index, Key: []byte("count/"), Scan: true}},
			"everything":            {w, machine.CodeDenied, api.ReadRequest{Lease: lease, Index: hits.Index, Key: []byte{}, Scan: true}},
			"no lease":              {w, machine.CodeUnknown, api.ReadRequest{Index: hits.Index, Key: hits.Key}},
			"another's lease":       {other, machine.CodeLease, hits},
			"a lease not yet given": {w, machine.CodeLease, api.ReadRequest{Lease: api.LeaseRef{Capsule: s.ID, Number: lease.Number + 1}, Index: hits.Index, Key: hits.Key}},
		} {
			got, err := x.by.read(ctx, voter, x.req)
			if err == nil {
				t.Errorf("voter %d, %s: %+v", voter, what, got)
			}
			refusedWith(t, err, string(x.code))
		}
	}

	// It renews the lease once more, for a moment, and is silent then.
	policy := machine.DefaultPolicy()
	policy.Times.Lease = 100
	if err := n.Admin(ctx, cert.OpPolicy, &policy); err != nil {
		t.Fatal(err)
	}
	cmd, err := machine.NewRenew(w.id, &machine.Renew{
		Scope: machine.NewScope(n.Zone, 0), Sequence: 2, Keep: []machine.LeaseRef{{Capsule: s.ID, Number: lease.Number}},
	})
	w.propose(ctx, cmd, err)
	waitFor(t, ctx, "the end of the lease", func() bool {
		v, err := n.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Capsule(s.ID)
		hits.Index = v.Index() // no voter may answer from a state in which it still ran
		return err == nil && !row.LeasedTo(w.id.Key(), lease.Number)
	})
	for voter := range n.Voters {
		_, err := w.read(ctx, voter, hits)
		refusedWith(t, err, string(machine.CodeLease))
	}
}
