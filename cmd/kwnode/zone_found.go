package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
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
			if err := atomicfile.Create(args[0], b, 0o644); err != nil {
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
