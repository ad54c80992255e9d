package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kitwork/kwnode/capsule"
)

// line is what a node logged about a capsule.
type line struct {
	Time    time.Time  `json:"time"`
	What    string     `json:"msg"`
	Capsule capsule.ID `json:"capsule"`
	Hop     uint32     `json:"hop"`
	End     uint8      `json:"end"`
	node    string
}

// What nodes log about a hop, in the order in which it happens.
const (
	stops    = "segment stops"
	goesOut  = "offer goes out"
	comesIn  = "offer comes in"
	content  = "offer has its content"
	answered = "offer is answered"
	begins   = "segment begins"
)

const endGoto = 6 // machine.EndGoto

// logs remembers how far the nodes' logs were read.
type logs struct {
	dir string
	at  map[string]int64
}

// read returns what was logged about capsules since the last time, by the time.
func (l *logs) read(n *net) ([]line, error) {
	if l.at == nil {
		l.at = map[string]int64{}
	}
	var all []line
	for _, s := range n.State().Nodes {
		part, err := l.one(filepath.Join(n.dir, "net", s.Name, "log"), s.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	slices.SortStableFunc(all, func(a, b line) int { return a.Time.Compare(b.Time) })
	return all, nil
}

func (l *logs) one(file, node string) ([]line, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.Seek(l.at[file], io.SeekStart); err != nil {
		return nil, err
	}
	var out []line
	r := bufio.NewReader(f)
	for {
		text, err := r.ReadString('\n')
		if err == io.EOF {
			return out, nil // the rest of the line comes later
		}
		if err != nil {
			return nil, err
		}
		l.at[file] += int64(len(text))
		if !strings.Contains(text, `"msg":"segment `) && !strings.Contains(text, `"msg":"offer `) {
			continue
		}
		x := line{node: node}
		if err := json.Unmarshal([]byte(text), &x); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", file, err, text)
		}
		out = append(out, x)
	}
}

// hop is one capsule's way from a zone to the next.
type hop struct {
	pause  time.Duration
	stages []time.Duration // from one step to the next, of those in between
}

// stages of a hop.
var stages = []string{stops, goesOut, comesIn, content, answered, begins}

type step struct {
	id   capsule.ID
	hop  uint32
	what string
}

// hopsOf finds the hops in what was logged: of what was done more than once, the last departure and the first of the rest.
func hopsOf(all []line, ids map[capsule.ID]bool) []hop {
	at := map[step]time.Time{}
	for _, l := range all {
		if ids != nil && !ids[l.Capsule] || l.What == stops && l.End != endGoto {
			continue
		}
		h := l.Hop
		if l.What == begins { // the hop that ends there
			if h == 0 {
				continue
			}
			h--
		}
		k := step{l.Capsule, h, l.What}
		if _, ok := at[k]; !ok || l.What == stops {
			at[k] = l.Time
		}
	}
	var out []hop
	for k, began := range at {
		if k.what != stops {
			continue
		}
		h := hop{}
		last := began
		for _, what := range stages[1:] {
			t, ok := at[step{k.id, k.hop, what}]
			if !ok {
				break
			}
			h.stages = append(h.stages, t.Sub(last))
			last = t
		}
		if len(h.stages) == len(stages)-1 {
			h.pause = last.Sub(began)
			out = append(out, h)
		}
	}
	return out
}

func quantile[T any](sorted []T, q float64) T {
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// pauses in milliseconds, sorted.
func pausesOf(all []hop) []float64 {
	var out []float64
	for _, h := range all {
		out = append(out, ms(h.pause))
	}
	slices.Sort(out)
	return out
}

// medians of the stages, in milliseconds.
func medians(all []hop) []float64 {
	out := make([]float64, len(stages)-1)
	for i := range out {
		var of []float64
		for _, h := range all {
			of = append(of, ms(h.stages[i]))
		}
		slices.Sort(of)
		out[i] = quantile(of, .5)
	}
	return out
}

func ms(d time.Duration) float64 { return d.Seconds() * 1e3 }
