package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p/find"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
)

const (
	maxKnown      = 1024             // zones that a node knows about
	maxTold       = 32               // voters of one that nodes have named without proof
	maxEpochsTold = api.MaxEpochs    // acts of one that are kept to be told on
	lookTime      = 5 * time.Second  // one search, for whoever waits for it
	lookAgain     = time.Second      // after a search that found nobody; clients come again as soon
	lookNewer     = 5 * time.Minute  // after one that did: voters come and go
	lookLost      = 10 * time.Second // when none of the voters known is connected
	maxLooks      = 16               // searches at a time: strangers ask for zones that don't exist
	askEvery      = 3 * time.Second  // between questions who leads, of a zone that is used
)

// known is what this node knows of a zone. Node.mu guards its fields.
type known struct {
	tracker *cert.Tracker // nil before anybody has proved anything; only believe uses it, one at a time
	busy    bool          // the tracker is in use
	epochs  [][]byte      // acts that lead from the genesis to the tracker's newest set, unless they are too many
	info    api.ZoneInfo  // what was proved, to be told on
	voters  []capsule.Key // of the newest descriptor, first the leader as it was last told
	asked   time.Time     // last question who leads
	turn    int           // of the voter that was asked
	expires uint64        // of the descriptor, Unix ms
	told    []capsule.Key // named by nodes that this one was given
	looked  time.Time     // last search
	looking chan struct{} // closed when the search under way ends
	missing error         // what the last search ended with; nil: it found somebody
}

// zoneOf returns what is known of a zone, if there is room to know it. n.mu is held.
func (n *Node) zoneOf(z capsule.ZoneID) *known {
	k := n.known[z]
	if k == nil {
		if len(n.known) >= maxKnown {
			for old, k := range n.known {
				if k.looking == nil && !k.busy && n.voters[old] == nil {
					delete(n.known, old)
					break
				}
			}
		}
		k = &known{}
		n.known[z] = k
	}
	return k
}

// discover begins to look for peers and zones, and to be found.
func (n *Node) discover() (err error) {
	n.finder, err = find.New(n.host, find.Config{
		Mode: n.cfg.DHT, Bootstrap: n.cfg.Peers, LAN: n.cfg.LAN,
		Check: func(ctx context.Context, z capsule.ZoneID, peer capsule.Key) error {
			return n.check(ctx, z, peer)
		},
	})
	return err
}

// provide announces the zones that this node votes in. What fails is repeated by the finder.
func (n *Node) provide() {
	for z := range n.voters {
		n.wg.Go(func() {
			if err := n.finder.Provide(n.ctx, z); err != nil && n.ctx.Err() == nil {
				n.log.Debug("zone not announced yet", "zone", z, "err", err)
			}
		})
	}
}

// check asks a peer for a zone and believes what proves itself.
func (n *Node) check(ctx context.Context, z capsule.ZoneID, peer capsule.Key) error {
	s, err := n.host.Dial(ctx, peer, api.ProtoZone)
	if err != nil {
		return err
	}
	defer s.Close()
	defer context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })()
	for before := int64(-1); ; {
		req := &api.ZoneRequest{V: api.Version, Zone: z}
		n.mu.Lock()
		if k := n.known[z]; k != nil && k.tracker != nil && !k.busy {
			set := k.tracker.Newest()
			req.Generation, req.Epoch = set.Generation, set.Epoch
		}
		n.mu.Unlock()
		zones, err := api.Ask[api.Zones](s, req, api.MaxMessage)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(zones.Zones, func(i api.ZoneInfo) bool { return i.Zone == z })
		if i < 0 {
			return fmt.Errorf("%s does not serve zone %s", peer, z)
		}
		err = n.believe(&zones.Zones[i], peer)
		// A zone of many epochs tells them in several answers.
		if !errors.Is(err, cert.ErrEpoch) || int64(req.Epoch) <= before {
			return err
		}
		before = int64(req.Epoch)
	}
}

