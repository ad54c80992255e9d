package programs

import (
	"errors"
	"fmt"

	"github.com/kitwork/kwnode/kit"
)

// Itinerary is where Travel goes.
type Itinerary struct {
	Name  string
	Stops []string
}

// Travel reads a number where it starts, and at each stop adds the one that it finds there, counts its visit and takes the
// sum along. A stop that can't be reached is left out, and said so.
func Travel(ctx kit.Context, in Itinerary) (string, error) {
	sum, err := visit(ctx, in.Name)
	if err != nil {
		return "", err
	}
	log := kit.Zone(ctx)
	for _, stop := range in.Stops {
		if err := kit.Goto(ctx, stop); errors.Is(err, kit.ErrUnreachable) || errors.Is(err, kit.ErrExhausted) || errors.Is(err, kit.ErrDenied) {
			log += " !" + stop
			continue
		} else if err != nil {
			return "", err
		}
		n, err := visit(ctx, in.Name)
		if err != nil {
			return "", err
		}
		sum += n
		log += " " + kit.Zone(ctx)
	}
	return fmt.Sprintf("%s: %d", log, sum), nil
}

func visit(ctx kit.Context, name string) (int64, error) {
	n, err := kit.Get[int64](ctx, "count/"+name)
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return 0, err
	}
	visits, err := kit.Get[int64](ctx, "note/visits")
	if err != nil && !errors.Is(err, kit.ErrNotFound) {
		return 0, err
	}
	return n, kit.Put(ctx, "note/visits", visits+1)
}
