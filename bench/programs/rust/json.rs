//! A JSON parser and printer of a few lines, over a document that it builds first.
use std::fmt::Write;

enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

struct Parser<'a> {
    s: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn space(&mut self) {
        while self.at < self.s.len() && self.s[self.at].is_ascii_whitespace() {
            self.at += 1;
        }
    }
    fn text(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            match *self.s.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => {
                    self.at += 1;
                    out.push(*self.s.get(self.at)? as char);
                }
                c => out.push(c as char),
            }
            self.at += 1;
        }
    }
    fn value(&mut self) -> Option<Json> {
        self.space();
        Some(match *self.s.get(self.at)? {
            b'n' => {
                self.at += 4;
                Json::Null
            }
            b't' => {
                self.at += 4;
                Json::Bool(true)
            }
            b'f' => {
                self.at += 5;
                Json::Bool(false)
            }
            b'"' => Json::Text(self.text()?),
            b'[' => {
                let mut list = vec![];
                self.at += 1;
                loop {
                    list.push(self.value()?);
                    self.space();
                    self.at += 1;
                    if self.s[self.at - 1] == b']' {
                        return Some(Json::List(list));
                    }
                }
            }
            b'{' => {
                let mut members = vec![];
                self.at += 1;
                loop {
                    self.space();
                    let key = self.text()?;
                    self.space();
                    self.at += 1;
                    members.push((key, self.value()?));
                    self.space();
                    self.at += 1;
                    if self.s[self.at - 1] == b'}' {
                        return Some(Json::Object(members));
                    }
                }
            }
            _ => {
                let from = self.at;
                while self.at < self.s.len() && b"+-.eE0123456789".contains(&self.s[self.at]) {
                    self.at += 1;
                }
                Json::Number(std::str::from_utf8(&self.s[from..self.at]).ok()?.parse().ok()?)
            }
        })
    }
}

fn print(v: &Json, out: &mut String) {
    match v {
        Json::Null => out.push_str("null"),
        Json::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Json::Number(n) => write!(out, "{}", n).unwrap(),
        Json::Text(t) => write!(out, "{:?}", t).unwrap(),
        Json::List(l) => {
            for (i, v) in l.iter().enumerate() {
                out.push(if i == 0 { '[' } else { ',' });
                print(v, out);
            }
            out.push(']');
        }
        Json::Object(m) => {
            for (i, (k, v)) in m.iter().enumerate() {
                out.push(if i == 0 { '{' } else { ',' });
                write!(out, "{:?}:", k).unwrap();
                print(v, out);
            }
            out.push('}');
        }
    }
}

#[no_mangle]
pub extern "C" fn run(n: i32) -> i64 {
    let mut source = String::from("[null");
    for i in 0..100 {
        write!(source, ", {{\"id\": {}, \"price\": {}.25, \"name\": \"order \\\"{}\\\"\", \"open\": true, \"tags\": [\"a\", false, 1e3]}}", i, i * 7, i).unwrap();
    }
    source.push(']');
    let mut sum = 0i64;
    for _ in 0..n {
        let doc = Parser { s: source.as_bytes(), at: 0 }.value().unwrap();
        let mut out = String::new();
        print(&doc, &mut out);
        sum += out.len() as i64 + out.as_bytes()[out.len() / 2] as i64;
    }
    sum
}
