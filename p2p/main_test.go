package p2p_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/kitwork/kwnode/p2p"
)

func TestMain(m *testing.M) {
	p2p.RouteLogs(slog.DiscardHandler)
	os.Exit(m.Run())
}
