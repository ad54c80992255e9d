// Package machine is a zone's replicated state machine: it turns log entries into new rows of an ordered
// key-value store, decisions to certify and effects to perform; it must never know of clocks, goroutines,
// sockets, random sources, Raft or a storage engine.
package machine
