package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/vm/wasm"
)

// Exit statuses of exec. A wrong command line is 1 here, since 2 and above speak of the program.
const (
	execOK       = 0
	execRefused  = 1 // invalid, link, usage
	execTrap     = 2
	execOutOfGas = 3
	execExit     = 4 // the program exited with another status than 0
)

// execOptions is what the command line of exec says.
type execOptions struct {
	invoke      []string
	gas         uint64
	tier        string
	freezeEvery uint64
	memoryMax   uint32
	seed        uint64
	time        string
	asJSON      bool
	stats       bool
}

func newExecCmd() *cobra.Command {
	var o execOptions
	cmd := &cobra.Command{
		Use:   "exec MODULE.wasm [-- ARGS]",
		Short: "Run a WebAssembly program here, metered and deterministic",
		Long: `Runs a module under WASI and kitwork:host with an empty store, no files and virtual time. _initialize
runs first if it is exported, then the functions of --invoke in their order, or _start without any. The
same module, arguments, seed and time give the same results, gas and state hash everywhere.

Arguments are typed by the function: integers decimal or 0x, floats decimal, inf, nan or nan:0x…, v128 as 32
hex digits with lane 0 first, references null or a number. docs/EXEC.md describes --json and the traps.

Exit status: 0 done, 1 invalid module, missing import or wrong command line, 2 trap, 3 out of gas, 4 the
program exited with another status than 0.`,
		Example: `  kwnode exec fib.wasm --invoke 'fib(20)'
  kwnode exec tool.wasm --gas 5000000 -- input output
  kwnode exec tool.wasm --stats -- input
  kwnode exec tool.wasm --freeze-every 100000 --json`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); len(args) == 0 || n == 0 || n < 0 && len(args) != 1 || n > 1 {
				return withStatus(execRefused, errors.New("want one module; arguments of the program stand behind --; see kwnode exec --help"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return execModule(cmd, &o, args[0], args[1:]) },
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return withStatus(execRefused, fmt.Errorf("%w; see kwnode exec --help", err))
	})
	f := cmd.Flags()
	f.StringArrayVar(&o.invoke, "invoke", nil, "call an exported function, as name(1,2); may be repeated")
	f.Uint64Var(&o.gas, "gas", 1_000_000_000, "units for the whole run, instantiation included")
	f.StringVar(&o.tier, "tier", "auto", "auto, interp or jit: which engine runs it; results don't depend on it")
	f.Uint64Var(&o.freezeEvery, "freeze-every", 0, "freeze and thaw at the first safepoint after each `N` units; 0 never")
	f.Uint32Var(&o.memoryMax, "memory-max", capsule.MaxMemoryPages, "most `PAGES` of 64 KiB that a memory may grow to")
	f.Uint64Var(&o.seed, "seed", 0, "seed of every random number")
	f.StringVar(&o.time, "time", "0", "time at the start: nanoseconds since 1970, or as 2006-01-02T15:04:05Z")
	f.BoolVar(&o.stats, "stats", false, "print what was compiled, when, why, how large it is and what it inlines, on standard error or in the JSON")
	addJSON(cmd, &o.asJSON)
	return cmd
}

// parseTime reads --time.
func parseTime(s string) (int64, error) {
	if ns, err := strconv.ParseUint(s, 0, 64); err == nil && ns <= math.MaxInt64/2 {
		return int64(ns), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Unix() < 0 || t.Unix() > math.MaxInt64/2/1_000_000_000 {
		return 0, fmt.Errorf("--time %q: want nanoseconds since 1970 or a time as 2006-01-02T15:04:05Z, before the year 2116", s)
	}
	return t.UnixNano(), nil
}

func execModule(cmd *cobra.Command, o *execOptions, path string, args []string) error {
	refuse := func(err error) error { return withStatus(execRefused, err) }
	tiers, err := newTiers(o)
	if err != nil {
		return refuse(err)
	}
	defer tiers.close()
	if o.memoryMax == 0 || o.memoryMax > capsule.MaxMemoryPages {
		return refuse(fmt.Errorf("--memory-max %d: a memory has 1 to %d pages", o.memoryMax, capsule.MaxMemoryPages))
	}
	start, err := parseTime(o.time)
	if err != nil {
		return refuse(err)
	}
	var calls []invocation
	for _, s := range o.invoke {
		inv, err := parseInvocation(s)
		if err != nil {
			return refuse(err)
		}
		calls = append(calls, inv)
	}
	code, err := readModule(path)
	if err != nil {
		return refuse(err)
	}
	r := newExecRun(o, start, calls, args)
	r.cfg.Compiler, r.cfg.Tier = tiers.config()
	if !o.asJSON {
		r.out.to, r.err.to = cmd.OutOrStdout(), cmd.ErrOrStderr()
	}
	if err := r.run(cmd.Context(), code); err != nil {
		return refuse(err)
	}
	if o.stats {
		if r.res.Compiled = tiers.report(); !o.asJSON {
			r.res.Compiled.print(cmd.ErrOrStderr())
		}
	}
	return r.print(cmd)
}

// readModule reads a file of at most the format's limit.
func readModule(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > wasm.MaxModuleBytes {
		return nil, fmt.Errorf("%s has %d bytes, a module at most %d", path, info.Size(), wasm.MaxModuleBytes)
	}
	return os.ReadFile(path)
}
