//! Operations in context: after a producer and before a consumer of every kernel
//! kind, with the values of the operation's samples; counts of the kernels that
//! contain, precede and follow it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use bilro::rng::Generator;
use bilro_compiler::eval::Value;
use bilro_compiler::fuse::{Fused, fuse};
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::kernel::{Body, Kernel};
use bilro_compiler::ops::contract::Contract;
use bilro_compiler::ops::input::Input;
use bilro_compiler::ops::reduce::{Axis, Reduction};
use bilro_compiler::ops::{Domain, Op, Operand, Sample};
use bilro_compiler::shape::{Shape, Type};
use bilro_compiler::simplify::{decompose, simplify};

use crate::check::{Case, values};

/// The producer of an operation's operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Producer {
    /// An element-wise function.
    Map,
    /// A product.
    Product,
    /// A product with a bias and an activation.
    Linear,
    /// A product that another product uses too, so it is materialized.
    Materialized,
    /// Rows, whose elements all use the row's sum.
    Rows,
    /// The sums of rows.
    Sums,
    /// Sums over another axis than the last.
    Columns,
    /// Rows of a table by index.
    Gather,
    /// Rows that are added up by index.
    Scatter,
}

/// The consumer of an operation's result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Consumer {
    /// The mean of its results, as in a loss.
    Mean,
    /// An element-wise function.
    Map,
    /// A product, as its first operand.
    Product,
    /// A product, as its second operand, whose sums are computed beside it.
    Factor,
    /// Rows, whose elements all use the row's sum.
    Rows,
    /// Sums over another axis than the last.
    Columns,
    /// Its rows are gathered by index.
    Gather,
    /// Its rows are added up by index.
    Scatter,
    /// Several of them, and the result is an output too.
    Several,
}

impl Producer {
    /// All of them.
    pub const ALL: [Producer; 9] = [
        Producer::Map,
        Producer::Product,
        Producer::Linear,
        Producer::Materialized,
        Producer::Rows,
        Producer::Sums,
        Producer::Columns,
        Producer::Gather,
        Producer::Scatter,
    ];
}

impl Consumer {
    /// All of them.
    pub const ALL: [Consumer; 9] = [
        Consumer::Mean,
        Consumer::Map,
        Consumer::Product,
        Consumer::Factor,
        Consumer::Rows,
        Consumer::Columns,
        Consumer::Gather,
        Consumer::Scatter,
        Consumer::Several,
    ];
}

/// An operation with a producer and a consumer, for evaluation and for gradients.
pub struct InContext {
    /// The loss only.
    pub evaluated: Case,
    /// The loss, the gradients with respect to all reals, and for several
    /// consumers the result.
    pub differentiated: Case,
    /// The graph of its operands.
    operands: Graph,
    /// The graph of its operands and its result.
    result: Graph,
}

struct ContextBuilder {
    g: Graph,
    inputs: Vec<Value<f32>>,
    leaves: Vec<NodeId>,
    generator: Generator,
}

/// Factor of the producer's values that are added to operands of a restricted
/// domain.
const PERTURBATION: f32 = 1.0 / 1024.0;

