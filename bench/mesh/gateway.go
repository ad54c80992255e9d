package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"syscall"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/node/gateway"
	"github.com/kitwork/kwnode/zone/api"
)

var zoneID = capsule.ZoneID(capsule.Sum([]byte("bench")))

// seal makes a capsule of about 2 KB.
func seal(author *capsule.Identity, n int) (*capsule.Capsule, error) {
	now := uint64(time.Now().UnixMilli())
	m := &capsule.Manifest{
		Home: zoneID, Code: capsule.RawCID([]byte("code")), Entry: "run", Input: make([]byte, 1700),
		Limits: capsule.Limits{MemoryPages: 1, TableElems: 1, Depth: 1, StateBytes: 1 << 16},
		Gas:    1000, MaxPrice: 1, MinUnits: 1, NotBefore: now - 1000, Expires: now + 3_600_000, MeterVersion: 1,
	}
	binary.BigEndian.PutUint64(m.Nonce[:], uint64(n))
	return capsule.Seal(author, m, nil)
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// rate is how many times a second of processor time fn runs, by the best of several turns.
func rate(turn time.Duration, fn func(i int) error) (float64, error) {
	i := 0
	start, cpu := time.Now(), cpuTime()
	for time.Since(start) < turn {
		for range 64 {
			if err := fn(i); err != nil {
				return 0, err
			}
			i++
		}
	}
	return float64(i) / (cpuTime() - cpu).Seconds(), nil
}

// benchGateway is the path of a submission through a gateway's checks, on one core.
func benchGateway() error {
	const kinds, turns, turn = 256, 7, 300 * time.Millisecond
	var good, torn, noise [kinds]*api.SubmitRequest
	var raw [kinds]struct {
		key ed25519.PublicKey
		msg []byte
		sig []byte
	}
	for i := range kinds {
		author, err := capsule.NewIdentity(rand.Reader)
		if err != nil {
			return err
		}
		c, err := seal(author, i)
		if err != nil {
			return err
		}
		req := func(b []byte) *api.SubmitRequest {
			return &api.SubmitRequest{V: api.Version, Envelope: b, Contents: []api.Content{}}
		}
		good[i], torn[i] = req(c.Bytes()), req(c.Bytes()[:len(c.Bytes())-1])
		b := make([]byte, len(c.Bytes()))
		_, _ = rand.Read(b)
		noise[i] = req(b)
		k, sig := author.Key(), author.Sign("bench", c.ManifestBytes())
		raw[i].key, raw[i].sig = k[:], sig[:]
		raw[i].msg = append([]byte("kitwork/bench/v1\x00"), c.ManifestBytes()...)
		if !ed25519.Verify(raw[i].key, raw[i].msg, raw[i].sig) {
			return fmt.Errorf("the raw check does not check what was signed")
		}
	}
	filter := gateway.NewFilter(nil)
	check := func(reqs *[kinds]*api.SubmitRequest, want bool) func(i int) error {
		return func(i int) error {
			if i%kinds == 0 {
				filter = gateway.NewFilter(nil) // it has met none of them: quotas and memory are not what is measured
			}
			peer := capsule.Key{byte(i), byte(i >> 8)}
			if _, _, r := filter.Check(reqs[i%kinds], peer); (r == nil) != want {
				return fmt.Errorf("message %d: %v", i, r)
			}
			return nil
		}
	}
	parts := []struct {
		name string
		fn   func(int) error
		best float64
	}{
		{"garbage: noise of 2 KB", check(&noise, false), 0},
		{"garbage: a torn capsule", check(&torn, false), 0},
		{"a valid capsule", check(&good, true), 0},
		{"raw ed25519 of the same bytes", func(i int) error {
			if r := &raw[i%kinds]; !ed25519.Verify(r.key, r.msg, r.sig) {
				return fmt.Errorf("not verified")
			}
			return nil
		}, 0},
	}
	for range turns {
		for i := range parts {
			r, err := rate(turn, parts[i].fn)
			if err != nil {
				return err
			}
			parts[i].best = max(parts[i].best, r)
		}
	}
	fmt.Println("gateway path, per core")
	for _, p := range parts {
		fmt.Printf("  %-32s %10.0f /s\n", p.name, p.best)
	}
	fmt.Printf("  valid / raw                      %10.2f   want ≥ 0.80\n", parts[2].best/parts[3].best)
	fmt.Printf("  garbage                          %10.0f /s want ≥ 500,000\n", min(parts[0].best, parts[1].best))
	return nil
}
