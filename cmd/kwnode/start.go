package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/proc"
	"github.com/kitwork/kwnode/zone/cert"
)

// startFlags is what the command line adds to, or says instead of, a configuration file.
type startFlags struct {
	file    string
	cfg     proc.Config
	genesis []string
	vote    bool
	work    proc.Work
	pipe    bool
}

func newStartCmd() *cobra.Command {
	var f startFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Run a node: gateway to any zone, voter and worker of its own",
		Long: `Runs a node until it gets SIGTERM or Ctrl-C: then its workers give back what they hold, and
voters leave their logs in order. A second signal ends it at once.

What the node is stands in flags, or in one JSON file with the same names (--config); flags count
for more. When everything local is ready it prints one line that begins with "ready" for each
address. Logs go to the standard error.

A node without a zone is a gateway. With --genesis and --vote it is a voter: a founder if the
genesis names its key; else it waits until "kwnode zone add" lets it in. With --genesis and
--worker-key it runs capsules, under a key of their own that a zone root has granted "worker=write".`,
		Example: `  kwnode start --identity node.key --dir data --listen /ip4/0.0.0.0/tcp/7400
  kwnode start --identity a.key --dir a --listen /ip4/127.0.0.1/tcp/7401 \
      --genesis zone.genesis --vote --peer /ip4/192.0.2.7/tcp/7401/p2p/12D3KooW...
  kwnode start --config node.json`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.config(cmd)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			var orders chan string
			if f.pipe {
				orders = make(chan string)
				ctx = untilEOF(ctx, cmd.InOrStdin(), orders)
			}
			return start(ctx, cmd.OutOrStdout(), cmd.ErrOrStderr(), cfg, orders)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&f.file, "config", "", "JSON `file` with the configuration")
	fl.StringVar(&f.cfg.Identity, "identity", "", "key `file` of the node, see kwnode keygen")
	fl.StringVar(&f.cfg.Dir, "dir", "", "`folder` for everything that the node keeps")
	fl.StringArrayVar(&f.cfg.Listen, "listen", nil, "`multiaddr` to listen at (repeat it for more)")
	fl.StringArrayVar(&f.cfg.Peers, "peer", nil, "`multiaddr` of any node of the mesh; the others are found from it (repeat it)")
	fl.StringArrayVar(&f.cfg.Gateways, "gateway", nil, "`multiaddr` of a gateway that a worker stands in for while none answers (repeat it)")
	fl.StringVar(&f.cfg.DHT, "dht", "", "part in the directory: auto, server or client (default auto: answer unless nobody gets through to this node)")
	fl.BoolVar(&f.cfg.LAN, "lan", false, "find nodes on the local network, and be found, by multicast DNS")
	fl.BoolVar(&f.cfg.Relay, "relay", false, "relay for nodes that nobody gets through to")
	fl.StringArrayVar(&f.cfg.Topics, "topic", nil, "`zone` whose gossip to pass on without being part of it (repeat it)")
	fl.StringArrayVar(&f.genesis, "genesis", nil, "genesis `file` of a zone to take part in (repeat it)")
	fl.BoolVar(&f.vote, "vote", false, "be a voter of these zones")
	fl.StringVar(&f.work.Identity, "worker-key", "", "key `file` to work under, not the node's own")
	fl.StringVar(&f.work.Grants, "worker-grant", "", "`file` with the right to work, see kwnode zone grant")
	fl.Uint32Var(&f.work.Slots, "slots", 0, "capsules that run at a time (default 4)")
	fl.Uint32Var(&f.work.Pages, "pages", 0, "their memory in pages of 64 KiB (default 4096 for each slot)")
	fl.StringArrayVar(&f.cfg.Operators, "operator", nil, "public `key` that may give orders to this node (repeat it)")
	fl.StringVar(&f.cfg.Metrics, "metrics", "", "`host:port` to show Prometheus figures at, such as 127.0.0.1:9400")
	fl.StringVar(&f.cfg.Log, "log", "", "form of the log: text or json (default text)")
	fl.StringVar(&f.cfg.Level, "log-level", "", "debug, info, warn or error (default info)")
	fl.Int64Var(&f.cfg.Cache, "cache", 0, "`bytes` of code and states to keep (default 1 GiB)")
	fl.StringVar(&f.cfg.Heartbeat, "heartbeat", "", "`duration` of leader's silence after which voters elect anew (default 1s)")
	addDelay(cmd, &f.cfg.LinkDelay, "")
	fl.BoolVar(&f.cfg.Interp, "interp", false, "run capsules interpreted only")
	addUntilEOF(cmd, &f.pipe)
	return cmd
}