/// A sample with a producer for each operand, `producer` for the first, and with
/// a consumer.
pub fn in_context(
    sample: &Sample,
    producer: Producer,
    consumer: Consumer,
    batch: usize,
    seed: u64,
) -> InContext {
    let mut builder = ContextBuilder {
        g: Graph::new(batch),
        inputs: Vec::new(),
        leaves: Vec::new(),
        generator: Generator::new(seed),
    };
    let first = Producer::ALL.iter().position(|b| *b == producer).unwrap_or(0);
    let mut x = Vec::new();
    for (i, operand) in sample.operands.iter().enumerate() {
        let kind = Producer::ALL[(first + 3 * i) % Producer::ALL.len()];
        x.push(builder.operand(operand, kind));
    }
    let with_roots = |g: &Graph, nodes: &[NodeId]| {
        let mut g = g.clone();
        nodes.iter().for_each(|id| g.add_root(Root::Output(format!("%{}", id.index())), *id));
        g
    };
    let operands = with_roots(&builder.g, &x);
    let y = builder.g.apply(sample.op.clone(), &x);
    let mut all = x;
    all.push(y);
    let result = with_roots(&builder.g, &all);

    let loss = match consumer {
        Consumer::Mean => builder.g.mean_of_results(y),
        _ => {
            let results = builder.consume(y, consumer);
            builder.weighted(&results)
        }
    };
    builder.g.add_root(Root::Loss, loss);
    let case = |g: Graph| Case { graph: g, inputs: builder.inputs.clone() };
    let evaluated = case(builder.g.clone());
    let mut g = builder.g.clone();
    if consumer == Consumer::Several {
        g.add_root(Root::Output("y".into()), y);
    }
    let real: Vec<NodeId> =
        builder.leaves.iter().copied().filter(|leaf| g.ty(*leaf).is_real()).collect();
    let gradients = bilro_compiler::autodiff::gradients(&mut g, loss, &real);
    for (i, dx) in gradients.into_iter().enumerate() {
        g.add_root(Root::Output(format!("dx{i}")), dx);
    }
    InContext { evaluated, differentiated: case(g), operands, result }
}

fn contract(contracted: &[(usize, usize)], over_batch: bool) -> Contract {
    Contract { shared: Vec::new(), contracted: contracted.to_vec(), over_batch }
}

impl ContextBuilder {
    fn input(&mut self, operand: &Operand) -> NodeId {
        let index = self.inputs.len();
        self.inputs.push(values(operand, self.g.batch(), &mut self.generator));
        let leaf = self.g.apply(Input { index, ty: operand.ty.clone() }, &[]);
        self.leaves.push(leaf);
        leaf
    }

    fn real(&mut self, batched: bool, dims: impl IntoIterator<Item = usize>) -> NodeId {
        let dims = dims.into_iter().map(Into::into).collect();
        let shape = Shape { batched, dims };
        self.input(&Operand::new(Type::real(shape), Domain::Normal(1.0)))
    }

    fn index(&mut self, batched: bool, dims: &[usize], below: usize) -> NodeId {
        let dims = dims.iter().map(|n| (*n).into()).collect();
        let ty = Type::index(below, Shape { batched, dims });
        self.input(&Operand::new(ty, Domain::Indices))
    }

    fn operand(&mut self, operand: &Operand, producer: Producer) -> NodeId {
        match operand.domain {
            Domain::Indices | Domain::Sign => self.input(operand),
            Domain::Normal(_) => self.produce(producer, &operand.ty.shape),
            _ => {
                let (x, produce) = (self.input(operand), self.produce(producer, &operand.ty.shape));
                let perturbation = self.g.scale(produce, PERTURBATION);
                self.g.add(x, perturbation)
            }
        }
    }

    fn product(&mut self, shape: &Shape) -> NodeId {
        let dims = shape.sizes();
        let Some((columns, outer)) = dims.split_last() else {
            let (a, w) = (self.real(shape.batched, [3]), self.real(false, [3]));
            return self.g.apply(contract(&[(0, 0)], false), &[a, w]);
        };
        let a = self.real(shape.batched, outer.iter().copied().chain([3]));
        let w = self.real(false, [3, *columns]);
        self.g.apply(contract(&[(outer.len(), 0)], false), &[a, w])
    }

