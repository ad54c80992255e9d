package sdk

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/api/apitest"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// fakeNet is a Transport to nodes that live in the test.
type fakeNet struct{ nodes map[capsule.Key]*fakeNode }

// fakeNode answers as a node of its zone would, or as badly as its fields say.
type fakeNode struct {
	t    *testing.T
	z    *apitest.Zone
	id   *capsule.Identity
	all  []*fakeNode
	code map[capsule.CID][]byte // content that the node holds
	// peers are the nodes that it names; nil: all, without addresses
	peers func() []api.Peer

	mu       sync.Mutex // owns the fields below
	dead     bool
	held     map[capsule.ID][]byte
	submits  int
	refuse   *api.Refusal                            // instead of any answer about capsules
	outcome  func(id capsule.ID, n int) *api.Outcome // n-th answer to a result request; nil: a timeout
	asked    int
	commands [][]byte
	epochs   [][]byte
	events   []api.WatchEvent
}

func (f *fakeNet) Connect(_ context.Context, addr string) (capsule.Key, error) {
	k, err := capsule.ParseKey(addr)
	if err == nil && f.nodes[k] == nil {
		err = errors.New("nobody there")
	}
	return k, err
}

func (f *fakeNet) Hint(capsule.Key, []string) {}
func (f *fakeNet) Close() error               { return nil }

func (f *fakeNet) Open(_ context.Context, k capsule.Key, proto string) (net.Conn, error) {
	n := f.nodes[k]
	if n == nil || n.isDead() {
		return nil, errors.New("no route")
	}
	a, b := net.Pipe()
	go func() {
		defer b.Close()
		for !n.isDead() && n.serve(b, proto) == nil {
		}
	}()
	return a, nil
}

func (n *fakeNode) isDead() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.dead
}

func (n *fakeNode) set(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fn()
}

func (n *fakeNode) serve(c net.Conn, proto string) error {
	switch proto {
	case api.ProtoZone:
		var req api.ZoneRequest
		if err := api.Read(c, &req, api.MaxMessage); err != nil {
			return err
		}
		info := api.ZoneInfo{V: api.Version, Zone: n.z.ID, Genesis: n.z.Genesis}
		n.mu.Lock()
		info.Epochs = n.epochs
		n.mu.Unlock()
		if n.peers != nil {
			info.Voters = n.peers()
			return api.Accept(c, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{info}})
		}
		for _, o := range n.all {
			info.Voters = append(info.Voters, api.Peer{Key: o.id.Key()})
		}
		return api.Accept(c, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{info}})
	case api.ProtoSubmit:
		return n.submit(c)
	case api.ProtoResult:
		return n.result(c)
	case api.ProtoCommand:
		var req api.CommandRequest
		if err := api.Read(c, &req, api.MaxCommand); err != nil {
			return err
		}
		n.set(func() { n.commands = append(n.commands, req.Command) })
		return api.Accept(c, &api.CommandReply{V: api.Version, Index: 9})
	case api.ProtoWatch:
		var req api.WatchRequest
		if err := api.Read(c, &req, api.MaxMessage); err != nil {
			return err
		}
		for _, e := range n.events {
			if err := api.Accept(c, &e); err != nil {
				return err
			}
		}
		return io.EOF
	}
	return errors.New("unknown protocol")
}

