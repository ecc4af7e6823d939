//! The layer [`Embedding`].

use super::Layer;
use crate::declaration::{Init, LayerScope};
use crate::error::Mistake;
use crate::graph::NodeId;
use crate::ops::{Attribute, AttributeKind, Attributes, embedding};
use crate::shape::{DType, Dim, Type};

/// Embedding `y = weight[x]` of integers below `num_embeddings`, as words, categories or positions: for
/// integers of shape `[…]`, `y` is `[…, embedding_dim]`.
///
/// The weight is `[num_embeddings, embedding_dim]`, initialised normally with mean 0 and standard
/// deviation 1, with PyTorch's numbers for the same seed.
///
/// In the language: `Embedding(num_embeddings = inferred, embedding_dim)`.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input words: index(100)[2];
///         output y = words -> Embedding(8);
///     }
/// }
///
/// let words = array![[4, 99]];
/// let y = Example::model().build()?.predict(example::Input { words: words.view() })?.y;
/// assert_eq!(y.dim(), (1, 2, 8));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `None` to infer it from the bound of the first use.
    num_embeddings: Option<Dim>,
    embedding_dim: Dim,
}

impl Layer for Embedding {
    const NAME: &'static str = "Embedding";
    const ATTRIBUTES: &'static [Attribute] = &[
        Attribute { name: "num_embeddings", kind: AttributeKind::Size, default: Some("inferred") },
        Attribute { name: "embedding_dim", kind: AttributeKind::Size, default: None },
    ];
    const POSITIONAL: &'static [&'static [&'static str]] =
        &[&[], &["embedding_dim"], &["num_embeddings", "embedding_dim"]];

    fn from_call(attributes: &Attributes) -> Result<Embedding, Mistake> {
        Ok(Embedding {
            num_embeddings: attributes.size("num_embeddings"),
            embedding_dim: attributes
                .size("embedding_dim")
                .ok_or_else(|| Mistake::call("`Embedding` needs `embedding_dim`"))?,
        })
    }

    fn apply(
        &self,
        scope: &mut LayerScope<'_>,
        [x]: [(NodeId, &str); 1],
    ) -> Result<[NodeId; 1], Mistake> {
        let ty = scope.ty(x.0).clone();
        let DType::Index { below } = &ty.dtype else {
            let message = format!("`{}` takes integers, but `{}` holds {ty}", scope.shown(), x.1);
            return Err(Mistake::operand(0, message));
        };
        let rows = self.num_embeddings.clone().or_else(|| super::inferred(scope, "weight"));
        let rows = rows.unwrap_or_else(|| below.clone());
        let mistake = Mistake::call(format!(
            "`{}` has {rows} embeddings, but `{}` holds integers below {below}",
            scope.shown(),
            x.1
        ));
        scope.same(&rows, below, mistake)?;
        let dims = vec![rows, self.embedding_dim.clone()];
        let weight = scope.parameter("weight", dims, Init::Normal(0.0, 1.0))?;
        Ok([scope.call(embedding::Embedding, &[x, (weight, "weight")])?])
    }

    fn describe(&self, [input]: &[Type; 1]) -> String {
        let rows = match (&self.num_embeddings, &input.dtype) {
            (Some(rows), _) | (None, DType::Index { below: rows }) => format!("{rows}, "),
            (None, DType::Real) => String::new(),
        };
        format!("Embedding({rows}{})", self.embedding_dim)
    }
}
