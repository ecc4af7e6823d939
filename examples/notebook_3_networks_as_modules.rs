//! Networks as modules: declared, printed, differentiated and trained.
//!
//! The third notebook: the six steps of training, two networks printed as
//! modules, a random input through an untrained network, a loss, its gradients,
//! the delta rule by hand beside an optimizer, a race of optimizers, and a
//! hundred epochs over random examples. The notebook has no seed, so only its
//! sizes can be compared; values in the tests are PyTorch's for the seeds of
//! this program.

use std::collections::VecDeque;
use std::error::Error;
use std::process::ExitCode;

use bilro::compiler::graph::{Graph, Root};
use bilro::compiler::purpose::Purpose;
use bilro::ndarray::{Array2, ArrayViewD, aview1};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::tensor;
use bilro_examples::{Report, show_without_options};

#[path = "notebook_3/race.rs"]
mod race;
#[path = "notebook_3/training.rs"]
mod training;

use race::optimizers;
use training::{Training, examples, least_loss, training};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

network! {
    /// Probabilities of two classes from one word of a hundred.
    pub struct MyMLP {
        input word: index(100);
        target class: class(2);

        layer emb_layer = Embedding(100, 50);
        layer hidden_layer = Linear(50, 20);
        layer out_layer = Linear(20, 2);
        layer dropout_hidden = Dropout(0.5);
        /// The activation between the layers.
        choice nonlinearity = sigmoid | tanh;

        let hidden = word -> emb_layer -> nonlinearity -> hidden_layer -> dropout_hidden;
        let scores = out_layer(nonlinearity(hidden));
        output probabilities = softmax(scores);
        loss cross_entropy(scores, class);
    }
}

network! {
    /// Ten numbers from 0 to 1 for an image of 64×64 pixels.
    pub struct Net {
        input image: [4096];
        target expected: [10];

        layer in_layer = Linear(4096, 120);
        layer out_layer = Linear(120, 10);

        output found = sigmoid(out_layer(relu(in_layer(image))));
        loss mse_loss(found, expected);
    }
}

/// Seed of the initial weights.
const WEIGHTS: u64 = 3;
/// Seed of the inputs and targets.
const DATA: u64 = 4;
/// Learning rate of all steps.
const LEARNING_RATE: f32 = 0.01;

fn main() -> ExitCode {
    show_without_options("Layers, losses and a race of optimizers, with explanations", |report| {
        notebook(report).map(|_| ())
    })
}

/// The notebook's results.
#[cfg_attr(not(test), expect(dead_code, reason = "only tests read it"))]
struct Findings {
    /// The untrained network's output, and the loss.
    out: Array2<f32>,
    loss: f32,
    /// Hidden units without gradient.
    silent: usize,
    /// Whether the delta rule by hand and a step of SGD have the same bits.
    same_step: bool,
    /// Lowest losses on Beale's function and on the saddle.
    races: [Vec<f32>; 2],
    /// Mean losses of the epochs, and accuracies afterwards, with fresh
    /// gradients for each step, and with accumulating gradients.
    trained: Training,
    piled_up: Training,
    /// The smallest loss of outputs from 0 to 1.
    least_loss: f64,
}

fn notebook(report: &mut Report<'_>) -> Result<Findings> {
    report.text("Networks as modules")?;
    steps(report)?;
    modules(report)?;
    let model = parameters(report)?;
    let mut generator = Generator::new(DATA);
    let (x, out, model) = forward(report, model, &mut generator)?;
    let (target, loss) = cost(report, &out, &mut generator)?;
    graph(report)?;
    let (silent, model) = gradients(report, model, (&x, &target))?;
    let same_step = delta_rule(report, model, (&x, &target))?;
    let races = optimizers(report)?;
    let data = examples(report, &mut generator)?;
    let (trained, piled_up) = training(report, &data, &mut generator)?;
    let least_loss = least_loss(&data);
    Ok(Findings { out, loss, silent, same_step, races, trained, piled_up, least_loss })
}

fn steps(report: &mut Report<'_>) -> Result<()> {
    report.section("Training in six steps")?;
    report.text(
        "Training takes the same six steps for every network:\n\n  \
         1. declare a network that has parameters               network! { ... }\n  \
         2. go through the examples, batch by batch             data.batches(10)\n  \
         3. compute its outputs for a batch                     model.predict(...)\n  \
         4. compute the loss: how far they are from the target  loss mse_loss(...);\n  \
         5. compute the loss's gradient for every parameter     model.gradients(...)\n  \
         6. move the parameters a little against it             w = w - lr * gradient\n\n\
         `trainer.step` does steps 3 to 6 for one batch, and `trainer.fit` all of them\n\
         for any number of epochs. Here every step is made separately first.",
    )?;
    Ok(())
}

