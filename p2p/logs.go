package p2p

import (
	"log/slog"

	"github.com/libp2p/go-libp2p/gologshim"
)

// RouteLogs sends what libp2p logs to h instead of standard error. It is for the whole process and works only before the
// first host is made.
func RouteLogs(h slog.Handler) { gologshim.SetDefaultHandler(h) }
