package mesh

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
	"github.com/kitwork/kwnode/p2p/rpc"
	"github.com/kitwork/kwnode/p2p/sim"
)

// The attacks run in a process of their own, so that what they allocate is not counted.
const (
	envAttack = "KWNODE_TEST_ATTACK"
	envTarget = "KWNODE_TEST_TARGET"
	attackFor = 1500 * time.Millisecond
)

const firehose = "/kitwork/test/firehose/1"

var ask = rpc.Method{ID: "/kitwork/test/ask/1", MaxRequest: 1 << 10, MaxResponse: 1 << 10, Rate: -1}

var attacks = map[string]func(ctx context.Context, target peer.AddrInfo){
	// Streams that are opened and left: of a served protocol, of none, and without naming one.
	"stream flood": func(ctx context.Context, target peer.AddrInfo) {
		hosts := make([]host.Host, 12)
		for i := range hosts {
			hosts[i] = stranger(nil)
		}
		for n := 0; ctx.Err() == nil; n++ {
			h := hosts[n%len(hosts)]
			if h.Connect(ctx, target) != nil {
				hosts[n%len(hosts)] = stranger(nil)
				continue
			}
			if n%5 == 0 {
				if s, err := h.NewStream(ctx, target.ID, protocol.ID(ask.ID)); err == nil {
					_, _ = s.Write([]byte{0, 0})
				}
			} else if s, err := h.Network().NewStream(ctx, target.ID); err == nil {
				_, _ = s.Write([]byte{19})
			}
		}
	},
	"slow reader": func(ctx context.Context, target peer.AddrInfo) {
		hosts := make([]host.Host, 8)
		for i := range hosts {
			hosts[i] = stranger(nil)
		}
		for n := 0; ctx.Err() == nil; n++ {
			h := hosts[n%len(hosts)]
			if h.Connect(ctx, target) != nil {
				continue
			}
			if s, err := h.NewStream(ctx, target.ID, firehose); err == nil {
				_, _ = s.Write(make([]byte, 250<<10)) // which nobody reads either
			}
		}
	},
	"length that never comes": func(ctx context.Context, target peer.AddrInfo) {
		h := stranger(nil)
		for ctx.Err() == nil {
			if s, err := h.NewStream(peers(ctx, h, target), target.ID, protocol.ID(ask.ID)); err == nil {
				_, _ = s.Write([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3})
			}
		}
	},
	"subscription flood": func(ctx context.Context, target peer.AddrInfo) {
		gossipFlood(ctx, target, func(n int) (frame []byte) {
			for i := range 300 { // RPC.subscriptions = 1 {subscribe = 1, topicid = 2}
				frame = append(frame, field(1, append([]byte{1 << 3, 1}, field(2, junkTopic(n, i))...))...)
			}
			return frame
		})
	},
	"graft flood": func(ctx context.Context, target peer.AddrInfo) {
		gossipFlood(ctx, target, func(n int) []byte {
			var grafts []byte
			for i := range 300 { // RPC.control = 3 {graft = 3 {topicID = 1}}
				topic := junkTopic(n, i)
				if i%2 == 0 {
					topic = []byte(TopicName(zone))
				}
				grafts = append(grafts, field(3, field(1, topic))...)
			}
			return field(3, grafts)
		})
	},
	"garbage flood": func(ctx context.Context, target peer.AddrInfo) {
		gossipFlood(ctx, target, func(n int) (frame []byte) {
			for i := range 8 { // RPC.publish = 2 {data = 2, topic = 4}
				b := make([]byte, 7<<10)
				binary.BigEndian.PutUint64(b, uint64(n*8+i))
				frame = append(frame, field(2, append(field(2, b), field(4, []byte(TopicName(zone)))...))...)
			}
			return frame
		})
	},
	"bad signatures": func(ctx context.Context, target peer.AddrInfo) {
		good := sealNow(sim.Identity(200), 1).Bytes()
		gossipFlood(ctx, target, func(n int) (frame []byte) {
			for i := range 8 {
				b := spoil(good)
				binary.BigEndian.PutUint64(b[len(b)-20:], uint64(n*8+i)) // within the signature
				frame = append(frame, field(2, append(field(2, b), field(4, []byte(TopicName(zone)))...))...)
			}
			return frame
		})
	},
	// Valid capsules, each of another author whom nobody knows.
	"valid spam": func(ctx context.Context, target peer.AddrInfo) {
		gossipFlood(ctx, target, func(n int) (frame []byte) {
			for i := range 8 {
				b := sealNow(sim.Identity(10_000+n*8+i), n).Bytes()
				frame = append(frame, field(2, append(field(2, b), field(4, []byte(TopicName(zone)))...))...)
			}
			return frame
		})
	},
	// Identify with more than anybody needs: protocols, addresses, and the signed record that repeats them.
	"identify": func(ctx context.Context, target peer.AddrInfo) {
		for ctx.Err() == nil {
			h := stranger([]libp2p.Option{libp2p.AddrsFactory(func([]multiaddr.Multiaddr) []multiaddr.Multiaddr {
				var out []multiaddr.Multiaddr
				for i := range 400 {
					out = append(out, multiaddr.StringCast(fmt.Sprintf("/ip4/198.51.100.%d/tcp/%d", i%250, 1000+i)))
				}
				return out
			})})
			for i := range 2000 {
				h.SetStreamHandler(protocol.ID(fmt.Sprintf("/junk/%d/%s", i, strings.Repeat("x", 40))), func(s network.Stream) { s.Reset() })
			}
			_ = h.Connect(ctx, target)
			time.Sleep(50 * time.Millisecond)
			h.Close()
		}
	},
	"RSA keys": func(ctx context.Context, target peer.AddrInfo) {
		key, _, err := crypto.GenerateKeyPairWithReader(crypto.RSA, 2048, rand.Reader)
		if err != nil {
			panic(err)
		}
		h := stranger([]libp2p.Option{libp2p.Identity(key)})
		for ctx.Err() == nil {
			_ = h.Connect(ctx, target)
			h.Network().ClosePeer(target.ID)
		}
	},
}

