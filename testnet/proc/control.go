package proc

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// control is how other commands reach the process that holds a network: HTTP on loopback, with a token that stands in the
// network's folder. (Sockets in the file system would do, but their paths may not be long.)
type control struct {
	l    net.Listener
	srv  *http.Server
	down chan struct{}
}

func serveControl(n *Net) (*control, error) {
	var secret [16]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return nil, err
	}
	token := hex.EncodeToString(secret[:])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &control{l: l, down: make(chan struct{}, 1)}
	orders := map[string]func(ctx context.Context, node string) error{
		"partition": func(ctx context.Context, s string) error { return n.Partition(ctx, strings.Split(s, ",")...) },
		"heal":      func(ctx context.Context, _ string) error { return n.Partition(ctx) },
		"ping":      func(context.Context, string) error { return nil },
		"kill":      func(_ context.Context, s string) error { return n.Kill(s) },
		"stop":      func(_ context.Context, s string) error { return n.Stop(s) },
		"start":     n.Start,
		"restart":   n.Restart,
		"pause":     func(_ context.Context, s string) error { return n.Pause(s) },
		"resume":    func(_ context.Context, s string) error { return n.Resume(s) },
		"down": func(context.Context, string) error {
			select {
			case c.down <- struct{}{}:
			default:
			}
			return nil
		},
	}
	c.srv = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(token)) != 1 {
			http.Error(w, "the token is wrong", http.StatusForbidden)
			return
		}
		do := orders[strings.TrimPrefix(r.URL.Path, "/")]
		if do == nil || r.Method != http.MethodPost {
			http.Error(w, "unknown order", http.StatusNotFound)
			return
		}
		if err := do(r.Context(), r.URL.Query().Get("node")); err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
		}
	})}
	go func() { _ = c.srv.Serve(l) }()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state.Control, n.state.Token = l.Addr().String(), token
	return c, n.save()
}

// close lets an answer that is on its way be written.
func (c *control) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_ = c.srv.Shutdown(ctx)
	c.srv.Close()
}

// Down is signalled when somebody asks for the end of the network.
func (n *Net) Down() <-chan struct{} { return n.ctl.down }

// Tell gives an order to the process that holds the network in a folder: start, stop, kill, restart, pause, resume a
// node, partition nodes (with commas) from the others, heal, or down.
func Tell(ctx context.Context, dir, order, node string) error {
	st, _, err := Look(dir)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no network in %s; start one with kwnode testnet up --dir %s", dir, dir)
	}
	if err != nil {
		return fmt.Errorf("no network in %s: %w; start one with kwnode testnet up --dir %s", dir, err, dir)
	}
	if st.Control == "" {
		return fmt.Errorf("the network in %s does not run; start it with kwnode testnet up --dir %s", dir, dir)
	}
	return tell(ctx, st, order, node)
}

func tell(ctx context.Context, st *State, order, node string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+st.Control+"/"+order+"?node="+url.QueryEscape(node), bytes.NewReader(nil))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", st.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the process that holds the network does not answer: %w", err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
	if resp.StatusCode != http.StatusOK {
		return errors.New(strings.TrimSpace(string(b)))
	}
	return nil
}

// held reports whether the process that wrote the state may still run: it answers, or is too slow to. One that is gone
// leaves a port on which nobody listens, or somebody who does not know the token.
func held(st *State) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := tell(ctx, st, "ping", "")
	return err == nil || ctx.Err() != nil
}
