// Package admin is how operators and owners of data speak to a node: a protocol, its server on a node and its client. It
// must never change anything by its own word: what it does to a zone is signed by whoever may do it and checked by every
// replica, and what it reads of a zone it shows only to those who may see it.
package admin

import (
	"encoding/json"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone"
	"github.com/kitwork/kwnode/zone/machine"
)

// Proto is the protocol ID. One stream carries requests, each answered by an api.Response with a Reply.
const Proto = "/kitwork/admin/1"

// Version of every message.
const Version = 1

// MaxRequest bounds a request: the largest part is a chain of grants, or a signed act of administration.
const MaxRequest = 128 << 10

// MaxReply bounds a reply, MaxRows its rows.
const (
	MaxReply = 4 << 20
	MaxRows  = 1000
	MaxPeers = 256 // of OpBlock
)

// Op is what a request asks for.
type Op string

// The operations, and who may ask for them beside the operators of the node and the roots of the zone.
const (
	OpNode       Op = "node"       // anybody: NodeInfo, its workers only for who has a grant of CapInspect
	OpStatus     Op = "status"     // anybody: ZoneStatus
	OpPolicy     Op = "policy"     // anybody: machine.Policy
	OpAccounts   Op = "accounts"   // the key itself, its own: []AccountInfo
	OpNamespaces Op = "namespaces" // owners, theirs: []NamespaceInfo
	OpCapsules   Op = "capsules"   // authors and payers, theirs; all for who has a grant of CapInspect: Capsules
	OpGet        Op = "get"        // who owns the namespace, or has a chain of grants from its owner: RowInfo
	OpScan       Op = "scan"       // the same: Rows
	OpWorkers    Op = "workers"    // nobody else: []WorkerInfo
	OpPeers      Op = "peers"      // who has a grant of CapInspect: p2p.Snapshot
	OpTopics     Op = "topics"     // the same: mesh.Snapshot
	OpDHT        Op = "dht"        // the same: find.Snapshot
	OpLedger     Op = "ledger"     // nobody else: []PeerInfo
	OpLearner    Op = "learner"    // whoever brings an Act of the roots, an epoch with Peer in it: Peer gets the log; the leader does it
	OpUnlearn    Op = "unlearn"    // nobody else: takes OpLearner back
	OpTransfer   Op = "transfer"   // nobody else: leadership goes to Peer, or to the most advanced voter
	OpVoters     Op = "voters"     // whoever brings an Act that enough roots have signed
	OpBackup     Op = "backup"     // on ProtoBackup, nobody else: all rows, with the certificate of their state
	OpDrain      Op = "drain"      // operators of the node: its workers take no more, and give back what they have
	OpBlock      Op = "block"      // operators of the node: it has nothing to do with the Peers, and with nobody else it did not
)

// CapInspect is a resource. Who may read it, by a grant that an operator of the node has signed for a zone that the node serves,
// sees what operators see of the node, and changes nothing.
const CapInspect = "inspect"

// Request is one question or order. Fields that the operation doesn't use are empty.
type Request struct {
	_     struct{} `cbor:",toarray"`
	V     uint8
	Op    Op
	Zone  capsule.ZoneID
	Key   []byte // of OpGet; prefix of OpScan
	After []byte // of a listing: begin behind this key
	Rows  uint32 // of a listing: at most so many
	// Stale reads what this voter has, without asking the others whether it is the newest: the only way to read a zone
	// that has lost its quorum.
	Stale bool
	Chain capsule.Chain // what lets the asker read
	Peer  capsule.Key
	Act   []byte        // encoding of a cert.SignedAdmin
	Peers []capsule.Key // of OpBlock: all of them; none ends it
}

// Reply carries a document for people and their programs. Nothing in it is proven; no replica reads it.
type Reply struct {
	_    struct{} `cbor:",toarray"`
	V    uint8
	JSON json.RawMessage
}

// NodeInfo is what a node says of itself.
type NodeInfo struct {
	Key       capsule.Key      `json:"key"`
	Peer      string           `json:"peer"`
	Addrs     []string         `json:"addrs"`
	Version   string           `json:"version"`
	Platform  string           `json:"platform"`
	Protocols []string         `json:"protocols"`
	Zones     []capsule.ZoneID `json:"zones"`
	Voter     []capsule.ZoneID `json:"voter_of"`
	Workers   []WorkerStatus   `json:"workers,omitempty"`
}

