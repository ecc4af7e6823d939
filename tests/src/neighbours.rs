//! Operations between others: behind and in front of every kind of kernel, with
//! the values of an operation's samples, and which kernels it came to lie in.

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

/// What makes an operation's operands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Before {
    /// Something for each element.
    Map,
    /// A product.
    Product,
    /// A product with a bias and an activation.
    Linear,
    /// A product that another product needs too, so that it is kept.
    Kept,
    /// Rows, of which each element needs the sum.
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

/// What goes on with its result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// The mean of its results, as a loss's is taken.
    Mean,
    /// Something for each element.
    Map,
    /// A product, as its first factor.
    Product,
    /// A product, as its second factor, of which sums are made beside it.
    Factor,
    /// Rows, of which each element needs the sum.
    Rows,
    /// Sums over another axis than the last.
    Columns,
    /// Its rows are gathered by index.
    Gather,
    /// Its rows are added up by index.
    Scatter,
    /// Many of them, and it is an output too.
    Several,
}

impl Before {
    /// All of them.
    pub const ALL: [Before; 9] = [
        Before::Map,
        Before::Product,
        Before::Linear,
        Before::Kept,
        Before::Rows,
        Before::Sums,
        Before::Columns,
        Before::Gather,
        Before::Scatter,
    ];
}

impl After {
    /// All of them.
    pub const ALL: [After; 9] = [
        After::Mean,
        After::Map,
        After::Product,
        After::Factor,
        After::Rows,
        After::Columns,
        After::Gather,
        After::Scatter,
        After::Several,
    ];
}

/// An operation between others: what `evaluate` wants of it, and what gradients do.
pub struct Between {
    /// The loss alone.
    pub evaluated: Case,
    /// The loss, the gradients with respect to all reals, and where several go on
    /// with it the result.
    pub differentiated: Case,
    /// Its operands.
    operands: Graph,
    /// Its operands and its result.
    result: Graph,
}

struct Making {
    g: Graph,
    inputs: Vec<Value<f32>>,
    leaves: Vec<NodeId>,
    generator: Generator,
}

/// So much of what is made before is added to values of a domain that must not be
/// left.
const LITTLE: f32 = 1.0 / 1024.0;

/// A sample with each of its operands made by something, the first by `before`,
/// and with something behind it.
pub fn between(sample: &Sample, before: Before, after: After, batch: usize, seed: u64) -> Between {
    let mut making = Making {
        g: Graph::new(batch),
        inputs: Vec::new(),
        leaves: Vec::new(),
        generator: Generator::new(seed),
    };
    let first = Before::ALL.iter().position(|b| *b == before).unwrap_or(0);
    let mut x = Vec::new();
    for (i, operand) in sample.operands.iter().enumerate() {
        let kind = Before::ALL[(first + 3 * i) % Before::ALL.len()];
        x.push(making.operand(operand, kind));
    }
    let with_roots = |g: &Graph, nodes: &[NodeId]| {
        let mut g = g.clone();
        nodes.iter().for_each(|id| g.add_root(Root::Output(format!("%{}", id.index())), *id));
        g
    };
    let operands = with_roots(&making.g, &x);
    let y = making.g.apply(sample.op.clone(), &x);
    let mut all = x;
    all.push(y);
    let result = with_roots(&making.g, &all);

    let loss = match after {
        After::Mean => making.g.mean_of_results(y),
        _ => {
            let results = making.results(y, after);
            making.weighted(&results)
        }
    };
    making.g.add_root(Root::Loss, loss);
    let case = |g: Graph| Case { graph: g, inputs: making.inputs.clone() };
    let evaluated = case(making.g.clone());
    let mut g = making.g.clone();
    if after == After::Several {
        g.add_root(Root::Output("y".into()), y);
    }
    let real: Vec<NodeId> =
        making.leaves.iter().copied().filter(|leaf| g.ty(*leaf).is_real()).collect();
    let gradients = bilro_compiler::autodiff::gradients(&mut g, loss, &real);
    for (i, dx) in gradients.into_iter().enumerate() {
        g.add_root(Root::Output(format!("dx{i}")), dx);
    }
    Between { evaluated, differentiated: case(g), operands, result }
}

