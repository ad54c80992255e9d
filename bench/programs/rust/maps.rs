//! Hash and tree maps with integer and string keys.
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

#[derive(Default)]
struct Fnv(u64);
impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = (self.0 ^ *b as u64).wrapping_mul(0x100000001b3);
        }
    }
}

#[no_mangle]
pub extern "C" fn run(n: i32) -> i64 {
    let mut tree: BTreeMap<u32, u32> = BTreeMap::new();
    let mut words: HashMap<String, u32, BuildHasherDefault<Fnv>> = HashMap::default();
    let mut x = 1u32;
    for i in 0..n as u32 * 100 {
        x = x.wrapping_mul(1664525).wrapping_add(1013904223);
        *tree.entry(x >> 18).or_insert(0) += i;
        if x & 7 == 0 {
            *words.entry((x >> 22).to_string()).or_insert(0) += 1;
        }
    }
    let a: i64 = tree.iter().map(|(k, v)| *k as i64 ^ *v as i64).sum();
    let b: i64 = words.iter().map(|(k, v)| k.len() as i64 * *v as i64).sum();
    a + b
}
