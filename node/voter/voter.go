// Package voter serves the protocols that a zone's clients, gateways and workers speak, from one voter of the zone. It
// must never decide anything: what it is asked to change becomes a command of the zone's log, what it tells is read from
// the zone's state.
package voter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/attest"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/machine"
	"github.com/kitwork/kwnode/zone/raft"
)

// Contents is where code and states are kept by hash.
type Contents interface {
	Has(id capsule.CID) bool
	Put(codec capsule.Codec, b []byte) (capsule.CID, error)
	// Lend is Put that waits for no disk.
	Lend(codec capsule.Codec, b []byte) (capsule.CID, error)
	// Keep protects content from eviction until Release by the same owner.
	Keep(id capsule.CID, owner string)
	Release(id capsule.CID, owner string)
	Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error)
	// Borrow is Fetch that waits for no disk. Flush does, and fails if the content is gone.
	Borrow(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error)
	Flush(id capsule.CID) error
}

// Config joins a voter to what surrounds it.
type Config struct {
	Zone     *zone.Zone
	Identity *capsule.Identity
	Genesis  []byte
	Contents Contents
	// Verified remembers signatures and chains; may be nil.
	Verified *capsule.Cache
	Promises string // file of what this voter has promised to hold
	// Elsewhere names voters of another zone, as far as they are known; may be nil.
	Elsewhere func(z capsule.ZoneID) []capsule.Key
	// Open reaches another voter, Hint says where.
	Open func(ctx context.Context, k capsule.Key, proto string) (net.Conn, error)
	Hint func(p api.Peer)
	// Ahead tells a zone of a state that it is about to be offered; nil tells nobody.
	Ahead func(target capsule.ZoneID, a api.Ahead)
	// Fits checks a continuation against its code in bounded memory and time. A refusal with api.CodeUnfit condemns it.
	Fits     func(ctx context.Context, m *capsule.Manifest, state []byte, fetch func(capsule.CID) ([]byte, error)) error
	Peers    func(keys []capsule.Key) []api.Peer // where keys can be reached, as known here
	Gateways func() []api.Peer
	// Forward asks a voter of another zone for the result of a capsule that went there.
	Forward func(ctx context.Context, req *api.ResultRequest) (*api.Outcome, error)
	// Publish gossips a capsule to the zone's other voters, if it is small enough; nil: it is not gossiped.
	Publish func(c *capsule.Capsule)
	Logger  *slog.Logger
}

// Server answers for one voter.
type Server struct {
	cfg     Config
	id      capsule.ZoneID
	watch   *watches
	queue   queue
	keep    *keeper
	vouches chan struct{} // a token for each Vouch whose content is on its way
	// holds are maxHoldBytes for contents that this voter is asked to hold. Turns are taken: many small ones can't keep a large
	// one out.
	holds   *semaphore.Weighted
	words   words
	pending *pending

	ctx    context.Context // ends with the server
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// New makes a server. It serves what its Handle methods are given.
func New(cfg Config) (*Server, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, id: cfg.Zone.ID(), watch: newWatches(), pending: newPending(), holds: semaphore.NewWeighted(maxHoldBytes), vouches: make(chan struct{}, attest.AtOnce)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	var err error
	if s.keep, err = newKeeper(s); err != nil {
		s.cancel()
		return nil, err
	}
	s.wg.Go(s.keep.run)
	s.wg.Go(s.tend)
	return s, nil
}

// Close waits for what the server does in the background.
func (s *Server) Close() {
	s.cancel()
	s.wg.Wait()
	_ = s.keep.promises.close()
}

// refusal puts an error into words for the other side.
func refusal(err error) *api.Refusal {
	var own *api.Refusal
	var m *machine.Refusal
	var c *capsule.Refusal
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &m):
		return api.Because(string(m.Code), m)
	case errors.As(err, &c):
		return api.Because(string(c.Code), c)
	case errors.Is(err, zone.ErrBusy):
		return &api.Refusal{Code: api.CodeBusy, Detail: err.Error(), Retry: 1000}
	case errors.Is(err, machine.ErrNotFound):
		return &api.Refusal{Code: api.CodeUnknown, Detail: err.Error()}
	case errors.Is(err, raft.ErrNoQuorum):
		return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error()} // asking again won't help
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrStopped), errors.Is(err, raft.ErrUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error(), Retry: 500}
	}
	return &api.Refusal{Code: api.CodeUnavailable, Detail: err.Error(), Retry: 1000}
}

