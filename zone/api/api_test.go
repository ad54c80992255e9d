package api

import (
	"bytes"
	"compress/flate"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api/apitest"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// messages has one of each, none of whose fields is zero, so that a decoder that drops one is seen.
func messages() []any {
	cid := capsule.RawCID([]byte("x"))
	id, zone := capsule.ID{1}, capsule.ZoneID{2}
	ref := LeaseRef{Capsule: id, Number: 3}
	peer := Peer{Key: capsule.Key{4}, Addrs: []string{"/ip4/127.0.0.1/tcp/1"}}
	b := []byte{5}
	return []any{
		&Response{V: 1, Refusal: Refusal{Code: "a", Detail: "b", Retry: 6}, Body: b},
		&SubmitRequest{V: 1, Envelope: b, Contents: []Content{{CID: cid, Encoding: Deflate, Size: 7}}},
		&SubmitReply{V: 1, Ack: b, Missing: []capsule.CID{cid}},
		&SignedAck{Payload: b, Sig: capsule.Sig{8}},
		&Ack{V: 1, Zone: zone, Generation: 9, Epoch: 10, Capsule: id, Voter: capsule.Key{11}, Time: 12, Status: machine.StatusDone},
		&ResultRequest{V: 1, Zone: zone, Capsule: id, Generation: 13, Epoch: 14, Wait: 15, Pauses: 32, Receipt: true},
		&Outcome{V: 1, Certificate: b, Body: b, Output: b, Events: []Emitted{{Segment: 33, N: 34, Topic: "t", Data: b}}, Epochs: [][]byte{b}, Lineage: b},
		&HandoverRequest{V: 1, Zone: zone, Source: zone, Kind: HandoverClosed, Body: b, Epochs: [][]byte{b}},
		&Ahead{State: cid, Size: 14},
		&HandoverReply{V: 1, Answer: b, Certificate: b, Epochs: [][]byte{b}},
		&HoldRequest{V: 1, Zone: zone, Facts: [][]byte{b}, Lease: ref, Envelope: b, Holders: []Peer{peer}, Target: zone},
		&HoldReply{V: 1, Sigs: []capsule.Sig{{8}}},
		&Notes{V: 1, Zone: zone, Notes: []Note{{Lease: ref, Event: WatchEvent{V: 1, Kind: EventLog, Text: "t", Data: b, Outcome: b}}}},
		&Noted{V: 1},
		&WatchRequest{V: 1, Zone: zone, Capsule: id, After: 16},
		&WatchEvent{V: 1, Sequence: 17, Kind: EventLog, Time: 18, Segment: 19, N: 20, Text: "t", Data: b, Outcome: b, Final: true},
		&CommandRequest{V: 1, Zone: zone, Command: b, First: [][]byte{b}},
		&CommandReply{V: 1, Index: 21, Repeated: true, Status: "done", N: 22},
		&ZoneRequest{V: 1, Zone: zone, Generation: 23, Epoch: 24},
		&Zones{V: 1, Zones: []ZoneInfo{{V: 1, Zone: zone, Genesis: b, Epochs: [][]byte{b}, Descriptor: b, Voters: []Peer{peer}, Gateways: []Peer{peer}}}},
		&WorkRequest{V: 1, Zone: zone, Holds: []LeaseRef{ref}},
		&Work{V: 1, Lease: ref, Stop: true, Cancel: true, Grant: b},
		&LeaseGrant{V: 1, Zone: zone, Segment: b, Admission: b, Warrant: b, Body: b, Epochs: [][]byte{b}, Holders: []Peer{peer}, Now: 28},
		&ReadRequest{V: 1, Zone: zone, Lease: ref, Index: 29, Key: b, Scan: true, After: b, Rows: 30},
		&PendingRequest{V: 1, Zone: zone, Have: []capsule.ID{id}},
		&PendingReply{V: 1, Envelopes: [][]byte{b}},
		&ReadReply{V: 1, Rows: []Row{{Key: b, Value: b, Version: 31}}, More: true},
	}
}

func TestMessages(t *testing.T) {
	for _, m := range messages() {
		var wire bytes.Buffer
		if err := Write(&wire, m); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		whole := bytes.Clone(wire.Bytes())
		got := reflect.New(reflect.TypeOf(m).Elem()).Interface()
		if err := Read(iotest.OneByteReader(&wire), got, MaxMessage); err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%T came back as %+v, want %+v", m, got, m)
		}
		for cut := 1; cut < len(whole); cut++ {
			if err := Read(bytes.NewReader(whole[:cut]), got, MaxMessage); !errors.Is(err, ErrMessage) {
				t.Fatalf("%T cut at %d: %v", m, cut, err)
			}
		}
	}
}

