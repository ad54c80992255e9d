package machine

import (
	"bytes"
	"errors"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

// with makes the sealed capsule start from a state.
func with(state []byte) func(*capsule.Manifest) {
	return func(m *capsule.Manifest) {
		m.State, m.StateHash, m.Entry, m.Input = capsule.RawCID(state), capsule.Sum(state), "", nil
	}
}

// A small state comes with its capsule, and goes with it.
func TestAdmitState(t *testing.T) {
	w := founded(t, 1)
	state := []byte("a small continuation")
	c := w.seal(with(state))
	w.refused(CodeEncoding, must(NewAdmitState(c.Bytes(), []byte("another"))))
	w.refused(CodeEncoding, must(NewAdmitState(c.Bytes(), nil)))
	w.refused(CodeEncoding, must(NewAdmitState(c.Bytes(), make([]byte, MaxInline+1))))
	w.refused(CodeEncoding, must(NewAdmitState(w.seal().Bytes(), state)))
	w.refused(CodeLimit, must(NewAdmitState(w.seal(with(state), func(m *capsule.Manifest) { m.Limits.StateBytes = 3 }).Bytes(), state)))
	w.ok(must(NewAdmitState(c.Bytes(), state)))
	if r := w.ok(must(NewAdmitState(c.Bytes(), state))); !r.Repeated {
		t.Fatalf("admitted twice: %+v", r)
	}
	warrant, err := w.view().Warrant(c.ID())
	if err != nil || !bytes.Equal(warrant.Inline, state) || !warrant.Start.Inline || warrant.Fresh {
		t.Fatalf("the worker gets %+v (%v)", warrant, err)
	}
	w.ok(w.commitCmd(c.ID(), EndDone))
	if _, err := w.view().Continuation(c.ID()); !errors.Is(err, ErrNotFound) {
		t.Fatalf("the state of a capsule that is over stays: %v", err)
	}
	w.checkState()
}

// A large one has to be with enough voters before its capsule is admitted, and counts as used while it is where the
// capsule stands.
func TestAdmitLargeState(t *testing.T) {
	w := founded(t, 1)
	state := capsule.RawCID([]byte("large"))
	c := w.seal(with([]byte("large")))
	held := func(until uint64) []byte {
		return w.quorum(KindAttest, &Attest{Scope: w.scope(), Epoch: w.epoch, Fact: FactHeld, Blob: state, Size: 5, Until: until}, w.set().Quorum())
	}
	w.refused(CodeBlob, must(NewAdmit(c.Bytes())))
	w.ok(held(w.now + DefaultPolicy().Times.BlobMargin - 1))
	w.refused(CodeBlob, must(NewAdmit(c.Bytes())))
	w.ok(held(w.now + DefaultPolicy().Times.BlobMargin))
	w.ok(must(NewAdmit(c.Bytes())))
	if b, err := w.view().Blob(state); err != nil || b.Refs != 1 {
		t.Fatalf("%+v (%v)", b, err)
	}
	w.ok(w.commitCmd(c.ID(), EndYield))
	if b, err := w.view().Blob(state); err != nil || b.Refs != 0 {
		t.Fatalf("after the first segment %+v (%v)", b, err)
	}
	w.tick(DefaultPolicy().Times.BlobMargin)
	if _, err := w.view().Blob(state); !errors.Is(err, ErrNotFound) {
		t.Fatalf("it is still known: %v", err)
	}
	w.checkState()
}