// WorkerStatus is a worker in the node's process.
type WorkerStatus struct {
	Zone     capsule.ZoneID `json:"zone"`
	Voter    capsule.Key    `json:"voter"` // that it works with
	Running  []capsule.ID   `json:"running"`
	Segments uint64         `json:"segments"`
	Draining bool           `json:"draining"`
}

// ZoneStatus is how a zone stands, as one voter sees it.
type ZoneStatus struct {
	zone.Status
	AdminSequence uint64 `json:"admin_sequence"` // of the last act: the next one is signed with one more
	PolicyVersion uint64 `json:"policy_version"`
	Feature       uint32 `json:"feature"`
	Workers       uint32 `json:"workers"`
	FreeSlots     uint32 `json:"free_slots"`
	Live          uint32 `json:"live"` // capsules that have not ended
	Queued        uint32 `json:"queued"`
	Admitted      uint64 `json:"admitted"`
	Ended         uint64 `json:"ended"`
	Floor         uint64 `json:"floor"` // oldest index whose values are kept
}

// AccountInfo is an account in credits.
type AccountInfo struct {
	Key       capsule.Key `json:"key"`
	Available uint64      `json:"available"`
	Held      uint64      `json:"held"`
}

// NamespaceInfo is a namespace in bytes.
type NamespaceInfo struct {
	Name     string      `json:"name"`
	Owner    capsule.Key `json:"owner"`
	Quota    uint64      `json:"quota"`
	Used     uint64      `json:"used"`
	Frozen   bool        `json:"frozen"`   // the rent is due
	Sequence uint64      `json:"sequence"` // changes of owner so far: the next one is signed with one more
}

// CapsuleInfo is a capsule's place in its life.
type CapsuleInfo struct {
	ID      capsule.ID  `json:"id"`
	Author  capsule.Key `json:"author"`
	Payer   capsule.Key `json:"payer"`
	Status  string      `json:"status"`
	Hop     uint32      `json:"hop"`
	Segment uint32      `json:"segment"`
	Place   int         `json:"place,omitempty"` // among those that wait for a worker, of the first machine.MaxPlace
	Worker  string      `json:"worker,omitempty"`
	Expires uint64      `json:"expires"` // zone ms
	Since   uint64      `json:"since"`   // zone ms of the last change of status
	Gas     uint64      `json:"gas"`     // units used up to the last boundary, in earlier zones too
	State   uint64      `json:"state"`   // bytes of the continuation at the last boundary

	Offer *OfferInfo `json:"offer,omitempty"` // while another zone is to take it
}

// OfferInfo is a handover that the other zone has not answered.
type OfferInfo struct {
	Target  capsule.ZoneID `json:"target"`
	Expires uint64         `json:"expires"` // by the target's time, ms
	Credits uint64         `json:"credits"` // held until it is answered
	GiveUp  uint64         `json:"give_up"` // zone ms when the manifest has this zone write the capsule off; 0: it waits for ever
}

// Capsules is one page of a listing. Next, if it isn't zero, is After of the next page.
type Capsules struct {
	Capsules []CapsuleInfo `json:"capsules"`
	Next     *capsule.ID   `json:"next,omitempty"`
}

// RowInfo is a value; encoding/json shows it in base64. Version 0 means that the key is absent.
type RowInfo struct {
	Key     []byte `json:"key"`
	Value   []byte `json:"value"`
	Version uint64 `json:"version"`
}

// Rows is one page of a scan.
type Rows struct {
	Rows  []RowInfo `json:"rows"`
	More  bool      `json:"more"`
	Index uint64    `json:"index"` // of the log: what the page reflects
}

// WorkerInfo is a worker as the zone knows it.
type WorkerInfo struct {
	Key capsule.Key `json:"key"`
	machine.WorkerRow
}

// PeerInfo is another zone as this one knows it.
type PeerInfo struct {
	Zone     capsule.ZoneID `json:"zone"`
	Cap      uint64         `json:"cap"`
	Sent     uint64         `json:"sent"`
	Received uint64         `json:"received"`
	Frozen   bool           `json:"frozen"`
	Evidence []byte         `json:"evidence,omitempty"` // encoding of the cert.Evidence that froze it
}

// Done is the answer to an order.
type Done struct {
	_     struct{} `cbor:",toarray"`
	Index uint64   `json:"index,omitempty"`
}