// reply answers with what fn gives.
func reply[T any](w io.Writer, body *T, err error) error {
	if err != nil {
		return api.Refuse(w, refusal(err))
	}
	return api.Accept(w, body)
}

const (
	proposeTimeout = 20 * time.Second
	readTimeout    = 5 * time.Second
)

// Submit serves one api.SubmitRequest whose content follows on the stream.
func (s *Server) Submit(ctx context.Context, req *api.SubmitRequest, stream io.ReadWriter) error {
	c, state, err := s.receive(req, stream)
	if err != nil {
		_ = api.Refuse(stream, refusal(err))
		if len(req.Contents) > 0 {
			return err // what is still on the way is no request
		}
		return nil
	}
	row, err := s.row(c.ID())
	if err != nil && !errors.Is(err, machine.ErrNotFound) {
		return api.Refuse(stream, refusal(err))
	}
	ended := row.Status.Ended() // then nobody needs its content any more
	if missing := s.missing(c, state); len(missing) > 0 && !ended {
		if id := c.Manifest().State; state != nil && len(s.missing(c, nil)) > len(missing) {
			missing = append(missing, id) // nothing of a capsule that is not complete is held
		}
		return api.Accept(stream, &api.SubmitReply{V: api.Version, Missing: missing, Ack: []byte{}})
	}
	ack, err := s.acknowledge(c, row.Status)
	if err != nil {
		return api.Refuse(stream, refusal(err))
	}
	if !ended {
		s.admit(c, state)
	}
	return api.Accept(stream, &api.SubmitReply{V: api.Version, Ack: ack, Missing: []capsule.CID{}})
}