func TestFrameBounds(t *testing.T) {
	var v Response
	if err := Read(bytes.NewReader(nil), &v, 10); err != io.EOF {
		t.Errorf("empty stream: %v", err)
	}
	huge := binary.BigEndian.AppendUint32(nil, 1<<31)
	if err := Read(bytes.NewReader(huge), &v, MaxMessage); !errors.Is(err, ErrMessage) {
		t.Errorf("2 GiB announced: %v", err)
	}
	// A length within bounds whose bytes never come must not be allocated.
	lie := binary.BigEndian.AppendUint32(nil, MaxCommand)
	if n := testing.AllocsPerRun(10, func() { _ = Read(bytes.NewReader(lie), &v, MaxCommand) }); n > 20 {
		t.Errorf("%v allocations", n)
	}
}

type pipe struct {
	io.Reader
	io.Writer
}

// TestEncodeBounds: what a sender may send is exactly what the receiver reads.
func TestEncodeBounds(t *testing.T) {
	const most = 1000
	v := &SubmitReply{V: 1, Ack: []byte{}, Missing: []capsule.CID{}}
	for ; len(v.Ack) < 2*most; v.Ack = append(v.Ack, 0) {
		b, err := Encode(v, most)
		var sent bytes.Buffer
		if werr := Write(&sent, v); werr != nil {
			t.Fatal(werr)
		}
		read := Read(&sent, new(SubmitReply), most) == nil
		if read != (err == nil) || err != nil && (!errors.Is(err, ErrTooLong) || b != nil) {
			t.Fatalf("%d bytes: encoded %v, read %v", sent.Len(), err, read)
		}
	}
	if _, err := Encode(v, most); err == nil {
		t.Fatal("nothing was too long")
	}
}

func TestRefusalComesBack(t *testing.T) {
	var wire, sent bytes.Buffer
	if err := Refuse(&wire, &Refusal{Code: CodeBusy, Detail: "over the quota", Retry: 50}); err != nil {
		t.Fatal(err)
	}
	_, err := Ask[Outcome](pipe{&wire, &sent}, &ResultRequest{V: Version}, MaxMessage)
	var r *Refusal
	if !errors.As(err, &r) || r.Code != CodeBusy || r.Retry != 50 || !strings.Contains(err.Error(), "quota") {
		t.Errorf("refusal came back as %v", err)
	}
}

func TestSubmitContent(t *testing.T) {
	code := bytes.Repeat([]byte("code is repetitive. "), 9000)
	noise := make([]byte, 3000)
	rand.Read(noise)
	contents := map[capsule.CID][]byte{}
	var order []capsule.CID
	for _, b := range [][]byte{code, noise, {}} {
		id := capsule.RawCID(b)
		contents[id] = b
		order = append(order, id)
	}
	var up, down bytes.Buffer
	if err := Accept(&down, &SubmitReply{V: Version, Missing: order[:1]}); err != nil {
		t.Fatal(err)
	}
	if _, err := Submit(pipe{&down, &up}, []byte("envelope"), contents, order); err != nil {
		t.Fatal(err)
	}
	if up.Len() > len(noise)+len(code)/10 {
		t.Errorf("%d bytes on the wire for %d", up.Len(), len(code)+len(noise))
	}
	wire := bytes.Clone(up.Bytes())
	receive := func(wire []byte) error {
		r := bytes.NewReader(wire)
		var req SubmitRequest
		if err := Read(r, &req, MaxSubmit); err != nil {
			t.Fatal(err)
		}
		if refusal := req.Check(); refusal != nil {
			t.Fatal(refusal)
		}
		for i, c := range req.Contents {
			var got bytes.Buffer
			if err := Unpack(r, c, &got); err != nil {
				return err
			}
			if !bytes.Equal(got.Bytes(), contents[order[i]]) {
				t.Errorf("content %d differs", i)
			}
		}
		if r.Len() != 0 {
			t.Errorf("%d bytes left on the stream", r.Len())
		}
		return nil
	}
	if err := receive(wire); err != nil {
		t.Fatal(err)
	}
	wire[len(wire)-1] ^= 1
	var be *capsule.BlobError
	if err := receive(wire); !errors.As(err, &be) {
		t.Errorf("altered content: %v", err)
	}
	if _, err := Submit(pipe{&down, &up}, nil, nil, order); !errors.Is(err, errNoBytes) {
		t.Errorf("announced without bytes: %v", err)
	}
}

