package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/cert"
)

// recovery is the command's flags.
type recovery struct {
	dir, identity, genesis, act string
	voters, roots               []string
	asJSON                      bool
}

func newZoneRecoverCmd() *cobra.Command {
	var r recovery
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Begin a new generation of a zone whose quorum is lost for good",
		Long: `Works in the folder of a voter that is stopped. Three steps:

1. Look at each folder that is left, without --voter: it says at which entry the voter stands. Choose the
   one that is furthest. What only voters had who are gone for good is lost.
2. There, name the voters to come with --voter (at least three; this one and new keys) and sign with the
   zone's roots. The act goes into the file --act. If that is not enough roots, take the file to
   the others: the same command with --act and --root adds their signatures; --dir is not needed for it.
   As soon as enough have signed, the command in the folder changes it.
3. Start the voter, and new ones on empty folders with --vote. The zone goes on in the next generation.
   Voters that stand at the same entry can be changed with --act instead of starting anew.

Everybody who relies on the zone has to accept the new generation: certificates that were made after
the retained entry mean nothing any more. So this is never done by itself, and never while a quorum can
still come back.`,
		Example: `  kwnode zone recover --dir b --identity b.key --genesis zone.genesis
  kwnode zone recover --dir b --identity b.key --genesis zone.genesis --voter b.key --voter d.key --voter e.key \
      --root root.key --act recovery.act`,
		Args: wantArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd) },
	}
	fl := cmd.Flags()
	fl.StringVar(&r.dir, "dir", "", "`folder` of the stopped node")
	fl.StringVar(&r.identity, "identity", "", "its key `file`")
	fl.StringVar(&r.genesis, "genesis", "", "genesis `file` of the zone")
	fl.StringArrayVar(&r.voters, "voter", nil, "`key` of a voter to come (repeat it: 3 to 9)")
	fl.StringArrayVar(&r.roots, "root", nil, "key `file` of a zone root to sign with (repeat it)")
	fl.StringVar(&r.act, "act", "", "`file` with the act that the roots sign")
	addJSON(cmd, &r.asJSON)
	return cmd
}

func (r *recovery) run(cmd *cobra.Command) error {
	if r.genesis == "" || r.dir == "" && (r.act == "" || len(r.voters) > 0) || r.dir != "" && r.identity == "" {
		return usageError(cmd, "want --genesis, --dir and --identity; or --genesis, --act and --root to add a signature")
	}
	raw, id, err := readGenesis(r.genesis)
	if err != nil {
		return err
	}
	g, _, err := cert.ParseGenesis(raw)
	if err != nil {
		return err
	}
	if r.dir == "" {
		return r.sign(cmd, g, id)
	}
	key, err := capsule.LoadIdentity(r.identity)
	if err != nil {
		return err
	}
	release, err := lockDir(r.dir)
	if err != nil {
		return fmt.Errorf("%w: stop it first", err)
	}
	defer release()
	cfg := zone.Config{Identity: key, Genesis: raw, Dir: zoneDir(r.dir, id)}
	pos, err := zone.Look(cfg)
	if err != nil {
		return err
	}
	if len(r.voters) == 0 && r.act == "" {
		return r.look(cmd, pos)
	}
	if r.act == "" {
		return usageError(cmd, "want --act, the file that keeps what the roots have signed")
	}
	if len(r.voters) > 0 {
		if err := r.begin(g, pos); err != nil {
			return err
		}
	}
	return r.apply(cmd, cfg, g, pos)
}

// look says where the voter stands.
func (r *recovery) look(cmd *cobra.Command, pos *zone.Position) error {
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), pos)
	}
	tw := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	how := "neither certified here nor signed by this voter"
	switch {
	case pos.Certified:
		how = "certified"
	case pos.Signed:
		how = "signed by this voter"
	}
	fmt.Fprintf(tw, "zone\t%s\nvoter\t%s\nepoch\t%d.%d\nentry\t%d, %s\nchain\t%s\n", pos.Zone, pos.Self, pos.Generation, pos.Epoch, pos.Index, how, pos.Chain)
	if pos.Beyond > 0 {
		fmt.Fprintf(tw, "behind\tentry %d is certified and not here: recover from a voter that has it\n", pos.Beyond)
	}
	for _, k := range pos.Voters {
		fmt.Fprintf(tw, "its voters\t%s\n", k)
	}
	return tw.Flush()
}

// begin writes the act that names this position and the voters to come.
func (r *recovery) begin(g *cert.Genesis, pos *zone.Position) error {
	if _, err := os.Lstat(r.act); err == nil {
		return fmt.Errorf("%s exists already: leave --voter out to use it, or remove it", r.act)
	}
	keys, err := publicKeys(r.voters)
	if err != nil {
		return err
	}
	least := 3
	if g.Dev {
		least = 1
	}
	switch {
	case len(keys) < least:
		return withStatus(statusRefused, fmt.Errorf("%d voters to come, at least %d: with fewer the zone would be lost with the next crash", len(keys), least))
	case pos.Beyond > 0:
		return withStatus(statusRefused, fmt.Errorf("%w: entry %d is certified and this voter stands at %d: recover from a voter that has it", zone.ErrBehind, pos.Beyond, pos.Index))
	case !slices.Contains(keys, pos.Self):
		return withStatus(statusRefused, fmt.Errorf("the voters to come must include this one, %s: it has what the others are to get", pos.Self))
	}
	b, err := capsule.Marshal(&cert.Epoch{V: cert.Version, Number: pos.Epoch + 1, Voters: keys, RetainedIndex: pos.Index, RetainedChain: pos.Chain})
	if err != nil {
		return err
	}
	s, err := cert.SignAdmin(g, &cert.Admin{V: cert.Version, Zone: pos.Zone, Generation: pos.Generation, Sequence: pos.Sequence + 1, Op: cert.OpRecover, Body: b})
	if err != nil {
		return err
	}
	// Keys that are no roots must not leave an act behind.
	ids, err := loadKeys(r.roots)
	if err != nil {
		return err
	}
	if _, err := cert.SignAdmin(g, &cert.Admin{}, ids...); err != nil {
		return fmt.Errorf("%w; name the zone's root keys with --root", err)
	}
	return writeAct(r.act, s)
}

