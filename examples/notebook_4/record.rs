//! What is recorded to differentiate: the graph, and the gradient of a mean of
//! squares.

use super::*;

impl<const PIXELS: usize> Lesson<'_, PIXELS> {
    pub fn record(&self, report: &mut Report<'_>) -> Outcome<()> {
        report.part("Where gradients come from")?;
        report.say(
            "The gradient of the loss says for each weight how the loss changes with it. It\n\
             is found backwards, by the chain rule: from the loss through the last layer to\n\
             the first, each operation multiplies what comes to it by its own derivative. For\n\
             a first layer L1, a sigmoid S, a second layer L2 and the loss C:\n\n  \
             ∂C/∂W1 = ∂L1/∂W1 · ∂S/∂L1 · ∂L2/∂S · ∂C/∂L2\n\n\
             PyTorch records operations while they run, to go back over the record. bilro\n\
             knows them before anything runs: its compiler writes the gradient behind them,\n\
             as operations like others. This is all of it for z = mean(y), y = x²:\n",
        )?;
        let declaration = Squares::declaration().map_err(bilro::Error::from)?;
        let graph = declaration.graph_for(&Purpose::Gradients, 1);
        report.say(indented(&graph))?;
        let of_x = graph.root(&Root::InputGradient(0)).ok_or("the gradient is missing")?;
        let factors = list(graph.operands(of_x).iter().map(|id| format!("%{}", id.index())));
        report.say(format!(
            "\nA line is an operation on results of lines before it. y comes from a power, in\n\
             PyTorch's record `PowBackward0`, and z from a mean. The gradient is the product\n\
             of {factors}: by the chain rule, of the mean's derivative, which is 1/4 for each\n\
             of four elements, and of the power's, 2 · x. So it is x / 2."
        ))?;
        let nodes = |purpose| declaration.graph_for(&purpose, 1).len();
        report.say(format!(
            "\nPredicting takes the part before the gradient alone, {} operations of {}:\n\
             nothing has to be switched off, as with `no_grad`.\n",
            nodes(Purpose::Predict),
            nodes(Purpose::Gradients),
        ))?;

        let model = self.model::<Squares>()?;
        // One example of this shape.
        let x = Generator::new(self.options.seed).randn((1, 2, 2));
        let y = model.predict(squares::Input { x: x.view() })?.y;
        let gradients = model.gradients(squares::Batch { x: x.view() })?;
        let shown = |array: &Array3<f32>| indented(format!("{:7.4}", array.index_axis(Axis(0), 0)));
        report.say(format!(
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
