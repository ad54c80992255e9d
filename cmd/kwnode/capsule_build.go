package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
)

// program names what a capsule runs, with which input and on which terms.
type program struct {
	input, inputFile, entry string
	keys                    []string
	gas, maxPrice           uint64
	life                    time.Duration
	payer                   string
	quiet                   bool
	translator              *sdk.Translator // of a Go function
}

func (p *program) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&p.input, "input", "", "input: `JSON` of a Go function, the bytes themselves of a module")
	fl.StringVar(&p.inputFile, "input-file", "", "`file` with the input, - for the standard input")
	fl.StringVar(&p.entry, "entry", "_start", "exported `function` of a module")
	fl.StringArrayVar(&p.keys, "keys", nil, "`resource` of the home zone that it may use, such as 'kv/notes/*' (repeat it)")
	fl.Uint64Var(&p.gas, "gas", 0, "most `units` that it may use (default 50 million)")
	fl.Uint64Var(&p.maxPrice, "max-price", sdk.DefaultMaxPrice, "most `credits` for a million units")
	fl.DurationVar(&p.life, "lifetime", sdk.DefaultLifetime, "how long it may take, waiting included")
	fl.StringVar(&p.payer, "payer", "", "`key` of the account that pays (default: yours)")
	fl.BoolVar(&p.quiet, "quiet", false, "don't show how the build gets on")
}

// programArgs are "PACKAGE FUNCTION" or "FILE.wasm".
func programArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 2 || len(args) == 1 && strings.HasSuffix(args[0], ".wasm") {
		return nil
	}
	return usageError(cmd, "want a Go PACKAGE and FUNCTION, or FILE.wasm")
}

// prepare builds the program and runs its pure part.
func (p *program) prepare(ctx context.Context, cmd *cobra.Command, args []string) (*sdk.Prepared, error) {
	input := []byte(p.input)
	if p.inputFile != "" {
		var err error
		if input, err = readInput(cmd, p.inputFile, 1<<20); err != nil {
			return nil, err
		}
	}
	if len(args) == 1 {
		code, err := readInput(cmd, args[0], 8*build.MaxCode) // of one that is too large FromWasm says what to do
		if err != nil {
			return nil, err
		}
		prog, err := sdk.FromWasm(filepath.Base(args[0]), code, p.entry)
		if err != nil {
			return nil, err
		}
		return sdk.Prepare(ctx, prog, input, sdk.PrepareOptions{})
	}
	o := build.Options{}
	if !p.quiet {
		o.Progress = func(s build.Progress) { fmt.Fprintln(cmd.ErrOrStderr(), s) }
	}
	prog, err := sdk.BuildPackage(ctx, args[0], args[1], o)
	if err != nil {
		return nil, err
	}
	if p.translator, err = sdk.NewTranslator(ctx, args[0], args[1], build.Options{}); err != nil {
		return nil, err
	}
	if len(input) == 0 {
		input = []byte("null")
	}
	if input, err = p.translator.Input(ctx, input); err != nil {
		return nil, fmt.Errorf("input: %w", err)
	}
	return sdk.Prepare(ctx, prog, input, sdk.PrepareOptions{})
}

// options are the terms as the sdk takes them.
func (p *program) options(zone string) ([]sdk.Option, error) {
	o := []sdk.Option{sdk.Lifetime(p.life), sdk.MaxPrice(p.maxPrice)}
	for _, k := range p.keys {
		o = append(o, sdk.Keys(k))
	}
	if p.gas != 0 {
		o = append(o, sdk.Gas(p.gas))
	}
	if zone != "" {
		o = append(o, sdk.Zone(zone))
	}
	if p.payer != "" {
		k, err := publicKey(p.payer)
		if err != nil {
			return nil, err
		}
		o = append(o, sdk.Payer(k))
	}
	return o, nil
}

// blobsName is the file of a capsule's content, beside the capsule itself.
func blobsName(name string) string { return strings.TrimSuffix(name, ".capsule") + ".blobs" }

// maxBlobs bounds that file: code, base and state, each as large as a zone takes.
const maxBlobs = 3<<25 + 1<<10

func saveBundle(name string, b *sdk.Bundle) error {
	blobs := [][]byte{}
	m := b.Capsule.Manifest()
	for _, id := range []capsule.CID{m.Code, m.Base, m.State} {
		if content, ok := b.Blobs[id]; ok {
			blobs = append(blobs, content)
		}
	}
	content, err := capsule.Marshal(blobs)
	if err != nil {
		return err
	}
	if err := os.WriteFile(blobsName(name), content, 0o600); err != nil {
		return err
	}
	return os.WriteFile(name, b.Capsule.Bytes(), 0o600)
}