fn modules(report: &mut Report<'_>) -> Result<()> {
    report.section("Two networks")?;
    report.text(
        "A declaration names layers, and states how values pass through them. The\n\
         backward pass is not written: bilro derives it. A network prints like PyTorch's\n\
         modules.\n",
    )?;
    let mlp = MyMLP::model().seed(WEIGHTS).build()?;
    let net = Net::model().seed(WEIGHTS).build()?;
    report.text(format!("{mlp}\n{net}\n"))?;
    report.text(
        "Functions such as relu have no parameters and are not layers. The summary has\n\
         sizes, and the cost of an example:\n",
    )?;
    report.text(format!("{}\n{}", mlp.summary(), net.summary()))?;
    report.text(
        "MyMLP takes the number of a word, looks up the word's row in a table, and ends\n\
         in two probabilities. The activation between its layers is selected per call;\n\
         the parameters are the same.\n",
    )?;
    let words = [7, 42, 99];
    for nonlinearity in [my_mlp::Nonlinearity::Sigmoid, my_mlp::Nonlinearity::Tanh] {
        let input = my_mlp::Input { word: aview1(&words), nonlinearity };
        let probabilities = mlp.predict(input)?.probabilities;
        report.text(format!("words {words:?} with {nonlinearity:?}:\n{probabilities:.4}"))?;
    }
    report.text(
        "\nDropout drops half of the hidden values, different ones for every batch, while\n\
         the network trains, and none when it predicts. There is no mode to switch:\n\
         `predict` and `evaluate` never train, `gradients` and `step` always do.",
    )?;
    Ok(())
}

fn parameters(report: &mut Report<'_>) -> Result<Model<Net>> {
    report.section("Parameters")?;
    report.text(
        "Training changes the parameters: a weight and a bias for each Linear. They have\n\
         names, and can be read and written. A weight is [in, out] here and\n\
         [out, in] in PyTorch, and in files; `state_dict` has PyTorch's form.\n",
    )?;
    let model = Net::model().seed(WEIGHTS).build()?;
    for (name, values) in model.named_parameters() {
        report.text(format!("  {name:<18} {:?}", values.shape()))?;
    }
    let first = model.state_dict().next().map(|(_, values)| values.shape().to_vec());
    let first = first.unwrap_or_default();
    report.figure("parameter tensors", model.named_parameters().len() as f64, "4")?;
    report.figure("the first one's size: rows", first[0] as f64, "120")?;
    report.figure("the first one's size: columns", first[1] as f64, "4096")?;
    Ok(model)
}

fn forward(
    report: &mut Report<'_>,
    model: Model<Net>,
    generator: &mut Generator,
) -> Result<(Array2<f32>, Array2<f32>, Model<Net>)> {
    report.section("An input through the untrained network")?;
    report.text(
        "An input has its examples along the first axis, even if there is only one. The\n\
         generator is PyTorch's: the same seed gives the same numbers.\n",
    )?;
    let image = generator.randn((1, 64 * 64));
    let found = model.predict(net::Input { image: image.view() })?.found;
    let (largest, index) = tensor::max(&found, -1)?;
    report.text(format!("output {found:.4}"))?;
    report.text(format!("the largest is {:.4}, at index {}", largest[0], index[0]))?;
    report.text(
        "\nThe last function is a sigmoid, so all are between 0 and 1; and since nothing\n\
         has been learned, all are near the middle, and which is the largest is chance.",
    )?;
    Ok((image, found, model))
}

fn cost(
    report: &mut Report<'_>,
    found: &Array2<f32>,
    generator: &mut Generator,
) -> Result<(Array2<f32>, f32)> {
    report.section("The loss")?;
    report.text(
        "A loss is one number for the error of an output: here the mean squared error\n\
         against a target, which is as random as the input. A target must have the\n\
         output's shape; another one is an error, and is never broadcast.\n",
    )?;
    let expected = generator.randn((1, 10));
    report.text(format!("target {expected:.4}\noutput {found:.4}"))?;
    // The value of `loss mse_loss(found, expected)`, by ndarray.
    let by_hand = tensor::mean(&(found - &expected).mapv(|d| d * d));
    report.text(format!("mean of the squared differences {by_hand:.4}"))?;
    report.figure("target: examples", expected.nrows() as f64, "1")?;
    report.figure("target: numbers for each", expected.ncols() as f64, "10")?;
    report.text(
        "\ndocs/language.md has many losses, and a network may have a custom one: any\n\
         expression is differentiated.",
    )?;
    Ok((expected, by_hand))
}

