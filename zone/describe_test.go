package zone

import (
	"sync"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/internal/memnet"
)

// TestDescriptor: every voter has one that a quorum signed; a zone without a quorum lives on its last one until it
// expires; voters do not sign what is not so.
func TestDescriptor(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		c.furnish()
		c.converge(5 * time.Second)
		tracker := must(cert.NewTracker(c.raw))
		set := tracker.Newest()
		verify := func(b []byte) (*cert.Descriptor, error) {
			var s cert.SignedDescriptor
			if err := capsule.Unmarshal(b, &s); err != nil {
				t.Fatal(err)
			}
			return s.Verify(&set, now())
		}
		for i, z := range c.zones {
			d, err := verify(must(z.Descriptor(t.Context())))
			if err != nil || len(d.Voters) != 3 || d.Zone != c.id || d.GasPrice == 0 {
				t.Fatalf("voter %d: %+v, %v", i, d, err)
			}
		}
		z := c.zones[0]
		own := must(z.descriptor(&set))
		own.At, own.Expires = now(), now()+1000
		for name, wrong := range map[string]func(d *cert.Descriptor){
			"price":  func(d *cert.Descriptor) { d.GasPrice++ },
			"voters": func(d *cert.Descriptor) { d.Voters = d.Voters[:2] },
			"zone":   func(d *cert.Descriptor) { d.Zone[0]++ },
			"future": func(d *cert.Descriptor) { d.At += descriptorSkew + 1000; d.Expires = d.At },
			"long":   func(d *cert.Descriptor) { d.Expires = d.At + descriptorLife + 1 },
		} {
			d := *own
			wrong(&d)
			if _, err := z.signDescriptor(must(capsule.Marshal(&d))); err == nil {
				t.Errorf("a descriptor with another %s was signed", name)
			}
		}
		if _, err := z.signDescriptor(must(capsule.Marshal(own))); err != nil {
			t.Errorf("its own: %v", err)
		}
		c.stop(1)
		c.stop(2)
		time.Sleep(descriptorFresh*time.Millisecond + time.Second)
		if _, err := verify(must(z.Descriptor(t.Context()))); err != nil {
			t.Fatalf("without a quorum, while the last one is valid: %v", err)
		}
		time.Sleep(descriptorLife * time.Millisecond)
		if b, err := z.Descriptor(t.Context()); err == nil {
			_, err = verify(b)
			t.Fatalf("an expired descriptor was given away: %v", err)
		}
	})
}

// TestDescriptorAfterGenesis: a voter that is asked all the time, from before the zone exists, tells how it stands soon after
// it has applied the genesis, whether or not the others have by then. What was asked before has cost no attempt.
func TestDescriptorAfterGenesis(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const hop = 20 * time.Millisecond
		c := newCluster(t, 3, func(c *cluster) { c.net = memnet.New(func(_, _ capsule.Key) time.Duration { return hop }) })
		defer c.close()
		var all sync.WaitGroup
		for i, z := range c.zones {
			all.Go(func() {
				var founded time.Time
				for asked := 0; ; asked++ {
					v := must(z.Query())
					_, err := v.Zone()
					v.Close()
					if err == nil && founded.IsZero() {
						founded = time.Now()
					}
					if _, err = z.Descriptor(t.Context()); err == nil {
						if late := time.Since(founded); founded.IsZero() || late > 10*hop || asked == 0 {
							t.Errorf("voter %d has a descriptor after %d questions, %s after its genesis", i, asked, late)
						}
						return
					}
					if time.Since(founded) > time.Minute && !founded.IsZero() {
						t.Errorf("voter %d has none: %v", i, err)
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		all.Wait()
	})
}

// TestDescriptorAttempts: a voter that is asked all the time in vain asks the others seldom, and not at all before the genesis.
func TestDescriptorAttempts(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		defer c.close()
		c.stop(1)
		c.stop(2)
		attempts := func(z *Zone) int {
			seen := map[time.Time]bool{}
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				if _, err := z.Descriptor(t.Context()); err == nil {
					t.Fatal("a descriptor without a quorum")
				}
				z.described.mu.Lock()
				if at := z.described.next; !at.IsZero() {
					seen[at] = true
				}
				z.described.mu.Unlock()
			}
			return len(seen)
		}
		if n := attempts(c.zones[0]); n != 0 {
			t.Errorf("%d attempts before the genesis", n)
		}
		c.start(1)
		c.start(2)
		c.leader()
		c.converge(5 * time.Second)
		c.stop(1)
		c.stop(2)
		if n := attempts(c.zones[0]); n < 22 || n > 26 {
			t.Errorf("%d attempts in 20 s", n)
		}
	})
}
