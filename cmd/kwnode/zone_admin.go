package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

func newZoneStatusCmd() *cobra.Command {
	var t target
	var wait bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say how a zone stands: leader, voters, log, troubles",
		Example: `  kwnode zone status --node /ip4/127.0.0.1/tcp/7401/p2p/12D3KooW...
  kwnode zone status --wait --timeout 1m && echo the zone decides`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			show := func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				st, err := c.Status(ctx, z)
				if err != nil {
					return err
				}
				if wait && (st.Leader.IsZero() || st.NoQuorum != "") {
					return errors.New("the zone has no leader yet")
				}
				if t.asJSON {
					return printJSON(cmd.OutOrStdout(), st)
				}
				return printStatus(cmd.OutOrStdout(), st)
			}
			if wait {
				return t.await(cmd, show)
			}
			return t.run(cmd, show)
		},
	}
	t.zoneFlag(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "until the node serves the zone and the zone has a leader, at most --timeout")
	return cmd
}

func printStatus(w io.Writer, st *admin.ZoneStatus) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(k string, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", k, fmt.Sprintf(format, args...))
	}
	row("zone", "%s", st.Zone)
	leader := "none known: no decision until a quorum of voters is up"
	if !st.Leader.IsZero() {
		leader = st.Leader.String()
	}
	row("leader", "%s", leader)
	row("seen by", "%s (%s, term %d)", st.Self, st.State, st.Term)
	row("epoch", "%d.%d: %d voters, %d sign a decision", st.Generation, st.Epoch, len(st.Voters), st.Quorum)
	for _, m := range st.Members {
		role := "learner"
		if m.Voter {
			role = "voter"
		}
		row(role, "%s", m.Key)
	}
	row("log", "applied %d, committed %d, signed %d", st.Applied, st.Committed, st.Signed)
	if st.Time == 0 {
		row("time", "not begun: nothing has needed it")
	} else {
		row("time", "%s", time.UnixMilli(int64(st.Time)).UTC().Format(time.RFC3339))
	}
	row("capsules", "%d live, %d queued, %d ended", st.Live, st.Queued, st.Ended)
	row("workers", "%d with %d free slots", st.Workers, st.FreeSlots)
	for _, trouble := range [][2]string{{"no decision", st.NoQuorum}, {"time stands", st.TimeError}, {"not signing", st.SignerError}, {"stopped", st.Error}} {
		if trouble[1] != "" {
			row(trouble[0], "%s", trouble[1])
		}
	}
	if st.Dev {
		row("caution", "fewer than three voters: this zone survives no fault")
	}
	return tw.Flush()
}

func newZonePolicyCmd() *cobra.Command {
	var t target
	var file string
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show the zone's prices, bounds and periods, or set them",
		Example: `  kwnode zone policy > policy.json
  kwnode zone policy --set policy.json --root root.key`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return list(&t, cmd, &admin.Request{Op: admin.OpPolicy}, func(p *machine.Policy) error { return printJSON(cmd.OutOrStdout(), p) })
			}
			b, err := readInput(cmd, file, 1<<16)
			if err != nil {
				return err
			}
			p := new(machine.Policy)
			d := json.NewDecoder(bytes.NewReader(b))
			d.DisallowUnknownFields()
			if err := d.Decode(p); err != nil {
				return fmt.Errorf("%s: %w; begin with what kwnode zone policy prints", file, err)
			}
			return t.act(cmd, cert.OpPolicy, p, "the policy is set")
		},
	}
	t.rootFlag(cmd)
	t.staleFlag(cmd)
	cmd.Flags().StringVar(&file, "set", "", "JSON `file` with the new policy")
	return cmd
}

func newZoneCreditCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "credit KEY AMOUNT",
		Short:   "Mint credits for an account",
		Example: `  kwnode zone credit me.key 1000000000 --root root.key`,
		Args:    wantArgs("KEY", "AMOUNT"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := publicKey(args[0])
			if err != nil {
				return err
			}
			n, err := strconv.ParseUint(args[1], 10, 62)
			if err != nil || n == 0 {
				return usageError(cmd, "amount %q: want a number from 1 to 2^62", args[1])
			}
			return t.act(cmd, cert.OpCredit, &machine.Credit{Account: k, Amount: n}, fmt.Sprintf("%s has %d credits more", k, n))
		},
	}
	t.rootFlag(cmd)
	return cmd
}

func newZoneAccountsCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "accounts",
		Short:   "Show your account, or all of them for a root of the zone",
		Example: `  kwnode zone accounts --identity root.key`,
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(&t, cmd, &admin.Request{Op: admin.OpAccounts, Rows: admin.MaxRows}, func(l *[]admin.AccountInfo) error {
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "AVAILABLE\tHELD\tKEY")
				for _, a := range *l {
					fmt.Fprintf(tw, "%d\t%d\t%s\n", a.Available, a.Held, a.Key)
				}
				return tw.Flush()
			})
		},
	}
	t.zoneFlag(cmd)
	t.staleFlag(cmd)
	return cmd
}

func newZoneWorkersCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "workers",
		Short:   "List the zone's workers and what they hold",
		Example: `  kwnode zone workers --identity root.key`,
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(&t, cmd, &admin.Request{Op: admin.OpWorkers, Rows: admin.MaxRows}, func(l *[]admin.WorkerInfo) error {
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "SLOTS\tUSED\tPAGES\tUSED\tSTATE\tKEY")
				for _, i := range *l {
					state := "ready"
					switch {
					case i.Closed:
						state = "out of service"
					case i.Drain:
						state = "draining"
					case i.Suspect:
						state = "suspect"
					}
					fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%s\t%s\n", i.Slots, i.Used, i.Pages, i.UsedPages, state, i.Key)
				}
				return tw.Flush()
			})
		},
	}
	t.zoneFlag(cmd)
	t.staleFlag(cmd)
	return cmd
}

func newZoneLedgerCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "ledger",
		Short:   "Show what other zones owe this one, and what it owes them",
		Example: `  kwnode zone ledger --identity root.key --json`,
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return list(&t, cmd, &admin.Request{Op: admin.OpLedger, Rows: admin.MaxRows}, func(l *[]admin.PeerInfo) error {
				tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(tw, "SENT\tRECEIVED\tCAP\tFROZEN\tZONE")
				for _, p := range *l {
					fmt.Fprintf(tw, "%d\t%d\t%d\t%s\t%s\n", p.Sent, p.Received, p.Cap, frozen(&p), p.Zone)
				}
				return tw.Flush()
			})
		},
	}
	t.zoneFlag(cmd)
	t.staleFlag(cmd)
	return cmd
}

// frozen says whether and why nothing of a zone is believed.
func frozen(p *admin.PeerInfo) string {
	var e cert.Evidence
	switch {
	case !p.Frozen:
		return "no"
	case len(p.Evidence) == 0 || capsule.Unmarshal(p.Evidence, &e) != nil:
		return "by the roots"
	}
	a, b := &e.A.Decision, &e.B.Decision
	return fmt.Sprintf("contradicted itself about capsule %s, hop %d: %s at entry %d, %s at entry %d", a.Slot.Capsule, a.Slot.Hop, a.Verdict, a.Index, b.Verdict, b.Index)
}

func newZoneAddCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "add MULTIADDR",
		Short: "Make a running node a voter of the zone",
		Long: `The node at MULTIADDR runs with this zone's --genesis and --vote. It first gets the log without
a vote; when it has caught up, roots and present voters sign the next epoch, with it as a voter.`,
		Example: `  kwnode zone add /ip4/127.0.0.1/tcp/7404/p2p/12D3KooW... --root root.key`,
		Args:    wantArgs("MULTIADDR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				k, err := newcomer(ctx, cmd.ErrOrStderr(), c, z, args[0])
				if err != nil {
					return err
				}
				with := func(keys []capsule.Key) ([]capsule.Key, error) {
					if slices.Contains(keys, k) {
						return nil, fmt.Errorf("%s is a voter already", k)
					}
					return append(keys, k), nil
				}
				// The act is signed twice: the first proves that the roots want the newcomer, the second carries the
				// number that is next when it has caught up.
				act, err := t.epoch(ctx, c, z, with)
				if err != nil {
					return err
				}
				if err := catchUp(ctx, cmd, c, z, k, act); err != nil {
					return err
				}
				return t.changeVoters(ctx, cmd, c, z, with, fmt.Sprintf("%s is a voter", k))
			})
		},
	}
	t.rootFlag(cmd)
	return cmd
}

// newcomer connects to a node and waits until it serves the zone: it may have been started a moment ago.
func newcomer(ctx context.Context, tell io.Writer, c *admin.Client, z *admin.Zone, addr string) (capsule.Key, error) {
	k, err := p2p.PeerOf(addr)
	if err != nil {
		return k, err
	}
	late := time.AfterFunc(progressEvery, func() { fmt.Fprintln(tell, "kwnode: waiting for the newcomer to answer at", addr) })
	defer late.Stop()
	err = again(ctx, func() error {
		if _, err := c.Connect(ctx, addr); err != nil {
			return fmt.Errorf("reach the new voter: %w; is it started?", err)
		}
		if err := c.Ask(ctx, k, &admin.Request{Op: admin.OpStatus, Zone: z.ID}, new(admin.ZoneStatus)); err != nil {
			return fmt.Errorf("the newcomer: %w; start it with this zone's --genesis and --vote", err)
		}
		return nil
	})
	return k, err
}

