package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/streams"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone/raft"
)

// rawRaft is three members of hashicorp/raft with raft-boltdb as they come, over the streams that the zone uses too, with
// a state machine that does nothing.
type rawRaft struct {
	mesh   mesh
	hosts  []*p2p.Host
	nodes  []*hraft.Raft
	stores []*raftboltdb.BoltStore
}

const rawProto = "/bench/raw/1"

type nothing struct{}

func (nothing) Apply(*hraft.Log) any                 { return nil }
func (nothing) Snapshot() (hraft.FSMSnapshot, error) { return nothing{}, nil }
func (nothing) Restore(r io.ReadCloser) error        { return r.Close() }
func (nothing) Persist(s hraft.SnapshotSink) error   { return s.Close() }
func (nothing) Release()                             {}

// rawLayer is hashicorp/raft's view of a host.
type rawLayer struct {
	t    streams.Transport
	l    raft.Listener
	self string
}

type rawAddr string

func (rawAddr) Network() string  { return "bench" }
func (a rawAddr) String() string { return string(a) }

func (r *rawLayer) Accept() (net.Conn, error) { c, _, err := r.l.Accept(); return c, err }
func (r *rawLayer) Close() error              { return r.l.Close() }
func (r *rawLayer) Addr() net.Addr            { return rawAddr(r.self) }

func (r *rawLayer) Dial(addr hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	k, err := capsule.ParseKey(string(addr))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return r.t.Dial(ctx, k, rawProto)
}

func newRaw(ctx context.Context, dir string) (r *rawRaft, err error) {
	r = &rawRaft{}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	var conf hraft.Configuration
	for i := range voters {
		k := identity(uint64(200 + i)).Key().String()
		conf.Servers = append(conf.Servers, hraft.Server{ID: hraft.ServerID(k), Address: hraft.ServerAddress(k)})
	}
	for i := range voters {
		if err := r.start(i, dir, conf); err != nil {
			return r, err
		}
	}
	_, err = r.leader(ctx)
	return r, err
}

func (r *rawRaft) start(i int, dir string, conf hraft.Configuration) error {
	id := identity(uint64(200 + i))
	h, err := r.mesh.host(id)
	if err != nil {
		return err
	}
	r.hosts = append(r.hosts, h)
	l, err := streams.Transport{Host: h}.Listen(rawProto, func(capsule.Key) bool { return true })
	if err != nil {
		return err
	}
	store, err := raftboltdb.New(raftboltdb.Options{Path: filepath.Join(dir, fmt.Sprintf("raw%d", i))})
	if err != nil {
		return err
	}
	r.stores = append(r.stores, store)
	quiet := hclog.NewNullLogger()
	t := hraft.NewNetworkTransportWithLogger(&rawLayer{streams.Transport{Host: h}, l, id.Key().String()}, 3, 10*time.Second, quiet)
	c := hraft.DefaultConfig()
	c.LocalID, c.Logger, c.BatchApplyCh, c.NoLegacyTelemetry = conf.Servers[i].ID, quiet, true, true
	snaps := hraft.NewInmemSnapshotStore()
	if err := hraft.BootstrapCluster(c, store, store, snaps, t, conf); err != nil {
		return err
	}
	n, err := hraft.NewRaft(c, nothing{}, store, store, snaps, t)
	if err != nil {
		return err
	}
	r.nodes = append(r.nodes, n)
	return nil
}

func (r *rawRaft) leader(ctx context.Context) (*hraft.Raft, error) {
	for ctx.Err() == nil {
		for _, n := range r.nodes {
			if n.State() == hraft.Leader {
				return n, nil
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, ctx.Err()
}

func (r *rawRaft) close() {
	for _, n := range r.nodes {
		_ = n.Shutdown().Error()
	}
	for _, s := range r.stores {
		_ = s.Close()
	}
	for _, h := range r.hosts {
		_ = h.Close()
	}
}