// hangUp takes the first writes and then fails.
type hangUp struct{ left int }

func (h *hangUp) Write(b []byte) (int, error) {
	if h.left--; h.left < 0 {
		return 0, errors.New("reset")
	}
	return len(b), nil
}

func TestRefusedInTheMiddle(t *testing.T) {
	id := capsule.RawCID([]byte("x"))
	contents := map[capsule.CID][]byte{id: []byte("x")}
	var down bytes.Buffer
	if err := Refuse(&down, &Refusal{Code: "expired"}); err != nil {
		t.Fatal(err)
	}
	var r *Refusal
	if _, err := Submit(pipe{&down, &hangUp{1}}, nil, contents, []capsule.CID{id}); !errors.As(err, &r) || r.Code != "expired" {
		t.Errorf("refused while content is on the way: %v", err)
	}
	if _, err := Submit(pipe{&down, &hangUp{1}}, nil, contents, []capsule.CID{id}); err == nil || errors.As(err, &r) {
		t.Errorf("reset without a word: %v", err)
	}
}

func TestUnpackBounds(t *testing.T) {
	bomb := make([]byte, MaxContent+1)
	var wire bytes.Buffer
	w, _ := flate.NewWriter(&wire, flate.BestSpeed)
	if _, err := w.Write(bomb); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c := Content{CID: capsule.RawCID(bomb), Encoding: Deflate, Size: uint64(wire.Len())}
	var be *capsule.BlobError
	if err := Unpack(bytes.NewReader(wire.Bytes()), c, io.Discard); !errors.As(err, &be) || be.Max == 0 {
		t.Errorf("%d bytes that unpack to %d: %v", wire.Len(), len(bomb), err)
	}
	if _, _, err := Pack(c.CID, bomb); err == nil {
		t.Error("content above the limit was packed")
	}
	c.Size = MaxContent + 1
	if err := Unpack(bytes.NewReader(nil), c, io.Discard); !errors.Is(err, ErrMessage) {
		t.Errorf("announced above the limit: %v", err)
	}
	c = Content{CID: c.CID, Encoding: Deflate, Size: 3}
	if err := Unpack(strings.NewReader("xyz"), c, io.Discard); err == nil {
		t.Error("damaged data was taken")
	}
}

func TestAck(t *testing.T) {
	z := apitest.NewZone(t, "eu", 4)
	tracker := z.Tracker(t)
	id := capsule.ID{1}
	good, err := SignAck(z.Voters[2], Ack{Zone: z.ID, Capsule: id, Time: 5})
	if err != nil {
		t.Fatal(err)
	}
	if a, err := VerifyAck(good, id, z.ID, tracker.Set); err != nil || a.Voter != z.Voters[2].Key() {
		t.Fatalf("good acknowledgement: %v, %v", a, err)
	}
	if _, err := VerifyAck(good, capsule.ID{2}, z.ID, tracker.Set); err == nil {
		t.Error("acknowledgement of another capsule accepted")
	}
	if _, err := VerifyAck(good, id, capsule.ZoneID{9}, tracker.Set); err == nil {
		t.Error("acknowledgement of another zone accepted")
	}
	stranger, _ := capsule.NewIdentity(rand.Reader)
	forged, _ := SignAck(stranger, Ack{Zone: z.ID, Capsule: id})
	if _, err := VerifyAck(forged, id, z.ID, tracker.Set); err == nil {
		t.Error("a stranger's acknowledgement accepted")
	}
	later, _ := SignAck(z.Voters[0], Ack{Zone: z.ID, Capsule: id, Epoch: 3})
	if _, err := VerifyAck(later, id, z.ID, tracker.Set); !errors.Is(err, cert.ErrEpoch) {
		t.Errorf("unknown epoch: %v", err)
	}
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := VerifyAck(bad, id, z.ID, tracker.Set); err == nil {
			t.Errorf("byte %d altered and accepted", i)
		}
	}
}