// catchUp lets a newcomer have the log, and waits until it has it.
func catchUp(ctx context.Context, cmd *cobra.Command, c *admin.Client, z *admin.Zone, k capsule.Key, act []byte) error {
	st, err := c.Status(ctx, z)
	if err != nil {
		return err
	}
	var mine admin.ZoneStatus
	if err := c.AskLeader(ctx, z, &admin.Request{Op: admin.OpLearner, Peer: k, Act: act}, new(admin.Done)); err != nil {
		return judged(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for mine.Applied < st.Applied {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: the newcomer has applied %d of %d entries; run the command again, it goes on from there", context.Cause(ctx), mine.Applied, st.Applied)
		case <-tick.C:
		}
		if err := c.Ask(ctx, k, &admin.Request{Op: admin.OpStatus, Zone: z.ID}, &mine); err != nil {
			fmt.Fprintln(cmd.ErrOrStderr(), "kwnode: the newcomer:", err)
		}
	}
	return nil
}

// epoch signs the next epoch.
func (t *target) epoch(ctx context.Context, c *admin.Client, z *admin.Zone, next func([]capsule.Key) ([]capsule.Key, error)) ([]byte, error) {
	st, err := c.Status(ctx, z)
	if err != nil {
		return nil, err
	}
	keys, err := next(slices.Clone(st.Voters))
	if err != nil {
		return nil, withStatus(statusRefused, err)
	}
	sortKeys(keys)
	if err := enough(ctx, c, z, keys); err != nil {
		return nil, withStatus(statusRefused, err)
	}
	act, err := t.sign(ctx, c, z, cert.OpEpoch, &cert.Epoch{V: cert.Version, Number: st.Epoch + 1, Voters: keys})
	if err != nil {
		return nil, err
	}
	act.Voters = []cert.IndexSig{}
	return capsule.Marshal(act)
}

// changeVoters signs and proposes the next epoch.
func (t *target) changeVoters(ctx context.Context, cmd *cobra.Command, c *admin.Client, z *admin.Zone, next func([]capsule.Key) ([]capsule.Key, error), done string) error {
	act, err := t.epoch(ctx, c, z, next)
	if err != nil {
		return err
	}
	var d admin.Done
	if err := c.AskLeader(ctx, z, &admin.Request{Op: admin.OpVoters, Act: act}, &d); err != nil {
		return judged(err)
	}
	if err := settled(ctx, c, z); err != nil {
		return err
	}
	return t.done(cmd, d.Index, done)
}

func sortKeys(keys []capsule.Key) {
	slices.SortFunc(keys, func(a, b capsule.Key) int { return bytes.Compare(a[:], b[:]) })
}

// settled waits until consensus works with the voters of the newest epoch: before, the old ones still count, and a node
// that is switched off too soon may be missed.
func settled(ctx context.Context, c *admin.Client, z *admin.Zone) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := c.Status(ctx, z)
		if err == nil {
			var in []capsule.Key
			for _, m := range st.Members {
				if m.Voter {
					in = append(in, m.Key)
				}
			}
			if slices.Equal(in, st.Voters) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: the voters have changed, consensus has not followed yet; see kwnode zone status", context.Cause(ctx))
		case <-tick.C:
		}
	}
}

func newZoneRemoveCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "remove KEY",
		Short: "Vote a node out of the zone",
		Long: `The remaining voters must be enough to go on: at least three, and most of the present ones must
be up to sign. The node may be dead; if it lives, it stops voting. A removal after which too few of
the others answer is refused.`,
		Example: `  kwnode zone remove a.key --root root.key`,
		Args:    wantArgs("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := publicKey(args[0])
			if err != nil {
				return err
			}
			return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				return t.changeVoters(ctx, cmd, c, z, func(keys []capsule.Key) ([]capsule.Key, error) {
					i := slices.Index(keys, k)
					if i < 0 {
						return nil, fmt.Errorf("%s is no voter of the zone; kwnode zone status lists them", k)
					}
					if len(keys) <= 3 && !z.Genesis.Dev {
						return nil, fmt.Errorf("%d voters would remain, who survive no crash; add one first", len(keys)-1)
					}
					return slices.Delete(keys, i, i+1), nil
				}, fmt.Sprintf("%s is no voter any more", k))
			})
		},
	}
	t.rootFlag(cmd)
	return cmd
}

func nonZero(k capsule.Key) *capsule.Key {
	if k.IsZero() {
		return nil
	}
	return &k
}

func newZoneTransferCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:     "transfer [KEY]",
		Short:   "Hand the leadership to another voter, before maintenance",
		Example: `  kwnode zone transfer b.key --identity root.key`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var k capsule.Key
			if len(args) == 1 {
				var err error
				if k, err = publicKey(args[0]); err != nil {
					return err
				}
			}
			return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				st, err := c.Status(ctx, z)
				if err != nil {
					return err
				}
				if !k.IsZero() && !slices.Contains(st.Voters, k) {
					return withStatus(statusRefused, fmt.Errorf("%s is no voter of the zone, and cannot lead it; see kwnode zone status", k))
				}
				if err := c.AskLeader(ctx, z, &admin.Request{Op: admin.OpTransfer, Peer: k}, new(admin.Done)); err != nil {
					return judged(err)
				}
				if t.asJSON {
					return printJSON(cmd.OutOrStdout(), struct {
						Zone   capsule.ZoneID `json:"zone"`
						Leader *capsule.Key   `json:"leader,omitempty"` // where one was asked for
					}{z.ID, nonZero(k)})
				}
				if k.IsZero() {
					return t.done(cmd, 0, "the leadership has moved")
				}
				return t.done(cmd, 0, fmt.Sprintf("%s leads", k))
			})
		},
	}
	t.zoneFlag(cmd)
	return cmd
}
