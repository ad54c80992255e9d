package gateway

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
)

// submission is one of an author, valid for an hour.
func submission(t *testing.T, author byte) *api.SubmitRequest {
	t.Helper()
	c, err := capsule.Seal(capsule.IdentityFromSeed([32]byte{author}), &capsule.Manifest{
		Home: capsule.ZoneID{1}, Code: capsule.RawCID([]byte("code")), Entry: "run", Gas: 1, MeterVersion: 1,
		Limits: capsule.Limits{MemoryPages: 1, Depth: 1, StateBytes: 1}, Expires: uint64(time.Now().Add(time.Hour).UnixMilli()),
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &api.SubmitRequest{V: api.Version, Envelope: c.Bytes()}
}

// TestQuotas: who hands in more than its share is told to come back, author by author and peer by peer, whatever is in it.
// Nobody else notices, and its share grows again with time.
func TestQuotas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFilter(capsule.NewCache(16))
		peer := func(n uint16) capsule.Key { return capsule.Key{1, byte(n), byte(n >> 8)} }
		passes := func(req *api.SubmitRequest, peer capsule.Key) bool {
			t.Helper()
			c, home, r := f.Check(req, peer)
			if r == nil {
				if c == nil || home != (capsule.ZoneID{1}) {
					t.Fatalf("passed on as %v, to zone %s", c, home)
				}
				return true
			}
			if r.Code != api.CodeBusy || r.Retry == 0 {
				t.Fatalf("refused with %v", r)
			}
			return false
		}
		count := func(most int, pass func(i int) bool) (n int) {
			for n < most && pass(n) {
				n++
			}
			return n
		}
		ada, bob := submission(t, 1), submission(t, 2)

		// One author, through as many peers as it likes.
		if n := count(3*authorBurst, func(i int) bool { return passes(ada, peer(uint16(i))) }); n != authorBurst {
			t.Errorf("%d capsules of one author passed at once, want %d", n, authorBurst)
		}
		if !passes(bob, peer(1)) {
			t.Error("another author pays for it")
		}
		time.Sleep(time.Second)
		if n := count(3*authorBurst, func(i int) bool { return passes(ada, peer(uint16(i))) }); n != perAuthor {
			t.Errorf("%d more after a second, want %d", n, perAuthor)
		}

		// One peer, with as many authors as it likes.
		time.Sleep(time.Hour - time.Minute)
		crowd := make([]*api.SubmitRequest, 3)
		for i := range crowd {
			crowd[i] = submission(t, byte(10+i))
		}
		if n := count(3*peerBurst, func(i int) bool { return passes(crowd[i%len(crowd)], peer(7)) }); n != peerBurst {
			t.Errorf("%d capsules of one peer passed at once, want %d", n, peerBurst)
		}
		if !passes(ada, peer(8)) {
			t.Error("another peer pays for it")
		}
		time.Sleep(time.Second)
		if n := count(3*peerBurst, func(i int) bool { return passes(crowd[i%len(crowd)], peer(7)) }); n != perPeer {
			t.Errorf("%d more after a second, want %d", n, perPeer)
		}
	})
}
