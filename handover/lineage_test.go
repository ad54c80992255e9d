package handover

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// zone is a voter set whose every member signs what the test wants.
type zone struct {
	id     capsule.ZoneID
	voters []*capsule.Identity
	set    cert.VoterSet
	index  uint64
}

func newZone(t *testing.T, seed byte) *zone {
	rng := rand.NewChaCha8([32]byte{seed})
	z := &zone{}
	for range 4 {
		id, err := capsule.NewIdentity(rng)
		if err != nil {
			t.Fatal(err)
		}
		z.voters = append(z.voters, id)
	}
	slices.SortFunc(z.voters, func(a, b *capsule.Identity) int {
		x, y := a.Key(), b.Key()
		return bytes.Compare(x[:], y[:])
	})
	z.id[0] = seed
	z.set = cert.VoterSet{Zone: z.id}
	for _, v := range z.voters {
		z.set.Keys = append(z.set.Keys, v.Key())
	}
	return z
}

func (z *zone) certify(t *testing.T, slot cert.Slot, v cert.Verdict, body []byte) cert.Certificate {
	t.Helper()
	z.index++
	d := cert.Decision{V: cert.Version, Zone: z.id, Index: z.index, Slot: slot, Verdict: v, Body: capsule.Sum(body)}
	b, err := cert.NewBatch([]cert.Decision{d})
	if err != nil {
		t.Fatal(err)
	}
	q := &cert.Quorate{Statement: cert.Statement{V: cert.Version, Zone: z.id, Index: z.index, Root: b.Root()}}
	payload, err := q.Statement.Payload()
	if err != nil {
		t.Fatal(err)
	}
	for i, voter := range z.voters[:z.set.Quorum()] {
		q.Sigs = append(q.Sigs, cert.IndexSig{Pos: uint8(i), Sig: voter.Sign(cert.KindStatement, payload)})
	}
	c, err := b.Certificate(0, q)
	if err != nil {
		t.Fatal(err)
	}
	return *c
}

type mesh map[capsule.ZoneID]*zone

func (m mesh) trust(c *cert.Certificate) error {
	z, ok := m[c.Decision.Zone]
	if !ok {
		return fmt.Errorf("zone %s is not pinned", c.Decision.Zone)
	}
	return c.Verify(&z.set)
}

// journey is a capsule that goes from a to b, is refused by c, and comes home.
type journey struct {
	mesh    mesh
	home    capsule.ZoneID
	id      capsule.ID
	lineage Lineage
}

func newJourney(t *testing.T) journey {
	a, b, c := newZone(t, 1), newZone(t, 2), newZone(t, 3)
	j := journey{mesh: mesh{a.id: a, b.id: b, c.id: c}, home: a.id, id: capsule.ID{7}}
	j.lineage.Admitted = a.certify(t, InSlot(j.id, 0), cert.Admitted, nil)
	j.hop(t, a, b, Accepted)
	j.hop(t, b, c, Tombstone)
	j.hop(t, b, c, ExpiredNoRecord)
	j.hop(t, b, a, Accepted)
	return j
}

func (j *journey) hop(t *testing.T, from, to *zone, v Verdict) {
	t.Helper()
	hop := uint32(len(j.lineage.Steps))
	s := Step{Offer: Offer{
		V: Version, Capsule: j.id, Hop: hop, Source: from.id, Target: to.id, Expires: 1000 + uint64(hop),
		Code: capsule.RawCID([]byte("code")), State: capsule.RawCID([]byte{byte(hop)}), Credits: 500,
	}}
	offer, err := s.Offer.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseOffer(offer); err != nil {
		t.Fatal(err)
	}
	s.Released = from.certify(t, OutSlot(j.id, hop), cert.Released, offer)
	s.Answer = Answer{V: Version, Offer: capsule.Sum(offer), Verdict: v}
	if v == Accepted {
		s.Answer.Price, s.Answer.Units = 2, 200
	} else {
		s.Answer.Reason = 6
	}
	answer, err := s.Answer.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseAnswer(answer); err != nil {
		t.Fatal(err)
	}
	s.Answered = to.certify(t, InSlot(j.id, hop), certVerdict[v], answer)
	j.lineage.Steps = append(j.lineage.Steps, s)
}

