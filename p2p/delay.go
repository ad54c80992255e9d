package p2p

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/tcpreuse"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/internal/raw"
)

// Line makes peers seem far away, for trying out long lines on one machine, and counts what is sent to them. One Line may
// serve several hosts.
type Line struct {
	delay atomic.Int64     // ns, one way
	near  map[peer.ID]bool // not far, and not counted

	mu   sync.Mutex // guards sent, but not the counts
	sent map[string]*atomic.Uint64
}

// NewLine is a line that holds everything sent for d, but for peers that are near.
func NewLine(d time.Duration, near ...capsule.Key) *Line {
	l := &Line{near: map[peer.ID]bool{}, sent: map[string]*atomic.Uint64{}}
	l.Set(d)
	for _, k := range near {
		l.near[raw.PeerID(k)] = true
	}
	return l
}

// Set changes the delay of what is sent from now on.
func (l *Line) Set(d time.Duration) { l.delay.Store(int64(d)) }

// Sent is how many bytes went out to peers that aren't near, on the streams of each protocol.
func (l *Line) Sent() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]uint64, len(l.sent))
	for proto, n := range l.sent {
		out[proto] = n.Load()
	}
	return out
}

// count is where a stream to k adds what it sends; nil if nothing is to be counted.
func (l *Line) count(proto string, k capsule.Key) *atomic.Uint64 {
	if l == nil || l.near[raw.PeerID(k)] {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.sent[proto]
	if n == nil {
		n = new(atomic.Uint64)
		l.sent[proto] = n
	}
	return n
}

// delayedTCP makes TCP whose connections hold everything that is sent for a while before it leaves. It stands below
// encryption and streams, so that these behave as on a long line.
func delayedTCP(l *Line) func(transport.Upgrader, network.ResourceManager, *tcpreuse.ConnMgr) (*tcp.TcpTransport, error) {
	return func(u transport.Upgrader, rm network.ResourceManager, shared *tcpreuse.ConnMgr) (*tcp.TcpTransport, error) {
		return tcp.NewTCPTransport(delayUpgrader{u, l}, rm, shared)
	}
}

type delayUpgrader struct {
	transport.Upgrader
	line *Line
}

func (u delayUpgrader) Upgrade(ctx context.Context, t transport.Transport, c manet.Conn, dir network.Direction, p peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	dc := newDelayConn(c, u.line)
	if u.line.near[p] {
		dc.near.Store(true)
		return u.Upgrader.Upgrade(ctx, t, dc, dir, p, scope)
	}
	// The kernel's handshake was not delayed: there and back.
	timer := time.NewTimer(2 * time.Duration(u.line.delay.Load()))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		dc.Close()
		return nil, ctx.Err()
	}
	return u.Upgrader.Upgrade(ctx, t, dc, dir, p, scope)
}

func (u delayUpgrader) UpgradeGatedMaListener(t transport.Transport, l transport.GatedMaListener) transport.Listener {
	d := &delayListener{GatedMaListener: l, line: u.line, unknown: map[string]*delayConn{}}
	return &knownListener{u.Upgrader.UpgradeGatedMaListener(t, d), d}
}

// delayListener accepts connections of which nobody knows yet whose they are.
type delayListener struct {
	transport.GatedMaListener
	line *Line

	mu      sync.Mutex
	unknown map[string]*delayConn // by remote address, until they are upgraded or closed
}

func (l *delayListener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	c, scope, err := l.GatedMaListener.Accept()
	if err != nil {
		return nil, nil, err
	}
	dc := newDelayConn(c, l.line)
	at := c.RemoteMultiaddr().String()
	l.mu.Lock()
	l.unknown[at] = dc
	l.mu.Unlock()
	go func() {
		<-dc.closed
		l.take(at)
	}()
	return dc, scope, nil
}

func (l *delayListener) take(at string) *delayConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	dc := l.unknown[at]
	delete(l.unknown, at)
	return dc
}

// knownListener tells the connections below whose they have turned out to be.
type knownListener struct {
	transport.Listener
	below *delayListener
}

func (l *knownListener) Accept() (transport.CapableConn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if dc := l.below.take(c.RemoteMultiaddr().String()); dc != nil && l.below.line.near[c.RemotePeer()] {
		dc.near.Store(true)
	}
	return c, nil
}

// delayQueue is how many writes may be on the way. One of yamux is at most maxFrame and a header, so a connection holds
// at most 64 MiB; a line of 100 ms then carries 640 MB/s.
const delayQueue = 4096

// delayConn delivers what is written to it, in order, each write one delay of the line after it was made. Writes don't
// wait for each other.
type delayConn struct {
	manet.Conn
	line   *Line
	near   atomic.Bool
	queue  chan delayed
	queued atomic.Int64  // writes that were made and have not left
	failed chan struct{} // closed when the connection below has failed; err is set before
	err    error

	once   sync.Once
	closed chan struct{}
}

type delayed struct {
	due  time.Time
	data []byte
}

func newDelayConn(c manet.Conn, l *Line) *delayConn {
	dc := &delayConn{Conn: c, line: l, queue: make(chan delayed, delayQueue), failed: make(chan struct{}), closed: make(chan struct{})}
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
	delay := time.Duration(c.line.delay.Load())
	if c.near.Load() {
		delay = 0
	}
	if delay == 0 && c.queued.Load() == 0 {
		return c.Conn.Write(b) // as without a line, so that what is measured over short lines is not this
	}
	c.queued.Add(1)
	select {
	case c.queue <- delayed{time.Now().Add(delay), append([]byte(nil), b...)}:
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
	c.queued.Add(-1)
	return true
}
