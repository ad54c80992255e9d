package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/p2p/mesh"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/machine"
)

func newInspectCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Look into a running node: itself, its zones, peers, streams, topics, DHT and capsules",
		Long: `Asks the node at a multiaddr. What it is and which zones it serves anybody may ask. The rest its
operators see, and who has a grant of theirs: --identity is a key that the node was started with as
--operator, or the one that --grants let read inspect in the name of a zone of the node.`,
		Example: `  kwnode inspect node /ip4/192.0.2.7/tcp/4001/p2p/12D3KooW...
  kwnode zone grant --by operator.key --zone home --to colleague.key --cap inspect=read --out inspect.grants
  kwnode inspect peers --identity colleague.key --grants inspect.grants`,
	}
	asGroup(cmd)
	cmd.AddCommand(newInspectNodeCmd(), newInspectZonesCmd(), newInspectPeersCmd(), newInspectStreamsCmd(), newInspectTopicsCmd(), newInspectDHTCmd(), newInspectCapsulesCmd())
	return cmd
}

// inspecting makes one of the commands: fn prints what it asks.
func inspecting(use, short string, fn func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error) *cobra.Command {
	var t target
	var grants string
	cmd := &cobra.Command{
		Use: use + " [MULTIADDR]", Short: short, Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				t.node = args[0]
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
			defer cancel()
			c, err := t.dial(ctx, cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			if grants != "" {
				if err := show(ctx, c, grants); err != nil {
					return err
				}
			}
			return judged(fn(ctx, cmd, &t, c))
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&grants, "grants", os.Getenv(sdk.EnvGrants), "`file` with an operator's grant of "+admin.CapInspect+" (default $"+sdk.EnvGrants+")")
	return cmd
}

// show finds the grant for this node among those in a file. Without one the client asks as anybody may.
func show(ctx context.Context, c *admin.Client, file string) error {
	var i admin.NodeInfo
	if err := c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpNode}, &i); err != nil {
		return err
	}
	chain, err := grantIn(file, c.Identity().Key(), func(g *capsule.Grant) bool {
		return slices.Contains(i.Zones, g.Subject) && slices.ContainsFunc(g.Caps, func(p capsule.Cap) bool { return p.Covers(admin.CapInspect) })
	})
	c.Show(chain)
	return err
}

func newInspectNodeCmd() *cobra.Command {
	return inspecting("node", "Show identity, addresses, protocols, zones and round-trip time", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		var i admin.NodeInfo
		if err := c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpNode}, &i); err != nil {
			return err
		}
		rtt, err := c.Ping(ctx)
		if err != nil {
			return err
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), struct {
				admin.NodeInfo
				RTT int64 `json:"rtt_ns"`
			}{i, int64(rtt)})
		}
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintf(tw, "key\t%s\npeer\t%s\nversion\t%s, %s\nround trip\t%s\n", i.Key, i.Peer, i.Version, i.Platform, rtt.Round(time.Microsecond))
		for _, a := range i.Addrs {
			fmt.Fprintf(tw, "address\t%s\n", a)
		}
		for _, z := range i.Voter {
			fmt.Fprintf(tw, "voter of\t%s\n", z)
		}
		for _, w := range i.Workers {
			fmt.Fprintf(tw, "worker of\t%s: %d running, %d segments done\n", w.Zone, len(w.Running), w.Segments)
		}
		fmt.Fprintf(tw, "protocols\t%s\n", strings.Join(i.Protocols, " "))
		return tw.Flush()
	})
}

func newInspectZonesCmd() *cobra.Command {
	return inspecting("zones", "Show how the zones of the node stand", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		zones, err := c.Zones(ctx)
		if err != nil {
			return err
		}
		all := []*admin.ZoneStatus{}
		for i := range zones {
			st, err := c.Status(ctx, &zones[i])
			if err != nil {
				return err
			}
			all = append(all, st)
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), all)
		}
		for _, st := range all {
			if err := printStatus(cmd.OutOrStdout(), st); err != nil {
				return err
			}
		}
		return nil
	})
}

