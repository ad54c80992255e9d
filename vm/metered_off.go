//go:build kwunmetered

package vm

const (
	unit    = 0
	metered = false
)
