// Package bubble runs tests in virtual time; it must never know what they test.
package bubble

import (
	"runtime"
	"testing"
	"testing/synctest"
)

// Test is synctest.Test. With the race detector it uses one processor: goroutines of a bubble that receive from expired
// timers run their callbacks on one race context without a lock (runtime.unlockAndRun, Go 1.26), and two at once corrupt
// its stack of callers until the detector crashes.
func Test(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	if Race {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, fn)
}
