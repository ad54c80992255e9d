package voter

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// TestWordsAreGatheredOnce has a crowd ask for the word for the same content, as it does when the zone has forgotten the
// code of a busy function.
func TestWordsAreGatheredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w words
		var mu sync.Mutex
		var gathered []*word
		gather := func(_ capsule.CID, out *word) {
			mu.Lock()
			defer mu.Unlock()
			gathered = append(gathered, out)
		}
		code, other := capsule.RawCID([]byte("code")), capsule.RawCID([]byte("other"))
		set := &cert.VoterSet{Epoch: 1}
		crowd := func(id capsule.CID, want int) *word {
			t.Helper()
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() { w.of(id, set, gather) })
			}
			wg.Wait()
			if len(gathered) != want {
				t.Fatalf("gathered %d times, want %d", len(gathered), want)
			}
			return w.of(id, set, gather)
		}
		first := crowd(code, 1)
		first.err = errors.New("no quorum")
		close(first.done)
		second := crowd(code, 2) // what failed serves nobody else
		close(second.done)
		if crowd(code, 2) != second {
			t.Fatal("another word than the one that is there")
		}
		crowd(other, 3)
		set = &cert.VoterSet{Epoch: 2}
		close(crowd(code, 4).done)
		time.Sleep(wordFresh) // virtual
		close(crowd(code, 5).done)
		if len(w.m) != 1 {
			t.Fatalf("%d words are held, but for one all are stale", len(w.m))
		}
	})
}
