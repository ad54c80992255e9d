package mesh

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
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
	"github.com/kitwork/kwnode/p2p/sim"
)

// attack is what one stranger does. It goes on until the stranger is cut off, or ctx ends.
type attack struct {
	run     func(ctx context.Context, h host.Host, target peer.ID)
	at      int                    // strangers at once; 0 is 1
	options func() []libp2p.Option // of its host
	passing bool                   // it comes and goes by itself: there is nothing to cut off
}

var attacks = map[string]attack{
	// Streams that are opened and left: of a served protocol, of none, and without naming one.
	"stream flood": {at: 12, run: func(ctx context.Context, h host.Host, target peer.ID) {
		for n := 0; there(ctx, h, target); n++ {
			if n%5 == 0 {
				if s, err := h.NewStream(ctx, target, echo); err == nil {
					_, _ = s.Write([]byte{0, 0})
				}
			} else if s, err := h.Network().NewStream(ctx, target); err == nil {
				_, _ = s.Write([]byte{19})
			}
		}
	}},
	"slow reader": {at: 4, run: func(ctx context.Context, h host.Host, target peer.ID) {
		for there(ctx, h, target) {
			if s, err := h.NewStream(ctx, target, firehose); err == nil {
				_ = s.SetWriteDeadline(time.Now().Add(time.Second))
				_, _ = s.Write(make([]byte, 250<<10)) // which nobody reads either
			}
		}
	}},
	"length that never comes": {run: func(ctx context.Context, h host.Host, target peer.ID) {
		for there(ctx, h, target) {
			if s, err := h.NewStream(ctx, target, echo); err == nil {
				_, _ = s.Write([]byte{0x7f, 0xff, 0xff, 0xff, 1, 2, 3})
			}
		}
	}},
	"subscription flood": {run: gossiping(func(n int) (frame []byte) {
		for i := range 300 { // RPC.subscriptions = 1 {subscribe = 1, topicid = 2}
			frame = append(frame, field(1, append([]byte{1 << 3, 1}, field(2, junkTopic(n, i))...))...)
		}
		return frame
	})},
	"graft flood": {run: gossiping(func(n int) []byte {
		var grafts []byte
		for i := range 300 { // RPC.control = 3 {graft = 3 {topicID = 1}}
			topic := junkTopic(n, i)
			if i%2 == 0 {
				topic = []byte(TopicName(zone))
			}
			grafts = append(grafts, field(3, field(1, topic))...)
		}
		return field(3, grafts)
	})},
	"garbage flood": {run: gossiping(func(n int) (frame []byte) {
		for i := range 8 { // RPC.publish = 2 {data = 2, topic = 4}
			b := make([]byte, 7<<10)
			binary.BigEndian.PutUint64(b, uint64(n*8+i))
			frame = append(frame, publishing(b)...)
		}
		return frame
	})},
	"bad signatures": {run: gossiping(func(n int) (frame []byte) {
		for i := range 8 {
			b := spoil(forged())
			binary.BigEndian.PutUint64(b[len(b)-20:], uint64(n*8+i)) // within the signature
			frame = append(frame, publishing(b)...)
		}
		return frame
	})},
	// Valid capsules, each of another author whom nobody knows.
	"valid spam": {run: gossiping(func(n int) (frame []byte) {
		for i := range 8 {
			frame = append(frame, publishing(sealNow(sim.Identity(10_000+n*8+i), n).Bytes())...)
		}
		return frame
	})},
	// The same valid capsule, again and again.
	"replay flood": {run: gossiping(func(int) (frame []byte) {
		for range 8 {
			frame = append(frame, publishing(forged())...)
		}
		return frame
	})},
	// Identify with more than anybody needs: protocols, addresses, and the signed record that repeats them.
	"identify": {passing: true, run: func(ctx context.Context, h host.Host, target peer.ID) {
		for range 5 {
			if there(ctx, h, target) {
				h.Network().ClosePeer(target)
			}
			_ = h.Connect(ctx, peer.AddrInfo{ID: target})
		}
	}, options: func() []libp2p.Option {
		return []libp2p.Option{
			libp2p.AddrsFactory(func([]multiaddr.Multiaddr) (out []multiaddr.Multiaddr) {
				for i := range 400 {
					out = append(out, multiaddr.StringCast(fmt.Sprintf("/ip4/198.51.100.%d/tcp/%d", i%250, 1000+i)))
				}
				return out
			}),
			libp2p.ProtocolVersion(strings.Repeat("x", 4000)),
		}
	}},
	"RSA keys": {passing: true, run: func(ctx context.Context, h host.Host, target peer.ID) {
		for range 5 {
			_ = h.Connect(ctx, peer.AddrInfo{ID: target})
			h.Network().ClosePeer(target)
		}
	}, options: func() []libp2p.Option { return []libp2p.Option{libp2p.Identity(rsaKey())} }},
}

