// Package sim is a network of UDP packets inside one process, with delay, loss, cuts and NATs; it must never know what the packets carry.
//
// Inside a testing/synctest bubble its time is virtual: nothing here waits on a real socket. Give Net.Packets to
// p2p.Config and the host runs over it.
package sim

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Link says how packets travel from one address to another.
type Link struct {
	Delay  time.Duration // one way
	Jitter time.Duration // up to this much more, so packets may overtake
	Loss   float64       // share of packets that vanish, 0 to 1
	Rate   int           // bytes a second that the sender's line carries; 0 is unbounded
}

// natMemory is how long a NAT lets answers in after the last packet out. Source: RFC 4787 asks for 2 minutes or more,
// much equipment keeps 30 s.
const natMemory = 30 * time.Second

// queueLen is the receive buffer of one socket, in packets; more are lost, as in a kernel.
const queueLen = 2048

// Net is the network. All methods may be called from any goroutine.
type Net struct {
	mu      sync.Mutex // owns everything below, and every field of socket but its channels
	rng     *rand.Rand
	def     Link
	links   map[[2]netip.Addr]Link
	side    map[netip.Addr]int // partition of each address; none is 0
	nat     map[netip.Addr]bool
	sockets map[netip.AddrPort]*socket
	ports   map[netip.Addr]uint16
	seq     uint64
	sent    uint64
	lost    uint64
}

// New makes a network whose links are all def until SetLink says otherwise. Losses and jitter follow from seed and
// from the order of the packets.
func New(seed uint64, def Link) *Net {
	return &Net{
		rng: rand.New(rand.NewPCG(seed, 0x6b776e6f6465)), def: def,
		links: make(map[[2]netip.Addr]Link), side: make(map[netip.Addr]int), nat: make(map[netip.Addr]bool),
		sockets: make(map[netip.AddrPort]*socket), ports: make(map[netip.Addr]uint16),
	}
}

// SetLink sets the way from one address to another; the way back is another link.
func (n *Net) SetLink(from, to netip.Addr, l Link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.links[[2]netip.Addr{from, to}] = l
}

// Split cuts the network: addresses of one group reach each other only. Who is in no group stays with the first.
func (n *Net) Split(groups ...[]netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.side)
	for i, g := range groups {
		for _, a := range g {
			n.side[a] = i
		}
	}
}

// Heal ends a Split.
func (n *Net) Heal() { n.Split() }

// NAT puts an address behind a NAT: a packet gets in only from an address and port that the socket sent to lately.
func (n *Net) NAT(a netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nat[a] = true
}

// Counts returns the packets sent and those lost on the way.
func (n *Net) Counts() (sent, lost uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent, n.lost
}

// Packets returns what opens sockets at address a, for p2p.Config. A socket for another address, or for none, is opened
// at a too: a simulated machine has one address.
func (n *Net) Packets(a netip.Addr) func(*net.UDPAddr) (net.PacketConn, error) {
	return func(want *net.UDPAddr) (net.PacketConn, error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		port := uint16(want.Port)
		for port == 0 || want.Port == 0 && n.sockets[netip.AddrPortFrom(a, port)] != nil {
			n.ports[a]++
			port = 30000 + n.ports[a]%30000
		}
		at := netip.AddrPortFrom(a, port)
		if n.sockets[at] != nil {
			return nil, fmt.Errorf("sim: %s is in use", at)
		}
		s := &socket{n: n, at: at, wake: make(chan struct{}, 1), outs: make(map[netip.AddrPort]time.Time)}
		n.sockets[at] = s
		return s, nil
	}
}

type packet struct {
	at   time.Time
	seq  uint64
	from netip.AddrPort
	data []byte
}

type inFlight []packet

func (q inFlight) Len() int { return len(q) }
func (q inFlight) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].seq < q[j].seq
}
func (q inFlight) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *inFlight) Push(x any)   { *q = append(*q, x.(packet)) }
func (q *inFlight) Pop() any {
	old := *q
	p := old[len(old)-1]
	*q = old[:len(old)-1]
	return p
}

