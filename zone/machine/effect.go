package machine

import (
	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// EffectKind says what the shell has to do. Every effect can be found again from the rows, so a shell that
// crashed before it acted loses none: it asks for live leases, unsent events and so on.
type EffectKind uint8

const (
	// EffectDeliver: tell Worker that it holds Lease of Capsule.
	EffectDeliver EffectKind = 1 + iota
	// EffectStop: tell Worker that it lost Lease, or that its capsule is to be cancelled.
	EffectStop
	// EffectEvent: events up to sequence N wait in the outbox.
	EffectEvent
	// EffectCollect: nothing refers to Blob any more and its promise is over.
	EffectCollect
	// EffectEnded: Capsule has a result.
	EffectEnded
	// EffectMembers: the voter set changed: make Raft's configuration follow.
	EffectMembers
	// EffectKeep: Blob has become known: something refers to it, or a quorum has promised it.
	EffectKeep
	// EffectYield: Worker is to save Capsule and give Lease back, so that another goes on.
	EffectYield
	// EffectOutbox: hop N of Capsule is on offer, or was answered: the other zone is to be told.
	EffectOutbox
	// EffectFrozen: Zone contradicted itself and is believed no more: the operator is to be told.
	EffectFrozen
)

// Effect is one thing for the shell to do. Fields that a kind doesn't name are zero.
type Effect struct {
	Kind    EffectKind
	Worker  capsule.Key
	Capsule capsule.ID
	Lease   uint64
	Blob    capsule.CID
	Zone    capsule.ZoneID
	N       uint64
}

// Result is what came of one command: Refusal, or what changed.
type Result struct {
	Kind     Kind
	Refusal  *Refusal
	Repeated bool       // done before; nothing changed now
	Capsule  capsule.ID // that the command was about
	Status   Status     // of the capsule, after the command
	N        uint64     // admission: place in the queue at most, 0 when leased at once; data: version written
}

// Outcome is what an Apply leaves besides rows.
type Outcome struct {
	Results   []Result
	Decisions []cert.Decision
	Effects   []Effect

	Zone              capsule.ZoneID
	Generation, Epoch uint64
	Index, Time       uint64
	Previous, Chain   capsule.Hash // before and after this entry
	State             capsule.Hash // logical state hash after this entry
	Deadline          uint64       // zone time at which a tick is due, 0 if nothing waits
}

// Batch returns the decisions under one root and the statement that voters sign about this index.
func (o *Outcome) Batch() (*cert.Batch, cert.Statement, error) {
	b, err := cert.NewBatch(o.Decisions)
	if err != nil {
		return nil, cert.Statement{}, err
	}
	return b, cert.Statement{
		V: cert.Version, Zone: o.Zone, Generation: o.Generation, Epoch: o.Epoch, Index: o.Index, Time: o.Time,
		Chain: o.Chain, Root: b.Root(), State: o.State,
	}, nil
}
