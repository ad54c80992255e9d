package zone

import (
	"bufio"
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
	"github.com/kitwork/kwnode/zone/cert"
	"github.com/kitwork/kwnode/zone/raft"
)

// The votes protocol: each voter opens one stream to every other and sends what it signed. Nothing is acknowledged; who
// misses something says so in its own messages.
const (
	votesProto     = "/votes/1"
	maxVotes       = 256 // in a message
	maxVoteMessage = 1 << 20
	maxOutbox      = 4096 // votes that wait for one peer; older ones are asked for again
	voteRedial     = 200 * time.Millisecond
	voteWrite      = 10 * time.Second
)

// voteMessage is one message of the votes protocol.
type voteMessage struct {
	_       struct{} `cbor:",toarray"`
	Votes   []cert.Vote
	Want    []uint64       // indices whose quorum the sender misses
	Quorums []cert.Quorate // answers to Want
	// Hello opens a stream, and answers the peer's opening of its own. Yours is then the receiver's newest vote that the
	// sender knows of, if any: a receiver that has no memory of it runs on an old disk.
	Hello bool
	Yours []cert.Vote
}

// voting signs what its replica applies, and turns votes into quorums.
type voting struct {
	self   capsule.Key
	signer *cert.Signer
	sets   *epochs
	certs  *certs
	t      raft.Transport
	proto  string
	member func(capsule.Key) bool
	// fork is called when a quorum signed another history than this replica's.
	fork func(error)

	wake chan struct{}
	ctx  context.Context // of the voter's background work
	wg   sync.WaitGroup
	l    raft.Listener

	mu         sync.Mutex // guards what follows
	queue      []*applied // applied, not signed
	peers      map[capsule.Key]*votePeer
	collectors map[[2]uint64]*cert.Collector
	last       map[capsule.Key]cert.Vote // newest vote of each voter
	own        map[uint64]cert.Vote      // this voter's recent votes by index
	conns      map[net.Conn]bool
	closed     bool
	suspects   map[capsule.Key]bool // voters that signed something else than a quorum
	greeted    map[capsule.Key]bool // peers that have said hello since this voter started
	conflicts  []cert.VoteConflict  // proofs against voters, at most maxConflicts
}

const maxConflicts = 16

type votePeer struct {
	hello  bool
	out    []cert.Vote
	want   []uint64
	answer []cert.Quorate
	wake   chan struct{}
}

// enqueue takes an applied entry. It is called by the goroutine that applies.
func (v *voting) enqueue(a *applied) {
	o := &a.out
	if err := v.signer.Observe(o.Generation, o.Index, o.Previous, o.Chain); err != nil && v.signer.Broken() == nil {
		v.certs.log.Error("signer refused an entry", "index", o.Index, "err", err)
	}
	if err := v.certs.applied(a.st); err != nil {
		v.fork(err)
		return
	}
	v.certs.keep(o.Index, a.batch)
	v.mu.Lock()
	if len(v.queue) >= recent {
		v.queue = v.queue[recent/2:] // too old to be signed; the others have, or it is restated
	}
	v.queue = append(v.queue, a)
	v.mu.Unlock()
	v.signal()
}

func (v *voting) signal() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// run signs in batches: one durable record covers everything that was applied since the last.
func (v *voting) run() {
	defer v.wg.Done()
	for {
		select {
		case <-v.ctx.Done():
			return
		case <-v.wake:
		}
		if !v.welcome() {
			continue
		}
		v.mu.Lock()
		batch := v.queue
		v.queue = nil
		v.mu.Unlock()
		for len(batch) > 0 {
			n := 1
			for n < len(batch) && n < maxVotes && batch[n].st.Epoch == batch[0].st.Epoch && batch[n].st.Generation == batch[0].st.Generation {
				n++
			}
			v.sign(batch[:n])
			batch = batch[n:]
		}
	}
}

// welcome reports whether enough peers have told this voter what it signed before it was started. Together with itself
// they are a quorum, so that one of them knows of every certificate that it took part in.
func (v *voting) welcome() bool {
	set := v.sets.newest()
	v.mu.Lock()
	defer v.mu.Unlock()
	n := 1
	for _, k := range set.Keys {
		if k != v.self && v.greeted[k] {
			n++
		}
	}
	return n >= set.Quorum()
}