// signed adds the signatures of the roots that are here to the act, and returns it.
func (r *recovery) signed(g *cert.Genesis, id capsule.ZoneID) (*cert.SignedAdmin, *cert.Epoch, error) {
	b, err := os.ReadFile(r.act)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("%w; begin it with --voter", err)
	}
	if err != nil {
		return nil, nil, err
	}
	s, a, e := new(cert.SignedAdmin), new(cert.Admin), new(cert.Epoch)
	if err := errors.Join(capsule.Unmarshal(b, s), capsule.Unmarshal(s.Payload, a)); err != nil || a.Op != cert.OpRecover || a.Zone != id {
		return nil, nil, fmt.Errorf("%s is no recovery of zone %s (%v)", r.act, id, err)
	}
	if err := capsule.Unmarshal(a.Body, e); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", r.act, err)
	}
	if len(r.roots) == 0 {
		return s, e, nil
	}
	ids, err := loadKeys(r.roots)
	if err != nil {
		return nil, nil, err
	}
	mine, err := cert.SignAdmin(g, a, ids...)
	if err != nil {
		return nil, nil, err
	}
	if err := mine.Merge(s); err != nil {
		return nil, nil, err
	}
	return mine, e, writeAct(r.act, mine)
}

func writeAct(name string, s *cert.SignedAdmin) error {
	if s.Roots == nil {
		s.Roots = []cert.IndexSig{}
	}
	if s.Voters == nil {
		s.Voters = []cert.IndexSig{}
	}
	b, err := capsule.Marshal(s)
	if err != nil {
		return err
	}
	return atomicfile.Write(name, b, 0o644)
}

// recovered is what the command has to say at its end.
type recovered struct {
	Zone       capsule.ZoneID `json:"zone"`
	Act        string         `json:"act"`
	Signatures int            `json:"signatures"`
	Wanted     int            `json:"wanted"`
	Index      uint64         `json:"retained_index"`
	Chain      capsule.Hash   `json:"retained_chain"`
	Voters     []capsule.Key  `json:"voters"`
	Applied    bool           `json:"applied"`
}

func (r *recovery) sign(cmd *cobra.Command, g *cert.Genesis, id capsule.ZoneID) error {
	s, e, err := r.signed(g, id)
	if err != nil {
		return err
	}
	return r.report(cmd, g, id, s, e, false)
}

func (r *recovery) apply(cmd *cobra.Command, cfg zone.Config, g *cert.Genesis, pos *zone.Position) error {
	s, e, err := r.signed(g, pos.Zone)
	if err != nil {
		return err
	}
	enough := len(s.Roots) >= g.Threshold(cert.OpRecover)
	if enough {
		err := zone.Recover(cfg, s)
		if errors.Is(err, zone.ErrBehind) {
			return withStatus(statusRefused, err)
		}
		if err != nil {
			return err
		}
	}
	return r.report(cmd, g, pos.Zone, s, e, enough)
}

func (r *recovery) report(cmd *cobra.Command, g *cert.Genesis, id capsule.ZoneID, s *cert.SignedAdmin, e *cert.Epoch, applied bool) error {
	out := recovered{id, r.act, len(s.Roots), g.Threshold(cert.OpRecover), e.RetainedIndex, e.RetainedChain, e.Voters, applied}
	if r.asJSON {
		return printJSON(cmd.OutOrStdout(), &out)
	}
	var b bytes.Buffer
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "zone\t%s\nretains\tentry %d, chain %s\n", id, e.RetainedIndex, e.RetainedChain)
	for _, k := range e.Voters {
		fmt.Fprintf(tw, "voter\t%s\n", k)
	}
	fmt.Fprintf(tw, "signed by\t%d of the %d roots, %d must\n", out.Signatures, len(g.Roots), out.Wanted)
	switch {
	case applied:
		fmt.Fprintf(tw, "next\tstart this voter, and the new ones on empty folders with --vote\n")
	case out.Signatures < out.Wanted:
		fmt.Fprintf(tw, "next\ttake %s to the other roots: kwnode zone recover --genesis %s --act %s --root KEY\n", r.act, r.genesis, r.act)
	default:
		fmt.Fprintf(tw, "next\tkwnode zone recover --dir DIR --identity KEY --genesis %s --act %s, in the folder that is retained\n", r.genesis, r.act)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	_, err := b.WriteTo(cmd.OutOrStdout())
	return err
}
