package demo

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/examples/investigation"
	"github.com/kitwork/kwnode/kit"
	"github.com/kitwork/kwnode/node/admin"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/testnet/proc"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
)

// names are the organisations in the order of their zones.
var names = []string{investigation.Home, investigation.Std, investigation.Core}

// Namespaces of every organisation: its rows, and what it notes of investigations.
const (
	rowsSpace  = "pkg"
	trailSpace = "trail"
)

// org is one organisation: a zone, and the key of its root, with which it is administered and its rows are written.
type org struct {
	name    string
	zone    admin.Zone
	root    *capsule.Identity
	c       *admin.Client
	nodes   []proc.NodeState
	workers map[capsule.Key]string // node by the key that works on it
	rows    int
}

func openOrg(ctx context.Context, dir string, st *proc.State, i int) (*org, error) {
	z := st.Zones[i]
	o := &org{name: z.Name, workers: map[capsule.Key]string{}}
	var err error
	if o.root, err = capsule.LoadIdentity(filepath.Join(dir, z.Root)); err != nil {
		return nil, err
	}
	for _, n := range st.Nodes {
		if n.Zone != z.Name {
			continue
		}
		o.nodes = append(o.nodes, n)
		w, err := capsule.LoadIdentity(filepath.Join(dir, n.Name, "worker.key"))
		if err != nil {
			return nil, err
		}
		o.workers[w.Key()] = n.Name
	}
	if o.c, err = admin.Dial(ctx, o.nodes[0].Addr, o.root); err != nil {
		return nil, err
	}
	zones, err := o.c.Zones(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(zones, func(x admin.Zone) bool { return x.ID == z.ID })
	if at < 0 {
		return nil, fmt.Errorf("%s does not serve zone %s", o.nodes[0].Name, z.Name)
	}
	o.zone = zones[at]
	for _, n := range o.nodes[1:] { // so that it stays within reach when the first is gone
		if _, err := o.c.Connect(ctx, n.Addr); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// endow gives credits and makes the namespaces.
func (o *org) endow(ctx context.Context, client capsule.Key) error {
	for _, k := range []capsule.Key{client, o.root.Key()} { // the root pays for the space that its rows take
		if err := o.c.Act(ctx, &o.zone, cert.OpCredit, &machine.Credit{Account: k, Amount: 1 << 45}, o.root); err != nil {
			return err
		}
	}
	for _, name := range []string{rowsSpace, trailSpace} {
		if err := o.c.Act(ctx, &o.zone, cert.OpNamespace, &machine.GiveNamespace{Name: name, Owner: o.root.Key(), Quota: 64 << 20}, o.root); err != nil {
			return err
		}
	}
	return nil
}

// rights are what an organisation lets the investigator do: its rows may be looked at inside the zone, and what it notes be
// written there.
func (o *org) rights(client capsule.Key) (capsule.Chain, error) {
	return o.root.Delegate(nil, capsule.Grant{
		Audience: client, Subject: o.zone.ID, Gas: 1 << 50, NotBefore: 1, Expires: uint64(time.Now().Add(24 * time.Hour).UnixMilli()),
		Caps: []capsule.Cap{
			{Resource: "kv/" + rowsSpace + "/*", Ability: capsule.Read | capsule.Export},
			{Resource: "kv/" + trailSpace + "/*", Ability: capsule.Read | capsule.Write | capsule.Export},
		},
	})
}

// needs are the same, as a capsule asks for them.
func (o *org) needs() []capsule.Need {
	return []capsule.Need{
		{Zone: o.zone.ID, Resource: "kv/" + rowsSpace + "/*", Ability: capsule.Read | capsule.Export},
		{Zone: o.zone.ID, Resource: "kv/" + trailSpace + "/*", Ability: capsule.Read | capsule.Write | capsule.Export},
	}
}

// batch is how many rows one command writes: a stranger's command is at most a megabyte.
const batch = 400

// fill writes the organisation's rows.
func (o *org) fill(ctx context.Context, g *graph) error {
	var writes []machine.Write
	for _, path := range g.owned(o.name) {
		b, err := kit.Marshal(g.rows[path])
		if err != nil {
			return err
		}
		writes = append(writes, machine.Write{Key: []byte(rowsSpace + "/" + path), Value: b})
	}
	o.rows = len(writes)
	for part := range slices.Chunk(writes, batch) {
		st, err := o.c.Status(ctx, &o.zone)
		if err != nil {
			return err
		}
		var key [16]byte
		if _, err := rand.Read(key[:]); err != nil {
			return err
		}
		cmd, err := machine.NewData(o.root, key, &machine.Data{
			Scope: machine.NewScope(o.zone.ID, st.Generation), Reads: []machine.Read{}, Writes: part, Chain: capsule.Chain{},
			Expires: max(st.Time, uint64(time.Now().UnixMilli())) + 60_000,
		})
		if err != nil {
			return err
		}
		if _, err := o.c.Command(ctx, &o.zone, cmd); err != nil {
			return err
		}
	}
	return nil
}

// leader is the node that leads the zone now, or "".
func (o *org) leader(ctx context.Context) string {
	st, err := o.c.Status(ctx, &o.zone)
	if err != nil {
		return ""
	}
	for _, n := range o.nodes {
		if n.Key == st.Leader {
			return n.Name
		}
	}
	return ""
}

// find is a capsule as the zone has it; ok is false if it has never been there.
func (o *org) find(ctx context.Context, id capsule.ID) (info admin.CapsuleInfo, ok bool) {
	before := id // a listing begins behind a key
	for i := len(before) - 1; i >= 0; i-- {
		before[i]--
		if before[i] != 0xff {
			break
		}
	}
	var list admin.Capsules
	req := &admin.Request{Op: admin.OpCapsules, Stale: true, Rows: 1, After: before[:]}
	if err := o.c.AskZone(ctx, &o.zone, req, &list); err != nil || len(list.Capsules) == 0 || list.Capsules[0].ID != id {
		return info, false
	}
	return list.Capsules[0], true
}

// noted is what the organisation has noted of a case.
func (o *org) noted(ctx context.Context, name string, stale bool) (n investigation.Note, err error) {
	var row admin.RowInfo
	req := &admin.Request{Op: admin.OpGet, Key: []byte(trailSpace + "/" + name), Stale: stale}
	if err := o.c.AskZone(ctx, &o.zone, req, &row); err != nil || row.Version == 0 {
		return n, err
	}
	return kit.Unmarshal[investigation.Note](row.Value)
}

// ledger is what the zone has sent to each other zone and received from it, in credits.
func (o *org) ledger(ctx context.Context) (map[capsule.ZoneID]admin.PeerInfo, error) {
	var list []admin.PeerInfo
	if err := o.c.AskZone(ctx, &o.zone, &admin.Request{Op: admin.OpLedger, Rows: admin.MaxRows}, &list); err != nil {
		return nil, err
	}
	out := map[capsule.ZoneID]admin.PeerInfo{}
	for _, p := range list {
		out[p.Zone] = p
	}
	return out, nil
}

// far is how many bytes its nodes have sent to other organisations and the investigator abroad, by protocol.
func (o *org) far(ctx context.Context, add map[string]uint64) error {
	for _, n := range o.nodes {
		var s p2p.Snapshot
		if err := o.c.Ask(ctx, n.Key, &admin.Request{Op: admin.OpPeers}, &s); err != nil {
			return fmt.Errorf("%s: %w", n.Name, err)
		}
		for proto, bytes := range s.Far {
			add[proto] += bytes
		}
	}
	return nil
}
