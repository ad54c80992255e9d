package mesh

import (
	"encoding/binary"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/quota"
	"github.com/kitwork/kwnode/p2p/sim"
)

// speaker opens a stream of the gossip to a, and takes no part in it.
func speaker(t *testing.T, nw *sim.Net, i int, a *node) (*p2p.Host, *p2p.Stream) {
	t.Helper()
	h, err := nw.Host(i)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	link(t, h, a.h)
	time.Sleep(3 * time.Second)
	s, err := h.Dial(t.Context(), a.h.Key(), ID)
	if err != nil {
		t.Fatal(err)
	}
	return h, s
}

// speak writes n frames, or fewer if it is cut off, and returns how many.
func speak(s *p2p.Stream, n int, frame func(n int) []byte) (sent int) {
	for ; sent < n; sent++ {
		b := frame(sent)
		if _, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...)); err != nil {
			break
		}
		if sent%100 == 0 {
			time.Sleep(10 * time.Millisecond)
		}
	}
	time.Sleep(3 * time.Second)
	return sent
}

// publishing is a frame with one message.
func publishing(b []byte) []byte {
	return field(2, append(field(2, b), field(4, []byte(TopicName(zone)))...))
}

// TestFramesThatNobodyNeedsCutTheirSenderOff: what costs no signature is bounded too.
func TestFramesThatNobodyNeedsCutTheirSenderOff(t *testing.T) {
	for name, kind := range map[string]struct {
		most  uint64 // frames dropped until the sender is cut off, those in the queue included
		frame func(*testing.T) func(n int) []byte
	}{
		"empty": {1800/frameStrike + 1, func(*testing.T) func(int) []byte { return func(int) []byte { return field(3, nil) } }},
		"replayed": {1800/frameStrike + 1, func(t *testing.T) func(int) []byte {
			b := publishing(seal(t, sim.Identity(100), 1, zone).Bytes())
			return func(int) []byte { return b }
		}},
		"grafts": {1800/floodStrike + 1, func(*testing.T) func(int) []byte {
			var grafts []byte
			for range 300 { // RPC.control = 3 {graft = 3 {topicID = 1}}
				grafts = append(grafts, field(3, field(1, []byte(TopicName(zone))))...)
			}
			b := field(3, grafts)
			return func(int) []byte { return b }
		}},
		"subscriptions": {1800/floodStrike + 1, func(*testing.T) func(int) []byte {
			var subs []byte
			for i := range 300 { // RPC.subscriptions = 1 {subscribe = 1, topicid = 2}
				subs = append(subs, field(1, append([]byte{1 << 3, 1}, field(2, junkTopic(0, i))...))...)
			}
			return func(int) []byte { return subs }
		}},
		"wanted": {1800/frameStrike + 1, func(*testing.T) func(int) []byte {
			var ids []byte
			for range 1000 { // RPC.control = 3 {iwant = 2 {messageIDs = 1}}
				ids = append(ids, field(1, make([]byte, 32))...)
			}
			b := field(3, field(2, ids))
			return func(int) []byte { return b }
		}},
	} {
		bubble.Test(t, func(t *testing.T) {
			nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
			a := newNode(t, nw, 1, Config{})
			h, stream := speaker(t, nw, 2, a)
			sent := speak(stream, 20_000, kind.frame(t))
			s := a.m.Snapshot()
			if a.h.Connected(h.Key()) || s.Shut != 1 || s.Frames == 0 || s.Frames > kind.most+64 {
				t.Fatalf("%s: %d frames sent, %d dropped, want %d and few more; %d peers cut off", name, sent, s.Frames, kind.most, s.Shut)
			}
		})
	}
}

// TestWhoBringsNewsMaySendAnyAmount: two neighbours bring the same 5,000 capsules, far more frames than an idle topic needs.
func TestWhoBringsNewsMaySendAnyAmount(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const many = 5000
		nw := sim.New(1, sim.Link{Delay: 5 * time.Millisecond})
		a := newNode(t, nw, 1, Config{Quotas: Quotas{AuthorRate: many, AuthorBurst: many, PeerRate: 20, PeerBurst: 200}})
		all := make([]*capsule.Capsule, many)
		for i := range all {
			all[i] = seal(t, sim.Identity(100), i, zone)
		}
		one, first := speaker(t, nw, 2, a)
		two, second := speaker(t, nw, 3, a)
		done := make(chan struct{}, 2)
		for _, stream := range []*p2p.Stream{first, second} {
			go func() {
				speak(stream, many, func(n int) []byte { return publishing(all[n].Bytes()) })
				done <- struct{}{}
			}()
		}
		<-done
		<-done
		s := a.m.Snapshot()
		if s.Frames != 0 || s.Shut != 0 || !a.h.Connected(one.Key()) || !a.h.Connected(two.Key()) || s.Topics[0].Duplicates < many/2 {
			t.Fatalf("%d frames dropped, %d peers cut off, %d duplicates", s.Frames, s.Shut, s.Topics[0].Duplicates)
		}
	})
}

// FuzzInspect feeds the inspector of frames: it takes from an allowance, never more than there is, and a frame that it lets
// through enters or leaves no more topics than there may be.
func FuzzInspect(f *testing.F) {
	f.Add(uint16(1), uint16(1), uint16(1), uint16(1), uint16(1), uint16(1))
	f.Add(uint16(0), uint16(129), uint16(0), uint16(0), uint16(0), uint16(0))
	f.Add(uint16(0), uint16(0), uint16(0), uint16(60_000), uint16(60_000), uint16(0))
	m := &Mesh{cfg: Config{}.withDefaults()}
	m.peers = quota.New[peer.ID](16, -1, 1)
	f.Fuzz(func(t *testing.T, subs, grafts, prunes, have, want, publish uint16) {
		c := &pb.ControlMessage{
			Graft: make([]*pb.ControlGraft, grafts), Prune: make([]*pb.ControlPrune, prunes),
			Ihave: []*pb.ControlIHave{nil, {MessageIDs: make([]string, have)}}, Iwant: []*pb.ControlIWant{{MessageIDs: make([]string, want)}},
		}
		rpc := new(pubsub.RPC)
		rpc.Subscriptions, rpc.Control, rpc.Publish = make([]*pb.RPC_SubOpts, subs), c, make([]*pb.Message, publish)
		m.score.records = map[peer.ID]*record{"peer": {frames: frameBurst, at: time.Now(), flood: -1 << 20}} // far from a cut
		err := m.inspect("peer", rpc)
		left, turns := m.score.records["peer"].frames, float64(subs)+float64(grafts)+float64(prunes)
		cost := 1 + turns + (float64(have)+float64(want))/namesPerFrame
		if left < 0 || (err == nil) != (turns <= 2*maxTopics && cost <= frameBurst) || err == nil && left != frameBurst-cost {
			t.Fatalf("cost %v, %v topics entered or left: %v, %v frames are left", cost, turns, err, left)
		}
	})
}
