package admin

import (
	"bytes"
	"testing"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
)

// FuzzRequest holds that a request is refused or canonical, whatever arrives.
func FuzzRequest(f *testing.F) {
	var seed bytes.Buffer
	if err := api.Write(&seed, &Request{V: Version, Op: OpScan, Key: []byte("a/"), After: []byte{}, Chain: capsule.Chain{}, Act: []byte{}, Peers: []capsule.Key{}}); err != nil {
		f.Fatal(err)
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		var req Request
		r := bytes.NewReader(b)
		if api.Read(r, &req, MaxRequest) != nil {
			return
		}
		var again bytes.Buffer
		if err := api.Write(&again, &req); err != nil || !bytes.Equal(again.Bytes(), b[:len(b)-r.Len()]) {
			t.Fatalf("two encodings: %x, %x, %v", b, again.Bytes(), err)
		}
	})
}
