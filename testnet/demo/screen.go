package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// screen prints what happens, and that something still does while nothing is to be told.
type screen struct {
	w     io.Writer
	live  bool // a terminal: the last line may be drawn again
	began time.Time

	mu    sync.Mutex // guards what follows
	last  time.Time  // something was printed
	doing string
	drawn bool // the last line is one to be drawn over
	stop  chan struct{}
	done  sync.WaitGroup
}

// silence is how long a wait may say nothing.
const silence = 2 * time.Second

func newScreen(w io.Writer, live bool) *screen {
	s := &screen{w: w, live: live, began: time.Now(), last: time.Now(), stop: make(chan struct{})}
	s.done.Go(s.tick)
	return s
}

func (s *screen) close() {
	close(s.stop)
	s.done.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
}

func (s *screen) tick() {
	every := silence
	if s.live {
		every = 200 * time.Millisecond
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		s.mu.Lock()
		if s.doing != "" && (s.live || time.Since(s.last) >= silence) {
			s.draw(s.doing + " …")
		}
		s.mu.Unlock()
	}
}

// wipe removes a line that was drawn to be replaced. s.mu is held.
func (s *screen) wipe() {
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.drawn = false
	}
}

// draw shows a line that the next one replaces, on a terminal. s.mu is held.
func (s *screen) draw(text string) {
	line := fmt.Sprintf("%6.1fs  %s", time.Since(s.began).Seconds(), text)
	s.last = time.Now()
	if !s.live {
		fmt.Fprintln(s.w, line)
		return
	}
	s.wipe()
	fmt.Fprint(s.w, line)
	s.drawn = true
}

// wait says what is going on until the next line.
func (s *screen) wait(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doing = fmt.Sprintf(format, args...)
}

// say prints a line with the time.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.last, s.doing = time.Now(), ""
	fmt.Fprintf(s.w, "%6.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// text prints lines as they are.
func (s *screen) text(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.last, s.doing = time.Now(), ""
	fmt.Fprintf(s.w, format+"\n", args...)
}

// picture shows the three organisations with the capsule at one of them, or between two.
func picture(at, to string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		switch n {
		case at:
			parts[i] = "[" + n + "]"
		case to:
			parts[i] = ">" + n + "<"
		default:
			parts[i] = " " + n + " "
		}
	}
	return strings.Join(parts, "---")
}

func thousands(n uint64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

func size(n uint64) string {
	if n < 10_000 {
		return thousands(n) + " B"
	}
	if n < 10_000_000 {
		return thousands((n+500)/1000) + " kB"
	}
	return thousands((n+500_000)/1_000_000) + " MB"
}
