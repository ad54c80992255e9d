package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/machine"
)

// client is an author's side of the commands.
type client struct {
	node, identity, zone, grants, delay string
	asJSON                              bool
	wait                                time.Duration
}

func (t *client) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&t.node, "node", os.Getenv(sdk.EnvNode), "`multiaddr` of any node (default $"+sdk.EnvNode+")")
	fl.StringVar(&t.identity, "identity", os.Getenv(sdk.EnvKey), "key `file` of the author (default $"+sdk.EnvKey+")")
	fl.StringVar(&t.zone, "zone", "", "`name or ID` of the home zone (default: the only one in your book)")
	fl.StringVar(&t.grants, "grants", os.Getenv(sdk.EnvGrants), "`file` with grants to attach (default $"+sdk.EnvGrants+")")
	fl.DurationVar(&t.wait, "timeout", 2*time.Minute, "give up after this long")
	addDelay(cmd, &t.delay, os.Getenv(sdk.EnvDelay))
	addJSON(cmd, &t.asJSON)
}

func (t *client) author() (*capsule.Identity, error) {
	if t.identity == "" {
		return nil, fmt.Errorf("who are you? --identity FILE, or set %s; create one with kwnode keygen me.key", sdk.EnvKey)
	}
	return capsule.LoadIdentity(t.identity)
}

func (t *client) home() (capsule.ZoneID, error) {
	book, err := openBook()
	if err != nil {
		return capsule.ZoneID{}, err
	}
	if t.zone == "" {
		return book.Only()
	}
	return book.Zone(t.zone)
}

// seal signs a capsule without a network.
func (t *client) seal(p *program, pr *sdk.Prepared) (*sdk.Bundle, error) {
	id, err := t.author()
	if err != nil {
		return nil, err
	}
	options, err := p.options("")
	if err != nil {
		return nil, err
	}
	var terms sdk.Terms
	for _, o := range options {
		o(&terms)
	}
	if terms.Home, err = t.home(); err != nil {
		return nil, err
	}
	if t.grants != "" {
		if terms.Chains, err = sdk.LoadGrants(t.grants); err != nil {
			return nil, err
		}
	}
	bundle, err := pr.Seal(id, terms)
	if r, ok := errors.AsType[*capsule.Refusal](err); ok && r.Code == capsule.CodeNeed && t.grants == "" {
		err = fmt.Errorf("%w; no grants were shown: --grants FILE, or set %s", err, sdk.EnvGrants)
	}
	return bundle, err
}

// run dials and calls fn within the time given.
func (t *client) run(cmd *cobra.Command, fn func(ctx context.Context, c *sdk.Client) error) error {
	if t.node == "" {
		return usageError(cmd, "which node? --node MULTIADDR, or set %s", sdk.EnvNode)
	}
	id, err := t.author()
	if err != nil {
		return err
	}
	delay, err := sdk.ParseLinkDelay(t.delay)
	if err != nil {
		return withStatus(statusUsage, err)
	}
	book, err := openBook()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), t.wait, fmt.Errorf("nothing within %s", t.wait))
	defer cancel()
	c, err := sdk.Dial(ctx, t.node, sdk.WithIdentity(id), sdk.WithBook(book), sdk.WithLinkDelay(delay))
	if err != nil {
		return err
	}
	defer c.Close()
	return notFound(fn(ctx, c))
}

// notFound gives a node's refusal its exit status.
func notFound(err error) error {
	if _, judged := errors.AsType[*statusError](err); judged {
		return err
	}
	if errors.Is(err, sdk.ErrUnknown) {
		return withStatus(statusRefused, fmt.Errorf("%w; check the ID and --zone, or hand it in: kwnode capsule submit FILE", err))
	}
	if r, ok := errors.AsType[*api.Refusal](err); ok {
		return withStatus(statusRefused, r)
	}
	return err
}

// follow is for commands on a capsule that was handed in before.
func (t *client) follow(cmd *cobra.Command, name string, fn func(ctx context.Context, s *sdk.Submission) error) error {
	id, err := capsule.ParseID(name)
	if err != nil {
		return withStatus(statusUsage, fmt.Errorf("%w; kwnode capsule submit prints the ID of what it hands in, and kwnode capsule list all of yours", err))
	}
	home, err := t.home()
	if err != nil {
		return err
	}
	return t.run(cmd, func(ctx context.Context, c *sdk.Client) error { return fn(ctx, c.Follow(home, id)) })
}

