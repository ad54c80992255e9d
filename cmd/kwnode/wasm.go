package main

import (
	"bufio"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/vm/wasm"
)

func newWasmCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "wasm",
		Short:   "Look into WebAssembly modules",
		Example: "  kwnode wasm dump fib.wasm",
	}
	asGroup(cmd)
	cmd.AddCommand(newWasmDumpCmd())
	return cmd
}

func newWasmDumpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "dump MODULE.wasm",
		Short: "Print a module: its sections, and its code with offsets, names and gas",
		Long: `Decodes and validates a module and prints what stands in it, to be read by people: types, imports,
functions with each instruction and its offset, tables, memories, segments. - reads standard input.`,
		Example: "  kwnode wasm dump fib.wasm",
		Args:    wantArgs("MODULE.wasm"),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readInput(cmd, args[0], wasm.MaxModuleBytes)
			if err != nil {
				return err
			}
			m, err := wasm.Decode(b, 0)
			if err != nil {
				return withStatus(statusRefused, err)
			}
			w := bufio.NewWriter(cmd.OutOrStdout())
			if err := wasm.Fprint(w, m); err != nil {
				return err
			}
			return w.Flush()
		},
	}
}
