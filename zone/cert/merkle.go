package cert

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/kitwork/kwnode/capsule"
)

// The tree is RFC 6962's: leaves and nodes are hashed with different first bytes, so that no node passes
// for a decision, and an unbalanced tree splits at the largest power of two. The root also covers the
// number of leaves: a path then has one form, and no bit of a certificate can change unnoticed.
const (
	leafPrefix = 0x00
	nodePrefix = 0x01
	rootPrefix = 0x02
)

func rootHash(leaves uint32, top capsule.Hash) capsule.Hash {
	var b [37]byte
	b[0] = rootPrefix
	binary.BigEndian.PutUint32(b[1:], leaves)
	copy(b[5:], top[:])
	return sha256.Sum256(b[:])
}

func leafHash(payload []byte) capsule.Hash {
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	h.Write(payload)
	return capsule.Hash(h.Sum(nil))
}

func nodeHash(l, r capsule.Hash) capsule.Hash {
	var b [65]byte
	b[0] = nodePrefix
	copy(b[1:], l[:])
	copy(b[33:], r[:])
	return sha256.Sum256(b[:])
}

// split returns the size of the left subtree of n > 1 leaves.
func split(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Batch is the decisions of one log index with their tree.
type Batch struct {
	decisions []Decision
	// nodes is the tree in pre-order: a subtree of n leaves is 2n−1 hashes, its own first, then the left, then the right
	// subtree's.
	nodes []capsule.Hash
	root  capsule.Hash
}

// NewBatch builds the tree over ds, which all belong to one log index. No decisions give the zero root.
func NewBatch(ds []Decision) (*Batch, error) {
	if len(ds) > MaxBatch {
		return nil, fmt.Errorf("%d decisions in a batch, at most %d", len(ds), MaxBatch)
	}
	b := &Batch{decisions: ds}
	if len(ds) == 0 {
		return b, nil
	}
	leaves := make([]capsule.Hash, len(ds))
	for i := range ds {
		p, err := capsule.Marshal(&ds[i])
		if err != nil {
			return nil, err
		}
		leaves[i] = leafHash(p)
	}
	b.nodes = make([]capsule.Hash, 2*len(ds)-1)
	buildTree(b.nodes, leaves)
	b.root = rootHash(uint32(len(ds)), b.nodes[0])
	return b, nil
}

// Root returns the hash that a Statement carries for the batch.
func (b *Batch) Root() capsule.Hash { return b.root }

// Decisions returns the decisions in order. The caller does not change them.
func (b *Batch) Decisions() []Decision { return b.decisions }

// buildTree fills nodes, of which there are 2·len(leaves)−1.
func buildTree(nodes, leaves []capsule.Hash) {
	if len(leaves) == 1 {
		nodes[0] = leaves[0]
		return
	}
	k := split(len(leaves))
	left, right := nodes[1:2*k], nodes[2*k:]
	buildTree(left, leaves[:k])
	buildTree(right, leaves[k:])
	nodes[0] = nodeHash(left[0], right[0])
}

// Path proves that a leaf stands under a root.
type Path struct {
	_     struct{} `cbor:",toarray"`
	Leaf  uint32   // position
	Count uint32   // leaves in the tree
	Steps []capsule.Hash
}

// Path returns the proof for decision i. It panics if there is no such decision.
func (b *Batch) Path(i int) Path {
	_ = b.decisions[i]
	n := len(b.decisions)
	p := Path{Leaf: uint32(i), Count: uint32(n), Steps: make([]capsule.Hash, 0, bits.Len(uint(n)))}
	for nodes := b.nodes; n > 1; {
		k := split(n)
		left, right := nodes[1:2*k], nodes[2*k:]
		if i < k {
			p.Steps = append(p.Steps, right[0])
			nodes, n = left, k
		} else {
			p.Steps = append(p.Steps, left[0])
			nodes, n, i = right, n-k, i-k
		}
	}
	return p
}

// root returns the root that leaf and p lead to, or false when p has a wrong shape. Steps run from the
// root down.
func (p *Path) root(leaf capsule.Hash) (capsule.Hash, bool) {
	if p.Count == 0 || p.Count > MaxBatch || p.Leaf >= p.Count {
		return capsule.Hash{}, false
	}
	var right [32]bool // whether the leaf lies in the right subtree, at each step
	i, n, depth := int(p.Leaf), int(p.Count), 0
	for n > 1 {
		k := split(n)
		if i < k {
			n = k
		} else {
			right[depth] = true
			i, n = i-k, n-k
		}
		depth++
	}
	if depth != len(p.Steps) {
		return capsule.Hash{}, false
	}
	for d := depth - 1; d >= 0; d-- {
		if right[d] {
			leaf = nodeHash(p.Steps[d], leaf)
		} else {
			leaf = nodeHash(leaf, p.Steps[d])
		}
	}
	return rootHash(p.Count, leaf), true
}