func snapshot(ctx context.Context, c *admin.Client) (*p2p.Snapshot, error) {
	s := new(p2p.Snapshot)
	return s, c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpPeers}, s)
}

func newInspectPeersCmd() *cobra.Command {
	return inspecting("peers", "List the node's connections", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		s, err := snapshot(ctx, c)
		if err != nil {
			return err
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), s.Peers)
		}
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "KEY\tFOR\tRTT\tSTREAMS\tADDRESS")
		for _, p := range s.Peers {
			fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%s\n", p.Key, time.Since(p.Since).Round(time.Second), p.RTT.Round(10*time.Microsecond), p.Streams, strings.Join(p.Addrs, " "))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\ncut off %d, refused for a while %d peers and %d networks, connections refused %d\n", s.Shed, s.ShutOut, s.ShutNets, s.Refused)
		return err
	})
}

func newInspectStreamsCmd() *cobra.Command {
	return inspecting("streams", "Count the node's streams by protocol", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		s, err := snapshot(ctx, c)
		if err != nil {
			return err
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), s.Protocols)
		}
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "OPEN\tIN\tOUT\tREFUSED\tPROTOCOL")
		for _, p := range s.Protocols {
			fmt.Fprintf(tw, "%d\t%d\t%d\t%d\t%s\n", p.Open, p.In, p.Out, p.Denied+p.Limited+p.Busy+p.Memory, p.ID)
		}
		return tw.Flush()
	})
}

func newInspectTopicsCmd() *cobra.Command {
	return inspecting("topics", "Show the gossip: mesh, what was refused and why, scores", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		s := new(mesh.Snapshot)
		if err := c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpTopics}, s); err != nil {
			return err
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), s)
		}
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		for _, i := range s.Topics {
			fmt.Fprintf(tw, "topic\t%s\n  peers\t%d, %d of them in the mesh\n  passed on\t%d, seen again %d, undelivered %d\n",
				i.Zone, len(i.Peers), len(i.Mesh), i.Accepted, i.Duplicates, i.Undelivered)
			printReasons(tw, "  rejected", i.Rejected)
			printReasons(tw, "  ignored", i.Ignored)
		}
		fmt.Fprintf(tw, "over a quota\t%d\nframes too many\t%d\npeers cut off\t%d\nmalformed\t%d\ntoo many to check\t%d\nslow readers lost\t%d\n\n", s.OverQuota, s.Frames, s.Shut, s.Malformed, s.QueueFull, s.Dropped)
		fmt.Fprintln(tw, "SCORE\tINVALID\tFIRST\tIN MESH\tSTRIKES\tBEHAVIOUR\tPEER")
		for _, p := range s.Scores {
			fmt.Fprintf(tw, "%.1f\t%.0f\t%.0f\t%s\t%.1f\t%.1f\t%s\n", p.Score, p.Invalid, p.First, p.InMesh.Round(time.Second), p.Strikes, p.Behaviour, p.Peer)
		}
		return tw.Flush()
	})
}

func printReasons(w io.Writer, what string, n map[string]uint64) {
	for _, reason := range slices.Sorted(maps.Keys(n)) {
		fmt.Fprintf(w, "%s\t%d: %s\n", what, n[reason], reason)
	}
}

