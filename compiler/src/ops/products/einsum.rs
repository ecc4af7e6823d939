//! The operation [`Einsum`].

use std::sync::Arc;

use super::contract::Contract;
use super::{
    Attribute, AttributeKind, Attributes, Domain, Lowering, Operand, Operation, Reverse, Sample,
    Signature, through,
};
use crate::error::Mistake;
#[cfg(feature = "eval")]
use crate::eval::{Evaluation, Real, Total, Value};
use crate::graph::{Graph, NodeId};
use crate::ops::slice::Range;
use crate::shape::{Argument, Dim, Facts, Shape, Type};

/// Products of values, summed over the axes that the output does not name: Einstein's convention.
///
/// In the language: `einsum(equation, x, …)`, the equation a string as in PyTorch. Each letter names an
/// axis of one example, the batch has none: `einsum("ij,jk->ik", a, b)` is the product of two matrices
/// of each example. Without `->`, the output has the letters that occur once, in alphabetical order. A
/// letter that an operand has twice takes its diagonal.
///
/// Of several operands, the two whose product takes the fewest multiply-adds are multiplied first.
///
/// ```
/// use bilro::ndarray::array;
/// use bilro::prelude::*;
///
/// network! {
///     struct Example {
///         input a: [2, 2];
///         input b: [2];
///         output y = einsum("ij,j->i", a, b);
///         output trace = einsum("ii", a);
///     }
/// }
///
/// let (a, b) = (array![[[1.0, 2.0], [3.0, 4.0]]], array![[1.0, -1.0]]);
/// let found = Example::model().build()?.predict(example::Input { a: a.view(), b: b.view() })?;
/// assert_eq!((found.y, found.trace), (array![[-1.0, -1.0]], array![5.0]));
/// # Ok::<(), bilro::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Einsum {
    /// The letters of each operand's axes, and of the output's.
    pub equation: Arc<str>,
}

/// The letters of axes.
type Letters = Vec<char>;

/// A parsed equation.
struct Equation {
    operands: Vec<Letters>,
    output: Letters,
}

impl Equation {
    fn parse(text: &str) -> Result<Equation, Mistake> {
        let mistake = |message: String| Mistake::attribute("equation", message);
        if text.contains('.') {
            return Err(mistake(format!(
                "`{text}` has an ellipsis: name every axis of an example by a letter; the batch has none"
            )));
        }
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (operands, output) = match compact.split_once("->") {
            Some((operands, output)) => (operands, Some(output)),
            None => (&*compact, None),
        };
        let letters = |term: &str| -> Result<Letters, Mistake> {
            match term.chars().find(|c| !c.is_ascii_alphabetic()) {
                Some(c) => Err(mistake(format!(
                    "expected letters, `,` and one `->` in `{text}`, as in `ij,jk->ik`, not `{c}`"
                ))),
                None => Ok(term.chars().collect()),
            }
        };
        let operands = operands.split(',').map(letters).collect::<Result<Vec<_>, _>>()?;
        let count = |letter: char| operands.iter().flatten().filter(|l| **l == letter).count();
        let output = match output {
            Some(output) => letters(output)?,
            None => {
                let all = operands.iter().flatten().copied();
                let mut once: Letters = all.filter(|letter| count(*letter) == 1).collect();
                once.sort_unstable();
                once
            }
        };
        for (i, letter) in output.iter().enumerate() {
            if count(*letter) == 0 {
                return Err(mistake(format!(
                    "the output of `{text}` has the letter `{letter}`, which no operand has"
                )));
            }
            if output[..i].contains(letter) {
                return Err(mistake(format!(
                    "the output of `{text}` has the letter `{letter}` twice"
                )));
            }
        }
        Ok(Equation { operands, output })
    }
}

/// The two terms whose product takes the fewest multiply-adds, and their number; the first of equals.
fn cheapest(terms: &[&Letters], size: impl Fn(char) -> usize) -> (usize, usize, usize) {
    let mut best = (0, 1, usize::MAX);
    for j in 1..terms.len() {
        for i in 0..j {
            let only = terms[j].iter().filter(|letter| !terms[i].contains(letter));
            let all = terms[i].iter().chain(only);
            let count = all.fold(1usize, |count, letter| count.saturating_mul(size(*letter)));
            if count < best.2 {
                best = (i, j, count);
            }
        }
    }
    best
}

