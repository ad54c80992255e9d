package sdk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kitwork/kwnode/capsule"
	"github.com/kitwork/kwnode/zone/api"
)

// lostNet is a Transport to one node, which looks for zones in vain, and so does the client.
type lostNet struct {
	refuse func() *api.Refusal // what the node answers
	own    func() error        // what the client's search ends with

	mu    sync.Mutex // guards what follows
	seeks int
}

func (l *lostNet) Connect(context.Context, string) (capsule.Key, error) { return capsule.Key{1}, nil }
func (l *lostNet) Hint(capsule.Key, []string)                           {}
func (l *lostNet) Close() error                                         { return nil }

func (l *lostNet) Open(_ context.Context, _ capsule.Key, proto string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		for {
			var req api.ZoneRequest
			if api.Read(far, &req, api.MaxMessage) != nil {
				return
			}
			if proto != api.ProtoSeek {
				_ = api.Accept(far, &api.Zones{V: api.Version, Zones: []api.ZoneInfo{}})
				continue
			}
			l.mu.Lock()
			l.seeks++
			l.mu.Unlock()
			_ = api.Refuse(far, l.refuse())
		}
	}()
	return near, nil
}

func (l *lostNet) Seek(context.Context, capsule.ZoneID, func(context.Context, capsule.Key) error) error {
	return l.own()
}

// TestNotYetIsNotUnknown: a zone that nobody finds is given up after some searches, but not while somebody has met its voters.
func TestNotYetIsNotUnknown(t *testing.T) {
	const early = 20 * time.Second
	unknown := &api.Refusal{Code: api.CodeUnknownZone}
	nobody := errors.New("nobody")
	for name, says := range map[string]func(early bool) (node *api.Refusal, own error){
		"nobody": func(bool) (*api.Refusal, error) { return unknown, nobody },
		"the node met a voter": func(early bool) (*api.Refusal, error) {
			if early {
				return &api.Refusal{Code: api.CodeUnavailable}, nobody
			}
			return unknown, nobody
		},
		"the client met a voter": func(early bool) (*api.Refusal, error) {
			if early {
				return unknown, fmt.Errorf("not found: %w", api.ErrUndescribed)
			}
			return unknown, nobody
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			l := &lostNet{
				refuse: func() *api.Refusal { r, _ := says(time.Since(start) < early); return r },
				own:    func() error { _, err := says(time.Since(start) < early); return err },
			}
			book, zone := NewBook(), capsule.ZoneID{7}
			if err := book.Trust("far", zone); err != nil {
				t.Fatal(err)
			}
			c, err := Dial(t.Context(), "node", WithTransport(l), WithBook(book))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err = c.Follow(zone, capsule.ID{1}).Await(ctx)
			if r, ok := errors.AsType[*api.Refusal](err); !ok || r.Code != api.CodeUnknownZone {
				t.Fatalf("%s: %v", name, err)
			}
			took := time.Since(start)
			want := 2 * seekAgain
			if name != "nobody" {
				want += early
			}
			if took < want || took > want+4*seekAgain {
				t.Errorf("%s: given up after %s, want %s", name, took, want)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if least := int(took / (2 * seekAgain)); l.seeks < least {
				t.Errorf("%s: %d searches in %s, want %d", name, l.seeks, took, least)
			}
		})
	}
}
