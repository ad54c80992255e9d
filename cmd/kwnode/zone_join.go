package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/cert"
)

func newZoneJoinCmd() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "join MULTIADDR",
		Short: "Ask a zone to take the node at --node as a voter, and wait until it has",
		Long: `The node at --node runs with the zone's --genesis and --vote, and MULTIADDR is any voter of the
zone. Prints what the zone's roots have to sign, and the command with which they do; then waits,
and says how far the node is: it gets the log first, and its vote when it has all of it.

With --json each of them is a line: what is to be signed, unless it has been, and in the end that it votes.

Nothing is changed by asking: only the roots let a node in.`,
		Example: `  kwnode zone join /ip4/192.0.2.7/tcp/7401/p2p/12D3KooW... --node /ip4/127.0.0.1/tcp/7404/p2p/12D3KooW...`,
		Args:    wantArgs("MULTIADDR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.run(cmd, func(ctx context.Context, c *admin.Client, z *admin.Zone) error {
				return t.join(ctx, cmd, c, z, args[0])
			})
		},
	}
	t.zoneFlag(cmd)
	cmd.Flags().Lookup("timeout").DefValue = "1h0m0s"
	t.timeout = time.Hour
	return cmd
}

// joining is what a newcomer asks for.
type joining struct {
	Zone   capsule.ZoneID `json:"zone"`
	Key    capsule.Key    `json:"key"`
	Addr   string         `json:"addr"`
	Epoch  cert.Epoch     `json:"epoch"` // that the roots must sign
	Quorum int            `json:"quorum"`
	Roots  []capsule.Key  `json:"roots"`
	Wanted int            `json:"wanted"` // of the roots
}

// joined is what became of it.
type joined struct {
	Zone       capsule.ZoneID `json:"zone"`
	Key        capsule.Key    `json:"key"`
	Voter      bool           `json:"voter"`
	Generation uint64         `json:"generation"`
	Epoch      uint64         `json:"epoch"`
}

func (t *target) join(ctx context.Context, cmd *cobra.Command, c *admin.Client, z *admin.Zone, voter string) error {
	at, err := c.Connect(ctx, voter)
	if err != nil {
		return fmt.Errorf("reach a voter of the zone: %w", err)
	}
	ask := func(k capsule.Key, st *admin.ZoneStatus) error {
		return c.Ask(ctx, k, &admin.Request{Op: admin.OpStatus, Zone: z.ID}, st)
	}
	var mine, theirs admin.ZoneStatus
	if err := ask(c.Node(), &mine); err != nil {
		return fmt.Errorf("the node that is to join: %w; start it with this zone's --genesis and --vote", err)
	}
	if err := ask(at, &theirs); err != nil {
		return fmt.Errorf("the voter that was to be asked: %w", err)
	}
	me := c.Node()
	if !slices.Contains(theirs.Voters, me) {
		next := append(slices.Clone(theirs.Voters), me)
		sortKeys(next)
		set := cert.VoterSet{Keys: next}
		j := &joining{Zone: z.ID, Key: me, Addr: t.node, Quorum: set.Quorum(), Roots: z.Genesis.Roots, Wanted: z.Genesis.Threshold(cert.OpEpoch),
			Epoch: cert.Epoch{V: cert.Version, Number: theirs.Epoch + 1, Voters: next}}
		if err := t.printJoining(cmd.OutOrStdout(), j, voter, &theirs); err != nil {
			return err
		}
	}
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for said := ""; ; {
		say, done := stage(me, &mine, &theirs)
		if say != said {
			fmt.Fprintln(cmd.ErrOrStderr(), "kwnode:", say)
			said = say
		}
		if done {
			if t.asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(&joined{z.ID, me, true, theirs.Generation, theirs.Epoch})
			}
			return t.done(cmd, 0, fmt.Sprintf("%s is a voter of epoch %d.%d", me, theirs.Generation, theirs.Epoch))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s; run the command again to go on waiting", context.Cause(ctx), say)
		case <-tick.C:
		}
		// One of them may be out of reach for a while; what it said last stands.
		_, _ = ask(me, &mine), ask(at, &theirs)
	}
}

// stage says how far a newcomer is.
func stage(me capsule.Key, mine, theirs *admin.ZoneStatus) (say string, done bool) {
	i := slices.IndexFunc(theirs.Members, func(m zone.Member) bool { return m.Key == me })
	switch {
	case slices.Contains(theirs.Voters, me) && i >= 0 && theirs.Members[i].Voter:
		return "it votes", true
	case slices.Contains(theirs.Voters, me):
		return "the roots have let it in; consensus follows", false
	case i < 0:
		return "waiting for the roots", false
	case mine.Applied < theirs.Applied:
		return fmt.Sprintf("it gets the log: %d %% of %d entries", 100*mine.Applied/max(theirs.Applied, 1), theirs.Applied), false
	}
	return "it has the log; waiting for the epoch with it", false
}

func (t *target) printJoining(w io.Writer, j *joining, voter string, st *admin.ZoneStatus) error {
	if t.asJSON {
		b, err := json.Marshal(j)
		if err == nil {
			_, err = fmt.Fprintf(w, "%s\n", b)
		}
		return err
	}
	fmt.Fprintf(w, "zone     %s\nnow      epoch %d.%d: %d voters, %d sign a decision\nto sign  epoch %d.%d: %d voters, %d sign a decision\n",
		j.Zone, st.Generation, st.Epoch, len(st.Voters), st.Quorum, st.Generation, j.Epoch.Number, len(j.Epoch.Voters), j.Quorum)
	for _, k := range j.Epoch.Voters {
		mark := ""
		if k == j.Key {
			mark = "  (new)"
		}
		fmt.Fprintf(w, "         %s%s\n", k, mark)
	}
	_, err := fmt.Fprintf(w, "by       %d of the %d roots, with: kwnode zone add %s --node %s --root KEYFILE\n", j.Wanted, len(j.Roots), j.Addr, voter)
	return err
}

// aliveTime is how long a voter has to answer that it is there.
const aliveTime = 3 * time.Second

// enough refuses a set of voters of whom too few answer now: with the change the zone would lose its quorum.
func enough(ctx context.Context, c *admin.Client, z *admin.Zone, keys []capsule.Key) error {
	ctx, cancel := context.WithTimeout(ctx, aliveTime)
	defer cancel()
	var mu sync.Mutex // guards dead
	var dead []capsule.Key
	var wg sync.WaitGroup
	for _, k := range keys {
		wg.Go(func() {
			var st admin.ZoneStatus
			err := c.Ask(ctx, k, &admin.Request{Op: admin.OpStatus, Zone: z.ID}, &st)
			if err != nil || st.Error != "" {
				mu.Lock()
				dead = append(dead, k)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	set := cert.VoterSet{Keys: keys}
	if need := set.Quorum(); len(keys)-len(dead) < need {
		sortKeys(dead)
		return fmt.Errorf("the zone would lose its quorum: of the %d voters to come %d must sign a decision, and %d do not answer: %v; bring them back or add others first", len(keys), need, len(dead), dead)
	}
	return nil
}