// field encodes a length-delimited protobuf field.
func field(n int, b []byte) []byte {
	out := binary.AppendUvarint(nil, uint64(n)<<3|2)
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}

// sealNow is seal in a process without a test.
func sealNow(author *capsule.Identity, n int) *capsule.Capsule {
	now := uint64(time.Now().UnixMilli())
	m := &capsule.Manifest{
		Home: zone, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: make([]byte, 1700),
		Limits: capsule.Limits{MemoryPages: 1, TableElems: 1, Depth: 1, StateBytes: 1 << 16},
		Gas:    1000, MaxPrice: 1, MinUnits: 1, NotBefore: now - 1000, Expires: now + 3_600_000, MeterVersion: 1,
	}
	binary.BigEndian.PutUint64(m.Nonce[:], uint64(n))
	c, err := capsule.Seal(author, m, nil)
	if err != nil {
		panic(err)
	}
	return c
}

func junkTopic(n, i int) []byte { return fmt.Appendf(nil, "/junk/%d/%d/%0100d", n, i, 0) }

// stranger is a libp2p host without limits.
func stranger(opts []libp2p.Option) host.Host {
	opts = append(opts, libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	h, err := libp2p.New(opts...)
	if err != nil {
		panic(err)
	}
	return h
}

// peers makes sure that h is connected and returns ctx.
func peers(ctx context.Context, h host.Host, target peer.AddrInfo) context.Context {
	_ = h.Connect(ctx, target)
	return ctx
}

// gossipFlood writes frames as fast as the connection takes them, under a new identity whenever it is cut off.
func gossipFlood(ctx context.Context, target peer.AddrInfo, frame func(n int) []byte) {
	for n := 0; ctx.Err() == nil; {
		h := stranger(nil)
		s, err := h.NewStream(peers(ctx, h, target), target.ID, ID)
		for err == nil && ctx.Err() == nil {
			b := frame(n)
			_, err = s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
			n++
		}
		h.Close()
	}
}

// TestAttackProcess is the other process of TestAttacks.
func TestAttackProcess(t *testing.T) {
	name := os.Getenv(envAttack)
	if name == "" {
		t.Skip("runs as a child of TestAttacks")
	}
	target, err := peer.AddrInfoFromString(os.Getenv(envTarget))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), attackFor)
	defer cancel()
	attacks[name](ctx, *target)
}

// TestAttacks: on real sockets, whatever a stranger does, the heap stays within 64 MiB of where it was, comes back, and
// an honest peer is served.
func TestAttacks(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a second and a half for each attack")
	}
	v := newVictim(t)
	quiet := v.honestCalls(t, 300*time.Millisecond)
	base := heap()
	// Under a limit, as a node runs: without one Go lets garbage double whatever is alive.
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(base) + 64<<20))
	for name := range attacks {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			var peak atomic.Uint64
			done := make(chan struct{})
			go func() {
				for {
					select {
					case <-done:
						return
					case <-time.After(20 * time.Millisecond):
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						peak.Store(max(peak.Load(), m.HeapAlloc))
					}
				}
			}()
			cmd := exec.Command(os.Args[0], "-test.run=^TestAttackProcess$", "-test.timeout=60s")
			cmd.Env = append(os.Environ(), envAttack+"="+name, envTarget+"="+v.h.Addrs()[0])
			out := new(strings.Builder)
			cmd.Stdout, cmd.Stderr = out, out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			stop := v.honestGossip(t)
			busy := v.honestCalls(t, attackFor)
			sent := stop()
			if err := cmd.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			close(done)
			arrived := v.arrived(t, sent)
			after := heap()
			t.Logf("heap %.1f MiB, at most %.1f, %.1f after; honest calls %.0f/s, undisturbed %.0f/s",
				mib(base), mib(peak.Load()), mib(after), busy, quiet)
			t.Logf("%d of %d honest capsules arrived at the second hop", arrived, len(sent))
			if 10*arrived < 9*len(sent) {
				t.Errorf("%d of %d honest capsules arrived", arrived, len(sent))
			}
			t.Logf("refused %d, shed %d, streams in %d", v.h.Snapshot().Refused, v.h.Snapshot().Shed, v.h.Snapshot().StreamsIn)
			if peak.Load() > base+64<<20 {
				t.Errorf("the heap grew by %.1f MiB", mib(peak.Load()-base))
			}
			if after > base+24<<20 {
				t.Errorf("%.1f MiB did not come back", mib(after-base))
			}
			if busy == 0 {
				t.Error("no honest call was answered")
			}
		})
	}
	if n := v.second.m.Snapshot().Topics[0]; len(n.Rejected)+len(n.Ignored) > 0 {
		t.Errorf("something bad passed the first hop: %+v", n)
	}
	if got := v.second.count(); got > v.n {
		t.Errorf("%d capsules came to the second hop, only %d of them are honest", got, v.n)
	}
}

