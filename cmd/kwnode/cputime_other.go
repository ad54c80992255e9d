//go:build !linux

package main

import "time"

// threadCPU has no portable source here, so that elapsed time stands for it.
func threadCPU() time.Duration { return sinceStart() }