/// A value with a letter for each axis, all different.
struct Term {
    x: NodeId,
    letters: Letters,
}

impl Term {
    /// The value, with the diagonals of the letters that it has twice.
    fn new(g: &mut Graph, x: NodeId, letters: &Letters) -> Term {
        let mut term = Term { x, letters: letters.clone() };
        let repeated = |letters: &Letters| {
            let mut pairs = (0..letters.len()).flat_map(|j| (0..j).map(move |i| (i, j)));
            pairs.find(|(i, j)| letters[*i] == letters[*j])
        };
        while let Some((i, j)) = repeated(&term.letters) {
            let rank = term.letters.len();
            let others: Vec<usize> = (0..rank).filter(|axis| *axis != i && *axis != j).collect();
            let order: Vec<usize> = others.iter().copied().chain([i, j]).collect();
            let y = g.permute(term.x, &order);
            // Element (k, k) is at k · (n + 1).
            let mut shape = g.shape(y).clone();
            let n = shape.sizes()[rank - 1];
            shape.dims.truncate(rank - 2);
            shape.dims.push((n * n).into());
            let y = g.reshape(y, &shape);
            let range = Range { axis: rank - 2, first: 0, count: n, step: n as isize + 1 };
            let letter = term.letters[i];
            let letters = others.iter().map(|axis| term.letters[*axis]).chain([letter]).collect();
            term = Term { x: g.slice(y, range), letters };
        }
        term
    }

    /// Sums over the letters that nothing else has.
    fn summed(mut self, g: &mut Graph, is_needed: impl Fn(char) -> bool) -> Term {
        let mut shape = g.shape(self.x).clone();
        for axis in (0..self.letters.len()).rev() {
            if !is_needed(self.letters[axis]) {
                self.x = g.sum_axis(self.x, axis);
                shape.dims.remove(axis);
                self.letters.remove(axis);
            }
        }
        self.x = g.reshape(self.x, &shape);
        self
    }

    /// The axes in the order of letters, with size 1 for those that it lacks.
    fn aligned(&self, g: &mut Graph, letters: &Letters) -> NodeId {
        let axis = |letter: &char| self.letters.iter().position(|l| l == letter);
        let order: Vec<usize> = letters.iter().filter_map(axis).collect();
        let x = g.permute(self.x, &order);
        let mut shape = g.shape(x).clone();
        for (i, letter) in letters.iter().enumerate() {
            if axis(letter).is_none() {
                shape.dims.insert(i, 1.into());
            }
        }
        g.reshape(x, &shape)
    }

    /// The product of two terms, summed over common letters that are not needed further.
    fn times(&self, g: &mut Graph, other: &Term, is_needed: impl Fn(char) -> bool) -> Term {
        let is_common = |letter: &&char| other.letters.contains(letter);
        let common: Letters = self.letters.iter().filter(is_common).copied().collect();
        let (shared, contracted): (Letters, Letters) =
            common.iter().copied().partition(|letter| is_needed(*letter));
        let free = |letters: &Letters| {
            letters.iter().copied().filter(|letter| !common.contains(letter)).collect::<Letters>()
        };
        let (free_a, free_b) = (free(&self.letters), free(&other.letters));
        let letters: Letters = shared.iter().chain(&free_a).chain(&free_b).copied().collect();
        let is_rows = g.shape(self.x).batched == g.shape(other.x).batched
            && free_a.is_empty()
            && free_b.is_empty();
        if contracted.is_empty() || is_rows {
            // Element by element, in the order of the first.
            let all: Letters = self.letters.iter().chain(&free_b).copied().collect();
            let (a, b) = (self.aligned(g, &all), other.aligned(g, &all));
            let product = Term { x: g.mul(a, b), letters: all };
            return product.summed(g, |letter| letters.contains(&letter));
        }
        let axis = |letters: &Letters, letter: &char| {
            letters.iter().position(|l| l == letter).expect("a common letter")
        };
        let pairs = |of: &Letters| {
            of.iter().map(|l| (axis(&self.letters, l), axis(&other.letters, l))).collect()
        };
        let product =
            Contract { shared: pairs(&shared), contracted: pairs(&contracted), over_batch: false };
        Term { x: g.apply(product, &[self.x, other.x]), letters }
    }
}

