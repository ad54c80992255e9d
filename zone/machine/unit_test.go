package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/kitwork/kwnode/capsule"
)

func TestStateHashIsAMultiset(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	type row struct{ k, v []byte }
	var rows []row
	for i := range 40 {
		rows = append(rows, row{fmt.Append(nil, "key", i%20), fmt.Append(nil, "value", i)})
	}
	var want ltHash
	for _, x := range rows {
		want.add(x.k, x.v)
	}
	for range 5 {
		var h ltHash
		extra := fmt.Append(nil, r.Uint64())
		h.add(extra, extra)
		for _, i := range r.Perm(len(rows)) {
			h.add(rows[i].k, rows[i].v)
			h.add(rows[i].k, extra)
			h.remove(rows[i].k, extra)
		}
		if h.digest() == want.digest() {
			t.Fatal("an additional row changes nothing")
		}
		h.remove(extra, extra)
		if h.digest() != want.digest() {
			t.Fatal("the order counts")
		}
	}
	var zero ltHash
	for _, x := range rows {
		want.remove(x.k, x.v)
	}
	if want.digest() != zero.digest() {
		t.Fatal("removing everything does not lead back to nothing")
	}
	var a, b ltHash
	a.add([]byte("ab"), []byte("c"))
	b.add([]byte("a"), []byte("bc"))
	if a.digest() == b.digest() {
		t.Fatal("the border between key and value does not count")
	}
	a = ltHash{}
	a.add([]byte("x"), []byte("y"))
	a.add([]byte("x"), []byte("y"))
	if a.digest() == zero.digest() {
		t.Fatal("two equal rows cancel out, as in a XOR")
	}
}

// Lanes are added one by one here.
func TestStateHashLanes(t *testing.T) {
	var h ltHash
	var want [ltBytes / 2]uint16
	for i := range 20 {
		k, v := fmt.Append(nil, "k", i), fmt.Append(nil, "v", i)
		h.add(k, v)
		var row [ltBytes]byte
		seed := h.seed(k, v)
		expand(&seed, &row)
		for j := range want {
			want[j] += binary.LittleEndian.Uint16(row[2*j:])
		}
		if i%3 == 0 {
			h.remove(k, v)
			for j := range want {
				want[j] -= binary.LittleEndian.Uint16(row[2*j:])
			}
		}
	}
	got := h.bytes()
	for j := range want {
		if g := binary.LittleEndian.Uint16(got[2*j:]); g != want[j] {
			t.Fatalf("lane %d is %d, want %d", j, g, want[j])
		}
	}
	var back ltHash
	if err := back.load(got); err != nil || back.digest() != h.digest() {
		t.Fatal("stored and loaded, it is another")
	}
	if back.load(got[1:]) == nil {
		t.Fatal("a short row loaded")
	}
}

