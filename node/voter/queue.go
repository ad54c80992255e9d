package voter

import (
	"sync"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

// queue remembers who waits for a worker, and at which place from 1, for all who watch one of them: counting reads up to
// machine.MaxPlace rows. One count is under way at a time, and whoever asks meanwhile shares it.
type queue struct {
	mu     sync.Mutex // guards what follows
	places map[capsule.ID]uint64
	index  uint64 // of the state that was counted
	at     time.Time
}

// placesAge is how old a place may be that is told of a capsule that was there when they were counted.
const placesAge = time.Second

// place returns where a capsule stands that waited at an index of the state, or 0 if it doesn't any more, or far behind.
func (q *queue) place(id capsule.ID, index uint64, count func() (map[capsule.ID]uint64, uint64, error)) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if at := q.places[id]; q.index >= index || at > 0 && time.Since(q.at) < placesAge {
		return at
	}
	places, counted, err := count()
	if err != nil {
		return 0
	}
	q.places, q.index, q.at = places, counted, time.Now()
	return places[id]
}

// waiting counts the places in the zone's present state.
func (s *Server) waiting() (map[capsule.ID]uint64, uint64, error) {
	v, err := s.cfg.Zone.Query()
	if err != nil {
		return nil, 0, err
	}
	defer v.Close()
	places, err := v.Places()
	return places, v.Index(), err
}
