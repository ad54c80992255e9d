package wasi

import (
	"context"
	"io"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/kitwork/kwnode/vm"
	"github.com/kitwork/kwnode/vm/hostabi"
)

func processCPU() float64 {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &t) != nil {
		return 0
	}
	return float64(t.Nano())
}

// BenchmarkCalls reports what a unit of gas takes in CPU time in the calls that do most work for their charge: the bound
// of a slice in time depends on it.
func BenchmarkCalls(b *testing.B) {
	const repeat = 20
	args := make([]string, hostabi.MaxArgs/2)
	for i := range args {
		args[i] = strings.Repeat("a", hostabi.MaxArgBytes/hostabi.MaxArgs-1)
	}
	for _, c := range []struct {
		name string
		args []int64
		prep func(*rig)
	}{
		{"sched_yield", nil, nil},
		{"clock_time_get", []int64{1, 0, 64}, nil},
		{"clock_time_get", []int64{0, 0, 64}, nil},
		{"args_get", []int64{0, 4096}, func(r *rig) { r.host.State.Args = args }},
		{"random_get", []int64{0, maxRandom}, nil},
		{"fd_write", []int64{1, 0, 1024, 65000}, func(r *rig) {
			for i := range maxVecs {
				r.set32(8*i, uint32(40000+i), 4)
			}
		}},
		{"poll_oneoff", []int64{0, 65536, 1024, 65000}, func(r *rig) {
			for i := range 1024 {
				r.sub(i, 1, tagWrite, 1, 0, 0)
			}
		}},
		{"poll_oneoff", []int64{0, 65536, 1024, 65000}, func(r *rig) {
			for i := range 1024 {
				r.sub(i, 1, tagClock, 1, 1000, 0)
			}
		}},
	} {
		r := newRepeatingRig(b, repeat)
		r.sys.Stdout = io.Discard
		if c.prep != nil {
			c.prep(r)
		}
		b.Run(c.name, func(b *testing.B) {
			var vs []vm.Value
			for i, a := range c.args {
				if functions[c.name].params[i] == 'I' {
					vs = append(vs, vm.I64(a))
				} else {
					vs = append(vs, vm.I32(int32(a)))
				}
			}
			before, from := r.store.Gas(), processCPU()
			for range b.N {
				if err := r.store.Start(r.inst, c.name, vs...); err != nil {
					b.Fatal(err)
				}
				if stop, err := r.store.Run(context.Background(), 1<<40); err != nil || stop.Reason != vm.Done {
					b.Fatal(stop, err)
				}
			}
			b.ReportMetric((processCPU()-from)/float64(r.store.Gas()-before), "ns/unit")
		})
	}
}