fn graph(report: &mut Report<'_>) -> Result<()> {
    report.section("The graph, forward and backward")?;
    let network = Net::declaration()?;
    let forward = network.graph_for(&Purpose::Evaluate, 1);
    let both = network.graph_for(&Purpose::Gradients, 1);
    report.text(format!(
        "The operations from the input to the loss are\n\n  {}\n\n\
         and the gradient passes them in reverse. It is derived once, before anything\n\
         runs, as further nodes of the same graph; then all of it is compiled to one\n\
         function. %n is a node, `loss` and `gradient` name results, and parameters count\n\
         from 0. Forward ends with the loss; the lines after it are backward:\n\n{both}",
        path_to_loss(&forward)
    ))?;
    report.text(
        "Read the last lines first: the bias's gradient is a sum over the examples, the\n\
         weight's a product of the layer's input and its output's gradient (contract).\n\
         compare and select are relu's gradient: 0 where a hidden unit was off.",
    )?;
    Ok(())
}

/// The operations from a network's first input to its loss, in order.
fn path_to_loss(graph: &Graph) -> String {
    let mut names = VecDeque::new();
    let mut node = graph.root(&Root::Loss);
    while let Some(id) = node {
        names.push_front(graph.op(id).name());
        node = graph.operands(id).first().copied();
    }
    Vec::from(names).join(" -> ")
}

fn gradients(
    report: &mut Report<'_>,
    model: Model<Net>,
    (image, expected): (&Array2<f32>, &Array2<f32>),
) -> Result<(usize, Model<Net>)> {
    report.section("Gradients")?;
    report.text(
        "In PyTorch a parameter has an attribute for its gradient, which is empty at\n\
         first; a backward pass adds to it, and zero_grad clears it for the next. A model\n\
         of bilro stores no gradients. `gradients` returns them, as arrays with the\n\
         parameters' names and shapes, and nothing is ever added to those of an earlier\n\
         call. To add up several batches, call `.accumulate(n)` of a trainer.\n",
    )?;
    let batch = || net::Batch { image: image.view(), expected: expected.view() };
    let gradients = model.gradients(batch())?;
    let again = model.gradients(batch())?;
    let bias = &gradients.in_layer.bias;
    report.text(format!("loss {:.4}", gradients.loss))?;
    report.text("gradient of in_layer.bias, the first 24 of 120:")?;
    for row in bias.as_slice().unwrap_or_default()[..24].chunks(8) {
        let row: Vec<String> = row.iter().map(|g| format!("{g:>9.2e}")).collect();
        report.text(format!("  {}", row.join("")))?;
    }
    let silent = bias.iter().filter(|g| **g == 0.0).count();
    report.text(format!(
        "\n{silent} of the 120 are 0: those hidden units were negative, relu made them 0, and\n\
         changing them a little changes nothing.\n\
         a second call returns {} gradients",
        if again.in_layer.bias == bias { "the same" } else { "different" }
    ))?;
    Ok((silent, model))
}

fn delta_rule(
    report: &mut Report<'_>,
    mut model: Model<Net>,
    (image, expected): (&Array2<f32>, &Array2<f32>),
) -> Result<bool> {
    report.section("The delta rule by hand, and the optimizer")?;
    report.text(
        "A gradient points to where the loss grows. So each parameter moves a little the\n\
         other way, by the learning rate times its gradient: w = w - lr * g. Once by\n\
         hand, with mutable views of the parameters, and once by the optimizer SGD, from\n\
         the same initial weights.\n",
    )?;
    let batch = || net::Batch { image: image.view(), expected: expected.view() };
    let gradients = model.gradients(batch())?;
    step_by_hand(&mut model, |name| gradients.get(name));
    let after = model.evaluate_batch(batch())?.loss();

    let mut trainer = Net::trainer(Sgd::new(LEARNING_RATE)).seed(WEIGHTS).build()?;
    let before = trainer.step(batch())?;
    let stepped = trainer.into_model();
    let mut largest = 0.0f32;
    for ((_, a), (_, b)) in model.named_parameters().zip(stepped.named_parameters()) {
        largest = a.iter().zip(b).fold(largest, |d, (a, b)| d.max((a - b).abs()));
    }
    let same = model.named_parameters().eq(stepped.named_parameters());
    report.text(format!(
        "loss before {before:.5}, after {after:.5}\n\
         largest difference between the two sets of parameters: {largest}"
    ))?;
    Ok(same)
}

