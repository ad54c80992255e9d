package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/handover"
	"github.com/kitwork/kwnode/zone/machine"
)

func newReceiptCmd() *cobra.Command {
	cmd := &cobra.Command{Use: "receipt", Short: "Work with proofs of what capsules did"}
	asGroup(cmd)
	cmd.AddCommand(newReceiptVerifyCmd())
	return cmd
}

func newReceiptVerifyCmd() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a capsule's whole journey, without a network",
		Long: `Checks every signature in a receipt: the author's under the capsule, and for each zone on the way its voters'
under what it decided, from the admission to the end. It needs no network and no configuration.

It believes the zones that the author named in the capsule and nobody else. That those are the zones you mean is
for you to compare: their identities are shown. FILE may be - for the standard input.

Exit status 3 means that the receipt proves nothing.`,
		Example: `  kwnode receipt verify journey.receipt`,
		Args:    wantArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readInput(cmd, args[0], handover.MaxReceipt)
			if err != nil {
				return err
			}
			return verifyReceipt(cmd.OutOrStdout(), b, asJSON)
		},
	}
	addJSON(cmd, &asJSON)
	return cmd
}

// journey is what verify prints; its JSON is the command's output.
type journey struct {
	Capsule capsule.ID     `json:"capsule"`
	Author  capsule.Key    `json:"author"`
	Home    capsule.ZoneID `json:"home"`
	Hops    []hop          `json:"hops"`
	Zone    capsule.ZoneID `json:"ended_in"`
	Verdict string         `json:"verdict"`
	Time    uint64         `json:"time"`
	Spent   uint64         `json:"units"`
	Charged uint64         `json:"credits"`
	Output  []byte         `json:"output"`
}

type hop struct {
	From    capsule.ZoneID `json:"from"`
	To      capsule.ZoneID `json:"to"`
	Answer  string         `json:"answer"`
	State   uint64         `json:"state_bytes"`
	Credits uint64         `json:"credits"`
	Units   uint64         `json:"units,omitempty"`
	Price   uint64         `json:"price,omitempty"`
}

func verifyReceipt(w io.Writer, b []byte, asJSON bool) error {
	r, err := handover.ParseReceipt(b)
	if err != nil {
		return withStatus(statusRefused, err)
	}
	j, err := r.Verify()
	if err != nil {
		return withStatus(statusRefused, err)
	}
	var end machine.EndBody
	if err := capsule.Unmarshal(r.Body, &end); err != nil {
		return withStatus(statusRefused, fmt.Errorf("decode the end of the capsule: %w", err))
	}
	if capsule.Sum(r.Output) != end.Output {
		return withStatus(statusRefused, fmt.Errorf("the result is not the one that was certified"))
	}
	m := j.Capsule.Manifest()
	out := journey{
		Capsule: j.Capsule.ID(), Author: m.Author, Home: m.Home, Hops: []hop{}, Zone: j.End.Zone, Verdict: j.Verdict.String(),
		Time: j.Time, Spent: end.Spent, Charged: end.Charged, Output: r.Output,
	}
	for i := range r.Lineage.Steps {
		s := &r.Lineage.Steps[i]
		out.Hops = append(out.Hops, hop{
			From: s.Offer.Source, To: s.Offer.Target, Answer: s.Answer.Verdict.String(), State: s.Offer.StateSize,
			Credits: s.Offer.Credits, Units: s.Answer.Units, Price: s.Answer.Price,
		})
	}
	if asJSON {
		return printJSON(w, out)
	}
	return printJourney(w, &out, m)
}

func printJourney(w io.Writer, j *journey, m *capsule.Manifest) error {
	name := func(z capsule.ZoneID) string {
		for _, s := range m.Itinerary {
			if s.Zone == z {
				return s.Name + " (" + z.String() + ")"
			}
		}
		return z.String()
	}
	p := &printer{w: w}
	p.line("capsule   %s", j.Capsule)
	p.line("author    %s", j.Author)
	p.line("admitted  %s", name(j.Home))
	for i, h := range j.Hops {
		p.line("hop %-5d %s -> %s: %s; %d bytes of state, %d credits", i, name(h.From), name(h.To), h.Answer, h.State, h.Credits)
	}
	p.line("ended     %s: %s at %s", name(j.Zone), j.Verdict, time.UnixMilli(int64(min(j.Time, 1<<53))).UTC().Format(time.RFC3339))
	p.line("cost      %d units, %d credits", j.Spent, j.Charged)
	p.line("output    %d bytes, %q", len(j.Output), clipText(j.Output))
	p.line("every signature holds")
	return p.err
}

// printer remembers the first error of writing.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func clipText(b []byte) []byte { return b[:min(len(b), 200)] }
