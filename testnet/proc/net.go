package proc

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// Options shape a network. Each zone has voters, workers and nothing in common with the others.
type Options struct {
	Binary    string // of kwnode
	Dir       string // that becomes the network's, or is one already: it continues then, and what follows is ignored
	Zones     int
	Voters    int
	Workers   int
	Gateways  int // of the whole network, for clients alone; with none, clients talk to voters
	Slots     uint32
	Heartbeat time.Duration
	Interp    bool
	// Names of the zones; by default home, zone-1 and so on.
	Names []string
	// Work has voters run capsules too.
	Work bool
	// Joined zones have roots of their own, pin each other and know where each other's nodes are. Only the links between
	// them are long, and from the client to all but the first. LinkDelay of nothing can be changed then, too.
	Joined    bool
	LinkDelay time.Duration // one-way, of everything that is sent
	// Namespaces of every zone, owned by the client.
	Namespaces []string
	// Trace has the nodes log every step, as JSON with the time to the nanosecond.
	Trace bool
	// Progress is told what happens.
	Progress func(format string, args ...any)
}

// Net is a network that runs as children of this process.
type Net struct {
	opt Options

	mu    sync.Mutex // guards what follows
	state State
	procs map[string]*process
	ports map[string]net.Listener // hold the ports of nodes that were never started
	spawn chan func()             // runs on the thread that is the children's parent
	done  chan struct{}
	wg    sync.WaitGroup
	ctl   *control
}

type process struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}
	ready chan struct{}
}