func TestLineageProvesTheOwner(t *testing.T) {
	j := newJourney(t)
	want := []Owner{{j.home, 0}, {capsule.ZoneID{2}, 1}, {capsule.ZoneID{2}, 2}, {capsule.ZoneID{2}, 3}, {j.home, 4}}
	for n := range want {
		l := Lineage{Admitted: j.lineage.Admitted, Steps: j.lineage.Steps[:n]}
		got, err := l.Verify(j.id, j.home, j.mesh.trust)
		if err != nil || got != want[n] {
			t.Errorf("after %d steps: %v, %v; want %v", n, got, err, want[n])
		}
	}
	for n, s := range j.lineage.Steps {
		l := Lineage{Admitted: j.lineage.Admitted, Steps: j.lineage.Steps[:n]}
		if err := l.Released(&s.Offer, &s.Released, j.home, j.mesh.trust); err != nil {
			t.Errorf("release of step %d: %v", n, err)
		}
	}
}

// A former owner, a stranger and a relay each try to gain a hop that the chain
// does not give them.
func TestLineageRefusesMintedHops(t *testing.T) {
	j := newJourney(t)
	a, b := j.mesh[j.home], j.mesh[capsule.ZoneID{2}]
	forge := map[string]func(l *Lineage){
		"a step left out":        func(l *Lineage) { l.Steps = append(l.Steps[:1:1], l.Steps[2:]...) },
		"steps in another order": func(l *Lineage) { l.Steps[1], l.Steps[2] = l.Steps[2], l.Steps[1] },
		"a step twice":           func(l *Lineage) { l.Steps = append(l.Steps[:2:2], l.Steps[1:]...) },
		"another admission": func(l *Lineage) {
			l.Admitted = b.certify(t, InSlot(j.id, 0), cert.Admitted, nil)
		},
		"released by a former owner": func(l *Lineage) {
			s := l.Steps[1]
			s.Offer.Source = a.id
			offer, _ := s.Offer.Bytes()
			s.Released = a.certify(t, OutSlot(j.id, 1), cert.Released, offer)
			l.Steps[1] = s
		},
		"answered by the source": func(l *Lineage) {
			s := &l.Steps[0]
			answer, _ := s.Answer.Bytes()
			s.Answered = a.certify(t, InSlot(j.id, 0), cert.Accepted, answer)
		},
		"refusal read as acceptance": func(l *Lineage) { l.Steps[1].Answer.Verdict = Accepted },
		"answer to another offer": func(l *Lineage) {
			s := &l.Steps[0]
			s.Answer.Offer[0] ^= 1
			answer, _ := s.Answer.Bytes()
			s.Answered = b.certify(t, InSlot(j.id, 0), cert.Accepted, answer)
		},
		"more units than were certified": func(l *Lineage) { l.Steps[0].Answer.Units++ },
		"another state":                  func(l *Lineage) { l.Steps[0].Offer.StateHash[5] ^= 1 },
		"a signature altered":            func(l *Lineage) { l.Steps[3].Answered.Sigs[0].Sig[9] ^= 1 },
		"too few signatures":             func(l *Lineage) { l.Steps[3].Answered.Sigs = l.Steps[3].Answered.Sigs[:2] },
	}
	names := make([]string, 0, len(forge))
	for name := range forge {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			l := newJourney(t).lineage
			forge[name](&l)
			if got, err := l.Verify(j.id, j.home, j.mesh.trust); !errors.Is(err, ErrLineage) {
				t.Errorf("verified as owned by %v (error %v)", got, err)
			}
		})
	}
}

func TestUnits(t *testing.T) {
	const m = PriceScale
	for _, c := range []struct{ credits, reserve, price, want uint64 }{
		{100, 10, 3 * m, 30}, {100, 100, 3, 0}, {5, 100, 3, 0}, {101, 0, 10 * m, 10}, {50, 20, 0, capsule.MaxGas - 1},
		{7, 0, 1000, 7000}, {1, 0, 3, 333_333}, {1<<64 - 1, 0, 1, capsule.MaxGas - 1}, {1<<62 - 1, 0, 1 << 40, 4_194_303_999_999},
	} {
		if got := Units(c.credits, c.reserve, c.price); got != c.want {
			t.Errorf("Units(%d, %d, %d) = %d, want %d", c.credits, c.reserve, c.price, got, c.want)
		}
	}
}

func FuzzWire(f *testing.F) {
	o := Offer{V: Version, Source: capsule.ZoneID{1}, Target: capsule.ZoneID{2}, Expires: 1}
	b, err := o.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	a := Answer{V: Version, Verdict: Accepted}
	if b, err = a.Bytes(); err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if o, err := ParseOffer(b); err == nil {
			if again, err := o.Bytes(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("offer %x encodes as %x (%v)", b, again, err)
			}
		}
		if a, err := ParseAnswer(b); err == nil {
			if again, err := a.Bytes(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("answer %x encodes as %x (%v)", b, again, err)
			}
		}
	})
}
