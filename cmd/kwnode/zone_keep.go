package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/cert"
)

func newZoneBackupCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy all that a zone knows into a file, from a running voter",
		Long: `Writes FILE, which must not exist yet: the state at one entry of the log, with the certificate by
which the voters vouch for it. So the file is worth what the voters' signatures are, whoever keeps it.
It holds everybody's data and is for a root of the zone, or an operator of the voter at --node.

Keys are not part of it, and must not be: see kwnode zone restore.`,
		Example: `  kwnode zone backup home.backup --node /ip4/127.0.0.1/tcp/7401/p2p/12D3KooW... --identity root.key`,
		Args:    wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				info, err := backup(ctx, cmd, c, z, args[0])
				if err != nil {
					return judged(err)
				}
				return printBackup(cmd, t.asJSON, args[0], info)
			})
		},
	}
	t.zoneFlag(cmd)
	cmd.Flags().Lookup("timeout").DefValue = "1h0m0s"
	t.timeout = time.Hour
	return cmd
}

// backup fetches into a file beside, verifies that and gives it its name.
func backup(ctx context.Context, cmd *cobra.Command, c *admin.Client, z *admin.Zone, name string) (*zone.BackupInfo, error) {
	if _, err := os.Lstat(name); err == nil {
		return nil, fmt.Errorf("%s exists already; remove it, or choose another name", name)
	}
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := c.Backup(ctx, z, &progress{w: f, tell: cmd.ErrOrStderr(), what: "received", next: time.Now().Add(progressEvery)}); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	info, err := zone.CheckBackup(f)
	if err != nil {
		return nil, fmt.Errorf("what the voter has sent is no good backup: %w; take one from another voter", err)
	}
	if info.Zone != z.ID {
		return nil, fmt.Errorf("the voter has sent a backup of zone %s instead of %s; take one from another voter", info.Zone, z.ID)
	}
	return info, atomicfile.Rename(f.Name(), name)
}

const progressEvery = 2 * time.Second

// progress says now and then how much has gone through it.
type progress struct {
	w    io.Writer
	tell io.Writer
	what string
	n    int64
	next time.Time
}

func (p *progress) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	if p.n += int64(n); time.Now().After(p.next) {
		p.next = time.Now().Add(progressEvery)
		fmt.Fprintf(p.tell, "kwnode: %s %d MB\n", p.what, p.n>>20)
	}
	return n, err
}

func printBackup(cmd *cobra.Command, asJSON bool, file string, info *zone.BackupInfo) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			File string `json:"file"`
			*zone.BackupInfo
		}{file, info})
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "file\t%s\nzone\t%s\nentry\t%d, certified in epoch %d.%d\nrows\t%d\n", file, info.Zone, info.Index, info.Generation, info.Epoch, info.Rows)
	return tw.Flush()
}

func newZoneRestoreCmd() *cobra.Command {
	var dir, identity, genesis string
	var check, asJSON bool
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make a voter's folder out of a backup, under a new key",
		Long: `Verifies the backup FILE against the zone's genesis and makes DIR, the folder of a node whose key is
KEY, from it. Needs no network. What happens next depends on the zone:

  it lives              kwnode start with this folder, key and genesis and --vote; then kwnode zone add.
                        It fetches only what came after the backup.
  its quorum is lost    kwnode zone recover in this folder, with the voters to come.

A voter restored from a backup has forgotten what it signed since, and could contradict it. So a key
that has ever voted in the zone is refused: it must never sign again. Make a new one with kwnode keygen,
and vote the old one out.`,
		Example: `  kwnode keygen new.key
  kwnode zone restore home.backup --dir new --identity new.key --genesis zone.genesis`,
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if genesis == "" || !check && (dir == "" || identity == "") {
				return usageError(cmd, "want --genesis, --dir and --identity; or --check and --genesis")
			}
			info, err := restore(args[0], dir, identity, genesis, check)
			if errors.Is(err, zone.ErrVoterKey) {
				return withStatus(statusRefused, err)
			}
			if err != nil {
				return err
			}
			return printBackup(cmd, asJSON, args[0], info)
		},
	}
	fl := cmd.Flags()
	fl.StringVar(&dir, "dir", "", "`folder` of the node to come")
	fl.StringVar(&identity, "identity", "", "key `file` of the node to come, which never voted here")
	fl.StringVar(&genesis, "genesis", "", "genesis `file` of the zone")
	fl.BoolVar(&check, "check", false, "only verify the backup")
	addJSON(cmd, &asJSON)
	return cmd
}

func restore(file, dir, identity, genesis string, check bool) (*zone.BackupInfo, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	raw, id, err := readGenesis(genesis)
	if err != nil {
		return nil, err
	}
	if check {
		info, err := zone.CheckBackup(f)
		if err == nil && info.Zone != id {
			err = fmt.Errorf("the backup is of zone %s, not of the zone %s of this genesis", info.Zone, id)
		}
		return info, err
	}
	key, err := capsule.LoadIdentity(identity)
	if err != nil {
		return nil, err
	}
	release, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	defer release()
	if err := os.MkdirAll(filepath.Join(dir, "zones"), 0o700); err != nil {
		return nil, err
	}
	return zone.Restore(zone.Config{Identity: key, Genesis: raw, Dir: zoneDir(dir, id)}, f)
}

// zoneDir is where a node keeps a zone.
func zoneDir(dir string, id capsule.ZoneID) string { return filepath.Join(dir, "zones", id.String()) }

func readGenesis(file string) ([]byte, capsule.ZoneID, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, capsule.ZoneID{}, err
	}
	_, id, err := cert.ParseGenesis(b)
	if err != nil {
		return nil, id, fmt.Errorf("%s: %w", file, err)
	}
	return b, id, nil
}
