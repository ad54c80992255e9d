//! Reads two integers, writes and returns their sum: the twin of ../c/add.c.
#![no_std]
#![no_main]

mod kitwork;
use kitwork::{decode_int, encode_int, fail, get, output, put, Error};

fn load(key: &[u8]) -> i64 {
    let mut buf = [0u8; 10];
    match get(0, key, &mut buf) {
        Ok(n) if n <= buf.len() => decode_int(&buf[..n]).unwrap_or_else(|| fail(16, "a summand can't be read")),
        Err(Error::NOT_FOUND) => 0,
        _ => fail(16, "a summand can't be read"),
    }
}

#[no_mangle]
pub extern "C" fn run() -> i32 {
    let mut buf = [0u8; 10];
    let n = encode_int(load(b"sum/a").wrapping_add(load(b"sum/b")), &mut buf);
    if put(0, b"sum/total", &buf[..n]).is_err() {
        fail(17, "the sum can't be written");
    }
    output(&buf[..n]);
    0
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
