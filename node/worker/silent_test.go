package worker

import (
	"bytes"
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// oneVoter is a zone of one voter that takes every command and sends one message down each line.
type oneVoter struct {
	Net      // what content needs is not asked for
	send     *api.Work
	lost     int // the answers to the first so many commands don't arrive
	commands chan []byte
}

func (v *oneVoter) Open(_ context.Context, _ capsule.Key, proto string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for {
			switch proto {
			case api.ProtoCommand:
				var req api.CommandRequest
				if api.Read(there, &req, api.MaxMessage) != nil {
					return
				}
				v.commands <- req.Command
				if v.lost--; v.lost >= 0 || api.Accept(there, &api.CommandReply{V: api.Version}) != nil {
					return
				}
			case api.ProtoWork:
				var req api.WorkRequest
				if api.Read(there, &req, api.MaxMessage) != nil || api.Accept(there, v.send) != nil {
					return
				}
			default:
				return
			}
		}
	}()
	return here, nil
}

// started is a worker of the zone.
func (v *oneVoter) started(t *testing.T) *Worker {
	t.Helper()
	id := func(n byte) *capsule.Identity { return capsule.IdentityFromSeed([32]byte{n}) }
	genesis, err := (&cert.Genesis{
		V: cert.Version, Dev: true, Roots: []capsule.Key{id(1).Key()}, Voters: []capsule.Key{id(2).Key()}, MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1},
	}).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := cert.NewTracker(genesis)
	if err != nil {
		t.Fatal(err)
	}
	v.commands = make(chan []byte, 16)
	return Start(Config{Identity: id(3), Tracker: tracker, Slots: 1, Pages: 16, Net: v, Voters: func() []capsule.Key { return []capsule.Key{id(2).Key()} }})
}

// next is the worker's next command.
func (v *oneVoter) next(t *testing.T) []byte {
	t.Helper()
	select {
	case c := <-v.commands:
		return c
	case <-time.After(time.Minute):
		t.Fatal("the worker says nothing for a minute")
		return nil
	}
}

// A zone whose lease ran out before it reached the worker takes the worker for silent, and gives it nothing until it hears
// from it: one that holds nothing has to say something all the same.
func TestStoppedWorkerIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		zone := &oneVoter{send: &api.Work{V: api.Version, Lease: api.LeaseRef{Capsule: capsule.ID{7}, Number: 1}, Stop: true, Grant: []byte{}}}
		defer zone.started(t).Close()
		for _, want := range []machine.Kind{machine.KindRegister, machine.KindRenew} {
			if got := machine.KindOf(zone.next(t)); got != want {
				t.Fatalf("the worker says %v, want %v", got, want)
			}
		}
	})
}

// A worker that doesn't hear that the zone has heard of its beginning says the same again, byte for byte, however long that
// takes: the zone has given it leases by then, which another beginning would take from it.
func TestBeginningIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lost = 7
		zone := &oneVoter{send: &api.Work{V: api.Version, Lease: api.LeaseRef{Capsule: capsule.ID{7}, Number: 1}, Yield: true, Grant: []byte{}}, lost: lost}
		w := zone.started(t)
		defer w.Close()
		first := zone.next(t)
		for range lost {
			if again := zone.next(t); !bytes.Equal(again, first) {
				t.Fatalf("after %x the worker says %x", first, again)
			}
		}
		// Whoever drains says something new.
		if err := w.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c := zone.next(t); machine.KindOf(c) != machine.KindRegister || bytes.Equal(c, first) {
			t.Fatalf("a worker that drains says %x", c)
		}
	})
}
