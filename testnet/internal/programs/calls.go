package programs

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/kit"
)

// Calls is what Each has seen of the calls of package kit.
type Calls struct {
	All, Late []string // rows that scans gave, keys and values
	Gone      bool     // what was deleted is not found
	Zone      string
	Random    []byte
	Slept     int64    // ns
	Gas       []uint64 // left at first and at last
}

// Each makes every call that a capsule has but Goto.
func Each(ctx kit.Context, rows int) (c Calls, err error) {
	c.Gas = append(c.Gas, kit.Gas(ctx))
	for i := range rows {
		if err := kit.Put(ctx, fmt.Sprintf("note/%03d", i), i*i); err != nil {
			return c, err
		}
	}
	if err := kit.Delete(ctx, "note/001"); err != nil {
		return c, err
	}
	_, err = kit.Get[int](ctx, "note/001")
	c.Gone = errors.Is(err, kit.ErrNotFound)
	if err := kit.Emit(ctx, "each", rows); err != nil {
		return c, err
	}
	start := kit.Now(ctx)
	if err := kit.Sleep(ctx, 20*kit.Millisecond); err != nil {
		return c, err
	}
	c.Slept = kit.Now(ctx) - start
	for row, err := range kit.Scan[int](ctx, "note/") {
		if err != nil {
			return c, err
		}
		c.All = append(c.All, fmt.Sprint(row.Key, " ", row.Value))
	}
	for row, err := range kit.ScanAfter[int](ctx, "note/", fmt.Sprintf("note/%03d", rows-3)) {
		if err != nil {
			return c, err
		}
		c.Late = append(c.Late, fmt.Sprint(row.Key, " ", row.Value))
	}
	c.Zone, c.Random = kit.Zone(ctx), make([]byte, 16)
	if err := kit.Random(ctx, c.Random); err != nil {
		return c, err
	}
	kit.Log(ctx, kit.LevelWarn, fmt.Sprintf("%d rows", len(c.All)))
	c.Gas = append(c.Gas, kit.Gas(ctx))
	return c, nil
}

// Thrifty works for as long as it has more than reserve units left, and says how many rounds that were.
func Thrifty(ctx kit.Context, reserve uint64) (rounds int, err error) {
	x := uint64(1)
	for kit.Gas(ctx) > reserve {
		for range 1000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
		rounds++
	}
	return rounds, kit.Put(ctx, "note/thrifty", x)
}
