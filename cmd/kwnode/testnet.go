package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/testnet/proc"
)

func newTestnetCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "testnet",
		Short: "Run whole zones as processes on this machine, and break them",
	}
	asGroup(cmd)
	cmd.AddCommand(newTestnetFloodCmd(), newTestnetUpCmd(), newTestnetStatusCmd(), newTestnetLogsCmd(), newTestnetEnvCmd(), newTestnetPlayCmd())
	for _, o := range []struct{ order, use, short string }{
		{"kill", "kill NODE", "End a node at once, as a power cut does"},
		{"stop", "stop NODE", "Have a node drain and end"},
		{"start", "start NODE", "Start a node that was killed or stopped"},
		{"restart", "restart NODE", "Stop a node and start it again"},
		{"pause", "pause NODE", "Stop a node's processor, as a suspended virtual machine"},
		{"resume", "resume NODE", "Let a paused node go on"},
		{"partition", "partition NODE...", "Cut nodes off from all others, until heal"},
		{"heal", "heal", "End a partition"},
		{"down", "down", "End the network; its folder stays"},
	} {
		cmd.AddCommand(newTestnetOrderCmd(o.order, o.use, o.short))
	}
	return cmd
}

// testnetDir is the folder of a network unless somebody names another, on the command line or in envTestnet.
const (
	testnetDir = "testnet-data"
	envTestnet = "KITWORK_TESTNET"
)

func dirFlag(cmd *cobra.Command, dir *string) {
	preset := testnetDir
	if s := os.Getenv(envTestnet); s != "" {
		preset = s
	}
	cmd.Flags().StringVar(dir, "dir", preset, "`folder` of the network, also $"+envTestnet)
}

func newTestnetUpCmd() *cobra.Command {
	var o proc.Options
	var namespaces, delay string
	var wait time.Duration
	var pipe bool
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start a network, wait until it works, and keep it until Ctrl-C",
		Long: `Makes keys, founds the zones, starts every node as a process of this same program on loopback and
waits until each zone decides and has its workers. Prints the environment that clients need: it
also stands in the file "env" of the folder. Ends with Ctrl-C, or with kwnode testnet down; the
death of this process ends the nodes too. Started again in the same folder, the network goes on
where it stood.`,
		Example: `  kwnode testnet up --voters 3 --workers 2
  . testnet-data/env && go run ./examples/counter
  kwnode testnet up --gateways 1 --workers 2
  kwnode testnet up --dir far --link-delay 40ms`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Zones < 1 || o.Voters < 1 || o.Voters > 9 || o.Workers < 0 || o.Gateways < 0 || o.Zones*(o.Voters+o.Workers)+o.Gateways > 64 {
				return usageError(cmd, "want at least 1 zone with 1 to 9 voters, and at most 64 nodes")
			}
			var err error
			if o.LinkDelay, err = sdk.ParseLinkDelay(delay); err != nil {
				return withStatus(statusUsage, err)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			o.Binary, o.Namespaces = self, strings.FieldsFunc(namespaces, func(r rune) bool { return r == ',' })
			ctx := cmd.Context()
			if pipe {
				ctx = untilEOF(ctx, cmd.InOrStdin(), nil)
			}
			return testnetUp(ctx, cmd, o, wait)
		},
	}
	dirFlag(cmd, &o.Dir)
	fl := cmd.Flags()
	fl.IntVar(&o.Zones, "zones", 1, "how many zones")
	fl.IntVar(&o.Voters, "voters", 3, "voters of each zone")
	fl.IntVar(&o.Workers, "workers", 1, "workers of each zone")
	fl.IntVar(&o.Gateways, "gateways", 0, "nodes that only let clients in; with none, clients talk to voters")
	fl.Uint32Var(&o.Slots, "slots", 4, "capsules that a worker runs at a time")
	fl.DurationVar(&o.Heartbeat, "heartbeat", 250*time.Millisecond, "leader's silence after which voters elect anew")
	fl.BoolVar(&o.Interp, "interp", false, "run capsules interpreted only")
	addDelay(cmd, &delay, "")
	fl.StringVar(&namespaces, "namespaces", "acct,count,counter,doc,note,notes,primes,reminder,sum,text,wordcount", "`names` of namespaces to make, owned by the client")
	fl.DurationVar(&wait, "wait", 2*time.Minute, "give up if it doesn't work by then")
	addUntilEOF(cmd, &pipe)
	return cmd
}

