//go:build kwnode_nogas

package vm

const (
	unit    = 0
	metered = false
)
