//go:build !amd64

package machine

const hasSumRow = false

func sumRow(*[ltBytes / 8]uint64, *[32]byte, uint64) { panic("no instructions for it here") }