// missing is what a capsule consists of and this node does not have: its state may be at hand, or be held with it.
func (s *Server) missing(c *capsule.Capsule, state []byte) (ids []capsule.CID) {
	m := c.Manifest()
	for _, id := range []capsule.CID{m.Code, m.Base, m.State} {
		if id.IsZero() || s.cfg.Contents.Has(id) || id == m.State && (state != nil || s.pending.stateOf(c.ID()) != nil) {
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// receive checks a submission and stores the content that came with it. A state that the log will have is returned instead:
// it is held as the capsule is.
func (s *Server) receive(req *api.SubmitRequest, stream io.Reader) (c *capsule.Capsule, state []byte, err error) {
	if r := req.Check(); r != nil {
		return nil, nil, r
	}
	now, err := s.cfg.Zone.Time()
	if err != nil {
		return nil, nil, err
	}
	// Zone time stands still while a zone is idle: the clock decides about a capsule that starts now, the log later.
	c, err = capsule.Verify(req.Envelope, max(now, uint64(time.Now().UnixMilli())), s.cfg.Verified)
	if err != nil {
		return nil, nil, err
	}
	if c.Manifest().Home != s.id {
		return nil, nil, &api.Refusal{Code: api.CodeUnknownZone, Detail: fmt.Sprintf("the capsule's home is zone %s, this voter is of %s", c.Manifest().Home, s.id)}
	}
	m := c.Manifest()
	for _, content := range req.Contents {
		if content.CID != m.Code && content.CID != m.Base && content.CID != m.State {
			return nil, nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("content %s is no part of the capsule", content.CID)}
		}
		var b buffer
		if err := api.Unpack(stream, content, &b); err != nil {
			return nil, nil, &api.Refusal{Code: api.CodeProtocol, Detail: err.Error()}
		}
		if content.CID == m.State && len(b) > 0 && len(b) <= machine.MaxInline {
			state = b
			continue
		}
		if _, err := s.cfg.Contents.Put(content.CID.Codec, b); err != nil {
			return nil, nil, err
		}
	}
	return c, state, nil
}

// buffer collects content; api.Unpack bounds it.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	// Doubled, it leaves as much garbage as it holds; append alone leaves five times as much of a module.
	if n := len(*b) + len(p); n > cap(*b) {
		*b = slices.Grow(*b, max(n, 2*cap(*b))-len(*b))
	}
	*b = append(*b, p...)
	return len(p), nil
}

func (s *Server) acknowledge(c *capsule.Capsule, status machine.Status) ([]byte, error) {
	now, err := s.cfg.Zone.Time()
	if err != nil {
		return nil, err
	}
	set := s.cfg.Zone.Voters()
	return api.SignAck(s.cfg.Identity, api.Ack{Zone: s.id, Generation: set.Generation, Epoch: set.Epoch, Capsule: c.ID(), Time: now, Status: status})
}

// admit holds a capsule until the zone has decided it, and proposes it.
func (s *Server) admit(c *capsule.Capsule, state []byte) {
	s.Reserve(c.Manifest())
	if !s.pending.claim(c, state) {
		return // it is on its way
	}
	s.wg.Go(func() { s.propose(c, state) })
}

// held reports whether a capsule is on its way to being admitted from here.
func (s *Server) held(id capsule.ID) bool { return s.pending.has(id) }

// Command serves one api.CommandRequest.
func (s *Server) Command(ctx context.Context, req *api.CommandRequest, w io.Writer) error {
	out, err := s.command(ctx, req)
	return reply(w, out, err)
}

func (s *Server) command(ctx context.Context, req *api.CommandRequest) (*api.CommandReply, error) {
	if err := s.mine(req.V, req.Zone); err != nil {
		return nil, err
	}
	if len(req.Command) > api.MaxCommand {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("a command of %d bytes, at most %d", len(req.Command), api.MaxCommand)}
	}
	if len(req.First) > api.MaxHolds {
		return nil, &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("%d attestations before a command, at most %d", len(req.First), api.MaxHolds)}
	}
	for _, cmd := range req.First {
		if machine.KindOf(cmd) != machine.KindAttest {
			return nil, &api.Refusal{Code: api.CodeProtocol, Detail: "only attestations go before a command"}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	out, err := s.cfg.Zone.Propose(ctx, append(req.First, req.Command)...)
	if err != nil {
		return nil, err
	}
	r := &out.Result
	if r.Refusal != nil {
		return nil, r.Refusal
	}
	rep := &api.CommandReply{V: api.Version, Index: out.Index, Repeated: r.Repeated, N: r.N}
	if !r.Capsule.IsZero() {
		rep.Status = r.Status.String()
	}
	return rep, nil
}

func (s *Server) mine(v uint8, z capsule.ZoneID) error {
	if v != api.Version {
		return &api.Refusal{Code: api.CodeProtocol, Detail: fmt.Sprintf("version %d, this node knows %d", v, api.Version)}
	}
	if z != s.id {
		return &api.Refusal{Code: api.CodeUnknownZone, Detail: fmt.Sprintf("this voter is of zone %s, not %s", s.id, z)}
	}
	return nil
}

// Info tells how the zone stands, to somebody who has a voter set of the past.
func (s *Server) Info(ctx context.Context, req *api.ZoneRequest) (*api.ZoneInfo, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	info := &api.ZoneInfo{V: api.Version, Zone: s.id, Genesis: s.cfg.Genesis, Descriptor: []byte{}, Epochs: [][]byte{}, Gateways: []api.Peer{}}
	if info.Epochs, err = epochs(&v.View, req.Epoch); err != nil {
		return nil, err
	}
	set, err := v.Voters()
	if err != nil {
		// Not founded yet: the genesis says who will vote.
		g, id, perr := cert.ParseGenesis(s.cfg.Genesis)
		if perr != nil {
			return nil, perr
		}
		set = g.VoterSet(id)
	}
	info.Voters = s.cfg.Peers(s.leaderFirst(set.Keys))
	if d, err := s.cfg.Zone.Descriptor(ctx); err == nil {
		info.Descriptor = d
	} else {
		s.cfg.Logger.Debug("told of the zone without a descriptor", "err", err)
	}
	if s.cfg.Gateways != nil {
		info.Gateways = s.cfg.Gateways()
	}
	return info, nil
}

// leaderFirst orders voters so that who asks turns to the one that proposes: any other passes on what it is asked for.
func (s *Server) leaderFirst(keys []capsule.Key) []capsule.Key {
	out := slices.Clone(keys)
	if leader, ok := s.cfg.Zone.Leader(); ok {
		api.First(out, leader)
	}
	return out
}

// since encodes the acts that lead from an epoch to the present one, of which there mostly are none.
func (s *Server) since(after uint64) ([][]byte, error) {
	if s.cfg.Zone.Voters().Epoch <= after {
		return [][]byte{}, nil
	}
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	return epochs(&v.View, after)
}

// epochs encodes the acts that lead from an epoch to the present one.
func epochs(v *machine.View, after uint64) ([][]byte, error) {
	out := [][]byte{}
	var fail error
	err := v.Epochs(after, api.MaxEpochs, func(_ uint64, act cert.SignedAdmin) {
		b, err := capsule.Marshal(&act)
		if err != nil {
			fail = err
			return
		}
		out = append(out, b)
	})
	return out, errors.Join(err, fail)
}
