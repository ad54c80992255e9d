//go:build !kwunmetered

package jit

// metered is false in a build with the tag kwunmetered, which measures what
// gas costs. Nothing can stop what such a build runs.
const metered = true