func newInspectDHTCmd() *cobra.Command {
	return inspecting("dht", "Show the directory: routing table, records, and what became of claims", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		s := new(find.Snapshot)
		if err := c.Ask(ctx, c.Node(), &admin.Request{Op: admin.OpDHT}, s); err != nil {
			return err
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), s)
		}
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		part := "asks only"
		if s.Server {
			part = "answers"
		}
		fmt.Fprintf(tw, "part\t%s\nrouting table\t%d peers\non the LAN\t%d peers\n", part, len(s.Table), len(s.LAN))
		fmt.Fprintf(tw, "searches\t%d, found %d; lookups without a record %d, repeated %d\n", s.Finds, s.Found, s.Empty, s.Retried)
		fmt.Fprintf(tw, "claims\t%d checked, %d not believed\nrefused\t%d requests too many\n", s.Checks, s.Refuted, s.Limited)
		for _, p := range s.Provided {
			state := "announced " + p.Last.UTC().Format(time.RFC3339)
			if p.Err != "" {
				state = "not announced: " + p.Err
			}
			fmt.Fprintf(tw, "provides\t%s: %s\n", p.Zone, state)
		}
		for _, r := range s.Held {
			fmt.Fprintf(tw, "holds\t%s: %s says so\n", r.Zone, r.Provider)
		}
		for z, ks := range s.Known {
			fmt.Fprintf(tw, "knows\t%s: %d proved it\n", z, len(ks))
		}
		for _, o := range s.Outcomes {
			state := "believed"
			if o.Err != "" {
				state = "not believed: " + o.Err
			}
			fmt.Fprintf(tw, "claim\t%s: %s %s\n", o.Zone, o.Peer, state)
		}
		return tw.Flush()
	})
}

func newInspectCapsulesCmd() *cobra.Command {
	return inspecting("capsules", "List the capsules of the node's zones: yours, or all for an operator", func(ctx context.Context, cmd *cobra.Command, t *target, c *admin.Client) error {
		zones, err := c.Zones(ctx)
		if err != nil {
			return err
		}
		all := []admin.CapsuleInfo{}
		for i := range zones {
			l, err := capsulesOf(ctx, c, &zones[i])
			if err != nil {
				return err
			}
			all = append(all, l...)
		}
		return printCapsules(cmd, t.asJSON, all)
	})
}

// maxListed bounds what one listing holds.
const maxListed = 100_000

func capsulesOf(ctx context.Context, c *admin.Client, z *admin.Zone) ([]admin.CapsuleInfo, error) {
	var all []admin.CapsuleInfo
	req := &admin.Request{Op: admin.OpCapsules, Rows: admin.MaxRows}
	for len(all) < maxListed {
		var page admin.Capsules
		if err := c.AskZone(ctx, z, req, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Capsules...)
		if page.Next == nil {
			break
		}
		req.After = page.Next[:]
	}
	return all, nil
}

func printCapsules(cmd *cobra.Command, asJSON bool, all []admin.CapsuleInfo) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "STATUS\tSEGMENT\tUNITS\tCAPSULE\tAUTHOR\tWORKER")
	for _, i := range all {
		status := i.Status
		if i.Place > 0 {
			status += fmt.Sprintf(" (place %d)", i.Place)
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\n", status, i.Segment, i.Gas, i.ID, i.Author, i.Worker)
	}
	return tw.Flush()
}

// printLimbo shows those capsules whose handover has no answer although it was asked for. now is in ms.
func printLimbo(cmd *cobra.Command, asJSON bool, all []admin.CapsuleInfo, now uint64) error {
	all = slices.DeleteFunc(all, func(i admin.CapsuleInfo) bool { return i.Status != machine.StatusLimbo.String() })
	if asJSON {
		return printJSON(cmd.OutOrStdout(), all)
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "AGE\tHOP\tCREDITS\tCAPSULE\tREASON")
	for _, i := range all {
		age := time.Duration(now-min(now, i.Since)) * time.Millisecond
		credits, reason := uint64(0), "the offer has gone meanwhile"
		if o := i.Offer; o != nil {
			credits, reason = o.Credits, fmt.Sprintf("zone %s has not answered; it is asked for ever, since only its word can bring the capsule back", o.Target)
			if o.GiveUp > 0 {
				reason = fmt.Sprintf("zone %s has not answered; the capsule and its credits are given up at %s", o.Target, time.UnixMilli(int64(o.GiveUp)).UTC().Format(time.RFC3339))
			}
		}
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\n", age.Round(time.Second), i.Hop, credits, i.ID, reason)
	}
	return tw.Flush()
}
