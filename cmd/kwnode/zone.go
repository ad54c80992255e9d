package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

func newZoneCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "zone",
		Short: "Found a zone, administer it, and use its data as its owner",
		Long: `Commands that talk to a node take --node MULTIADDR (or $KITWORK_NODE) and --identity FILE
(or $KITWORK_KEY). What changes a zone's policy, credits, namespaces or voters is signed by the
zone's root keys (--root FILE, repeated for zones that want several; default: the identity) and
checked by every voter.`,
	}
	asGroup(cmd)
	for _, construct := range []func() *cobra.Command{
		newZoneInitCmd, newZoneTrustCmd, newZoneGrantCmd, newZoneRevokeCmd, newZoneStatusCmd,
		newZonePolicyCmd, newZoneCreditCmd, newZoneNamespaceCmd, newZoneAccountsCmd, newZoneWorkersCmd, newZoneLedgerCmd,
		newZonePutCmd, newZoneDeleteCmd, newZoneGetCmd, newZoneScanCmd,
		newZoneJoinCmd, newZoneAddCmd, newZoneRemoveCmd, newZoneTransferCmd, newZoneDrainCmd,
		newZoneBackupCmd, newZoneRestoreCmd, newZoneRecoverCmd,
	} {
		cmd.AddCommand(construct())
	}
	return cmd
}

// target is the node and the zone that a command is about.
type target struct {
	node     string
	identity string
	zone     string
	asJSON   bool
	timeout  time.Duration
	roots    []string
	stale    bool
}

func (t *target) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&t.node, "node", os.Getenv(sdk.EnvNode), "`multiaddr` of any voter (default $"+sdk.EnvNode+")")
	fl.StringVar(&t.identity, "identity", os.Getenv(sdk.EnvKey), "key `file` to ask as (default $"+sdk.EnvKey+")")
	fl.DurationVar(&t.timeout, "timeout", 30*time.Second, "give up after this long")
	addJSON(cmd, &t.asJSON)
}

func (t *target) zoneFlag(cmd *cobra.Command) {
	t.flags(cmd)
	cmd.Flags().StringVar(&t.zone, "zone", "", "`name or ID` of the zone (default: the only one that the node serves)")
}

func (t *target) rootFlag(cmd *cobra.Command) {
	t.zoneFlag(cmd)
	cmd.Flags().StringArrayVar(&t.roots, "root", nil, "key `file` of a zone root to sign with (repeat it; default: the identity)")
}

// dial connects. Without an identity it asks as somebody whom nobody knows.
func (t *target) dial(ctx context.Context, cmd *cobra.Command) (*admin.Client, error) {
	if t.node == "" {
		return nil, usageError(cmd, "which node? --node MULTIADDR, or set %s", sdk.EnvNode)
	}
	id, err := t.load()
	if err != nil {
		return nil, err
	}
	c, err := admin.Dial(ctx, t.node, id)
	malformed := slices.ContainsFunc(p2p.Addrs(t.node), func(a string) bool {
		_, err := p2p.PeerOf(a)
		return err != nil
	})
	if err != nil && !malformed && ctx.Err() == nil {
		err = fmt.Errorf("%w; is the node up, and is this the address that it printed as ready?", err)
	}
	return c, err
}

func (t *target) load() (*capsule.Identity, error) {
	if t.identity == "" {
		return capsule.NewIdentity(rand.Reader)
	}
	return capsule.LoadIdentity(t.identity)
}

// run connects, finds the zone and calls fn within the time given.
func (t *target) run(cmd *cobra.Command, fn func(ctx context.Context, c *admin.Client, z *admin.Zone) error) error {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), t.timeout, fmt.Errorf("no answer within %s (--timeout waits longer)", t.timeout))
	defer cancel()
	c, err := t.dial(ctx, cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	z, err := t.find(ctx, c)
	if err != nil {
		return err
	}
	return fn(ctx, c, z)
}

// await is run, again and again until fn succeeds or the time is over: a node that starts refuses connections first,
// then serves no zone yet, then knows no leader. What only its user can mend fails at once.
func (t *target) await(cmd *cobra.Command, fn func(ctx context.Context, c *admin.Client, z *admin.Zone) error) error {
	for addr := range strings.SplitSeq(t.node, ",") {
		if _, err := p2p.PeerOf(addr); err != nil && t.node != "" {
			return err
		}
	}
	if _, err := t.load(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), t.timeout)
	defer cancel()
	return again(ctx, func() error { return t.run(cmd, fn) })
}

