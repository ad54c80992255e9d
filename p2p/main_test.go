package p2p_test

import (
	"log/slog"
	"os"
	"testing"

	"github.com/libp2p/go-libp2p/gologshim"
)

func TestMain(m *testing.M) {
	gologshim.SetDefaultHandler(slog.DiscardHandler)
	os.Exit(m.Run())
}
