package proc

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/mesh"
)

// Flooded is what became of a flood at one node of the zone.
type Flooded struct {
	Node     string `json:"node"`
	Target   bool   `json:"target"`
	Rejected uint64 `json:"rejected"` // proven bad
	Dropped  uint64 `json:"dropped"`  // unread, over the sender's quota
	Cut      uint64 `json:"cut"`      // senders disconnected
}

// Flood gossips capsules with a forged signature to a node for a while, under a new key whenever it is cut off, and tells
// what each node of its zone has seen of them.
func Flood(ctx context.Context, dir, target string, d time.Duration) (sent, keys int, seen []Flooded, err error) {
	st, err := ReadState(dir)
	if err != nil {
		return 0, 0, nil, err
	}
	var at NodeState
	for _, s := range st.Nodes {
		if s.Name == target {
			at = s
		}
	}
	var zone ZoneState
	for _, z := range st.Zones {
		if z.Name == at.Zone {
			zone = z
		}
	}
	if zone.Name == "" {
		return 0, 0, nil, fmt.Errorf("%q is no node of a zone of this network", target)
	}
	forged, err := forge(zone.ID)
	if err != nil {
		return 0, 0, nil, err
	}
	for end := time.Now().Add(d); time.Now().Before(end); keys++ {
		n, err := floodOnce(ctx, at, zone.ID, forged, end)
		if err != nil && keys == 0 {
			return 0, 0, nil, fmt.Errorf("flood %s: %w", target, err)
		}
		sent += n
	}
	root, err := capsule.LoadIdentity(filepath.Join(dir, RootKey))
	if err != nil {
		return sent, keys, nil, err
	}
	for _, s := range st.Nodes {
		if s.Zone != zone.Name || !s.Vote {
			continue
		}
		c, err := admin.Dial(ctx, s.Addr, root)
		if err != nil {
			return sent, keys, nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		var m mesh.Snapshot
		err = c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpTopics}, &m)
		c.Close()
		if err != nil {
			return sent, keys, nil, fmt.Errorf("%s: %w", s.Name, err)
		}
		f := Flooded{Node: s.Name, Target: s.Name == target, Dropped: m.OverQuota, Cut: m.Shut}
		for _, t := range m.Topics {
			for _, n := range t.Rejected {
				f.Rejected += n
			}
		}
		seen = append(seen, f)
	}
	return sent, keys, seen, nil
}

// forge makes a capsule that is in order but for its signature.
func forge(zone capsule.ZoneID) ([]byte, error) {
	author, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return nil, err
	}
	now := uint64(time.Now().UnixMilli())
	c, err := capsule.Seal(author, &capsule.Manifest{
		Home: zone, Code: capsule.RawCID([]byte("none")), Entry: "run", Input: make([]byte, 1024),
		Limits: capsule.Limits{MemoryPages: 1, TableElems: 1, Depth: 1, StateBytes: 1 << 16},
		Gas:    1000, MaxPrice: 1, MinUnits: 1, NotBefore: now - 1000, Expires: now + 3_600_000, MeterVersion: 1,
	}, nil)
	if err != nil {
		return nil, err
	}
	return append([]byte(nil), c.Bytes()...), nil
}

// floodOnce sends until it is cut off or end has come.
func floodOnce(ctx context.Context, at NodeState, zone capsule.ZoneID, forged []byte, end time.Time) (sent int, err error) {
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return 0, err
	}
	h, err := p2p.New(p2p.Config{Identity: id})
	if err != nil {
		return 0, err
	}
	defer h.Close()
	if _, err := h.Connect(ctx, at.Addr); err != nil {
		return 0, err
	}
	s, err := h.Dial(ctx, at.Key, mesh.ID)
	if err != nil {
		return 0, err
	}
	defer s.Reset()
	if err := s.SetDeadline(end); err != nil {
		return 0, err
	}
	for ; time.Now().Before(end) && ctx.Err() == nil; sent++ {
		binary.BigEndian.PutUint64(forged[len(forged)-20:], uint64(time.Now().UnixNano())) // within the signature
		// A frame of gossipsub: RPC.publish = 2 {data = 2, topic = 4}.
		msg := append(protoField(2, forged), protoField(4, []byte(mesh.TopicName(zone)))...)
		frame := protoField(2, msg)
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(frame))), frame...)); err != nil {
			return sent, nil // cut off, which is what it is about
		}
	}
	return sent, nil
}

// protoField is a length-delimited field of protobuf.
func protoField(n int, b []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(n)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}