// Up starts a network and waits until it works.
func Up(ctx context.Context, o Options) (n *Net, err error) {
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	n = &Net{opt: o, procs: map[string]*process{}, ports: map[string]net.Listener{}, spawn: make(chan func()), done: make(chan struct{})}
	if err := n.load(); err != nil {
		return nil, err
	}
	n.wg.Go(n.parent)
	defer func() {
		if err != nil {
			n.Close()
			n = nil
		}
	}()
	if n.ctl, err = serveControl(n); err != nil {
		return n, err
	}
	st := n.State()
	if err := together(st.Nodes, func(s NodeState) error {
		o.Progress("start %s", s.Name)
		return n.Start(ctx, s.Name)
	}); err != nil {
		return n, err
	}
	if err := together(st.Zones, func(z ZoneState) error {
		if err := n.furnish(ctx, z); err != nil {
			return fmt.Errorf("zone %s: %w", z.Name, err)
		}
		return nil
	}); err != nil {
		return n, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.Ready = true
	return n, n.save()
}

// together runs fn for all of them at once, and returns what went wrong.
func together[T any](all []T, fn func(T) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { errs[i] = fn(all[i]) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// load reads the folder, or makes everything that a new network needs.
func (n *Net) load() error {
	st, err := ReadState(n.opt.Dir)
	if err == nil {
		if st.Control != "" && held(st) {
			return fmt.Errorf("a network runs in %s already; end it with kwnode testnet down", n.opt.Dir)
		}
		n.state = *st
		n.state.settle()
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return n.create()
}

// parent runs what is sent to it on one thread until the network closes: Linux kills a child when the thread that began
// it ends, whatever the process still does.
func (n *Net) parent() {
	runtime.LockOSThread()
	for {
		select {
		case fn := <-n.spawn:
			fn()
		case <-n.done:
			return
		}
	}
}

// on runs fn on the parent's thread.
func (n *Net) on(fn func() error) error {
	res := make(chan error, 1)
	select {
	case n.spawn <- func() { res <- fn() }:
		return <-res
	case <-n.done:
		return errClosed
	}
}

var errClosed = errors.New("the network is closed")

// node returns a node's state. n.mu is held.
func (n *Net) node(name string) (*NodeState, error) {
	var names []string
	for i := range n.state.Nodes {
		if n.state.Nodes[i].Name == name {
			return &n.state.Nodes[i], nil
		}
		names = append(names, n.state.Nodes[i].Name)
	}
	return nil, fmt.Errorf("no node is called %q; there are %s", name, strings.Join(names, ", "))
}

// Start starts a node that doesn't run, and waits until it is ready.
func (n *Net) Start(ctx context.Context, name string) error {
	n.mu.Lock()
	s, err := n.node(name)
	if err == nil && n.procs[name] != nil {
		err = fmt.Errorf("%s runs already; kwnode testnet restart %s begins it anew", name, name)
	}
	if err != nil {
		n.mu.Unlock()
		return err
	}
	p, err := n.launch(name)
	if err == nil {
		n.procs[name], s.PID, s.Status = p, p.cmd.Process.Pid, "running"
		err = n.save()
	}
	n.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-p.ready:
		return n.rejoin(ctx, name)
	case <-p.ended:
		return fmt.Errorf("%s ended at once; see %s", name, n.path(name, "log"))
	case <-ctx.Done():
		return fmt.Errorf("wait for %s to be ready: %w; see %s", name, ctx.Err(), n.path(name, "log"))
	}
}

// release gives a node's port to whoever listens next. n.mu is held.
func (n *Net) release(name string) {
	if l := n.ports[name]; l != nil {
		l.Close()
		delete(n.ports, name)
	}
}

// launch starts the process. n.mu is held.
func (n *Net) launch(name string) (*process, error) {
	logFile, err := os.OpenFile(n.path(name, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer logFile.Close() // the child has its own
	cmd := exec.Command(n.opt.Binary, "start", "--config", n.path(name, "node.json"), "--until-eof")
	cmd.Stderr = logFile
	cmd.SysProcAttr = dieWithParent()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.release(name)
	if err := n.on(cmd.Start); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, stdin: stdin, ended: make(chan struct{}), ready: make(chan struct{})}
	n.wg.Go(func() {
		said := false
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if !said && strings.HasPrefix(lines.Text(), "ready ") {
				said = true
				close(p.ready)
			}
		}
		_ = cmd.Wait()
		n.mu.Lock()
		if n.procs[name] == p {
			delete(n.procs, name)
			if s, err := n.node(name); err == nil {
				s.PID, s.Status = 0, "stopped"
				_ = n.save()
			}
		}
		n.mu.Unlock()
		close(p.ended)
	})
	return p, nil
}

func (n *Net) running(name string) (*process, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, err := n.node(name); err != nil {
		return nil, err
	}
	p := n.procs[name]
	if p == nil {
		return nil, fmt.Errorf("%s does not run; kwnode testnet start %s", name, name)
	}
	return p, nil
}

// Kill ends a node without warning, as a power cut does.
func (n *Net) Kill(name string) error {
	p, err := n.running(name)
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Kill(); err != nil {
		return err
	}
	<-p.ended
	return nil
}

// stopTime is how long a node may take to end in order.
const stopTime = 30 * time.Second

// Stop has a node drain and end.
func (n *Net) Stop(name string) error {
	p, err := n.running(name)
	if err != nil {
		return err
	}
	p.stop()
	return nil
}

func (p *process) stop() {
	_ = resume(p.cmd.Process)
	p.stdin.Close()
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-p.ended:
	case <-t.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// Restart stops a node, if it runs, and starts it again.
func (n *Net) Restart(ctx context.Context, name string) error {
	if p, err := n.running(name); err == nil {
		p.stop()
	}
	return n.Start(ctx, name)
}

// Pause stops a node's clock, as a virtual machine that is suspended; Resume lets it go on.
func (n *Net) Pause(name string) error { return n.signal(name, "paused", pause) }

// Resume ends a pause.
func (n *Net) Resume(name string) error { return n.signal(name, "running", resume) }

func (n *Net) signal(name, status string, send func(*os.Process) error) error {
	p, err := n.running(name)
	if err != nil {
		return err
	}
	if err := send(p.cmd.Process); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if s, err := n.node(name); err == nil {
		s.Status = status
	}
	return n.save()
}

// Discard ends every node at once: nobody will start this network again.
func (n *Net) Discard() error {
	for _, s := range n.State().Nodes {
		if p, err := n.running(s.Name); err == nil {
			_ = p.cmd.Process.Kill()
		}
	}
	return n.Close()
}

// Close stops every node, workers first, and waits for them.
func (n *Net) Close() error {
	if n.ctl != nil {
		n.ctl.close()
	}
	for _, vote := range []bool{false, true} {
		var wg sync.WaitGroup
		for _, s := range n.State().Nodes {
			if p, err := n.running(s.Name); err == nil && s.Vote == vote {
				wg.Go(p.stop)
			}
		}
		wg.Wait()
	}
	close(n.done)
	n.wg.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range n.ports {
		n.release(name)
	}
	n.state.Control, n.state.Token = "", ""
	return n.save()
}

// furnish waits until a zone decides, gives the client credits and namespaces, and waits for the workers.
func (n *Net) furnish(ctx context.Context, z ZoneState) error {
	if z.Root == "" {
		z.Root = RootKey
	}
	root, err := capsule.LoadIdentity(n.path(z.Root))
	if err != nil {
		return err
	}
	st := n.State()
	var first NodeState
	workers := 0
	for _, s := range st.Nodes {
		switch {
		case s.Zone != z.Name: // gateways have none
		case !s.Vote:
			workers++
		default:
			if first.Name == "" {
				first = s
			}
			if n.opt.Work {
				workers++
			}
		}
	}
	c, err := admin.Dial(ctx, first.Addr, root)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, s := range st.Nodes { // the first one may not have heard yet where the others are
		if s.Zone == z.Name && s.Vote && s.Name != first.Name {
			if _, err := c.Connect(ctx, s.Addr); err != nil {
				return err
			}
		}
	}
	zones, err := c.Zones(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(zones, func(x admin.Zone) bool { return x.ID == z.ID })
	if i < 0 {
		return fmt.Errorf("%s does not serve the zone", first.Name)
	}
	n.opt.Progress("zone %s elects a leader", z.Name)
	if err := n.await(ctx, c, &zones[i], 0); err != nil {
		return err
	}
	if !st.Ready {
		if err := n.endow(ctx, c, &zones[i], root); err != nil {
			return err
		}
	}
	n.opt.Progress("zone %s waits for its workers", z.Name)
	return n.await(ctx, c, &zones[i], workers)
}

func (n *Net) endow(ctx context.Context, c *admin.Client, z *admin.Zone, root *capsule.Identity) error {
	client, err := capsule.LoadIdentity(n.path(ClientKey))
	if err != nil {
		return err
	}
	if err := c.Act(ctx, z, cert.OpCredit, &machine.Credit{Account: client.Key(), Amount: 1 << 50}, root); err != nil {
		return err
	}
	if n.opt.Joined {
		if err := n.join(ctx, c, z, root); err != nil {
			return err
		}
	}
	for _, name := range n.opt.Namespaces {
		if err := c.Act(ctx, z, cert.OpNamespace, &machine.GiveNamespace{Name: name, Owner: client.Key(), Quota: 64 << 20}, root); err != nil {
			return err
		}
	}
	return nil
}

// join has a zone pin the others.
func (n *Net) join(ctx context.Context, c *admin.Client, z *admin.Zone, root *capsule.Identity) error {
	for _, other := range n.State().Zones {
		if other.ID == z.ID {
			continue
		}
		b, err := os.ReadFile(other.Genesis)
		if err != nil {
			return err
		}
		if err := c.Act(ctx, z, cert.OpPeer, &machine.Peer{Genesis: b, Cap: 1 << 50}, root); err != nil {
			return err
		}
	}
	return nil
}

// Delay changes how long joined zones are apart, one way.
func (n *Net) Delay(d time.Duration) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.Delay = d.String()
	for name, p := range n.procs {
		if _, err := fmt.Fprintf(p.stdin, "%s %s\n", OrderDelay, d); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return n.save()
}

// OrderDelay is what a node reads from its standard input, followed by a duration, to change its line.
const OrderDelay = "link-delay"

func (n *Net) await(ctx context.Context, c *admin.Client, z *admin.Zone, workers int) error {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	var st admin.ZoneStatus
	for {
		// Any voter will do: the first may have been voted out since, and hear of no leader any more.
		for _, p := range z.Voters {
			err := c.Ask(ctx, p.Key, &admin.Request{Op: admin.OpStatus, Zone: z.ID}, &st)
			if err == nil && int(st.Workers) >= workers && !st.Leader.IsZero() {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d workers have registered: %w", st.Workers, workers, ctx.Err())
		case <-t.C:
		}
	}
}

// Env is what a client's environment needs, in the order in which it is shown.
func Env(dir string, st *State) [][2]string {
	var gateways, voters, workers []string
	for _, s := range st.Nodes {
		switch {
		case s.Gateway:
			gateways = append(gateways, s.Addr)
		case s.Vote && s.Zone == st.Zones[0].Name:
			voters = append(voters, s.Addr)
		case s.Zone == st.Zones[0].Name:
			workers = append(workers, s.Addr)
		}
	}
	if gateways != nil { // for which workers stand in
		voters = append(voters, workers...)
	}
	return [][2]string{
		{sdk.EnvNode, strings.Join(append(gateways, voters...), ",")}, {sdk.EnvDelay, st.Delay}, {sdk.EnvKey, filepath.Join(dir, ClientKey)},
		{sdk.EnvZones, filepath.Join(dir, BookDir)}, {sdk.EnvGrants, filepath.Join(dir, GrantsFile)},
	}
}
