//go:build race

package bubble

// Race says whether the race detector is on: a test that repeats itself a lot may then do so less.
const Race = true
