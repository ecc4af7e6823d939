//! Operations against PyTorch: results and gradients of every case in `ops.json`, `losses.json` and
//! `arrays.json`,
//! in machine code on every instruction set, in the evaluator of programs, and in the interpreter
//! in f64.
//!
//! A case is built as a call of the language's function. If its first axis may be the batch, it is
//! built both with and without a batch; and each with every kind of kernel before and after the
//! function (`goldens/exact.rs`).

use std::collections::BTreeMap;

use bilro_compiler::error::Mistake;
use bilro_compiler::eval::Value;
use bilro_compiler::graph::{Graph, NodeId, Root};
use bilro_compiler::ops::constant::Constant;
use bilro_compiler::ops::{
    self, AttributeKind, AttributeValue, Attributes, Number, Order, input::Input,
};
use bilro_compiler::shape::{Argument, Dim, Facts, Shape, Type};
use bilro_compiler::target::host;
use bilro_tests::check::{self, Case};
use bilro_tests::goldens::{self, Calls, Tensor};
use serde_json::Value as Json;

mod exact;
mod operators;

use exact::Exact;

/// Operations whose inputs after the first are shared by all examples.
const WITH_WEIGHTS: &[&str] =
    &["matmul", "linear", "add_broadcast", "embedding", "layer_norm", "einsum_weight"];

/// Attributes of a case that are not attributes of the function.
const ABOUT: &[&str] = &["reduction", "of", "target", "extreme", "special", "batched", "whole"];

/// Losses of rows, such as the scores of classes: one value for each.
const OF_ROWS: &[&str] =
    &["cross_entropy", "nll_loss", "multi_margin_loss", "cosine_embedding_loss", "kl_div"];

#[derive(serde::Deserialize)]
struct Golden {
    op: String,
    #[serde(default)]
    attrs: BTreeMap<String, Json>,
    /// The call, if it is not `op` with the attributes; see [`Calls::tree`].
    call: Option<Json>,
    inputs: Vec<Tensor>,
    /// The inputs whose first axis is the batch, in cases with a call.
    #[serde(default)]
    batched: Vec<bool>,
    /// The bounds of the inputs that are indices, in cases with a call.
    #[serde(default)]
    below: Vec<Option<usize>>,
    output: Tensor,
    upstream: Option<Tensor>,
    #[serde(default)]
    grads: Vec<Option<Tensor>>,
}

/// How the tensors of a case become values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// Without a batch.
    Whole,
    /// Their first axis is the batch.
    Batched,
}

#[test]
fn every_operation_agrees_with_pytorch() {
    compare_all("ops.json");
}

#[test]
fn every_loss_agrees_with_pytorch() {
    compare_all("losses.json");
}

#[test]
fn every_function_of_arrays_agrees_with_pytorch() {
    compare_all("arrays.json");
}

#[test]
fn every_reduction_and_product_agrees_with_pytorch() {
    compare_all("reductions.json");
}

fn compare_all(file: &str) {
    let mut ran: BTreeMap<&str, usize> = BTreeMap::new();
    let mut beside: BTreeMap<&str, BTreeMap<String, usize>> = BTreeMap::new();
    let mut failures = Vec::new();
    let cases: Vec<Golden> = goldens::read(file);
    for (i, golden) in cases.iter().enumerate() {
        *ran.entry(&golden.op).or_default() += 1;
        let forms = [Form::Whole, Form::Batched];
        for form in forms.into_iter().filter(|form| golden.allows(*form)) {
            if let Err(difference) = golden.compare(form, None) {
                failures.push(format!("{} {form:?}: {difference}", golden.describe()));
            }
            let exact = Exact::ALL.into_iter().filter(|exact| exact.serves(form == Form::Batched));
            // One of them for each of the many calls.
            let one =
                |exact: &Exact| golden.call.is_none() || *exact == Exact::ALL[i % Exact::ALL.len()];
            for via in exact.filter(one).filter(|_| golden.is_finite()) {
                let kind = format!("{via:?}");
                *beside.entry(&golden.op).or_default().entry(kind).or_default() += 1;
                if let Err(difference) = golden.compare(form, Some(via)) {
                    let context = golden.describe();
                    failures.push(format!("{context} {form:?} between {via:?}: {difference}"));
                }
            }
        }
    }
    println!("compared: {ran:?}");
    beside.iter().for_each(|(op, kinds)| println!("{op} between {kinds:?}"));
    assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
    assert!(!ran.is_empty(), "no cases in {}", goldens::file(file).display());
}

