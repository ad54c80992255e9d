package testnet

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
)

// count runs a small capsule and wants its result.
func count(t *testing.T, c *sdk.Client, by, want int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	got, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "gate", By: by}, sdk.Keys("kv/count/*"))
	if err != nil || got != want {
		t.Fatalf("counted %d, want %d: %v", got, want, err)
	}
}

// TestWorkerStandsIn kills every gateway under a client that reaches no voter: a worker takes the role, submissions
// continue, and the role is returned when a gateway is back.
func TestWorkerStandsIn(t *testing.T) {
	ctx, n, _ := up(t, Options{})
	g := gatewayNode(t, n, "gateway", false)
	addr := g.Addrs()[0]
	n.opt.Gateways = []string{addr}
	if err := n.AddWorker(ctx, "standby"); err != nil {
		t.Fatal(err)
	}
	standby := n.Workers[1]
	if err := n.Workers[0].Close(); err != nil { // it was told of no gateway, and serves clients always
		t.Fatal(err)
	}
	n.Workers = n.Workers[1:]
	for _, v := range n.Voters {
		v.Block(n.Client.Key())
	}
	c, err := n.DialAt(ctx, addr+","+standby.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	count(t, c, 1, 1)
	if standby.Gateway().Serving() {
		t.Error("the worker serves clients while the gateway does")
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	count(t, c, 1, 2)
	if !standby.Gateway().Serving() {
		t.Error("submissions go on, but not through the worker")
	}
	back, err := n.launch(n.configs[g])
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	waitFor(t, ctx, "the worker to return the role", func() bool { return !standby.Gateway().Serving() })
	count(t, c, 1, 3)
}

// TestTrustingGateway: through a gateway that checks nothing, everything is refused that one that checks refuses, and
// nothing comes of it.
func TestTrustingGateway(t *testing.T) {
	ctx, n, c := up(t, Options{})
	p, err := sdk.Build(ctx, programs.Count, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	input, err := kit.Marshal(programs.Order{Name: "gate", By: 1})
	if err != nil {
		t.Fatal(err)
	}
	prepared, err := sdk.Prepare(ctx, p, input, sdk.PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	good, err := c.Seal(prepared, sdk.Keys("kv/count/*"))
	if err != nil {
		t.Fatal(err)
	}
	rights, err := n.Rights()
	if err != nil {
		t.Fatal(err)
	}
	seal := func(chains []capsule.Chain, change func(*capsule.Manifest)) []byte {
		m := *good.Capsule.Manifest()
		change(&m)
		x, err := capsule.Seal(n.Client, &m, chains)
		if err != nil {
			t.Fatal(err)
		}
		return x.Bytes()
	}
	altered := bytes.Clone(good.Capsule.Bytes())
	altered[len(altered)/2] ^= 1 // within the grant
	forged := seal(nil, func(m *capsule.Manifest) { m.Needs = nil })
	forged[len(forged)-8] ^= 1 // within the signature: no chain follows it
	wary, trusting := gatewayNode(t, n, "wary", false), gatewayNode(t, n, "trusting", true)
	for name, x := range map[string]struct {
		envelope    []byte
		gateway     string // why the gateway refuses it
		behindOther string // why it comes to nothing through the one that checks nothing
	}{
		"forged":       {forged, "refused (signature): not a signature of " + n.Client.Key().String(), "refused (signature)"},
		"altered":      {altered, "refused (chain): in chain 0: the manifest names another chain", "refused (chain)"},
		"torn":         {good.Capsule.Bytes()[:100], "refused (encoding)", "refused (unknown_zone)"}, // it can't be read, so it goes nowhere
		"expired":      {seal([]capsule.Chain{rights}, func(m *capsule.Manifest) { m.NotBefore, m.Expires = 1, 2 }), "refused (expired): expired at 2 ms, it is ", "refused (expired)"},
		"unknown zone": {seal(nil, func(m *capsule.Manifest) { m.Home, m.Needs = capsule.ZoneID{7}, nil }), "refused (unknown_zone): this node knows nobody who serves zone " + capsule.ZoneID{7}.String(), "refused (unknown_zone)"},
	} {
		if got := handIn(t, wary, x.envelope, good); !strings.HasPrefix(got, x.gateway) {
			t.Errorf("%s: the gateway says %q, want %q", name, got, x.gateway)
		}
		if got := handIn(t, trusting, x.envelope, good); !strings.HasPrefix(got, x.behindOther) {
			t.Errorf("%s: through the gateway that checks nothing: %q, want %q", name, got, x.behindOther)
		}
	}
	if got := wary.Gateway().Counts(); got.Refused != 4 || got.Relayed != 0 {
		t.Errorf("the gateway refused %d itself and asked the voters about %d, want 4 and 0", got.Refused, got.Relayed)
	}
	v, err := n.Voter(0).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	counts, err := v.Counts()
	if err != nil || counts.Admitted != 0 {
		t.Fatalf("%d capsules were admitted: %v", counts.Admitted, err)
	}
	d, err := n.DialAt(ctx, trusting.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	count(t, d, 1, 1)
}

// gatewayNode starts a node that is a gateway and nothing else, and waits until it knows the zone.
func gatewayNode(t *testing.T, n *Net, name string, trusting bool) *node.Node {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	g, err := n.launch(node.Config{
		Identity: id, Dir: filepath.Join(n.dir, name), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Peers: n.Voters[0].Addrs()[:1],
		Trusting: trusting, Logger: n.opt.Logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	return g
}

// handIn gives a node an envelope with the content of another, and returns why it is refused, or nothing.
func handIn(t *testing.T, g *node.Node, envelope []byte, content *sdk.Bundle) string {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	h, err := p2p.New(p2p.Config{Identity: id})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	k, err := h.Connect(t.Context(), g.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Dial(t.Context(), k, api.ProtoSubmit)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(30 * time.Second))
	m := content.Capsule.Manifest()
	var along []capsule.CID
	for _, id := range []capsule.CID{m.Code, m.Base, m.State} {
		if !id.IsZero() {
			along = append(along, id)
		}
	}
	_, err = api.Submit(s, envelope, content.Blobs, along)
	var refusal *api.Refusal
	if errors.As(err, &refusal) {
		return refusal.Error()
	}
	if err != nil {
		t.Logf("instead of a refusal: %v", err)
	}
	return ""
}