func TestOutcome(t *testing.T) {
	z := apitest.NewZone(t, "eu", 4)
	tracker := z.Tracker(t)
	id := capsule.ID{1}
	output := []byte("forty-two")
	body, err := capsule.Marshal(&machine.EndBody{Status: machine.StatusDone, Output: capsule.Sum(output), Spent: 7})
	if err != nil {
		t.Fatal(err)
	}
	d := cert.Decision{Slot: cert.Slot{Capsule: id, Phase: cert.PhaseRun}, Verdict: cert.Finished, Body: capsule.Sum(body)}
	o := Outcome{V: Version, Certificate: z.Certify(t, d, 3), Body: body, Output: output}
	if got, err := o.Verify(tracker, id); err != nil || got.Verdict != cert.Finished {
		t.Fatalf("good outcome: %v, %v", got, err)
	}
	if at, err := o.Zone(); err != nil || at != z.ID {
		t.Errorf("zone %s, %v", at, err)
	}
	if end, err := o.End(); err != nil || end.Spent != 7 {
		t.Errorf("end %+v, %v", end, err)
	}
	if _, err := o.Verify(tracker, capsule.ID{2}); err == nil {
		t.Error("outcome of another capsule accepted")
	}
	altered := o
	altered.Body, _ = capsule.Marshal(&machine.EndBody{Status: machine.StatusDone, Output: capsule.Sum(output), Spent: 6})
	if _, err := altered.Verify(tracker, id); err == nil {
		t.Error("altered body accepted")
	}
	altered = o
	altered.Output = []byte("forty-three")
	if _, err := altered.Verify(tracker, id); err == nil {
		t.Error("altered output accepted")
	}
	few := o
	few.Certificate = z.Certify(t, d, 2)
	if _, err := few.Verify(tracker, id); !errors.Is(err, cert.ErrSignatures) {
		t.Errorf("two signatures of four voters: %v", err)
	}
	if _, err := o.Verify(apitest.NewZone(t, "us", 4).Tracker(t), id); err == nil {
		t.Error("another zone's certificate accepted")
	}
	paused, _ := capsule.Marshal(&machine.SegmentBody{End: machine.EndDry, Gas: 5})
	o = Outcome{V: Version, Body: paused, Certificate: z.Certify(t, cert.Decision{
		Slot: cert.Slot{Capsule: id, Phase: cert.PhasePause}, Verdict: cert.Suspended, Body: capsule.Sum(paused)}, 3)}
	if _, err := o.Verify(tracker, id); err != nil {
		t.Errorf("suspension: %v", err)
	}
	if p, err := o.Pause(); err != nil || p.Gas != 5 {
		t.Errorf("pause %+v, %v", p, err)
	}
}

func TestLeaseGrant(t *testing.T) {
	z := apitest.NewZone(t, "eu", 4)
	tracker := z.Tracker(t)
	id := capsule.ID{1}
	body := []byte("seed and clock")
	admitted := cert.Decision{Slot: cert.Slot{Capsule: id, Phase: cert.PhaseIn}, Verdict: cert.Admitted}
	leased := cert.Decision{Slot: cert.Slot{Capsule: id, Phase: cert.PhaseLease}, Verdict: cert.Leased, Body: capsule.Sum(body)}
	g := LeaseGrant{V: Version, Zone: z.ID, Admission: z.Certify(t, admitted, 3), Warrant: z.Certify(t, leased, 3), Body: body}
	if _, err := g.Check(id, tracker); err != nil {
		t.Fatalf("good grant: %v", err)
	}
	for name, bad := range map[string]LeaseGrant{
		"refused capsule":   {Admission: z.Certify(t, cert.Decision{Slot: admitted.Slot, Verdict: cert.Refused}, 3), Warrant: g.Warrant, Body: body},
		"no lease":          {Admission: g.Admission, Warrant: g.Admission, Body: body},
		"uncertified lease": {Admission: g.Admission, Warrant: z.Certify(t, leased, 2), Body: body},
		"other body":        {Admission: g.Admission, Warrant: g.Warrant, Body: []byte("x")},
		"nothing":           {},
	} {
		bad.V, bad.Zone = Version, z.ID
		if _, err := bad.Check(id, tracker); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := g.Check(capsule.ID{2}, tracker); err == nil {
		t.Error("grant of another capsule accepted")
	}
}

// FuzzMessages holds that every message is refused or canonical, whatever arrives.
func FuzzMessages(f *testing.F) {
	for i, m := range messages() {
		b, err := capsule.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		all := messages()
		v := reflect.New(reflect.TypeOf(all[int(kind)%len(all)]).Elem()).Interface()
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
		if err := Read(bytes.NewReader(frame), v, MaxMessage); err != nil {
			return
		}
		var again bytes.Buffer
		if err := Write(&again, v); err != nil || !bytes.Equal(again.Bytes(), frame) {
			t.Fatalf("%T has two encodings: %x, %x, %v", v, frame, again.Bytes(), err)
		}
		if r, ok := v.(*SubmitRequest); ok {
			_ = r.Check()
		}
	})
}
