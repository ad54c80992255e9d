// Package sdk captures what somebody wants to happen: it turns a function and its input into a signed capsule, hands it
// to a zone and verifies what came of it. It must never cause a side effect of its own, nor read or write a zone's data.
//
//	client, err := sdk.Dial(ctx, addr, sdk.WithIdentity(id))
//	receipt, err := sdk.Run(ctx, client, Move, Transfer{From: "a", To: "b", Amount: 5}, sdk.Keys("kv/acct/*"))
//
// [Run] is made of four steps that can be taken one by one: [Build] compiles the function to WebAssembly, [Prepare] runs
// its pure part and captures the state, [Client.Seal] signs, [Client.Submit] hands it in.
package sdk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/api"
)

// Client hands capsules to zones and follows them. Its methods may be called from any goroutine.
type Client struct {
	id     *capsule.Identity
	tr     Transport
	book   *Book
	grants []capsule.Chain

	mu    sync.Mutex // owns the fields below
	nodes []*node    // best first
	idle  map[line][]net.Conn
	lanes map[line]chan struct{} // holds a token for each stream in use
	seeks map[capsule.ZoneID]*seeking

	ctx    context.Context // ends with the client: for searches
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// node is one that answered or was named by one that did. Client.mu owns its fields.
type node struct {
	key      capsule.Key
	zones    map[capsule.ZoneID]role
	failures int
	retry    time.Time // not before
}

type role uint8

const (
	roleGateway role = 1 << iota
	roleVoter
)

// line is a protocol to a node.
type line struct {
	key   capsule.Key
	proto string
}

type dialConfig struct {
	id       *capsule.Identity
	book     *Book
	tr       Transport
	trustNew string
	grants   []capsule.Chain
	delay    time.Duration
	packets  func(addr *net.UDPAddr) (net.PacketConn, error)
}

// DialOption changes how Dial works.
type DialOption func(*dialConfig)

// WithIdentity says who signs. Without it the client draws a fresh key, which is good for reading results only.
func WithIdentity(id *capsule.Identity) DialOption { return func(c *dialConfig) { c.id = id } }

// WithBook says which zones are trusted; without it, none but those of TrustFirst.
func WithBook(b *Book) DialOption { return func(c *dialConfig) { c.book = b } }

// WithGrants attaches chains of grants to every capsule of the client.
func WithGrants(chains ...capsule.Chain) DialOption {
	return func(c *dialConfig) { c.grants = append(c.grants, chains...) }
}

// WithTransport replaces the mesh.
func WithTransport(t Transport) DialOption { return func(c *dialConfig) { c.tr = t } }

// WithLinkDelay holds everything that the client sends for so long, as if the nodes were far away. It is for trying things
// out on one machine, with nodes that do the same.
func WithLinkDelay(d time.Duration) DialOption { return func(c *dialConfig) { c.delay = d } }

// WithPackets replaces the mesh's UDP sockets, for a simulated network.
func WithPackets(open func(addr *net.UDPAddr) (net.PacketConn, error)) DialOption {
	return func(c *dialConfig) { c.packets = open }
}

// TrustFirst enters the zone that the dialled node serves into the book under this name, if the book has none of it.
// It is for development: whoever answers at the address is believed.
func TrustFirst(name string) DialOption { return func(c *dialConfig) { c.trustNew = name } }

// Dial connects to a node by multiaddr and learns which zones it serves. Any node of the mesh will do: the nodes of the
// zones that the book trusts are found from it when they are needed, and found again when they have moved.
// Of several addresses, with commas between them, the first that answers counts.
func Dial(ctx context.Context, addr string, options ...DialOption) (*Client, error) {
	var cfg dialConfig
	for _, o := range options {
		o(&cfg)
	}
	var err error
	if cfg.id == nil {
		if cfg.id, err = capsule.NewIdentity(rand.Reader); err != nil {
			return nil, err
		}
	}
	if cfg.book == nil {
		cfg.book = NewBook()
	}
	if cfg.tr == nil {
		if cfg.tr, err = newMesh(p2p.Config{Identity: cfg.id, LinkDelay: cfg.delay, Packets: cfg.packets}); err != nil {
			return nil, fmt.Errorf("dial %s: %w", addr, err)
		}
	}
	c := &Client{id: cfg.id, tr: cfg.tr, book: cfg.book, grants: cfg.grants, idle: map[line][]net.Conn{}, lanes: map[line]chan struct{}{}, seeks: map[capsule.ZoneID]*seeking{}}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	err = p2p.First(ctx, addr, func(ctx context.Context, addr string) error { return c.connect(ctx, addr, cfg.trustNew) })
	if err != nil {
		c.Close()
		return nil, err
	}
	if all := p2p.Addrs(addr); len(all) > 1 {
		c.keep(all)
	}
	return c, nil
}

// keep remembers where else the zones may be reached: nodes that don't answer now, or serve no clients yet.
func (c *Client) keep(addrs []string) {
	for _, a := range addrs {
		key, err := p2p.PeerOf(a)
		if err != nil {
			continue
		}
		at, _, _ := strings.Cut(a, "/p2p/")
		c.tr.Hint(key, []string{at})
		for _, z := range c.book.trusted() {
			c.note(key, z, roleGateway)
		}
	}
}

// Connect adds a node to those that the client may use.
func (c *Client) Connect(ctx context.Context, addr string) error { return c.connect(ctx, addr, "") }

func (c *Client) connect(ctx context.Context, addr, trustNew string) error {
	key, err := c.tr.Connect(ctx, addr)
	if err != nil {
		return err
	}
	c.note(key, capsule.ZoneID{}, 0)
	zones, err := ask[api.Zones](ctx, c, key, api.ProtoZone, &api.ZoneRequest{V: api.Version}, askTimeout)
	if err != nil {
		return err
	}
	for i := range zones.Zones[:min(len(zones.Zones), api.MaxZones)] {
		z := &zones.Zones[i]
		if trustNew != "" && !c.book.Trusts(z.Zone) {
			if _, err := c.book.Zone(trustNew); err != nil {
				if err := c.book.Trust(trustNew, z.Zone); err != nil {
					return err
				}
			}
		}
		c.note(key, z.Zone, roleGateway)
		if err := c.absorb(z); err != nil {
			return err
		}
	}
	return nil
}

// absorb takes what a node says of a trusted zone: its history, which proves itself, and its nodes, which are tried.
func (c *Client) absorb(z *api.ZoneInfo) error {
	if !c.book.Trusts(z.Zone) {
		return nil
	}
	if err := c.book.learn(z.Zone, z.Genesis, z.Epochs); err != nil {
		return err
	}
	peers := func(ps []api.Peer, r role) {
		for _, p := range ps[:min(len(ps), maxNodes)] {
			c.tr.Hint(p.Key, p.Addrs[:min(len(p.Addrs), api.MaxAddrs)])
			c.note(p.Key, z.Zone, r)
		}
	}
	peers(z.Voters, roleVoter)
	peers(z.Gateways, roleGateway)
	return nil
}

// maxNodes bounds what a client remembers; the least useful are forgotten.
const maxNodes = 64

func (c *Client) note(key capsule.Key, zone capsule.ZoneID, r role) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.nodes, func(n *node) bool { return n.key == key })
	if i < 0 {
		if len(c.nodes) >= maxNodes {
			c.nodes = c.nodes[:maxNodes-1]
		}
		c.nodes = append(c.nodes, &node{key: key, zones: map[capsule.ZoneID]role{}})
		i = len(c.nodes) - 1
	}
	if r != 0 {
		c.nodes[i].zones[zone] |= r
	}
}

