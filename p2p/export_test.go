package p2p

import (
	"crypto/sha256"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// SampleBook is a valid file of remembered peers.
func SampleBook() []byte {
	b, err := encodeBook([]Known{{Key: [32]byte{1}, Addrs: []string{"/ip4/192.0.2.1/tcp/4001"}, Seen: 1}})
	if err != nil {
		panic(err)
	}
	return b
}

// SealBook puts a right checksum before any body.
func SealBook(body []byte) []byte {
	sum := sha256.Sum256(body)
	return slices.Concat([]byte(bookMagic), sum[:], body)
}

// WasteBurst is what a peer may waste.
const WasteBurst = wasteBurst

// DelayConn is a connection that holds what is written to it.
func DelayConn(c net.Conn, d time.Duration) net.Conn { return LineConn(c, NewLine(d)) }

// LineConn is c with everything that is written to it held as l says.
func LineConn(c net.Conn, l *Line) net.Conn { return newDelayConn(plain{c}, l) }

type plain struct{ net.Conn }

func (plain) LocalMultiaddr() ma.Multiaddr  { return nil }
func (plain) RemoteMultiaddr() ma.Multiaddr { return nil }

// CheckBook opens the remembered peers in dir without a host around them.
func CheckBook(t *testing.T, dir string) {
	t.Helper()
	b, err := openBook(dir)
	if err != nil && !errors.Is(err, ErrDamagedBook) {
		t.Fatal(err)
	}
	if n := len(b.all()); n > maxRemembered || err != nil && n > 0 {
		t.Fatalf("%d peers from a file with %v", n, err)
	}
}
