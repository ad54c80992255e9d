//go:build !plant_apply_twice

package plant

// ApplyTwice forgets that a command with the same key was applied.
const ApplyTwice = false
