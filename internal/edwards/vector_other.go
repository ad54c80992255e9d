//go:build !amd64

package edwards

const hasVectors = false

func addEntries(*lanes, **entry, int, **entry, int) { panic("no vectors here") }