    /// A value of a shape.
    fn produce(&mut self, producer: Producer, shape: &Shape) -> NodeId {
        let (batched, dims) = (shape.batched, shape.sizes());
        let rank = dims.len();
        match (producer, rank) {
            (Producer::Map, _) => {
                let x = self.real(batched, dims);
                self.g.sigmoid(x)
            }
            (Producer::Product, _) => self.product(shape),
            (Producer::Linear, _) => {
                let (product, bias) = (self.product(shape), self.real(false, dims.last().copied()));
                let sum = self.g.add(product, bias);
                self.g.sigmoid(sum)
            }
            (Producer::Materialized, _) => {
                let product = self.product(shape);
                let axis = rank.max(1) - 1;
                let column = match rank {
                    0 => self.g.reshape(product, &Shape { batched, dims: vec![1.into()] }),
                    _ => product,
                };
                let w = self.real(false, [dims.last().copied().unwrap_or(1), 2]);
                let other = self.g.apply(contract(&[(axis, 0)], false), &[column, w]);
                self.g.add_root(Root::Output(format!("materialized {}", product.index())), other);
                product
            }
            (Producer::Rows, 1..) => {
                let x = self.real(batched, dims);
                self.minus_mean(x)
            }
            (Producer::Sums | Producer::Rows, _) | (Producer::Columns, 0) => {
                let x = self.real(batched, dims.iter().copied().chain([5]));
                let sum = self.g.sum_axis(x, rank);
                self.g.reshape(sum, shape)
            }
            (Producer::Columns, _) if batched || self.g.batch() == 1 => {
                let x = self.real(batched, [5].into_iter().chain(dims.iter().copied()));
                let sum = self.g.sum_axis(x, 0);
                self.g.reshape(sum, shape)
            }
            (Producer::Columns, _) => {
                let x = self.real(true, dims);
                self.g.reduce(Reduction::Sum, Axis::Batch, x)
            }
            (Producer::Gather, _) => {
                let (columns, outer) = dims.split_last().unwrap_or((&1, &[]));
                let (table, index) =
                    (self.real(false, [4, *columns]), self.index(batched, outer, 4));
                let rows = self.g.gather(table, index);
                self.g.reshape(rows, shape)
            }
            (Producer::Scatter, _) => {
                let (columns, outer) = dims.split_last().unwrap_or((&1, &[]));
                let rows: usize = outer.iter().product();
                let (x, index) = (self.real(true, [*columns]), self.index(true, &[], rows));
                let table = self.g.scatter_add(x, index);
                let table = self.g.reshape(table, &Shape::unbatched(dims.iter().copied()));
                if !batched {
                    return table;
                }
                let x = self.real(true, dims);
                self.g.add(x, table)
            }
        }
    }

    /// Each row minus a fraction of its sum.
    fn minus_mean(&mut self, x: NodeId) -> NodeId {
        let shape = self.g.shape(x).clone();
        let sum = self.g.sum_axis(x, shape.rank() - 1);
        let mean = self.g.scale(sum, 0.125);
        let mean = self.g.broadcast(mean, &shape);
        self.g.sub(x, mean)
    }

    /// The values that a consumer computes.
    fn consume(&mut self, y: NodeId, consumer: Consumer) -> Vec<NodeId> {
        let shape = self.g.shape(y).clone();
        let (batched, dims) = (shape.batched, shape.sizes());
        // A scalar becomes a row of one.
        let rows = match dims.is_empty() {
            true => self.g.reshape(y, &Shape { batched, dims: vec![1.into()] }),
            false => y,
        };
        let dims = if dims.is_empty() { vec![1] } else { dims };
        let (columns, outer) = dims.split_last().expect("one axis at least");
        let last = outer.len();
        match consumer {
            Consumer::Mean => vec![y],
            Consumer::Map => vec![self.g.sigmoid(y)],
            Consumer::Product => {
                let w = self.real(false, [*columns, 4]);
                vec![self.g.apply(contract(&[(last, 0)], false), &[rows, w])]
            }
            Consumer::Factor if batched => {
                let a = self.real(true, [4]);
                let product = self.g.apply(contract(&[], true), &[a, rows]);
                vec![product, self.g.reduce(Reduction::Sum, Axis::Batch, rows)]
            }
            Consumer::Factor => {
                let a = self.real(true, [dims[0]]);
                vec![self.g.apply(contract(&[(0, 0)], false), &[a, rows])]
            }
            Consumer::Rows => vec![self.minus_mean(rows)],
            Consumer::Columns if batched => vec![self.g.reduce(Reduction::Sum, Axis::Batch, y)],
            Consumer::Columns => {
                let shape = Shape::batched(dims.iter().copied());
                let (x, wide) = (self.real(true, dims), self.g.broadcast(rows, &shape));
                let product = self.g.mul(wide, x);
                vec![self.g.reduce(Reduction::Sum, Axis::Batch, product)]
            }
            Consumer::Gather => {
                // A table has no batch.
                let summed = match batched {
                    true => self.g.reduce(Reduction::Sum, Axis::Batch, rows),
                    false => rows,
                };
                let count = outer.iter().product();
                let table = self.g.reshape(summed, &Shape::unbatched([count, *columns]));
                let index = self.index(true, &[2], count);
                vec![self.g.gather(table, index)]
            }
            Consumer::Scatter => {
                let index = self.index(batched, outer, 3);
                vec![self.g.scatter_add(rows, index)]
            }
            Consumer::Several => {
                let consumers = [
                    Consumer::Map,
                    Consumer::Product,
                    Consumer::Rows,
                    Consumer::Columns,
                    Consumer::Scatter,
                ];
                consumers.into_iter().flat_map(|consumer| self.consume(y, consumer)).collect()
            }
        }
    }