var errBusy = fmt.Errorf("%w: what another node tells of the zone is being checked", find.ErrNotYet)

// believe takes what a node tells of a zone if it is the zone's own word. From a voter of the zone it takes that there is none yet,
// which is find.ErrNotYet.
func (n *Node) believe(z *api.ZoneInfo, from capsule.Key) error {
	n.mu.Lock()
	k := n.zoneOf(z.Zone)
	if k.busy {
		defer n.mu.Unlock()
		if uint64(time.Now().UnixMilli()) < k.expires {
			return nil // it was believed before, and is
		}
		return errBusy
	}
	k.busy = true
	t := k.tracker
	n.mu.Unlock()
	before := uint64(0)
	if t != nil {
		before = t.Newest().Epoch
	}
	t, d, err := z.Describe(z.Zone, t, uint64(time.Now().UnixMilli()))
	n.mu.Lock()
	defer n.mu.Unlock()
	k.busy = false
	if t == nil {
		return err
	}
	k.tracker = t
	if grown := t.Newest().Epoch - before; grown > 0 {
		k.epochs = append(k.epochs, z.Epochs[len(z.Epochs)-int(min(grown, uint64(len(z.Epochs)))):]...)
	}
	if api.Undescribed(err, t, from) {
		return fmt.Errorf("%w: %w", find.ErrNotYet, err)
	}
	if err != nil {
		return err
	}
	k.voters, k.expires = slices.Clone(d.Voters), d.Expires
	if len(z.Voters) > 0 {
		api.First(k.voters, z.Voters[0].Key) // whoever is named wrongly passes on what it is asked for
	}
	k.info = api.ZoneInfo{V: api.Version, Zone: z.Zone, Genesis: z.Genesis, Descriptor: z.Descriptor}
	for _, p := range z.Voters[:min(len(z.Voters), maxTold)] {
		if p.Key != n.Key() && slices.Contains(d.Voters, p.Key) {
			n.host.Hint(p.Key, p.Addrs[:min(len(p.Addrs), api.MaxAddrs)])
		}
	}
	return nil
}

// tell passes on what was proved of a zone that has no voter here, to somebody who has a voter set of the past. It never
// searches: nodes ask each other like this, and one question must not become many.
func (n *Node) tell(req *api.ZoneRequest) *api.ZoneInfo {
	n.mu.Lock()
	k := n.known[req.Zone]
	if k == nil || uint64(time.Now().UnixMilli()) >= k.expires || len(k.epochs) > maxEpochsTold || uint64(len(k.epochs)) != k.tracker.Newest().Epoch {
		n.mu.Unlock()
		return nil
	}
	info := k.info
	info.Epochs = [][]byte{}
	if req.Epoch < uint64(len(k.epochs)) {
		info.Epochs = slices.Clone(k.epochs[req.Epoch:])
	}
	voters := slices.Clone(k.voters)
	n.mu.Unlock()
	info.Voters, info.Gateways = n.peers(voters), []api.Peer{}
	return &info
}