fn contract(contracted: &[(usize, usize)], over_batch: bool) -> Contract {
    Contract { shared: Vec::new(), contracted: contracted.to_vec(), over_batch }
}

impl Making {
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

    fn operand(&mut self, operand: &Operand, before: Before) -> NodeId {
        match operand.domain {
            Domain::Indices | Domain::Sign => self.input(operand),
            Domain::Normal(_) => self.made(before, &operand.ty.shape),
            _ => {
                let (x, made) = (self.input(operand), self.made(before, &operand.ty.shape));
                let little = self.g.scale(made, LITTLE);
                self.g.add(x, little)
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
    fn made(&mut self, before: Before, shape: &Shape) -> NodeId {
        let (batched, dims) = (shape.batched, shape.sizes());
        let rank = dims.len();
        match (before, rank) {
            (Before::Map, _) => {
                let x = self.real(batched, dims);
                self.g.sigmoid(x)
            }
            (Before::Product, _) => self.product(shape),
            (Before::Linear, _) => {
                let (product, bias) = (self.product(shape), self.real(false, dims.last().copied()));
                let sum = self.g.add(product, bias);
                self.g.sigmoid(sum)
            }
            (Before::Kept, _) => {
                let product = self.product(shape);
                let axis = rank.max(1) - 1;
                let column = match rank {
                    0 => self.g.reshape(product, &Shape { batched, dims: vec![1.into()] }),
                    _ => product,
                };
                let w = self.real(false, [dims.last().copied().unwrap_or(1), 2]);
                let other = self.g.apply(contract(&[(axis, 0)], false), &[column, w]);
                self.g.add_root(Root::Output(format!("kept {}", product.index())), other);
                product
            }
            (Before::Rows, 1..) => {
                let x = self.real(batched, dims);
                self.centred(x)
            }
            (Before::Sums | Before::Rows, _) | (Before::Columns, 0) => {
                let x = self.real(batched, dims.iter().copied().chain([5]));
                let sum = self.g.sum_axis(x, rank);
                self.g.reshape(sum, shape)
            }
            (Before::Columns, _) if batched || self.g.batch() == 1 => {
                let x = self.real(batched, [5].into_iter().chain(dims.iter().copied()));
                let sum = self.g.sum_axis(x, 0);
                self.g.reshape(sum, shape)
            }
            (Before::Columns, _) => {
                let x = self.real(true, dims);
                self.g.reduce(Reduction::Sum, Axis::Batch, x)
            }
            (Before::Gather, _) => {
                let (columns, outer) = dims.split_last().unwrap_or((&1, &[]));
                let (table, index) =
                    (self.real(false, [4, *columns]), self.index(batched, outer, 4));
                let rows = self.g.gather(table, index);
                self.g.reshape(rows, shape)
            }
            (Before::Scatter, _) => {
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

    /// Each row less a part of its sum.
    fn centred(&mut self, x: NodeId) -> NodeId {
        let shape = self.g.shape(x).clone();
        let sum = self.g.sum_axis(x, shape.rank() - 1);
        let part = self.g.scale(sum, 0.125);
        let part = self.g.broadcast(part, &shape);
        self.g.sub(x, part)
    }

    /// What follows from a value.
    fn results(&mut self, y: NodeId, after: After) -> Vec<NodeId> {
        let shape = self.g.shape(y).clone();
        let (batched, dims) = (shape.batched, shape.sizes());
        // A number is a row of one.
        let rows = match dims.is_empty() {
            true => self.g.reshape(y, &Shape { batched, dims: vec![1.into()] }),
            false => y,
        };
        let dims = if dims.is_empty() { vec![1] } else { dims };
        let (columns, outer) = dims.split_last().expect("one axis at least");
        let last = outer.len();
        match after {
            After::Mean => vec![y],
            After::Map => vec![self.g.sigmoid(y)],
            After::Product => {
                let w = self.real(false, [*columns, 4]);
                vec![self.g.apply(contract(&[(last, 0)], false), &[rows, w])]
            }
            After::Factor if batched => {
                let a = self.real(true, [4]);
                let product = self.g.apply(contract(&[], true), &[a, rows]);
                vec![product, self.g.reduce(Reduction::Sum, Axis::Batch, rows)]
            }
            After::Factor => {
                let a = self.real(true, [dims[0]]);
                vec![self.g.apply(contract(&[(0, 0)], false), &[a, rows])]
            }
            After::Rows => vec![self.centred(rows)],
            After::Columns if batched => vec![self.g.reduce(Reduction::Sum, Axis::Batch, y)],
            After::Columns => {
                let shape = Shape::batched(dims.iter().copied());
                let (x, stretched) = (self.real(true, dims), self.g.broadcast(rows, &shape));
                let product = self.g.mul(stretched, x);
                vec![self.g.reduce(Reduction::Sum, Axis::Batch, product)]
            }
            After::Gather => {
                // A table is there once.
                let once = match batched {
                    true => self.g.reduce(Reduction::Sum, Axis::Batch, rows),
                    false => rows,
                };
                let count = outer.iter().product();
                let table = self.g.reshape(once, &Shape::unbatched([count, *columns]));
                let index = self.index(true, &[2], count);
                vec![self.g.gather(table, index)]
            }
            After::Scatter => {
                let index = self.index(batched, outer, 3);
                vec![self.g.scatter_add(rows, index)]
            }
            After::Several => {
                let kinds =
                    [After::Map, After::Product, After::Rows, After::Columns, After::Scatter];
                kinds.into_iter().flat_map(|after| self.results(y, after)).collect()
            }
        }
    }

    /// The sum of all elements, each with a weight of its own.
    fn weighted(&mut self, results: &[NodeId]) -> NodeId {
        let mut loss = None;
        for y in results {
            let ty = self.g.ty(*y).clone();
            let w = self.input(&Operand::new(ty, Domain::Normal(1.0)));
            let product = self.g.mul(*y, w);
            let sum = self.g.sum_all(product);
            loss = Some(loss.map_or(sum, |loss| self.g.add(loss, sum)));
        }
        loss.expect("something follows")
    }
}

/// Kinds of kernels, as they are told apart here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
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
    /// Values that are looked at, whether they are finite.
    AllFinite,
    /// One of any kind that reads rows by index.
    Gather,
}

fn kinds(kernel: &Kernel) -> Vec<Kind> {
    let body = match &kernel.body {
        Body::Rows(rows) if rows.stages.is_empty() => Kind::Map,
        Body::Rows(_) => Kind::Rows,
        Body::Columns(_) => Kind::Columns,
        Body::Product(_) => Kind::Product,
        Body::Scatter(_) => Kind::Scatter,
        Body::AllFinite(_) => Kind::AllFinite,
    };
    let gathers = kernel.loads.iter().any(|load| load.index.is_some());
    std::iter::once(body).chain(gathers.then_some(Kind::Gather)).collect()
}

/// How often operations came to lie where.
#[derive(Default)]
pub struct Coverage {
    operations: BTreeMap<&'static str, Places>,
}

/// How often one operation lay in a kernel of a kind, behind one of that kind and
/// in front of one: in the same kernel, or the next.
#[derive(Default, Clone)]
pub struct Places {
    /// In it.
    pub inside: BTreeMap<Kind, usize>,
    /// Behind it.
    pub behind: BTreeMap<Kind, usize>,
    /// In front of it.
    pub before: BTreeMap<Kind, usize>,
}

/// A name for what each node computes.
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

/// What the kernels of a graph compute, by what it means.
fn computed(g: &Graph) -> HashSet<u64> {
    let fused = fuse(&simplify(&decompose(g)), false).expect("nothing is verified");
    let meanings = meanings(&fused.graph);
    fused.nodes.iter().flatten().map(|node| meanings[node.index()]).collect()
}

impl Coverage {
    /// Counts where an operation's nodes lie.
    pub fn count(&mut self, name: &'static str, between: &Between, fused: &Fused) {
        let operands = computed(&between.operands);
        let mut own = computed(&between.result);
        own.retain(|meaning| !operands.contains(meaning));
        let meanings = meanings(&fused.graph);
        let means = |kernel: usize, set: &HashSet<u64>| {
            fused.nodes[kernel].iter().any(|node| set.contains(&meanings[node.index()]))
        };
        let goes_on = |kernel: usize| {
            let other = |m: &u64| !own.contains(m) && !operands.contains(m);
            fused.nodes[kernel].iter().any(|node| other(&meanings[node.index()]))
        };
        let writer: HashMap<usize, usize> = (fused.kernels.iter().enumerate())
            .flat_map(|(i, kernel)| kernel.writes().into_iter().map(move |t| (t, i)))
            .collect();
        let [mut inside, mut behind, mut before] = [(); 3].map(|()| BTreeSet::new());
        for (i, kernel) in fused.kernels.iter().enumerate() {
            let reads = kernel.reads();
            let read = reads.iter().filter_map(|t| writer.get(t)).filter(|w| **w != i);
            let sources: BTreeSet<&usize> = read.collect();
            if means(i, &own) {
                inside.extend(kinds(kernel));
                if means(i, &operands) {
                    behind.extend(kinds(kernel));
                }
                if goes_on(i) {
                    before.extend(kinds(kernel));
                }
                for source in &sources {
                    if means(**source, &operands) {
                        behind.extend(kinds(&fused.kernels[**source]));
                    }
                }
            }
            if goes_on(i) && sources.iter().any(|source| means(**source, &own)) {
                before.extend(kinds(kernel));
            }
        }
        let places = self.operations.entry(name).or_default();
        for (kinds, counts) in [
            (inside, &mut places.inside),
            (behind, &mut places.behind),
            (before, &mut places.before),
        ] {
            kinds.into_iter().for_each(|kind| *counts.entry(kind).or_default() += 1);
        }
    }

    /// Adds what has been counted elsewhere.
    pub fn add(&mut self, other: &Coverage) {
        for (name, found) in &other.operations {
            let places = self.operations.entry(name).or_default();
            for (counts, more) in [
                (&mut places.inside, &found.inside),
                (&mut places.behind, &found.behind),
                (&mut places.before, &found.before),
            ] {
                more.iter().for_each(|(kind, n)| *counts.entry(*kind).or_default() += n);
            }
        }
    }

    /// What has been counted of each operation.
    pub fn operations(&self) -> &BTreeMap<&'static str, Places> {
        &self.operations
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KINDS: [Kind; 6] =
            [Kind::Map, Kind::Rows, Kind::Columns, Kind::Product, Kind::Scatter, Kind::Gather];
        let head = "map  rows   col  prod  scat  gath";
        writeln!(f, "{:<34}in {head} | behind {head} | before {head}", "")?;
        for (name, places) in &self.operations {
            let row = |counts: &BTreeMap<Kind, usize>| {
                let cell = |kind| format!("{:>6}", counts.get(kind).copied().unwrap_or(0));
                KINDS.iter().map(cell).collect::<String>()
            };
            let [a, b, c] = [&places.inside, &places.behind, &places.before].map(row);
            writeln!(f, "{name:<33}{a} | {b:>40} | {c:>40}")?;
        }
        Ok(())
    }
}

/// Whether an operation takes reals that something else can make.
pub fn is_made(sample: &Sample) -> bool {
    let given = [Domain::Indices, Domain::Sign];
    sample.operands.iter().any(|operand| !given.contains(&operand.domain))
}

/// Whether an operation is a formula for each element.
pub fn is_elementwise(op: &Op) -> bool {
    matches!(op.lower(), bilro_compiler::ops::Lowering::Elementwise(_))
}