// TestSumRow: a voter whose processor has AES has the state hash of one that hasn't.
func TestSumRow(t *testing.T) {
	if !hasSumRow {
		t.Skip("this processor has no AES that sumRow knows; run it on amd64 with AES")
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 3_000 {
		var seed [32]byte
		for i := range seed {
			seed[i] = byte(r.Uint32())
		}
		var a, b ltHash
		for i := range a.lanes {
			switch r.IntN(4) {
			case 0:
				a.lanes[i] = ^uint64(0) << (16 * r.IntN(4))
			case 1:
				a.lanes[i] = 0x8000_0000_7fff_0001
			default:
				a.lanes[i] = r.Uint64()
			}
		}
		b.lanes = a.lanes
		at := a.lanes
		sumRow(&a.lanes, &seed, 0)
		b.addExpanded(&seed)
		if a.lanes != b.lanes {
			t.Fatalf("seed %x added to %x is %x, want %x", seed, at, a.lanes, b.lanes)
		}
		seed[r.IntN(32)] ^= byte(r.IntN(2))
		at = a.lanes
		sumRow(&a.lanes, &seed, ^uint64(0))
		b.removeExpanded(&seed)
		if a.lanes != b.lanes {
			t.Fatalf("seed %x taken from %x is %x, want %x", seed, at, a.lanes, b.lanes)
		}
	}
}

func TestMoney(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	big64 := func(n uint64) *big.Int { return new(big.Int).SetUint64(n) }
	for range 20_000 {
		a, b, c := r.Uint64()>>r.IntN(64), r.Uint64()>>r.IntN(64), r.Uint64()>>r.IntN(64)|1
		p := new(big.Int).Mul(big64(a), big64(b))
		q, m := new(big.Int).QuoRem(p, big64(c), new(big.Int))
		down, up := q, new(big.Int).Set(q)
		if m.Sign() > 0 {
			up = new(big.Int).Add(up, big.NewInt(1))
		}
		want := func(x *big.Int) uint64 {
			if !x.IsUint64() || x.Uint64() > maxAmount {
				return maxAmount
			}
			return x.Uint64()
		}
		if g := mulDivDown(a, b, c); g != want(down) {
			t.Fatalf("⌊%d·%d/%d⌋ = %d, want %d", a, b, c, g, want(down))
		}
		if g := mulDivUp(a, b, c); g != want(up) {
			t.Fatalf("⌈%d·%d/%d⌉ = %d, want %d", a, b, c, g, want(up))
		}
	}
	for units := range uint64(3000) {
		if cost := GasCost(units, 1700); mulDivDown(cost, gasScale, 1700) < units {
			t.Fatalf("%d units cost %d credits, which buy only %d", units, cost, mulDivDown(cost, gasScale, 1700))
		}
	}
	if Rent(1<<20, 3_600_000, 7) != 7 || Rent(1, 1, 1) != 1 || Rent(1<<40, 1<<40, 1<<40) != maxAmount || Rent(0, 5, 5) != 0 {
		t.Fatal("rent")
	}
	if sum(maxAmount, maxAmount, maxAmount) != maxAmount || sum(1, 2, 3) != 6 {
		t.Fatal("sum")
	}
}

// A scan sees the buffer over the rows below it.
func TestStateScan(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 200 {
		tx := new(MemTx)
		model := map[string]string{}
		key := func() string { return string([]byte{'d', byte('a' + r.IntN(5)), byte('a' + r.IntN(5))}) }
		for range r.IntN(20) {
			k := key()
			_ = tx.Set([]byte(k), []byte("base"))
			model[k] = "base"
		}
		s := newState(tx, 0)
		mark, undone := -1, map[string]string{}
		for i := range 30 {
			if i == 15 {
				mark = s.mark()
				for k, v := range model {
					undone[k] = v
				}
			}
			switch k := key(); r.IntN(3) {
			case 0:
				s.setRaw([]byte(k), []byte("new"))
				model[k] = "new"
			case 1:
				s.delete([]byte(k))
				delete(model, k)
			case 2:
				s.has([]byte(k))
			}
		}
		if round%2 == 0 {
			s.rollback(mark)
			model = undone
		}
		for _, prefix := range []string{"d", "db", "dbb"} {
			for _, after := range []string{"", "dbc", "da", "dz"} {
				want := 0
				for k := range model {
					if len(k) >= len(prefix) && k[:len(prefix)] == prefix && k > after {
						want++
					}
				}
				var from []byte
				if after != "" {
					from = []byte(after)
				}
				last, n := "", 0
				s.scan([]byte(prefix), from, func(k string, v []byte) bool {
					if k <= last || model[k] != string(v) {
						t.Fatalf("round %d: row %q = %q after %q, want %q", round, k, v, last, model[k])
					}
					last = k
					n++
					return true
				})
				if n != want {
					t.Fatalf("round %d: scan of %q after %q gave %d rows, want %d", round, prefix, after, n, want)
				}
			}
		}
	}
}

func TestHalts(t *testing.T) {
	w := founded(t, 1)
	id := w.admit()
	w.m = New(w.zone, nil) // as after a restart: what it remembers is not read again
	_ = w.tx.Set(row(tabCapsule, id[:]), []byte("damaged"))
	before := w.tx.Clone()
	if _, err := w.try(must(NewCancel(w.author, &Cancel{Scope: w.scope(), Capsule: id}))); err == nil {
		t.Fatal("went on with a damaged row")
	}
	if !equalTx(before, w.tx) {
		t.Fatal("the halt left writes")
	}
	w = founded(t, 1)
	w.m = New(w.zone, nil)
	_ = w.tx.Set(keyTotals, must(capsule.Marshal(&Totals{Available: 1})))
	if _, err := w.try(w.quorum(KindTick, &Tick{Scope: w.scope(), At: w.now + 1}, 3)); err == nil {
		t.Fatal("books that don't balance did not stop the replica")
	}
}

// failingTx fails at its n-th call.
type failingTx struct {
	*MemTx
	n int
}

var errDisk = errors.New("disk")

func (t *failingTx) tick() error {
	if t.n--; t.n == 0 {
		return errDisk
	}
	return nil
}

func (t *failingTx) Get(k []byte) ([]byte, bool, error) {
	if err := t.tick(); err != nil {
		return nil, false, err
	}
	return t.MemTx.Get(k)
}

func (t *failingTx) Set(k, v []byte) error { return errors.Join(t.tick(), t.MemTx.Set(k, v)) }

func (t *failingTx) Delete(k []byte) error { return errors.Join(t.tick(), t.MemTx.Delete(k)) }

func (t *failingTx) Scan(p, a []byte, fn func(k, v []byte) bool) error {
	return errors.Join(t.tick(), t.MemTx.Scan(p, a, fn))
}

// A store that fails at any call stops the Apply with an error that names the cause; the same entry on the
// state before gives the same outcome afterwards.
func TestStoreFails(t *testing.T) {
	w := founded(t, 1)
	w.put(put("orders/1", "one"))
	id := w.admit()
	entry := must(NewEntry(
		w.commitCmd(id, EndDone, func(c *Commit) {
			c.Scans = []ScanRead{w.scan(id, "orders/", "", 5)}
			c.Writes = []Write{put("orders/1", "two"), put("orders/2", "two")}
		}),
		must(NewAdmit(w.seal().Bytes())),
	))
	want, err := New(w.zone, nil).Apply(w.tx.Clone(), w.index+1, entry)
	if err != nil {
		t.Fatal(err)
	}
	m := New(w.zone, nil)
	for n := 1; ; n++ {
		out, err := m.Apply(&failingTx{MemTx: w.tx.Clone(), n: n}, w.index+1, entry)
		if err == nil {
			if n < 30 || out.State != want.State {
				t.Fatalf("done after %d calls with state %s, want %s", n, out.State, want.State)
			}
			break
		}
		if !errors.Is(err, errDisk) {
			t.Fatalf("call %d: %v", n, err)
		}
	}
}
