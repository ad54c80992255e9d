package machine

import (
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

func TestLife(t *testing.T) {
	w := founded(t, 2)
	id := w.admit()
	out := w.last
	if got := out.Results[0]; got.Status != StatusRunning || got.Repeated {
		t.Fatalf("admission: %+v", got)
	}
	if len(out.Decisions) != 2 || out.Decisions[0].Verdict != cert.Admitted || out.Decisions[1].Verdict != cert.Leased {
		t.Fatalf("decisions %+v", out.Decisions)
	}
	w.checkState()
	w.ok(w.commitCmd(id, EndDone, func(c *Commit) {
		c.Reads = []Read{w.read(id, "orders/1")}
		c.Writes = []Write{put("orders/1", "one")}
		c.Events = []Event{{Topic: "news", Data: []byte("hello")}}
	}))
	w.status(id, StatusDone)
	if got := w.get("orders/1"); got != "one" {
		t.Fatalf("orders/1 = %q", got)
	}
	o, err := w.view().Output(id)
	if err != nil || string(o.Data) != "out" || o.Charged == 0 || o.EventsPublished != 1 {
		t.Fatalf("output %+v, %v", o, err)
	}
	w.checkState()
	w.tick(2 * 3_600_000)
	w.tick(2 * 3_600_000)
	if _, err := w.view().Capsule(id); err == nil {
		t.Fatal("the capsule is remembered for ever")
	}
	w.checkState()
	_ = capsule.ID{}
}
