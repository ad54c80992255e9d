package worker

import (
	"net"
	"sync"

	"github.com/kitwork/kwnode/capsule"
)

// line is a protocol to a node.
type line struct {
	to    capsule.Key
	proto string
}

// lines keeps streams for later requests: opening one costs as much as a request.
type lines struct {
	mu     sync.Mutex // guards what follows
	idle   map[line][]net.Conn
	closed bool
}

// maxIdle is how many streams of one protocol to one node are kept.
const maxIdle = 64

// take returns a stream that was kept, or nil.
func (l *lines) take(k line) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.idle[k])
	if n == 0 {
		return nil
	}
	c := l.idle[k][n-1]
	l.idle[k] = l.idle[k][:n-1]
	return c
}

// keep takes a stream on which nothing is under way.
func (l *lines) keep(k line, c net.Conn) {
	l.mu.Lock()
	full := l.closed || len(l.idle[k]) >= maxIdle
	if !full {
		l.idle[k] = append(l.idle[k], c)
	}
	l.mu.Unlock()
	if full {
		c.Close()
	}
}

func (l *lines) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, conns := range l.idle {
		for _, c := range conns {
			c.Close()
		}
	}
	l.idle = nil
}
