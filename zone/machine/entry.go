package machine

import (
	"fmt"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/cert"
)

// Version is the only version of entries, commands and rows.
const Version = 1

// Limits of an entry.
const (
	// MaxEntry bounds one log entry in bytes.
	MaxEntry = 8 << 20
	// MaxCommands bounds the commands of one entry.
	MaxCommands = 1024
	// MaxInline bounds a continuation that travels in the log instead of as a blob.
	MaxInline = 16 << 10
	// MaxOutput bounds a capsule's result, and apart from it the message of a failure.
	MaxOutput = 16 << 10
	// MaxKey and MaxValue bound a user's row, in bytes.
	MaxKey   = 1 << 10
	MaxValue = 1 << 20
	// MaxReads bounds the keys and scans that one segment may depend on, MaxScanned the rows under them.
	MaxReads   = 4096
	MaxScanned = 65_536
	// MaxWrites and MaxEvents bound what one segment may change.
	MaxWrites = 4096
	MaxEvents = 256
	// MaxEvent bounds an event's data in bytes.
	MaxEvent = 64 << 10
)

// Kind says what a command does. The numbers are in the log: append only.
type Kind uint16

const (
	KindGenesis Kind = 1 + iota
	KindTick
	KindAdmin
	KindRegister
	KindAdmit
	KindRenew
	KindCommit
	KindCheckpoint
	KindCancel
	KindTopUp
	KindData
	KindRevoke
	KindAttest
	KindRestate
	KindNamespace

	// The handover of capsules between zones. A release is the end of a segment, and what only time decides
	// happens with a tick: neither needs a command.
	KindAccept
	KindTombstone
	KindExpiredNoRecord
	KindAnswer
	KindClosed
	KindPeerEpoch
	KindPeerEvidence

	// KindAdmitState is an admission with the capsule's state beside it.
	KindAdmitState
	kindEnd
)

var kindNames = [...]string{
	KindGenesis: "genesis", KindTick: "tick", KindAdmin: "admin", KindRegister: "register", KindAdmit: "admit",
	KindRenew: "renew", KindCommit: "commit", KindCheckpoint: "checkpoint", KindCancel: "cancel", KindTopUp: "topup",
	KindData: "data", KindRevoke: "revoke", KindAttest: "attest", KindRestate: "restate", KindNamespace: "namespace",
	KindAccept: "accept", KindTombstone: "tombstone", KindExpiredNoRecord: "expired-no-record", KindAnswer: "answer",
	KindClosed: "closed", KindPeerEpoch: "peer-epoch", KindPeerEvidence: "peer-evidence", KindAdmitState: "admit-state",
}

// String returns the kind's name.
func (k Kind) String() string {
	if k == 0 || k >= kindEnd {
		return fmt.Sprintf("kind(%d)", uint16(k))
	}
	return kindNames[k]
}

// KindOf reads the kind off an encoded command, 0 if that takes more than a look at its first bytes.
func KindOf(command []byte) Kind {
	const array4, small = 0x84, 24 // canonical CBOR: the command's four fields, and numbers that are their own byte
	if len(command) > 2 && command[0] == array4 && command[1] == Version && command[2] < small {
		return Kind(command[2])
	}
	return 0
}

// Entry is one log entry: commands that are applied in order, each by itself, under one index.
type Entry struct {
	_        struct{} `cbor:",toarray"`
	V        uint8
	Commands [][]byte // each Marshal(Command)
}

// Command is one change. Key is its idempotency key: a command that comes again under the same key
// returns the first result and changes nothing. It is zero for kinds that are idempotent by themselves.
type Command struct {
	_    struct{} `cbor:",toarray"`
	V    uint8
	Kind Kind
	Key  [16]byte
	Body []byte // of the kind
}

// NewEntry joins encoded commands.
func NewEntry(commands ...[]byte) ([]byte, error) {
	if len(commands) == 0 || len(commands) > MaxCommands {
		return nil, fmt.Errorf("an entry of %d commands, want 1 to %d", len(commands), MaxCommands)
	}
	b, err := capsule.Marshal(&Entry{V: Version, Commands: commands})
	if err == nil && len(b) > MaxEntry {
		err = fmt.Errorf("an entry of %d bytes, at most %d; propose fewer commands at once", len(b), MaxEntry)
	}
	return b, err
}

func newCommand(k Kind, key [16]byte, body []byte) ([]byte, error) {
	return capsule.Marshal(&Command{V: Version, Kind: k, Key: key, Body: body})
}

func bodyCommand(k Kind, key [16]byte, body any) ([]byte, error) {
	b, err := capsule.Marshal(body)
	if err != nil {
		return nil, err
	}
	return newCommand(k, key, b)
}

// Scope ties what somebody signs to one zone and one generation of it.
type Scope struct {
	_          struct{} `cbor:",toarray"`
	V          uint8
	Zone       capsule.ZoneID
	Generation uint64
}

