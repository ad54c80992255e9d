//! Calls through trait objects, over boxed values of several types.
trait Shape {
    fn area(&self) -> f64;
    fn scale(&mut self, by: f64);
}
struct Circle(f64);
struct Rect(f64, f64);
struct Triangle(f64, f64, f64);

impl Shape for Circle {
    fn area(&self) -> f64 {
        self.0 * self.0 * 3.25
    }
    fn scale(&mut self, by: f64) {
        self.0 *= by;
    }
}
impl Shape for Rect {
    fn area(&self) -> f64 {
        self.0 * self.1
    }
    fn scale(&mut self, by: f64) {
        self.0 *= by;
        self.1 *= by;
    }
}
impl Shape for Triangle {
    fn area(&self) -> f64 {
        let s = (self.0 + self.1 + self.2) / 2.0;
        (s * (s - self.0) * (s - self.1) * (s - self.2)).abs().sqrt()
    }
    fn scale(&mut self, by: f64) {
        self.0 *= by;
        self.1 *= by;
        self.2 *= by;
    }
}

#[no_mangle]
pub extern "C" fn run(n: i32) -> i64 {
    let mut shapes: Vec<Box<dyn Shape>> = vec![];
    for i in 0..300u32 {
        let x = (i % 17 + 1) as f64;
        shapes.push(match i.wrapping_mul(2654435761) >> 30 {
            0 => Box::new(Circle(x)),
            1 | 2 => Box::new(Rect(x, x + 1.0)),
            _ => Box::new(Triangle(x, x + 1.0, x + 2.0)),
        });
    }
    let mut sum = 0.0;
    for round in 0..n {
        let by = if round & 1 == 0 { 1.25 } else { 0.8 };
        for s in shapes.iter_mut() {
            s.scale(by);
            sum += s.area();
        }
    }
    sum as i64
}
