package api

import (
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api/apitest"
	"github.com/kitwork/kwnode/zone/cert"
)

// described is what an honest voter tells of z, valid from 1000 to 2000.
func described(t testing.TB, z *apitest.Zone, epochs [][]byte, signers []*capsule.Identity) *ZoneInfo {
	t.Helper()
	payload, err := capsule.Marshal(&cert.Descriptor{
		V: cert.Version, Zone: z.ID, Epoch: z.Set.Epoch, Voters: z.Set.Keys, At: 1000, Expires: 2000, MeterVersion: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &cert.SignedDescriptor{Payload: payload}
	for _, v := range signers {
		if err := s.Sign(&z.Set, v); err != nil {
			t.Fatal(err)
		}
	}
	b, err := capsule.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return &ZoneInfo{V: Version, Zone: z.ID, Genesis: z.Genesis, Epochs: epochs, Descriptor: b}
}

func TestDescribe(t *testing.T) {
	z, other := apitest.NewZone(t, "a", 4), apitest.NewZone(t, "b", 4)
	good := described(t, z, nil, z.Voters[:3])
	tracker, d, err := good.Describe(z.ID, nil, 1500)
	if err != nil || d.Zone != z.ID || tracker.Zone() != z.ID {
		t.Fatal(d, err)
	}
	for name, c := range map[string]struct {
		info *ZoneInfo
		now  uint64
		want string
	}{
		"expired":        {good, 2000, "expired"},
		"too few":        {described(t, z, nil, z.Voters[:2]), 1500, "signature"},
		"another zone":   {described(t, other, nil, other.Voters), 1500, "about zone"},
		"under its name": {func() *ZoneInfo { i := described(t, other, nil, other.Voters); i.Zone = z.ID; return i }(), 1500, "genesis"},
		"its descriptor": {func() *ZoneInfo {
			i := described(t, other, nil, other.Voters)
			i.Zone, i.Genesis = z.ID, z.Genesis
			return i
		}(), 1500, "zone"},
		"none":        {&ZoneInfo{V: Version, Zone: z.ID, Genesis: z.Genesis}, 1500, "no descriptor"},
		"no version":  {&ZoneInfo{Zone: z.ID, Genesis: z.Genesis}, 1500, "version"},
		"many epochs": {&ZoneInfo{V: Version, Zone: z.ID, Genesis: z.Genesis, Epochs: make([][]byte, MaxEpochs+1)}, 1500, "epochs"},
	} {
		if _, d, err := c.info.Describe(z.ID, nil, c.now); err == nil || d != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	// That there is no descriptor is a voter's to say.
	tracker, _, err = (&ZoneInfo{V: Version, Zone: z.ID, Genesis: z.Genesis}).Describe(z.ID, nil, 1500)
	for _, v := range z.Voters {
		if !Undescribed(err, tracker, v.Key()) {
			t.Errorf("voter %s is not heard: %v", v.Key(), err)
		}
	}
	if Undescribed(err, tracker, other.Voters[0].Key()) || Undescribed(err, nil, z.Voters[0].Key()) {
		t.Error("a stranger says that the zone can't prove itself")
	}
	_, _, wrong := described(t, z, nil, z.Voters[:2]).Describe(z.ID, tracker, 1500)
	if Undescribed(wrong, tracker, z.Voters[0].Key()) {
		t.Errorf("a voter that lies is heard: %v", wrong)
	}
	// The zone moves on: a reader of the genesis follows, one with the old descriptor alone does not believe it any more.
	act := z.Advance(t)
	next := described(t, z, [][]byte{act}, z.Voters[1:])
	if _, d, err := next.Describe(z.ID, nil, 1500); err != nil || d.Epoch != 1 {
		t.Fatal(d, err)
	}
	if _, _, err := next.Describe(z.ID, tracker, 1500); err != nil {
		t.Fatal(err)
	}
	if _, _, err := good.Describe(z.ID, tracker, 1500); err == nil {
		t.Fatal("a descriptor of a past epoch was believed")
	}
}

// FuzzDescribe: whatever a node tells, nothing but the zone's own descriptor is believed.
func FuzzDescribe(f *testing.F) {
	z := apitest.NewZone(f, "a", 3)
	good := described(f, z, nil, z.Voters)
	b, err := capsule.Marshal(good)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Fuzz(func(t *testing.T, b []byte) {
		var info ZoneInfo
		if capsule.Unmarshal(b, &info) != nil {
			return
		}
		_, d, err := info.Describe(z.ID, nil, 1500)
		if (d == nil) != (err != nil) {
			t.Fatalf("%+v, %v", d, err)
		}
		if d != nil && (d.At != 1000 || d.Expires != 2000 || len(d.Voters) != 3) {
			t.Fatalf("believed %+v", d)
		}
	})
}