impl Golden {
    fn describe(&self) -> String {
        let shapes: Vec<_> = self.inputs.iter().map(|x| format!("{:?}", x.shape)).collect();
        let attributes = self.attrs.iter().filter(|(name, _)| *name != "target");
        let attributes: Vec<_> = attributes.map(|(name, x)| format!(", {name} = {x}")).collect();
        let call = self.call.as_ref().map_or(String::new(), |call| format!(", {call}"));
        format!("{}({}{}{call})", self.op, shapes.join(", "), attributes.concat())
    }

    fn flag(&self, name: &str) -> bool {
        self.attrs.get(name).is_some_and(|x| x == &Json::Bool(true))
    }

    /// Whether examples may be separate rows: not if rows interact.
    fn allows(&self, form: Form) -> bool {
        if self.call.is_some() {
            return (form == Form::Batched) == self.batched.contains(&true);
        }
        let rows_meet = match self.op.as_str() {
            "transpose" | "reshape" => true,
            // Attributes of extreme cases name an axis for every function.
            _ => self.dims().contains(&0),
        };
        match form {
            Form::Whole => !self.flag("batched"),
            Form::Batched => !(rows_meet || self.flag("whole") || self.inputs[0].shape.is_empty()),
        }
    }

    /// The axes that it names.
    fn dims(&self) -> Vec<i64> {
        match self.attrs.get("dim") {
            Some(Json::Array(dims)) => dims.iter().filter_map(Json::as_i64).collect(),
            Some(dim) => dim.as_i64().into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Whether an input has the batch in this form; weights do not.
    fn is_batched(&self, input: usize, form: Form) -> bool {
        if self.call.is_some() {
            return self.batched[input];
        }
        let is_weight = input > 0 && WITH_WEIGHTS.contains(&self.op.as_str());
        form == Form::Batched && !is_weight
    }

    /// Whether all values are finite: products with zeros preserve only these.
    fn is_finite(&self) -> bool {
        let tensors = self.inputs.iter().chain([&self.output]).chain(&self.upstream);
        tensors.flat_map(Tensor::values).all(f64::is_finite)
    }

    /// The case as a graph: the first output is the result, the others are the
    /// gradients of inputs.
    fn case(&self, form: Form, via: Option<Exact>) -> Result<Case, Mistake> {
        let batch = match form {
            Form::Whole => 1,
            Form::Batched => {
                let first = (0..self.inputs.len()).find(|i| self.is_batched(*i, form));
                self.inputs[first.expect("an input with a batch")].shape[0]
            }
        };
        let mut drawn = Case { graph: Graph::new(batch), inputs: Vec::new() };
        let mut x = Vec::new();
        for (i, tensor) in self.inputs.iter().enumerate() {
            let classes = match (self.op.as_str(), i) {
                // Rows of the table.
                ("embedding", 0) => self.inputs[1].shape.first().copied(),
                ("cross_entropy" | "nll_loss" | "multi_margin_loss", 1)
                    if tensor.shape.len() < self.inputs[0].shape.len() =>
                {
                    self.inputs[0].shape.last().copied()
                }
                _ => self.below.get(i).copied().flatten(),
            };
            x.push(leaf(&mut drawn, tensor, self.is_batched(i, form), classes));
        }
        let target = self.attrs.get("target").map(|target| {
            let tensor: Tensor = serde_json::from_value(target.clone()).expect("a tensor");
            leaf(&mut drawn, &tensor, form == Form::Batched, None)
        });
        let operands: Vec<NodeId> = match via {
            Some(exact) => x.iter().map(|x| exact.through(&mut drawn, *x)).collect(),
            None => x.clone(),
        };
        let y = self.result(&mut drawn.graph, &operands, target, form)?;
        let y = via.map_or(y, |exact| exact.next().through(&mut drawn, y));
        drawn.graph.add_root(Root::Output("y".into()), y);
        if let Some(upstream) = &self.upstream {
            let batched = drawn.graph.shape(y).batched;
            let upstream = leaf(&mut drawn, upstream, batched, None);
            let g = &mut drawn.graph;
            let product = g.mul(y, upstream);
            let loss = g.sum_all(product);
            let requested: Vec<NodeId> =
                x.iter().zip(&self.grads).filter(|(_, dx)| dx.is_some()).map(|(x, _)| *x).collect();
            let gradients = bilro_compiler::autodiff::gradients(g, loss, &requested);
            for (i, dx) in gradients.into_iter().enumerate() {
                g.add_root(Root::Output(format!("dx{i}")), dx);
            }
        }
        Ok(drawn)
    }

    /// The function on its operands. Most functions have the same name in the
    /// language; the others are translated here.
    fn result(
        &self,
        g: &mut Graph,
        x: &[NodeId],
        target: Option<NodeId>,
        form: Form,
    ) -> Result<NodeId, Mistake> {
        if let Some(tree) = &self.call {
            return OnGraph(g).tree(tree, x);
        }
        let none = Attributes::new();
        let elements = match self.op.as_str() {
            "linear" => {
                let weight = call(g, "transpose", &[x[1]], &none)?;
                let product = call(g, "matmul", &[x[0], weight], &none)?;
                call(g, "add", &[product, x[2]], &none)?
            }
            "bmm" => call(g, "matmul", x, &none)?,
            "einsum_weight" => call(g, "einsum", x, &self.attributes("einsum", form))?,
            "add_broadcast" => call(g, "add", x, &none)?,
            "mul_broadcast" => call(g, "mul", x, &none)?,
            "gelu_tanh" => {
                let tanh = AttributeValue::Keyword("tanh".into());
                call(g, "gelu", x, &none.with("approximate", tanh))?
            }
            // The mean of `loss`, over the batch too.
            "sum_all" if form == Form::Batched => g.sum_all(x[0]),
            "mean_all" if form == Form::Batched => g.mean_all(x[0]),
            "sum_all" => call(g, "sum", x, &none)?,
            "mean_all" => call(g, "mean", x, &none)?,
            "reshape" => {
                let sizes = self.output.shape.iter().copied().map(Dim::Fixed).collect();
                call(g, "reshape", x, &none.with("shape", AttributeValue::Sizes(sizes)))?
            }
            name => {
                let mut operands = x.to_vec();
                if let Some(Json::String(of)) = self.attrs.get("of") {
                    let of = of.strip_suffix("(input)").expect("a function of the input");
                    operands[0] = call(g, of, &x[..1], &none)?;
                }
                operands.extend(target);
                call(g, name, &operands, &self.attributes(name, form))?
            }
        };
        Ok(match self.attrs.get("reduction").and_then(Json::as_str) {
            None | Some("none") => elements,
            Some("mean" | "batchmean") => g.mean_of_results(elements),
            Some("sum") => g.sum_all(elements),
            Some(other) => panic!("reduction {other}"),
        })
    }

    /// The attributes in the language's form.
    fn attributes(&self, function: &str, form: Form) -> Attributes {
        let entry = ops::find(function).unwrap_or_else(|| panic!("there is no `{function}`"));
        let form_of_call = entry.call.expect("only operations with a call are found");
        let mut attributes = Attributes::new();
        // The batch has no number; axes from the last have the same.
        let axis = |axis: i64| match axis < 0 {
            true => axis,
            false => axis - i64::from(form == Form::Batched),
        };
        for (name, value) in self.attrs.iter().filter(|(name, _)| !ABOUT.contains(&name.as_str())) {
            let name = if name == "dim" { "axis" } else { name };
            let Some(attribute) = form_of_call.attributes.iter().find(|a| a.name == name) else {
                assert!(self.flag("extreme"), "`{function}` has no `{name}`");
                continue;
            };
            attributes.set(
                name,
                match attribute.kind {
                    AttributeKind::Axis => {
                        AttributeValue::Axis(axis(value.as_i64().expect("an axis")))
                    }
                    AttributeKind::Axes => {
                        AttributeValue::Axes(self.dims().into_iter().map(axis).collect())
                    }
                    AttributeKind::Order => AttributeValue::Order(Order(match value.as_str() {
                        Some("inf") => f64::INFINITY,
                        Some(_) => f64::NEG_INFINITY,
                        None => value.as_f64().expect("a number"),
                    })),
                    AttributeKind::Text => {
                        AttributeValue::Text(value.as_str().expect("a text").into())
                    }
                    AttributeKind::Number => {
                        AttributeValue::Number(value.as_f64().expect("a number"))
                    }
                    AttributeKind::Flag => AttributeValue::Flag(value.as_bool().expect("a flag")),
                    AttributeKind::Integer => {
                        AttributeValue::Integer(value.as_u64().expect("an integer") as usize)
                    }
                    AttributeKind::Numbers => AttributeValue::Numbers(match value {
                        Json::Array(list) => {
                            list.iter().map(|x| x.as_f64().expect("a number")).collect()
                        }
                        one => vec![one.as_f64().expect("a number")],
                    }),
                    kind => panic!("`{name}` of `{function}` takes {}", kind.describe()),
                },
            );
        }
        attributes
    }

    /// Compares every backend with the expected results.
    fn compare(&self, form: Form, via: Option<Exact>) -> Result<(), String> {
        let case = self.case(form, via).map_err(|mistake| mistake.message)?;
        for target in host::targets() {
            let lowered = check::lowered(&case, &target);
            let (jitted, evaluated) =
                (check::jitted(&case, &lowered), check::evaluated(&case, &lowered));
            self.compare_roots(target.name, &widened(&jitted))?;
            self.compare_roots("evaluator", &widened(&evaluated))?;
        }
        self.compare_roots("interpreter", &check::interpreted::<f64>(&case))
    }

    fn compare_roots(&self, backend: &str, roots: &[Vec<f64>]) -> Result<(), String> {
        let (y, gradients) = roots.split_first().expect("every case has a result");
        self.compare_elements(y, &self.output, 1.0).map_err(|e| format!("{backend}, y: {e}"))?;
        let upstream = self.upstream.as_ref().map_or(1.0, |upstream| largest(&upstream.values()));
        let unit = upstream * self.gain() / self.averaged() as f64;
        let expected: Vec<_> = self.grads.iter().flatten().collect();
        assert_eq!(gradients.len(), expected.len());
        for (i, (dx, expected)) in gradients.iter().zip(expected).enumerate() {
            self.compare_elements(dx, expected, unit)
                .map_err(|e| format!("{backend}, gradient {i}: {e}"))?;
        }
        Ok(())
    }

    /// The bound is relative to the element, or to the largest term of its sum
    /// if that is larger: `unit` times the inputs if they are added up.
    /// Rounding grows with the number of terms, at most the number of elements
    /// of an input; the bound is at most that of `WIDEST`.
    fn compare_elements(&self, found: &[f64], expected: &Tensor, unit: f64) -> Result<(), String> {
        const WIDEST: f64 = 1e-5;
        const ADDS_UP: &[&str] = &[
            "sum",
            "mean",
            "sum_all",
            "mean_all",
            "matmul",
            "linear",
            "bmm",
            "einsum",
            "einsum_weight",
            "cumsum",
            "add_broadcast",
            "mul_broadcast",
        ];
        let terms = self.attrs.get("terms").and_then(Json::as_u64).map(|terms| terms as usize);
        let adds_up = terms.is_some() || ADDS_UP.contains(&self.op.as_str());
        let inputs = self.inputs.iter().map(|x| largest(&x.values())).fold(1.0, f64::max);
        let unit = match (self.flag("special"), adds_up) {
            // Each of these is exact or nearly exact.
            (true, _) => 0.0,
            (false, true) => unit * inputs,
            (false, false) => unit,
        };
        let terms = match adds_up || self.attrs.contains_key("reduction") {
            _ if terms.is_some() => terms.unwrap_or(1),
            true => self.inputs.iter().map(|x| x.data.len()).max().unwrap_or(1),
            false if self.attrs.contains_key("dim") => largest_size(&self.inputs),
            false => 1,
        };
        let bound = check::bound(terms).min(WIDEST);
        let expected = expected.values();
        if found.len() != expected.len() {
            return Err(format!("{} elements instead of {}", found.len(), expected.len()));
        }
        for (i, (x, y)) in found.iter().zip(&expected).enumerate() {
            let allowed = bound * y.abs().max(unit);
            let fits = x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= allowed;
            // Views keep the sign of zeros.
            let is_exact = self.call.is_some() && self.flag("special");
            let same_sign = x.is_nan() || x.is_sign_negative() == y.is_sign_negative();
            if !fits || (is_exact && !same_sign) {
                return Err(format!("element {i}: {x:e} instead of {y:e}, more than {allowed:e}"));
            }
        }
        Ok(())
    }

    /// Factor by which a gradient's terms exceed its input: a layer norm
    /// divides by the deviation of a row, which limits the accuracy of
    /// PyTorch's own values.
    fn gain(&self) -> f64 {
        if !self.op.ends_with("layer_norm") {
            return 1.0;
        }
        let x = self.inputs[0].values();
        let deviation = |row: &[f64]| {
            let mean = row.iter().sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / row.len() as f64;
            (variance + 1e-5).sqrt()
        };
        let rows = x.chunks(self.inputs[1].shape[0]);
        let smallest = rows.map(deviation).fold(f64::INFINITY, f64::min);
        largest(&self.inputs[1].values()) / smallest
    }

    /// The number of elements that a mean divides by.
    fn averaged(&self) -> usize {
        let shape = &self.inputs[0].shape;
        let all = shape.iter().product::<usize>();
        let mean = self.attrs.get("reduction").is_some_and(|r| r == "mean" || r == "batchmean");
        match self.op.as_str() {
            "mean_all" => all,
            "mean" if self.attrs.contains_key("dim") => {
                let size = |dim: i64| shape[dim.rem_euclid(shape.len() as i64) as usize];
                self.dims().into_iter().map(size).product()
            }
            op if mean && OF_ROWS.contains(&op) => all / shape[shape.len() - 1],
            _ if mean => all,
            _ => 1,
        }
    }
}

/// A function of the language on operands.
fn call(
    g: &mut Graph,
    function: &str,
    operands: &[NodeId],
    attributes: &Attributes,
) -> Result<NodeId, Mistake> {
    let entry = ops::find(function)
        .ok_or_else(|| Mistake::call(format!("there is no function `{function}`")))?;
    let op = (entry.from_call)(attributes)?;
    let names = vec!["x"; operands.len()];
    let mut facts = Facts::default();
    let y = g.call(op, operands, &names, &mut facts)?;
    assert!(facts.undecided.is_empty(), "all sizes are numbers");
    Ok(y)
}

/// Calls as nodes of a graph.
struct OnGraph<'g>(&'g mut Graph);

impl Calls for OnGraph<'_> {
    fn call(
        &mut self,
        function: &str,
        x: &[NodeId],
        a: &Attributes,
    ) -> Result<Vec<NodeId>, Mistake> {
        let entry = ops::find(function)
            .ok_or_else(|| Mistake::call(format!("there is no function `{function}`")))?;
        let form = entry.call.expect("only operations with a call are found");
        let op = (entry.from_call)(&a.check(function, form.attributes, &form.show(function))?)?;
        let arguments = x.iter().map(|x| Argument { name: "x", ty: self.0.ty(*x) });
        let ops = op.values(&arguments.collect::<Vec<_>>())?;
        let names = vec!["x"; x.len()];
        let mut facts = Facts::default();
        let values = ops.into_iter().map(|op| self.0.call(op, x, &names, &mut facts));
        values.collect()
    }

