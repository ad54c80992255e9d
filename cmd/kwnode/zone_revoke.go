package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/zone/machine"
)

func newZoneRevokeCmd() *cobra.Command {
	var t target
	var by string
	cmd := &cobra.Command{
		Use:   "revoke FILE [GRANT]",
		Short: "Withdraw a grant before it expires",
		Long: `FILE holds the grant: it is what kwnode zone grant has written, or a capsule that was submitted with
the grant; - is the standard input. GRANT is the grant's hash, or its beginning, as kwnode zone grant and
kwnode capsule inspect print it; a FILE with one grant needs none.

Whoever issued a grant can withdraw it, and so can who issued one that it rests on: --by is their key.
It ends what was granted, and whatever was passed on from it: reads and writes are refused, a worker loses
its leases, capsules that need it are admitted no more, and one that runs ends without effect. It cannot
be undone; sign a new grant instead. A grant of inspect ends on nodes that vote in the zone.`,
		Example: `  kwnode zone revoke worker.grants --by root.key
  kwnode zone revoke transfer.capsule 5d0c1f --by owner.key --json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if by != "" {
				t.identity = by
			}
			if t.identity == "" {
				return usageError(cmd, "who withdraws it? --by KEYFILE of its issuer")
			}
			all, err := grantsShown(cmd, args[0])
			if err != nil {
				return err
			}
			g, err := choose(all, args[0], strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			return t.revoke(cmd, g)
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&by, "by", "", "key `file` of who issued it, or a grant that it rests on (default: the identity)")
	return cmd
}

// shownGrant is a grant with all that it rests on.
type shownGrant struct {
	chain capsule.Chain // up to it
	hash  capsule.Hash
	capsule.Grant
}

func (g *shownGrant) String() string {
	caps := make([]string, len(g.Caps))
	for i, c := range g.Caps {
		caps[i] = fmt.Sprintf("%s=%s", c.Resource, c.Ability)
	}
	return fmt.Sprintf("%s  %s to %s by %s", g.hash, strings.Join(caps, " "), g.Audience, g.Issuer)
}

// grantsShown lists each grant in a file of grants or a capsule once.
func grantsShown(cmd *cobra.Command, file string) ([]shownGrant, error) {
	b, err := readInput(cmd, file, capsule.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	var chains []capsule.Chain
	if capsule.Unmarshal(b, &chains) != nil {
		c, err := capsule.Decode(b)
		if err != nil {
			return nil, fmt.Errorf("%s holds no grants: it is neither what kwnode zone grant writes nor a capsule", file)
		}
		chains = c.Chains()
	}
	var all []shownGrant
	for _, chain := range chains {
		for i, link := range chain {
			g, err := link.Grant()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			h := link.Hash()
			if !slices.ContainsFunc(all, func(s shownGrant) bool { return s.hash == h }) {
				all = append(all, shownGrant{chain[:i+1], h, *g})
			}
		}
	}
	return all, nil
}

// choose finds the one grant whose hash begins so.
func choose(all []shownGrant, file, hash string) (*shownGrant, error) {
	fit := slices.DeleteFunc(slices.Clone(all), func(g shownGrant) bool { return !strings.HasPrefix(g.hash.String(), hash) })
	if len(fit) == 1 {
		return &fit[0], nil
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%s holds no grant; what needs none cannot lose one", file)
	}
	if len(fit) == 0 {
		return nil, fmt.Errorf("%s holds no grant %s; there are:%s", file, hash, lines(all))
	}
	return nil, fmt.Errorf("%s holds %d grants that it could be; add the hash of one:%s", file, len(fit), lines(fit))
}

func lines(all []shownGrant) string {
	var b strings.Builder
	for i := range all {
		fmt.Fprintf(&b, "\n  %s", &all[i])
	}
	return b.String()
}

func (t *target) revoke(cmd *cobra.Command, g *shownGrant) error {
	id, err := t.load()
	if err != nil {
		return err
	}
	var issuers []string
	for _, link := range g.chain {
		l, err := link.Grant()
		if err != nil {
			return err
		}
		issuers = append(issuers, l.Issuer.String())
	}
	if !slices.Contains(issuers, id.Key().String()) {
		return withStatus(statusRefused, fmt.Errorf("%s has not issued this grant; --by must be the key of %s", id.Key(), strings.Join(issuers, " or ")))
	}
	t.zone = g.Subject.String()
	return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
		st, err := c.Status(ctx, z)
		if err != nil {
			return err
		}
		command, err := machine.NewRevoke(id, &machine.RevokeGrant{Scope: machine.NewScope(z.ID, st.Generation), Chain: g.chain})
		if err != nil {
			return err
		}
		rep, err := c.Command(ctx, z, command)
		if err != nil {
			return judged(err)
		}
		if t.asJSON {
			return printJSON(cmd.OutOrStdout(), struct {
				Index    uint64         `json:"index"`
				Zone     capsule.ZoneID `json:"zone"`
				Grant    capsule.Hash   `json:"grant"`
				Audience capsule.Key    `json:"audience"`
				Repeated bool           `json:"repeated"` // it was revoked already
			}{rep.Index, z.ID, g.hash, g.Audience, rep.Repeated})
		}
		done := "is revoked"
		if rep.Repeated {
			done = "was revoked already"
		}
		return t.done(cmd, rep.Index, fmt.Sprintf("the grant %s to %s %s", g.hash, g.Audience, done))
	})
}
