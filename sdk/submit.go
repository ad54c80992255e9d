package sdk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"net"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

// Submission is a capsule that was handed in. Its methods may be called from any goroutine.
type Submission struct {
	ID   capsule.ID
	Home capsule.ZoneID
	Ack  api.Ack // of the voter that took it first

	c      *Client
	bundle *Bundle

	mu   sync.Mutex           // guards took
	took map[capsule.Key]bool // nodes that have the bundle
}

// Submit hands a bundle to the zone that its manifest names home, and returns when a voter has acknowledged it: held, not
// yet admitted. Trying again, here or after a crash, is harmless: the same bundle is the same capsule.
func (c *Client) Submit(ctx context.Context, b *Bundle) (*Submission, error) {
	s := &Submission{ID: b.Capsule.ID(), Home: b.Capsule.Manifest().Home, c: c, bundle: b, took: map[capsule.Key]bool{}}
	if err := s.submit(ctx); err != nil {
		return nil, fmt.Errorf("submit capsule %s: %w", s.ID, err)
	}
	return s, nil
}

// Follow makes a submission of a capsule that was handed in before. Without the bundle it can't be handed in again.
func (c *Client) Follow(home capsule.ZoneID, id capsule.ID) *Submission {
	return &Submission{ID: id, Home: home, c: c}
}

func (s *Submission) submit(ctx context.Context) error {
	ack, err := anyNode(ctx, s.c, s.Home, roleVoter|roleGateway, hedgeMost, s.handTo)
	if err == nil {
		s.Ack = *ack
	}
	return err
}

// handTo submits to one node: the state goes along at once, being each capsule's own, code and base if they are missing
// there.
func (s *Submission) handTo(ctx context.Context, key capsule.Key) (*api.Ack, error) {
	var along []capsule.CID
	if state := s.bundle.Capsule.Manifest().State; !state.IsZero() {
		along = append(along, state)
	}
	for range 2 {
		reply, err := talk(ctx, s.c, key, api.ProtoSubmit, submitTimeout, func(conn net.Conn) (*api.SubmitReply, error) {
			return api.Submit(conn, s.bundle.Capsule.Bytes(), s.bundle.Blobs, along)
		})
		if err != nil {
			return nil, err
		}
		if len(reply.Missing) == 0 {
			var ack *api.Ack
			err := s.c.book.with(s.Home, func(t *cert.Tracker) (err error) {
				ack, err = api.VerifyAck(reply.Ack, s.ID, s.Home, t.Set)
				return err
			})
			if err == nil {
				s.mu.Lock()
				s.took[key] = true
				s.mu.Unlock()
			}
			return ack, err
		}
		for _, id := range reply.Missing {
			if _, ok := s.bundle.Blobs[id]; !ok {
				return nil, fmt.Errorf("node %s asks for %s, which is no part of the capsule", key, id)
			}
		}
		along = reply.Missing
	}
	return nil, fmt.Errorf("node %s asks for content that it was given", key)
}

const (
	submitTimeout = 30 * time.Second
	pollWait      = 20 * time.Second // how long a node holds a result request
)

// Result is how a capsule ended, verified against the certificate of the zone it ended in.
type Result struct {
	ID          capsule.ID
	Zone        capsule.ZoneID // where it ended
	Verdict     cert.Verdict
	Output      []byte // of Finished: what the entry returned; else the message and the stack trace
	Code        uint32 // of Failed
	Reason      string // of an end that the zone decided
	Bill        Bill
	Retries     Retries
	Time        uint64        // zone milliseconds
	Events      []api.Emitted // of the last segment; Watch tells of all
	Certificate []byte
}

// Bill itemises what a capsule used and cost.
type Bill struct {
	Spent    uint64 `json:"spent"`    // units of work that counts
	Retry    uint64 `json:"retry"`    // units that conflicts and lost workers' checkpoints made again
	Charged  uint64 `json:"charged"`  // credits
	Fee      uint64 `json:"fee"`      // of them, for what was held and not used
	Refunded uint64 `json:"refunded"` // credits
}

// Retries are the attempts at a segment that came to nothing, in the zone where the capsule ended. The work that counts is
// charged once; what an attempt cost beside it stands with it.
type Retries struct {
	Count uint32  `json:"count"`
	Last  []Retry `json:"last"` // the latest ones
}

// Retry is one attempt that came to nothing.
type Retry struct {
	Segment uint32      `json:"segment"`
	Cause   string      `json:"cause"`
	Worker  capsule.Key `json:"worker"`
	Units   uint64      `json:"units"`
	Time    uint64      `json:"time"` // zone milliseconds
}

// Failed is the error of a capsule that ended without a result.
type Failed struct{ Result *Result }

