package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A node at rest is to be small, one at work is not to spend its time on collecting the same few megabytes. So its heap may
// grow to three times what lives, instead of two, while collections come often.
const (
	percentAtRest = 100
	percentAtWork = 200
	collectLook   = time.Second
	oftenCycles   = 2  // collections in a second from which on the node is at work
	restAfter     = 30 // seconds with less than that until it is at rest
)

// pace decides on the percentage from how many collections each second had.
type pace struct {
	work  bool
	quiet int // seconds
}

// next takes one second's collections, and reports the percentage and whether it has changed.
func (p *pace) next(cycles uint64) (percent int, changed bool) {
	was := p.work
	if p.quiet++; cycles >= oftenCycles {
		p.work, p.quiet = true, 0
	} else if p.quiet >= restAfter {
		p.work = false
	}
	if percent = percentAtRest; p.work {
		percent = percentAtWork
	}
	return percent, p.work != was
}

// collect adapts the collector to the node's work until ctx ends, unless the environment says how it is to be.
func collect(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	cycles := []metrics.Sample{{Name: "/gc/cycles/automatic:gc-cycles"}}
	metrics.Read(cycles)
	before := cycles[0].Value.Uint64()
	t := time.NewTicker(collectLook)
	defer t.Stop()
	for p := (&pace{}); ; {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		metrics.Read(cycles)
		now := cycles[0].Value.Uint64()
		if percent, changed := p.next(now - before); changed {
			debug.SetGCPercent(percent)
		}
		before = now
	}
}
