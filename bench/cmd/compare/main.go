// Command compare measures the compiled tier beside its rivals and native code: each row is one figure, or a table of
// them, with its target. Times are CPU time of the executing thread, the fastest of some interleaved rounds.
//
//	go run ./cmd/compare                                  every row
//	go run ./cmd/compare -row speed                       kernels in C, programs in Rust and Go, engine by engine
//	go run ./cmd/compare -row speed -programs 'fib|sort'  some of them
//	go run ./cmd/compare -row speed -engines 'interp|native' -base wazero-interp
//	go run ./cmd/compare -row speed -json                 for a program to read
//	go run ./cmd/compare -row gas                         what charging and polling cost
//	go run ./cmd/compare -row compile                     bytes of WebAssembly compiled in a second
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "compare:", err)
		}
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	programs, engines *regexp.Regexp
	base              string
	rounds            int
	scale             float64
	asJSON            bool
	out, progress     io.Writer
}

func run(args []string, out, progress io.Writer) error {
	o := &options{out: out, progress: progress}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	which := flags.String("row", ".", "regular expression of the rows: speed, gas, compile")
	only := flags.String("programs", ".", "regular expression of the programs to run, as language/name")
	engines := flags.String("engines", "jit|wasmtime|native", "regular expression of the engines to run")
	flags.StringVar(&o.base, "base", "wazero-jit", "the engine that ratios are taken against")
	flags.IntVar(&o.rounds, "rounds", 3, "interleaved rounds; the fastest counts")
	flags.Float64Var(&o.scale, "scale", 1, "multiplies every program's size")
	flags.BoolVar(&o.asJSON, "json", false, "print the row speed as one JSON object")
	if err := flags.Parse(args); err != nil {
		return err
	}
	rows, err := regexp.Compile(*which)
	if err != nil {
		return err
	}
	if o.programs, err = regexp.Compile(*only); err != nil {
		return err
	}
	if o.engines, err = regexp.Compile(*engines); err != nil {
		return err
	}
	runtime.LockOSThread() // for cpuTime
	ran := false
	for _, r := range []struct {
		name string
		run  func(context.Context, *options) error
	}{{"speed", speedRow}, {"gas", gasRow}, {"compile", compileRow}} {
		if !rows.MatchString(r.name) {
			continue
		}
		ran = true
		if err := r.run(context.Background(), o); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	if !ran {
		return fmt.Errorf("no row matches %q; there are speed, gas and compile", *which)
	}
	return nil
}

func encode(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
