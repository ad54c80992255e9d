//go:build !linux

package faildisk

import "testing"

// Run skips the test.
func Run(t *testing.T, _ func()) {
	t.Helper()
	t.Skip("only Linux can make the flushes of one thread fail")
}
