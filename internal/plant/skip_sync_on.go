//go:build plant_skip_sync

package plant

// SkipSync leaves out the sync of a snapshot's rows before the snapshot gets its name.
const SkipSync = true
