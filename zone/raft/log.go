package raft

import (
	"bytes"
	"context"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// newLogger passes hashicorp/raft's messages on. Its warnings are routine in an election, so they are debug messages here.
func newLogger(l *slog.Logger) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: logWriter{l}, DisableTime: true})
}

type logWriter struct{ l *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	level := slog.LevelDebug
	if bytes.HasPrefix(p, []byte("[ERROR]")) {
		level = slog.LevelInfo
	}
	if w.l.Enabled(context.Background(), level) {
		_, text, _ := bytes.Cut(p, []byte("]")) // behind the level, which the line gets again
		w.l.Log(context.Background(), level, string(bytes.TrimSpace(text)))
	}
	return len(p), nil
}
