package blob

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/quota"
)

// Options sets up an Exchange. The zero value serves every blob of the cache to every peer.
type Options struct {
	Allow func(peer capsule.Key, id capsule.Hash) bool // who may have what; nil allows all
	Rate  int                                          // bytes a second for one peer; default 32 MiB, negative is no limit
	OnLie func(peer capsule.Key)                       // called when a holder sent false bytes
}

// Exchange serves the blobs of a cache to peers and fetches others into it.
type Exchange struct {
	h      *p2p.Host
	c      *Cache
	opt    Options
	rate   *quota.Table[capsule.Key]
	counts exchangeCounts

	mu      sync.Mutex                     // owns flights
	flights map[capsule.Hash]chan struct{} // transfers under way; closed when they end
}

type exchangeCounts struct {
	served, bytesOut, notFound, denied, malformed, slow atomic.Uint64
	fetched, bytesIn, lies, failovers                   atomic.Uint64
}

// Counts are an exchange's running totals.
type Counts struct {
	Served, BytesOut uint64 // requests answered with content, and its bytes
	NotFound, Denied uint64 // requests answered without
	Malformed, Slow  uint64 // requests that were none; readers cut off
	Fetched, BytesIn uint64 // blobs completed, bytes verified
	Lies, Failovers  uint64 // holders that sent false bytes; changes of holder in the middle
}

// New serves c on h.
func New(h *p2p.Host, c *Cache, opt Options) (*Exchange, error) {
	opt.Rate = cmp.Or(opt.Rate, 32<<20)
	x := &Exchange{h: h, c: c, opt: opt, flights: make(map[capsule.Hash]chan struct{})}
	// One bucket holds two seconds, and never less than a chunk.
	x.rate = quota.New[capsule.Key](1024, float64(opt.Rate), max(2*opt.Rate, ChunkSize))
	return x, h.Handle(ID, p2p.StreamLimits{
		Rate: 50, Burst: 200, PerPeer: perPeer, Streams: streams, Memory: ChunkSize + 64<<10,
	}, x.serve)
}

// Close stops serving.
func (x *Exchange) Close() error {
	x.h.Unhandle(ID)
	return nil
}

// Counts returns the running totals.
func (x *Exchange) Counts() Counts {
	n := &x.counts
	return Counts{
		Served: n.served.Load(), BytesOut: n.bytesOut.Load(), NotFound: n.notFound.Load(), Denied: n.denied.Load(),
		Malformed: n.malformed.Load(), Slow: n.slow.Load(), Fetched: n.fetched.Load(), BytesIn: n.bytesIn.Load(),
		Lies: n.lies.Load(), Failovers: n.failovers.Load(),
	}
}

func (x *Exchange) serve(ctx context.Context, peer capsule.Key, s *p2p.Stream) {
	if err := x.answer(ctx, peer, s); err != nil {
		s.Reset()
	}
}

func (x *Exchange) answer(ctx context.Context, peer capsule.Key, s *p2p.Stream) error {
	if err := s.SetDeadline(time.Now().Add(chunkTimeout)); err != nil {
		return err
	}
	req, err := readRequest(s)
	if err != nil {
		x.counts.malformed.Add(1)
		return err
	}
	if err := s.CloseRead(); err != nil {
		return err
	}
	if x.opt.Allow != nil && !x.opt.Allow(peer, req.digest) {
		x.counts.denied.Add(1)
		_, err := s.Write([]byte{statusDenied})
		return err
	}
	f, err := x.c.open(req.digest)
	if err != nil {
		x.counts.notFound.Add(1)
		_, err := s.Write([]byte{statusNotFound})
		return err
	}
	defer f.Close()
	size, err := readHeader(f)
	if err != nil {
		return x.c.corrupt(req.digest, err)
	}
	w := bufio.NewWriterSize(s, 64<<10)
	w.WriteByte(statusOK) // errors stay in w until a Flush
	w.Write(binary.BigEndian.AppendUint64(nil, uint64(size)))
	if err := x.sendChunks(ctx, peer, s, w, f, size, req); err != nil {
		return err
	}
	x.counts.served.Add(1)
	return w.Flush()
}

