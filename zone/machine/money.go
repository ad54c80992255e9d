package machine

import "math/bits"

// Amounts are unsigned 64-bit integers below 2^62; a product is formed in 128 bits. Charges round up and
// refunds are what is left, so the zone never pays a fraction.

// gasScale is the number of units that a gas price is for.
const gasScale = 1_000_000

// rentScale is what a rent price is for: one MiB for one hour, in byte-milliseconds.
const rentScale = (1 << 20) * 3_600_000

// maxAmount bounds every credit and gas amount; the sum of two cannot wrap.
const maxAmount = 1<<62 - 1

// mulDivUp returns ⌈a·b/c⌉, or maxAmount if that is larger.
func mulDivUp(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return maxAmount
	}
	q, r := bits.Div64(hi, lo, c)
	if r > 0 {
		q++
	}
	return min(q, maxAmount)
}

// mulDivDown returns ⌊a·b/c⌋, or maxAmount if that is larger.
func mulDivDown(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return maxAmount
	}
	q, _ := bits.Div64(hi, lo, c)
	return min(q, maxAmount)
}

// sum adds amounts and stays at maxAmount.
func sum(parts ...uint64) uint64 {
	var t uint64
	for _, p := range parts {
		t = min(t+min(p, maxAmount), maxAmount)
	}
	return t
}

// GasCost returns the credits for units at price.
func GasCost(units, price uint64) uint64 { return mulDivUp(units, price, gasScale) }

// Rent returns the credits for keeping size bytes for ms milliseconds at price credits per MiB and hour.
func Rent(size, ms, price uint64) uint64 {
	if price == 0 || size == 0 || ms == 0 {
		return 0
	}
	hi, lo := bits.Mul64(size, ms)
	if hi > 0 {
		return maxAmount
	}
	return mulDivUp(lo, price, rentScale)
}