// Close drops every connection. What was submitted goes on.
func (c *Client) Close() error {
	c.cancel()
	c.wg.Wait()
	c.mu.Lock()
	for _, conns := range c.idle {
		for _, conn := range conns {
			conn.Close()
		}
	}
	c.idle = map[line][]net.Conn{}
	c.mu.Unlock()
	return c.tr.Close()
}

// Identity is who signs.
func (c *Client) Identity() *capsule.Identity { return c.id }

// Book is whom the client trusts.
func (c *Client) Book() *Book { return c.book }

// askTimeout bounds a request that a node answers at once.
const askTimeout = 10 * time.Second

// ask makes one request of one node. All requests may be repeated, so a stream that an earlier request left open and that
// fails now is no failure of the node.
func ask[T any](ctx context.Context, c *Client, key capsule.Key, proto string, request any, timeout time.Duration) (*T, error) {
	return talk(ctx, c, key, proto, timeout, func(conn net.Conn) (*T, error) {
		return api.Ask[T](conn, request, api.MaxOutcome)
	})
}

func talk[T any](ctx context.Context, c *Client, key capsule.Key, proto string, timeout time.Duration, fn func(net.Conn) (*T, error)) (*T, error) {
	leave, err := c.enter(ctx, line{key, proto})
	if err != nil {
		return nil, err
	}
	defer leave()
	for {
		conn, used, err := c.open(ctx, key, proto)
		if err != nil {
			return nil, err
		}
		deadline := time.Now().Add(timeout)
		if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
			deadline = d
		}
		if err := conn.SetDeadline(deadline); err != nil {
			conn.Close()
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
		v, err := fn(conn)
		var refusal *api.Refusal
		if !stop() {
			conn.Close()
			return nil, context.Cause(ctx)
		}
		if err == nil || errors.As(err, &refusal) {
			c.park(line{key, proto}, conn)
			return v, err
		}
		conn.Close()
		if !used {
			return nil, err
		}
	}
}

// enter waits until the line has room for one more stream.
func (c *Client) enter(ctx context.Context, l line) (leave func(), err error) {
	c.mu.Lock()
	lane := c.lanes[l]
	if lane == nil {
		lane = make(chan struct{}, api.MaxStreams)
		c.lanes[l] = lane
	}
	c.mu.Unlock()
	select {
	case lane <- struct{}{}:
		return func() { <-lane }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// open takes an idle stream, or opens one.
func (c *Client) open(ctx context.Context, key capsule.Key, proto string) (conn net.Conn, used bool, err error) {
	c.mu.Lock()
	l := line{key, proto}
	if n := len(c.idle[l]); n > 0 {
		conn = c.idle[l][n-1]
		c.idle[l] = c.idle[l][:n-1]
	}
	c.mu.Unlock()
	if conn != nil {
		return conn, true, nil
	}
	conn, err = c.tr.Open(ctx, key, proto)
	return conn, false, err
}

// maxIdle is how many streams of one protocol to one node are kept for later requests.
const maxIdle = 16

func (c *Client) park(l line, conn net.Conn) {
	c.mu.Lock()
	if len(c.idle[l]) < maxIdle {
		c.idle[l] = append(c.idle[l], conn)
		conn = nil
	}
	c.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}
