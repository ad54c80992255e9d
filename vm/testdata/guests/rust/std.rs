//! Rust with its standard library under WASI: collections, strings, sorting, time, panics and an exit status.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, PartialEq)]
enum Json {
    Num(f64),
    Str(String),
    List(Vec<Json>),
}

fn render(j: &Json, out: &mut String) {
    match j {
        Json::Num(n) => write!(out, "{}", n).unwrap(),
        Json::Str(s) => write!(out, "{:?}", s).unwrap(),
        Json::List(l) => {
            out.push('[');
            for (i, e) in l.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                render(e, out);
            }
            out.push(']');
        }
    }
}

#[inline(never)]
fn depth(n: u32, seen: &mut [u8; 16]) -> u32 {
    if n == 0 {
        return 0;
    }
    let mut mine = [n as u8; 16];
    let d = 1 + depth(n - 1, &mut mine);
    seen[0] ^= mine[1];
    d
}

fn main() {
    let mut words = HashMap::new();
    for w in "a rose is a rose is a rose".split(' ') {
        *words.entry(w).or_insert(0u32) += 1;
    }
    let sorted: BTreeMap<_, _> = words.iter().collect();
    println!("{:?}", sorted);

    let mut out = String::new();
    render(&Json::List(vec![Json::Num(1.5), Json::Str("x\"y".into()), Json::List(vec![Json::Num(-0.0)])]), &mut out);
    println!("{}", out);
    println!("depth {}", depth(500, &mut [0; 16]));

    let t = Instant::now();
    std::thread::sleep(Duration::from_millis(1250));
    println!("slept {} ms", t.elapsed().as_millis());
    println!("epoch {}", SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());

    let args: Vec<String> = std::env::args().skip(1).collect();
    println!("args {:?}, env {}", args, std::env::vars().count());
    println!("{:?}", std::fs::read("/etc/passwd").map_err(|e| e.kind()));
    let mut line = String::new();
    println!("stdin {:?}", std::io::stdin().read_line(&mut line));
    match args.get(0).map(String::as_str) {
        Some("panic") => panic!("on request"),
        Some(n) => std::process::exit(n.parse().unwrap()),
        None => {}
    }
}
