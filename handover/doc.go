// Package handover holds the protocol by which a running capsule changes
// zones: the transitions of the zone that lets it go, those of the zone that
// may take it, and the chain of certificates that proves who owned it when.
//
// It is arithmetic over small records. It has no clock, no socket, no
// goroutine and no random source: the zone's replicated machine calls it from
// Apply with the zone's own certified time, and performs what it asks for. It
// must never learn how messages travel.
package handover
