package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
)

func newDemoCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Author a capsule, check it, and watch forgeries being refused",
		Long: `Creates a zone root, a team and an author in memory, delegates rights from one to the next, seals
a capsule and judges it as a gateway does: as it is, damaged, too late, and asking for more than was
granted. Nothing is written and nothing leaves this machine.`,
		Example: "  kwnode demo",
		Args:    wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.OutOrStdout(), uint64(time.Now().UnixMilli()))
		},
	}
}

// demoIdentity is fixed by its name: a demonstration should say the same thing twice.
func demoIdentity(name string) *capsule.Identity {
	return capsule.IdentityFromSeed(capsule.Sum([]byte("kwnode demo " + name)))
}

func demo(w io.Writer, now uint64) error {
	root, team, author := demoIdentity("root"), demoIdentity("team"), demoIdentity("author")
	zone := capsule.ZoneID(capsule.Sum([]byte("kwnode demo zone")))
	const hour = 3600_000

	chain, err := root.Delegate(nil, capsule.Grant{
		Audience: team.Key(), Subject: zone, Gas: 1_000_000, NotBefore: now - hour, Expires: now + 24*hour, Depth: 1,
		Caps: []capsule.Cap{{Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete}},
	})
	if err != nil {
		return err
	}
	chain, err = team.Delegate(chain, capsule.Grant{
		Audience: author.Key(), Subject: zone, Gas: 500_000, NotBefore: now - hour, Expires: now + hour,
		Caps: []capsule.Cap{{Resource: "kv/orders/eu/*", Ability: capsule.Read | capsule.Write}},
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "The zone's root lets a team read, write and delete kv/orders/*, and the team lets an author read and\nwrite kv/orders/eu/*, with at most 500,000 units of gas a capsule.\n\n")

	m := &capsule.Manifest{
		Home: zone, Code: capsule.RawCID([]byte("\x00asm\x01\x00\x00\x00")), Entry: "run", Gas: 200_000, MeterVersion: 1,
		Expires: now + hour, Needs: []capsule.Need{{Zone: zone, Resource: "kv/orders/eu/17", Ability: capsule.Write}},
	}
	c, err := capsule.Seal(author, m, []capsule.Chain{chain})
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "The author seals a capsule that writes one order: %d bytes.\n  %s\n  by %s\n\n", len(c.Bytes()), c.ID(), author.Key())

	damaged := append([]byte(nil), c.Bytes()...)
	damaged[100] ^= 1 // in the code's CID
	judge := func(what string, b []byte, at uint64) {
		verdict := "accepted"
		if _, err := capsule.Verify(b, at, nil); err != nil {
			verdict = err.Error()
		}
		fmt.Fprintf(w, "%s\n  %s\n", what, verdict)
	}
	judge("As it is:", c.Bytes(), now)
	judge("With one bit flipped on the way:", damaged, now)
	judge("Two hours later:", c.Bytes(), now+2*hour)

	m.Needs[0].Resource = "kv/orders/us/17"
	if _, err := capsule.Seal(author, m, []capsule.Chain{chain}); err != nil {
		fmt.Fprintf(w, "The author asks for an order that was never granted:\n  %v\n", err)
	}
	_, err = team.Delegate(chain[:1], capsule.Grant{
		Audience: author.Key(), Subject: zone, Gas: 1, NotBefore: now - hour, Expires: now + hour,
		Caps: []capsule.Cap{{Resource: "kv/*", Ability: capsule.Read}},
	})
	if err != nil {
		fmt.Fprintf(w, "The team grants more than it has:\n  %v\n", err)
	}
	return nil
}
