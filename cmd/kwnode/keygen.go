package main

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
)

func newKeygenCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "keygen FILE",
		Short: "Create an identity: one Ed25519 key for author, node or zone root",
		Long: `Draws an Ed25519 key and writes it to FILE, which must not exist yet, as PKCS #8 in PEM with
mode 0600. Prints the public key, which grants and capsules name, and the libp2p peer ID of the
same key, which multiaddrs end with. Whoever has the file is the identity: keep a copy offline.`,
		Example: `  kwnode keygen node.key
  kwnode keygen author.key --json`,
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return keygen(cmd.OutOrStdout(), rand.Reader, args[0], asJSON)
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func keygen(w io.Writer, random io.Reader, path string, asJSON bool) error {
	id, err := capsule.NewIdentity(random)
	if err != nil {
		return err
	}
	if err := id.Save(path); err != nil {
		return err
	}
	if asJSON {
		return printJSON(w, struct {
			File string      `json:"file"`
			Key  capsule.Key `json:"key"`
			Peer string      `json:"peer"`
		}{path, id.Key(), id.Key().PeerID()})
	}
	_, err = fmt.Fprintf(w, "file  %s\nkey   %s\npeer  %s\n", path, id.Key(), id.Key().PeerID())
	return err
}
