package worker

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/kitwork/kwnode/zone/api"
)

const (
	noteRoom = 256         // notes that wait to be told; what comes when they are full is dropped
	noteTime = time.Second // for telling a voter
)

// note has the voters told what happens under a lease. It never waits.
func (w *Worker) note(lease api.LeaseRef, e api.WatchEvent) {
	e.V = api.Version
	// What a guest writes need not be text, but a message's text must be.
	e.Text = strings.ToValidUTF8(e.Text[:min(len(e.Text), api.MaxEventText)], "?")
	e.Data = e.Data[:min(len(e.Data), api.MaxEventData)]
	select {
	case w.notes <- api.Note{Lease: lease, Event: e}:
	default:
	}
}

// tell sends notes to every voter, since any of them may be watched.
func (w *Worker) tell() {
	for {
		m := &api.Notes{V: api.Version, Zone: w.zone}
		size := 0
		add := func(n api.Note) {
			m.Notes = append(m.Notes, n)
			size += len(n.Event.Text) + len(n.Event.Data) + noteOverhead
		}
		select {
		case <-w.ctx.Done():
			return
		case n := <-w.notes:
			add(n)
		}
	more:
		for len(m.Notes) < api.MaxNotes && size < api.MaxNoteBytes-api.MaxEventText-api.MaxEventData-noteOverhead {
			select {
			case n := <-w.notes:
				add(n)
			default:
				break more
			}
		}
		ctx, cancel := context.WithTimeout(w.ctx, noteTime)
		var all sync.WaitGroup
		for _, k := range w.cfg.Voters() {
			all.Go(func() {
				if _, err := askOne[api.Noted](ctx, w, k, api.ProtoNote, m, api.MaxMessage); err != nil && w.ctx.Err() == nil {
					w.cfg.Logger.Debug("notes not told", "zone", w.zone, "voter", k, "err", err)
				}
			})
		}
		all.Wait()
		cancel()
	}
}

// noteOverhead is more than a note takes beside its text and data: IDs and numbers.
const noteOverhead = 256
