package zone

import (
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/bubble"
	"github.com/kitwork/kwnode/zone/cert"
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
