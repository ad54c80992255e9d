package machine

import "fmt"

// Policy is what the operators of a zone decide and every replica applies: prices, bounds and periods.
// Times are milliseconds of zone time.
type Policy struct {
	_      struct{} `cbor:",toarray"`
	V      uint8
	Price  Price
	Bounds Bounds
	Times  Times
	// OpenWorkers lets any key register as worker. Otherwise a worker shows a chain from a zone root
	// that permits Write on ResourceWorker.
	OpenWorkers bool
}

// Price is what things cost, in credits.
type Price struct {
	_           struct{} `cbor:",toarray"`
	Gas         uint64   // per million units
	Storage     uint64   // per MiB and hour
	Certificate uint64   // per certified outcome that a capsule keeps in reserve
	FreeRefund  uint32   // part of a hold that returns without fee, per mille
	RefundFee   uint32   // fee on what returns beyond it, per mille
}

// Bounds limit what a zone takes on.
type Bounds struct {
	_          struct{} `cbor:",toarray"`
	Held       uint64   // credits held for all capsules together
	Live       uint32   // capsules that are admitted and not ended
	Queue      uint32   // of them, waiting for a worker; 0 refuses at once when all are busy
	Pages      uint32   // memory of one capsule, 64 KiB each
	StateBytes uint64   // live state of one capsule
	Workers    uint32
}

// Times are the zone's periods.
type Times struct {
	_          struct{} `cbor:",toarray"`
	Lease      uint64   // a worker that is not heard of for so long loses its segments
	Lock       uint64   // longest time that one capsule may lock its read set
	MaxExpiry  uint64   // a capsule may not outlive this, from admission
	KeepResult uint64   // a capsule's end is remembered so long beyond its expiry
	KeepEvent  uint64   // an event stays in the outbox so long
	KeepKey    uint64   // an idempotency key is remembered so long
	BlobMargin uint64   // a blob must be promised for so much longer when it is named
	Rent       uint64   // namespaces pay ahead for this period
	Offer      uint64   // another zone may accept a capsule for so long, by its own time
	Ask        uint64   // it is asked for a final answer after this
	Silence    uint64   // and counts as silent after this
}

// DefaultPolicy holds from genesis until an administrator sets another. It is part of what a genesis
// means: it never changes.
func DefaultPolicy() Policy {
	const second, hour = 1_000, 3_600_000
	return Policy{
		V:      Version,
		Price:  Price{Gas: 1_000, Storage: 1_000, Certificate: 10, FreeRefund: 900, RefundFee: 20},
		Bounds: Bounds{Held: 1 << 50, Live: 1 << 20, Queue: 1 << 16, Pages: 1 << 14, StateBytes: 256 << 20, Workers: 1 << 12},
		Times: Times{
			Lease: 800, Lock: 10 * second, MaxExpiry: 30 * 24 * hour, KeepResult: hour, KeepEvent: 24 * hour,
			KeepKey: hour / 4, BlobMargin: 10 * second, Rent: hour,
			Offer: hour / 6, Ask: 30 * second, Silence: hour / 12,
		},
	}
}

// check refuses policies under which the machine's arithmetic or progress would fail.
func (p *Policy) check() error {
	const longest = 10 * 365 * 24 * 3_600_000
	switch {
	case p.V != Version:
		return fmt.Errorf("policy has version %d, want %d", p.V, Version)
	case p.Price.Gas > 1<<40 || p.Price.Storage > 1<<40 || p.Price.Certificate > 1<<40:
		return fmt.Errorf("a price is above %d credits", uint64(1)<<40)
	case p.Price.FreeRefund > 1000 || p.Price.RefundFee > 1000:
		return fmt.Errorf("a share of refunds is above 1000 per mille")
	case p.Bounds.Held > maxAmount:
		return fmt.Errorf("the bound of held credits is not below 2^62")
	case p.Bounds.Live == 0 || p.Bounds.Workers == 0 || p.Bounds.StateBytes > 1<<40:
		return fmt.Errorf("no capsule or no worker is allowed, or the state bound is above %d bytes", uint64(1)<<40)
	case p.Times.Lease < 100:
		return fmt.Errorf("a lease of %d ms ends before a worker can renew it; want at least 100", p.Times.Lease)
	case p.Times.Rent < 60_000:
		return fmt.Errorf("a rent period of %d ms; want at least a minute", p.Times.Rent)
	}
	if p.Times.Offer == 0 || p.Times.Ask == 0 || p.Times.Silence == 0 {
		return fmt.Errorf("a handover period of 0 ms; want at least 1")
	}
	for _, t := range []uint64{p.Times.Offer, p.Times.Ask, p.Times.Silence, p.Times.Lease, p.Times.Lock, p.Times.MaxExpiry, p.Times.KeepResult, p.Times.KeepEvent, p.Times.KeepKey, p.Times.BlobMargin, p.Times.Rent} {
		if t > longest {
			return fmt.Errorf("a period of %d ms is longer than ten years", t)
		}
	}
	return nil
}
