// Package lib holds a capsule's function outside of a main package, and one that can't travel.
package lib

import (
	"net/http"

	"github.com/kitwork/kwnode/kit"
)

// Double is as small as a capsule gets.
func Double(ctx kit.Context, n int64) (int64, error) { return 2 * n, nil }

// Fetch needs what no capsule has.
func Fetch(ctx kit.Context, url string) (int, error) {
	r, err := http.Get(url)
	if err != nil {
		return 0, err
	}
	return r.StatusCode, r.Body.Close()
}

// Broken does not compile for WebAssembly.
func Broken(ctx kit.Context, n int64) (string, error) { return undefined(n), nil }
