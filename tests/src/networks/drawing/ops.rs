//! The kinds of drawn operations.

use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Dim, Shape, Type};

use super::super::{DrawnOp, LARGEST, SIZES};
use super::{ALIKE, Drawable, Drawing, INITS};

/// Number of kinds.
pub(in crate::networks) const KINDS: u8 = 24;
/// Functions without a kink that exceed their argument by at most 1.
const SMOOTH: [&str; 10] =
    ["erf", "sin", "cos", "gelu", "silu", "mish", "softplus", "softsign", "logsigmoid", "elu"];

impl Drawing {
    pub(in crate::networks) fn op(&mut self, op: DrawnOp) {
        let x = self.value(op.x);
        let (dims, none) = (x.dims(), Attributes::new());
        let size = SIZES[op.n as usize % SIZES.len()];
        let n = op.n;
        let any = f32::NEG_INFINITY;
        match op.kind {
            0 | 1 if !dims.is_empty() => {
                self.linear(&x, size, op.kind == 0);
            }
            2 if !dims.is_empty() => {
                // Shared weights.
                let width = dims[dims.len() - 1];
                let known = self.layers.iter().position(|l| l.2 == width);
                let rows: usize = dims[..dims.len() - 1].iter().product();
                match known {
                    Some(layer) if rows * self.layers[layer].3 <= LARGEST => {
                        self.apply(layer, &x);
                    }
                    _ => {
                        let y = self.linear(&x, width, n.is_multiple_of(2));
                        let layer = self.layers.len() - 1;
                        if y.dims().last() == Some(&width) {
                            self.apply(layer, &y);
                        }
                    }
                }
            }
            3 if !dims.is_empty() => {
                // Activations as layers.
                let (kind, limit, low) = match n % 5 {
                    0 => ("ReLU", x.limit, 0.0),
                    1 => ("Sigmoid", 1.0, 0.0),
                    2 => ("Tanh", 1.0, -1.0),
                    3 => ("Softmax", 1.0, 0.0),
                    _ => ("LogSoftmax", 2.0 * x.limit + 3.5, any),
                };
                let layer = self.b.layer(None, kind, &none).unwrap();
                let id = self.b.apply(layer, x.operand()).unwrap();
                let value = self.push(id, format!("{kind}({})", x.name), limit, low);
                self.settle(value);
            }
            4 => {
                self.call("relu", &[&x], none, x.limit, 0f32.max(x.low));
            }
            5 => {
                match n % 3 {
                    0 => self.call("sigmoid", &[&x], none, 1.0, 0.5 / (1.0 + x.limit.exp())),
                    1 => self.call("tanh", &[&x], none, 1.0, -1.0),
                    _ => self.call("neg", &[&x], none, x.limit, any),
                };
            }
            6 => {
                self.call("abs", &[&x], none, x.limit, 0f32.max(x.low));
            }
            7 => {
                let x = match n % 2 {
                    0 => self.call("tanh", &[&x], none.clone(), 1.0, -1.0),
                    _ => x,
                };
                self.call("exp", &[&x], none, x.limit.exp(), 0.5 * (-x.limit).exp());
            }
            8 => {
                let x = self.positive(x, n);
                let limit = x.limit.ln().abs().max(x.low.ln().abs());
                self.call("log", &[&x], none, limit, x.low.ln());
            }
            9 => {
                let x = self.positive(x, n);
                self.call("sqrt", &[&x], none, x.limit.sqrt(), x.low.sqrt());
            }
            10 => {
                let x = self.positive(x, op.y);
                let c = [2.0, 3.0, -1.0, 0.5, -0.5, 1.3, 1.0, 0.0][n as usize % 8];
                let ends = [x.limit.powf(c), x.low.powf(c)];
                let exponent = none.with("exponent", AttributeValue::Number(f64::from(c)));
                let (low, limit) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                self.call("pow", &[&x], exponent, limit, low);
            }
            11 => {
                let low = x.low.max(0.0);
                self.call("square", &[&x], none, x.limit * x.limit, low * low);
            }
            12 => {
                let y = self.partner(&x, op);
                let function = ["maximum", "minimum"][usize::from(op.x % 2)];
                let low = x.low.min(y.low);
                self.call(function, &[&x, &y], none, x.limit.max(y.limit), low);
            }
            13 | 14 => {
                let y = self.partner(&x, op);
                let both_positive = x.low > 0.0 && y.low > 0.0;
                let low = |value: f32| if both_positive { value } else { any };
                match n % 3 {
                    0 => self.call("add", &[&x, &y], none, x.limit + y.limit, low(x.low + y.low)),
                    1 => self.call("sub", &[&x, &y], none, x.limit + y.limit, any),
                    _ => self.call("mul", &[&x, &y], none, x.limit * y.limit, low(x.low * y.low)),
                };
            }
            15 => {
                let y = self.partner(&x, op);
                let y = self.positive(y, n);
                if self.broadcasts(&x, &y) {
                    let low = if x.low > 0.0 { x.low / y.limit } else { any };
                    self.call("div", &[&x, &y], none, x.limit / y.low, low);
                }
            }
            16 => {
                let axis = axis(&dims, n);
                let count = match axis {
                    Some(axis) => dims[axis.rem_euclid(dims.len() as i64) as usize],
                    None => dims.iter().product(),
                } as f32;
                let attributes =
                    axis.map_or(none.clone(), |a| none.with("axis", AttributeValue::Axis(a)));
                match op.y % 3 {
                    0 => {
                        // Elements of one sign, or a few, add up fully; of both
                        // signs, partly.
                        let partly = count.min(4.0 * count.sqrt());
                        let count = if x.low >= 0.0 { count } else { partly };
                        self.call("sum", &[&x], attributes, x.limit * count, x.low)
                    }
                    1 => self.call("mean", &[&x], attributes, x.limit, x.low),
                    _ => self.call("amax", &[&x], attributes, x.limit, x.low),
                };
            }
            17 if !dims.is_empty() => {
                let attributes = match axis(&dims, n) {
                    Some(axis) => none.with("axis", AttributeValue::Axis(axis)),
                    None => none,
                };
                match op.y % 3 {
                    0 => self.call("softmax", &[&x], attributes, 1.0, 0.0),
                    1 => self.call("log_softmax", &[&x], attributes, 2.0 * x.limit + 3.5, any),
                    _ => self.call("logsumexp", &[&x], attributes, x.limit + 3.5, any),
                };
            }
            18 | 19 => self.product(&x, op, size),
            20 if !dims.is_empty() => {
                let all: usize = dims.iter().product();
                let divisor = [2, 3, 4, 5][n as usize % 4];
                let sizes = match (op.y % 4, all % divisor) {
                    (0, _) => vec![all],
                    (1, 0) => vec![divisor, all / divisor],
                    (2, 0) => vec![all / divisor, divisor],
                    (3, _) => vec![1, all],
                    _ => vec![all, 1],
                };
                let sizes = sizes.into_iter().map(Dim::Fixed).collect();
                let attributes = none.with("shape", AttributeValue::Sizes(sizes));
                self.call("reshape", &[&x], attributes, x.limit, x.low);
            }
            21 if dims.len() >= 2 => {
                self.call("transpose", &[&x], none, x.limit, x.low);
            }
            22 => self.embedding(op, size),
            23 => {
                let function = SMOOTH[(op.y + n) as usize % SMOOTH.len()];
                self.call(function, &[&x], none, x.limit + 1.0, any);
            }
            // Does not fit.
            _ => {}
        }
    }

