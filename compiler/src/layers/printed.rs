//! Layers in PyTorch's printed form, for [`Layer::module`](super::Layer::module): calls, flags and
//! numbers in Python's syntax.

/// A call in the language's form, `Pool(size = 2, ceil = true)`, in Python's:
/// `Pool(size=2, ceil=True)`; a name alone is a call without arguments.
pub(super) fn call(text: &str) -> String {
    let Some((name, arguments)) = text.split_once('(') else { return format!("{text}()") };
    let arguments = arguments.strip_suffix(')').unwrap_or(arguments);
    let python = |argument: &str| match argument.split_once(" = ") {
        Some((name, "true" | "false")) => format!("{name}={}", flag(argument.ends_with("true"))),
        Some((name, value)) => format!("{name}={value}"),
        None => argument.to_string(),
    };
    let arguments: Vec<String> = arguments.split(", ").map(python).collect();
    format!("{name}({})", arguments.join(", "))
}

/// `True` or `False`.
pub(super) fn flag(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

/// A number as Python's `repr` prints it: `1.0`, `1e-05`.
pub(super) fn number(x: f64) -> String {
    if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, size) = match exponent.strip_prefix('-') {
        Some(size) => ('-', size),
        None => ('+', exponent),
    };
    format!("{digits}e{sign}{size:0>2}")
}

/// PyTorch's number of an axis, where the batch is axis 0. Negative axes are the same.
pub(super) fn dim(axis: i64) -> i64 {
    if axis < 0 { axis } else { axis + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_printed_as_in_python() {
        for (ours, python) in [
            ("ReLU", "ReLU()"),
            ("Pool(2)", "Pool(2)"),
            ("Pool(size = 2, ceil = true)", "Pool(size=2, ceil=True)"),
            ("Pool(3, 4, bias = false)", "Pool(3, 4, bias=False)"),
        ] {
            assert_eq!(call(ours), python);
        }
    }

    #[test]
    fn numbers_are_printed_as_in_python() {
        for (x, python) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (0.01, "0.01"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (2.5e-7, "2.5e-07"),
            (1e16, "1e+16"),
            (-1e-12, "-1e-12"),
        ] {
            assert_eq!(number(x), python);
        }
    }
}