// addDelay lets the person choose a one-way delay.
func addDelay(cmd *cobra.Command, delay *string, preset string) {
	cmd.Flags().StringVar(delay, "link-delay", preset, "`duration` by which everything sent is delayed, such as 40ms, to try out long links on one machine")
}

// config joins file and flags.
func (f *startFlags) config(cmd *cobra.Command) (*proc.Config, error) {
	cfg := new(proc.Config)
	if f.file != "" {
		var err error
		if cfg, err = proc.LoadConfig(f.file); err != nil {
			return nil, err
		}
	}
	over := func(to *string, v string) {
		if v != "" {
			*to = v
		}
	}
	over(&cfg.Identity, f.cfg.Identity)
	over(&cfg.Dir, f.cfg.Dir)
	over(&cfg.Metrics, f.cfg.Metrics)
	over(&cfg.Log, f.cfg.Log)
	over(&cfg.Level, f.cfg.Level)
	over(&cfg.Heartbeat, f.cfg.Heartbeat)
	over(&cfg.LinkDelay, f.cfg.LinkDelay)
	cfg.Listen = append(cfg.Listen, f.cfg.Listen...)
	cfg.Peers = append(cfg.Peers, f.cfg.Peers...)
	cfg.Gateways = append(cfg.Gateways, f.cfg.Gateways...)
	cfg.Operators = append(cfg.Operators, f.cfg.Operators...)
	over(&cfg.DHT, f.cfg.DHT)
	cfg.LAN, cfg.Relay = cfg.LAN || f.cfg.LAN, cfg.Relay || f.cfg.Relay
	cfg.Topics = append(cfg.Topics, f.cfg.Topics...)
	cfg.Interp = cfg.Interp || f.cfg.Interp
	if f.cfg.Cache != 0 {
		cfg.Cache = f.cfg.Cache
	}
	for _, g := range f.genesis {
		z := proc.Zone{Genesis: g, Vote: f.vote}
		if f.work.Identity != "" {
			w := f.work
			z.Work = &w
		}
		cfg.Zones = append(cfg.Zones, z)
	}
	switch {
	case cfg.Identity == "":
		return nil, usageError(cmd, "a node needs --identity; create one with kwnode keygen node.key")
	case cfg.Dir == "":
		return nil, usageError(cmd, "a node needs --dir, a folder for what it keeps")
	case len(f.genesis) == 0 && (f.vote || f.work.Identity != ""):
		return nil, usageError(cmd, "--vote and --worker-key need the zone: --genesis FILE")
	case len(f.genesis) > 0 && !f.vote && f.work.Identity == "":
		return nil, usageError(cmd, "what is the node to do for the zone? --vote, --worker-key, or leave --genesis out for a gateway")
	}
	return cfg, nil
}

func addUntilEOF(cmd *cobra.Command, pipe *bool) {
	cmd.Flags().BoolVar(pipe, "until-eof", false, "stop when the standard input ends, as a child of another program does")
	_ = cmd.Flags().MarkHidden("until-eof")
}

// untilEOF ends with ctx or with r. A parent that dies closes its end of the pipe, on every system. The lines that it
// writes before are its orders.
func untilEOF(ctx context.Context, r io.Reader, orders chan<- string) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			select {
			case orders <- lines.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx
}

// obey carries out a parent's orders until ctx ends.
func obey(ctx context.Context, orders <-chan string, line *p2p.Line, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case order := <-orders:
			delay, ok := strings.CutPrefix(order, proc.OrderDelay+" ")
			d, err := sdk.ParseLinkDelay(delay)
			if !ok || err != nil || line == nil {
				log.Warn("order not understood", "order", order, "err", err)
				continue
			}
			line.Set(d)
		}
	}
}

