//go:build kwunmetered

package jit

const metered = false