impl Einsum {
    fn parsed(&self) -> Equation {
        Equation::parse(&self.equation).expect("the shape function has checked it")
    }

    fn build(&self, g: &mut Graph, x: &[NodeId]) -> NodeId {
        let Equation { operands, output } = self.parsed();
        let mut sizes: Vec<(char, usize)> = Vec::new();
        let mut terms: Vec<Term> = Vec::new();
        for (x, letters) in x.iter().zip(&operands) {
            sizes.extend(letters.iter().copied().zip(g.shape(*x).sizes()));
            terms.push(Term::new(g, *x, letters));
        }
        let size =
            |letter: char| sizes.iter().find(|(l, _)| *l == letter).map_or(1, |(_, size)| *size);
        let needed_beside = |terms: &[Term]| -> Letters {
            terms.iter().flat_map(|term| &term.letters).chain(&output).copied().collect()
        };
        for i in 0..terms.len() {
            let term = terms.remove(i);
            let needed = needed_beside(&terms);
            terms.insert(i, term.summed(g, |letter| needed.contains(&letter)));
        }
        while terms.len() > 1 {
            let letters: Vec<&Letters> = terms.iter().map(|term| &term.letters).collect();
            let (i, j, _) = cheapest(&letters, size);
            let (b, a) = (terms.remove(j), terms.remove(i));
            let needed = needed_beside(&terms);
            let is_needed = |letter| needed.contains(&letter);
            // The first free letter of the output is one of the first operand's.
            let leads = |term: &Term, other: &Term| {
                let free = |l: &&char| term.letters.contains(l) != other.letters.contains(l);
                output.iter().find(free).is_none_or(|first| term.letters.contains(first))
            };
            let product = match leads(&a, &b) {
                true => a.times(g, &b, is_needed),
                false => b.times(g, &a, is_needed),
            };
            terms.push(product);
        }
        let last = terms.remove(0);
        last.aligned(g, &output)
    }
}

impl Operation for Einsum {
    const NAME: &'static str = "einsum";
    const CALL: Option<Signature> = Some(Signature::spread().with(&[Attribute {
        name: "equation",
        kind: AttributeKind::Text,
        default: None,
    }]));
    const OPERANDS: Option<usize> = None;

    fn from_call(attributes: &Attributes) -> Result<Einsum, Mistake> {
        let equation = attributes.text("equation").unwrap_or_default();
        Equation::parse(&equation)?;
        Ok(Einsum { equation })
    }