    fn number(&mut self, x: f64) -> NodeId {
        self.0.apply(Constant(Number(x as f32)), &[])
    }
}

/// A tensor as an input: reals, or class indices.
fn leaf(case: &mut Case, tensor: &Tensor, batched: bool, classes: Option<usize>) -> NodeId {
    let dims = &tensor.shape[usize::from(batched)..];
    let shape = match batched {
        true => Shape::batched(dims.iter().copied()),
        false => Shape::unbatched(dims.iter().copied()),
    };
    let (ty, value) = match classes {
        Some(classes) => {
            let indices = tensor.values().iter().map(|x| *x as u32).collect();
            (Type::index(classes, shape), Value::index(&tensor.shape, indices))
        }
        None => {
            let reals = tensor.values().iter().map(|x| *x as f32).collect();
            (Type::real(shape), Value::real(&tensor.shape, reals))
        }
    };
    let index = case.inputs.len();
    case.inputs.push(value);
    case.graph.apply(Input { index, ty }, &[])
}

fn widened(roots: &[Vec<f32>]) -> Vec<Vec<f64>> {
    roots.iter().map(|root| root.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn largest(x: &[f64]) -> f64 {
    x.iter().filter(|x| x.is_finite()).fold(0.0, |m, x| m.max(x.abs()))
}

fn largest_size(tensors: &[Tensor]) -> usize {
    tensors.iter().flat_map(|x| &x.shape).copied().max().unwrap_or(1)
}
