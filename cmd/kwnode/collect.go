package main

import (
	"cmp"
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A node at rest is to be small, one at work is not to spend its time on collecting the same few megabytes. So while
// collections come often the heap may grow by more than what lives, up to a bound: beyond it a larger heap would save little
// time, and whatever else lives for a while would be multiplied. When there has been nothing to do for some seconds, what
// lives no longer is collected at once and given back to the system, where the runtime would wait for minutes, or for as
// much again.
const (
	percentAtRest = 100      // of what lives: by so much the heap grows until it is collected
	percentAtWork = 200      // at most
	roomAtWork    = 64 << 20 // bytes that the heap grows by at work, between the two percentages
	percentStep   = 5        // changes that are less stop the world for nothing
	collectLook   = time.Second
	oftenCycles   = 2       // collections in a second from which on the node is at work
	restAfter     = 30      // seconds with less than that until it is at rest
	idleBytes     = 1 << 20 // allocated in a second at most, where nothing is to do: a voter's beat takes a tenth of it
	idleAfter     = 5       // such seconds until memory is given back
	spareBytes    = 3 << 20 // what is worth a collection, allocated since memory was given back last
	spareShare    = 4       // or this part of what lives, if that is more: collecting costs as much as lives
)

// usage is what the runtime says of its memory.
type usage struct {
	cycles    uint64 // collections so far that it began by itself
	allocated uint64 // bytes so far
	live      uint64 // bytes that the last collection found
}

// pace decides how the collector works from what each second was like.
type pace struct {
	before   usage
	work     bool
	percent  int
	calm     int    // seconds without many collections
	idle     int    // seconds without much allocated
	released uint64 // bytes allocated when memory was given back last
}

// next takes the usage after another second. It returns the percentage and whether it has changed, and whether memory is to
// be given back now.
func (p *pace) next(u usage) (percent int, changed, release bool) {
	if p.calm++; u.cycles-p.before.cycles >= oftenCycles {
		p.work, p.calm = true, 0
	} else if p.calm >= restAfter {
		p.work = false
	}
	was := cmp.Or(p.percent, percentAtRest)
	percent = percentAtRest
	if p.work {
		percent = int(min(max(roomAtWork*100/max(u.live, 1), percentAtRest), percentAtWork))
	}
	if d := percent - was; max(d, -d) < percentStep && percent != percentAtRest && percent != percentAtWork {
		percent = was
	}
	p.percent = percent
	if p.idle++; u.allocated-p.before.allocated > idleBytes {
		p.idle = 0
	}
	if release = p.idle >= idleAfter && u.allocated-p.released > max(spareBytes, u.live/spareShare); release {
		p.released = u.allocated
	}
	p.before = u
	return percent, percent != was, release
}

// meter reads the usage.
type meter []metrics.Sample

func newMeter() meter {
	return meter{{Name: "/gc/cycles/automatic:gc-cycles"}, {Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
}

func (m meter) read() usage {
	metrics.Read(m)
	return usage{cycles: m[0].Value.Uint64(), allocated: m[1].Value.Uint64(), live: m[2].Value.Uint64()}
}

// collect adapts the collector to the node's work until ctx ends, unless the environment says how it is to be.
func collect(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	m := newMeter()
	p := &pace{before: m.read()} // what starting took is spare
	t := time.NewTicker(collectLook)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		percent, changed, release := p.next(m.read())
		if changed {
			debug.SetGCPercent(percent)
		}
		if release {
			debug.FreeOSMemory()
		}
	}
}