// sendChunks writes the chunks asked for, each verified after it was read from disk.
func (x *Exchange) sendChunks(ctx context.Context, peer capsule.Key, s *p2p.Stream, w *bufio.Writer, f io.ReaderAt, size int64, req request) error {
	last := chunks(size) - 1
	first := last
	if req.first < uint64(last) {
		first = int64(req.first)
	}
	buf := make([]byte, ChunkSize)
	for i := first; i >= 0 && first-i < int64(req.count); i-- {
		before, data, after, err := readChunk(f, size, i, buf)
		if err != nil || !links(req.digest, size, i, before, data, after) {
			w.Flush()
			return x.c.corrupt(req.digest, err)
		}
		if err := x.pace(ctx, peer, len(data)); err != nil {
			return err
		}
		if err := s.SetDeadline(time.Now().Add(chunkTimeout)); err != nil {
			return err
		}
		w.Write(before[:])
		w.Write(data)
		if err := w.Flush(); err != nil {
			x.counts.slow.Add(1)
			return err
		}
		x.counts.bytesOut.Add(uint64(len(data)))
	}
	return nil
}

// pace waits until peer may have n bytes.
func (x *Exchange) pace(ctx context.Context, peer capsule.Key, n int) error {
	for !x.rate.Allow(peer, float64(n)) {
		t := time.NewTimer(20 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	return nil
}

// Fetch returns the content of id, at most most bytes, from the cache or from one holder after the other. What arrived
// stays for the next attempt, of this process or of the next. Several calls for one blob share the transfer; it ends
// with the context of the first, and the others then go on by themselves.
func (x *Exchange) Fetch(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error) {
	b, err := x.Borrow(ctx, id, most, holders...)
	if err == nil {
		// One that was evicted already is as good as one that is evicted next.
		if err = x.c.Flush(id); errors.Is(err, ErrNotFound) {
			err = nil
		}
	}
	return b, err
}

// Borrow is Fetch that waits for no disk: until Flush, the copy here may be gone after a power loss.
func (x *Exchange) Borrow(ctx context.Context, id capsule.CID, most int64, holders ...capsule.Key) ([]byte, error) {
	for fetched := false; ; {
		b, err := x.c.Get(id)
		switch {
		case err == nil && int64(len(b)) > most:
			return nil, fmt.Errorf("%w: %s has %d bytes, at most %d", ErrTooLarge, id, len(b), most)
		case err == nil:
			return b, nil
		case fetched || !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt):
			return nil, err
		}
		x.mu.Lock()
		flight, shared := x.flights[id.Digest]
		if !shared {
			flight = make(chan struct{})
			x.flights[id.Digest] = flight
		}
		x.mu.Unlock()
		if shared {
			select {
			case <-flight: // the cache tells what came of it; if nothing, it is our turn
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		b, err = x.transfer(ctx, id.Digest, min(most, MaxSize), holders)
		x.mu.Lock()
		delete(x.flights, id.Digest)
		x.mu.Unlock()
		close(flight)
		if err != nil {
			return nil, fmt.Errorf("blob: fetch %s: %w", id, err)
		}
		if b != nil {
			return b, nil
		}
		fetched = true
	}
}

// attempts is how often the list of holders is gone through.
const attempts = 3

// transfer gets d into the cache. It returns the content too if all of it arrived now and it is small.
func (x *Exchange) transfer(ctx context.Context, d capsule.Hash, most int64, holders []capsule.Key) ([]byte, error) {
	x.c.prunePartsBut(x.inFlight())
	p, err := openPart(x.c.dir, d)
	if err != nil {
		return nil, err
	}
	defer p.f.Close()
	// Connected holders first: a dial may cost its whole timeout.
	holders = slices.Clone(holders)
	slices.SortStableFunc(holders, func(a, b capsule.Key) int {
		return cmp.Compare(btoi(!x.h.Connected(a)), btoi(!x.h.Connected(b)))
	})
	cause := ErrNotFound
	for n := 0; n < attempts && len(holders) > 0 && !p.done(); n++ {
		if n > 0 {
			if err := pause(ctx, time.Duration(n)*200*time.Millisecond); err != nil {
				return nil, err
			}
		}
		for i := 0; i < len(holders) && !p.done(); {
			err := x.from(ctx, holders[i], p, most)
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case err == nil:
				i++ // the holder stopped early: the next one may be less busy
			case errors.Is(err, ErrLie):
				x.counts.lies.Add(1)
				if x.opt.OnLie != nil {
					x.opt.OnLie(holders[i])
				}
				cause = err
				holders = slices.Delete(holders, i, i+1)
			case errors.Is(err, ErrNotFound), errors.Is(err, ErrTooLarge):
				cause = err
				holders = slices.Delete(holders, i, i+1)
			default:
				cause = err
				i++
			}
			if !p.done() && p.size >= 0 {
				x.counts.failovers.Add(1)
			}
		}
	}
	if !p.done() {
		return nil, cause
	}
	x.counts.fetched.Add(1)
	if err := x.c.commit(p.f, d, p.size); err != nil {
		return nil, err
	}
	return p.whole(), nil
}

// inFlight returns the blobs being fetched.
func (x *Exchange) inFlight() map[capsule.Hash]bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make(map[capsule.Hash]bool, len(x.flights))
	for d := range x.flights {
		out[d] = true
	}
	return out
}

// from asks one holder for everything that p lacks, and takes what it sends.
func (x *Exchange) from(ctx context.Context, holder capsule.Key, p *part, most int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := x.h.Dial(ctx, holder, ID)
	if err != nil {
		return err
	}
	defer s.Reset() // harmless after Close
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	if err := s.SetDeadline(time.Now().Add(chunkTimeout)); err != nil {
		return err
	}
	req := request{digest: p.digest, first: fromLast, count: uint32(chunks(MaxSize))}
	if p.size >= 0 {
		req.first = uint64(p.next)
	}
	if _, err := s.Write(req.encode()); err != nil {
		return err
	}
	r := bufio.NewReaderSize(s, 64<<10)
	size, err := readStatus(r)
	if err != nil {
		return err
	}
	if size > uint64(most) {
		return fmt.Errorf("%w: %s says it has %d bytes, at most %d", ErrTooLarge, holder, size, most)
	}
	if size == 0 {
		return p.putEmpty()
	}
	if err := x.take(s, r, int64(size), p); err != nil {
		return fmt.Errorf("from %s: %w", holder, err)
	}
	return s.Close()
}

// take reads chunks into p until it is complete or the stream ends.
func (x *Exchange) take(s *p2p.Stream, r io.Reader, size int64, p *part) error {
	buf := make([]byte, ChunkSize)
	i := chunks(size) - 1
	if p.size >= 0 {
		i = p.next
	}
	if i >= chunks(size) {
		return fmt.Errorf("%w: %d bytes, others proved %d", ErrLie, size, p.size)
	}
	for ; i >= 0; i-- {
		var before state
		if _, err := io.ReadFull(r, before[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		data := buf[:chunkLen(size, i)]
		if _, err := io.ReadFull(r, data); err != nil {
			return err
		}
		if err := p.put(size, i, before, data); err != nil {
			return err
		}
		x.counts.bytesIn.Add(uint64(len(data)))
		if err := s.SetDeadline(time.Now().Add(chunkTimeout)); err != nil {
			return err
		}
	}
	return nil
}

// readStatus reads the head of a response: the size, or why there is none.
func readStatus(r io.Reader) (uint64, error) {
	var b [9]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return 0, err
	}
	switch b[0] {
	case statusOK:
	case statusNotFound:
		return 0, ErrNotFound
	case statusDenied:
		return 0, fmt.Errorf("%w: the holder does not give it to us", ErrNotFound)
	default:
		return 0, fmt.Errorf("%w: status %d does not exist", ErrLie, b[0])
	}
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint64(b[1:]), nil
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
