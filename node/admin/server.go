package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// Config says whom a node obeys.
type Config struct {
	Node      *node.Node
	Zones     []capsule.ZoneID // that the node takes part in
	Operators []capsule.Key    // beside the node's own key
	Logger    *slog.Logger
}

// server answers on one node.
type server struct {
	cfg    Config
	key    capsule.Key // the node's
	chains *capsule.Cache
	// revoked reports whether a zone's state, as it stands here, has a grant as withdrawn.
	revoked func(capsule.ZoneID, capsule.Hash) (bool, error)
}

// limits: an operator asks little, and a stranger even less.
var limits = p2p.StreamLimits{Rate: 50, Burst: 100, PerPeer: 16, Streams: 128, Memory: MaxRequest, Timeout: time.Minute}

// Serve makes the node answer Proto until its host closes.
func Serve(cfg Config) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{cfg: cfg, key: cfg.Node.Key(), chains: capsule.NewCache(256 << 10)}
	s.revoked = s.revokedHere
	if err := cfg.Node.Host().Handle(ProtoBackup, backupLimits, s.serveBackup); err != nil {
		return err
	}
	return cfg.Node.Host().Handle(Proto, limits, func(ctx context.Context, peer capsule.Key, st *p2p.Stream) {
		api.Each(ctx, st, MaxRequest, func(req *Request) error {
			out, err := s.answer(ctx, peer, req)
			if err != nil {
				return api.Refuse(st, refusal(err))
			}
			b, err := json.Marshal(out)
			if err != nil {
				return err
			}
			return api.Accept(st, &Reply{V: Version, JSON: b})
		})
	})
}

// CodeDenied: the asker may not.
const CodeDenied = string(machine.CodeDenied)

func denied(format string, args ...any) error {
	return &api.Refusal{Code: CodeDenied, Detail: fmt.Sprintf(format, args...)}
}

func refusal(err error) *api.Refusal {
	var own *api.Refusal
	var m *machine.Refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &m):
		return &api.Refusal{Code: string(m.Code), Detail: m.Error()}
	case errors.Is(err, machine.ErrNotFound):
		return &api.Refusal{Code: api.CodeUnknown, Detail: err.Error()}
	case errors.Is(err, raft.ErrNoQuorum):
		return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error()} // asking again won't help
	}
	return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error(), Retry: 500}
}

func (s *server) operator(peer capsule.Key) bool {
	return peer == s.key || slices.Contains(s.cfg.Operators, peer)
}

// inspector reports whether the peer may see what operators see: it is one, or brings a grant of CapInspect from one.
func (s *server) inspector(peer capsule.Key, chain capsule.Chain) bool {
	if s.operator(peer) {
		return true
	}
	if len(chain) == 0 {
		return false
	}
	now := uint64(time.Now().UnixMilli())
	return slices.ContainsFunc(s.cfg.Zones, func(z capsule.ZoneID) bool {
		v, err := chain.Verify(s.chains, s.operator, z, now)
		return err == nil && v.Audience() == peer && v.Permits(CapInspect)&capsule.Read != 0 && s.stands(z, v) == nil
	})
}

// stands returns why a chain is worth nothing any more although its time is not over: one of its grants was revoked.
func (s *server) stands(z capsule.ZoneID, c *capsule.VerifiedChain) error {
	for i := range c.Len() {
		is, err := s.revoked(z, c.Hash(i))
		if err != nil {
			return err
		}
		if is {
			return &api.Refusal{Code: string(machine.CodeRevoked), Detail: fmt.Sprintf("the grant %s was revoked; ask %s for another", c.Hash(i), c.Grant(i).Issuer)}
		}
	}
	return nil
}

// revokedHere asks the voter of a zone in this process. A node without one knows of no revocation.
func (s *server) revokedHere(id capsule.ZoneID, grant capsule.Hash) (bool, error) {
	z := s.cfg.Node.Voter(id)
	if z == nil {
		return false, nil
	}
	v, err := z.Query()
	if err != nil {
		return false, err
	}
	defer v.Close()
	return v.Revoked(grant)
}