func (n *fakeNode) submit(c net.Conn) error {
	var req api.SubmitRequest
	if err := api.Read(c, &req, api.MaxSubmit); err != nil {
		return err
	}
	if r := req.Check(); r != nil {
		return api.Refuse(c, r)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.submits++
	for _, content := range req.Contents {
		var b bytes.Buffer
		if err := api.Unpack(c, content, &b); err != nil {
			return err
		}
		n.code[content.CID] = b.Bytes()
	}
	if n.refuse != nil {
		return api.Refuse(c, n.refuse)
	}
	sealed, err := capsule.Verify(req.Envelope, uint64(time.Now().UnixMilli()), nil)
	if err != nil {
		return api.Refuse(c, &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()})
	}
	m := sealed.Manifest()
	var missing []capsule.CID
	for _, id := range []capsule.CID{m.Code, m.Base, m.State} {
		if _, ok := n.code[id]; !ok && !id.IsZero() {
			missing = append(missing, id)
		}
	}
	if missing != nil {
		return api.Accept(c, &api.SubmitReply{V: api.Version, Missing: missing})
	}
	n.held[sealed.ID()] = req.Envelope
	ack, err := api.SignAck(n.id, api.Ack{Zone: n.z.ID, Generation: n.z.Set.Generation, Epoch: n.z.Set.Epoch, Capsule: sealed.ID(), Time: 5})
	if err != nil {
		return err
	}
	return api.Accept(c, &api.SubmitReply{V: api.Version, Ack: ack})
}

func (n *fakeNode) result(c net.Conn) error {
	var req api.ResultRequest
	if err := api.Read(c, &req, api.MaxMessage); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.refuse != nil {
		return api.Refuse(c, n.refuse)
	}
	if n.held[req.Capsule] == nil {
		return api.Refuse(c, &api.Refusal{Code: api.CodeUnknown})
	}
	n.asked++
	if o := n.outcome(req.Capsule, n.asked); o != nil {
		return api.Accept(c, o)
	}
	return api.Refuse(c, &api.Refusal{Code: api.CodeTimeout})
}

// finished is what the zone certifies of a capsule that returned output.
func (n *fakeNode) finished(output []byte, signers int) func(capsule.ID, int) *api.Outcome {
	return func(id capsule.ID, _ int) *api.Outcome {
		return n.ended(id, cert.Finished, machine.EndBody{Status: machine.StatusDone, Spent: 11, Retry: 2, Charged: 3}, output, signers)
	}
}

func (n *fakeNode) ended(id capsule.ID, v cert.Verdict, end machine.EndBody, output []byte, signers int) *api.Outcome {
	end.Output = capsule.Sum(output)
	body, err := capsule.Marshal(&end)
	if err != nil {
		n.t.Error(err)
	}
	d := cert.Decision{Slot: cert.Slot{Capsule: id, Phase: cert.PhaseRun}, Verdict: v, Body: capsule.Sum(body)}
	return &api.Outcome{V: api.Version, Certificate: n.z.Certify(n.t, d, signers), Body: body, Output: output}
}

type fixture struct {
	net    *fakeNet
	nodes  []*fakeNode
	client *Client
	bundle *Bundle
}

// newFixture is a zone of four nodes, a client that trusts it, and a sealed capsule.
func newFixture(t *testing.T) *fixture {
	t.Helper()
	z := apitest.NewZone(t, "eu", 4)
	f := &fixture{net: &fakeNet{nodes: map[capsule.Key]*fakeNode{}}}
	for _, id := range z.Voters {
		n := &fakeNode{t: t, z: z, id: id, code: map[capsule.CID][]byte{}, held: map[capsule.ID][]byte{}}
		n.outcome = n.finished([]byte{84}, 3)
		f.nodes = append(f.nodes, n)
		f.net.nodes[id.Key()] = n
	}
	for _, n := range f.nodes {
		n.all = f.nodes
	}
	book := NewBook()
	if err := book.Trust("eu", z.ID); err != nil {
		t.Fatal(err)
	}
	author, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.client, err = Dial(t.Context(), f.nodes[0].id.Key().String(), WithTransport(f.net), WithBook(book), WithIdentity(author))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.client.Close() })
	p := &Prepared{Program: &Program{Name: "test", Entry: "run", Code: []byte("code"), CID: capsule.RawCID([]byte("code"))},
		Input: []byte("input"), Limits: fillLimits(capsule.Limits{})}
	if f.bundle, err = f.client.Seal(p); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSubmitAndAwait(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	if s.Ack.Voter != f.nodes[0].id.Key() || f.nodes[0].submits != 2 {
		t.Errorf("acknowledged by %s after %d submissions, want the dialled node's after 2, the second with the code", s.Ack.Voter, f.nodes[0].submits)
	}
	res, err := s.Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := Decode[int64](res); err != nil || n != 42 {
		t.Errorf("decoded %d, %v", n, err)
	}
	if res.Bill.Spent != 11 || res.Bill.Retry != 2 || res.Bill.Charged != 3 || res.Verdict != cert.Finished {
		t.Errorf("result %+v", res)
	}
}