    /// The weighted sum of all elements, with random weights.
    fn weighted(&mut self, results: &[NodeId]) -> NodeId {
        let mut loss = None;
        for y in results {
            let ty = self.g.ty(*y).clone();
            let w = self.input(&Operand::new(ty, Domain::Normal(1.0)));
            let product = self.g.mul(*y, w);
            let sum = self.g.sum_all(product);
            loss = Some(loss.map_or(sum, |loss| self.g.add(loss, sum)));
        }
        loss.expect("a consumer has a result")
    }
}

/// Kinds of kernels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum KernelKind {
    /// Without reductions.
    Map,
    /// With reductions along rows.
    Rows,
    /// With reductions along other axes.
    Columns,
    /// Products.
    Product,
    /// Rows that are added up by index.
    Scatter,
    /// Checks that values are finite.
    AllFinite,
    /// A kernel of any kind that reads rows by index.
    Gather,
}

fn kernel_kinds(kernel: &Kernel) -> Vec<KernelKind> {
    let body = match &kernel.body {
        Body::Rows(rows) if rows.stages.is_empty() => KernelKind::Map,
        Body::Rows(_) => KernelKind::Rows,
        Body::Columns(_) => KernelKind::Columns,
        Body::Product(_) => KernelKind::Product,
        Body::Scatter(_) => KernelKind::Scatter,
        Body::AllFinite(_) => KernelKind::AllFinite,
    };
    let gathers = kernel.loads.iter().any(|load| load.index.is_some());
    std::iter::once(body).chain(gathers.then_some(KernelKind::Gather)).collect()
}

/// Counts of the kernels around operations.
#[derive(Default)]
pub struct Coverage {
    operations: BTreeMap<&'static str, KernelCounts>,
}

/// Counts, per kernel kind, of kernels that contain an operation, its consumers
/// or its consumer; consumers and consumer in the same kernel or an adjacent one.
#[derive(Default, Clone)]
pub struct KernelCounts {
    /// Kernels with the operation.
    pub inside: BTreeMap<KernelKind, usize>,
    /// Kernels with its consumers.
    pub producers: BTreeMap<KernelKind, usize>,
    /// Kernels with its consumer.
    pub consumers: BTreeMap<KernelKind, usize>,
}

/// A hash of the formula of each node.
fn meanings(g: &Graph) -> Vec<u64> {
    let mut meanings: Vec<u64> = Vec::new();
    for id in g.ids() {
        let mut hasher = DefaultHasher::new();
        g.op(id).hash(&mut hasher);
        g.operands(id).iter().for_each(|x| meanings[x.index()].hash(&mut hasher));
        meanings.push(hasher.finish());
    }
    meanings
}

/// Hashes of the nodes that the kernels of a graph compute.
fn computed_meanings(g: &Graph) -> HashSet<u64> {
    let fused = fuse(&simplify(&decompose(g)), false).expect("nothing is verified");
    let meanings = meanings(&fused.graph);
    fused.nodes.iter().flatten().map(|node| meanings[node.index()]).collect()
}