func (s *server) answer(ctx context.Context, peer capsule.Key, req *Request) (any, error) {
	if req.V != Version {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("version %d, this node knows %d", req.V, Version)}
	}
	switch req.Op {
	case OpNode:
		return s.node(s.inspector(peer, req.Chain)), nil
	case OpPeers, OpTopics, OpDHT:
		if !s.inspector(peer, req.Chain) {
			return nil, denied("only operators of this node may ask for %q, and who has a grant of theirs: start it with --operator %s, or have an operator sign: kwnode zone grant --zone ZONE --to %s --cap %s=read", req.Op, peer, peer, CapInspect)
		}
		switch req.Op {
		case OpPeers:
			return s.cfg.Node.Host().Snapshot(), nil
		case OpTopics:
			return s.cfg.Node.Mesh().Snapshot(), nil
		}
		return s.cfg.Node.Finder().Snapshot(), nil
	case OpDrain, OpBlock:
		if !s.operator(peer) {
			return nil, denied("only operators of this node may order %q: start it with --operator %s", req.Op, peer)
		}
		if req.Op == OpBlock {
			return s.block(peer, req.Peers)
		}
		return s.drain(ctx)
	}
	z := s.cfg.Node.Voter(req.Zone)
	if z == nil {
		return nil, &api.Refusal{Code: api.CodeNotVoter, Detail: "this node is no voter of zone " + req.Zone.String()}
	}
	switch req.Op {
	case OpStatus:
		return status(z)
	case OpVoters:
		return voters(ctx, z, req.Act)
	}
	v, err := view(ctx, z, req.Stale)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	all, err := s.all(v, peer)
	if err != nil {
		return nil, err
	}
	a := &asker{server: s, z: z, v: v, peer: peer, all: all, rows: int(min(req.Rows, MaxRows))}
	if a.rows == 0 {
		a.rows = 100
	}
	return a.answer(req)
}

// view is the newest state if it can be had.
func view(ctx context.Context, z *zone.Zone, stale bool) (*zone.View, error) {
	if stale {
		return z.Query()
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	v, err := z.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("no quorum answers: %w; a stale read shows what this voter has", err)
	}
	return v, nil
}

// all reports whether the peer may see everything of the zone.
func (s *server) all(v *zone.View, peer capsule.Key) (bool, error) {
	if s.operator(peer) {
		return true, nil
	}
	b, err := v.Genesis()
	if err != nil {
		return false, err
	}
	g, _, err := cert.ParseGenesis(b)
	if err != nil {
		return false, err
	}
	return slices.Contains(g.Roots, peer), nil
}

func (s *server) node(operator bool) *NodeInfo {
	n := s.cfg.Node
	i := &NodeInfo{
		Key: n.Key(), Peer: n.Key().PeerID(), Addrs: n.Addrs(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
		Protocols: n.Host().Protocols(), Zones: s.cfg.Zones,
	}
	slices.Sort(i.Protocols)
	if b, ok := debug.ReadBuildInfo(); ok {
		i.Version = b.Main.Version
	}
	for _, z := range s.cfg.Zones {
		if n.Voter(z) != nil {
			i.Voter = append(i.Voter, z)
		}
	}
	if operator {
		for _, w := range n.Workers() {
			st := w.Status()
			i.Workers = append(i.Workers, WorkerStatus{st.Zone, st.Voter, st.Running, st.Segments, st.Draining})
		}
	}
	return i
}

func (s *server) block(asker capsule.Key, peers []capsule.Key) (*Done, error) {
	if len(peers) > MaxPeers {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("%d peers to block, at most %d", len(peers), MaxPeers)}
	}
	if slices.Contains(peers, asker) {
		return nil, denied("who blocks themself could not take it back")
	}
	s.cfg.Node.Block(peers...)
	return &Done{}, nil
}

func (s *server) drain(ctx context.Context) (*Done, error) {
	for _, w := range s.cfg.Node.Workers() {
		if err := w.Drain(ctx); err != nil {
			return nil, err
		}
	}
	return &Done{}, nil
}

func status(z *zone.Zone) (*ZoneStatus, error) {
	st := &ZoneStatus{Status: z.Status()}
	v, err := z.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	row, err := v.Zone()
	if errors.Is(err, machine.ErrNotFound) {
		return st, nil // not founded yet, or nothing of the log has arrived here
	}
	if err != nil {
		return nil, err
	}
	n, err := v.Counts()
	if err != nil {
		return nil, err
	}
	st.AdminSequence, st.PolicyVersion, st.Feature = row.AdminSequence, row.PolicyVersion, row.Feature
	st.Workers, st.FreeSlots, st.Live, st.Queued = n.Workers, n.FreeSlots, n.Live, n.Queued
	st.Admitted, st.Ended, st.Floor = n.Admitted, n.Ended, n.Floor
	return st, nil
}