// votersOf joins what is known of a zone's voters, proven ones first.
func (n *Node) votersOf(z capsule.ZoneID, first []capsule.Key) []capsule.Key {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []capsule.Key
	add := func(keys []capsule.Key) {
		for _, k := range keys {
			if k != n.Key() && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	if k := n.known[z]; k != nil {
		add(k.voters)
		defer add(k.told)
	}
	add(first)
	return out
}

// locate names voters of a zone, and looks for it first if none are known or what is known is old. It waits for a search
// only when there is nobody to name.
func (n *Node) locate(ctx context.Context, z capsule.ZoneID, first []capsule.Key) []capsule.Key {
	have := n.votersOf(z, first)
	lost := !slices.ContainsFunc(have, n.host.Connected)
	n.mu.Lock()
	k := n.zoneOf(z)
	wait, since := k.looking, time.Since(k.looked)
	if wait == nil && n.ctx.Err() == nil {
		old := uint64(time.Now().UnixMilli()) >= k.expires
		if since >= lookNewer || len(have) == 0 && since >= lookAgain || (old || lost) && since >= lookLost {
			wait = n.look(z, k)
		}
	}
	if len(k.voters) > 0 && time.Since(k.asked) >= askEvery && n.ctx.Err() == nil {
		k.asked = time.Now()
		k.turn++
		turn := k.turn
		n.wg.Go(func() { n.askLeader(z, have, turn) })
	}
	n.mu.Unlock()
	if len(have) > 0 || wait == nil {
		return have
	}
	awaitLook(ctx, wait)
	return n.votersOf(z, first)
}

// awaitLook waits until a search has ended, or has taken as long as anybody waits for one.
func awaitLook(ctx context.Context, ended <-chan struct{}) {
	t := time.NewTimer(lookTime)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	case <-ctx.Done():
	}
}

// askLeader asks one of the voters that are connected how the zone stands, mostly for who leads it.
func (n *Node) askLeader(z capsule.ZoneID, voters []capsule.Key, turn int) {
	near := slices.DeleteFunc(slices.Clone(voters), func(k capsule.Key) bool { return !n.host.Connected(k) })
	if len(near) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, askEvery)
	defer cancel()
	if err := n.check(ctx, z, near[turn%len(near)]); err != nil && n.ctx.Err() == nil {
		n.log.Debug("not told how a zone stands", "zone", z, "err", err)
	}
}

// Locate names voters of a zone, as far as they can be found.
func (n *Node) Locate(ctx context.Context, z capsule.ZoneID) []capsule.Key {
	return n.locate(ctx, z, nil)
}

// seek looks for a zone until its own word is known, waits for that, and says why it isn't.
func (n *Node) seek(ctx context.Context, z capsule.ZoneID) *api.Refusal {
	refuse := func(code string, retry uint64, format string) *api.Refusal {
		return &api.Refusal{Code: code, Detail: fmt.Sprintf(format, z), Retry: retry}
	}
	n.mu.Lock()
	k := n.zoneOf(z)
	wait := k.looking
	proved := func() bool { return uint64(time.Now().UnixMilli()) < k.expires }
	if wait == nil && !proved() && time.Since(k.looked) >= lookAgain && n.ctx.Err() == nil {
		if wait = n.look(z, k); wait == nil {
			n.mu.Unlock()
			return refuse(api.CodeBusy, 1000, "zone %s is not known here, and this node looks for as many others as it can at a time")
		}
	}
	n.mu.Unlock()
	if wait != nil {
		awaitLook(ctx, wait)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case proved():
		return nil
	case k.looking != nil:
		return refuse(api.CodeUnavailable, 1000, "zone %s is still being looked for")
	case errors.Is(k.missing, find.ErrNotYet):
		return refuse(api.CodeUnavailable, 1000, "voters of zone %s were found and have not signed how it stands: it is being founded, or too few of them run")
	}
	return refuse(api.CodeUnknownZone, 2000, "zone %s was not found: nobody announces it; is the ID right, and do its voters run?")
}

// look starts a search for a zone, if not too many are under way. n.mu is held.
func (n *Node) look(z capsule.ZoneID, k *known) chan struct{} {
	select {
	case n.looks <- struct{}{}:
	default:
		return nil
	}
	done := make(chan struct{})
	k.looking = done
	n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, 2*lookTime)
		defer cancel()
		_, err := n.finder.Find(ctx, z, 1)
		if err != nil {
			n.log.Debug("zone not found", "zone", z, "err", err)
		}
		n.mu.Lock()
		k.looked, k.looking, k.missing = time.Now(), nil, err
		n.mu.Unlock()
		<-n.looks
		close(done)
	})
	return done
}
