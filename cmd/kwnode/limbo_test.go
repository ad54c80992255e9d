package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/zone/cert"
)

// TestLimbo: a capsule whose target is silent is listed with its age, its credits and what becomes of it.
func TestLimbo(t *testing.T) {
	target := capsule.ZoneID{7}
	all := []admin.CapsuleInfo{
		{ID: capsule.ID{1}, Status: "running", Since: 1000},
		{ID: capsule.ID{2}, Status: "limbo", Hop: 3, Since: 1000, Offer: &admin.OfferInfo{Target: target, Credits: 55}},
		{ID: capsule.ID{3}, Status: "limbo", Since: 61_000, Offer: &admin.OfferInfo{Target: target, GiveUp: 3_600_000}},
	}
	cmd := newCapsuleListCmd()
	var out bytes.Buffer
	cmd.SetOut(&out)
	if err := printLimbo(cmd, false, all, 91_000); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want a head and the two in limbo:\n%s", len(lines), out.String())
	}
	for i, want := range [][]string{{"1m30s", " 3 ", " 55 ", capsule.ID{2}.String(), target.String(), "for ever"}, {"30s", capsule.ID{3}.String(), "1970-01-01T01:00:00Z"}} {
		for _, w := range want {
			if !strings.Contains(lines[i+1], w) {
				t.Errorf("%q is not in: %s", w, lines[i+1])
			}
		}
	}
}

// TestFrozenPeer: the ledger says why a zone is not believed.
func TestFrozenPeer(t *testing.T) {
	slot := cert.Slot{Capsule: capsule.ID{4}, Hop: 2}
	e := cert.Evidence{
		A: cert.Certificate{Decision: cert.Decision{Slot: slot, Verdict: cert.Accepted, Index: 10}},
		B: cert.Certificate{Decision: cert.Decision{Slot: slot, Verdict: cert.Tombstone, Index: 12}},
	}
	b, err := capsule.Marshal(&e)
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]admin.PeerInfo{
		"no":           {},
		"by the roots": {Frozen: true},
		"contradicted itself about capsule " + slot.Capsule.String() + ", hop 2: accepted at entry 10, tombstone at entry 12": {Frozen: true, Evidence: b},
	} {
		if got := frozen(&p); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
