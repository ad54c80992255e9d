package testnet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/internal/programs"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// The thin thread: a Go function is built, runs ahead, is admitted, executed and certified.
func TestFunctionToCertifiedResult(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	n, err := Up(ctx, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := n.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, want := range []int64{3, 8} {
		start := time.Now()
		got, err := sdk.Run(ctx, c, programs.Count, programs.Order{Name: "hits", By: []int64{3, 5}[i]}, sdk.Keys("kv/count/*"))
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("run %d: %d, want %d", i, got, want)
		}
		t.Logf("run %d: %v", i, time.Since(start))
	}
}

// up starts a net and a client for one test.
func up(t *testing.T, o Options) (context.Context, *Net, *sdk.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	n, err := Up(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	c, err := n.Dial(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return ctx, n, c
}

// A trap takes the segment's writes with it, and its last words and its trace reach the client.
func TestTrap(t *testing.T) {
	ctx, n, c := up(t, Options{})
	_, err := sdk.Run(ctx, c, programs.Crash, "crash", sdk.Keys("kv/count/*"))
	var failed *sdk.Failed
	if !errors.As(err, &failed) {
		t.Fatalf("got %v", err)
	}
	text := failed.Error()
	for _, want := range []string{
		"panic: runtime error: invalid memory address or nil pointer dereference", // in the program's own words
		"internal/programs/programs.go:",                                          // where
		"programs.Crash (0:",                                                      // the machine's view of the same
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the error does not say %q:\n%s", want, text)
		}
	}
	v, err := n.Voter(0).Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	if row, err := v.Get([]byte("count/crash"), 0); !errors.Is(err, machine.ErrNotFound) {
		t.Errorf("the write of a trapped segment stands: %+v, %v", row, err)
	}
}

// Who cancels need not wait until a lease runs out, here an hour: the worker stops and says what it had used.
func TestCancelWhileItRuns(t *testing.T) {
	ctx, n, c := up(t, Options{Interp: true})
	p := machine.DefaultPolicy()
	p.Times.Lease = 3_600_000
	if err := n.Admin(ctx, cert.OpPolicy, &p); err != nil {
		t.Fatal(err)
	}
	s, err := sdk.Start(ctx, c, programs.Primes, 100_000_000, sdk.Gas(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	saved := uint64(0)
	waitFor(t, ctx, "a checkpoint", func() bool {
		v, err := n.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Capsule(s.ID)
		saved = row.Run.Meter
		return err == nil && saved > 0
	})
	if err := s.Cancel(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = s.Await(ctx)
	failed, ok := errors.AsType[*sdk.Failed](err)
	if !ok || failed.Result.Verdict != cert.Cancelled {
		t.Fatalf("got %v", err)
	}
	if r := failed.Result; r.Bill.Spent < saved || r.Retries.Count != 0 {
		t.Errorf("%d units spent after %d were saved, retries %+v", r.Bill.Spent, saved, r.Retries)
	}
}

// A worker that dies loses time: a successor goes on from the last checkpoint.
func TestWorkerDies(t *testing.T) {
	ctx, n, c := up(t, Options{Interp: true}) // slow enough to be caught in the middle
	s, err := sdk.Start(ctx, c, programs.Primes, 800_000, sdk.Gas(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, ctx, "a checkpoint", func() bool {
		v, err := n.Voter(0).Query()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		row, err := v.Capsule(s.ID)
		return err == nil && row.Run.Meter > 0
	})
	if err := n.Workers[0].Close(); err != nil {
		t.Fatal(err)
	}
	n.Workers = nil
	if err := n.AddWorker(ctx, "successor"); err != nil {
		t.Fatal(err)
	}
	res, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sdk.Decode[int64](res)
	if err != nil || got != 63951 {
		t.Errorf("%d primes, want 63951 (%v)", got, err)
	}
	t.Logf("bill %+v", res.Bill)
}

// Out of gas is a pause: a top-up lets the capsule go on.
func TestTopUp(t *testing.T) {
	ctx, _, c := up(t, Options{})
	s, err := sdk.Start(ctx, c, programs.Primes, 50_000, sdk.Gas(5_000_000))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Await(ctx); !errors.Is(err, sdk.ErrSuspended) {
		t.Fatalf("got %v, want a suspension", err)
	}
	if err := s.TopUp(ctx, 10_000_000_000); err != nil {
		t.Fatal(err)
	}
	res, err := s.AwaitPast(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sdk.Decode[int64](res); err != nil || got != 5133 {
		t.Errorf("%d primes, want 5133 (%v)", got, err)
	}
}

// A key outside the needs is refused, and whoever watches sees which: the worker tells every voter, beside it or not.
func TestDeniedKey(t *testing.T) {
	ctx, _, c := up(t, Options{})
	s, err := sdk.Start(ctx, c, programs.Count, programs.Order{Name: "hits", By: 1}, sdk.Keys("kv/acct/*"))
	if err != nil {
		t.Fatal(err)
	}
	told, number := "", uint64(0)
	for e, err := range s.Watch(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == api.EventDenied {
			told, number = e.Text, e.N
		}
	}
	if !strings.Contains(told, "kv/count/hits") || number != 2 {
		t.Errorf("the watcher was told %q, error -%d", told, number)
	}
	// Inside it was an error like any other: the function returned it.
	var failure *kit.Failure
	if _, err := s.Await(ctx); !errors.As(err, &failure) || !strings.Contains(failure.Message, kit.ErrDenied.Error()) {
		t.Errorf("got %v, want the capsule's own failure", err)
	}
}

func waitFor(t *testing.T, ctx context.Context, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited for %s: %v", what, ctx.Err())
		case <-tick.C:
		}
	}
}