// voters changes the voter set. The act is checked by every voter before it signs: who brought it doesn't count.
func voters(ctx context.Context, z *zone.Zone, act []byte) (*Done, error) {
	var s cert.SignedAdmin
	if err := capsule.Unmarshal(act, &s); err != nil {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()}
	}
	out, err := z.ChangeVoters(ctx, &s)
	if err != nil {
		return nil, err
	}
	if out.Result.Refusal != nil {
		return nil, out.Result.Refusal
	}
	return &Done{Index: out.Index}, nil
}

// asker is one request for a zone's state.
type asker struct {
	*server
	z    *zone.Zone
	v    *zone.View
	peer capsule.Key
	all  bool // may see everything
	rows int
}

func (a *asker) answer(req *Request) (any, error) {
	switch req.Op {
	case OpPolicy:
		return a.v.Policy()
	case OpAccounts:
		return a.accounts(req.After)
	case OpNamespaces:
		out := []NamespaceInfo{}
		err := a.v.Namespaces(string(req.After), MaxRows, func(name string, n machine.NamespaceRow) {
			if len(out) < a.rows && (a.all || n.Owner == a.peer) {
				out = append(out, NamespaceInfo{name, n.Owner, n.Quota, n.Used, n.Frozen, n.Sequence})
			}
		})
		return out, err
	case OpCapsules:
		return a.capsules(req.After, a.all || a.inspector(a.peer, req.Chain))
	case OpGet:
		return a.get(req)
	case OpScan:
		return a.scan(req)
	}
	if req.Op == OpLearner && !a.all {
		if err := a.announced(req); err != nil {
			return nil, err
		}
		return &Done{}, a.z.AddLearner(req.Peer)
	}
	if !a.all {
		return nil, denied("only a root of the zone or an operator of this node may ask for %q; %s is neither", req.Op, a.peer)
	}
	switch req.Op {
	case OpWorkers:
		out := []WorkerInfo{}
		after, err := keyOf(req.After)
		if err != nil {
			return nil, err
		}
		err = a.v.Workers(after, a.rows, func(k capsule.Key, w machine.WorkerRow) { out = append(out, WorkerInfo{k, w}) })
		return out, err
	case OpLedger:
		out := []PeerInfo{}
		after, err := keyOf(req.After)
		if err != nil {
			return nil, err
		}
		err = a.v.Peers(capsule.ZoneID(after), a.rows, func(z capsule.ZoneID, p machine.PeerRow) {
			out = append(out, PeerInfo{z, p.Cap, p.Sent, p.Received, p.Frozen, p.Evidence})
		})
		return out, err
	case OpLearner:
		return &Done{}, a.z.AddLearner(req.Peer)
	case OpUnlearn:
		return &Done{}, a.z.RemoveLearner(req.Peer)
	case OpTransfer:
		return &Done{}, transfer(a.z, req.Peer)
	}
	return nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("unknown operation %.40q", req.Op)}
}

// announced checks that the roots want the peer as a voter: they have signed an epoch with it, which comes into force
// once the peer has the log.
func (a *asker) announced(req *Request) error {
	var s cert.SignedAdmin
	if err := capsule.Unmarshal(req.Act, &s); err != nil {
		return denied("only a root of the zone or an operator of this node lets %s have the log, or who brings an epoch with it that the roots have signed", req.Peer)
	}
	b, err := a.v.Genesis()
	if err != nil {
		return err
	}
	g, id, err := cert.ParseGenesis(b)
	if err != nil {
		return err
	}
	row, err := a.v.Zone()
	if err != nil {
		return err
	}
	act, err := s.Verify(g, id)
	if err != nil {
		return denied("%v", err)
	}
	var e cert.Epoch
	if act.Op != cert.OpEpoch || act.Generation != row.Generation || act.Sequence <= row.AdminSequence ||
		capsule.Unmarshal(act.Body, &e) != nil || !slices.Contains(e.Voters, req.Peer) {
		return denied("what the roots have signed is no coming epoch with %s", req.Peer)
	}
	return nil
}

func transfer(z *zone.Zone, to capsule.Key) error {
	err := z.Transfer(to)
	if errors.Is(err, raft.ErrNotLeader) {
		return err
	}
	if err != nil {
		return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error() + "; this voter leads on: see kwnode zone status whether the other is up and has the whole log, and try again"}
	}
	return nil
}

func keyOf(b []byte) (capsule.Key, error) {
	if len(b) == 0 {
		return capsule.Key{}, nil
	}
	if len(b) != len(capsule.Key{}) {
		return capsule.Key{}, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("a listing begins behind a key of 32 bytes, not %d", len(b))}
	}
	return capsule.Key(b), nil
}

