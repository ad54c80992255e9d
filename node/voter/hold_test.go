package voter

import (
	"context"
	"path/filepath"
	"testing"
	"testing/synctest"

	"golang.org/x/sync/semaphore"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// arriving is content that is on its way until it is let in.
type arriving struct {
	Contents
	started chan capsule.CID
	in      chan []byte
}

func (a *arriving) Borrow(ctx context.Context, id capsule.CID, _ int64, _ ...capsule.Key) ([]byte, error) {
	a.started <- id
	select {
	case b := <-a.in:
		return b, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
func (*arriving) Flush(capsule.CID) error  { return nil }
func (*arriving) Keep(capsule.CID, string) {}

// However much a voter is asked to hold, only so much of it is in its memory at a time, and all of it is attested to in the end.
func TestHeldContentIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := openPromises(filepath.Join(t.TempDir(), "promises"), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		const requests = 7
		on := &arriving{started: make(chan capsule.CID, 2*requests), in: make(chan []byte)}
		s := &Server{cfg: Config{Identity: capsule.IdentityFromSeed([32]byte{1}), Contents: on}, holds: semaphore.NewWeighted(maxHoldBytes), keep: &keeper{promises: p}}
		answers := make(chan error, requests)
		for i := range requests {
			facts := []machine.Attest{
				{Fact: machine.FactHeld, Blob: cid(byte(2 * i)), Size: api.MaxHeld, Until: nowMS() + 1000},
				{Fact: machine.FactHeld, Blob: cid(byte(2*i + 1)), Size: api.MaxHeld, Until: nowMS() + 1000}, // in the place of the first
			}
			go func() {
				reply, err := s.attestTo(t.Context(), &api.HoldRequest{Facts: [][]byte{{1}, {2}}}, facts, nil)
				if err == nil && len(reply.Sigs) != len(facts) {
					t.Errorf("%d signatures under %d facts", len(reply.Sigs), len(facts))
				}
				answers <- err
			}()
		}
		content, most := make([]byte, api.MaxHeld), maxHoldBytes/api.MaxHeld
		for done := 0; done < 2*requests; done++ {
			synctest.Wait()
			if under := len(on.started) - done; under > most || under < 1 {
				t.Fatalf("%d contents of %d bytes are on their way into memory, want at most %d", under, api.MaxHeld, most)
			}
			on.in <- content
		}
		for range requests {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
	})
}

// What a request takes is what is in memory at a time; of continuations to check, no more than one is asked for.
func TestRoomForFacts(t *testing.T) {
	held, fits := machine.Attest{Size: 5}, machine.Attest{Size: 7, Other: cid(1)}
	if got := roomFor([]machine.Attest{held, {Size: 3}, fits, held}); got != 12 {
		t.Errorf("%d bytes, want 12", got)
	}
	req := &api.HoldRequest{V: api.Version}
	for i := range 2 {
		b, err := capsule.Marshal(&machine.Attest{Scope: machine.Scope{V: machine.Version}, Fact: machine.FactFits, Blob: cid(byte(i)), Other: cid(9)})
		if err != nil {
			t.Fatal(err)
		}
		req.Facts = append(req.Facts, b)
		if _, err := parseFacts(req); (err != nil) != (i > 0) {
			t.Errorf("%d continuations to check: %v", i+1, err)
		}
	}
}
