//! Names of PyTorch and numpy that the language lacks, or has under another name: messages
//! about unknown names suggest what to write instead.

/// What to write instead of a function. The texts continue "there is no function `view`: ".
const FUNCTIONS: &[(&[&str], &str)] = &[
    (
        &["view", "view_as", "reshape_as", "unflatten", "resize"],
        "`x.reshape([7, 16])` gives the same elements another shape, that of one example",
    ),
    (&["flat", "ravel"], "`x.flatten()` makes all axes of an example one"),
    (
        &["movedim", "swapaxes", "t"],
        "`x.transpose([1, 0])` puts the axes of an example into another order",
    ),
    (
        &["mm", "bmm", "dot", "mv", "vdot", "addmm", "inner", "linalg_matmul"],
        "`a.matmul(b)` is the product of matrices and vectors",
    ),
    (
        &["outer", "ger", "tensordot", "kron", "trace", "diagonal", "bilinear"],
        "`einsum(\"i,j->ij\", a, b)` is a product by the letters of axes",
    ),
    (
        &["linear", "Dense"],
        "`x -> Linear(64)` is a layer, and `x.matmul(w) + b` the same of parameters",
    ),
    (&["dropout"], "`x -> Dropout(0.5)` is a layer"),
    (&["batch_norm"], "`x -> BatchNorm1d` is a layer"),
    (
        &["size", "shape", "dim", "numel", "len"],
        "sizes are written out, or constants of Rust, where one is needed",
    ),
    (
        &["cat", "concatenate", "hstack", "vstack"],
        "`concat([a, b], axis = 0)` joins values along an axis of the example, `stack([a, b])` along a \
         new one",
    ),
    (
        &["narrow", "select", "unbind"],
        "`x[0..3]` is a range of the first axis, `x[.., 1]` one element of the second",
    ),
    (
        &["take", "take_along_dim"],
        "`gather(x, index, axis)` selects by integers along an axis, `index_select` the same for all rows",
    ),
    (
        &["topk", "sort", "argsort"],
        "`amax(x, axis = -1)` is the largest element, `argmax` its index",
    ),
    (
        &["item", "detach", "cpu", "cuda", "to", "float", "double", "numpy", "contiguous", "clone"],
        "leave it out: values are of one kind",
    ),
    (
        &["backward", "zero_grad"],
        "leave it out: `loss` declares the loss, and a step computes the gradients",
    ),
    (&["vector_norm", "matrix_norm"], "`norm(x, p = 2, axis = -1)` is the norm of vectors"),
    (&["count_nonzero"], "write `norm(x, p = 0)`"),
    (&["ln"], "the natural logarithm is `log(x)`"),
    (&["powf", "powi"], "`x.pow(2)` is a power"),
    (
        &["clip", "clamp_min", "clamp_max"],
        "`x.clamp(0, 1)` is between two numbers, `maximum(x, 0)` at least one",
    ),
    (&["where_"], "`where(condition, a, b)` chooses per element"),
    (&["arcsin", "arccos", "arctan", "arctan2"], "they are called `asin`, `acos`, `atan`, `atan2`"),
    (&["arcsinh", "arccosh", "arctanh"], "they are called `asinh`, `acosh`, `atanh`"),
    (&["sgn"], "it is called `sign`"),
    (&["fix", "rint"], "`trunc(x)` and `round(x)` are integers"),
    (&["mod"], "it is called `remainder`"),
    (&["erfinv"], "`erf` and `erfc` have no inverse yet"),
    (&["heaviside"], "`step(x)` is 1 from 0 on, else 0"),
    (
        &["bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"],
        "`a & b`, `a | b`, `logical_xor(a, b)` and `!a` are the same of conditions, 0 or 1",
    ),
    (&["masked_select", "nonzero", "masked_scatter"], "`where(condition, a, b)` keeps the shape"),
    (
        &["conv1d", "conv2d", "max_pool2d", "avg_pool2d", "lstm", "gru", "rnn", "attention"],
        "convolutions, pooling, recurrent layers and attention are not supported yet",
    ),
];

