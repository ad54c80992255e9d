package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

func newZoneNamespaceCmd() *cobra.Command {
	var t target
	var by string
	var quota uint64
	cmd := &cobra.Command{
		Use:   "namespace [NAME OWNER]",
		Short: "List namespaces, or give one to an owner",
		Long: `Without arguments: the namespaces that you own, or all for a root of the zone.

With them, the zone's roots create a namespace, or change its owner and quota. The owner pays rent for
the quota.

With --by, the owner of a namespace gives it away as it is: OWNER, a key or key file, has it from then on,
pays its rent, and may give it on or back. Nothing more is read, written or admitted by what the former
owner has granted in it; capsules that were admitted before go on.`,
		Example: `  kwnode zone namespace notes me.key --quota 1000000 --root root.key
  kwnode zone namespace notes ed25519:5d0c... --by me.key`,
		Args: cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if by != "" && (len(args) != 2 || len(t.roots) > 0 || cmd.Flags().Changed("quota")) {
				return usageError(cmd, "--by wants NAME OWNER: an owner gives a namespace away as it is; --quota and --root are for the zone's roots")
			}
			switch len(args) {
			case 0:
				return listNamespaces(cmd, &t)
			case 2:
				k, err := publicKey(args[1])
				if err != nil {
					return err
				}
				if by != "" {
					t.identity = by
					return t.giveAway(cmd, args[0], k)
				}
				err = t.act(cmd, cert.OpNamespace, &machine.GiveNamespace{Name: args[0], Owner: k, Quota: quota}, fmt.Sprintf("namespace %s belongs to %s", args[0], k))
				if errors.Is(err, cert.ErrNoRoot) {
					err = fmt.Errorf("%w, or give it away as its owner with --by", err)
				}
				return err
			}
			return usageError(cmd, "want NAME OWNER, or nothing")
		},
	}
	t.rootFlag(cmd)
	t.staleFlag(cmd)
	cmd.Flags().Uint64Var(&quota, "quota", 16<<20, "`bytes` of keys and values that it may hold")
	cmd.Flags().StringVar(&by, "by", "", "key `file` of the present owner, who gives it away")
	return cmd
}

func listNamespaces(cmd *cobra.Command, t *target) error {
	return list(t, cmd, &admin.Request{Op: admin.OpNamespaces, Rows: admin.MaxRows}, func(l *[]admin.NamespaceInfo) error {
		tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "NAME\tUSED\tQUOTA\tOWNER")
		for _, n := range *l {
			fmt.Fprintf(tw, "%s\t%d\t%d\t%s\n", n.Name, n.Used, n.Quota, n.Owner)
		}
		return tw.Flush()
	})
}

// giveAway has the identity give its namespace to another owner.
func (t *target) giveAway(cmd *cobra.Command, name string, to capsule.Key) error {
	return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
		ns, err := namespaceOf(ctx, c, z, name)
		if err != nil {
			return judged(err)
		}
		if ns.Owner != c.Identity().Key() {
			return withStatus(statusRefused, fmt.Errorf("namespace %s belongs to %s, not to %s: --by must be the owner's key, or the zone's roots decide with --root", name, ns.Owner, c.Identity().Key()))
		}
		st, err := c.Status(ctx, z)
		if err != nil {
			return err
		}
		command, err := machine.NewNamespace(c.Identity(), &machine.Transfer{
			Scope: machine.NewScope(z.ID, st.Generation), Namespace: name, Sequence: ns.Sequence + 1, To: to,
		})
		if err != nil {
			return err
		}
		rep, err := c.Command(ctx, z, command)
		if err != nil {
			return judged(err)
		}
		return t.done(cmd, rep.Index, fmt.Sprintf("namespace %s belongs to %s", name, to))
	})
}

// namespaceOf looks a namespace up that the client may see.
func namespaceOf(ctx context.Context, c *admin.Client, z *admin.Zone, name string) (*admin.NamespaceInfo, error) {
	var after []byte // the listing begins behind this: a name that is less, with none in between
	if n := len(name); n > 0 {
		after = append([]byte(name[:n-1]), name[n-1]-1, 0xff)
	}
	var l []admin.NamespaceInfo
	if err := c.AskZone(ctx, z, &admin.Request{Op: admin.OpNamespaces, After: after, Rows: 1}, &l); err != nil {
		return nil, err
	}
	if len(l) == 0 || l[0].Name != name {
		return nil, withStatus(statusRefused, fmt.Errorf("%s owns no namespace %q here; kwnode zone namespace lists those that it owns", c.Identity().Key(), name))
	}
	return &l[0], nil
}