    /// Products of a value with a parameter, of a parameter with a value, of a
    /// value with another one or with itself.
    fn product(&mut self, x: &Drawable, op: DrawnOp, size: usize) {
        let dims = x.dims();
        let (Some(last), none) = (dims.last().copied(), Attributes::new()) else { return };
        let rows: usize = dims[..dims.len() - 1].iter().product();
        let size = if rows * size > LARGEST || last * size > LARGEST { 3 } else { size };
        let scale = 1.0 / (last as f32).sqrt();
        let any = f32::NEG_INFINITY;
        // Equal parameters add up their operands.
        let limit = |k: usize| match op.n % INITS {
            ALIKE => x.limit * (k as f32).sqrt(),
            _ => x.limit + 1.0,
        };
        match (op.y % 5, dims.len()) {
            (0, _) => {
                let w = self.parameter(&[last, size], scale, op.n);
                self.call("matmul", &[x, &w], none, limit(last), any);
            }
            // A vector for each example times a vector.
            (1, 1) | (1, 2) => {
                let w = self.parameter(&[last], scale, op.n);
                self.call("matmul", &[x, &w], none, limit(last), any);
            }
            (2, 1) | (2, 2) => {
                let w = self.parameter(&[size, dims[0]], 1.0 / (dims[0] as f32).sqrt(), op.n);
                if size * dims.get(1).unwrap_or(&1) <= LARGEST {
                    self.call("matmul", &[&w, x], none, limit(dims[0]), any);
                }
            }
            (3, 2) if dims[0] * dims[0] <= LARGEST => {
                let t = self.call("transpose", &[x], none.clone(), x.limit, x.low);
                let limit = x.limit * x.limit * last as f32;
                self.call("matmul", &[x, &t], none, limit, any);
            }
            _ => {
                let fits = |y: &&Drawable| match y.dims()[..] {
                    [k] => k == last,
                    [k, n] => k == last && rows * n <= LARGEST,
                    _ => false,
                };
                if let Some(y) = self.values.iter().rev().find(fits).cloned() {
                    let limit = x.limit * y.limit * (last as f32).sqrt();
                    self.call("matmul", &[x, &y], none, limit, any);
                }
            }
        }
    }

    /// Rows of a new or existing table, by an index input of their own.
    fn embedding(&mut self, op: DrawnOp, size: usize) {
        let is_table = |y: &&Drawable| !y.shape.batched && y.shape.rank() == 2;
        let known = self.values.iter().rev().find(is_table).filter(|_| op.y % 2 == 1).cloned();
        let table = known.unwrap_or_else(|| {
            let rows = SIZES[op.x as usize % SIZES.len()];
            self.parameter(&[rows, size], 1.0, op.n)
        });
        let [rows, columns] = table.dims()[..] else { return };
        let dims = match op.x % 4 {
            0 => vec![],
            1 => vec![4],
            2 => vec![2, 3],
            _ => vec![17],
        };
        if dims.iter().product::<usize>() * columns > LARGEST {
            return;
        }
        let name = format!("i{}", self.calls.len());
        let ty = Type::index(rows, Shape::batched(dims.clone()));
        self.calls.push(format!("{name} = input {ty}"));
        let mut id = self.b.input(&name, ty).unwrap();
        if dims.len() == 2 && op.n.is_multiple_of(2) {
            self.calls.push(format!("{name} = transpose({name})"));
            id = self.b.call("transpose", &[(id, &name)], Attributes::new()).unwrap();
        }
        let shape = Shape::batched(dims);
        let index = Drawable { id, name, shape, limit: 0.0, low: 0.0 };
        self.call("embedding", &[&index, &table], Attributes::new(), table.limit, table.low);
    }
}

/// An axis, from either end, or `None` for all.
fn axis(dims: &[usize], n: u8) -> Option<i64> {
    let rank = dims.len() as i64;
    let choice = i64::from(n) % (2 * rank + 1);
    (choice < 2 * rank).then_some(choice - rank)
}