func mib(n uint64) float64 { return float64(n) / (1 << 20) }

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one's finalizers let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// victim is a node on real sockets, an honest client of it and a second node behind it.
type victim struct {
	h      *p2p.Host
	client *p2p.Host
	first  *node
	second *node // behind first, as is honest; they know each other through it alone
	honest *node
	n      int // capsules that honest has published
}

// member is the only author whose capsules the zone would pay for.
var member = sim.Identity(100)

func newVictim(t *testing.T) *victim {
	t.Helper()
	start := func(i int) *p2p.Host {
		h, err := p2p.New(p2p.Config{Identity: sim.Identity(i), Listen: []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		return h
	}
	gossip := func(h *p2p.Host) *node {
		m, err := New(h, Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { m.Close() })
		n := &node{h: h, m: m, got: make(map[capsule.ID]time.Time)}
		n.t, err = m.Join(zone, TopicConfig{
			Check: func(c *capsule.Capsule) error {
				if c.Manifest().Author != member.Key() {
					return errors.New("no account")
				}
				return nil
			},
			Deliver: func(_ capsule.Key, c *capsule.Capsule) {
				n.mu.Lock()
				defer n.mu.Unlock()
				n.got[c.ID()] = time.Now()
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	v := &victim{h: start(1), client: start(2)}
	v.first = gossip(v.h)
	v.second, v.honest = gossip(start(3)), gossip(start(4))
	if _, err := rpc.Serve(v.h, ask, func(_ context.Context, _ capsule.Key, req []byte) ([]byte, error) { return req, nil }); err != nil {
		t.Fatal(err)
	}
	err := v.h.Handle(firehose, p2p.StreamLimits{Timeout: 10 * time.Second, Memory: 64 << 10}, func(_ context.Context, _ capsule.Key, s *p2p.Stream) {
		if s.CloseRead() != nil { // as our protocols do once they have the request
			return
		}
		buf := make([]byte, 64<<10)
		for {
			if _, err := s.Write(buf); err != nil {
				s.Reset()
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	link(t, v.client, v.h)
	link(t, v.second.h, v.h)
	link(t, v.honest.h, v.h)
	for v.honest.t.Peers() == 0 || v.second.t.Peers() == 0 {
		time.Sleep(10 * time.Millisecond) // between looks at the state
	}
	return v
}

// honestGossip publishes capsules, 25 a second, until stop is called.
func (v *victim) honestGossip(t *testing.T) (stop func() []capsule.ID) {
	t.Helper()
	done, out := make(chan struct{}), make(chan []capsule.ID)
	go func() {
		var sent []capsule.ID
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				out <- sent
				return
			case <-tick.C:
				v.n++
				c := sealNow(member, v.n)
				if err := v.honest.t.Publish(context.Background(), c); err != nil {
					t.Error(err)
				}
				sent = append(sent, c.ID())
			}
		}
	}()
	return func() []capsule.ID {
		close(done)
		return <-out
	}
}

// arrived waits until all of the capsules have come to the second hop, or no more come, and says how many have.
func (v *victim) arrived(t *testing.T, sent []capsule.ID) int {
	t.Helper()
	n := 0
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		n = 0
		for _, id := range sent {
			if v.second.has(id) {
				n++
			}
		}
		if n == len(sent) {
			break
		}
	}
	return n
}

// honestCalls returns how many calls a second one client gets answered, for d. It takes "busy" for what it says and
// tries again, but not for longer than a second.
func (v *victim) honestCalls(t *testing.T, d time.Duration) float64 {
	t.Helper()
	n := 0
	start, last := time.Now(), time.Now()
	for time.Since(start) < d {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := rpc.Call(ctx, v.client, v.h.Key(), ask, make([]byte, 512))
		cancel()
		switch {
		case err == nil:
			n, last = n+1, time.Now()
		case !errors.Is(err, p2p.ErrBusy) || time.Since(last) > time.Second:
			t.Errorf("%v after the last answer: %v", time.Since(last), err)
			return 0
		default:
			time.Sleep(20 * time.Millisecond) // the client's pause, not a wait for a state
		}
	}
	return float64(n) / time.Since(start).Seconds()
}