    fn shape(&self, x: &[Argument<'_>], facts: &mut Facts) -> Result<Type, Mistake> {
        let Equation { operands, output } = Equation::parse(&self.equation)?;
        if operands.len() != x.len() {
            let values = |n: usize| if n == 1 { "value" } else { "values" };
            let message = format!(
                "`{}` is an equation of {} {}, but {} {} given",
                self.equation,
                operands.len(),
                values(operands.len()),
                x.len(),
                if x.len() == 1 { "is" } else { "are" }
            );
            return Err(Mistake::attribute("equation", message));
        }
        let mut known: Vec<(char, &Dim, Argument<'_>)> = Vec::new();
        for (i, (x, letters)) in x.iter().zip(&operands).enumerate() {
            super::elementwise::require_real(Self::NAME, i, *x)?;
            let shape = &x.ty.shape;
            if letters.len() != shape.rank() {
                let term: String = letters.iter().collect();
                let message = format!(
                    "`{term}` names {} {}, but `{}` of shape {shape} has {}: letters name the axes of \
                     an example, the batch has none",
                    letters.len(),
                    if letters.len() == 1 { "axis" } else { "axes" },
                    x.name,
                    shape.rank()
                );
                return Err(Mistake::operand(i, message));
            }
            for (letter, size) in letters.iter().zip(&shape.dims) {
                match known.iter().find(|(l, _, _)| l == letter) {
                    Some((_, before, other)) => facts.same(before, size, || {
                        let message = format!(
                            "the letter `{letter}` has size {before} in `{}` of shape {}, but {size} \
                             in `{}` of shape {shape}",
                            other.name, other.ty.shape, x.name
                        );
                        Mistake::operand(i, message)
                    })?,
                    None => known.push((*letter, size, *x)),
                }
            }
        }
        let size = |letter: &char| {
            let found = known.iter().find(|(l, _, _)| l == letter);
            found.map_or(Dim::Fixed(1), |(_, size, _)| (*size).clone())
        };
        let batched = x.iter().any(|x| x.ty.shape.batched);
        let shape = Shape { batched, dims: output.iter().map(size).collect() };
        shape.check_count()?;
        Ok(Type::real(shape))
    }

    #[cfg(feature = "eval")]
    fn eval<T: Real>(&self, x: &[&Value<T>], at: &Evaluation<'_>) -> Value<T> {
        let Equation { operands, output } = self.parsed();
        let mut letters: Letters = output.clone();
        let mut sizes: Vec<usize> = at.ty.shape.sizes();
        // For each operand, the step in memory of each letter.
        let mut steps: Vec<Vec<(char, usize)>> = Vec::new();
        for (term, ty) in operands.iter().zip(at.operands) {
            let of = ty.shape.sizes();
            for (letter, size) in term.iter().zip(&of) {
                if !letters.contains(letter) {
                    letters.push(*letter);
                    sizes.push(*size);
                }
            }
            let step = |axis: usize| of[axis + 1..].iter().product::<usize>();
            steps.push(term.iter().copied().zip((0..of.len()).map(step)).collect());
        }
        // A letter that an operand has twice moves along both axes.
        let step = |operand: usize, letter: char| -> usize {
            steps[operand].iter().filter(|(l, _)| *l == letter).map(|(_, step)| step).sum()
        };
        let steps: Vec<Vec<usize>> = (0..x.len())
            .map(|operand| letters.iter().map(|letter| step(operand, *letter)).collect())
            .collect();
        let (kept, summed) = sizes.split_at(output.len());
        let examples = if at.ty.shape.batched { at.batch } else { 1 };
        let mut y = Vec::new();
        for example in 0..examples {
            for i in 0..kept.iter().product::<usize>() {
                let term = |j: usize| {
                    let mut index = unravel(i, kept);
                    index.extend(unravel(j, summed));
                    let element = |operand: usize| {
                        let elements = x[operand].reals();
                        let first = match at.operands[operand].shape.batched {
                            true => example * (elements.len() / at.batch),
                            false => 0,
                        };
                        let steps = steps[operand].iter().zip(&index);
                        elements[first + steps.map(|(step, i)| step * i).sum::<usize>()]
                    };
                    (1..x.len()).fold(element(0), |product, operand| product * element(operand))
                };
                y.push((0..summed.iter().product::<usize>()).map(term).total());
            }
        }
        Value::real(&at.sizes(), y)
    }

    fn gradient(&self, g: &mut Graph, at: &Reverse<'_>) -> Vec<Option<NodeId>> {
        through::gradient(g, at, |g, x| self.build(g, x))
    }

    fn multiply_adds(&self, x: &[&Type], _: &Type) -> usize {
        let Ok(Equation { operands, output }) = Equation::parse(&self.equation) else { return 0 };
        let sizes =
            operands.iter().zip(x).flat_map(|(letters, ty)| letters.iter().zip(&ty.shape.dims));
        let sizes: Vec<(char, usize)> =
            sizes.map(|(letter, dim)| (*letter, dim.fixed().unwrap_or(0))).collect();
        let size =
            |letter: char| sizes.iter().find(|(l, _)| *l == letter).map_or(1, |(_, size)| *size);
        let mut terms = operands;
        terms.iter_mut().for_each(|term| {
            term.sort_unstable();
            term.dedup();
        });
        let needed = |letter: char, others: &[Letters]| {
            output.contains(&letter) || others.iter().any(|term| term.contains(&letter))
        };
        for i in 0..terms.len() {
            let mut term = terms.remove(i);
            term.retain(|letter| needed(*letter, &terms));
            terms.insert(i, term);
        }
        let mut all = 0usize;
        while terms.len() > 1 {
            let (i, j, count) = cheapest(&terms.iter().collect::<Vec<_>>(), size);
            all = all.saturating_add(count);
            let (mut product, other) = (terms.remove(j), terms.remove(i));
            product.extend(other);
            product.sort_unstable();
            product.dedup();
            product.retain(|letter| needed(*letter, &terms));
            terms.push(product);
        }
        all
    }

    fn lower(&self) -> Lowering<'_> {
        Lowering::Composite(Box::new(|g, x| self.build(g, x)))
    }

    fn samples(size: usize) -> Vec<Sample> {
        let real = |shape| Operand::new(Type::real(shape), Domain::Normal(1.0));
        let batched = |dims: &[usize]| real(Shape::batched(dims.iter().copied()));
        let fixed = |dims: &[usize]| real(Shape::unbatched(dims.iter().copied()));
        let of = |equation: &str, operands: Vec<Operand>| {
            Sample::new(Einsum { equation: equation.into() }, operands).summing(40 * size)
        };
        vec![
            of("ij,jk->ik", vec![batched(&[3, size]), fixed(&[size, 4])]),
            of("i,ij", vec![batched(&[size]), batched(&[size, 3])]),
            of("hqd,hkd->hqk", vec![batched(&[2, 3, size]), batched(&[2, 5, size])]),
            of("ij,kj->kj", vec![batched(&[2, size]), fixed(&[3, size])]),
            of("ihd,hdo->io", vec![batched(&[2, 3, size]), fixed(&[3, size, 4])]),
            of("i,j->ji", vec![batched(&[size]), fixed(&[3])]),
            of("ij->ji", vec![batched(&[2, size])]),
            of("ijk->k", vec![batched(&[2, size, 3])]),
            of("iij->ij", vec![batched(&[3, 3, size])]),
            of("ii,i->", vec![fixed(&[size, size]), batched(&[size])]),
            of("i,ijk,k->j", vec![batched(&[2]), fixed(&[2, 3, size]), batched(&[size])]),
            of("i,i->i", vec![batched(&[size]), batched(&[size])]),
            of("bij,bij->b", vec![batched(&[2, 3, size]), batched(&[2, 3, size])]),
        ]
    }
}

/// The index on each axis of the element of a number, row-major.
#[cfg(feature = "eval")]
fn unravel(number: usize, sizes: &[usize]) -> Vec<usize> {
    let mut rest = number;
    let mut index: Vec<usize> = sizes
        .iter()
        .rev()
        .map(|size| {
            let i = rest % size;
            rest /= size;
            i
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multiply_adds(equation: &str, operands: &[&[usize]]) -> usize {
        let types: Vec<Type> =
            operands.iter().map(|dims| Type::real(Shape::batched(dims.iter().copied()))).collect();
        let arguments: Vec<Argument<'_>> =
            types.iter().map(|ty| Argument { name: "x", ty }).collect();
        let op = Einsum { equation: equation.into() };
        let y = op.shape(&arguments, &mut Facts::default()).expect("an equation");
        op.multiply_adds(&types.iter().collect::<Vec<_>>(), &y)
    }

    #[test]
    fn pairs_are_multiplied_by_the_fewest_multiply_adds() {
        assert_eq!(multiply_adds("ij,jk->ik", &[&[3, 4], &[4, 5]]), 60);
        // (b c) first: 50 · 10 · 2, then 40 · 50 · 2.
        let chain: [&[usize]; 3] = [&[40, 50], &[50, 10], &[10, 2]];
        assert_eq!(multiply_adds("ij,jk,kl->il", &chain), 1000 + 4000);
        assert_eq!(multiply_adds("ijk->k", &[&[2, 3, 4]]), 0);
    }
}