func (v *voting) sign(batch []*applied) {
	st := &batch[0].st
	set := v.sets.set(st.Generation, st.Epoch)
	if set == nil || set.Position(v.self) < 0 {
		return // a member that has no vote yet, or no longer
	}
	sts := make([]cert.Statement, 0, len(batch))
	rec := v.signer.Record()
	for _, a := range batch {
		// After a crash the newest entries are applied again; what was signed beyond one of them stays unsigned.
		if a.st.Generation == rec.Generation && a.st.Index < rec.Index {
			continue
		}
		sts = append(sts, a.st)
	}
	votes, err := v.signer.Sign(set, sts...)
	if err != nil {
		v.certs.log.Warn("not signed", "from", batch[0].st.Index, "to", batch[len(batch)-1].st.Index, "err", err)
		return
	}
	v.keepOwn(votes)
	// Others first: they wait for the network, this voter does not.
	v.mu.Lock()
	for k, p := range v.peers {
		if set.Position(k) >= 0 || v.member(k) {
			p.send(votes...)
		}
	}
	v.mu.Unlock()
	for i := range votes {
		v.take(&votes[i], v.self)
	}
}

func (p *votePeer) send(votes ...cert.Vote) {
	p.out = append(p.out, votes...)
	if n := len(p.out) - maxOutbox; n > 0 {
		p.out = append([]cert.Vote(nil), p.out[n:]...)
	}
	p.signal()
}

func (p *votePeer) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take counts a vote.
func (v *voting) take(vote *cert.Vote, from capsule.Key) {
	st := &vote.Statement
	set := v.sets.set(st.Generation, st.Epoch)
	if set == nil || int(vote.Voter) >= len(set.Keys) || set.Keys[vote.Voter] != from {
		return // an epoch that is not applied here yet: its quorum is asked for later
	}
	q, err := v.certs.quorum(st.Index)
	if err != nil {
		return
	}
	v.mu.Lock()
	switch {
	case q != nil && q.Statement == *st && !v.suspects[from]:
		v.mu.Unlock()
		v.remember(vote, from)
		return // decided: no need to verify one more
	case q != nil && q.Statement != *st:
		v.suspects[from] = true // its further votes are all kept, to prove that it contradicts itself
	}
	c := v.collectors[[2]uint64{st.Generation, st.Epoch}]
	if c == nil {
		c = cert.NewCollector(*set, v.certs.floor())
		v.collectors[[2]uint64{st.Generation, st.Epoch}] = c
		v.trimLocked(st.Epoch)
	}
	c.Forget(v.certs.floor())
	done, conflict, err := c.Add(vote)
	if conflict != nil && len(v.conflicts) < maxConflicts {
		v.conflicts = append(v.conflicts, *conflict)
	}
	v.mu.Unlock()
	switch {
	case conflict != nil:
		v.certs.log.Error("a voter signed two histories", "voter", from, "index", st.Index)
	case err != nil:
		v.certs.log.Debug("vote refused", "voter", from, "index", st.Index, "err", err)
		return
	}
	v.remember(vote, from)
	if done != nil {
		v.decide(done)
	}
}

// trimLocked keeps the collectors of the newest two epochs.
func (v *voting) trimLocked(epoch uint64) {
	for k := range v.collectors {
		if k[1]+1 < epoch {
			delete(v.collectors, k)
		}
	}
}

func (v *voting) remember(vote *cert.Vote, from capsule.Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	l, ok := v.last[from]
	if !ok || l.Statement.Generation < vote.Statement.Generation ||
		l.Statement.Generation == vote.Statement.Generation && l.Statement.Index < vote.Statement.Index {
		v.last[from] = *vote
	}
}

func (v *voting) decide(q *cert.Quorate) {
	err := v.certs.add(q)
	if f := (*ForkError)(nil); errors.As(err, &f) {
		v.fork(err)
	} else if err != nil {
		v.certs.log.Warn("quorum not kept", "index", q.Statement.Index, "err", err)
	}
}

