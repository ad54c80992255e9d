package capsule

import (
	"fmt"
	"unicode/utf8"
)

// decoder reads canonical CBOR into the structures of a capsule: one pass, no reflection, no more memory
// than the limits of the format allow. It accepts exactly what Unmarshal accepts of them within those
// limits (FuzzDecodeAgrees holds it to that), at a ninth of the time: Verify must cost little more
// than its signatures. The first failure sticks and moves the offset to the end, so callers test fail once.
type decoder struct {
	b    []byte
	off  int
	fail *EncodingError
}

func (d *decoder) failAt(off int, format string, args ...any) {
	if d.fail == nil {
		d.fail = &EncodingError{Offset: off, Reason: fmt.Sprintf(format, args...)}
		d.off = len(d.b)
	}
}

// head reads the head of an item of the given major type.
func (d *decoder) head(want byte, what string) uint64 {
	if d.fail != nil {
		return 0
	}
	at := d.off
	major, arg, next := readHead(d.b, at)
	if next < 0 {
		d.failAt(at, "%s", headReason(d.b, at))
		return 0
	}
	if major != want {
		d.failAt(at, "want %s", what)
		return 0
	}
	d.off = next
	return arg
}

// array expects an array of exactly n fields.
func (d *decoder) array(n int, what string) {
	at := d.off
	if got := d.head(majorArray, "the array of "+what); d.fail == nil && got != uint64(n) {
		d.failAt(at, "%s has %d fields, want %d", what, got, n)
	}
}

// list expects an array of at most most elements and returns their number.
func (d *decoder) list(most int, what string) int {
	at := d.off
	n := d.head(majorArray, what)
	if n > uint64(most) {
		d.failAt(at, "%d %s, at most %d", n, what, most)
		return 0
	}
	return int(n)
}

// uint expects an unsigned integer of at most the given bits.
func (d *decoder) uint(bits int) uint64 {
	at := d.off
	v := d.head(majorUint, "an unsigned integer")
	if bits < 64 && v>>bits != 0 {
		d.failAt(at, "%d does not fit in %d bits", v, bits)
		return 0
	}
	return v
}

// next takes n bytes, of which the head at at spoke.
func (d *decoder) next(at int, n uint64) []byte {
	if d.fail != nil {
		return nil
	}
	if n > uint64(len(d.b)-d.off) {
		d.failAt(at, "a string is longer than the input")
		return nil
	}
	s := d.b[d.off : d.off+int(n)]
	d.off += int(n)
	return s
}

// fixed expects a byte string that fills dst.
func (d *decoder) fixed(dst []byte) {
	at := d.off
	n := d.head(majorBytes, "a byte string")
	if d.fail == nil && n != uint64(len(dst)) {
		d.failAt(at, "a byte string of %d, want %d", n, len(dst))
	}
	copy(dst, d.next(at, n))
}

// bytes expects a byte string of at most most bytes and copies it.
func (d *decoder) bytes(most int) []byte {
	at := d.off
	n := d.head(majorBytes, "a byte string")
	if n > uint64(most) {
		d.failAt(at, "a byte string of %d, at most %d", n, most)
	}
	return append([]byte{}, d.next(at, n)...)
}

// text expects UTF-8 of at most most bytes.
func (d *decoder) text(most int) string {
	at := d.off
	n := d.head(majorText, "text")
	if n > uint64(most) {
		d.failAt(at, "text of %d bytes, at most %d", n, most)
	}
	s := d.next(at, n)
	if !utf8.Valid(s) {
		d.failAt(at, "text is not UTF-8")
	}
	return string(s)
}

// link expects a CID or null.
func (d *decoder) link() CID {
	var c CID
	if d.fail != nil {
		return c
	}
	if d.off < len(d.b) && d.b[d.off] == cborNull {
		d.off++
		return c
	}
	if reason := checkLink(d.b[d.off:]); reason != "" {
		d.failAt(d.off, "%s", reason)
		return c
	}
	c = linkAt(d.b[d.off:])
	d.off += linkSize
	return c
}

