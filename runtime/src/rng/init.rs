//! Initialisers: `torch.nn.init`, and the defaults of PyTorch's layers.
//!
//! Each takes the values of one parameter and fills them all, in the order of PyTorch's row-major
//! layout: the weight of a linear layer is `[out_features, in_features]`. For another layout, fill
//! first and transpose afterwards. A parameter without values draws no number.
//!
//! `fan_in` is the number of inputs that an output is a sum over (for a linear layer,
//! `in_features`); `fan_out` the number of outputs that an input contributes to. Bounds and
//! standard deviations are computed in f64, as PyTorch does in Python, and rounded once.

use super::Generator;

mod orthogonal;
mod trunc_normal;

pub use orthogonal::orthogonal;
pub use trunc_normal::trunc_normal;

/// Weight of `nn.Linear`: uniform in ±1/√`in_features`.
///
/// PyTorch calls `kaiming_uniform_(a=√5)`, whose bound is √(6 / ((1 + 5) · `fan_in`)).
pub fn linear_weight(generator: &mut Generator, weight: &mut [f32], in_features: usize) {
    kaiming_uniform_with_slope(generator, weight, in_features, 5f64.sqrt());
}

/// Bias of `nn.Linear`: uniform in ±1/√`in_features`.
pub fn linear_bias(generator: &mut Generator, bias: &mut [f32], in_features: usize) {
    let bound = if in_features == 0 { 0.0 } else { 1.0 / (in_features as f64).sqrt() };
    symmetric(generator, bias, bound);
}

/// Weight of `nn.Embedding`: normal with mean 0 and standard deviation 1.
pub fn embedding_weight(generator: &mut Generator, weight: &mut [f32]) {
    normal(generator, weight, 0.0, 1.0);
}

/// `nn.init.uniform_(low, high)`.
pub fn uniform(generator: &mut Generator, values: &mut [f32], low: f64, high: f64) {
    generator.fill_uniform(values, low as f32, high as f32);
}

/// `nn.init.normal_(mean, std)`.
pub fn normal(generator: &mut Generator, values: &mut [f32], mean: f64, std: f64) {
    generator.fill_normal(values, mean, std);
}

/// `nn.init.xavier_uniform_`, gain 1: uniform in ±√(6 / (`fan_in` + `fan_out`)).
///
/// X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
/// networks", 2010.
pub fn xavier_uniform(
    generator: &mut Generator,
    values: &mut [f32],
    fan_in: usize,
    fan_out: usize,
) {
    symmetric(generator, values, 3f64.sqrt() * xavier_std(fan_in, fan_out));
}

/// `nn.init.xavier_normal_`, gain 1: normal with standard deviation √(2 / (`fan_in` + `fan_out`)).
pub fn xavier_normal(generator: &mut Generator, values: &mut [f32], fan_in: usize, fan_out: usize) {
    normal(generator, values, 0.0, xavier_std(fan_in, fan_out));
}

/// `nn.init.kaiming_uniform_` with its defaults, for layers followed by a relu: uniform in
/// ±√(6 / `fan_in`).
///
/// K. He and others, "Delving deep into rectifiers", 2015.
pub fn kaiming_uniform(generator: &mut Generator, values: &mut [f32], fan_in: usize) {
    kaiming_uniform_with_slope(generator, values, fan_in, 0.0);
}

/// `nn.init.kaiming_normal_` with its defaults, for layers followed by a relu: normal with
/// standard deviation √(2 / `fan_in`).
pub fn kaiming_normal(generator: &mut Generator, values: &mut [f32], fan_in: usize) {
    normal(generator, values, 0.0, kaiming_std(fan_in, 0.0));
}

/// `kaiming_uniform_(a = slope)`, with the slope of a leaky relu below zero.
fn kaiming_uniform_with_slope(
    generator: &mut Generator,
    values: &mut [f32],
    fan_in: usize,
    slope: f64,
) {
    symmetric(generator, values, 3f64.sqrt() * kaiming_std(fan_in, slope));
}

/// Uniform in ±`bound`.
fn symmetric(generator: &mut Generator, values: &mut [f32], bound: f64) {
    uniform(generator, values, -bound, bound);
}

fn xavier_std(fan_in: usize, fan_out: usize) -> f64 {
    (2.0 / (fan_in as f64 + fan_out as f64)).sqrt()
}

fn kaiming_std(fan_in: usize, slope: f64) -> f64 {
    let gain = (2.0 / (1.0 + slope * slope)).sqrt();
    gain / (fan_in as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_without_inputs_has_a_bias_of_zero() {
        let mut bias = [1.0; 3];
        linear_bias(&mut Generator::new(0), &mut bias, 0);
        assert_eq!(bias, [0.0; 3]);
    }

    #[test]
    fn bounds_hold_and_are_nearly_reached() {
        let mut values = vec![0.0; 10_000];
        let largest = |values: &[f32]| values.iter().fold(0f32, |m, v| m.max(v.abs()));
        let mut generator = Generator::new(1);
        for (bound, got) in [
            (0.125, {
                linear_weight(&mut generator, &mut values, 64);
                largest(&values)
            }),
            (0.25, {
                xavier_uniform(&mut generator, &mut values, 40, 56);
                largest(&values)
            }),
            (0.25, {
                kaiming_uniform(&mut generator, &mut values, 96);
                largest(&values)
            }),
        ] {
            assert!(got <= bound + 1e-6 && got > 0.99 * bound, "{got} of {bound}");
        }
    }
}
