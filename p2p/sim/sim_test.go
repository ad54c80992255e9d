package sim

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/kitwork/kwnode/internal/bubble"
)

func open(t *testing.T, n *Net, a netip.Addr, port int) net.PacketConn {
	t.Helper()
	c, err := n.Packets(a)(&net.UDPAddr{Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// receive returns the next packet, or "" when none comes within d.
func receive(t *testing.T, c net.PacketConn, d time.Duration) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, _, err := c.ReadFrom(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func send(t *testing.T, c net.PacketConn, to net.PacketConn, s string) {
	t.Helper()
	if _, err := c.WriteTo([]byte(s), to.LocalAddr()); err != nil {
		t.Fatal(err)
	}
}

func TestDelayAndRate(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New(1, Link{Delay: 30 * time.Millisecond, Rate: 1000})
		a, b := open(t, n, Address(1), 1), open(t, n, Address(2), 1)
		start := time.Now()
		send(t, a, b, "0123456789") // 10 ms on the line
		send(t, a, b, "abcdefghij")
		if got := receive(t, b, time.Second); got != "0123456789" || time.Since(start) != 40*time.Millisecond {
			t.Fatalf("%q after %v", got, time.Since(start))
		}
		if got := receive(t, b, time.Second); got != "abcdefghij" || time.Since(start) != 50*time.Millisecond {
			t.Fatalf("%q after %v", got, time.Since(start))
		}
		if got := receive(t, b, time.Second); got != "" {
			t.Fatalf("%q from nowhere", got)
		}
	})
}

func TestSplitsAndNATs(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		n := New(1, Link{Delay: time.Millisecond})
		a, b := open(t, n, Address(1), 1), open(t, n, Address(2), 1)
		n.Split([]netip.Addr{Address(1)}, []netip.Addr{Address(2)})
		send(t, a, b, "lost")
		n.Heal()
		send(t, a, b, "found")
		if got := receive(t, b, time.Second); got != "found" {
			t.Fatalf("got %q", got)
		}
		n.NAT(Address(2))
		send(t, a, b, "uninvited")
		if got := receive(t, b, time.Second); got != "" {
			t.Fatalf("%q came through the NAT", got)
		}
		send(t, b, a, "hello")
		if got := receive(t, a, time.Second); got != "hello" {
			t.Fatalf("got %q", got)
		}
		send(t, a, b, "answer")
		if got := receive(t, b, time.Second); got != "answer" {
			t.Fatalf("got %q", got)
		}
		time.Sleep(2 * natMemory)
		send(t, a, b, "late")
		if got := receive(t, b, time.Second); got != "" {
			t.Fatalf("%q came through a NAT that had forgotten", got)
		}
	})
}

func TestLossFollowsTheSeed(t *testing.T) {
	run := func(seed uint64) (out string) {
		bubble.Test(t, func(t *testing.T) {
			n := New(seed, Link{Loss: 0.5, Jitter: time.Millisecond})
			a, b := open(t, n, Address(1), 1), open(t, n, Address(2), 1)
			for i := range 40 {
				send(t, a, b, fmt.Sprint(i))
			}
			for got := "?"; got != ""; out += got + " " {
				got = receive(t, b, time.Second)
			}
		})
		return out
	}
	one, two := run(1), run(2)
	if again := run(1); one != again || one == two {
		t.Fatalf("seed 1: %q and %q; seed 2: %q", one, again, two)
	}
}

func TestSockets(t *testing.T) {
	n := New(1, Link{})
	c := open(t, n, Address(1), 7)
	if _, err := n.Packets(Address(1))(&net.UDPAddr{Port: 7}); err == nil {
		t.Fatal("one port was opened twice")
	}
	d, e := open(t, n, Address(1), 0), open(t, n, Address(1), 0)
	if d.LocalAddr().String() == e.LocalAddr().String() {
		t.Fatal("two sockets share a port")
	}
	done := make(chan error)
	go func() {
		_, _, err := c.ReadFrom(make([]byte, 1))
		done <- err
	}()
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read from a closed socket: %v", err)
	}
	if _, err := c.WriteTo(nil, d.LocalAddr()); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("write to a closed socket: %v", err)
	}
}
