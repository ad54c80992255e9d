package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
)

func newZoneGrantCmd() *cobra.Command {
	var to, by, subject, out string
	var caps []string
	var gas uint64
	var depth uint8
	var asJSON bool
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Let a key do something in a zone: write a signed grant",
		Long: `Signs a grant and writes it to a file. Needs no network: a grant travels with what uses it. Keep the
file: kwnode zone revoke withdraws the grant with it.
A capability is RESOURCE=ABILITIES, abilities joined by "|". Resources are kv/NAMESPACE/KEY with an
optional last "/*", event/TOPIC, and worker. A root of the zone can grant all of them, the owner of
a namespace what is below it, and an operator of a node in the zone inspect: to see the node.`,
		Example: `  kwnode zone grant --by root.key --zone zone.genesis --to worker.key --cap worker=write --out worker.grants
  kwnode zone grant --by root.key --zone home --to me.key --cap 'kv/*=read|write|delete' --cap 'event/*=emit' --out me.grants`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to == "" || by == "" || subject == "" || out == "" || len(caps) == 0 {
				return usageError(cmd, "want --by, --zone, --to, --cap and --out")
			}
			id, err := capsule.LoadIdentity(by)
			if err != nil {
				return err
			}
			now := time.Now()
			g := capsule.Grant{Gas: gas, Depth: depth, NotBefore: 1, Expires: uint64(now.Add(life).UnixMilli())}
			if g.Audience, err = publicKey(to); err != nil {
				return err
			}
			if g.Subject, err = zoneOf(subject); err != nil {
				book, berr := openBook()
				if berr != nil {
					return berr
				}
				if g.Subject, berr = book.Zone(subject); berr != nil {
					return err
				}
			}
			if g.Caps, err = parseCaps(caps); err != nil {
				return withStatus(statusUsage, err)
			}
			chain, err := id.Delegate(nil, g)
			if err != nil {
				return err
			}
			if err := sdk.SaveGrants(out, []capsule.Chain{chain}); err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					File     string         `json:"file"`
					Grant    capsule.Hash   `json:"grant"`
					Zone     capsule.ZoneID `json:"zone"`
					Audience capsule.Key    `json:"audience"`
					Expires  uint64         `json:"expires"` // zone ms
				}{out, chain.Hash(), g.Subject, g.Audience, g.Expires})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "file   %s\ngrant  %s\nto     %s\nuntil  %s\n", out, chain.Hash(), g.Audience, now.Add(life).UTC().Format(time.DateTime))
			return err
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&by, "by", "", "key `file` of who grants")
	fl.StringVar(&subject, "zone", "", "`name, ID or genesis file` of the zone")
	fl.StringVar(&to, "to", "", "`key` or key file of who is granted")
	fl.StringArrayVar(&caps, "cap", nil, "`resource=abilities` (repeat it)")
	fl.StringVar(&out, "out", "", "`file` to write")
	fl.Uint64Var(&gas, "gas", 1<<50, "most that one capsule may spend under it, units")
	fl.Uint8Var(&depth, "depth", 0, "how often it may be passed on")
	fl.DurationVar(&life, "for", 365*24*time.Hour, "how long it is valid")
	addJSON(cmd, &asJSON)
	return cmd
}

func parseCaps(list []string) ([]capsule.Cap, error) {
	var out []capsule.Cap
	for _, s := range list {
		resource, abilities, ok := strings.Cut(s, "=")
		if !ok {
			return nil, fmt.Errorf("capability %q: want RESOURCE=ABILITIES, such as kv/notes/*=read|write", s)
		}
		a, err := capsule.ParseAbility(abilities)
		if err != nil {
			return nil, fmt.Errorf("capability %q: %w", s, err)
		}
		out = append(out, capsule.Cap{Resource: resource, Ability: a})
	}
	slices.SortFunc(out, func(a, b capsule.Cap) int { return strings.Compare(a.Resource, b.Resource) })
	return out, nil
}
