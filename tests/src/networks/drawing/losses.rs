//! The loss of the last value: every loss, with its options.

use bilro_compiler::ops::{AttributeValue, Attributes};
use bilro_compiler::shape::{Shape, Type};

use super::{Drawable, Drawing};

/// Losses, by number.
pub const LOSSES: u8 = 24;

impl Drawing {
    /// A value of the loss for each example or element. If the loss is their
    /// `sum`, all targets may be ignored.
    pub(super) fn loss(&mut self, x: &Drawable, loss: u8, sums: bool) -> Drawable {
        let none = Attributes::new();
        let dims = x.dims();
        let batched = x.shape.batched;
        match (loss, dims.split_last()) {
            (0 | 1 | 8..=14 | 17 | 18, Some((classes, outer))) if batched => {
                self.loss_of_rows(x, loss, sums, *classes, outer)
            }
            (4, _) => {
                let target = self.real_target(dims);
                // Nearer to 0 and 1 the loss amplifies rounding errors.
                let half = self.number(0.5);
                let x = self.call_as_is("mul", &[x, &half], none.clone(), 0.0, 0.0);
                let p = self.call("sigmoid", &[&x], none.clone(), 0.0, 0.0);
                self.call("binary_cross_entropy", &[&p, &target], none, 0.0, 0.0)
            }
            (5, _) => {
                let target = self.real_target(dims);
                let function = "binary_cross_entropy_with_logits";
                self.call(function, &[x, &target], none, 0.0, 0.0)
            }
            (15 | 16, Some((classes, _))) if batched => {
                let weights = if loss == 15 { weights(*classes) } else { vec![2.5] };
                let attributes = none.with("pos_weight", AttributeValue::Numbers(weights));
                let target = self.real_target(dims);
                let function = "binary_cross_entropy_with_logits";
                self.call(function, &[x, &target], attributes, 0.0, 0.0)
            }
            (19, _) if batched => self.residual("huber_loss", x, "delta"),
            (20, _) if batched => self.residual("smooth_l1_loss", x, "beta"),
            (21, _) if batched => {
                let target = self.real_target(dims);
                let rate = self.call("tanh", &[x], none.clone(), 1.0, -1.0);
                let full = none.with("full", AttributeValue::Flag(sums));
                self.call("poisson_nll_loss", &[&rate, &target], full, 0.0, 0.0)
            }
            (22, _) if batched => {
                let target = self.real_target(dims);
                let bounded = self.call("tanh", &[x], none.clone(), 1.0, -1.0);
                let variance = self.call("exp", &[&bounded], none.clone(), 2.72, 0.36);
                let full = none.with("full", AttributeValue::Flag(sums));
                self.call("gaussian_nll_loss", &[x, &target, &variance], full, 0.0, 0.0)
            }
            (23, _) if batched => {
                let target = self.real_target(dims);
                self.call("l1_loss", &[x, &target], none, 0.0, 0.0)
            }
            (6, _) => self.call("square", &[x], none, 0.0, 0.0),
            (7, _) => x.clone(),
            _ => {
                let target = self.real_target(dims);
                self.call("mse_loss", &[x, &target], none, 0.0, 0.0)
            }
        }
    }

    fn loss_of_rows(
        &mut self,
        x: &Drawable,
        loss: u8,
        sums: bool,
        classes: usize,
        outer: &[usize],
    ) -> Drawable {
        let none = Attributes::new();
        let weight = |a: Attributes| a.with("weight", AttributeValue::Numbers(weights(classes)));
        let smoothing = |a: Attributes| a.with("label_smoothing", AttributeValue::Number(0.1));
        let attributes = match loss {
            8 | 12 => weight(none.clone()),
            9 | 17 => smoothing(weight(none.clone())),
            10 => smoothing(none.clone()),
            11 if sums => weight(none.clone()).with("ignore_index", AttributeValue::Integer(0)),
            14 => {
                let margin = none.clone().with("margin", AttributeValue::Number(0.5));
                margin.with("p", AttributeValue::Integer(2))
            }
            _ => none.clone(),
        };
        let target = match loss {
            17 | 18 => self.real_target(x.dims()),
            _ => self.target(Type::index(classes, Shape::batched(outer.iter().copied()))),
        };
        match loss {
            1 | 12 | 18 => {
                let function = if loss == 18 { "kl_div" } else { "nll_loss" };
                let x = self.call_as_is("log_softmax", &[x], none, 0.0, 0.0);
                self.call(function, &[&x, &target], attributes, 0.0, 0.0)
            }
            13 | 14 => self.call("multi_margin_loss", &[x, &target], attributes, 0.0, 0.0),
            _ => self.call("cross_entropy", &[x, &target], attributes, 0.0, 0.0),
        }
    }

    fn residual(&mut self, function: &str, x: &Drawable, threshold: &str) -> Drawable {
        let attributes = Attributes::new().with(threshold, AttributeValue::Number(0.5));
        let target = self.real_target(x.dims());
        self.call(function, &[x, &target], attributes, 0.0, 0.0)
    }

    fn real_target(&mut self, dims: Vec<usize>) -> Drawable {
        self.target(Type::real(Shape::batched(dims)))
    }

    fn target(&mut self, ty: Type) -> Drawable {
        self.calls.push(format!("t = target {ty}"));
        let id = self.b.target("t", ty.clone()).unwrap();
        Drawable { id, name: "t".into(), shape: ty.shape, limit: 1.0, low: 0.0 }
    }
}

/// Class weights.
fn weights(classes: usize) -> Vec<f64> {
    (0..classes).map(|class| 0.5 + (class % 3) as f64 * 0.75).collect()
}