func (f *Failed) Error() string {
	r := f.Result
	msg := fmt.Sprintf("capsule %s %s", r.ID, r.Verdict)
	if r.Reason != "" {
		msg += " (" + r.Reason + ")"
	}
	if r.Reason == "namespace" {
		msg += ": it wrote where the zone has no namespace, or one whose rent is due; see kwnode zone namespace"
	}
	if r.Code != 0 {
		msg += fmt.Sprintf(" with code %d", r.Code)
	}
	if len(r.Output) > 0 {
		msg += ": " + plain(string(r.Output))
	}
	return msg
}

// plain is text without what could steer a terminal: a capsule's last words are whatever it wrote.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// ErrSuspended means that a capsule ran out of gas and keeps its state: TopUp lets it go on, and Await waits again.
var ErrSuspended = errors.New("the capsule is suspended, out of gas; top it up and it goes on")

// Await returns the capsule's result once it has one. It believes no node: the result is what a quorum of the zone
// certified. If nodes fail it asks others, and if the zone doesn't know the capsule it hands it in again.
// A capsule that ended without success is a [*Failed]; one that stands still for lack of gas is [ErrSuspended].
func (s *Submission) Await(ctx context.Context) (*Result, error) {
	return s.await(ctx, 0)
}

// AwaitPast is Await for a caller that has seen, and answered, the first pauses suspensions.
func (s *Submission) AwaitPast(ctx context.Context, pauses uint32) (*Result, error) {
	return s.await(ctx, pauses)
}

