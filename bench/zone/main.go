// Command zone measures what a zone promises: certified admissions beside the work that nothing can avoid, and beside raw
// hashicorp/raft with raft-boltdb over the same streams, taken in turns in one process; what an idle zone costs; and how
// long a dead leader is missed. Three voters run in this process, over loopback, with fsync.
//
//	go run ./zone                      every row
//	go run ./zone -row 'through|one'   some of them
//
// With CGO_ENABLED=0 the program has no C library, which is some megabytes of memory and a little time.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"text/tabwriter"
	"time"
)

// options are the command line.
type options struct {
	rounds     int
	admissions int // a round
	proposers  int
	samples    int           // of latency
	kills      int           // of leaders
	idle       time.Duration // watched
	dir        string
	profile    string
	procs      int
}

// row measures one thing: it returns lines of what, target and measured.
type row struct {
	name string
	run  func(ctx context.Context, o *options) ([]line, error)
}

type line struct{ what, target, measured string }

var rows = []row{{"throughput", throughputRow}, {"one", latencyRow}, {"idle", idleRow}, {"failover", failoverRow}}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "zone:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	o := &options{}
	flags := flag.NewFlagSet("zone", flag.ContinueOnError)
	which := flags.String("row", ".", "regular expression of the rows to measure")
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved rounds of the throughput")
	flags.IntVar(&o.admissions, "n", 4000, "admissions, and raw entries, in a round")
	flags.IntVar(&o.proposers, "proposers", 256, "clients that each wait for a certificate")
	flags.IntVar(&o.samples, "samples", 300, "of the latency of one proposer")
	flags.IntVar(&o.kills, "kills", 11, "leaders that are killed")
	flags.DurationVar(&o.idle, "idle", 20*time.Second, "how long the idle zone is watched")
	flags.StringVar(&o.dir, "dir", "", "folder for the logs (default: a temporary one)")
	flags.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of the rows to this file")
	traced := flags.String("trace", "", "write an execution trace of the same stretch to this file")
	flags.IntVar(&o.procs, "procs", 0, "goroutines that may run at once, of which those that wait for a disk count for a while (0: GOMAXPROCS of the environment, else one more than cores, as \"kwnode start\" has for a voter); targets keep the cores")
	child := flags.Bool("child-idle", false, "be the process that is watched")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "zone-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	if o.procs == 0 && os.Getenv("GOMAXPROCS") == "" {
		o.procs = runtime.GOMAXPROCS(0) + 1
	}
	if o.procs > 0 {
		runtime.GOMAXPROCS(o.procs)
	}
	if *child {
		return idleChild(o, out)
	}
	re, err := regexp.Compile(*which)
	if err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		profiled = f
		defer stopProfile()
	}
	if *traced != "" {
		f, err := os.Create(*traced)
		if err != nil {
			return err
		}
		defer f.Close()
		tracing = f
		defer stopProfile()
	}
	var all []line
	for _, r := range rows {
		if !re.MatchString(r.name) {
			continue
		}
		lines, err := r.run(context.Background(), o)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		all = append(all, lines...)
	}
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "what\ttarget\tmeasured")
	for _, l := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\n", l.what, l.target, l.measured)
	}
	return tw.Flush()
}

// profiled is where the CPU profile goes, and tracing the execution trace, if one was asked for. They begin when everything
// is set up; of the throughput they hold the first round of the zone's part.
var profiled, tracing io.Writer

func stopProfile() {
	pprof.StopCPUProfile()
	trace.Stop()
}

func startProfile() {
	if profiled != nil {
		_ = pprof.StartCPUProfile(profiled)
		profiled = nil
	}
	if tracing != nil {
		_ = trace.Start(tracing)
		tracing = nil
	}
}

// cores is what the targets count: the processors at the start, however many goroutines -procs lets run at once.
var cores = float64(runtime.GOMAXPROCS(0))
