//! Recursion: solutions of the queens puzzle, and a memoised edit distance.
fn place(all: u32, columns: u32, left: u32, right: u32) -> i64 {
    if columns == all {
        return 1;
    }
    let mut free = all & !(columns | left | right);
    let mut count = 0;
    while free != 0 {
        let bit = free & free.wrapping_neg();
        free ^= bit;
        count += place(all, columns | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    count
}

fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = diagonal + (x != y) as usize;
            diagonal = row[j + 1];
            row[j + 1] = cost.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[no_mangle]
pub extern "C" fn run(n: i32) -> i64 {
    let words = ["continuation", "certificate", "containment", "voter", "safepoint", "mesh"];
    let mut sum = 0;
    for i in 0..n {
        sum += place((1 << (6 + i % 4)) - 1, 0, 0, 0);
        for a in words {
            for b in words {
                sum += distance(a.as_bytes(), b.as_bytes()) as i64;
            }
        }
    }
    sum
}
