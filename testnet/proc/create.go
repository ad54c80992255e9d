package proc

import (
	"bytes"
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

func (n *Net) path(parts ...string) string {
	return filepath.Join(append([]string{n.opt.Dir}, parts...)...)
}

// draw makes a key and its file.
func (n *Net) draw(parts ...string) (*capsule.Identity, error) {
	id, err := capsule.NewIdentity(rand.Reader)
	if err != nil {
		return nil, err
	}
	name := n.path(parts...)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, err
	}
	return id, id.Save(name)
}

// create draws keys, founds the zones and writes every node's configuration.
func (n *Net) create() error {
	if n.opt.LinkDelay > 0 {
		n.state.Delay = n.opt.LinkDelay.String()
	}
	root, err := n.draw(RootKey)
	if err != nil {
		return err
	}
	operator := root
	client, err := n.draw(ClientKey)
	if err != nil {
		return err
	}
	book, err := sdk.OpenBook(n.path(BookDir))
	if err != nil {
		return err
	}
	var rights []capsule.Chain
	for i := range n.opt.Zones {
		name := fmt.Sprintf("zone-%d", i)
		if i == 0 {
			name = "home"
		}
		if i < len(n.opt.Names) {
			name = n.opt.Names[i]
		}
		rootFile := RootKey
		if n.opt.Joined && i > 0 {
			rootFile = name + "." + RootKey
			if root, err = n.draw(rootFile); err != nil {
				return err
			}
		}
		z, err := n.createZone(name, rootFile, root)
		if err != nil {
			return err
		}
		if err := book.Trust(name, z.ID); err != nil {
			return err
		}
		chain, err := root.Delegate(nil, grant(z.ID, client.Key(),
			capsule.Cap{Resource: "event/*", Ability: capsule.Emit},
			capsule.Cap{Resource: "kv/*", Ability: capsule.Read | capsule.Write | capsule.Delete | capsule.Export}))
		if err != nil {
			return err
		}
		rights = append(rights, chain)
	}
	for i := range n.opt.Gateways {
		if err := n.createGateway(fmt.Sprintf("gateway-%d", i), operator); err != nil {
			return err
		}
	}
	if err := sdk.SaveGrants(n.path(GrantsFile), rights); err != nil {
		return err
	}
	for i, z := range n.state.Zones {
		root, err := capsule.LoadIdentity(n.path(z.Root))
		if err != nil {
			return err
		}
		near := []string{root.Key().String()}
		if i == 0 {
			near = append(near, client.Key().String())
		}
		if err := n.configureZone(z, root, near); err != nil {
			return err
		}
	}
	return n.save()
}

// configureZone writes the configurations of a zone's nodes.
func (n *Net) configureZone(z ZoneState, root *capsule.Identity, near []string) error {
	workers := map[string]*capsule.Identity{}
	for i, s := range n.state.Nodes {
		if s.Zone != z.Name {
			continue
		}
		near = append(near, s.Key.String())
		if s.Vote && !n.opt.Work {
			continue
		}
		w, err := n.draw(s.Name, "worker.key")
		if err != nil {
			return err
		}
		workers[s.Name] = w
		key := w.Key()
		n.state.Nodes[i].Worker = &key
		near = append(near, w.Key().String())
	}
	for _, s := range n.state.Nodes {
		if s.Zone != z.Name {
			continue
		}
		if err := n.configure(z, &s, root, workers[s.Name], near); err != nil {
			return err
		}
	}
	return nil
}

func grant(z capsule.ZoneID, to capsule.Key, caps ...capsule.Cap) capsule.Grant {
	return capsule.Grant{
		Audience: to, Subject: z, Caps: caps, Gas: 1 << 50, NotBefore: 1,
		Expires: uint64(time.Now().Add(365 * 24 * time.Hour).UnixMilli()),
	}
}

