package raft

// Settle is what a voter does when it has been elected.
func (n *Node) Settle(term uint64) bool { return n.settle(term) }
