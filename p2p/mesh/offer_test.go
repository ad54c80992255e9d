package mesh

import (
	"fmt"
	"testing"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/kitwork/kwnode/capsule"
)

func subs(on bool, topics ...string) []*pb.RPC_SubOpts {
	var out []*pb.RPC_SubOpts
	for _, t := range topics {
		out = append(out, &pb.RPC_SubOpts{Subscribe: &on, Topicid: &t})
	}
	return out
}

func zoneTopic(i int) string {
	return TopicName(capsule.ZoneID(capsule.Sum(fmt.Append(nil, i))))
}

// TestOfferedTopicsAreBounded: of topics that this host has not joined, a few of each peer are remembered, and only zones'.
func TestOfferedTopicsAreBounded(t *testing.T) {
	m := &Mesh{topics: map[string]*Topic{zoneTopic(0): {}}, offered: make(map[peer.ID]map[string]bool)}
	filter := func(from peer.ID, s []*pb.RPC_SubOpts) int {
		kept, err := (*allowList)(m).FilterIncomingSubscriptions(from, s)
		if err != nil {
			t.Fatal(err)
		}
		return len(kept)
	}
	var all []string
	for i := range 64 {
		all = append(all, zoneTopic(i))
	}
	if n := filter("a", subs(true, all...)); n != maxOffered+1 {
		t.Fatalf("%d topics kept, want ours and %d more", n, maxOffered)
	}
	if n := filter("a", subs(true, "/junk", topicPrefix, topicPrefix+"x", all[1]+"/", topicPrefix+"BAFY")); n != 0 {
		t.Fatalf("%d topics of nothing kept", n)
	}
	if n := filter("a", subs(true, zoneTopic(99))); n != 0 {
		t.Fatal("one too many was kept")
	}
	filter("a", subs(false, all[1:maxOffered+1]...))
	if n := filter("a", subs(true, zoneTopic(99))); n != 1 {
		t.Fatal("a peer that left its topics cannot name others")
	}
	for i := range 2 * maxOffering {
		filter(peer.ID(fmt.Sprint("sybil", i)), subs(true, zoneTopic(5)))
	}
	if len(m.offered) > maxOffering {
		t.Fatalf("topics of %d peers are remembered", len(m.offered))
	}
}

// FuzzTopic: whatever a peer subscribes to, nothing but a zone's own name is remembered.
func FuzzTopic(f *testing.F) {
	f.Add(zoneTopic(1))
	f.Add("/kitwork/zone/")
	f.Fuzz(func(t *testing.T, topic string) {
		m := &Mesh{topics: map[string]*Topic{}, offered: make(map[peer.ID]map[string]bool)}
		kept, _ := (*allowList)(m).FilterIncomingSubscriptions("a", subs(true, topic))
		if len(kept) > 0 && len(topic) != len(zoneTopic(1)) {
			t.Fatalf("%q was kept", topic)
		}
	})
}
