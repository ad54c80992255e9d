package find

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

// TestLAN: two hosts that know nothing of each other meet by multicast DNS, on real sockets.
func TestLAN(t *testing.T) {
	ip := multicastAddress(t)
	zone := zoneOf(1)
	start := func(i int) (*p2p.Host, *Finder) {
		h, err := p2p.New(p2p.Config{Identity: sim.Identity(i), Listen: []string{"/ip4/" + ip + "/tcp/0"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		f, err := New(h, Config{LAN: true, Check: func(ctx context.Context, _ capsule.ZoneID, k capsule.Key) error {
			_, err := h.Ping(ctx, k)
			return err
		}})
		if err != nil {
			t.Skipf("mDNS does not work here: %v", err)
		}
		t.Cleanup(func() { f.Close() })
		return h, f
	}
	a, _ := start(1)
	_, f := start(2)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for len(f.Snapshot().LAN) == 0 {
		select {
		case <-ctx.Done():
			t.Skip("multicast does not come back on this machine's interfaces")
		case <-time.After(20 * time.Millisecond):
		}
	}
	got, err := f.Find(t.Context(), zone, 1)
	if err != nil || got[0] != a.Key() {
		t.Fatalf("%v, %v", got, err)
	}
}

// multicastAddress returns an IPv4 address of an interface that can multicast.
func multicastAddress(t *testing.T) string {
	t.Helper()
	ifs, err := net.Interfaces()
	if err != nil {
		t.Skip(err)
	}
	for _, i := range ifs {
		if i.Flags&(net.FlagUp|net.FlagMulticast|net.FlagLoopback) != net.FlagUp|net.FlagMulticast {
			continue
		}
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
				return n.IP.String()
			}
		}
	}
	t.Skip("no interface that can multicast")
	return ""
}
