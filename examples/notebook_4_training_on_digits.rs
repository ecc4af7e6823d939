//! Training a network on handwritten digits, from the first loss to the last
//! picture: losses of scores and of log-probabilities, the graph of a gradient,
//! a step by hand, epochs, and the trained network.
//!
//! Reads MNIST's or Fashion-MNIST's files from the folder of `--data`, else the
//! library's 8×8 digits. Prints a text, and draws pictures in
//! `target/notebooks`.

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bilro::compiler::graph::Root;
use bilro::compiler::purpose::Purpose;
use bilro::ndarray::{Array1, Array2, Array3, ArrayView1, Axis, Ix1, Ix2, array, s};
use bilro::plot::{ConfusionMatrix, Curves, Images, Prediction};
use bilro::prelude::*;
use bilro::rng::Generator;
use bilro::{metrics, tensor};
use bilro_examples::{Report, show};
use clap::Parser;

use subject::Subject;

#[path = "notebook_4/record.rs"]
mod record;
#[path = "notebook_4/subject.rs"]
mod subject;
#[cfg(test)]
#[path = "notebook_4/tests.rs"]
mod tests;

network! {
    /// Ten scores for an image. The loss turns them into probabilities.
    struct Scores<const PIXELS: usize> {
        input image: [PIXELS];
        target digit: class(10);
        layer fc1 = Linear(PIXELS, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);
        output scores = image -> fc1 -> ReLU -> fc2 -> ReLU -> fc3;
        loss cross_entropy(scores, digit);
    }
}

network! {
    /// The same, with log-probabilities as outputs.
    struct Classifier<const PIXELS: usize> {
        input image: [PIXELS];
        target digit: class(10);
        layer fc1 = Linear(PIXELS, 128);
        layer fc2 = Linear(128, 64);
        layer fc3 = Linear(64, 10);
        output log_probabilities = image -> fc1 -> ReLU -> fc2 -> ReLU -> fc3 -> LogSoftmax;
        loss nll_loss(log_probabilities, digit);
    }
}

network! {
    /// A small function to differentiate: z, the mean of y, the squares of x.
    struct Squares {
        input x: [2, 2] grad;
        output y = x.pow(2);
        let z = mean(y);
        loss z;
    }
}

/// Trains a network on handwritten digits, and explains each step.
#[derive(Parser)]
struct Options {
    /// Folder with MNIST's four IDX files, gzipped or not, or torchvision's
    /// root; Fashion-MNIST's if its path contains `fashion`; default: the
    /// library's digits of 8×8 pixels
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Passes over the training images
    #[arg(long, default_value = "5")]
    epochs: NonZeroUsize,
    /// Learning rate
    #[arg(long, default_value_t = 0.01, allow_negative_numbers = true)]
    lr: f32,
    /// Momentum
    #[arg(long, default_value_t = 0.9, allow_negative_numbers = true)]
    momentum: f32,
    /// Images per step
    #[arg(long, default_value = "64")]
    batch_size: NonZeroUsize,
    /// Seed of the initial weights, of the split and of the shuffling
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Number of threads; default: as many as the machine has
    #[arg(long)]
    threads: Option<usize>,
}

/// The results that the text states, for its test.
#[derive(Default)]
struct Findings {
    /// Of one batch: the cross entropy of scores, and the negative log
    /// likelihood of log-probabilities.
    losses: [f32; 2],
    /// The largest difference between the gradients of two equal calls.
    repeat_error: f32,
    /// The largest distance of `before - lr · gradient` from the weights after
    /// a step.
    step_error: f32,
    /// The training loss of every epoch.
    epochs: Vec<f64>,
    /// The loss of the first epoch by `Trainer::fit`.
    fitted: f64,
    /// Seconds in steps, for every epoch.
    seconds: Vec<f64>,
    /// The accuracy on the test images.
    accuracy: f64,
    /// The same from the confusion matrix.
    counted: f64,
}

type Examples<'a> = data::Batch<'a, f32, Ix2, u32, Ix1>;
type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let options = Options::parse();
    show(|report| run(&options, report).map(drop))
}

