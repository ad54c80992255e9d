package p2p

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	manet "github.com/multiformats/go-multiaddr/net"
)

// delayedTCP makes TCP whose connections hold everything that is sent for a while before it leaves. It stands below
// encryption and streams, so that these behave as on a long line.
func delayedTCP(d time.Duration) func(transport.Upgrader, network.ResourceManager, *tcpreuse.ConnMgr) (*tcp.TcpTransport, error) {
	return func(u transport.Upgrader, rm network.ResourceManager, shared *tcpreuse.ConnMgr) (*tcp.TcpTransport, error) {
		return tcp.NewTCPTransport(delayUpgrader{u, d}, rm, shared)
	}
}

type delayUpgrader struct {
	transport.Upgrader
	d time.Duration
}

func (u delayUpgrader) Upgrade(ctx context.Context, t transport.Transport, c manet.Conn, dir network.Direction, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	// The kernel's handshake was not delayed: there and back.
	timer := time.NewTimer(2 * u.d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		c.Close()
		return nil, ctx.Err()
	}
	return u.Upgrader.Upgrade(ctx, t, newDelayConn(c, u.d), dir, p, scope)
}

func (u delayUpgrader) UpgradeGatedMaListener(t transport.Transport, l transport.GatedMaListener) transport.Listener {
	return u.Upgrader.UpgradeGatedMaListener(t, delayListener{l, u.d})
}

type delayListener struct {
	transport.GatedMaListener
	d time.Duration
}

func (l delayListener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	c, scope, err := l.GatedMaListener.Accept()
	if err != nil {
		return nil, nil, err
	}
	return newDelayConn(c, l.d), scope, nil
}

// delayQueue is how many writes may be on the way. One of yamux is at most maxFrame and a header, so a connection holds
// at most 64 MiB; a line of 100 ms then carries 640 MB/s.
const delayQueue = 4096

// delayConn delivers what is written to it, in order, each write d after it was made. Writes don't wait for each other.
type delayConn struct {
	manet.Conn
	d      time.Duration
	queue  chan delayed
	failed chan struct{} // closed when the connection below has failed; err is set before
	err    error

	once   sync.Once
	closed chan struct{}
}

type delayed struct {
	due  time.Time
	data []byte
}

func newDelayConn(c manet.Conn, d time.Duration) *delayConn {
	dc := &delayConn{Conn: c, d: d, queue: make(chan delayed, delayQueue), failed: make(chan struct{}), closed: make(chan struct{})}
	go dc.deliver()
	return dc
}

func (c *delayConn) Write(b []byte) (int, error) {
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	case <-c.failed:
		return 0, c.err
	default:
	}
	select {
	case c.queue <- delayed{time.Now().Add(c.d), append([]byte(nil), b...)}:
		return len(b), nil
	case <-c.closed:
		return 0, net.ErrClosed
	case <-c.failed:
		return 0, c.err
	}
}

func (c *delayConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		select {
		case <-c.closed:
			err = net.ErrClosed
		default:
		}
	}
	return n, err
}

// Close ends reading at once. What was written before still leaves, and then the connection ends.
func (c *delayConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.closed)
		err = c.Conn.SetReadDeadline(time.Unix(1, 0))
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
	})
	return err
}

func (c *delayConn) deliver() {
	defer c.Conn.Close()
	for {
		select {
		case m := <-c.queue:
			if !c.pass(m) {
				return
			}
			continue
		default:
		}
		select {
		case m := <-c.queue:
			if !c.pass(m) {
				return
			}
		case <-c.closed:
			if len(c.queue) == 0 {
				return
			}
		}
	}
}

// pass writes m when it is due, and reports whether that went well.
func (c *delayConn) pass(m delayed) bool {
	time.Sleep(time.Until(m.due))
	select {
	case <-c.closed:
		_ = c.Conn.SetWriteDeadline(time.Now().Add(time.Second))
	default:
	}
	if _, err := c.Conn.Write(m.data); err != nil {
		c.err = err
		close(c.failed)
		return false
	}
	return true
}
