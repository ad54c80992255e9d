package testnet

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/p2p/mesh"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
)

// scraped is what a node's metrics say, by name and labels.
func scraped(t *testing.T, n *node.Node, z capsule.ZoneID) map[string]float64 {
	t.Helper()
	w := httptest.NewRecorder()
	admin.Metrics(n, []capsule.ZoneID{z}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	out := make(map[string]float64)
	for in := bufio.NewScanner(bytes.NewReader(w.Body.Bytes())); in.Scan(); {
		line := in.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || !strings.HasPrefix(line, "kitwork_") {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[strings.TrimPrefix(line[:i], "kitwork_")] = v
	}
	return out
}

// inspected is what the operator's questions say, under the names that the metrics have for it.
func inspected(t *testing.T, ctx context.Context, c *admin.Client) map[string]float64 {
	t.Helper()
	var h p2p.Snapshot
	var m mesh.Snapshot
	var d find.Snapshot
	for op, out := range map[admin.Op]any{admin.OpPeers: &h, admin.OpTopics: &m, admin.OpDHT: &d} {
		if err := c.Ask(ctx, c.Node(), &admin.Request{Op: op}, out); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]float64{
		"peers": float64(len(h.Peers)), "peers_cut_total": float64(h.Shed), "gate_refused_total": float64(h.Refused),
		`gate_shut_out{what="peers"}`: float64(h.ShutOut), `gate_shut_out{what="networks"}`: float64(h.ShutNets),
		`gossip_lost_total{why="quota"}`: float64(m.OverQuota), `gossip_lost_total{why="frames"}`: float64(m.Frames),
		`gossip_lost_total{why="malformed"}`: float64(m.Malformed), `gossip_lost_total{why="queue"}`: float64(m.QueueFull),
		`gossip_lost_total{why="slow_reader"}`: float64(m.Dropped), "gossip_peers_shut_total": float64(m.Shut),
		`dht_size{what="table"}`: float64(len(d.Table)), `dht_size{what="held"}`: float64(len(d.Held)),
		`dht_searches_total{what="searches"}`: float64(d.Finds), `dht_searches_total{what="found"}`: float64(d.Found),
		`dht_searches_total{what="empty"}`: float64(d.Empty), `dht_searches_total{what="retried"}`: float64(d.Retried),
		`dht_searches_total{what="checked"}`: float64(d.Checks), `dht_searches_total{what="refuted"}`: float64(d.Refuted),
		`dht_searches_total{what="limited"}`: float64(d.Limited),
	}
	for _, p := range h.Protocols {
		if p.Served && p.ID != admin.Proto { // asking changes it
			for why, n := range map[string]uint64{"denied": p.Denied, "limited": p.Limited, "busy": p.Busy, "memory": p.Memory} {
				out[fmt.Sprintf("streams_refused_total{protocol=%q,why=%q}", p.ID, why)] = float64(n)
			}
		}
	}
	for _, i := range m.Topics {
		put := func(verdict, reason string, n uint64) {
			out[fmt.Sprintf("gossip_messages_total{reason=%q,verdict=%q,zone=%q}", reason, verdict, i.Zone)] = float64(n)
		}
		put("accepted", "", i.Accepted)
		put("duplicate", "", i.Duplicates)
		put("undelivered", "", i.Undelivered)
		for reason, n := range i.Rejected {
			put("rejected", reason, n)
		}
		for reason, n := range i.Ignored {
			put("ignored", reason, n)
		}
		out[fmt.Sprintf("gossip_peers{what=%q,zone=%q}", "connected", i.Zone)] = float64(len(i.Peers))
		out[fmt.Sprintf("gossip_peers{what=%q,zone=%q}", "mesh", i.Zone)] = float64(len(i.Mesh))
	}
	stand := map[string]int{"good": 0, "negative": 0, "graylisted": 0}
	for _, p := range m.Scores {
		switch {
		case p.Graylisted:
			stand["graylisted"]++
		case p.Score < 0:
			stand["negative"]++
		default:
			stand["good"]++
		}
	}
	for what, n := range stand {
		out[fmt.Sprintf("gossip_peers_by_score{what=%q}", what)] = float64(n)
	}
	announced, members := 0, 0
	for _, p := range d.Provided {
		if p.Err == "" && !p.Last.IsZero() {
			announced++
		}
	}
	for _, ks := range d.Known {
		members += len(ks)
	}
	out[`dht_size{what="announced"}`], out[`dht_size{what="members"}`] = float64(announced), float64(members)
	return out
}

// TestMetricsSayWhatInspectSays: after honest work and a stranger's forged capsules, every figure of peers, topics and the
// directory is the same, whichever way it is asked for.
func TestMetricsSayWhatInspectSays(t *testing.T) {
	ctx, n, c := up(t, Options{})
	if _, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "seen", By: 1}, sdk.Keys("kv/count/*")); err != nil {
		t.Fatal(err)
	}
	v := n.Voters[0]
	op := identity(t)
	if err := admin.Serve(admin.Config{Node: v, Zones: []capsule.ZoneID{n.Zone}, Operators: []capsule.Key{op.Key()}}); err != nil {
		t.Fatal(err)
	}
	forge(t, ctx, n, v)
	waitFor(t, ctx, "the forger to be cut off", func() bool { return v.Mesh().Snapshot().Shut == 1 })
	a, err := admin.Dial(ctx, v.Addrs()[0], op)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	rejected := fmt.Sprintf("gossip_messages_total{reason=%q,verdict=%q,zone=%q}", "encoding", "rejected", n.Zone)
	var differ []string
	// The node goes on working between the two questions, so they are compared until nothing happened between them.
	for ctx.Err() == nil {
		before, said, after := scraped(t, v, n.Zone), inspected(t, ctx, a), scraped(t, v, n.Zone)
		differ = differ[:0]
		for name, want := range said {
			got, ok := after[name]
			if !ok {
				t.Fatalf("no metric %s; inspect says %v", name, want)
			}
			if got != want && before[name] == got {
				t.Fatalf("%s is %v, inspect says %v", name, got, want)
			}
			if got != want || before[name] != got {
				differ = append(differ, name)
			}
		}
		for name := range after {
			for _, kind := range []string{"gossip_", "dht_", "gate_", "peers"} {
				if _, ok := said[name]; strings.HasPrefix(name, kind) && !ok && name != "gossip_lowest_score" {
					t.Fatalf("metric %s is in no answer of inspect", name)
				}
			}
		}
		if len(differ) == 0 {
			if said["gossip_peers_shut_total"] != 1 || said[rejected] == 0 {
				t.Fatalf("the forger left no trace: %v", slices.Sorted(maps.Keys(said)))
			}
			return
		}
	}
	t.Fatalf("these never stood still: %v", differ)
}

// forge gossips what is no capsule to a node until it is cut off.
func forge(t *testing.T, ctx context.Context, n *Net, v *node.Node) {
	t.Helper()
	h, err := p2p.New(p2p.Config{Identity: identity(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Connect(ctx, v.Addrs()[0]); err != nil {
		t.Fatal(err)
	}
	s, err := h.Dial(ctx, v.Key(), mesh.ID)
	if err != nil {
		t.Fatal(err)
	}
	field := func(n int, b []byte) []byte {
		out := binary.AppendUvarint(nil, uint64(n)<<3|2)
		return append(binary.AppendUvarint(out, uint64(len(b))), b...)
	}
	for i := 0; ctx.Err() == nil; i++ { // RPC.publish = 2 {data = 2, topic = 4}
		b := field(2, append(field(2, fmt.Appendf(nil, "no capsule %d", i)), field(4, []byte(mesh.TopicName(n.Zone)))...))
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
			return
		}
	}
}
