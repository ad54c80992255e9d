package raft

// Settle is what a voter does when it has been elected.
func (n *Node) Settle(term uint64) bool { return n.settle(term) }

// MostBehind bounds the bytes of entries of one size that a follower stores and has not applied, but for the few that are
// not known to be committed yet.
func MostBehind(size int) int { return maxBehind + 2*appendAtOnce*size }