// outcome is what a result looks like to a program.
type outcome struct {
	ID      capsule.ID     `json:"id"`
	Zone    capsule.ZoneID `json:"zone"`
	Verdict string         `json:"verdict"`
	Result  any            `json:"result,omitempty"` // of a Go function
	Output  []byte         `json:"output,omitempty"` // else, in base64
	Reason  string         `json:"reason,omitempty"`
	Bill    sdk.Bill       `json:"bill"`
	Retries sdk.Retries    `json:"retries"`
}

// await waits for the result and prints it; tr may be nil.
func (t *client) await(ctx context.Context, cmd *cobra.Command, s *sdk.Submission, tr *sdk.Translator) error {
	r, err := s.Await(ctx)
	var failed *sdk.Failed
	if errors.As(err, &failed) {
		if t.asJSON {
			_ = printJSON(cmd.OutOrStdout(), outcome{ID: s.ID, Zone: failed.Result.Zone, Verdict: failed.Result.Verdict.String(), Reason: failed.Error(), Bill: failed.Result.Bill, Retries: failed.Result.Retries})
		} else {
			printRetries(cmd.ErrOrStderr(), &failed.Result.Retries)
		}
		return withStatus(statusRefused, failed)
	}
	if errors.Is(err, sdk.ErrSuspended) {
		return fmt.Errorf("%w; kwnode capsule topup %s UNITS", err, s.ID)
	}
	if err != nil {
		return err
	}
	o := outcome{ID: s.ID, Zone: r.Zone, Verdict: r.Verdict.String(), Bill: r.Bill, Retries: r.Retries}
	text := printable(r.Output)
	if tr != nil {
		doc, err := tr.Result(ctx, r.Output)
		if err != nil {
			return err
		}
		o.Result, text = rawJSON(doc), string(doc)
	} else {
		o.Output = r.Output
	}
	if t.asJSON {
		return printJSON(cmd.OutOrStdout(), o)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s in zone %s, certified; %d units, %d credits\n", o.Verdict, o.Zone, r.Bill.Spent, r.Bill.Charged)
	printRetries(cmd.ErrOrStderr(), &r.Retries)
	_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}

// printRetries itemises the attempts that came to nothing.
func printRetries(w io.Writer, r *sdk.Retries) {
	if int(r.Count) > len(r.Last) {
		fmt.Fprintf(w, "retried %d times, lately:\n", r.Count)
	}
	for _, x := range r.Last {
		fmt.Fprintf(w, "retried  segment %d, %d units more: %s", x.Segment, x.Units, x.Cause)
		if !x.Worker.IsZero() {
			fmt.Fprintf(w, ", %s", x.Worker)
		}
		fmt.Fprintln(w)
	}
}

// rawJSON is a document inside another.
type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func newCapsuleSubmitCmd() *cobra.Command {
	var t client
	var wait bool
	cmd := &cobra.Command{
		Use: "submit FILE", Short: "Hand a capsule that was built to its home zone", Args: wantArgs("FILE"),
		Long: `A capsule is one act: handing it in again is harmless, and after its end it is refused with the status that it came to.
With --wait the result comes instead, the first one.`,
		Example: `  kwnode capsule submit transfer.capsule --wait`,
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := loadBundle(cmd, args[0])
			if err != nil {
				return err
			}
			return t.run(cmd, func(ctx context.Context, c *sdk.Client) error {
				s, err := c.Submit(ctx, b)
				if err != nil {
					return err
				}
				switch before := s.Ack.Status; {
				case before != 0 && (wait || !s.Ack.Decided()):
					fmt.Fprintf(cmd.ErrOrStderr(), "handed in before; it is %s\n", before)
				case before != 0:
					return withStatus(statusRefused, fmt.Errorf("capsule %s is decided already (%s), and handing it in again does nothing; kwnode capsule result %s", s.ID, before, s.ID))
				}
				if wait {
					return t.await(ctx, cmd, s, nil)
				}
				return printSubmitted(cmd, t.asJSON, s)
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the result")
	return cmd
}

func printSubmitted(cmd *cobra.Command, asJSON bool, s *sdk.Submission) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			ID     capsule.ID  `json:"id"`
			Voter  capsule.Key `json:"voter"`
			Status string      `json:"status"`
		}{s.ID, s.Ack.Voter, ackText(s.Ack.Status)})
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), s.ID)
	return err
}

