package bubble

import (
	"sync"
	"testing"
	"time"
)

// TestTimersOfABubble does what crashes the race detector when goroutines do it on two processors.
func TestTimersOfABubble(t *testing.T) {
	Test(t, func(*testing.T) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 5000 {
					<-time.NewTimer(0).C
				}
			})
		}
		all.Wait()
		fired := make(chan struct{})
		time.AfterFunc(time.Second, func() { close(fired) })
		<-fired
	})
}
