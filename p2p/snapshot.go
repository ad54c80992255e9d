package p2p

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// PeerInfo describes one connected peer.
type PeerInfo struct {
	Key       capsule.Key
	Addrs     []string // remote ends of the open connections
	Inbound   bool     // whether it dialled us first
	Transport string   // quic, tcp or relay, of the first connection
	Since     time.Time
	RTT       time.Duration // moving average of pings; 0 before the first
	Streams   int
	Protected bool
	Agent     string
	Protocols []string
}

// Peers returns the connected peers in key order.
func (h *Host) Peers() []PeerInfo {
	var out []PeerInfo
	for _, id := range h.connectedIDs() {
		k, ok := raw.Key(id)
		conns := h.inner.Network().ConnsToPeer(id)
		if !ok || len(conns) == 0 {
			continue
		}
		p := PeerInfo{
			Key: k, Inbound: conns[0].Stat().Direction == network.DirInbound, Since: conns[0].Stat().Opened,
			Transport: transportOf(conns[0]), RTT: h.inner.Peerstore().LatencyEWMA(id),
			Protected: h.inner.ConnManager().IsProtected(id, ""),
		}
		for _, c := range conns {
			p.Addrs = append(p.Addrs, c.RemoteMultiaddr().String())
			p.Streams += c.Stat().NumStreams
		}
		if v, err := h.inner.Peerstore().Get(id, "AgentVersion"); err == nil {
			p.Agent, _ = v.(string)
		}
		if ids, err := h.inner.Peerstore().GetProtocols(id); err == nil {
			for _, id := range ids {
				p.Protocols = append(p.Protocols, string(id))
			}
			slices.Sort(p.Protocols)
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b PeerInfo) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return out
}

func transportOf(c network.Conn) string {
	a := c.RemoteMultiaddr().String()
	switch {
	case strings.Contains(a, "/p2p-circuit"):
		return "relay"
	case strings.Contains(a, "/quic-v1"):
		return "quic"
	default:
		return "tcp"
	}
}

// ProtocolInfo is what one stream protocol did since the host started.
type ProtocolInfo struct {
	ID      string
	Served  bool   // whether this host answers it
	Open    int    // inbound streams open now
	In, Out uint64 // streams admitted, streams opened
	Denied  uint64 // refused: the peer may not
	Limited uint64 // refused: too often
	Busy    uint64 // refused: too many open
	Memory  uint64 // refused: no memory
}

// Snapshot is the state of a host as plain data.
type Snapshot struct {
	Key        capsule.Key
	Addrs      []string
	Peers      []PeerInfo
	Protocols  []ProtocolInfo
	Remembered int    // peers in the book
	ShutOut    int    // peers refused for a while
	ShutNets   int    // networks refused for a while, for the peers that came from there
	Refused    uint64 // connections and dials that the gate refused
	Shed       uint64 // peers cut off for streams that said nothing or came to nothing
	Memory     int64  // bytes libp2p has reserved
	ConnsIn    int
	ConnsOut   int
	StreamsIn  int
	StreamsOut int
	Far        map[string]uint64 // bytes sent over Config.Line by each protocol
}

// Snapshot reads the host's state. Its parts are read one after the other, not at one instant.
func (h *Host) Snapshot() Snapshot {
	s := Snapshot{
		Key: h.key, Addrs: h.Addrs(), Peers: h.Peers(), Protocols: h.protocols(),
		Remembered: len(h.book.all()), Refused: h.gate.refused.Load(), Shed: h.gate.shed.Load(),
	}
	s.ShutOut, s.ShutNets = h.gate.shutOut()
	if h.line != nil {
		s.Far = h.line.Sent()
	}
	// ViewSystem fails only if the function does.
	_ = h.inner.Network().ResourceManager().ViewSystem(func(scope network.ResourceScope) error {
		st := scope.Stat()
		s.Memory, s.ConnsIn, s.ConnsOut = st.Memory, st.NumConnsInbound, st.NumConnsOutbound
		s.StreamsIn, s.StreamsOut = st.NumStreamsInbound, st.NumStreamsOutbound
		return nil
	})
	return s
}

// Protocols returns every protocol that this host answers, libp2p's own included.
func (h *Host) Protocols() []string {
	var out []string
	for _, id := range h.inner.Mux().Protocols() {
		out = append(out, string(id))
	}
	slices.Sort(out)
	return out
}

func (h *Host) protocols() []ProtocolInfo {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []ProtocolInfo
	for id, v := range h.services {
		v.mu.Lock()
		open := v.open
		v.mu.Unlock()
		out = append(out, ProtocolInfo{
			ID: id, Served: true, Open: open, In: v.counts.in.Load(),
			Denied: v.counts.denied.Load(), Limited: v.counts.limited.Load(), Busy: v.counts.busy.Load(), Memory: v.counts.memory.Load(),
		})
	}
	for id, c := range h.dialled {
		i := slices.IndexFunc(out, func(p ProtocolInfo) bool { return p.ID == id })
		if i < 0 {
			i, out = len(out), append(out, ProtocolInfo{ID: id})
		}
		out[i].Out = c.Load()
	}
	slices.SortFunc(out, func(a, b ProtocolInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Ping measures one round trip to k, connecting if needed.
func (h *Host) Ping(ctx context.Context, k capsule.Key) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := h.reach(ctx, raw.PeerID(k), k); err != nil {
		return 0, fmt.Errorf("p2p: ping %s: %w", k, err)
	}
	r, ok := <-ping.Ping(ctx, h.inner, raw.PeerID(k))
	if !ok {
		return 0, fmt.Errorf("p2p: ping %s: %w", k, context.Cause(ctx))
	}
	if r.Error != nil {
		return 0, fmt.Errorf("p2p: ping %s: %w", k, r.Error)
	}
	return r.RTT, nil
}
