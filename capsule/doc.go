// Package capsule is the signed, portable unit of logic: its canonical bytes, identities, capability
// grants and the two stages of checks; it must never know of networks, clocks, consensus or execution.
package capsule

// Version is the only version of the manifest, grant and envelope formats that this code reads and writes.
const Version = 1

// Limits of the format. A capsule beyond one of them is refused before any work that grows with it.
const (
	// MaxEnvelope bounds a whole capsule in bytes. It is what one peer must hold in memory for another
	// that it does not know yet: 1,000 strangers at once cost 64 MiB. Code and state travel by hash.
	MaxEnvelope = 64 << 10
	// MaxLinks bounds a chain of grants: root, organisation, team, service, job and room to spare. Every
	// link costs one signature verification.
	MaxLinks = 8
	// MaxChains bounds the chains of one capsule, so that the costliest envelope asks for
	// 1 + 16 × 8 verifications, about 10 ms of one core, and only after its author's signature held.
	MaxChains = 16
	// MaxCaps bounds the capabilities of one grant. Narrowing compares each with each of the parent's.
	MaxCaps = 32
	// MaxResource bounds a resource path in bytes; it becomes the prefix of a storage key.
	MaxResource = 256
	// MaxItinerary bounds the zones that a capsule can name.
	MaxItinerary = 64
	// MaxNeeds bounds the capabilities that a capsule asks for, over all its zones.
	MaxNeeds = 64
	// MaxName bounds an itinerary name in bytes, as a DNS label is bounded.
	MaxName = 63
	// MaxEntry bounds the name of the exported function that a fresh capsule starts with.
	MaxEntry = 256
	// MaxInput bounds the input of a fresh start, which travels inside the envelope.
	MaxInput = 16 << 10
	// MaxGas bounds every amount of gas, credits and milliseconds: the sum of two such values cannot
	// wrap around in 64 bits, signed or not.
	MaxGas = 1 << 62
	// MaxMemoryPages is WebAssembly's own bound for a 32-bit memory, in pages of 64 KiB.
	MaxMemoryPages = 1 << 16
)
