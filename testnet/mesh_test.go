package testnet

import (
	"context"
	"crypto/rand"
	"path/filepath"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
)

// gatewayAt starts a node without a zone that knows one other, or none.
func gatewayAt(t *testing.T, id *capsule.Identity, boot ...string) *node.Node {
	t.Helper()
	n, err := node.Start(node.Config{Identity: id, Dir: filepath.Join(t.TempDir(), "gateway"), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Peers: boot})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

func identity(t *testing.T) *capsule.Identity {
	t.Helper()
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestAZoneIsFoundFromAnyNode: every node knows only one that has nothing to do with the zone, and so does the client.
// Then all the voters move, one by one, and neither client nor worker is started again.
func TestAZoneIsFoundFromAnyNode(t *testing.T) {
	boot := gatewayAt(t, identity(t))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	n, err := Up(ctx, Options{Bootstrap: boot.Addrs()[0]})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	entry := gatewayAt(t, identity(t), boot.Addrs()[0])
	book := sdk.NewBook()
	if err := book.Trust("home", n.Zone); err != nil {
		t.Fatal(err)
	}
	rights, err := n.Rights()
	if err != nil {
		t.Fatal(err)
	}
	c, err := sdk.Dial(ctx, entry.Addrs()[0], sdk.WithIdentity(n.Client), sdk.WithBook(book), sdk.WithGrants(rights))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	run := func(by, want int64) {
		t.Helper()
		start := time.Now()
		got, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "found", By: by}, sdk.Keys("kv/count/*"))
		if err != nil || got != want {
			t.Fatalf("%d, %v; want %d", got, err, want)
		}
		t.Logf("%v", time.Since(start))
	}
	run(1, 1)
	for i := range n.Voters {
		if err := n.Move(i); err != nil {
			t.Fatal(err)
		}
		run(1, int64(i)+2)
	}
}
