//! Stable, unstable and keyed sorts of the standard library.
#[no_mangle]
pub extern "C" fn run(n: i32) -> i64 {
    let mut x = 7u32;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        x
    };
    let mut sum = 0i64;
    for _ in 0..n {
        let mut a: Vec<u32> = (0..4096).map(|_| next()).collect();
        let mut b: Vec<(f64, u32)> = (0..1024).map(|i| (next() as f64 / 3.0, i)).collect();
        a.sort_unstable();
        b.sort_by(|p, q| p.0.partial_cmp(&q.0).unwrap());
        sum = sum.wrapping_mul(31) + a[100] as i64 + b[10].1 as i64;
    }
    sum
}