// ackText is how far a capsule has come by the word of the voter that acknowledged it.
func ackText(s machine.Status) string {
	if s == 0 {
		return "held"
	}
	return s.String()
}

func newCapsuleRunCmd() *cobra.Command {
	var p program
	var t client
	cmd := &cobra.Command{
		Use:     "run (PACKAGE FUNCTION | FILE.wasm)",
		Short:   "Build, submit and await: print the certified result",
		Example: `  kwnode capsule run ./examples/counter Count --input '{"Name":"visits","By":1}' --keys 'kv/counter/*'`,
		Args:    programArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			pr, err := p.prepare(cmd.Context(), cmd, args)
			if err != nil {
				return err
			}
			b, err := t.seal(&p, pr)
			if err != nil {
				return err
			}
			return t.run(cmd, func(ctx context.Context, c *sdk.Client) error {
				s, err := c.Submit(ctx, b)
				if err != nil {
					return err
				}
				if !p.quiet {
					fmt.Fprintln(cmd.ErrOrStderr(), "capsule", s.ID)
				}
				return t.await(ctx, cmd, s, p.translator)
			})
		},
	}
	p.flags(cmd)
	t.flags(cmd)
	return cmd
}

func newCapsuleResultCmd() *cobra.Command {
	var t client
	cmd := &cobra.Command{
		Use:   "result ID [PACKAGE FUNCTION]",
		Short: "Wait for a capsule's certified result and print it",
		Long:  `Prints the output as it is; with the Go function that the capsule ran, as JSON.`,
		Args:  cobra.RangeArgs(1, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			var tr *sdk.Translator
			switch len(args) {
			case 2:
				return usageError(cmd, "want PACKAGE and FUNCTION, or neither")
			case 3:
				var err error
				if tr, err = sdk.NewTranslator(cmd.Context(), args[1], args[2], build.Options{}); err != nil {
					return err
				}
			}
			return t.follow(cmd, args[0], func(ctx context.Context, s *sdk.Submission) error { return t.await(ctx, cmd, s, tr) })
		},
	}
	t.flags(cmd)
	return cmd
}

var eventNames = map[api.EventKind]string{
	api.EventStatus: "status", api.EventLease: "lease", api.EventLog: "log", api.EventDenied: "denied",
	api.EventRetry: "retry", api.EventEmitted: "emitted", api.EventGas: "gas",
}

