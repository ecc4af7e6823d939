//! The layer [`SumAndDifference`].

use super::{Axis, Layer};
use crate::declaration::{Init, LayerScope};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, Attributes, add, mul, sub};
use crate::shape::Type;

/// `(a + b) · weight` and `a - b`, for tests of layers with several inputs and outputs, from the builder
/// to the summary. Not listed, and compiled for tests only (the feature `__test-layers`).
#[derive(Clone, Debug)]
pub struct SumAndDifference;

impl Layer<2, 2> for SumAndDifference {
    const NAME: &'static str = "SumAndDifference";
    const ATTRIBUTES: &'static [Attribute] = &[];

    fn from_call(_: &Attributes) -> Result<SumAndDifference, Mistake> {
        Ok(SumAndDifference)
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [a, b]: [(NodeId, &str); 2],
    ) -> Result<[NodeId; 2], Mistake> {
        let features = super::features(scope, a, Axis::Last, None, "weight")?;
        let weight = scope.parameter("weight", vec![features], Init::Full(2.0))?;
        let sum = scope.call(add::Add, &[a, b])?;
        let sum = scope.call(mul::Mul, &[(sum, "a + b"), (weight, "weight")])?;
        Ok([sum, scope.call(sub::Sub, &[a, b])?])
    }

    fn describe(&self, _: &[Type; 2]) -> String {
        Self::NAME.into()
    }
}

#[cfg(test)]
mod tests {
    use crate::declaration::{Declaration, LossReduction};
    use crate::shape::Dim;

    #[test]
    fn layers_have_several_inputs_and_outputs() {
        let network = Declaration::declare("Several", |b| {
            let (a, c) = (b.input("a", [3])?, b.input("c", [3])?);
            let layer = b.layer("both", "SumAndDifference", ())?;
            assert_eq!((b.takes(layer), b.gives(layer)), (2, 2));
            let outputs = b.apply_to(layer, &[a, c])?;
            // A second use with the same parameters.
            let again = b.apply_to(layer, &[outputs[0], outputs[1]])?;
            b.output("sum", again[0])?;
            b.output("difference", again[1])?;
            b.loss(again[0], LossReduction::Mean)
        });
        let network = network.unwrap();
        let shapes = |shapes: &[crate::shape::Shape]| {
            shapes.iter().map(|s| s.dims.clone()).collect::<Vec<_>>()
        };
        let layer = &network.layers[0];
        assert_eq!(shapes(&layer.inputs), vec![vec![Dim::Fixed(3)]; 2]);
        assert_eq!(shapes(&layer.outputs), vec![vec![Dim::Fixed(3)]; 2]);
        assert_eq!(layer.module, "SumAndDifference()");
        assert_eq!(network.parameters.len(), 1);
        let graph = network.graph();
        let names: Vec<String> = graph.ids().map(|id| graph.label(id)).collect();
        assert!(names.contains(&"both(a, c).1".into()), "{names:?}");
    }

    #[test]
    fn the_number_of_inputs_is_checked() {
        let mistake = |count: usize| {
            let result = Declaration::declare("Several", |b| {
                let x = b.input("x", [3])?;
                let layer = b.layer("both", "SumAndDifference", ())?;
                b.apply_to(layer, &vec![x; count]).map(|_| ())
            });
            result.unwrap_err().to_string()
        };
        let message = "network `Several`: `both` takes 2 arguments, but 1 was given: it is called \
                       as `both(x1, x2)`";
        assert_eq!(mistake(1), message);
        assert!(mistake(3).contains("but 3 were given"));
        let one = Declaration::declare("Several", |b| {
            let x = b.input("x", [3])?;
            let layer = b.layer("both", "SumAndDifference", ())?;
            b.apply(layer, x).map(|_| ())
        });
        assert!(one.unwrap_err().to_string().contains("`both` takes 2 arguments, but 1 was given"));
    }
}
