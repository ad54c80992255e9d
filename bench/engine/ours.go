package engine

// Ours returns the tiers of this project.
func Ours() []Engine { return nil }