func (n *Net) createZone(name, rootFile string, root *capsule.Identity) (ZoneState, error) {
	g := &cert.Genesis{
		V: cert.Version, Dev: n.opt.Voters < 3, Roots: []capsule.Key{root.Key()}, MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1},
	}
	if _, err := rand.Read(g.Nonce[:]); err != nil {
		return ZoneState{}, err
	}
	z := ZoneState{Name: name, Root: rootFile, Genesis: n.path(name + ".genesis")}
	var nodes []NodeState
	for i := range n.opt.Voters + n.opt.Workers {
		s := NodeState{Name: fmt.Sprintf("%s-voter-%d", name, i), Zone: name, Vote: true, Status: "stopped"}
		if i >= n.opt.Voters {
			s.Name, s.Vote = fmt.Sprintf("%s-worker-%d", name, i-n.opt.Voters), false
		}
		if err := n.place(&s); err != nil {
			return z, err
		}
		if s.Vote {
			g.Voters = append(g.Voters, s.Key)
		}
		nodes = append(nodes, s)
	}
	slices.SortFunc(g.Voters, func(a, b capsule.Key) int { return bytes.Compare(a[:], b[:]) })
	b, err := g.Bytes()
	if err != nil {
		return z, err
	}
	z.ID = capsule.ZoneID(capsule.Sum(b))
	if err := os.WriteFile(z.Genesis, b, 0o600); err != nil {
		return z, err
	}
	n.state.Zones = append(n.state.Zones, z)
	n.state.Nodes = append(n.state.Nodes, nodes...)
	return z, nil
}

// place gives a node its key and its address.
func (n *Net) place(s *NodeState) error {
	id, err := n.draw(s.Name, "node.key")
	if err != nil {
		return err
	}
	l, err := reservePort()
	if err != nil {
		return err
	}
	n.ports[s.Name] = l
	s.Key = id.Key()
	s.Addr = fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", l.Addr().(*net.TCPAddr).Port, id.Key().PeerID())
	return nil
}

// base is what every node's configuration says.
func (n *Net) base(s *NodeState, root *capsule.Identity) *Config {
	listen, _, _ := strings.Cut(s.Addr, "/p2p/")
	c := &Config{
		Identity: "node.key", Dir: "data", Listen: []string{listen}, Operators: []string{root.Key().String()}, Interp: n.opt.Interp,
		Log: "text", LinkDelay: n.state.Delay,
	}
	if n.opt.Trace {
		c.Log, c.Level = "json", "debug"
	}
	// Every node knows one, and finds the rest.
	if first := n.state.Nodes; len(first) > 0 && first[0].Name != s.Name {
		c.Peers = []string{first[0].Addr}
	}
	return c
}

// createGateway makes a node that lets clients in and has no zone of its own.
func (n *Net) createGateway(name string, root *capsule.Identity) error {
	s := NodeState{Name: name, Gateway: true, Status: "stopped"}
	if err := n.place(&s); err != nil {
		return err
	}
	c := n.base(&s, root)
	n.state.Nodes = append(n.state.Nodes, s)
	return c.save(n.path(name, "node.json"))
}

// configure writes a node's configuration; w is the identity that it works under, or nil.
func (n *Net) configure(z ZoneState, s *NodeState, root, w *capsule.Identity, near []string) error {
	c := n.base(s, root)
	c.Zones = []Zone{{Genesis: filepath.Join("..", filepath.Base(z.Genesis)), Vote: s.Vote}}
	if n.opt.Heartbeat > 0 {
		// A leader that is heard late must not be taken for dead.
		c.Heartbeat = max(n.opt.Heartbeat, 5*n.opt.LinkDelay).String()
	}
	if n.opt.Joined {
		c.Near = near
		if n.opt.Heartbeat > 0 {
			c.Heartbeat = n.opt.Heartbeat.String()
		}
	}
	for _, other := range n.state.Nodes {
		if other.Gateway && !s.Vote {
			c.Gateways = append(c.Gateways, other.Addr)
		}
	}
	if w != nil {
		chain, err := root.Delegate(nil, grant(z.ID, w.Key(), capsule.Cap{Resource: machine.ResourceWorker, Ability: capsule.Write}))
		if err != nil {
			return err
		}
		if err := sdk.SaveGrants(n.path(s.Name, "worker.grants"), []capsule.Chain{chain}); err != nil {
			return err
		}
		c.Zones[0].Work = &Work{Identity: "worker.key", Grants: "worker.grants", Slots: n.opt.Slots}
	}
	return c.save(n.path(s.Name, "node.json"))
}

// Ports of nodes lie below those that systems give to whoever asks for any: a node's stays its own while it is down.
const firstPort, ports = 20000, 12000

// reservePort listens on a port that nobody uses.
func reservePort() (l net.Listener, err error) {
	for range 100 {
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+mathrand.IntN(ports))); err == nil {
			return l, nil
		}
	}
	return nil, fmt.Errorf("find a port for a node: %w", err)
}
