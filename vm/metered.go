//go:build !kwunmetered

package vm

// Programs pay for blocks, and stop where they can't. Only a build for a benchmark that measures what this costs has it
// otherwise; such a build can't be stopped.
const (
	unit    = 1
	metered = true
)