// again calls fn until it succeeds, fails for a reason that is the user's to mend, or the context ends, and returns what
// it returned last.
func again(ctx context.Context, fn func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := fn()
		var final *statusError
		if err == nil || errors.As(err, &final) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

func (t *target) find(ctx context.Context, c *admin.Client) (*admin.Zone, error) {
	zones, err := c.Zones(ctx)
	if err != nil {
		return nil, err
	}
	if t.zone == "" {
		if len(zones) == 1 {
			return &zones[0], nil
		}
		if len(zones) == 0 {
			return nil, errors.New("the node serves no zone; ask a voter of one with --node, or again in a moment if this one was just started")
		}
		return nil, fmt.Errorf("the node serves %d zones; say which one with --zone, or ask a voter of it", len(zones))
	}
	id, err := capsule.ParseZoneID(t.zone)
	if err != nil {
		book, err := openBook()
		if err != nil {
			return nil, err
		}
		if id, err = book.Zone(t.zone); err != nil {
			return nil, err
		}
	}
	for i := range zones {
		if zones[i].ID == id {
			return &zones[i], nil
		}
	}
	return nil, fmt.Errorf("the node does not serve zone %s; ask one of its voters", id)
}

// openBook is the book of trusted zones that the sdk uses too.
func openBook() (*sdk.Book, error) {
	dir := os.Getenv(sdk.EnvZones)
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("no folder for the book of zones: %w; set %s", err, sdk.EnvZones)
		}
		dir = filepath.Join(config, "kitwork")
	}
	return sdk.OpenBook(dir)
}

// rootKeys loads who signs.
func (t *target) rootKeys(c *admin.Client) ([]*capsule.Identity, error) {
	if len(t.roots) == 0 {
		return []*capsule.Identity{c.Identity()}, nil
	}
	return loadKeys(t.roots)
}

func loadKeys(files []string) ([]*capsule.Identity, error) {
	ids := make([]*capsule.Identity, len(files))
	for i, name := range files {
		var err error
		if ids[i], err = capsule.LoadIdentity(name); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// sign makes an act of administration with the next number.
func (t *target) sign(ctx context.Context, c *admin.Client, z *admin.Zone, op cert.Op, body any) (*cert.SignedAdmin, error) {
	ids, err := t.rootKeys(c)
	if err != nil {
		return nil, err
	}
	s, err := c.SignAct(ctx, z, op, body, ids...)
	if errors.Is(err, cert.ErrNoRoot) {
		err = fmt.Errorf("%w; name the zone's root keys with --root", err)
	}
	return s, err
}

// order has the zone's roots do something, and returns the index of its entry.
func (t *target) order(ctx context.Context, c *admin.Client, z *admin.Zone, op cert.Op, body any) (uint64, error) {
	s, err := t.sign(ctx, c, z, op, body)
	if err != nil {
		return 0, err
	}
	command, err := machine.NewAdmin(s)
	if err != nil {
		return 0, err
	}
	rep, err := c.Command(ctx, z, command)
	if err != nil {
		return 0, judged(err)
	}
	return rep.Index, nil
}

// act is order for a command that does nothing else.
func (t *target) act(cmd *cobra.Command, op cert.Op, body any, done string) error {
	return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
		index, err := t.order(ctx, c, z, op, body)
		if err != nil {
			return err
		}
		return t.done(cmd, index, done)
	})
}

func (t *target) done(cmd *cobra.Command, index uint64, text string) error {
	if t.asJSON {
		return printJSON(cmd.OutOrStdout(), admin.Done{Index: index})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// judged gives a refusal its exit status.
func judged(err error) error {
	if admin.Refused(err) {
		return withStatus(statusRefused, err)
	}
	return err
}

// staleFlag is for commands that read.
func (t *target) staleFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&t.stale, "stale", false, "read what the node has, without asking a quorum whether it is the newest")
}

// list asks the zone and prints what comes, as JSON or with fn.
func list[T any](t *target, cmd *cobra.Command, req *admin.Request, fn func(*T) error) error {
	return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
		out := new(T)
		req.Stale = t.stale
		if err := c.AskZone(ctx, z, req, out); err != nil {
			return judged(err)
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), out)
		}
		return fn(out)
	})
}
