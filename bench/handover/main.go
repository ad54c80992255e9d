// Command handover measures what a running capsule pays for changing its zone, and how many do it in a second: two zones of
// three nodes, each a voter and a worker, as processes on loopback, with fsync. Pauses are single ones, from a segment's
// last instruction here to the next one's first there, by the times in the logs of the two nodes.
//
//	go run ./handover                        every row, some three minutes
//	go run ./handover -row 'pause|trips'     some of them
//	go run ./handover -json                  the same as one JSON object
//	go run ./handover -kwnode FILE           of a kwnode that was built before, to compare two
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"text/tabwriter"
	"time"
)

// row is one line of the table, with its figures under names.
type row struct {
	Name     string             `json:"row"`
	What     string             `json:"what"`
	Target   string             `json:"target"`
	Measured string             `json:"measured"`
	Met      bool               `json:"met"` // or there is no target
	Figures  map[string]float64 `json:"figures"`
	Pauses   []float64          `json:"pauses_ms,omitempty"` // every one
}

type options struct {
	rows     *regexp.Regexp
	asJSON   bool
	journeys int
	load     time.Duration
	capsules int
	hold     bool
	binary   string // of kwnode, built already
}

// Hops of a journey: more than a capsule usually makes, and each adds to the proof that travels with it.
const hops = 10

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "handover:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	var o options
	fl := flag.NewFlagSet("handover", flag.ContinueOnError)
	names := fl.String("row", "pause|trips|rate|wire", "regular `expression` of the rows to measure")
	fl.BoolVar(&o.asJSON, "json", false, "print one JSON object with every figure, every single pause too")
	fl.IntVar(&o.journeys, "journeys", 20, fmt.Sprintf("of %d hops, for each kind of pause", hops))
	fl.DurationVar(&o.load, "load", 15*time.Second, "how long the sustained load lasts")
	fl.IntVar(&o.capsules, "capsules", 32, "that are on their way at a time under load")
	fl.BoolVar(&o.hold, "pids", false, "print the nodes' process IDs under load, for a profiler")
	fl.StringVar(&o.binary, "kwnode", "", "the `file` of a kwnode to measure, to compare two; the one of this checkout is built otherwise")
	if err := fl.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if fl.NArg() > 0 || o.journeys < 1 || o.capsules < 1 || o.load < time.Second {
		return errors.New("want no arguments, at least one journey and one capsule, and a load of a second; see -help")
	}
	var err error
	if o.rows, err = regexp.Compile(*names); err != nil {
		return fmt.Errorf("-row: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rows, err := measure(ctx, &o)
	if o.asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return errors.Join(err, enc.Encode(map[string]any{"rows": rows}))
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\ttarget\tmeasured")
	for _, r := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", r.What, r.Target, r.Measured)
	}
	return errors.Join(err, tw.Flush())
}

func measure(ctx context.Context, o *options) (rows []row, err error) {
	var n *net
	if o.rows.MatchString("pause") || o.rows.MatchString("trips") || o.rows.MatchString("rate") {
		if n, err = up(ctx, o); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, n.close()) }()
	}
	for _, part := range []struct {
		name string
		run  func(ctx context.Context, o *options, n *net) ([]row, error)
	}{{"pause", pauseRows}, {"trips", tripRows}, {"rate", rateRows}, {"wire", wireRows}} {
		if !o.rows.MatchString(part.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s …\n", part.name)
		more, err := part.run(ctx, o, n)
		rows = append(rows, more...)
		if err != nil {
			return rows, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return rows, nil
}