/// `w = w - lr * g` for all parameters.
fn step_by_hand<'a>(
    model: &mut Model<Net>,
    gradient: impl Fn(&str) -> Option<ArrayViewD<'a, f32>>,
) {
    for (name, mut w) in model.named_parameters_mut() {
        if let Some(g) = gradient(name) {
            w.scaled_add(-LEARNING_RATE, &g);
        }
    }
}

#[cfg(test)]
mod tests {
    //! Values are those of torch 2.15 with the same seeds and the same order of
    //! calls.

    use super::*;
    use bilro_examples::assert_fits_terminal;

    /// The notebook's output, plus Dropout's `inplace`, which newer versions of
    /// PyTorch print.
    const MODULES: &str = "\
MyMLP(
  (emb_layer): Embedding(100, 50)
  (hidden_layer): Linear(in_features=50, out_features=20, bias=True)
  (out_layer): Linear(in_features=20, out_features=2, bias=True)
  (dropout_hidden): Dropout(p=0.5, inplace=False)
)
Net(
  (in_layer): Linear(in_features=4096, out_features=120, bias=True)
  (out_layer): Linear(in_features=120, out_features=10, bias=True)
)
";

    fn close(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() <= tolerance, "{found} instead of {expected}");
    }

    #[test]
    fn results_are_those_of_pytorch() {
        let mut text = Vec::new();
        let mut report = Report::new(&mut text);
        let found = notebook(&mut report).unwrap();
        report.check(6);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains(MODULES), "{text}");
        // Arrays.
        assert_fits_terminal(&text, &["output [[", "target [["]);

        let out = [0.5240, 0.4773, 0.5127, 0.6051, 0.4939, 0.5941, 0.4579, 0.6446, 0.5317, 0.4564];
        for (found, expected) in found.out.iter().zip(out) {
            close(f64::from(*found), expected, 6e-5);
        }
        assert!(text.contains("the largest is 0.6446, at index 7"));
        close(f64::from(found.loss), 1.116_733_3, 1e-5);
        assert_eq!(found.silent, 120 - 61);
        assert!(found.same_step, "the delta rule is a step of SGD");

        let [beale, saddle] = found.races;
        assert_eq!((beale.len(), saddle.len()), (7, 7));
        // From 41.25, and from 2.25.
        assert!(beale.iter().all(|loss| *loss < 0.3), "{beale:?}");
        assert!(saddle.iter().all(|loss| *loss < -0.95), "{saddle:?}");

        assert_eq!(found.trained.losses.len(), 100);
        close(found.trained.losses[0], 1.150_722_3, 1e-5);
        close(found.trained.losses[99], 0.579_996_1, 1e-4);
        assert!(found.trained.losses.windows(2).all(|pair| pair[1] < pair[0]));
        assert_eq!((found.trained.accuracy, found.trained.batch_accuracy), (0.84, 0.4));
        assert!(text.contains("untrained network                  0.13"));
        close(found.piled_up.losses[0], 1.146_341_6, 1e-5);
        close(found.piled_up.losses[1], 0.964_384_7, 1e-4);
        // From here on rounding differences grow with the steps.
        close(found.least_loss, 0.495_150_4, 1e-6);
        let last = found.piled_up.losses[99];
        assert!(found.least_loss < last && last < found.trained.losses[99], "{last}");
        assert!(found.piled_up.accuracy < found.trained.accuracy);
    }

    #[test]
    fn choices_are_selected_per_call() {
        let mlp = MyMLP::model().seed(WEIGHTS).build().unwrap();
        let words = [7, 42, 99];
        for (nonlinearity, first) in [
            (my_mlp::Nonlinearity::Sigmoid, [0.3311, 0.3276, 0.3346]),
            (my_mlp::Nonlinearity::Tanh, [0.5499, 0.5087, 0.6023]),
        ] {
            let input = my_mlp::Input { word: aview1(&words), nonlinearity };
            let found = mlp.predict(input).unwrap().probabilities;
            assert_eq!(found.dim(), (3, 2));
            for (row, first) in found.outer_iter().zip(first) {
                close(f64::from(row[0]), first, 6e-5);
                close(f64::from(row.sum()), 1.0, 1e-6);
            }
        }
    }
}