func (a *asker) accounts(from []byte) ([]AccountInfo, error) {
	if !a.all {
		acc, err := a.v.Account(a.peer)
		return []AccountInfo{{a.peer, acc.Available, acc.Held}}, err
	}
	after, err := keyOf(from)
	if err != nil {
		return nil, err
	}
	out := []AccountInfo{}
	err = a.v.Accounts(after, a.rows, func(k capsule.Key, acc machine.Account) {
		out = append(out, AccountInfo{k, acc.Available, acc.Held})
	})
	return out, err
}

func (a *asker) capsules(from []byte, all bool) (*Capsules, error) {
	after, err := keyOf(from)
	if err != nil {
		return nil, err
	}
	out := &Capsules{Capsules: []CapsuleInfo{}}
	places, err := a.v.Places()
	if err != nil {
		return nil, err
	}
	var last capsule.ID
	seen := 0
	err = a.v.Capsules(capsule.ID(after), a.rows, func(id capsule.ID, c machine.CapsuleRow) {
		seen, last = seen+1, id
		if !all && c.Author != a.peer && c.Payer != a.peer {
			return
		}
		i := CapsuleInfo{ID: id, Author: c.Author, Payer: c.Payer, Status: c.Status.String(), Hop: c.Hop, Segment: c.Segment, Place: int(places[id]), Expires: c.Expires,
			Since: c.Since, Gas: c.Gas.Used + c.Gas.Spent + c.Gas.Retry, State: c.Run.Saved.Size}
		if c.Status == machine.StatusRunning {
			i.Worker = c.Lease.Worker.String()
		}
		switch c.Status {
		case machine.StatusOffered, machine.StatusAsked, machine.StatusLimbo:
			if o, err := a.v.Offered(id, c.Hop); err == nil {
				i.Offer = &OfferInfo{Target: o.Target, Expires: o.Expires, Credits: o.Credits}
				if c.Status == machine.StatusLimbo {
					i.Offer.GiveUp = c.Wake
				}
			}
		}
		out.Capsules = append(out.Capsules, i)
	})
	if seen == a.rows {
		out.Next = &last
	}
	return out, err
}

// mayRead checks the asker's right to a key, or to all keys with a prefix.
func (a *asker) mayRead(req *Request) error {
	if a.all {
		return nil
	}
	name, _, whole := strings.Cut(string(req.Key), "/")
	ns, err := a.v.Namespace(name)
	if err != nil {
		return denied("there is no namespace %.64q, or it isn't yours", name)
	}
	if ns.Owner == a.peer && whole {
		return nil
	}
	if len(req.Chain) == 0 {
		return denied("namespace %.64q is not yours; bring a grant of its owner", name)
	}
	head, err := a.v.Head()
	if err != nil {
		return err
	}
	root := func(k capsule.Key) bool { return k == ns.Owner }
	if b, err := a.v.Genesis(); err == nil {
		if g, _, err := cert.ParseGenesis(b); err == nil {
			root = func(k capsule.Key) bool { return k == ns.Owner || slices.Contains(g.Roots, k) }
		}
	}
	// The zone's time stands still while nothing happens; a grant doesn't live on because of that.
	c, err := req.Chain.Verify(a.chains, root, req.Zone, max(head.Time, uint64(time.Now().UnixMilli())))
	switch {
	case err != nil:
		return denied("the grant: %v", err)
	case c.Audience() != a.peer:
		return denied("the grant is for %s, this is %s", c.Audience(), a.peer)
	case req.Op == OpGet && machine.Permits(c.Caps(), machine.ResourceData, req.Key)&capsule.Read == 0,
		req.Op == OpScan && !machine.PermitsScan(c.Caps(), req.Key):
		return denied("the grant doesn't let you read %.80q", req.Key)
	}
	return a.stands(req.Zone, c)
}

func (a *asker) get(req *Request) (*RowInfo, error) {
	if err := a.mayRead(req); err != nil {
		return nil, err
	}
	r, err := a.v.Get(req.Key, 0)
	if errors.Is(err, machine.ErrNotFound) {
		return &RowInfo{Key: req.Key}, nil
	}
	return &RowInfo{r.Key, r.Value, r.Version}, err
}

func (a *asker) scan(req *Request) (*Rows, error) {
	if err := a.mayRead(req); err != nil {
		return nil, err
	}
	// In JSON and base64 a row takes up to twice its size.
	rows, more, err := a.v.Scan(req.Key, req.After, 0, a.rows, MaxReply/4)
	out := &Rows{Rows: []RowInfo{}, More: more, Index: a.v.Index()}
	for _, r := range rows {
		out.Rows = append(out.Rows, RowInfo{r.Key, r.Value, r.Version})
	}
	return out, err
}
