package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
)

func newCapsuleInspectCmd() *cobra.Command {
	var asJSON bool
	var at uint64
	cmd := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show everything in a capsule file, and whether it is genuine and valid",
		Long: `Shows who signed the capsule, which code it runs from which state, where it may go, what it may do
there and spend, and every link of its chains of grants. Then it says whether the capsule holds, as a
gateway of its home zone would judge it: whether the root of a chain has authority over a zone is
known to that zone alone. FILE may be - for the standard input.

Exit status 3 means that the capsule was refused; what could be read is shown all the same.`,
		Example: `  kwnode capsule inspect transfer.capsule
  kwnode capsule inspect transfer.capsule --json
  kwnode capsule inspect transfer.capsule --at 1790000000000   as it was, or will be, at that time`,
		Args: wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readInput(cmd, args[0], capsule.MaxEnvelope)
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("at") {
				at = uint64(time.Now().UnixMilli())
			}
			return inspect(cmd.OutOrStdout(), b, at, asJSON)
		},
	}
	cmd.Flags().Uint64Var(&at, "at", 0, "judge at this time, Unix milliseconds (default now)")
	addJSON(cmd, &asJSON)
	return cmd
}

// inspection is what inspect knows about a capsule; its JSON is the command's output.
type inspection struct {
	ID       capsule.ID        `json:"id"`
	Size     int               `json:"size"`
	Peer     string            `json:"author_peer"`
	Manifest *capsule.Manifest `json:"manifest"`
	Chains   [][]link          `json:"chains"`
	At       uint64            `json:"judged_at"`
	Verified bool              `json:"verified"`
	Refusal  string            `json:"refusal,omitempty"`
	Code     capsule.Code      `json:"refusal_code,omitempty"`
}

// link is one grant with the hash by which it is revoked.
type link struct {
	Hash  capsule.Hash   `json:"hash"`
	Grant *capsule.Grant `json:"grant"`
}

func inspect(w io.Writer, b []byte, at uint64, asJSON bool) error {
	c, err := capsule.Decode(b)
	if err != nil {
		return err
	}
	in := inspection{ID: c.ID(), Size: len(b), Peer: c.Manifest().Author.PeerID(), Manifest: c.Manifest(), At: at, Chains: [][]link{}}
	for _, chain := range c.Chains() {
		links := []link{}
		for _, s := range chain {
			g, err := s.Grant()
			if err != nil {
				g = nil // the refusal below names it
			}
			links = append(links, link{Hash: s.Hash(), Grant: g})
		}
		in.Chains = append(in.Chains, links)
	}
	_, refusal := capsule.Verify(b, at, nil)
	in.Verified = refusal == nil
	if r, ok := errors.AsType[*capsule.Refusal](refusal); ok {
		in.Refusal, in.Code = r.Error(), r.Code
	}
	if asJSON {
		err = printJSON(w, in)
	} else {
		_, err = io.WriteString(w, in.text())
	}
	if err != nil {
		return err
	}
	return refusal
}

// text lays the inspection out for a person.
func (in *inspection) text() string {
	var s strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&s, "%-9s %s\n", name, fmt.Sprintf(format, args...))
	}
	m := in.Manifest
	row("capsule", "%s", in.ID)
	row("size", "%d bytes", in.Size)
	row("author", "%s", m.Author)
	row("", "peer %s", in.Peer)
	row("code", "%s", m.Code)
	if m.Fresh() {
		row("state", "fresh start at %q with %d bytes of input", m.Entry, len(m.Input))
	} else {
		row("state", "%s, logical hash %s", m.State, m.StateHash)
		if !m.Base.IsZero() {
			row("base", "%s", m.Base)
		}
	}
	row("home", "%s", m.Home)
	for _, stop := range m.Itinerary {
		row("zone", "%s = %s", stop.Name, stop.Zone)
	}
	for _, n := range m.Needs {
		row("need", "%s on %s in %s", n.Ability, n.Resource, zoneName(m, n.Zone))
	}
	row("limits", "%d memory pages, %d table elements, depth %d, %d bytes of state",
		m.Limits.MemoryPages, m.Limits.TableElems, m.Limits.Depth, m.Limits.StateBytes)
	row("gas", "at most %d units, at most %d credits each, at least %d units a hop, meter %d", m.Gas, m.MaxPrice, m.MinUnits, m.MeterVersion)
	row("payer", "%s", m.Payer)
	row("silence", "%s", m.Silence)
	row("valid", "%s", period(m.NotBefore, m.Expires))
	row("nonce", "%s", m.Nonce)
	for i, links := range in.Chains {
		for j, l := range links {
			fmt.Fprintf(&s, "chain %d, link %d\n%s", i, j, l.text())
		}
	}
	if in.Verified {
		row("verified", "yes, at %s", instant(in.At))
	} else {
		row("verified", "no, at %s: %s", instant(in.At), in.Refusal)
	}
	return s.String()
}

func (l link) text() string {
	g := l.Grant
	if g == nil {
		return "  unreadable\n"
	}
	var s strings.Builder
	fmt.Fprintf(&s, "  grant     %s\n  issuer    %s\n  audience  %s\n  subject   %s\n", l.Hash, g.Issuer, g.Audience, g.Subject)
	for _, c := range g.Caps {
		fmt.Fprintf(&s, "  may       %s on %s\n", c.Ability, c.Resource)
	}
	fmt.Fprintf(&s, "  gas       at most %d units a capsule\n  valid     %s\n  delegates %d times more\n", g.Gas, period(g.NotBefore, g.Expires), g.Depth)
	return s.String()
}

// zoneName returns the itinerary's name of a zone, where it has one.
func zoneName(m *capsule.Manifest, z capsule.ZoneID) string {
	for _, stop := range m.Itinerary {
		if stop.Zone == z {
			return stop.Name
		}
	}
	if z == m.Home {
		return "home"
	}
	return z.String()
}

func period(notBefore, expires uint64) string {
	if notBefore == 0 {
		return "until " + instant(expires)
	}
	return instant(notBefore) + " until " + instant(expires)
}

// instant shows zone time, which counts Unix milliseconds.
func instant(ms uint64) string {
	const readable = 253402300800000 // year 10000
	if ms >= readable {
		return fmt.Sprintf("%d ms", ms)
	}
	return time.UnixMilli(int64(ms)).UTC().Format("2006-01-02 15:04:05.000 UTC")
}
