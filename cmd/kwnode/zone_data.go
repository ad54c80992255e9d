package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/zone/machine"
)

// dataFlags are those of commands that touch rows.
type dataFlags struct {
	target
	grants string
}

func (f *dataFlags) flags(cmd *cobra.Command, reads bool) {
	f.zoneFlag(cmd)
	cmd.Flags().StringVar(&f.grants, "grants", os.Getenv(sdk.EnvGrants), "`file` with grants, for keys that others own (default $"+sdk.EnvGrants+")")
	if reads {
		f.staleFlag(cmd)
	}
}

// chain finds the grant for who asks.
func (f *dataFlags) chain(z *admin.Zone, to capsule.Key) (capsule.Chain, error) {
	if f.grants == "" {
		return capsule.Chain{}, nil
	}
	return grantIn(f.grants, to, func(g *capsule.Grant) bool { return g.Subject == z.ID })
}

// grantIn returns the first chain in a file whose last grant is to a key and fits, or an empty one.
func grantIn(file string, to capsule.Key, fits func(*capsule.Grant) bool) (capsule.Chain, error) {
	chains, err := sdk.LoadGrants(file)
	if err != nil {
		return nil, err
	}
	for _, c := range chains {
		if g, err := c.Leaf().Grant(); err == nil && g.Audience == to && fits(g) {
			return c, nil
		}
	}
	return capsule.Chain{}, nil
}

// dataLife is how long a write may be repeated until it has an outcome.
const dataLife = time.Minute

func (f *dataFlags) write(cmd *cobra.Command, w machine.Write, done string) error {
	return f.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
		st, err := c.Status(ctx, z)
		if err != nil {
			return err
		}
		var key [16]byte
		if _, err := rand.Read(key[:]); err != nil {
			return err
		}
		d := &machine.Data{
			Scope: machine.NewScope(z.ID, st.Generation), Reads: []machine.Read{}, Writes: []machine.Write{w}, Chain: capsule.Chain{},
			// The zone's time stands still while nothing happens.
			Expires: max(st.Time, uint64(time.Now().UnixMilli())) + uint64(dataLife.Milliseconds()),
		}
		// Only who isn't the owner shows a grant: the check of one that isn't needed could only fail.
		var own []admin.NamespaceInfo
		if err := c.AskZone(ctx, z, &admin.Request{Op: admin.OpNamespaces, Rows: admin.MaxRows}, &own); err != nil {
			return err
		}
		if !owns(own, w.Key, c.Identity().Key()) {
			if d.Chain, err = f.chain(z, c.Identity().Key()); err != nil {
				return err
			}
		}
		command, err := machine.NewData(c.Identity(), key, d)
		if err != nil {
			return err
		}
		rep, err := c.Command(ctx, z, command)
		if err != nil {
			return judged(err)
		}
		return f.done(cmd, rep.Index, fmt.Sprintf("%s, version %d", done, rep.N))
	})
}

func owns(list []admin.NamespaceInfo, key []byte, k capsule.Key) bool {
	for _, n := range list {
		if n.Owner == k && len(key) > len(n.Name) && string(key[:len(n.Name)+1]) == n.Name+"/" {
			return true
		}
	}
	return false
}

func newZonePutCmd() *cobra.Command {
	var f dataFlags
	var file string
	cmd := &cobra.Command{
		Use:   "put KEY [VALUE]",
		Short: "Write a value as the owner of its namespace",
		Example: `  kwnode zone put notes/first 'hello, zone'
  kwnode zone put notes/photo --file photo.jpg`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			var val []byte
			switch {
			case (len(args) == 2) == (file != ""):
				return usageError(cmd, "want a VALUE or --file")
			case file != "":
				var err error
				if val, err = readInput(cmd, file, 1<<20); err != nil {
					return err
				}
			default:
				val = []byte(args[1])
			}
			return f.write(cmd, machine.Write{Key: []byte(args[0]), Value: val}, args[0]+" is written")
		},
	}
	f.flags(cmd, false)
	cmd.Flags().StringVar(&file, "file", "", "`file` with the value, - for the standard input")
	return cmd
}

func newZoneDeleteCmd() *cobra.Command {
	var f dataFlags
	cmd := &cobra.Command{
		Use:     "delete KEY",
		Short:   "Delete a value as the owner of its namespace",
		Example: `  kwnode zone delete notes/first`,
		Args:    wantArgs("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.write(cmd, machine.Write{Key: []byte(args[0]), Value: []byte{}, Delete: true}, args[0]+" is deleted")
		},
	}
	f.flags(cmd, false)
	return cmd
}

func (f *dataFlags) read(cmd *cobra.Command, req *admin.Request, out any, print func() error) error {
	return f.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) (err error) {
		req.Stale = f.stale
		if req.Chain, err = f.chain(z, c.Identity().Key()); err != nil {
			return err
		}
		if err := c.AskZone(ctx, z, req, out); err != nil {
			return judged(err)
		}
		if f.asJSON {
			return printJSON(cmd.OutOrStdout(), out)
		}
		return print()
	})
}

func newZoneGetCmd() *cobra.Command {
	var f dataFlags
	cmd := &cobra.Command{
		Use:     "get KEY",
		Short:   "Read a value: the newest that anybody has been told of",
		Example: `  kwnode zone get notes/first --stale`,
		Args:    wantArgs("KEY"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var r admin.RowInfo
			return f.read(cmd, &admin.Request{Op: admin.OpGet, Key: []byte(args[0])}, &r, func() error {
				if r.Version == 0 {
					return fmt.Errorf("%s: there is no such key", args[0])
				}
				_, err := fmt.Fprintln(cmd.OutOrStdout(), string(r.Value))
				return err
			})
		},
	}
	f.flags(cmd, true)
	return cmd
}

func newZoneScanCmd() *cobra.Command {
	var f dataFlags
	var limit uint32
	var after string
	cmd := &cobra.Command{
		Use:     "scan PREFIX",
		Short:   "List keys and values with a prefix, in order",
		Example: `  kwnode zone scan notes/ --limit 20`,
		Args:    wantArgs("PREFIX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var rows admin.Rows
			return f.read(cmd, &admin.Request{Op: admin.OpScan, Key: []byte(args[0]), After: []byte(after), Rows: limit}, &rows, func() error {
				for _, r := range rows.Rows {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\t%s\n", printable(r.Key), printable(r.Value)); err != nil {
						return err
					}
				}
				if rows.More {
					fmt.Fprintf(cmd.ErrOrStderr(), "there are more: --after %q\n", rows.Rows[len(rows.Rows)-1].Key)
				}
				return nil
			})
		},
	}
	f.flags(cmd, true)
	cmd.Flags().Uint32Var(&limit, "limit", 100, "at most so many rows, up to 1000")
	cmd.Flags().StringVar(&after, "after", "", "begin behind this `key`")
	return cmd
}

// printable keeps what zones hold from driving the terminal.
func printable(b []byte) string {
	if utf8.Valid(b) {
		clean := true
		for _, r := range string(b) {
			clean = clean && unicode.IsPrint(r)
		}
		if clean {
			return string(b)
		}
	}
	return fmt.Sprintf("%q", b)
}