func (s *Submission) await(ctx context.Context, pauses uint32) (*Result, error) {
	if err := s.look(ctx); err != nil {
		return nil, fmt.Errorf("await: %w", err)
	}
	res, err := anyNode(ctx, s.c, s.Home, roleVoter|roleGateway, hedgeMost, func(ctx context.Context, key capsule.Key) (*Result, error) {
		s.supply(ctx, key)
		for {
			res, err := s.poll(ctx, key, pauses)
			var refusal *api.Refusal
			if !errors.As(err, &refusal) || refusal.Code != api.CodeUnknown || s.bundle == nil {
				return res, err
			}
			if _, err := s.handTo(ctx, key); err != nil {
				return nil, err
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("await capsule %s: %w", s.ID, err)
	}
	if res.Verdict == cert.Finished {
		return res, nil
	}
	return nil, &Failed{res}
}

// supply hands the capsule to a node that it was not handed to yet. The node that took it may have died with the only copy
// of its code: the zone would know the capsule, and nobody could run it. If it fails, so does what follows, or it was not
// needed.
func (s *Submission) supply(ctx context.Context, key capsule.Key) {
	if s.bundle == nil {
		return
	}
	s.mu.Lock()
	took := s.took[key]
	s.mu.Unlock()
	if !took {
		_, _ = s.handTo(ctx, key)
	}
}

// poll asks one node once.
func (s *Submission) poll(ctx context.Context, key capsule.Key, pauses uint32) (*Result, error) {
	req := &api.ResultRequest{V: api.Version, Zone: s.Home, Capsule: s.ID, Wait: uint64(pollWait.Milliseconds()), Pauses: pauses}
	_ = s.c.book.with(s.Home, func(t *cert.Tracker) error {
		set := t.Newest()
		req.Generation, req.Epoch = set.Generation, set.Epoch
		return nil
	})
	o, err := ask[api.Outcome](ctx, s.c, key, api.ProtoResult, req, pollWait+askTimeout)
	if err != nil {
		return nil, err
	}
	d, zone, err := s.verify(o)
	if err != nil {
		return nil, fmt.Errorf("its answer for capsule %s can't be believed: %w", s.ID, err)
	}
	if d.Verdict == cert.Suspended {
		return nil, &final{ErrSuspended}
	}
	if !isEnd(d.Verdict) {
		return nil, fmt.Errorf("its answer for capsule %s is %s, which is no end", s.ID, d.Verdict)
	}
	end, err := o.End()
	if err != nil {
		return nil, err
	}
	retries := Retries{Count: end.Retries.Count, Last: []Retry{}}
	for _, x := range end.Retries.Last {
		retries.Last = append(retries.Last, Retry{Segment: x.Segment, Cause: x.Cause.String(), Worker: x.Worker, Units: x.Units, Time: x.At})
	}
	return &Result{
		ID: s.ID, Zone: zone, Verdict: d.Verdict, Output: o.Output, Code: end.Code, Reason: string(end.Reason), Time: d.Time,
		Bill:    Bill{Spent: end.Spent, Retry: end.Retry, Charged: end.Charged, Fee: end.Fee, Refunded: end.Refunded},
		Retries: retries, Events: o.Events, Certificate: o.Certificate,
	}, nil
}

func isEnd(v cert.Verdict) bool {
	switch v {
	case cert.Finished, cert.Failed, cert.Cancelled, cert.Expired, cert.Abandoned, cert.Tombstone:
		return true
	}
	return false
}

// verify checks an outcome against the zone that certified it. That must be the home zone or, for a capsule whose
// manifest is at hand, one of its stops: no other zone can have become its owner.
func (s *Submission) verify(o *api.Outcome) (d *cert.Decision, zone capsule.ZoneID, err error) {
	if zone, err = o.Zone(); err != nil {
		return nil, zone, err
	}
	if zone != s.Home && (s.bundle == nil || !s.bundle.Capsule.Manifest().Reaches(zone)) {
		return nil, zone, fmt.Errorf("certified by zone %s, where the capsule can't be", zone)
	}
	err = s.c.book.with(zone, func(t *cert.Tracker) (err error) {
		d, err = o.Verify(t, s.ID)
		return err
	})
	return d, zone, err
}

// Event is one thing that happened to a capsule. Verified events are decisions that a quorum certified; the others are
// what one node says, for information.
type Event struct {
	api.WatchEvent
	Verified bool
	Decision *cert.Decision // of a verified event
}

// Watch yields what happens to the capsule until it ends, ctx does, or the loop stops. When the node that tells fails,
// another one continues; sequence numbers are each node's own, so events may come twice then.
func (s *Submission) Watch(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := s.look(ctx); err != nil {
			yield(Event{}, fmt.Errorf("watch: %w", err))
			return
		}
		stopped := false
		_, err := anyNode(ctx, s.c, s.Home, roleVoter|roleGateway, 1, func(ctx context.Context, key capsule.Key) (none struct{}, _ error) {
			leave, err := s.c.enter(ctx, line{key, api.ProtoWatch})
			if err != nil {
				return none, err
			}
			defer leave()
			conn, _, err := s.c.open(ctx, key, api.ProtoWatch)
			if err != nil {
				return none, err
			}
			defer conn.Close()
			defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
			if err := api.Write(conn, &api.WatchRequest{V: api.Version, Zone: s.Home, Capsule: s.ID}); err != nil {
				return none, err
			}
			for {
				w, err := api.Receive[api.WatchEvent](conn, api.MaxOutcome)
				if err != nil {
					return none, err
				}
				if err := w.Check(); err != nil {
					return none, err
				}
				e := Event{WatchEvent: *w}
				s.certify(&e)
				if stopped = !yield(e, nil); stopped || w.Final {
					return none, nil
				}
			}
		})
		if err != nil && !stopped {
			yield(Event{}, fmt.Errorf("watch capsule %s: %w", s.ID, err))
		}
	}
}

// certify marks an event whose outcome holds.
func (s *Submission) certify(e *Event) {
	if len(e.Outcome) == 0 {
		return
	}
	var o api.Outcome
	if capsule.Unmarshal(e.Outcome, &o) != nil {
		return
	}
	if d, _, err := s.verify(&o); err == nil {
		e.Verified, e.Decision = true, d
	}
}

// Cancel ends the capsule at its next boundary. Await tells how it ended, which may be with a result after all.
func (s *Submission) Cancel(ctx context.Context) error {
	var envelope []byte
	if s.bundle != nil {
		envelope = s.bundle.Capsule.Bytes()
	}
	_, err := s.command(ctx, func(generation uint64) ([]byte, error) {
		return api.CancelCommand(s.c.id, s.Home, generation, s.ID, envelope)
	})
	if err != nil {
		return fmt.Errorf("cancel capsule %s: %w", s.ID, err)
	}
	return nil
}

// TopUp gives the capsule more units from the signer's account. A suspended one goes on.
func (s *Submission) TopUp(ctx context.Context, units uint64) error {
	var key [16]byte
	if _, err := rand.Read(key[:]); err != nil {
		return err
	}
	expires := uint64(time.Now().Add(DefaultLifetime).UnixMilli())
	_, err := s.command(ctx, func(generation uint64) ([]byte, error) {
		return api.TopUpCommand(s.c.id, key, s.Home, generation, s.ID, units, expires)
	})
	if err != nil {
		return fmt.Errorf("top up capsule %s: %w", s.ID, err)
	}
	return nil
}

// command has a voter apply a signed command. A repetition, after a stream broke, is applied once.
func (s *Submission) command(ctx context.Context, sign func(generation uint64) ([]byte, error)) (*api.CommandReply, error) {
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	var generation uint64
	if err := s.c.book.with(s.Home, func(t *cert.Tracker) error { generation = t.Newest().Generation; return nil }); err != nil {
		return nil, err
	}
	cmd, err := sign(generation)
	if err != nil {
		return nil, err
	}
	return anyNode(ctx, s.c, s.Home, roleVoter, hedgeMost, func(ctx context.Context, key capsule.Key) (*api.CommandReply, error) {
		req := &api.CommandRequest{V: api.Version, Zone: s.Home, Command: cmd, First: [][]byte{}}
		return ask[api.CommandReply](ctx, s.c, key, api.ProtoCommand, req, askTimeout)
	})
}