func newLogger(w io.Writer, form, level string) (*slog.Logger, error) {
	var l slog.Level
	if level != "" {
		if err := l.UnmarshalText([]byte(level)); err != nil {
			return nil, fmt.Errorf("log level %q: want debug, info, warn or error", level)
		}
	}
	o := &slog.HandlerOptions{Level: l}
	switch form {
	case "", "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("log form %q: want text or json", form)
}

// nodeConfig reads the files that a configuration names.
func nodeConfig(c *proc.Config, log *slog.Logger) (cfg node.Config, zones []capsule.ZoneID, err error) {
	cfg = node.Config{Dir: c.Dir, Listen: slices.Clone(c.Listen), Peers: c.Peers, Gateways: c.Gateways, Cache: c.Cache, Interp: c.Interp, Logger: log}
	if cfg.Identity, err = capsule.LoadIdentity(c.Identity); err != nil {
		return cfg, nil, err
	}
	for i, a := range c.Listen {
		// The address that others dial is welcome here too, if it is this node's.
		at, peer, named := strings.Cut(a, "/p2p/")
		if named && peer != cfg.Identity.Key().PeerID() {
			return cfg, nil, fmt.Errorf("listen at %s: %s is the key of another node, this one is %s", a, peer, cfg.Identity.Key().PeerID())
		}
		cfg.Listen[i] = at
	}
	if err := meshConfig(c, &cfg); err != nil {
		return cfg, nil, err
	}
	if c.Heartbeat != "" {
		if cfg.Timing.Heartbeat, err = time.ParseDuration(c.Heartbeat); err != nil || cfg.Timing.Heartbeat < 50*time.Millisecond {
			return cfg, nil, fmt.Errorf("heartbeat %q: want a duration of 50ms or more", c.Heartbeat)
		}
	}
	if cfg.LinkDelay, err = sdk.ParseLinkDelay(c.LinkDelay); err != nil {
		return cfg, nil, err
	}
	if len(c.Near) > 0 {
		near := make([]capsule.Key, len(c.Near))
		for i, s := range c.Near {
			if near[i], err = capsule.ParseKey(s); err != nil {
				return cfg, nil, fmt.Errorf("near: %w", err)
			}
		}
		cfg.Line = p2p.NewLine(cfg.LinkDelay, near...)
	}
	for _, z := range c.Zones {
		b, err := os.ReadFile(z.Genesis)
		if err != nil {
			return cfg, nil, err
		}
		g, id, err := cert.ParseGenesis(b)
		if err != nil {
			return cfg, nil, fmt.Errorf("%s: %w", z.Genesis, err)
		}
		zones = append(zones, id)
		nz := node.Zone{Genesis: b, Vote: z.Vote}
		if z.Vote && !slices.Contains(g.Voters, cfg.Identity.Key()) {
			nz.Contacts = g.Voters
			for _, s := range z.Contacts {
				k, err := capsule.ParseKey(s)
				if err != nil {
					return cfg, nil, err
				}
				nz.Contacts = append(nz.Contacts, k)
			}
		}
		if nz.Work, err = workConfig(z.Work); err != nil {
			return cfg, nil, err
		}
		cfg.Zones = append(cfg.Zones, nz)
	}
	return cfg, zones, nil
}

// meshConfig sets how the node finds others and is found.
func meshConfig(c *proc.Config, cfg *node.Config) error {
	modes := map[string]find.Mode{"": find.Auto, "auto": find.Auto, "server": find.Server, "client": find.Client}
	var ok bool
	if cfg.DHT, ok = modes[c.DHT]; !ok {
		return fmt.Errorf("dht %q: want auto, server or client", c.DHT)
	}
	cfg.LAN = c.LAN
	for _, s := range c.Topics {
		z, err := capsule.ParseZoneID(s)
		if err != nil {
			return fmt.Errorf("topic %q: %w", s, err)
		}
		cfg.Topics = append(cfg.Topics, z)
	}
	// Nobody outside gets through to the loopback, whatever router and relays do.
	loopback := func(a string) bool { return strings.HasPrefix(a, "/ip4/127.") || strings.HasPrefix(a, "/ip6/::1/") }
	if len(cfg.Listen) == 0 || slices.ContainsFunc(cfg.Listen, func(a string) bool { return !loopback(a) }) {
		cfg.Reach = p2p.DefaultReach()
	}
	// Who offers to relay is reached: AutoNAT finds that out from peers that are reached themselves, and a first relay has none.
	cfg.Reach.Serve, cfg.Reach.Public = c.Relay, c.Relay
	return nil
}

func workConfig(w *proc.Work) (*node.Work, error) {
	if w == nil {
		return nil, nil
	}
	id, err := capsule.LoadIdentity(w.Identity)
	if err != nil {
		return nil, err
	}
	out := &node.Work{Identity: id, Slots: w.Slots, Pages: w.Pages}
	if out.Slots == 0 {
		out.Slots = 4
	}
	if out.Pages == 0 {
		out.Pages = out.Slots * 4096
	}
	if w.Grants == "" {
		return out, nil // the zone may let anybody work
	}
	if out.Chain, err = grantIn(w.Grants, id.Key(), func(*capsule.Grant) bool { return true }); err != nil {
		return nil, err
	}
	if len(out.Chain) > 0 {
		return out, nil
	}
	return nil, fmt.Errorf("%s has no grant for the worker %s; make one with kwnode zone grant --to %s --cap worker=write", w.Grants, id.Key(), id.Key())
}

// spareProcessor lets one goroutine more than there are cores run, unless the environment says how many: one that waits for the
// disk keeps its place for up to 10 ms, and a voter waits for the disk with each entry. On two cores, three voters in one process
// take 8 % more admissions by it (1.77 cores busy, not 1.62). Workers have sized themselves by the cores before.
func spareProcessor() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

// drainTime is how long workers have to save what they run.
const drainTime = 20 * time.Second

func start(ctx context.Context, stdout, stderr io.Writer, c *proc.Config, orders <-chan string) error {
	log, err := newLogger(stderr, c.Log, c.Level)
	if err != nil {
		return withStatus(statusUsage, err)
	}
	cfg, zones, err := nodeConfig(c, log)
	if err != nil {
		return err
	}
	operators := make([]capsule.Key, len(c.Operators))
	for i, s := range c.Operators {
		if operators[i], err = capsule.ParseKey(s); err != nil {
			return fmt.Errorf("operator: %w", err)
		}
	}
	release, err := lockDir(c.Dir)
	if err != nil {
		return err
	}
	defer release()
	n, err := node.Start(cfg)
	if err != nil {
		return err
	}
	defer func() {
		if n != nil {
			n.Close()
		}
	}()
	if err := admin.Serve(admin.Config{Node: n, Zones: zones, Operators: operators, Logger: log}); err != nil {
		return err
	}
	if c.Metrics != "" {
		stop, err := serveMetrics(c.Metrics, n, zones, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	for _, a := range n.Addrs() {
		fmt.Fprintf(stdout, "ready %s\n", a)
	}
	log.Info("node is ready", "key", n.Key(), "zones", len(zones), "workers", len(n.Workers()))
	go obey(ctx, orders, cfg.Line, log)
	go collect(ctx)
	if slices.ContainsFunc(zones, func(z capsule.ZoneID) bool { return n.Voter(z) != nil }) {
		spareProcessor()
	}
	failed := watchVoters(ctx, n, zones)
	var cause error
	select {
	case <-ctx.Done():
		log.Info("node stops, for it was asked to")
	case cause = <-failed:
		log.Error("node stops", "cause", cause)
	}
	drain(n, log)
	err = n.Close()
	n = nil
	return errors.Join(cause, err)
}

// watchVoters delivers why a voter has stopped by itself.
func watchVoters(ctx context.Context, n *node.Node, zones []capsule.ZoneID) <-chan error {
	failed := make(chan error, len(zones))
	for _, id := range zones {
		if z := n.Voter(id); z != nil {
			go func() {
				select {
				case <-ctx.Done():
				case <-z.Done():
					if err := z.Err(); err != nil {
						failed <- fmt.Errorf("the voter of zone %s has stopped: %w", id, err)
					}
				}
			}()
		}
	}
	return failed
}

// drain has the workers give back what they run. A second interrupt cuts it short: the handler of the first is gone.
func drain(n *node.Node, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	for _, w := range n.Workers() {
		if err := w.Drain(ctx); err != nil {
			log.Warn("worker not drained; its leases will run out", "zone", w.Status().Zone, "err", err)
		}
	}
}

func serveMetrics(addr string, n *node.Node, zones []capsule.ZoneID, log *slog.Logger) (stop func(), err error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/metrics", admin.Metrics(n, zones))
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	go func() { _ = srv.Serve(l) }()
	log.Info("metrics", "at", "http://"+l.Addr().String()+"/metrics")
	return func() { srv.Close() }, nil
}

// lockFile is held by the process that uses a node's folder.
const lockFile = "node.lock"

func lockDir(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another node: %w", dir, err)
	}
	return func() { f.Close() }, nil
}
