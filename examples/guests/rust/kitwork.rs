//! The host ABI of a capsule, kitwork:host@0.1.0, for Rust without std, and the encoding of integers that package kit of
//! Go uses. What isn't called isn't imported, so this file asks for nothing by itself.
#![allow(dead_code)]

mod raw {
    #[link(wasm_import_module = "kitwork:host/kv@0.1.0")]
    extern "C" {
        pub fn get(store: u32, key: *const u8, klen: usize, dst: *mut u8, cap: usize) -> i32;
        pub fn put(store: u32, key: *const u8, klen: usize, val: *const u8, vlen: usize) -> i32;
        pub fn delete(store: u32, key: *const u8, klen: usize) -> i32;
        pub fn scan(store: u32, prefix: *const u8, plen: usize, after: *const u8, alen: usize, dst: *mut u8, cap: usize) -> i32;
    }
    #[link(wasm_import_module = "kitwork:host/flow@0.1.0")]
    extern "C" {
        pub fn input(dst: *mut u8, cap: usize) -> i32;
        pub fn output(val: *const u8, len: usize);
        pub fn fail(code: u32, msg: *const u8, len: usize) -> !;
        #[link_name = "goto"]
        pub fn go_to(zone: *const u8, len: usize) -> i32;
        pub fn sleep(ns: u64) -> i32;
        pub fn gas() -> u64;
    }
    #[link(wasm_import_module = "kitwork:host/clock@0.1.0")]
    extern "C" {
        pub fn now() -> u64;
    }
    #[link(wasm_import_module = "kitwork:host/random@0.1.0")]
    extern "C" {
        pub fn fill(dst: *mut u8, len: usize) -> i32;
    }
    #[link(wasm_import_module = "kitwork:host/event@0.1.0")]
    extern "C" {
        pub fn emit(topic: *const u8, tlen: usize, data: *const u8, dlen: usize) -> i32;
    }
    #[link(wasm_import_module = "kitwork:host/log@0.1.0")]
    extern "C" {
        pub fn write(level: u32, msg: *const u8, len: usize);
    }
}

/// Why a call was refused.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(pub i32);

impl Error {
    pub const NOT_FOUND: Error = Error(-1);
    pub const DENIED: Error = Error(-2);
    pub const INVALID: Error = Error(-3);
    pub const TOO_LARGE: Error = Error(-4);
    pub const CONFLICT: Error = Error(-5);
    pub const UNREACHABLE: Error = Error(-6);
    pub const EXHAUSTED: Error = Error(-7);
    pub const UNSUPPORTED: Error = Error(-8);
}

fn length(n: i32) -> Result<usize, Error> {
    if n < 0 { Err(Error(n)) } else { Ok(n as usize) }
}

fn code(n: i32) -> Result<(), Error> {
    length(n).map(|_| ())
}

/// The value's full length; if that is above dst's, nothing was written.
pub fn get(store: u32, key: &[u8], dst: &mut [u8]) -> Result<usize, Error> {
    length(unsafe { raw::get(store, key.as_ptr(), key.len(), dst.as_mut_ptr(), dst.len()) })
}

pub fn put(store: u32, key: &[u8], val: &[u8]) -> Result<(), Error> {
    code(unsafe { raw::put(store, key.as_ptr(), key.len(), val.as_ptr(), val.len()) })
}

pub fn delete(store: u32, key: &[u8]) -> Result<(), Error> {
    code(unsafe { raw::delete(store, key.as_ptr(), key.len()) })
}

/// Entries {key length u32, value length u32, key, value}* with the prefix and a key greater than after.
pub fn scan(store: u32, prefix: &[u8], after: &[u8], dst: &mut [u8]) -> Result<usize, Error> {
    length(unsafe { raw::scan(store, prefix.as_ptr(), prefix.len(), after.as_ptr(), after.len(), dst.as_mut_ptr(), dst.len()) })
}

pub fn input(dst: &mut [u8]) -> Result<usize, Error> {
    length(unsafe { raw::input(dst.as_mut_ptr(), dst.len()) })
}

pub fn output(val: &[u8]) {
    unsafe { raw::output(val.as_ptr(), val.len()) }
}

pub fn fail(code: u32, msg: &str) -> ! {
    unsafe { raw::fail(code, msg.as_ptr(), msg.len()) }
}

pub fn go_to(zone: &str) -> Result<(), Error> {
    code(unsafe { raw::go_to(zone.as_ptr(), zone.len()) })
}

pub fn sleep(ns: u64) -> Result<(), Error> {
    code(unsafe { raw::sleep(ns) })
}

pub fn gas() -> u64 {
    unsafe { raw::gas() }
}

pub fn now() -> u64 {
    unsafe { raw::now() }
}

pub fn random(dst: &mut [u8]) -> Result<(), Error> {
    code(unsafe { raw::fill(dst.as_mut_ptr(), dst.len()) })
}

pub fn emit(topic: &str, data: &[u8]) -> Result<(), Error> {
    code(unsafe { raw::emit(topic.as_ptr(), topic.len(), data.as_ptr(), data.len()) })
}

pub fn log(level: u32, msg: &str) {
    unsafe { raw::write(level, msg.as_ptr(), msg.len()) }
}

/// Writes v as package kit does and returns the bytes used.
pub fn encode_int(v: i64, dst: &mut [u8; 10]) -> usize {
    let mut u = (v << 1 ^ v >> 63) as u64;
    let mut n = 0;
    while u >= 0x80 {
        dst[n] = u as u8 | 0x80;
        n += 1;
        u >>= 7;
    }
    dst[n] = u as u8;
    n + 1
}

/// Reads what encode_int wrote, all of it.
pub fn decode_int(src: &[u8]) -> Option<i64> {
    let mut u = 0u64;
    for (i, b) in src.iter().enumerate().take(10) {
        u |= u64::from(b & 0x7f) << (7 * i);
        if *b < 0x80 {
            return if i + 1 == src.len() { Some((u >> 1) as i64 ^ -((u & 1) as i64)) } else { None };
        }
    }
    None
}