func testnetUp(life context.Context, cmd *cobra.Command, o proc.Options, wait time.Duration) (err error) {
	began := time.Now()
	o.Progress = func(format string, args ...any) {
		fmt.Fprintf(cmd.ErrOrStderr(), "%5.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	ctx, cancel := context.WithTimeout(life, wait)
	defer cancel()
	n, err := proc.Up(ctx, o)
	switch {
	case err != nil && life.Err() != nil: // which of the nodes it was waiting for is of no interest any more
		return fmt.Errorf("interrupted before the network worked; kwnode testnet up --dir %s goes on with it", o.Dir)
	case err != nil:
		return err
	}
	defer func() {
		o.Progress("stop")
		if cerr := n.Close(); err == nil {
			err = cerr
		}
	}()
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return err
	}
	st := n.State()
	env := envText(dir, &st)
	if err := os.WriteFile(filepath.Join(dir, "env"), []byte(env), 0o600); err != nil {
		return err
	}
	o.Progress("ready")
	if _, err := io.WriteString(cmd.OutOrStdout(), env); err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "        in another terminal:  . %s\n", filepath.Join(o.Dir, "env"))
	select {
	case <-life.Done():
	case <-n.Down():
	}
	return nil
}

func envText(dir string, st *proc.State) string {
	var b strings.Builder
	for _, kv := range append([][2]string{{envTestnet, dir}}, proc.Env(dir, st)...) {
		fmt.Fprintf(&b, "export %s='%s'\n", kv[0], strings.ReplaceAll(kv[1], "'", `'\''`))
	}
	return b.String()
}

func newTestnetEnvCmd() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "env", Short: "Print the environment that clients need", Args: wantArgs(),
		Example: `  eval "$(kwnode testnet env)"`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			abs, st, err := readTestnet(dir)
			if err != nil {
				return err
			}
			_, err = io.WriteString(cmd.OutOrStdout(), envText(abs, st))
			return err
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}

func readTestnet(dir string) (string, *proc.State, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	st, err := proc.ReadState(abs)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil, fmt.Errorf("there is no network in %s; start one with kwnode testnet up", dir)
	}
	return abs, st, err
}