// socket is one end. Its fields belong to n.mu.
type socket struct {
	n        *Net
	at       netip.AddrPort
	flight   inFlight // on the way here, by arrival
	timer    *time.Timer
	queue    []packet // arrived
	free     time.Time
	outs     map[netip.AddrPort]time.Time // last packet to each address, for NATs
	deadline time.Time
	closed   bool
	wake     chan struct{} // one token when queue, deadline or closed changed
}

func (s *socket) notify() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// send puts one packet on its way. The caller holds n.mu.
func (n *Net) send(from *socket, to netip.AddrPort, b []byte) {
	n.sent++
	now := time.Now()
	from.outs[to] = now
	l, ok := n.links[[2]netip.Addr{from.at.Addr(), to.Addr()}]
	if !ok {
		l = n.def
	}
	dst := n.sockets[to]
	if dst == nil || n.side[from.at.Addr()] != n.side[to.Addr()] || l.Loss > 0 && n.rng.Float64() < l.Loss {
		n.lost++
		return
	}
	if l.Rate > 0 {
		if from.free.Before(now) {
			from.free = now
		}
		from.free = from.free.Add(time.Duration(len(b)) * time.Second / time.Duration(l.Rate))
		now = from.free
	}
	at := now.Add(l.Delay)
	if l.Jitter > 0 {
		at = at.Add(time.Duration(n.rng.Int64N(int64(l.Jitter))))
	}
	n.seq++
	heap.Push(&dst.flight, packet{at: at, seq: n.seq, from: from.at, data: append([]byte(nil), b...)})
	dst.arm()
}

// arm sets the timer for the next arrival. The caller holds n.mu.
func (s *socket) arm() {
	if len(s.flight) == 0 || s.closed {
		return
	}
	d := time.Until(s.flight[0].at)
	if s.timer == nil {
		s.timer = time.AfterFunc(d, s.arrive)
		return
	}
	s.timer.Reset(d)
}

func (s *socket) arrive() {
	n := s.n
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	for len(s.flight) > 0 && !s.flight[0].at.After(now) {
		p := heap.Pop(&s.flight).(packet)
		out, sent := s.outs[p.from]
		if len(s.queue) >= queueLen || n.nat[s.at.Addr()] && (!sent || now.Sub(out) > natMemory) {
			n.lost++
			continue
		}
		s.queue = append(s.queue, p)
	}
	s.notify()
	s.arm()
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		s.n.mu.Lock()
		if s.closed {
			s.n.mu.Unlock()
			return 0, nil, net.ErrClosed
		}
		if len(s.queue) > 0 {
			p := s.queue[0]
			s.queue = s.queue[1:]
			if len(s.queue) > 0 {
				s.notify()
			}
			s.n.mu.Unlock()
			return copy(b, p.data), net.UDPAddrFromAddrPort(p.from), nil
		}
		deadline := s.deadline
		s.n.mu.Unlock()
		if err := s.wait(deadline); err != nil {
			return 0, nil, err
		}
	}
}

// wait returns when something changed, or with an error at the deadline.
func (s *socket) wait(deadline time.Time) error {
	if deadline.IsZero() {
		<-s.wake
		return nil
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-s.wake:
		return nil
	case <-t.C:
		return os.ErrDeadlineExceeded
	}
}

func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, errors.New("sim: only UDP addresses exist here")
	}
	ap := u.AddrPort()
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	s.n.send(s, netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()), b)
	return len(b), nil
}

func (s *socket) Close() error {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	delete(s.n.sockets, s.at)
	s.notify()
	return nil
}

func (s *socket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(s.at) }

func (s *socket) SetReadDeadline(t time.Time) error {
	s.n.mu.Lock()
	defer s.n.mu.Unlock()
	s.deadline = t
	s.notify()
	return nil
}

func (s *socket) SetDeadline(t time.Time) error    { return s.SetReadDeadline(t) }
func (s *socket) SetWriteDeadline(time.Time) error { return nil } // a write never waits

// SetReadBuffer and SetWriteBuffer satisfy quic-go, which warns about a socket without them.
func (s *socket) SetReadBuffer(int) error  { return nil }
func (s *socket) SetWriteBuffer(int) error { return nil }
