package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/streams"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

const voters = 3

// bed is a zone of three voters in this process, with credits and a namespace.
type bed struct {
	dir     string
	mesh    mesh
	timing  raft.Timing
	genesis []byte
	g       *cert.Genesis
	id      capsule.ZoneID
	root    *capsule.Identity
	author  *capsule.Identity
	owner   *capsule.Identity
	keys    []*capsule.Identity
	hosts   []*p2p.Host
	zones   []*zone.Zone
	chain   capsule.Chain
	nonce   uint64
	seq     uint64
}

func identity(n uint64) *capsule.Identity {
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], n)
	return capsule.IdentityFromSeed(seed)
}

func now() uint64 { return uint64(time.Now().UnixMilli()) }

// newBed founds the zone and waits until it admits.
func newBed(ctx context.Context, dir string, timing raft.Timing) (b *bed, err error) {
	b = &bed{dir: dir, timing: timing, root: identity(1), author: identity(2), owner: identity(3)}
	for i := range voters {
		b.keys = append(b.keys, identity(uint64(100+i)))
	}
	slices.SortFunc(b.keys, func(x, y *capsule.Identity) int {
		kx, ky := x.Key(), y.Key()
		return bytes.Compare(kx[:], ky[:])
	})
	b.g = &cert.Genesis{V: cert.Version, Roots: []capsule.Key{b.root.Key()}, MeterVersion: 1,
		Thresholds: cert.Thresholds{Policy: 1, Mint: 1, Membership: 1, Recover: 1}}
	for _, k := range b.keys {
		b.g.Voters = append(b.g.Voters, k.Key())
	}
	if b.genesis, err = b.g.Bytes(); err != nil {
		return nil, err
	}
	b.id = capsule.ZoneID(capsule.Sum(b.genesis))
	b.hosts, b.zones = make([]*p2p.Host, voters), make([]*zone.Zone, voters)
	for i := range voters {
		if err := b.start(i); err != nil {
			b.close()
			return nil, err
		}
	}
	if err := b.furnish(ctx); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bed) start(i int) (err error) {
	if b.hosts[i], err = b.mesh.host(b.keys[i]); err != nil {
		return err
	}
	b.zones[i], err = zone.Open(zone.Config{
		Identity: b.keys[i], Genesis: b.genesis, Dir: filepath.Join(b.dir, fmt.Sprint(i)), Transport: streams.Transport{Host: b.hosts[i]},
		Now: now, Timing: b.timing,
	})
	return err
}

// kill takes a voter off the network at once, then closes it.
func (b *bed) kill(i int) error {
	err := b.hosts[i].Close()
	_ = b.zones[i].Close()
	b.hosts[i], b.zones[i] = nil, nil
	return err
}

func (b *bed) close() {
	for i := range b.zones {
		if b.zones[i] != nil {
			_ = b.zones[i].Close()
		}
		if b.hosts[i] != nil {
			_ = b.hosts[i].Close()
		}
	}
}

// leader waits for a voter that leads.
func (b *bed) leader(ctx context.Context) (int, error) {
	for ctx.Err() == nil {
		for i, z := range b.zones {
			if z != nil && z.Status().State == "Leader" {
				return i, nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return 0, ctx.Err()
}

func (b *bed) admin(ctx context.Context, op cert.Op, body any) error {
	raw, err := capsule.Marshal(body)
	if err != nil {
		return err
	}
	b.seq++
	s, err := cert.SignAdmin(b.g, &cert.Admin{V: cert.Version, Zone: b.id, Sequence: b.seq, Op: op, Body: raw}, b.root)
	if err != nil {
		return err
	}
	cmd, err := machine.NewAdmin(s)
	if err != nil {
		return err
	}
	_, err = propose(ctx, b.zones[0], cmd)
	return err
}

func (b *bed) furnish(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if b.chain, err = b.owner.Delegate(nil, capsule.Grant{
		Audience: b.author.Key(), Subject: b.id, Gas: 1 << 40, NotBefore: 1, Expires: 1 << 50,
		Caps: []capsule.Cap{{Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete}},
	}); err != nil {
		return err
	}
	pol := machine.DefaultPolicy()
	pol.Bounds.Queue = 1 << 30
	return errors.Join(
		b.admin(ctx, cert.OpCredit, &machine.Credit{Account: b.author.Key(), Amount: 1 << 60}),
		b.admin(ctx, cert.OpCredit, &machine.Credit{Account: b.owner.Key(), Amount: 1 << 50}),
		b.admin(ctx, cert.OpNamespace, &machine.GiveNamespace{Name: "orders", Owner: b.owner.Key(), Quota: 1 << 30}),
		b.admin(ctx, cert.OpPolicy, &pol),
	)
}

// seal makes the admission of a new capsule, as a client would send it.
func (b *bed) seal() ([]byte, *capsule.Capsule, error) {
	m := &capsule.Manifest{
		Home: b.id, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: []byte("in"), Gas: 1_000_000, MaxPrice: 1 << 40,
		Expires: now() + 3_600_000, MeterVersion: 1, Limits: capsule.Limits{MemoryPages: 16, StateBytes: 1 << 16},
		Needs: []capsule.Need{{Zone: b.id, Resource: "kv/orders/*", Ability: capsule.Read | capsule.Write | capsule.Delete}},
	}
	b.nonce++
	binary.BigEndian.PutUint64(m.Nonce[:], b.nonce)
	c, err := capsule.Seal(b.author, m, []capsule.Chain{b.chain})
	if err != nil {
		return nil, nil, err
	}
	cmd, err := machine.NewAdmit(c.Bytes())
	return cmd, c, err
}

func (b *bed) seals(n int) ([][]byte, error) {
	out := make([][]byte, n)
	for i := range out {
		var err error
		if out[i], _, err = b.seal(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// propose has a command decided and certified.
func propose(ctx context.Context, z *zone.Zone, cmd []byte) (*zone.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := z.Propose(ctx, cmd)
	if err != nil {
		return nil, err
	}
	if out.Result.Refusal != nil {
		return nil, out.Result.Refusal
	}
	return out, nil
}

func subdir(o *options, name string) (string, error) {
	dir := filepath.Join(o.dir, name)
	return dir, os.MkdirAll(dir, 0o700)
}