func newTestnetOrderCmd(order, use, short string) *cobra.Command {
	var dir string
	args := wantArgs()
	switch {
	case strings.HasSuffix(use, "NODE"):
		args = wantArgs("NODE")
	case strings.HasSuffix(use, "NODE..."):
		args = cobra.MinimumNArgs(1)
	}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: args,
		RunE: func(cmd *cobra.Command, args []string) error {
			if order == "down" {
				switch gone, err := proc.Settle(dir); {
				case err != nil && !errors.Is(err, os.ErrNotExist):
					return err
				case gone:
					fmt.Fprintln(cmd.ErrOrStderr(), "the process that held the network was gone, and its nodes with it")
					return nil
				}
			}
			names, err := nodeNames(cmd.Context(), dir, args)
			if err != nil {
				return err
			}
			if err := proc.Tell(cmd.Context(), dir, order, strings.Join(names, ",")); err != nil {
				return err
			}
			if order != "down" {
				return nil
			}
			return waitDown(cmd.Context(), dir)
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}

// nodeNames puts the node that leads now in the place of "leader".
func nodeNames(ctx context.Context, dir string, args []string) ([]string, error) {
	names := slices.Clone(args)
	i := slices.Index(names, "leader")
	if i < 0 {
		return names, nil
	}
	abs, st, err := readTestnet(dir)
	if err != nil {
		return nil, err
	}
	for name := range testnetLeaders(ctx, abs, st) {
		names[i] = name
		return names, nil
	}
	return nil, errors.New("nobody leads now; name a node, see kwnode testnet status")
}

// waitDown returns when the process that held the network has written that it is down.
func waitDown(ctx context.Context, dir string) error {
	t := time.NewTicker(50 * time.Millisecond)
	defer t.Stop()
	for {
		if _, st, err := readTestnet(dir); err != nil || st.Control == "" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

func newTestnetStatusCmd() *cobra.Command {
	var dir string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the nodes, and who leads", Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			abs, _, err := readTestnet(dir)
			if err != nil {
				return err
			}
			st, gone, err := proc.Look(abs)
			if err != nil {
				return err
			}
			if gone {
				fmt.Fprintf(cmd.ErrOrStderr(), "the process that held the network is gone, and its nodes with it; kwnode testnet up --dir %s continues\n", dir)
			}
			leaders := map[string]bool{}
			if st.Control != "" {
				leaders = testnetLeaders(cmd.Context(), abs, st)
			}
			if asJSON {
				st.Token = ""
				return printJSON(cmd.OutOrStdout(), struct {
					*proc.State
					Leaders map[string]bool `json:"leaders"` // names of nodes
				}{st, leaders})
			}
			tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(tw, "NODE\tSTATUS\tPID\tROLE\tADDRESS")
			for _, s := range st.Nodes {
				role := "worker"
				switch {
				case leaders[s.Name]:
					role = "leader"
				case s.Vote:
					role = "voter"
				case s.Gateway:
					role = "gateway"
				}
				if s.Cut {
					role += ", cut off"
				}
				fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", s.Name, s.Status, s.PID, role, s.Addr)
			}
			return tw.Flush()
		},
	}
	dirFlag(cmd, &dir)
	addJSON(cmd, &asJSON)
	return cmd
}

// testnetLeaders asks each zone who leads; one that doesn't answer has none.
func testnetLeaders(ctx context.Context, dir string, st *proc.State) map[string]bool {
	leaders := map[string]bool{}
	for _, z := range st.Zones {
		for _, s := range st.Nodes {
			if s.Zone != z.Name || !s.Vote || s.Status != "running" {
				continue
			}
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			t := target{node: s.Addr, identity: filepath.Join(dir, proc.RootKey), timeout: 3 * time.Second}
			id, err := t.load()
			if err != nil {
				cancel()
				break
			}
			c, err := admin.Dial(ctx, s.Addr, id)
			if err == nil {
				var zs admin.ZoneStatus
				err = c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpStatus, Zone: z.ID}, &zs)
				c.Close()
				for _, other := range st.Nodes {
					if err == nil && other.Key == zs.Leader {
						leaders[other.Name] = true
					}
				}
			}
			cancel()
			if err == nil {
				break
			}
		}
	}
	return leaders
}

func newTestnetLogsCmd() *cobra.Command {
	var dir string
	var lines int
	cmd := &cobra.Command{
		Use: "logs [NODE]", Short: "Print the end of the nodes' logs", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			abs, st, err := readTestnet(dir)
			if err != nil {
				return err
			}
			found := false
			for _, s := range st.Nodes {
				if len(args) == 1 && s.Name != args[0] {
					continue
				}
				found = true
				if err := printTail(cmd.OutOrStdout(), s.Name, filepath.Join(abs, s.Name, "log"), lines); err != nil {
					return err
				}
			}
			if !found {
				return fmt.Errorf("no node is called %q; see kwnode testnet status", args[0])
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	cmd.Flags().IntVar(&lines, "lines", 20, "so many lines of each")
	return cmd
}

func printTail(w io.Writer, name, file string, lines int) error {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var last []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if last = append(last, s.Text()); len(last) > lines {
			last = last[1:]
		}
	}
	for _, l := range last {
		if _, err := fmt.Fprintf(w, "%s  %s\n", name, l); err != nil {
			return err
		}
	}
	return s.Err()
}