// NewScope returns the scope of a zone's generation.
func NewScope(zone capsule.ZoneID, generation uint64) Scope {
	return Scope{V: Version, Zone: zone, Generation: generation}
}

func (s Scope) scope() Scope { return s }

// scoped is a payload that somebody signed. Scope is its first field.
type scoped interface{ scope() Scope }

// Signed is a payload with the key that vouches for it. The signature's kind is the command's name.
type Signed struct {
	_       struct{} `cbor:",toarray"`
	Signer  capsule.Key
	Payload []byte
	Sig     capsule.Sig
}

// Quorum is a payload with signatures of the current epoch's voters. The signature's kind is the command's
// name.
type Quorum struct {
	_       struct{} `cbor:",toarray"`
	Payload []byte
	Sigs    []cert.IndexSig
}

// SigKind returns the signature kind of what is signed inside a command.
func (k Kind) SigKind() capsule.Kind { return capsule.Kind("zone-" + k.String()) }

func signedCommand(k Kind, key [16]byte, id *capsule.Identity, payload any) ([]byte, error) {
	p, err := capsule.Marshal(payload)
	if err != nil {
		return nil, err
	}
	return bodyCommand(k, key, &Signed{Signer: id.Key(), Payload: p, Sig: id.Sign(k.SigKind(), p)})
}

// NewGenesis returns the first command of a zone.
func NewGenesis(genesis []byte) ([]byte, error) { return newCommand(KindGenesis, [16]byte{}, genesis) }

// NewAdmin returns an administrative command.
func NewAdmin(s *cert.SignedAdmin) ([]byte, error) { return bodyCommand(KindAdmin, [16]byte{}, s) }

// NewAdmit returns the admission of a capsule, given its envelope.
func NewAdmit(envelope []byte) ([]byte, error) { return newCommand(KindAdmit, [16]byte{}, envelope) }

// NewAdmitState returns the admission of a capsule whose state is small enough to stand in the log.
func NewAdmitState(envelope, state []byte) ([]byte, error) {
	return bodyCommand(KindAdmitState, [16]byte{}, &AdmitState{Envelope: envelope, State: state})
}

// Admits reports whether the command is an admission.
func (k Kind) Admits() bool { return k == KindAdmit || k == KindAdmitState }

// NewQuorum returns a command that voters have signed: KindTick with a Tick, KindAttest with an Attest.
func NewQuorum(k Kind, payload []byte, sigs []cert.IndexSig) ([]byte, error) {
	return bodyCommand(k, [16]byte{}, &Quorum{Payload: payload, Sigs: sigs})
}

// NewRegister, NewRenew, NewCommit and NewCheckpoint are a worker's commands.
func NewRegister(id *capsule.Identity, p *Register) ([]byte, error) {
	return signedCommand(KindRegister, [16]byte{}, id, p)
}

// NewRenew returns a worker's sign of life.
func NewRenew(id *capsule.Identity, p *Renew) ([]byte, error) {
	return signedCommand(KindRenew, [16]byte{}, id, p)
}

// NewCommit returns the end of a segment.
func NewCommit(id *capsule.Identity, p *Commit) ([]byte, error) {
	return signedCommand(KindCommit, [16]byte{}, id, p)
}

// NewCheckpoint returns a running segment's saved state.
func NewCheckpoint(id *capsule.Identity, p *Checkpoint) ([]byte, error) {
	return signedCommand(KindCheckpoint, [16]byte{}, id, p)
}

// NewCancel is signed by the capsule's author.
func NewCancel(id *capsule.Identity, p *Cancel) ([]byte, error) {
	return signedCommand(KindCancel, [16]byte{}, id, p)
}

// NewTopUp is signed by whoever pays the additional gas. It fills in p.Key.
func NewTopUp(id *capsule.Identity, key [16]byte, p *TopUp) ([]byte, error) {
	p.Key = key
	return signedCommand(KindTopUp, key, id, p)
}

// NewData is signed by the owner of the namespace, or by somebody whom it granted the keys. It fills in
// p.Key.
func NewData(id *capsule.Identity, key [16]byte, p *Data) ([]byte, error) {
	p.Key = key
	return signedCommand(KindData, key, id, p)
}

// NewRevoke is signed by an issuer in the chain that is revoked.
func NewRevoke(id *capsule.Identity, p *RevokeGrant) ([]byte, error) {
	return signedCommand(KindRevoke, [16]byte{}, id, p)
}

// NewNamespace is signed by the owner who gives a namespace away.
func NewNamespace(id *capsule.Identity, p *Transfer) ([]byte, error) {
	return signedCommand(KindNamespace, [16]byte{}, id, p)
}

// NewRestate asks for an outcome to be certified again. Anybody may.
func NewRestate(s cert.Slot) ([]byte, error) {
	return bodyCommand(KindRestate, [16]byte{}, &s)
}