// end expects the end of the input.
func (d *decoder) end() {
	if d.fail == nil && d.off != len(d.b) {
		d.failAt(d.off, "bytes after the end of the item")
	}
}

func (d *decoder) envelope(c *Capsule) {
	d.array(4, "a capsule")
	c.env.V = uint8(d.uint(8))
	start := d.off
	d.manifest(&c.manifest)
	if d.fail == nil {
		c.env.Manifest = RawItem(d.b[start:d.off])
	}
	d.fixed(c.env.Sig[:])
	c.env.Chains = make([]Chain, d.list(MaxChains, "chains"))
	for i := range c.env.Chains {
		c.env.Chains[i] = d.chain()
	}
	d.end()
}

// chain keeps each grant as bytes: whether they have to be decoded is known once the cache was asked.
func (d *decoder) chain() Chain {
	chain := make(Chain, d.list(MaxLinks, "links"))
	for i := range chain {
		d.array(2, "a signed grant")
		start := d.off
		d.skip()
		if d.fail == nil {
			chain[i].Payload = RawItem(d.b[start:d.off])
		}
		d.fixed(chain[i].Sig[:])
	}
	return chain
}

func (d *decoder) skip() {
	if d.fail != nil {
		return
	}
	end, fail := scanItem(d.b, d.off)
	if fail != nil {
		d.fail, d.off = fail, len(d.b)
		return
	}
	d.off = end
}

func (d *decoder) manifest(m *Manifest) {
	d.array(manifestFields, "a manifest")
	m.V = uint8(d.uint(8))
	d.fixed(m.Author[:])
	d.fixed(m.Home[:])
	m.Code, m.Base, m.State = d.link(), d.link(), d.link()
	d.fixed(m.StateHash[:])
	m.Entry = d.text(MaxEntry)
	m.Input = d.bytes(MaxInput)
	m.Itinerary = make([]Stop, d.list(MaxItinerary, "stops"))
	for i := range m.Itinerary {
		d.array(2, "a stop")
		m.Itinerary[i].Name = d.text(MaxName)
		d.fixed(m.Itinerary[i].Zone[:])
	}
	m.Needs = make([]Need, d.list(MaxNeeds, "needs"))
	for i := range m.Needs {
		d.array(3, "a need")
		d.fixed(m.Needs[i].Zone[:])
		m.Needs[i].Resource = d.text(MaxResource)
		m.Needs[i].Ability = Ability(d.uint(32))
	}
	d.array(4, "limits")
	m.Limits.MemoryPages, m.Limits.TableElems = uint32(d.uint(32)), uint32(d.uint(32))
	m.Limits.Depth, m.Limits.StateBytes = uint32(d.uint(32)), d.uint(64)
	m.Gas, m.MaxPrice, m.MinUnits = d.uint(64), d.uint(64), d.uint(64)
	d.fixed(m.Payer[:])
	m.Silence = Silence(d.uint(8))
	m.NotBefore, m.Expires = d.uint(64), d.uint(64)
	m.Grants = make([]Hash, d.list(MaxChains, "chains"))
	for i := range m.Grants {
		d.fixed(m.Grants[i][:])
	}
	d.fixed(m.Seed[:])
	d.fixed(m.Nonce[:])
	m.MeterVersion = uint16(d.uint(16))
}

func (d *decoder) grant(g *Grant) {
	d.array(11, "a grant")
	g.V = uint8(d.uint(8))
	d.fixed(g.Issuer[:])
	d.fixed(g.Audience[:])
	d.fixed(g.Subject[:])
	g.Caps = make([]Cap, d.list(MaxCaps, "capabilities"))
	for i := range g.Caps {
		d.array(2, "a capability")
		g.Caps[i].Resource = d.text(MaxResource)
		g.Caps[i].Ability = Ability(d.uint(32))
	}
	g.Gas, g.NotBefore, g.Expires = d.uint(64), d.uint(64), d.uint(64)
	g.Depth = uint8(d.uint(8))
	d.fixed(g.Nonce[:])
	d.fixed(g.Parent[:])
	d.end()
}
