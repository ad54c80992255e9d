package main

import (
	"testing"

	"github.com/kitwork/kwnode/kit"
)

func TestRemind(t *testing.T) {
	zone := kit.NewLocal("home")
	day := 24 * kit.Hour
	n, err := kit.Run(zone, Remind, Plan{Who: "alice", Text: "water the plants", Times: 3, Every: day})
	if err != nil || n != 3 {
		t.Fatal(n, err)
	}
	events := zone.Events()
	if len(events) != 3 {
		t.Fatalf("%d events", len(events))
	}
	for i, e := range events {
		r, err := kit.Unmarshal[Reminder](e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(kit.LocalStart) + int64(i+1)*day; r.Number != i+1 || r.At != want {
			t.Errorf("reminder %d: %+v, want it at %d", i, r, want)
		}
	}
}