// seed learns each voter's newest vote from a quorum that was kept.
func (v *voting) seed(q *cert.Quorate) {
	set := v.sets.set(q.Statement.Generation, q.Statement.Epoch)
	if set == nil {
		return
	}
	for _, s := range q.Sigs {
		v.remember(&cert.Vote{Statement: q.Statement, Voter: s.Pos, Sig: s.Sig}, set.Keys[s.Pos])
	}
}

// setPeers starts and stops streams so that there is one to each member.
func (v *voting) setPeers(keys []capsule.Key) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ctx.Err() != nil {
		return
	}
	for _, k := range keys {
		if k == v.self || v.peers[k] != nil {
			continue
		}
		p := &votePeer{hello: true, wake: make(chan struct{}, 1)}
		p.signal()
		v.peers[k] = p
		v.wg.Add(1)
		go v.stream(k, p)
	}
}

// stream keeps one peer supplied until it is no member any more.
func (v *voting) stream(k capsule.Key, p *votePeer) {
	defer v.wg.Done()
	var c net.Conn
	defer func() {
		if c != nil {
			v.drop(c)
		}
		v.mu.Lock()
		delete(v.peers, k)
		v.mu.Unlock()
	}()
	for {
		select {
		case <-v.ctx.Done():
			return
		case <-p.wake:
		}
		if !v.member(k) {
			return
		}
		for v.ctx.Err() == nil {
			m := v.next(k, p)
			if m == nil {
				break
			}
			b, err := api.Encode(m, maxVoteMessage)
			if err != nil {
				v.certs.log.Error("votes not sent", "voter", k, "err", err) // and not again: it would be as long
				continue
			}
			if c == nil {
				c, err = v.dial(k)
			}
			if err == nil {
				c.SetWriteDeadline(time.Now().Add(voteWrite))
				err = api.WriteFrame(c, b)
			}
			if err != nil {
				if c != nil {
					v.drop(c)
					c = nil
				}
				v.unsend(p, m)
				if !v.pause(voteRedial) {
					return
				}
				break
			}
		}
	}
}

// pause waits, and reports whether the voter still runs.
func (v *voting) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-v.ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (v *voting) dial(k capsule.Key) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(v.ctx, voteWrite)
	defer cancel()
	c, err := v.t.Dial(ctx, k, v.proto)
	if err == nil {
		v.hold(c)
	}
	return c, err
}

// next takes what waits for a peer, nil if nothing does.
func (v *voting) next(k capsule.Key, p *votePeer) *voteMessage {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !p.hello && len(p.out)+len(p.want)+len(p.answer) == 0 {
		return nil
	}
	m := &voteMessage{Hello: p.hello, Votes: []cert.Vote{}, Want: []uint64{}, Quorums: []cert.Quorate{}, Yours: []cert.Vote{}}
	n := min(len(p.out), maxVotes)
	m.Votes, p.out = append(m.Votes, p.out[:n]...), p.out[n:]
	n = min(len(p.want), maxVotes)
	m.Want, p.want = append(m.Want, p.want[:n]...), p.want[n:]
	n = min(len(p.answer), maxVotes)
	m.Quorums, p.answer = append(m.Quorums, p.answer[:n]...), p.answer[n:]
	if l, ok := v.last[k]; ok && p.hello {
		m.Yours = append(m.Yours, l)
	}
	p.hello = false
	return m
}

func (v *voting) unsend(p *votePeer, m *voteMessage) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p.hello = true // the next stream is a new one
	p.out = append(m.Votes, p.out...)
	if n := len(p.out) - maxOutbox; n > 0 {
		p.out = p.out[n:]
	}
	p.signal()
}

func (v *voting) hold(c net.Conn) {
	v.mu.Lock()
	v.conns[c] = true
	closed := v.closed
	v.mu.Unlock()
	if closed {
		c.Close()
	}
}

func (v *voting) drop(c net.Conn) {
	v.mu.Lock()
	delete(v.conns, c)
	v.mu.Unlock()
	c.Close()
}

// accept serves the streams of the other voters, one of each at a time.
func (v *voting) accept() {
	defer v.wg.Done()
	current := map[capsule.Key]net.Conn{}
	for {
		c, k, err := v.l.Accept()
		if err != nil {
			return
		}
		if !v.member(k) {
			c.Close()
			continue
		}
		if old := current[k]; old != nil {
			v.drop(old) // its sender has begun again
		}
		current[k] = c
		v.hold(c)
		v.wg.Add(1)
		go v.receive(c, k)
	}
}