func TestFailover(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	s, err := f.client.Submit(ctx, f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	// The node that took it dies with it; the others have never heard of the capsule, and one has no time.
	f.nodes[0].set(func() { f.nodes[0].dead = true })
	f.nodes[1].set(func() { f.nodes[1].refuse = &api.Refusal{Code: api.CodeBusy, Retry: 10} })
	res, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if res.ID != f.bundle.Capsule.ID() {
		t.Errorf("result of %s", res.ID)
	}
	if len(f.nodes[2].held) != 1 {
		t.Error("the capsule was not handed in again, under its own identity")
	}
}

// TestContentOutlivesItsHolder: the zone knows the capsule, but the node that took it was the only one with its code.
func TestContentOutlivesItsHolder(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	f.nodes[0].set(func() { f.nodes[0].dead = true })
	for _, n := range f.nodes[1:] {
		n.set(func() {
			n.held[s.ID] = f.bundle.Capsule.Bytes()
			finished := n.outcome
			n.outcome = func(id capsule.ID, i int) *api.Outcome {
				if n.code[f.bundle.Capsule.Manifest().Code] == nil {
					return nil // nobody can run it
				}
				return finished(id, i)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestSilentNode: a node that takes a request and says nothing holds nobody up; another is asked beside it.
func TestSilentNode(t *testing.T) {
	f := newFixture(t)
	silent := make(chan struct{})
	defer close(silent)
	first := f.nodes[0]
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	var asked atomic.Bool
	first.set(func() {
		first.outcome = func(capsule.ID, int) *api.Outcome {
			asked.Store(true)
			first.mu.Unlock()
			<-silent
			first.mu.Lock()
			return nil
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), pollWait)
	defer cancel()
	if _, err := s.Await(ctx); err != nil {
		t.Fatal(err)
	}
	if !asked.Load() {
		t.Error("the silent node was not asked at all")
	}
}

func TestLiarsAreNotBelieved(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	other := apitest.NewZone(t, "mars", 4)
	liars := map[string]func(id capsule.ID, n int) *api.Outcome{
		"too few signatures": f.nodes[0].finished([]byte{2}, 2),
		"altered output": func(id capsule.ID, n int) *api.Outcome {
			o := f.nodes[0].finished([]byte{84}, 3)(id, n)
			o.Output = []byte{2}
			return o
		},
		"another capsule": func(_ capsule.ID, n int) *api.Outcome { return f.nodes[0].finished([]byte{2}, 3)(capsule.ID{7}, n) },
		"another zone": func(id capsule.ID, n int) *api.Outcome {
			impostor := &fakeNode{t: t, z: other}
			return impostor.finished([]byte{2}, 4)(id, n)
		},
		"no end": func(id capsule.ID, _ int) *api.Outcome {
			d := cert.Decision{Slot: cert.Slot{Capsule: id, Phase: cert.PhaseIn}, Verdict: cert.Admitted, Body: capsule.Sum(nil)}
			return &api.Outcome{V: api.Version, Certificate: f.nodes[0].z.Certify(t, d, 3)}
		},
	}
	for name, lie := range liars {
		for _, n := range f.nodes[:3] {
			n.set(func() { n.outcome = lie; n.held[s.ID] = f.bundle.Capsule.Bytes() })
		}
		res, err := s.Await(t.Context())
		if err != nil || !bytes.Equal(res.Output, []byte{84}) {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
	}
}

func TestEndsWithoutResult(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	n := f.nodes[0]
	n.set(func() {
		n.outcome = func(id capsule.ID, _ int) *api.Outcome {
			return n.ended(id, cert.Failed, machine.EndBody{Status: machine.StatusFailed, Code: 17}, []byte("alice holds less than that"), 3)
		}
	})
	_, err = s.Await(t.Context())
	var failed *Failed
	var failure *kit.Failure
	if !errors.As(err, &failed) || !errors.As(err, &failure) || failure.Code != 17 || !strings.Contains(err.Error(), "holds less") {
		t.Errorf("failed capsule: %v", err)
	}
	n.set(func() {
		n.outcome = func(id capsule.ID, _ int) *api.Outcome {
			return n.ended(id, cert.Expired, machine.EndBody{Status: machine.StatusExpired, Reason: machine.CodeExpired}, nil, 3)
		}
	})
	if _, err = s.Await(t.Context()); !errors.As(err, &failed) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("expired capsule: %v", err)
	}
}

func TestSuspendedIsToppedUp(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	n := f.nodes[0]
	body, err := capsule.Marshal(&machine.SegmentBody{End: machine.EndDry, Gas: 5})
	if err != nil {
		t.Fatal(err)
	}
	n.set(func() {
		n.outcome = func(id capsule.ID, asked int) *api.Outcome {
			if len(n.commands) > 0 {
				return n.finished([]byte{84}, 3)(id, asked)
			}
			d := cert.Decision{Slot: cert.Slot{Capsule: id, Phase: cert.PhasePause}, Verdict: cert.Suspended, Body: capsule.Sum(body)}
			return &api.Outcome{V: api.Version, Body: body, Certificate: n.z.Certify(t, d, 3)}
		}
	})
	if _, err := s.Await(t.Context()); !errors.Is(err, ErrSuspended) {
		t.Fatalf("suspended capsule: %v", err)
	}
	if err := s.TopUp(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := s.AwaitPast(t.Context(), 1); err != nil {
		t.Errorf("after the top-up: %v", err)
	}
	if err := s.Cancel(t.Context()); err != nil || len(n.commands) != 2 {
		t.Errorf("cancel: %v, %d commands", err, len(n.commands))
	}
}

func TestRefusalIsFinal(t *testing.T) {
	f := newFixture(t)
	for _, n := range f.nodes {
		n.refuse = &api.Refusal{Code: "funds", Detail: "the payer holds 3 credits"}
	}
	_, err := f.client.Submit(t.Context(), f.bundle)
	var r *api.Refusal
	if !errors.As(err, &r) || r.Code != "funds" {
		t.Errorf("refused capsule: %v", err)
	}
	if total := f.nodes[0].submits + f.nodes[1].submits; total != 1 {
		t.Errorf("%d submissions of a capsule that nobody can take", total)
	}
}

func TestAckOfAStranger(t *testing.T) {
	f := newFixture(t)
	stranger, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.nodes[0].set(func() { f.nodes[0].id = stranger })
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil || s.Ack.Voter == stranger.Key() {
		t.Errorf("acknowledged by %s, %v", s.Ack.Voter, err)
	}
}

func TestContextEnds(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range f.nodes {
		n.set(func() { n.outcome = func(capsule.ID, int) *api.Outcome { return nil } })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("await: %v", err)
	}
}

// TestEpochsAreFollowed holds that a client whose voter set is old learns the new one, from acts that prove themselves.
func TestEpochsAreFollowed(t *testing.T) {
	f := newFixture(t)
	z := f.nodes[0].z
	first, second := z.Advance(t), z.Advance(t)
	for _, n := range f.nodes {
		n.set(func() { n.epochs = [][]byte{first, second} })
	}
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil || s.Ack.Epoch != 2 {
		t.Fatalf("acknowledged in epoch %d, %v", s.Ack.Epoch, err)
	}
	third := z.Advance(t)
	n := f.nodes[0]
	n.set(func() {
		n.outcome = func(id capsule.ID, asked int) *api.Outcome {
			o := n.finished([]byte{84}, 3)(id, asked)
			o.Epochs = [][]byte{third}
			return o
		}
	})
	if _, err := s.Await(t.Context()); err != nil {
		t.Errorf("an outcome with the epoch on the way: %v", err)
	}
	// An epoch that too few signed is not followed.
	var act cert.SignedAdmin
	if err := capsule.Unmarshal(z.Advance(t), &act); err != nil {
		t.Fatal(err)
	}
	act.Voters = act.Voters[:2]
	forged, err := capsule.Marshal(&act)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.client.book.learn(z.ID, z.Genesis, [][]byte{forged}); err == nil {
		t.Error("an epoch with two signatures of four voters was followed")
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	s, err := f.client.Submit(t.Context(), f.bundle)
	if err != nil {
		t.Fatal(err)
	}
	n := f.nodes[0]
	o, err := capsule.Marshal(n.finished([]byte{84}, 3)(s.ID, 0))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := capsule.Marshal(n.finished([]byte{84}, 1)(s.ID, 0))
	if err != nil {
		t.Fatal(err)
	}
	n.events = []api.WatchEvent{
		{V: api.Version, Sequence: 1, Kind: api.EventLog, Text: "half way", N: 1},
		{V: api.Version, Sequence: 2, Kind: api.EventDenied, Text: "kv.get kv/secret/1", N: 2},
		{V: api.Version, Sequence: 3, Kind: api.EventStatus, Text: "done", Outcome: forged},
		{V: api.Version, Sequence: 4, Kind: api.EventStatus, Text: "done", Outcome: o, Final: true},
	}
	var got []string
	for e, err := range s.Watch(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		text := e.Text
		if e.Verified {
			text += " verified " + e.Decision.Verdict.String()
		}
		got = append(got, text)
	}
	if strings.Join(got, "; ") != "half way; kv.get kv/secret/1; done; done verified finished" {
		t.Errorf("watched %q", got)
	}
}

func TestUntrustedZone(t *testing.T) {
	f := newFixture(t)
	c, err := Dial(t.Context(), f.nodes[0].id.Key().String(), WithTransport(f.net))
	if err != nil {
		t.Fatal(err)
	}
	p := &Prepared{Program: &Program{Name: "test", Entry: "run", CID: capsule.RawCID(nil)}, Limits: fillLimits(capsule.Limits{})}
	if _, err := c.Seal(p); err == nil || !strings.Contains(err.Error(), "no zone is trusted") {
		t.Errorf("sealed for a zone that nobody trusts: %v", err)
	}
	if _, err := c.Seal(p, Zone("nowhere")); err == nil {
		t.Error("sealed for an unknown name")
	}
	first, err := Dial(t.Context(), f.nodes[0].id.Key().String(), WithTransport(f.net), TrustFirst("local"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Seal(p, Zone("local")); err != nil {
		t.Errorf("zone trusted at first sight: %v", err)
	}
}

func TestBookSurvives(t *testing.T) {
	dir := t.TempDir()
	z := apitest.NewZone(t, "eu", 4)
	b, err := OpenBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Trust("eu", z.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.learn(z.ID, z.Genesis, nil); err != nil {
		t.Fatal(err)
	}
	other := apitest.NewZone(t, "mars", 4)
	if err := b.learn(capsule.ZoneID{1}, other.Genesis, nil); err == nil {
		t.Error("a genesis of another zone was taken")
	}
	again, err := OpenBook(dir)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := again.Zone("eu"); err != nil || id != z.ID {
		t.Errorf("eu is %s, %v", id, err)
	}
	if err := again.with(z.ID, func(tr *cert.Tracker) error {
		if tr.Zone() != z.ID {
			t.Errorf("tracker of %s", tr.Zone())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
