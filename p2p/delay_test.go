package p2p_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/sim"
)

// TestLinkDelay measures that nothing comes back before light could have been there and back.
func TestLinkDelay(t *testing.T) {
	const delay = 40 * time.Millisecond
	delayed := func(i int) *p2p.Host {
		return newHost(t, p2p.Config{Identity: sim.Identity(i), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, LinkDelay: delay})
	}
	a, b := delayed(1), delayed(2)
	if err := b.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
		t.Fatal(err)
	}
	connect(t, a, b)
	for range 3 {
		began := time.Now()
		if _, err := roundTrip(t.Context(), a, b.Key(), []byte("there and back")); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 2*delay {
			t.Fatalf("a round trip took %s, with %s each way", took, delay)
		}
	}
}

// TestDelayPipelines writes many times at once, in virtual time: all of it arrives after exactly one delay, in order, and
// what was written before Close is not lost.
func TestDelayPipelines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay, many = 40 * time.Millisecond, 300
		near, far := net.Pipe()
		c := p2p.DelayConn(near, delay)
		began := time.Now()
		var sent []byte
		for i := range many {
			if _, err := c.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
			sent = append(sent, byte(i))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(sent); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a write after Close: %v", err)
		}
		got, err := io.ReadAll(far)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("%d of %d bytes arrived: %v", len(got), len(sent), err)
		}
		if took := time.Since(began); took != delay {
			t.Fatalf("it took %s, want %s", took, delay)
		}
	})
}

// TestDelayEnds writes while a line is long and after it has become short: what is on the way is not overtaken, and then
// nothing waits.
func TestDelayEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		line := p2p.NewLine(time.Second)
		c := p2p.LineConn(near, line)
		got := make([]byte, 6)
		read := make(chan error)
		go func() {
			for _, part := range [][]byte{got[:4], got[4:]} {
				_, err := io.ReadFull(far, part)
				read <- err
			}
		}()
		began := time.Now()
		write := func(b string) {
			t.Helper()
			if _, err := c.Write([]byte(b)); err != nil {
				t.Fatal(err)
			}
		}
		write("ab")
		line.Set(0)
		write("cd")
		if err := <-read; err != nil || string(got[:4]) != "abcd" || time.Since(began) != time.Second {
			t.Fatalf("%q arrived after %s: %v", got[:4], time.Since(began), err)
		}
		synctest.Wait()
		write("ef")
		if err := <-read; err != nil || string(got) != "abcdef" || time.Since(began) != time.Second {
			t.Errorf("%q arrived after %s: %v", got, time.Since(began), err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestLine holds what goes to a far peer, as long as it says, and leaves a near one alone.
func TestLine(t *testing.T) {
	here := p2p.NewLine(0, sim.Identity(2).Key())
	there := p2p.NewLine(0, sim.Identity(1).Key())
	host := func(i int, l *p2p.Line) *p2p.Host {
		h := newHost(t, p2p.Config{Identity: sim.Identity(i), Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Line: l})
		if err := h.Handle(proto, p2p.StreamLimits{}, echo); err != nil {
			t.Fatal(err)
		}
		return h
	}
	a, near, far := host(1, here), host(2, there), host(3, p2p.NewLine(0))
	connect(t, a, near)
	talk := func(to *p2p.Host) time.Duration {
		t.Helper()
		began := time.Now()
		if _, err := roundTrip(t.Context(), a, to.Key(), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		return time.Since(began)
	}
	talk(near)
	if here.Sent()[proto] != 0 || there.Sent()[proto] != 0 {
		t.Errorf("%d bytes were sent to a near peer, and %d back", here.Sent()[proto], there.Sent()[proto])
	}
	connect(t, a, far)
	if talk(far); here.Sent()[proto] != 1000 || a.Snapshot().Far[proto] != 1000 || far.Snapshot().Far[proto] != 1000 {
		t.Errorf("1000 bytes went there and back, counted are %d, %d and %d",
			here.Sent()[proto], a.Snapshot().Far[proto], far.Snapshot().Far[proto])
	}
	const delay = 40 * time.Millisecond
	here.Set(delay)
	if took := talk(far); took < delay {
		t.Errorf("a round trip took %s after the line had become %s longer one way", took, delay)
	}
}
