package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/vm/wasm"
	"github.com/kitwork/kwnode/zone/cert"
)

func newZoneInitCmd() *cobra.Command {
	var voters, roots []string
	var dev, asJSON bool
	var threshold uint8
	cmd := &cobra.Command{
		Use:   "init FILE",
		Short: "Found a zone: write its genesis and print its ID",
		Long: `Writes the genesis of a zone to FILE, which must not exist yet. Needs no network. The genesis
names the first voters (the keys of nodes) and the root keys, which decide everything that a zone's
log does not decide by itself. Its hash is the zone's ID: nothing in it can ever change.

Every voter starts with this same file. Voters and roots are public keys, "ed25519:...", or key
files. Keep the root keys away from the voters.`,
		Example: `  kwnode zone init zone.genesis --root root.key --voter a.key --voter b.key --voter c.key`,
		Args:    wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			g := &cert.Genesis{
				V: cert.Version, Dev: dev, MeterVersion: wasm.MeterVersion,
				Thresholds: cert.Thresholds{Policy: threshold, Mint: threshold, Membership: threshold, Recover: threshold},
			}
			var err error
			if g.Roots, err = publicKeys(roots); err != nil {
				return err
			}
			if g.Voters, err = publicKeys(voters); err != nil {
				return err
			}
			if _, err := rand.Read(g.Nonce[:]); err != nil {
				return err
			}
			b, err := g.Bytes()
			if err != nil {
				return err
			}
			if err := writeNew(args[0], b, 0o644); err != nil {
				return err
			}
			id := capsule.ZoneID(capsule.Sum(b))
			if asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					File   string         `json:"file"`
					Zone   capsule.ZoneID `json:"zone"`
					Voters []capsule.Key  `json:"voters"`
					Roots  []capsule.Key  `json:"roots"`
				}{args[0], id, g.Voters, g.Roots})
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "file  %s\nzone  %s\n", args[0], id)
			return err
		},
	}
	cmd.Flags().StringArrayVar(&voters, "voter", nil, "`key` of a founding voter (repeat it: 3 to 9)")
	cmd.Flags().StringArrayVar(&roots, "root", nil, "root `key` (repeat it)")
	cmd.Flags().Uint8Var(&threshold, "threshold", 1, "how many roots must sign an act")
	cmd.Flags().BoolVar(&dev, "dev", false, "allow fewer than three voters, who survive no fault")
	addJSON(cmd, &asJSON)
	return cmd
}

// publicKeys reads keys or key files, sorted and each once, as a genesis wants them.
func publicKeys(names []string) ([]capsule.Key, error) {
	var keys []capsule.Key
	for _, s := range names {
		k, err := publicKey(s)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	sortKeys(keys)
	return slices.Compact(keys), nil
}

// publicKey reads a key, or a file that holds an identity.
func publicKey(s string) (capsule.Key, error) {
	if strings.HasPrefix(s, "ed25519:") {
		return capsule.ParseKey(s)
	}
	id, err := capsule.LoadIdentity(s)
	if errors.Is(err, fs.ErrNotExist) {
		return capsule.Key{}, fmt.Errorf("%q is no public key (ed25519:...) and no key file", s)
	}
	if err != nil {
		return capsule.Key{}, err
	}
	return id.Key(), nil
}

func writeNew(name string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func newZoneTrustCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "trust NAME ZONE",
		Short: "Give a zone a name in your book of trusted zones",
		Long: `Enters a zone into the book that capsules' authors and these commands look names up in. The
zone is its ID, or its genesis file. The book is the folder $KITWORK_ZONES, else kitwork in your
configuration folder. A zone is believed because it stands here, never because a node says so.`,
		Example: `  kwnode zone trust home zone.genesis`,
		Args:    wantArgs("NAME", "ZONE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := zoneOf(args[1])
			if err != nil {
				return err
			}
			book, err := openBook()
			if err != nil {
				return err
			}
			if err := book.Trust(args[0], id); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s is %s\n", args[0], id)
			return err
		},
	}
}

// zoneOf reads a zone's ID, or the genesis file that has it.
func zoneOf(s string) (capsule.ZoneID, error) {
	if id, err := capsule.ParseZoneID(s); err == nil {
		return id, nil
	}
	b, err := os.ReadFile(s)
	if errors.Is(err, fs.ErrNotExist) {
		return capsule.ZoneID{}, fmt.Errorf("%q is no zone's ID and no genesis file", s)
	}
	if err != nil {
		return capsule.ZoneID{}, err
	}
	_, id, err := cert.ParseGenesis(b)
	return id, err
}

func newZoneGrantCmd() *cobra.Command {
	var to, by, subject, out string
	var caps []string
	var gas uint64
	var depth uint8
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "grant",
		Short: "Let a key do something in a zone: write a signed grant",
		Long: `Signs a grant and writes it to a file. Needs no network: a grant travels with what uses it.
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
