module github.com/kitwork/kwnode/bench

go 1.26.6

require (
	github.com/bytecodealliance/wasmtime-go/v39 v39.0.1
	github.com/kitwork/kwnode v0.0.0
	github.com/tetratelabs/wazero v1.12.0
	golang.org/x/sys v0.48.0
)

require github.com/klauspost/compress v1.20.1 // indirect

replace github.com/kitwork/kwnode => ../
