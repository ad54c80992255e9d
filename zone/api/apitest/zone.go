// Package apitest makes zones for tests: voters' keys and what they would certify, without a log or a network. It must
// never be imported but by tests.
package apitest

import (
	"bytes"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// Zone is a zone of voters whose keys the test holds.
type Zone struct {
	ID      capsule.ZoneID
	Genesis []byte
	Voters  []*capsule.Identity // ascending by key, as certificates count them
	Set     cert.VoterSet
}

// NewZone founds a zone. Equal names and sizes give equal zones.
func NewZone(t testing.TB, name string, voters int) *Zone {
	t.Helper()
	z := &Zone{}
	for i := range voters {
		z.Voters = append(z.Voters, capsule.IdentityFromSeed(capsule.Sum(append([]byte(name), byte(i)))))
	}
	slices.SortFunc(z.Voters, func(a, b *capsule.Identity) int {
		ka, kb := a.Key(), b.Key()
		return bytes.Compare(ka[:], kb[:])
	})
	g := &cert.Genesis{V: cert.Version, Dev: voters < 3, Roots: []capsule.Key{z.Voters[0].Key()},
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1}, MeterVersion: 1}
	for _, v := range z.Voters {
		g.Voters = append(g.Voters, v.Key())
	}
	var err error
	if z.Genesis, err = g.Bytes(); err != nil {
		t.Fatal(err)
	}
	z.ID = capsule.ZoneID(capsule.Sum(z.Genesis))
	z.Set = g.VoterSet(z.ID)
	return z
}

// Tracker is what somebody holds who knows the genesis alone.
func (z *Zone) Tracker(t testing.TB) *cert.Tracker {
	t.Helper()
	tr, err := cert.NewTracker(z.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// Advance begins the next epoch, with the same voters, and returns the encoding of the act that says so. Certificates are
// of the new epoch from then on.
func (z *Zone) Advance(t testing.TB) []byte {
	t.Helper()
	g, _, err := cert.ParseGenesis(z.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	body, err := capsule.Marshal(&cert.Epoch{V: cert.Version, Number: z.Set.Epoch + 1, Voters: z.Set.Keys})
	if err != nil {
		t.Fatal(err)
	}
	act := &cert.Admin{V: cert.Version, Zone: z.ID, Generation: z.Set.Generation, Sequence: z.Set.Epoch + 1, Op: cert.OpEpoch, Body: body}
	s, err := cert.SignAdmin(g, act, z.Voters...)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range z.Voters {
		if err := s.SignEpoch(&z.Set, v); err != nil {
			t.Fatal(err)
		}
	}
	next, _, err := s.Next(g, &z.Set)
	if err != nil {
		t.Fatal(err)
	}
	z.Set = next
	b, err := capsule.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Certify makes the encoding of a certificate that the first signers voters signed, quorum or not. Slot, verdict and body
// are the decision's; the rest is filled in, the epoch with the zone's newest.
func (z *Zone) Certify(t testing.TB, d cert.Decision, signers int) []byte {
	t.Helper()
	d.V, d.Zone, d.Index, d.Time, d.Chain = cert.Version, z.ID, 7, 1000, capsule.Sum([]byte("log"))
	d.Generation, d.Epoch = z.Set.Generation, z.Set.Epoch
	batch, err := cert.NewBatch([]cert.Decision{d})
	if err != nil {
		t.Fatal(err)
	}
	q := &cert.Quorate{Statement: cert.Statement{V: cert.Version, Zone: z.ID, Generation: d.Generation, Epoch: d.Epoch,
		Index: d.Index, Time: d.Time, Chain: d.Chain, Root: batch.Root()}}
	p, err := q.Statement.Payload()
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range z.Voters[:signers] {
		q.Sigs = append(q.Sigs, cert.IndexSig{Pos: uint8(i), Sig: v.Sign(cert.KindStatement, p)})
	}
	c, err := batch.Certificate(0, q)
	if err != nil {
		t.Fatal(err)
	}
	b, err := c.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}
