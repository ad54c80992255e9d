package worker

import (
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
	commands chan machine.Kind
}

func (v *oneVoter) Open(_ context.Context, _ capsule.Key, proto string) (net.Conn, error) {
	here, there := net.Pipe()
	go func() {
		defer there.Close()
		for {
			switch proto {
			case api.ProtoCommand:
				var req api.CommandRequest
				if api.Read(there, &req, api.MaxMessage) != nil || api.Accept(there, &api.CommandReply{V: api.Version}) != nil {
					return
				}
				v.commands <- machine.KindOf(req.Command)
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

// A zone whose lease ran out before it reached the worker takes the worker for silent, and gives it nothing until it hears
// from it: one that holds nothing has to say something all the same.
func TestStoppedWorkerIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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
		zone := &oneVoter{commands: make(chan machine.Kind, 16),
			send: &api.Work{V: api.Version, Lease: api.LeaseRef{Capsule: capsule.ID{7}, Number: 1}, Stop: true, Grant: []byte{}}}
		w := Start(Config{Identity: id(3), Tracker: tracker, Slots: 1, Pages: 16, Net: zone, Voters: func() []capsule.Key { return []capsule.Key{id(2).Key()} }})
		defer w.Close()
		for _, want := range []machine.Kind{machine.KindRegister, machine.KindRenew} {
			select {
			case got := <-zone.commands:
				if got != want {
					t.Fatalf("the worker says %v, want %v", got, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("the worker says nothing for a minute, want %v", want)
			}
		}
	})
}
