package vm

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// maxWindow bounds what decompression holds beside the result.
const maxWindow = 1 << 20

// maxDictionary bounds what a coder keeps of a base's body. What bases and their continuations have in common stands at
// the beginning.
const maxDictionary = 64 << 10

// codec compresses bodies, on their own or with the body of a base as what went before. Coders are kept for reuse, but
// those of one dictionary never serve another: a hostile frame could read what it says.
type codec struct {
	dict     []byte
	encoders sync.Pool
	decoders sync.Pool
}

// plain is for bodies that aren't told against a base.
var plain codec

func (c *codec) encode(body, dst []byte) []byte {
	enc, _ := c.encoders.Get().(*zstd.Encoder)
	if enc == nil {
		options := []zstd.EOption{zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(maxWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false)}
		if len(c.dict) > 0 {
			options = append(options, zstd.WithEncoderDictRaw(0, c.dict))
		}
		var err error
		if enc, err = zstd.NewWriter(nil, options...); err != nil {
			panic(err) // the options are constants, and the dictionary is small
		}
	}
	defer c.encoders.Put(enc)
	return enc.EncodeAll(body, dst)
}

// open starts decompressing with bounded memory. What comes out is bounded by the reader, who gives the decoder back.
func (c *codec) open(b []byte) (*zstd.Decoder, error) {
	d, _ := c.decoders.Get().(*zstd.Decoder)
	if d == nil {
		options := []zstd.DOption{zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(1 << 40)}
		if len(c.dict) > 0 {
			options = append(options, zstd.WithDecoderDictRaw(0, c.dict))
		}
		var err error
		if d, err = zstd.NewReader(nil, options...); err != nil {
			return nil, err
		}
	}
	if err := d.Reset(bytes.NewReader(b)); err != nil {
		return nil, err
	}
	return d, nil
}