func newCapsuleWatchCmd() *cobra.Command {
	var t client
	cmd := &cobra.Command{
		Use: "watch ID", Short: "Show what happens to a capsule until it ends", Args: wantArgs("ID"),
		Long: `Lines with a * are decisions that a quorum has certified; the others are what one node says.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.follow(cmd, args[0], func(ctx context.Context, s *sdk.Submission) error {
				for e, err := range s.Watch(ctx) {
					if err != nil {
						return err
					}
					if err := printEvent(cmd, t.asJSON, &e); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	t.flags(cmd)
	return cmd
}

func printEvent(cmd *cobra.Command, asJSON bool, e *sdk.Event) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), struct {
			Kind     string `json:"kind"`
			Time     uint64 `json:"time"`
			Segment  uint32 `json:"segment"`
			N        uint64 `json:"n"`
			Text     string `json:"text,omitempty"`
			Data     []byte `json:"data,omitempty"`
			Verified bool   `json:"verified"`
		}{eventNames[e.Kind], e.Time, e.Segment, e.N, e.Text, e.Data, e.Verified})
	}
	mark := " "
	if e.Verified {
		mark = "*"
	}
	at := time.UnixMilli(int64(e.Time)).UTC().Format("15:04:05.000")
	for _, text := range eventLines(&e.WatchEvent) {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s %-7s %s\n", at, mark, eventNames[e.Kind], text); err != nil {
			return err
		}
	}
	return nil
}

// eventLines is what a person wants to know of an event: several lines for several lines of a log.
func eventLines(e *api.WatchEvent) []string {
	if e.Kind != api.EventLog {
		return []string{eventText(e)}
	}
	lines := strings.Split(strings.ReplaceAll(e.Text, "\t", "    "), "\n")
	for i := range lines {
		lines[i] = printable([]byte(lines[i]))
	}
	return lines
}

// eventText is an event in one line.
func eventText(e *api.WatchEvent) string {
	switch e.Kind {
	case api.EventStatus:
		if e.N > 0 {
			return fmt.Sprintf("%s, place %d of those that wait for a worker", printable([]byte(e.Text)), e.N)
		}
	case api.EventGas:
		return fmt.Sprintf("%d units", e.N)
	case api.EventDenied:
		return fmt.Sprintf("%s, error -%d in the program", printable([]byte(e.Text)), e.N)
	case api.EventRetry:
		if e.N > 0 {
			return fmt.Sprintf("%s, %d units more", printable([]byte(e.Text)), e.N)
		}
	case api.EventEmitted:
		return e.Text + " " + printable(e.Data)
	}
	return printable([]byte(e.Text))
}

// order is follow for what an author wants of a capsule. The zone has taken it when it returns; what comes of it, the
// capsule's result tells.
func (t *client) order(cmd *cobra.Command, name string, give func(ctx context.Context, s *sdk.Submission) error) error {
	return t.follow(cmd, name, func(ctx context.Context, s *sdk.Submission) error {
		err := give(ctx, s)
		if r, ok := errors.AsType[*api.Refusal](err); ok && r.Code == string(machine.CodeState) {
			return withStatus(statusRefused, fmt.Errorf("%w; what became of it: kwnode capsule result %s", r, s.ID))
		}
		if err != nil || !t.asJSON {
			return err
		}
		return printJSON(cmd.OutOrStdout(), struct {
			ID    capsule.ID     `json:"id"`
			Zone  capsule.ZoneID `json:"zone"`
			Taken bool           `json:"taken"` // by the zone, which refuses otherwise
		}{s.ID, s.Home, true})
	})
}

func newCapsuleCancelCmd() *cobra.Command {
	var t client
	cmd := &cobra.Command{
		Use: "cancel ID", Short: "End a capsule of yours where it stands", Args: wantArgs("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.order(cmd, args[0], func(ctx context.Context, s *sdk.Submission) error { return s.Cancel(ctx) })
		},
	}
	t.flags(cmd)
	return cmd
}

func newCapsuleTopUpCmd() *cobra.Command {
	var t client
	cmd := &cobra.Command{
		Use: "topup ID UNITS", Short: "Give a capsule more units from your account", Args: wantArgs("ID", "UNITS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := strconv.ParseUint(args[1], 10, 62)
			if err != nil || n == 0 {
				return usageError(cmd, "units %q: want a number from 1 to 2^62", args[1])
			}
			return t.order(cmd, args[0], func(ctx context.Context, s *sdk.Submission) error { return s.TopUp(ctx, n) })
		},
	}
	t.flags(cmd)
	return cmd
}

func newCapsuleListCmd() *cobra.Command {
	var t target
	var limbo bool
	cmd := &cobra.Command{
		Use: "list", Short: "List your capsules in a zone, or all for a root", Args: wantArgs(),
		Long: `Lists the capsules that a zone owns. --limbo shows only those that another zone was to take and has said
nothing about: how long ago they were released, to whom, and what becomes of them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				all, err := capsulesOf(ctx, c, z)
				if err != nil {
					return judged(err)
				}
				if limbo {
					return printLimbo(cmd, t.asJSON, all, uint64(time.Now().UnixMilli()))
				}
				return printCapsules(cmd, t.asJSON, all)
			})
		},
	}
	cmd.Flags().BoolVar(&limbo, "limbo", false, "only those that wait for a zone that does not answer")
	t.zoneFlag(cmd)
	return cmd
}