func (v *voting) receive(c net.Conn, k capsule.Key) {
	defer v.wg.Done()
	defer v.drop(c)
	r := bufio.NewReaderSize(c, 16<<10)
	v.mu.Lock()
	if p := v.peers[k]; p != nil {
		p.hello = true // the peer may have been started anew
		p.signal()
	}
	v.mu.Unlock()
	for v.ctx.Err() == nil {
		var m voteMessage
		if err := api.Read(r, &m, maxVoteMessage); err != nil || !v.member(k) {
			return
		}
		if len(m.Votes) > maxVotes || len(m.Want) > maxVotes || len(m.Quorums) > maxVotes || len(m.Yours) > 1 {
			return
		}
		for i := range m.Yours {
			if err := v.signer.SeenOwn(&m.Yours[i]); err != nil {
				v.certs.log.Error("this voter signs no more", "err", err)
			}
		}
		if m.Hello {
			v.mu.Lock()
			v.greeted[k] = true
			v.mu.Unlock()
			v.signal()
		}
		for i := range m.Votes {
			v.take(&m.Votes[i], k)
		}
		for i := range m.Quorums {
			v.quorum(&m.Quorums[i])
		}
		if len(m.Want) > 0 {
			v.answer(k, m.Want)
		}
	}
}

// quorum takes a quorum that somebody else has collected.
func (v *voting) quorum(q *cert.Quorate) {
	set := v.sets.set(q.Statement.Generation, q.Statement.Epoch)
	if have, err := v.certs.quorum(q.Statement.Index); set == nil || err != nil || have != nil {
		return
	}
	if err := q.Verify(set); err != nil {
		v.certs.log.Debug("quorum refused", "index", q.Statement.Index, "err", err)
		return
	}
	v.decide(q)
}

// answer sends a peer the quorums that it misses, or else this voter's own vote again.
func (v *voting) answer(k capsule.Key, want []uint64) {
	var qs []cert.Quorate
	var votes []cert.Vote
	for _, i := range want {
		if q, err := v.certs.quorum(i); err == nil && q != nil {
			qs = append(qs, *q)
			continue
		}
		if vote := v.again(i); vote != nil {
			votes = append(votes, *vote)
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.peers[k]
	if p == nil {
		return
	}
	p.answer = append(p.answer, qs...)
	if len(p.answer) > maxOutbox {
		p.answer = p.answer[:maxOutbox]
	}
	p.send(votes...)
}

// again returns this voter's vote for an index that it signed before, if it still may.
func (v *voting) again(i uint64) *cert.Vote {
	v.mu.Lock()
	vote, ok := v.own[i]
	v.mu.Unlock()
	if ok {
		return &vote
	}
	st, ok := v.certs.statement(i)
	if !ok {
		return nil
	}
	// Only the newest can be signed again after a restart.
	set := v.sets.set(st.Generation, st.Epoch)
	if rec := v.signer.Record(); set == nil || set.Position(v.self) < 0 || rec.Generation != st.Generation || rec.Index != i {
		return nil
	}
	votes, err := v.signer.Sign(set, st)
	if err != nil {
		return nil
	}
	v.keepOwn(votes)
	v.take(&votes[0], v.self)
	return &votes[0]
}

// keepOwn remembers this voter's votes for peers that ask again.
func (v *voting) keepOwn(votes []cert.Vote) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range votes {
		v.own[votes[i].Statement.Index] = votes[i]
	}
	if len(v.own) > recent {
		low := v.certs.floor()
		for i := range v.own {
			if i < low {
				delete(v.own, i)
			}
		}
	}
}

// ask makes peers send the quorums of indices, and their votes where they have none.
func (v *voting) ask(indices []uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.peers {
		p.want = append(p.want[:0], indices[:min(len(indices), maxVotes)]...)
		p.signal()
	}
}

// close ends all streams and waits.
func (v *voting) close() {
	v.l.Close()
	v.mu.Lock()
	v.closed = true
	for c := range v.conns {
		c.Close()
	}
	v.mu.Unlock()
	v.wg.Wait()
}
