// Package demo shows what the mesh is for: an investigation that travels through three organisations. It must never decide
// or pretend anything: what it shows is what the zones did, and what it measures it measures here.
package demo

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	_ "embed"

	"github.com/kitwork/kwnode/sdk"
	"github.com/kitwork/kwnode/sdk/build"
)

const (
	capsulePackage  = "github.com/kitwork/kwnode/examples/investigation"
	capsuleFunction = "Investigate"
)

// embeddedModule is the capsule's code as it was built last; TestModule says when it has to be built again.
//
//go:embed investigation.wasm.gz
var embeddedModule []byte

// rebuildTime bounds the build of the capsule: a machine that has never compiled for WebAssembly takes a while.
const rebuildTime = 75 * time.Second

// module is the capsule's code.
type module struct {
	*sdk.Program
	origin string // for people
}

// hash is how the code is named in short.
func (m *module) hash() string { return hex.EncodeToString(m.CID.Digest[:6]) }

// loadModule builds the capsule from the checkout that it stands in, or takes the copy that the program carries.
func loadModule(ctx context.Context, cache string, progress func(build.Progress)) (*module, error) {
	code, err := unpackModule(embeddedModule)
	if err != nil {
		return nil, err
	}
	embedded, err := sdk.FromWasm(capsuleFunction, code, build.Entry)
	if err != nil {
		return nil, err
	}
	building, cancel := context.WithTimeout(ctx, rebuildTime)
	defer cancel()
	fresh, err := sdk.BuildPackage(building, capsulePackage, capsuleFunction, build.Options{Cache: cache, Progress: progress})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, build.ErrNoToolchain):
		return &module{embedded, "the copy inside this program, as there is no go command"}, nil
	case building.Err() != nil:
		return &module{embedded, fmt.Sprintf("the copy inside this program, as building it took more than %s", rebuildTime)}, nil
	case err != nil:
		return &module{embedded, "the copy inside this program, as this is no checkout of kwnode"}, nil
	case fresh.CID == embedded.CID:
		return &module{fresh, "built here, bit for bit the copy inside this program"}, nil
	}
	return &module{fresh, "built here; the copy inside this program is from another toolchain or source"}, nil
}

// again is the same code under another hash, which nobody has yet.
func (m *module) again(nonce []byte) (*sdk.Program, error) {
	body := append([]byte{5}, "nonce"...)
	body = append(body, nonce...)
	code := append(bytes.Clone(m.Code), 0, byte(len(body))) // a custom section
	return sdk.FromWasm(m.Name, append(code, body...), m.Entry)
}

const maxModule = 16 << 20

func unpackModule(b []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("embedded module: %w", err)
	}
	code, err := io.ReadAll(io.LimitReader(r, maxModule))
	if err != nil {
		return nil, fmt.Errorf("embedded module: %w", err)
	}
	return code, nil
}

func pack(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