/// What to write instead of a layer. The texts continue "there is no layer `LazyLinear`: ".
const LAYERS: &[(&[&str], &str)] = &[
    (&["LazyLinear", "Dense"], "`Linear(64)` takes the size of its input from its first use"),
    (
        &["BatchNorm2d", "BatchNorm3d", "LazyBatchNorm1d"],
        "`BatchNorm1d` is for features, `[features]` or `[features, length]`",
    ),
    (&["Swish"], "it is called `SiLU`"),
    (&["Sequential"], "layers in sequence are a chain: `x -> Linear(64) -> ReLU`"),
    (
        &["ModuleList", "ModuleDict"],
        "`x -> (Linear(64) -> ReLU) * 3` repeats layers, and a `block` is a named sequence of statements",
    ),
    (&["Unflatten"], "`x.reshape([7, 16])` gives another shape"),
    (&["Parameter"], "`param w: [2, 1] = zeros;` is a parameter"),
    (&["CrossEntropyLoss"], "a loss is `loss cross_entropy(scores, target);`"),
    (&["NLLLoss"], "a loss is `loss nll_loss(log_probabilities, target);`"),
    (&["MSELoss"], "a loss is `loss mse_loss(x, target);`"),
    (&["L1Loss"], "a loss is `loss l1_loss(x, target);`"),
    (&["BCELoss"], "a loss is `loss binary_cross_entropy(probability, target);`"),
    (&["BCEWithLogitsLoss"], "a loss is `loss binary_cross_entropy_with_logits(logits, target);`"),
    (&["SmoothL1Loss"], "a loss is `loss smooth_l1_loss(x, target);`"),
    (&["HuberLoss"], "a loss is `loss huber_loss(x, target);`"),
    (&["KLDivLoss"], "a loss is `loss kl_div(log_probabilities, target);`"),
    (&["Dropout1d", "Dropout2d", "AlphaDropout"], "`Dropout(0.5)` drops elements one by one"),
    (
        &[
            "Conv1d",
            "Conv2d",
            "Conv3d",
            "ConvTranspose2d",
            "MaxPool1d",
            "MaxPool2d",
            "AvgPool2d",
            "AdaptiveAvgPool2d",
        ],
        "convolutions and pooling are not supported yet",
    ),
    (
        &["RNN", "LSTM", "GRU", "LSTMCell", "GRUCell", "RNNCell"],
        "recurrent layers are not supported yet",
    ),
    (
        &["MultiheadAttention", "Transformer", "TransformerEncoderLayer", "TransformerEncoder"],
        "attention is not supported yet",
    ),
];

/// What to write instead of a keyword argument. The texts continue "`Softmax` has no `dim`: ".
const ATTRIBUTES: &[(&[&str], &str)] = &[
    (
        &["dim", "dims"],
        "`axis` counts the axes of one example, without the batch: PyTorch's `dim = 1` of two axes is `axis = 0`, or `-1`",
    ),
    (&["keepdims"], "it is called `keepdim`"),
    (&["inplace"], "leave it out: no value is overwritten"),
    (&["device", "dtype"], "leave it out: reals are f32, on the processor"),
    (
        &["requires_grad"],
        "leave it out: parameters are trained unless the trainer freezes them, and an input asks by `grad`",
    ),
    (
        &["reduction", "size_average", "reduce"],
        "`loss` takes the mean, `loss sum:` the sum of all elements",
    ),
    (
        &["padding_idx", "max_norm", "sparse", "scale_grad_by_freq"],
        "leave it out: every row is treated alike",
    ),
    (&["track_running_stats"], "leave it out: running statistics are always tracked"),
    (&["correction", "ddof"], "`unbiased = false` divides by the number of elements"),
    (
        &["training"],
        "leave it out: `step`, `fit` and `gradients` train, `predict` and `evaluate` do not",
    ),
];

fn find(table: &[(&[&str], &'static str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(names, _)| names.contains(&name)).map(|(_, text)| *text)
}

/// What to write instead of a function.
pub(crate) fn function(name: &str) -> Option<&'static str> {
    find(FUNCTIONS, name)
}

/// What to write instead of a layer.
pub(crate) fn layer(name: &str) -> Option<&'static str> {
    find(LAYERS, name)
}

/// What to write instead of a keyword argument.
pub(crate) fn attribute(name: &str) -> Option<&'static str> {
    find(ATTRIBUTES, name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{layers, ops};

    /// A name of the language has no entry: it would never be shown.
    #[test]
    fn names_of_the_language_have_no_entry() {
        let names = |table: &[(&'static [&'static str], &str)]| -> Vec<&str> {
            table.iter().flat_map(|(names, _)| names.iter().copied()).collect()
        };
        for name in names(FUNCTIONS) {
            assert!(ops::find(name).is_none(), "`{name}` is a function");
        }
        for name in names(LAYERS) {
            assert!(layers::find(name).is_none(), "`{name}` is a layer");
        }
        let attributes = ops::ALL.iter().filter_map(|e| e.call).flat_map(|c| c.attributes);
        for attribute in attributes.chain(layers::ALL.iter().flat_map(|e| e.attributes)) {
            assert!(self::attribute(attribute.name).is_none(), "`{}`", attribute.name);
        }
    }
}
