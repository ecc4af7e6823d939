//! The graph of a gradient: forward and backward operations of a mean of
//! squares.

use super::*;

impl<const PIXELS: usize> Lesson<'_, PIXELS> {
    pub fn record(&self, report: &mut Report<'_>) -> Outcome<()> {
        report.section("Where gradients come from")?;
        report.text(
            "The gradient of the loss is, for each weight, the change of the loss with it. It\n\
             is computed backwards, by the chain rule: from the loss through the last layer\n\
             to the first, each operation multiplies the gradient by its own derivative. For\n\
             a first layer L1, a sigmoid S, a second layer L2 and the loss C:\n\n  \
             ∂C/∂W1 = ∂L1/∂W1 · ∂S/∂L1 · ∂L2/∂S · ∂C/∂L2\n\n\
             PyTorch records operations while they run, and differentiates the record. bilro\n\
             knows them before anything runs: its compiler appends the gradient, as\n\
             operations like others. This is the graph of z = mean(y), y = x²:\n",
        )?;
        let declaration = Squares::declaration().map_err(bilro::Error::from)?;
        let graph = declaration.graph_for(&Purpose::Gradients, 1);
        report.text(indented(&graph))?;
        let of_x = graph.root(&Root::InputGradient(0)).ok_or("the gradient is missing")?;
        let factors = list(graph.operands(of_x).iter().map(|id| format!("%{}", id.index())));
        report.text(format!(
            "\nA line is an operation on results of lines before it. y comes from a power, in\n\
             PyTorch's record `PowBackward0`, and z from a mean. The gradient is the product\n\
             of {factors}: by the chain rule, of the mean's derivative, which is 1/4 for each\n\
             of four elements, and of the power's, 2 · x. So it is x / 2."
        ))?;
        let nodes = |purpose| declaration.graph_for(&purpose, 1).len();
        report.text(format!(
            "\nPredicting has only the forward operations, {} of {}: nothing has to be switched\n\
             off, as with `no_grad`.\n",
            nodes(Purpose::Predict),
            nodes(Purpose::Gradients),
        ))?;

        let model = self.model::<Squares>()?;
        // One example of this shape.
        let x = Generator::new(self.options.seed).randn((1, 2, 2));
        let y = model.predict(squares::Input { x: x.view() })?.y;
        let gradients = model.gradients(squares::Batch { x: x.view() })?;
        let shown = |array: &Array3<f32>| indented(format!("{:7.4}", array.index_axis(Axis(0), 0)));
        report.text(format!(
            "For a random x, y and the gradient of z, which is {:.4}, are:\n\n{}\n\n{}\n\n{}\n",
            gradients.loss,
            shown(&x),
            shown(&y),
            shown(&gradients.x),
        ))?;
        for ((_, row, column), x) in x.indexed_iter() {
            let name = format!("∂z/∂x over x in row {row}, column {column}");
            report.figure(&name, f64::from(gradients.x[(0, row, column)] / x), "0.5")?;
        }
        Ok(())
    }
}