impl Coverage {
    /// Counts the kernels around an operation.
    pub fn count(&mut self, name: &'static str, in_context: &InContext, fused: &Fused) {
        let operands = computed_meanings(&in_context.operands);
        let mut own = computed_meanings(&in_context.result);
        own.retain(|meaning| !operands.contains(meaning));
        let meanings = meanings(&fused.graph);
        let contains_any = |kernel: usize, set: &HashSet<u64>| {
            fused.nodes[kernel].iter().any(|node| set.contains(&meanings[node.index()]))
        };
        let is_consumer = |kernel: usize| {
            let other = |m: &u64| !own.contains(m) && !operands.contains(m);
            fused.nodes[kernel].iter().any(|node| other(&meanings[node.index()]))
        };
        let writer: HashMap<usize, usize> = (fused.kernels.iter().enumerate())
            .flat_map(|(i, kernel)| kernel.writes().into_iter().map(move |t| (t, i)))
            .collect();
        let [mut inside, mut producers, mut consumers] = [(); 3].map(|()| BTreeSet::new());
        for (i, kernel) in fused.kernels.iter().enumerate() {
            let reads = kernel.reads();
            let read = reads.iter().filter_map(|t| writer.get(t)).filter(|w| **w != i);
            let sources: BTreeSet<&usize> = read.collect();
            if contains_any(i, &own) {
                inside.extend(kernel_kinds(kernel));
                if contains_any(i, &operands) {
                    producers.extend(kernel_kinds(kernel));
                }
                if is_consumer(i) {
                    consumers.extend(kernel_kinds(kernel));
                }
                for source in &sources {
                    if contains_any(**source, &operands) {
                        producers.extend(kernel_kinds(&fused.kernels[**source]));
                    }
                }
            }
            if is_consumer(i) && sources.iter().any(|source| contains_any(**source, &own)) {
                consumers.extend(kernel_kinds(kernel));
            }
        }
        let entry = self.operations.entry(name).or_default();
        for (kinds, counts) in [
            (inside, &mut entry.inside),
            (producers, &mut entry.producers),
            (consumers, &mut entry.consumers),
        ] {
            kinds.into_iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
        }
    }

    /// Adds the counts of another thread.
    pub fn add(&mut self, other: &Coverage) {
        for (name, found) in &other.operations {
            let entry = self.operations.entry(name).or_default();
            for (counts, more) in [
                (&mut entry.inside, &found.inside),
                (&mut entry.producers, &found.producers),
                (&mut entry.consumers, &found.consumers),
            ] {
                more.iter().for_each(|(kind, n)| *counts.entry(*kind).or_default() += n);
            }
        }
    }

    /// The counts of each operation.
    pub fn operations(&self) -> &BTreeMap<&'static str, KernelCounts> {
        &self.operations
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: [KernelKind; 6] = [
            KernelKind::Map,
            KernelKind::Rows,
            KernelKind::Columns,
            KernelKind::Product,
            KernelKind::Scatter,
            KernelKind::Gather,
        ];
        let head = "map  rows   col  prod  scat  gath";
        writeln!(f, "{:<34}in {head} | producers {head} | before {head}", "")?;
        for (name, entry) in &self.operations {
            let row = |counts: &BTreeMap<KernelKind, usize>| {
                let cell = |kind| format!("{:>6}", counts.get(kind).copied().unwrap_or(0));
                KINDS.iter().map(cell).collect::<String>()
            };
            let [a, b, c] = [&entry.inside, &entry.producers, &entry.consumers].map(row);
            writeln!(f, "{name:<33}{a} | {b:>40} | {c:>40}")?;
        }
        Ok(())
    }
}

/// Whether an operation takes reals that a consumers can compute.
pub fn takes_reals(sample: &Sample) -> bool {
    let given = [Domain::Indices, Domain::Sign];
    sample.operands.iter().any(|operand| !given.contains(&operand.domain))
}

/// Whether an operation is a formula for each element.
pub fn is_elementwise(op: &Op) -> bool {
    matches!(op.lower(), bilro_compiler::ops::Lowering::Elementwise(_))
}
