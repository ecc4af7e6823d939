//! The summary of a network: a table of layers, shapes and numbers of parameters.

use bilro_compiler::declaration::Declaration;
use bilro_compiler::shape::Shape;

/// Layers with their shapes, trained parameters and multiply-adds for one example.
pub(crate) fn summary(network: &Declaration) -> String {
    let mut rows =
        vec![["layer", "kind", "input", "output", "parameters", "multiply-adds"].map(String::from)];
    // Only trained parameters count, not running statistics: as in PyTorch.
    let count = |i: &usize| match &network.parameters[*i] {
        parameter if parameter.is_trained => parameter.shape.count(1),
        _ => 0,
    };
    let mut in_layers = vec![false; network.parameters.len()];
    for layer in &network.layers {
        for i in &layer.parameters {
            in_layers[*i] = true;
        }
        rows.push([
            layer.name.clone(),
            layer.kind.clone(),
            shapes(&layer.inputs),
            shapes(&layer.outputs),
            grouped(layer.parameters.iter().map(count).sum()),
            grouped(layer.multiply_adds),
        ]);
    }
    for (i, parameter) in network.parameters.iter().enumerate().filter(|(i, _)| !in_layers[*i]) {
        let shape = parameter.shape.to_string();
        let (name, elements) = (parameter.name.clone(), grouped(count(&i)));
        rows.push([name, "param".into(), String::new(), shape, elements, String::new()]);
    }
    let widths: Vec<usize> =
        (0..6).map(|c| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0)).collect();
    let mut text = format!("{}\n", network.name);
    for (i, row) in rows.iter().enumerate() {
        let cells = row.iter().zip(&widths).enumerate().map(|(c, (cell, width))| {
            // A name may be longer than the largest width of `format!`.
            let spaces = " ".repeat(width - cell.chars().count());
            match c {
                // Numbers are right-aligned.
                4.. => spaces + cell,
                _ => format!("{cell}{spaces}"),
            }
        });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
        if i == 0 {
            text += &widths.iter().map(|w| "-".repeat(*w)).collect::<Vec<_>>().join("  ");
            text.push('\n');
        }
    }
    let parameters = (0..network.parameters.len()).map(|i| count(&i)).sum();
    text + &format!(
        "{} parameters, {} multiply-adds for one example forward\n",
        grouped(parameters),
        grouped(network.multiply_adds())
    )
}

/// `[3], [2]`
fn shapes(shapes: &[Shape]) -> String {
    shapes.iter().map(Shape::to_string).collect::<Vec<_>>().join(", ")
}

/// `109386` as `109,386`.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
