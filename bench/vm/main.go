// Command vm measures what the virtual machine promises, beside the rivals where they have it too: each row is one
// figure with its target. Times are CPU time of the executing thread, the fastest of some interleaved rounds.
//
//	go run ./vm                    every row
//	go run ./vm -row 'first|idle'  some of them
//	go run ./vm -row opcodes       nanoseconds per unit of gas, opcode by opcode
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
)

// options are the command line.
type options struct {
	rounds int
	scale  float64
	out    io.Writer
}

// row measures one thing and prints it.
type row struct {
	name string
	what string
	run  func(ctx context.Context, o *options) error
}

var rows []row

func init() { // gasRow runs this command again
	rows = []row{
		{"kernels", "C, Rust and Go kernels, the interpreters against each other", kernelRow},
		{"times", "nanoseconds of the interpreter, for the row gas", timesRow},
		{"gas", "what gas and poll cost the interpreter, by a build without them", gasRow},
		{"first", "first result of a standard Go program: decode, validate, instantiate, run", firstRow},
		{"base", "a store from an after-initialisation base of 3 MB", baseRow},
		{"state", "checkpoint and restore, freeze and thaw of 1 MB", stateRow},
		{"small", "continuation of a small Go guest, whole and against its base", smallRow},
		{"idle", "10,000 idle instances of a 1 KB module", idleRow},
		{"pause", "worst stop-the-world with 8 endless loops", pauseRow},
		{"opcodes", "nanoseconds per unit of gas, opcode by opcode", opcodeRow},
	}
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	o := &options{out: out}
	flags := flag.NewFlagSet("vm", flag.ContinueOnError)
	which := flags.String("row", ".", "regular expression of the rows to measure")
	flags.IntVar(&o.rounds, "rounds", 3, "interleaved rounds; the fastest counts")
	flags.Float64Var(&o.scale, "scale", 1, "multiplies the kernels' sizes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	re, err := regexp.Compile(*which)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // for cpuTime
	for _, r := range rows {
		if !re.MatchString(r.name) || r.name == "times" && *which != "^times$" {
			continue
		}
		fmt.Fprintf(out, "\n%s: %s\n", r.name, r.what)
		if err := r.run(context.Background(), o); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}
