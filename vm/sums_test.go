package vm

import (
	"context"
	"testing"
)

// TestStateHashIsOfContent: a page that was written with what it held hashes as one that wasn't touched, and every byte
// counts, wherever its page came from.
func TestStateHashIsOfContent(t *testing.T) {
	p := programs(t)[9]
	src := sourcesOf(p.mods...)
	boot := p.boot(t)
	defer boot.Close()
	if _, err := boot.Run(context.Background(), 1000); err != nil {
		t.Fatal(err)
	}
	base, err := boot.NewBase()
	if err != nil {
		t.Fatal(err)
	}
	s, err := base.NewStore(testConfig, src)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	hash := func() [32]byte {
		t.Helper()
		h, err := s.StateHash(nil)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	clean := hash()
	b := s.memories[0].bytes()
	image := len(s.memories[0].from.view)
	if image == 0 || image >= len(b) {
		t.Fatalf("an image of %d bytes in a memory of %d shows nothing", image, len(b))
	}
	seen := map[[32]byte]int{clean: -1}
	for _, at := range []int{0, deltaPage - 1, deltaPage, image - 1, image, len(b) - 1} {
		b[at] ^= 1
		h := hash()
		if other, dup := seen[h]; dup {
			t.Errorf("byte %d changed: the hash is that of byte %d", at, other)
		}
		seen[h] = at
		b[at] ^= 1
		if hash() != clean {
			t.Errorf("byte %d changed and changed back: another hash", at)
		}
	}
	for i := range b {
		b[i] ^= 0xff
		b[i] ^= 0xff
	}
	if hash() != clean {
		t.Error("every page was written with what it held: another hash")
	}
}
