package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
)

// Exit statuses, as `kwnode --help` lists them.
const (
	statusOK      = 0
	statusFailed  = 1
	statusUsage   = 2 // the command line is wrong
	statusRefused = 3 // the input was read and judged, and the judgement is no
)

// commands are the constructors of every command below the root, one file each.
var commands = []func() *cobra.Command{
	newCapsuleCmd,
	newDemoCmd,
	newExecCmd,
	newInspectCmd,
	newKeygenCmd,
	newReceiptCmd,
	newStartCmd,
	newTestnetCmd,
	newVersionCmd,
	newWasmCmd,
	newZoneCmd,
}

// run is main with everything that it touches as a parameter. It returns the exit status.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process whatever it still does
	root := newRootCmd()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(stderr, "kwnode:", err)
	}
	return exitStatus(err)
}

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "kwnode",
		Short: "A mesh node that runs signed, gas-metered, mobile logic",
		Long: `kwnode works with capsules: signed continuations of WebAssembly programs that carry their
rights and their budget with them.

Exit status: 0 done, 1 failed, 2 wrong command line, 3 the input was judged and refused.`,
		Example: `  kwnode demo                      see what it is about
  kwnode keygen node.key           create an identity
  kwnode capsule inspect x.capsule see what a capsule may do, and whether it is genuine`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	asGroup(root)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(cmd, "%v", err)
	})
	for _, construct := range commands {
		root.AddCommand(construct())
	}
	addExamples(root)
	sayWanted(root)
	return root
}

// sayWanted has a command whose arguments are too few or too many say which it wants.
func sayWanted(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if _, said := errors.AsType[*statusError](err); err == nil || said {
				return err
			}
			_, wanted, _ := strings.Cut(cmd.Use, " ")
			return usageError(cmd, "want %s, got %d arguments", wanted, len(args))
		}
	}
	for _, c := range cmd.Commands() {
		sayWanted(c)
	}
}

// asGroup makes cmd a mere holder of commands: alone it prints its help, with anything unknown behind it
// it fails as a wrong command line does.
func asGroup(cmd *cobra.Command) {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2 // edits, as cobra itself suggests
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = ", did you mean " + strings.Join(near, " or ")
		}
		return usageError(cmd, "unknown command %q%s", args[0], hint)
	}
}

// statusError gives an error an exit status of its own.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string { return e.err.Error() }
func (e *statusError) Unwrap() error { return e.err }

// withStatus makes run return status for err.
func withStatus(status int, err error) error { return &statusError{status: status, err: err} }

func usageError(cmd *cobra.Command, format string, args ...any) error {
	return withStatus(statusUsage, fmt.Errorf("%s; see %s --help", fmt.Sprintf(format, args...), cmd.CommandPath()))
}

func exitStatus(err error) int {
	if err == nil {
		return statusOK
	}
	if s, ok := errors.AsType[*statusError](err); ok {
		return s.status
	}
	if _, ok := errors.AsType[*capsule.Refusal](err); ok {
		return statusRefused
	}
	return statusFailed
}

// wantArgs checks for exactly the named arguments.
func wantArgs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return usageError(cmd, "want no arguments, got %d", len(args))
		}
		return usageError(cmd, "want %s, got %d arguments", strings.Join(names, " "), len(args))
	}
}

// addJSON gives cmd the flag that every command has whose output a program could read.
func addJSON(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print one JSON object instead of text")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// readInput reads a file, or the standard input when the name is "-", and refuses more than most bytes.
func readInput(cmd *cobra.Command, name string, most int64) ([]byte, error) {
	r := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if int64(len(b)) > most {
		return nil, withStatus(statusRefused, fmt.Errorf("read %s: more than %d bytes, which no such file has; is it the right one?", name, most))
	}
	return b, nil
}