func loadBundle(cmd *cobra.Command, name string) (*sdk.Bundle, error) {
	envelope, err := readInput(cmd, name, capsule.MaxEnvelope)
	if err != nil {
		return nil, err
	}
	b := &sdk.Bundle{Blobs: map[capsule.CID][]byte{}}
	// Whether it is valid is the node's to say: by the zone's clock, which ours may not agree with.
	if b.Capsule, err = capsule.Decode(envelope); err != nil {
		return nil, err
	}
	content, err := readInput(cmd, blobsName(name), maxBlobs)
	if err != nil {
		return nil, fmt.Errorf("the capsule's content: %w", err)
	}
	var blobs [][]byte
	if err := capsule.Unmarshal(content, &blobs); err != nil {
		return nil, fmt.Errorf("%s: %w", blobsName(name), err)
	}
	for _, c := range blobs {
		b.Blobs[capsule.RawCID(c)] = c
	}
	return b, nil
}

func newCapsuleBuildCmd() *cobra.Command {
	var p program
	var t client
	var out string
	cmd := &cobra.Command{
		Use:   "build (PACKAGE FUNCTION | FILE.wasm)",
		Short: "Build, run ahead and sign a capsule, without a network",
		Long: `Compiles a Go function to WebAssembly, or takes a module; runs its pure part here; signs what is
left. Writes two files: the capsule, and beside it its content (.blobs). It can be submitted once,
however often it is handed in.`,
		Example: `  kwnode capsule build ./examples/counter Count --input '{"Name":"visits","By":1}' --keys 'kv/counter/*' --out count.capsule`,
		Args:    programArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" {
				return usageError(cmd, "where to? --out FILE.capsule")
			}
			pr, err := p.prepare(cmd.Context(), cmd, args)
			if err != nil {
				return err
			}
			bundle, err := t.seal(&p, pr)
			if err != nil {
				return err
			}
			if err := saveBundle(out, bundle); err != nil {
				return err
			}
			r := reportBuild(out, pr, bundle)
			if !p.quiet {
				r.estimate(cmd.Context(), pr)
			}
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), r)
			}
			_, err = io.WriteString(cmd.OutOrStdout(), r.text(bundle.Capsule.Manifest()))
			return err
		},
	}
	p.flags(cmd)
	t.flags(cmd)
	cmd.Flags().StringVar(&out, "out", "", "`file` to write")
	return cmd
}

// buildReport is what was signed, as build shows it.
type buildReport struct {
	ID       capsule.ID     `json:"id"`
	File     string         `json:"file"`
	Size     int            `json:"size"` // bytes of the file
	Code     capsule.CID    `json:"code"`
	CodeSize int            `json:"code_size"`
	State    int            `json:"state_size"` // bytes of the continuation
	Done     uint64         `json:"done"`       // units of what ran here
	Cut      string         `json:"cut"`        // what it stopped at
	Needs    []capsule.Need `json:"needs"`
	Gas      uint64         `json:"gas"`
	Expires  uint64         `json:"expires"` // Unix ms
	Estimate *sdk.Estimate  `json:"estimate,omitempty"`
}

func reportBuild(file string, pr *sdk.Prepared, b *sdk.Bundle) *buildReport {
	m := b.Capsule.Manifest()
	return &buildReport{
		ID: b.Capsule.ID(), File: file, Size: len(b.Capsule.Bytes()), Code: m.Code, CodeSize: len(pr.Program.Code), State: len(pr.State),
		Done: pr.Done, Cut: pr.Cut, Needs: m.Needs, Gas: m.Gas, Expires: m.Expires,
	}
}

// A build estimates with few runs and little patience: kwnode capsule estimate takes its time.
const (
	buildRuns     = 10
	buildPatience = 2 * time.Second
)

func (r *buildReport) estimate(ctx context.Context, pr *sdk.Prepared) {
	ctx, cancel := context.WithTimeout(ctx, buildPatience)
	defer cancel()
	if e, err := pr.Estimate(ctx, nil, buildRuns); err == nil {
		r.Estimate = e
	}
}