// forged is a capsule that is valid until it is spoiled.
var forged = sync.OnceValue(func() []byte { return sealNow(sim.Identity(200), 1).Bytes() })

// rsaKey costs more to check than ours.
var rsaKey = sync.OnceValue(func() crypto.PrivKey {
	key, _, err := crypto.GenerateKeyPairWithReader(crypto.RSA, 2048, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// there reports whether the attack can go on.
func there(ctx context.Context, h host.Host, target peer.ID) bool {
	return ctx.Err() == nil && h.Network().Connectedness(target) == network.Connected
}

// gossiping writes frames as fast as the connection takes them.
func gossiping(frame func(n int) []byte) func(context.Context, host.Host, peer.ID) {
	return func(ctx context.Context, h host.Host, target peer.ID) {
		for n := 0; there(ctx, h, target); {
			s, err := h.NewStream(ctx, target, ID)
			for err == nil && ctx.Err() == nil {
				b := frame(n)
				_, err = s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
				n++
			}
		}
	}
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

// stranger is a libp2p host without limits. It dials from where it listens, which may be nowhere.
func stranger(opts []libp2p.Option, listen string) host.Host {
	opts = append(opts, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if listen == "" {
		opts = append(opts, libp2p.NoListenAddrs)
	} else {
		opts = append(opts, libp2p.ListenAddrStrings(listen))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		panic(err)
	}
	return h
}

// The attacks run in a process of their own, so that what they allocate is not counted, and at the lowest priority: an
// attacker brings processors of its own.
const (
	envAttack  = "KWNODE_TEST_ATTACK"  // which
	envTarget  = "KWNODE_TEST_TARGET"  // whom
	envKeys    = "KWNODE_TEST_KEYS"    // by how many strangers, one after the other or some at once; 0 for as long as it takes
	envNetwork = "KWNODE_TEST_NETWORK" // from which of the loopback's networks, such as 127.66.1; "" is the loopback address
	envPlaces  = "KWNODE_TEST_PLACES"  // from how many addresses there
	envFor     = "KWNODE_TEST_FOR"     // for how long at most
)

// attacking starts an attack. It ends when all of its strangers have been cut off.
func attacking(t testing.TB, name, target string, keys int, network string, places int, d time.Duration) *exec.Cmd {
	t.Helper()
	args := []string{os.Args[0], "-test.run=^TestAttackProcess$", "-test.timeout=5m", "-test.v"}
	if nice, err := exec.LookPath("nice"); err == nil {
		args = append([]string{nice, "-n", "19"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), envAttack+"="+name, envTarget+"="+target, envKeys+"="+strconv.Itoa(keys),
		envNetwork+"="+network, envPlaces+"="+strconv.Itoa(places), envFor+"="+d.String())
	return cmd
}

// TestAttackProcess is the attacker's process.
func TestAttackProcess(t *testing.T) {
	name := os.Getenv(envAttack)
	if name == "" {
		t.Skip("runs as a child of TestAttacks")
	}
	target, err := peer.AddrInfoFromString(os.Getenv(envTarget))
	if err != nil {
		t.Fatal(err)
	}
	d, err := time.ParseDuration(os.Getenv(envFor))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := strconv.Atoi(os.Getenv(envKeys))
	places, _ := strconv.Atoi(os.Getenv(envPlaces))
	a := attacks[name]
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	next := make(chan int)
	var all sync.WaitGroup
	for range max(1, a.at) {
		all.Go(func() {
			for i := range next {
				a.once(ctx, *target, i, places)
			}
		})
	}
	for i := 0; (keys == 0 || i < keys) && ctx.Err() == nil; i++ {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	all.Wait()
	if keys > 0 && ctx.Err() != nil {
		t.Fatal("not all were cut off")
	}
}

// once attacks as stranger i.
func (a *attack) once(ctx context.Context, target peer.AddrInfo, i, places int) {
	var opts []libp2p.Option
	if a.options != nil {
		opts = a.options()
	}
	listen := ""
	if n := os.Getenv(envNetwork); n != "" {
		listen = fmt.Sprintf("/ip4/%s.%d/tcp/0", n, 1+i%max(1, places))
	}
	h := stranger(opts, listen)
	defer h.Close()
	if a.options != nil {
		for i := range 2000 {
			h.SetStreamHandler(protocol.ID(fmt.Sprintf("/junk/%d/%s", i, strings.Repeat("x", 40))), func(s network.Stream) { s.Reset() })
		}
	}
	h.Peerstore().AddAddrs(target.ID, target.Addrs, time.Hour)
	if h.Connect(ctx, target) != nil && !a.passing {
		return
	}
	a.run(ctx, h, target.ID)
}
