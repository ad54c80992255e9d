//go:build !linux

package main

import "time"

var started = time.Now()

// cpuTime is the wall clock where a thread's own clock can't be had; run on an
// idle machine.
func cpuTime() time.Duration { return time.Since(started) }
