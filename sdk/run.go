package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/internal/atomicfile"
	"github.com/kitwork/kwnode/kit"
)

// Run has a function run in a zone and returns its certified result. The function is built on the first call, its pure
// part runs here, and what is left travels. An error of the function's own comes back as it would from a local call, as
// far as it can travel: a [*kit.Failure] with its code and message, inside a [*Failed] with the bill.
func Run[In, Out any](ctx context.Context, c *Client, fn func(kit.Context, In) (Out, error), in In, options ...Option) (out Out, err error) {
	s, err := Start(ctx, c, fn, in, options...)
	if err != nil {
		return out, err
	}
	res, err := s.Await(ctx)
	if err != nil {
		return out, err
	}
	return Decode[Out](res)
}

// Start is Run up to the submission.
func Start[In, Out any](ctx context.Context, c *Client, fn func(kit.Context, In) (Out, error), in In, options ...Option) (*Submission, error) {
	t := newTerms(options)
	p, err := Build(ctx, fn, t.Build)
	if err != nil {
		return nil, err
	}
	input, err := kit.Marshal(in)
	if err != nil {
		return nil, fmt.Errorf("%s: input: %w", p.Name, err)
	}
	prepared, err := Prepare(ctx, p, input, PrepareOptions{Limits: t.Limits, Ahead: t.Ahead})
	if err != nil {
		return nil, err
	}
	b, err := c.Seal(prepared, options...)
	if err != nil {
		return nil, err
	}
	return c.Submit(ctx, b)
}

// Decode reads a result that package kit encoded.
func Decode[Out any](r *Result) (Out, error) {
	out, err := kit.Unmarshal[Out](r.Output)
	if err != nil {
		return out, fmt.Errorf("result of capsule %s: %w; was it built from another version of the function?", r.ID, err)
	}
	return out, nil
}

// Unwrap gives the failure that the capsule's function reported, for errors.As.
func (f *Failed) Unwrap() error {
	if f.Result.Code == 0 {
		return nil
	}
	return &kit.Failure{Code: f.Result.Code, Message: string(f.Result.Output)}
}

// The environment that FromEnv reads. kwnode testnet up prints it.
const (
	EnvNode   = "KITWORK_NODE"   // multiaddr of any node; of several, with commas between them, the first that answers counts
	EnvKey    = "KITWORK_KEY"    // file of the identity that signs
	EnvZones  = "KITWORK_ZONES"  // folder of the book of trusted zones
	EnvGrants = "KITWORK_GRANTS" // file of grants, as kwnode writes it
	EnvDelay  = "KITWORK_DELAY"  // one-way delay of what the client sends, such as 40ms; see WithLinkDelay
)

// maxLinkDelay is a little more than light takes to a geostationary satellite and back.
const maxLinkDelay = time.Second

// ParseLinkDelay reads a one-way delay; the empty text is none.
func ParseLinkDelay(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > maxLinkDelay {
		return 0, fmt.Errorf("link delay %q: want a duration from 0s to %s, such as 40ms", s, maxLinkDelay)
	}
	return d, nil
}

// FromEnv dials the node that the environment names, as whom and trusting whom it says.
func FromEnv(ctx context.Context) (*Client, error) {
	addr := os.Getenv(EnvNode)
	if addr == "" {
		return nil, errors.New("no node to dial: set " + EnvNode + " to a node's multiaddr, or start a network with kwnode testnet up and take what it prints")
	}
	delay, err := ParseLinkDelay(os.Getenv(EnvDelay))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", EnvDelay, err)
	}
	options := []DialOption{WithLinkDelay(delay)}
	if name := os.Getenv(EnvKey); name != "" {
		id, err := capsule.LoadIdentity(name)
		if err != nil {
			return nil, err
		}
		options = append(options, WithIdentity(id))
	}
	dir := os.Getenv(EnvZones)
	if dir == "" {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("no folder for the book of zones: %w; set %s", err, EnvZones)
		}
		dir = filepath.Join(config, "kitwork")
	}
	book, err := OpenBook(dir)
	if err != nil {
		return nil, err
	}
	options = append(options, WithBook(book))
	if name := os.Getenv(EnvGrants); name != "" {
		chains, err := LoadGrants(name)
		if err != nil {
			return nil, err
		}
		options = append(options, WithGrants(chains...))
	}
	return Dial(ctx, addr, options...)
}

// LoadGrants reads chains of grants from a file.
func LoadGrants(name string) ([]capsule.Chain, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("load grants: %w", err)
	}
	var chains []capsule.Chain
	if err := capsule.Unmarshal(b, &chains); err != nil {
		return nil, fmt.Errorf("load grants %s: %w", name, err)
	}
	return chains, nil
}

// SaveGrants writes what LoadGrants reads.
func SaveGrants(name string, chains []capsule.Chain) error {
	b, err := capsule.Marshal(chains)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(name, b, 0o600); err != nil {
		return fmt.Errorf("save grants: %w", err)
	}
	return nil
}
