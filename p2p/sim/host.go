package sim

import (
	"fmt"
	"net/netip"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/p2p"
)

// Port is where simulated hosts listen.
const Port = 4001

// Identity returns an identity that is the same for the same i in every run, so that key order does not change.
func Identity(i int) *capsule.Identity {
	return capsule.IdentityFromSeed([32]byte{'s', 'i', 'm', byte(i), byte(i >> 8)})
}

// Address returns the public address of simulated machine i. Up to 256 of them, each has its own /16, so that what
// limits networks does not take them for one.
func Address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{4 + byte(i>>16), byte(i), byte(i >> 8), 1})
}

// Host starts host i: Identity(i) listening at Address(i). The functions may change its configuration before.
func (n *Net) Host(i int, tweak ...func(*p2p.Config)) (*p2p.Host, error) {
	a := Address(i)
	cfg := p2p.Config{
		Identity: Identity(i), Packets: n.Packets(a),
		Listen: []string{fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", a, Port)},
	}
	for _, f := range tweak {
		f(&cfg)
	}
	return p2p.New(cfg)
}