func (r *buildReport) text(m *capsule.Manifest) string {
	var s strings.Builder
	fmt.Fprintf(&s, "capsule  %s\nfile     %s, %d bytes\ncontent  %s\n", r.ID, r.File, r.Size, blobsName(r.File))
	fmt.Fprintf(&s, "code     %s, %d bytes\n", r.Code, r.CodeSize)
	if r.State == 0 {
		s.WriteString("state    none: it starts at its beginning\n")
	} else {
		fmt.Fprintf(&s, "state    %d bytes: %d units were run here, up to %s\n", r.State, r.Done, r.Cut)
	}
	for _, n := range r.Needs {
		fmt.Fprintf(&s, "may      %s on %s in %s\n", n.Ability, n.Resource, zoneName(m, n.Zone))
	}
	if len(r.Needs) == 0 {
		s.WriteString("may      nothing with the zone's data\n")
	}
	fmt.Fprintf(&s, "gas      at most %d units, until %s\n", r.Gas, instant(r.Expires))
	if e := r.Estimate; e != nil {
		fmt.Fprintf(&s, "needs    %s of them on an empty zone; %s\n", between(e.P50, e.P99), boundText(e))
		if e.Failed > 0 {
			fmt.Fprintf(&s, "         %d of %d runs failed there: %s\n", e.Failed, e.Runs, firstLine(e.Reason))
		}
	}
	return s.String()
}

func between(p50, p99 uint64) string {
	if p50 == p99 {
		return fmt.Sprint(p50)
	}
	return fmt.Sprintf("%d (half of the runs) to %d (99 %%)", p50, p99)
}

// boundText is what the code alone proves about its gas.
func boundText(e *sdk.Estimate) string {
	if e.Bounded {
		return fmt.Sprintf("never more than %d", e.Bound)
	}
	return "unbounded: it has loops or recursion"
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

func newCapsuleEstimateCmd() *cobra.Command {
	var p program
	var asJSON bool
	var runs int
	var samples []string
	cmd := &cobra.Command{
		Use:   "estimate (PACKAGE FUNCTION | FILE.wasm)",
		Short: "Run a capsule here, on a sample of a zone, and say what it may cost",
		Long: `Runs the capsule here again and again, with other random numbers each time, and says how many units half of the
runs and 99 % of them kept to, and what its code alone proves: a bound that no run exceeds, or unbounded. It runs on an
empty zone, or on rows that kwnode zone scan --json has printed: several samples are as many states that it may meet.`,
		Example: `  kwnode capsule estimate ./examples/counter Count --input '{"Name":"visits","By":1}'
  kwnode zone scan acct/ --json > acct.json
  kwnode capsule estimate ./examples/transfer Move --input '{"From":"alice","To":"bob","Amount":5}' --sample acct.json`,
		Args: programArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			pr, err := p.prepare(cmd.Context(), cmd, args)
			if err != nil {
				return err
			}
			var states []sdk.Sample
			for _, name := range samples {
				s, err := readSample(cmd, name)
				if err != nil {
					return err
				}
				states = append(states, s)
			}
			e, err := pr.Estimate(cmd.Context(), states, runs)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), e)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "units     half of the runs up to %d, 99 %% up to %d\nbound     %s\nsegments  %d\n", e.P50, e.P99, boundText(e), e.Segments)
			if e.Failed > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "failed    %d of %d runs: %s\n", e.Failed, e.Runs, e.Reason)
			}
			return nil
		},
	}
	p.flags(cmd)
	addJSON(cmd, &asJSON)
	cmd.Flags().IntVar(&runs, "runs", sdk.EstimateRuns, "how often to run it on each sample")
	cmd.Flags().StringArrayVar(&samples, "sample", nil, "`file` with rows as kwnode zone scan --json prints them, - for the standard input (repeat it)")
	return cmd
}

// maxSample bounds the file of a sample: the rows of one scan, as JSON.
const maxSample = 512 << 20

func readSample(cmd *cobra.Command, name string) (s sdk.Sample, err error) {
	b, err := readInput(cmd, name, maxSample)
	if err != nil {
		return s, err
	}
	var scan struct {
		Rows []struct{ Key, Value []byte } `json:"rows"`
	}
	if err := json.Unmarshal(b, &scan); err != nil {
		return s, fmt.Errorf("sample %s: %w; want what kwnode zone scan --json prints", name, err)
	}
	s.Rows = map[string][]byte{}
	for _, r := range scan.Rows {
		s.Rows[string(r.Key)] = r.Value
	}
	return s, nil
}