/// The notebook. Reads the data before it prints anything.
fn run(options: &Options, report: &mut Report<'_>) -> Outcome<Findings> {
    match &options.data {
        Some(folder) => {
            let folder = data::mnist_folder(folder)?;
            let splits = data::mnist(&folder)?;
            Lesson::<784>::new(options, Subject::of(&folder), splits)?.run(report)
        }
        None => {
            let about = "The images are the digits that come with the library, which need no files;\n\
                         `--data DIR` reads MNIST.";
            let splits = data::digits()?.split(0.8, options.seed)?;
            Lesson::<64>::new(options, Subject::digits(about.into()), splits)?.run(report)
        }
    }
}

/// The notebook on square images of `PIXELS` pixels.
struct Lesson<'a, const PIXELS: usize> {
    options: &'a Options,
    subject: Subject,
    train: data::Classification,
    test: data::Classification,
}

impl<const PIXELS: usize> Lesson<'_, PIXELS> {
    /// Rows of an image, and columns.
    const SIDE: usize = PIXELS.isqrt();

    fn new(
        options: &Options,
        subject: Subject,
        (train, test): (data::Classification, data::Classification),
    ) -> Outcome<Lesson<'_, PIXELS>> {
        for found in [train.x().ncols(), test.x().ncols()] {
            if found != PIXELS {
                let (expected, found) = (vec![PIXELS], vec![found]);
                return Err(bilro::Error::Shape { name: "image".into(), expected, found }.into());
            }
        }
        let (train, test) = (train.normalize(0.5, 0.5)?, test.normalize(0.5, 0.5)?);
        Ok(Lesson { options, subject, train, test })
    }

    fn run(&self, report: &mut Report<'_>) -> Outcome<Findings> {
        // Invalid hyperparameters are reported first.
        self.trainer(self.optimizer())?;
        let mut found = Findings::default();
        self.images(report)?;
        self.scores(report, &mut found)?;
        self.log_probabilities(report, &mut found)?;
        self.record(report)?;
        self.one_step(report, &mut found)?;
        let model = self.training(report, &mut found)?;
        self.test(&model, report, &mut found)?;
        self.digits(&model, report)?;
        Ok(found)
    }

    fn images(&self, report: &mut Report<'_>) -> Outcome<()> {
        let side = Self::SIDE;
        report.section("The images")?;
        report.text(&self.subject.about)?;
        report.text(format!(
            "{} are for training, {} for testing: {side}×{side} pixels each, as {PIXELS} numbers\n\
             from 0, paper, to 1, ink. (x - 0.5) / 0.5 makes that -1 to 1: a network learns\n\
             faster from numbers on both sides of zero.\n",
            self.train.len(),
            self.test.len(),
        ))?;
        let batch = self.batch()?;
        report.text(format!(
            "They come in batches, in an order that is shuffled for every epoch.\n\
             The first batch is an array of {:?}, with {}\n\
             {} and so on. One of its images:\n",
            batch.x().shape(),
            self.subject.plural,
            list(batch.y().iter().take(self.subject.listed).map(|y| self.subject.name(*y))),
        ))?;
        let image = self.image(batch.x().row(batch.len() / 2))?;
        let picture = Images::new("").image("", image.view());
        report.text(trimmed(picture.to_text(2 * side, side)?))?;
        Ok(())
    }

    fn scores(&self, report: &mut Report<'_>, found: &mut Findings) -> Outcome<()> {
        report.section("How wrong is the network?")?;
        let model = self.model::<Scores<PIXELS>>()?;
        report.text(model.summary())?;
        let Subject { singular, plural, .. } = self.subject;
        report.text(format!(
            "To make a network better, we need a number for its error: the loss. For\n\
             predicted numbers, that is often the mean of their squared differences. Here a\n\
             class is predicted, and the loss is the cross entropy. The network gives a score\n\
             to each of the ten {plural}. Softmax makes probabilities of them: the\n\
             exponential of each, divided by the sum of all ten. The loss of an image is\n\
             -ln p, where p is the probability of the true {singular}: 0 if the network is\n\
             sure and right, large if it is sure and wrong. The loss of a batch is the mean.\n",
        ))?;
        let batch = self.batch()?;
        let examples = scores::Batch { image: batch.x(), digit: batch.y() };
        let loss = model.evaluate_batch(examples)?.loss() as f32;
        report.text(format!("  cross entropy of the first batch      {loss:.4}"))?;
        report.text(format!("  of 1/10 for every {singular}, ln 10        {:.4}", 10f64.ln()))?;
        found.losses[0] = loss;

        let scores = array![0f32, 120.0];
        report.text(format!(
            "\nThe loss takes scores, not probabilities, because floats cannot distinguish\n\
             probabilities near 0 or near 1. Of the scores 0 and 120, the first has\n\n  \
             the logarithm of its softmax          {}\n  \
             the logarithm, computed at once       {}",
            tensor::softmax(&scores, 0)?[0].ln(),
            tensor::log_softmax(&scores, 0)?[0],
        ))?;
        Ok(())
    }

    fn log_probabilities(&self, report: &mut Report<'_>, found: &mut Findings) -> Outcome<()> {
        report.section("The same with logarithms of probabilities")?;
        let Subject { singular, plural, .. } = self.subject;
        report.text(format!(
            "It is handier if the network ends with the logarithms of the probabilities: they\n\
             are good numbers for a loss, and their exponentials are the probabilities. The\n\
             loss is then the negative log likelihood: minus the output of the true {singular}.\n\
             From the same seed, both networks start with the same weights.\n",
        ))?;
        let model = self.model::<Classifier<PIXELS>>()?;
        let batch = self.batch()?;
        let examples = classifier::Batch { image: batch.x(), digit: batch.y() };
        let loss = model.evaluate_batch(examples)?.loss() as f32;
        let difference = loss - found.losses[0];
        report.text(format!("  negative log likelihood               {loss:.4}"))?;
        report.figure("cross entropy of scores less that", difference.into(), "0.0000")?;
        found.losses[1] = loss;

        let output = model.predict(classifier::Input { image: batch.x().slice(s![..1, ..]) })?;
        let probabilities = output.log_probabilities.exp();
        report.text(format!(
            "\nThe probabilities of the ten {plural} for the first image, and their sum:\n\n  \
             {:.3}  {:.4}\n\nNothing is learnt yet: each is about 1/10.",
            probabilities.row(0),
            probabilities.sum(),
        ))?;
        Ok(())
    }

    fn one_step(&self, report: &mut Report<'_>, found: &mut Findings) -> Outcome<()> {
        report.section("One step")?;
        let rate = self.options.lr;
        report.text(
            "For a network it is the same: forward to the loss, and back to the gradient of\n\
             every weight. Gradients are not stored with the weights, but returned by a call.\n\
             So there is none of the previous batch that would have to be zeroed.\n",
        )?;
        let mut trainer = self.trainer(Sgd::new(rate))?;
        let batch = self.batch()?;
        let examples = || classifier::Batch { image: batch.x(), digit: batch.y() };
        let first = trainer.model().gradients(examples())?.into_inner().fc1.weight;
        let gradient = trainer.model().gradients(examples())?.into_inner().fc1.weight;
        found.repeat_error = largest_difference(&first, &gradient);

        let before = trainer.model().params().fc1.weight.to_owned();
        trainer.step(examples())?;
        let after = trainer.model().params().fc1.weight.to_owned();
        found.step_error = largest_difference(&(&before - rate * &gradient), &after);

        // Pixels of the middle, where there is ink.
        let middle = PIXELS / 2 + Self::SIDE / 2 - 2;
        let some = |weight: &Array2<f32>| {
            indented(format!("{:9.6}", weight.slice(s![middle..middle + 4, ..4]).t()))
        };
        report.text(format!(
            "Some weights of the first layer, of four units for four pixels of the middle:\n\n\
             {}\n\n\
             their gradient for one batch:\n\n\
             {}\n\n\
             and the same weights after a step of plain gradient descent, which is weight -\n\
             {rate} · gradient:\n\n\
             {}\n",
            some(&before),
            some(&gradient),
            some(&after),
        ))?;
        report.text(match found.step_error {
            0.0 => format!("All {} weights of the layer are that to the last bit.", after.len()),
            most => format!("The {} weights of the layer are that within {most:e}.", after.len()),
        })?;
        Ok(())
    }

    fn training(
        &self,
        report: &mut Report<'_>,
        found: &mut Findings,
    ) -> Outcome<Model<Classifier<PIXELS>>> {
        let Options { lr, momentum, seed, .. } = *self.options;
        let size = self.options.batch_size.get();
        report.section("Training")?;
        report.text(format!(
            "An epoch goes over all training images once, batch by batch. For every batch,\n\
             `step` goes forward, back, and lets the optimizer change the weights: one native\n\
             function. The learning rate is {lr}, a batch has {size} images, and the momentum\n\
             is {momentum}, the weight of the previous step's direction. The training loss is the\n\
             mean over the steps of the learning network; test loss and accuracy are those of\n\
             the test images after the epoch. The seconds are the time in `step`, which\n\
             compiles in the first epoch.\n",
        ))?;
        let mut trainer = self.trainer(self.optimizer())?;
        let mut order = data::ShuffledOrder::new(seed);
        let mut validation = vec![];
        for epoch in 1..=self.options.epochs.get() {
            let (mut sum, mut stepping) = (0.0, Duration::ZERO);
            for batch in self.train.batches(size)?.shuffle_with(&mut order) {
                let examples = classifier::Batch { image: batch.x(), digit: batch.y() };
                let started = Instant::now();
                let loss = trainer.step(examples)?;
                stepping += started.elapsed();
                if !loss.is_finite() {
                    return Err(bilro::Error::NonFiniteLoss { step: trainer.steps(), loss }.into());
                }
                sum += f64::from(loss) * batch.len() as f64;
            }
            let loss = sum / self.train.len() as f64;
            let test = trainer.model().evaluate(&self.test)?;
            report.text(format!(
                "  epoch {epoch:>2}  training loss {loss:.4}  test loss {:.4}  accuracy {:.4}  {:.3} s",
                test.loss(),
                test.accuracy(),
                stepping.as_secs_f64(),
            ))?;
            found.epochs.push(loss);
            found.seconds.push(stepping.as_secs_f64());
            validation.push(test.loss());
        }
        let curves = Curves::new("Loss over the epochs")
            .y("negative log likelihood")
            .series("training", &found.epochs)
            .series("test", &validation);
        report.draw("notebook_4_loss", |path| curves.save(path))?;

        let mut once = self.trainer(self.optimizer())?;
        let fit = Fit::epochs(1).batch_size(size).seed(seed);
        found.fitted = once.fit(&self.train, fit)?.epochs[0].loss;
        report.text(format!(
            "\n`trainer.fit(&train, Fit::epochs(n))` is this loop in a call. After its first\n\
             epoch, the loss is {:.4}.",
            found.fitted
        ))?;
        Ok(trainer.into_model())
    }

    fn test(
        &self,
        model: &Model<Classifier<PIXELS>>,
        report: &mut Report<'_>,
        found: &mut Findings,
    ) -> Outcome<()> {
        report.section("What it has learnt")?;
        let evaluation = model.evaluate(&self.test)?;
        found.accuracy = evaluation.accuracy();
        report.text(format!(
            "Of the {} test images, which it has not learnt from, it recognises {:.2} %.\n\
             A row for each {}, a column for each prediction:\n",
            self.test.len(),
            100.0 * found.accuracy,
            self.subject.singular,
        ))?;
        let mut predicted = vec![];
        for batch in self.test.batches(256)? {
            let output = model.predict(classifier::Input { image: batch.x() })?;
            predicted.extend(tensor::argmax(&output.log_probabilities, -1)?);
        }
        let counts = metrics::ConfusionMatrix::new(&self.test.y(), &Array1::from(predicted), 10)?;
        found.counted = counts.accuracy();
        let counts = counts.named(self.subject.names)?;
        let confusion = ConfusionMatrix::new("Test images", &counts);
        // Ten columns of six, and the names of the rows with their numbers.
        let widest = self.subject.names.map(str::len).into_iter().max().unwrap_or(0);
        let columns = if widest > 1 { 60 + widest + 3 } else { 66 };
        report.text(trimmed(confusion.to_text(columns, 13)?))?;
        report.draw("notebook_4_confusion", |path| confusion.save(path))?;

        report.text(
            "\nThe weights of the first layer, an image for each of its 128 units: ink at red\n\
             pixels makes the unit larger, ink at blue pixels makes it smaller.",
        )?;
        let weight = model.params().fc1.weight;
        let size = (Self::SIDE, Self::SIDE);
        let images = Images::weights("Weights of the first layer", weight, size);
        let images = images.columns(16).size(1280, 700);
        report.draw("notebook_4_weights", |path| images.save(path))?;
        Ok(())
    }

    fn digits(&self, model: &Model<Classifier<PIXELS>>, report: &mut Report<'_>) -> Outcome<()> {
        report.section(&format!("{} and its probabilities", self.subject.image))?;
        let output = model.predict(classifier::Input { image: self.test.x() })?;
        let probabilities = output.log_probabilities.exp();
        let predicted = tensor::argmax(&probabilities, -1)?;
        let prediction = |title: String, i: usize| -> Outcome<Prediction> {
            let image = self.image(self.test.x().row(i))?;
            let probabilities = probabilities.row(i).to_vec();
            Ok(Prediction::new(title, image.view(), &probabilities)
                .classes(self.subject.names)
                .truth(self.test.y()[i] as usize))
        };
        let right = |i: &usize| predicted[*i] == self.test.y()[*i];
        let all = || 0..self.test.len();
        match all().find(right) {
            None => report.text("It recognises none of them.\n")?,
            Some(i) => {
                report.text("The first recognised test image:\n")?;
                let picture = prediction(format!("Test image {i}"), i)?;
                report.text(self.beside(&picture)?)?;
                report.draw("notebook_4_digit", |path| picture.save(path))?;
            }
        }
        let confidence = |i: &usize| probabilities[(*i, predicted[*i] as usize)];
        match all().filter(|i| !right(i)).max_by(|a, b| confidence(a).total_cmp(&confidence(b))) {
            None => report.text("\nIt makes no mistakes.")?,
            Some(i) => {
                report.text("\nAnd its mistake with the highest probability:\n")?;
                let name = self.subject.name(predicted[i]);
                let picture = prediction(format!("Test image {i}, taken for {name}"), i)?;
                report.text(self.beside(&picture)?)?;
                report.draw("notebook_4_mistake", |path| picture.save(path))?;
            }
        }
        Ok(())
    }

    /// An image and its probabilities in characters, within a terminal's width: a
    /// pixel is two of them or, in large images, half of one.
    fn beside(&self, picture: &Prediction) -> Outcome<String> {
        let rows = if Self::SIDE > 12 { Self::SIDE.div_ceil(2) } else { Self::SIDE };
        let columns = (2 * Self::SIDE + 50).min(80);
        Ok(trimmed(picture.to_text(columns, rows.max(10) + 3)?))
    }

    /// The first batch of the first epoch.
    fn batch(&self) -> Outcome<Examples<'_>> {
        let mut batches =
            self.train.batches(self.options.batch_size.get())?.shuffle(self.options.seed);
        // A data set is never empty.
        batches.next().ok_or_else(|| "there are no images".into())
    }

    fn model<N: Network>(&self) -> Outcome<Model<N>> {
        let model = N::model().seed(self.options.seed);
        Ok(match self.options.threads {
            Some(threads) => model.threads(threads).build()?,
            None => model.build()?,
        })
    }

    fn optimizer(&self) -> Sgd {
        Sgd::new(self.options.lr).momentum(self.options.momentum)
    }

    fn trainer(&self, optimizer: Sgd) -> Outcome<Trainer<Classifier<PIXELS>>> {
        Ok(self.model()?.into_trainer(optimizer).build()?)
    }

    /// The pixels in rows and columns.
    fn image(&self, pixels: ArrayView1<'_, f32>) -> Outcome<Array2<f32>> {
        Ok(pixels.to_owned().into_shape_with_order((Self::SIDE, Self::SIDE))?)
    }
}

fn largest_difference(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    a.iter().zip(b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

/// Numbers with commas between them.
fn list(numbers: impl IntoIterator<Item = impl ToString>) -> String {
    numbers.into_iter().map(|n| n.to_string()).collect::<Vec<_>>().join(", ")
}

/// Without spaces at the ends of lines, and empty lines at the end.
fn trimmed(text: String) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").trim_end().to_string()
}

/// Every line two columns to the right.
fn indented(text: impl ToString) -> String {
    text.to_string().lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
