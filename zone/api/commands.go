package api

import (
	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/machine"
)

// CancelCommand is an author's wish to end a capsule. The envelope proves the authorship to a zone that hasn't seen the
// capsule, which then bars its admission.
func CancelCommand(author *capsule.Identity, zone capsule.ZoneID, generation uint64, id capsule.ID, envelope []byte) ([]byte, error) {
	return machine.NewCancel(author, &machine.Cancel{Scope: machine.NewScope(zone, generation), Capsule: id, Envelope: envelope})
}

// TopUpCommand adds units to a capsule from the signer's account. The same key makes it the same act: repeated, it counts
// once. It means nothing after expires, in zone milliseconds.
func TopUpCommand(payer *capsule.Identity, key [16]byte, zone capsule.ZoneID, generation uint64, id capsule.ID, units, expires uint64) ([]byte, error) {
	return machine.NewTopUp(payer, key, &machine.TopUp{Scope: machine.NewScope(zone, generation), Capsule: id, Units: units, Expires: expires})
}
