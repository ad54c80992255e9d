//! Rust without a standard library: a hash table, wide arithmetic and panics behind exports.
#![no_std]
#![crate_type = "cdylib"]

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

struct Table {
    slots: [(u32, u32); 256],
}

static mut TABLE: Table = Table { slots: [(0, 0); 256] };

impl Table {
    fn add(&mut self, key: u32) -> Option<u32> {
        let mut at = key.wrapping_mul(2654435769) >> 24;
        for _ in 0..256 {
            let s = &mut self.slots[at as usize];
            if s.1 == 0 || s.0 == key {
                s.0 = key;
                s.1 += 1;
                return Some(s.1);
            }
            at = (at + 1) & 255;
        }
        None
    }
}

/// Counts the steps of Collatz sequences in the table and answers how often the most frequent number was met.
#[no_mangle]
pub extern "C" fn collatz(n: u32) -> u32 {
    let t = unsafe { &mut *core::ptr::addr_of_mut!(TABLE) };
    let mut most = 0;
    for start in 1..=n {
        let mut x = start;
        let mut steps = 0;
        while x != 1 {
            x = if x % 2 == 0 { x / 2 } else { 3 * x + 1 };
            steps += 1;
        }
        most = most.max(t.add(steps).unwrap_or(0));
    }
    most
}

/// The n-th power of a 128-bit number modulo 2^127 - 1; low half of the result.
#[no_mangle]
pub extern "C" fn modpow(base: u64, mut n: u64) -> u64 {
    const P: u128 = (1 << 127) - 1;
    let mut r: u128 = 1;
    let mut b = base as u128;
    while n > 0 {
        if n & 1 == 1 {
            r = (r % P) * (b & 0xffff_ffff) % P;
        }
        b = (b & 0xffff_ffff_ffff) * (b & 0xffff_ffff_ffff) % P;
        n >>= 1;
    }
    r as u64
}

/// Indexes out of bounds when told to.
#[no_mangle]
pub extern "C" fn index(i: u32) -> u32 {
    let a = [1u32, 2, 3, 5, 8];
    a[i as usize]
}

/// Sums floats, NaN included, and answers the bits.
#[no_mangle]
pub extern "C" fn floats(n: u32) -> u64 {
    let mut s = 0.0f64;
    for i in 0..n {
        s += (i as f64) / 3.0 - (i as f32 / 7.0) as f64;
    }
    if n == 0 {
        s = -(s / unsafe { core::ptr::read_volatile(&s) });
    }
    (s + 0.0).to_bits()
}
