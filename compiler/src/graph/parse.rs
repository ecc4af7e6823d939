//! The parser of graphs: reads the text that [`print`](super::print) writes, and returns a graph
//! that is equal to the printed one.
//!
//! ```text
//! // A comment has a line of its own.
//! graph for batches of 32
//! %0 = input(0) : f32 batch×[64]
//! %1 = parameter(0) : f32 [64, 10]
//! %2 = matmul(%0, %1) : f32 batch×[10]  // the user's name for it
//! %3 = clamp(%2, min = 0.0, max = 1.0)
//! output y = %3
//! ```
//!
//! The type of a node may be omitted if it follows from the operation and its
//! operands, and numbers of nodes may have gaps. Each node comes after its
//! operands, and no computation appears twice. Sizes are numbers. [`Graph::verify`] checks
//! the rules for roots.

use std::str::FromStr;

use rustc_hash::FxHashMap;

use super::{Graph, NodeId, Quantity, Root};
use crate::error::unknown;
use crate::ops::{self, Call, Entry};
use crate::shape::{DType, Dim, MOST_ELEMENTS, Shape, Type};
use crate::text::Reader;

pub use crate::text::ParseError;

impl FromStr for Graph {
    type Err = ParseError;

    /// Parses a graph in the format in which [`Graph`] prints itself.
    fn from_str(text: &str) -> Result<Graph, ParseError> {
        let mut text = Reader::new(text);
        skip_empty_lines(&mut text);
        "graph for batches of".split(' ').try_for_each(|word| text.expect(word))?;
        let at = text;
        let batch = text.number("a number of examples")?;
        if !(1..=MOST_ELEMENTS).contains(&batch) {
            return Err(at.expected("a number of examples, 1 to 2³⁶"));
        }
        end_of_line(&mut text)?;
        let mut parser = Parser { text, graph: Graph::new(batch), numbers: FxHashMap::default() };
        loop {
            skip_empty_lines(&mut parser.text);
            match parser.text.peek() {
                None => return Ok(parser.graph),
                Some('%') => parser.node()?,
                Some(_) => parser.root()?,
            }
        }
    }
}

/// Skips empty lines, comments and leading spaces.
fn skip_empty_lines(text: &mut Reader<'_>) {
    loop {
        text.take_while(char::is_whitespace);
        if !text.eat("//") {
            return;
        }
        text.rest_of_line();
    }
}

fn end_of_line(text: &mut Reader<'_>) -> Result<(), ParseError> {
    text.skip_spaces();
    match text.peek() {
        None | Some('\n' | '\r') => Ok(()),
        Some(_) => Err(text.expected("the end of the line")),
    }
}

struct Parser<'t> {
    text: Reader<'t>,
    graph: Graph,
    /// The nodes by the numbers that the text gives them.
    numbers: FxHashMap<usize, NodeId>,
}

impl<'t> Parser<'t> {
    /// `%3 = matmul(%0, %2) : f32 batch×[128]  // name`
    fn node(&mut self) -> Result<(), ParseError> {
        let start = self.text;
        self.text.expect("%")?;
        let number: usize = self.text.number("a node's number")?;
        if self.numbers.contains_key(&number) {
            return Err(start.error(format!("%{number} is already defined")));
        }
        self.text.expect("=")?;
        let entry = self.operation()?;
        self.text.expect("(")?;
        let operands = self.operands()?;
        let mut attributes = self.text;
        // The type follows the call, and some operations are read from it.
        skip_arguments(&mut self.text)?;
        let at_type = self.text;
        let declared = match self.text.eat(":") {
            true => Some(read_type(&mut self.text)?),
            false => None,
        };
        let name = self.name()?;
        end_of_line(&mut self.text)?;

        let mut call = Call {
            text: &mut attributes,
            has_arguments: !operands.is_empty(),
            name: entry.name,
            result: declared.as_ref(),
        };
        let op = (entry.read)(&mut call)?;
        if !attributes.eat(")") {
            return Err(attributes.expected(&format!("`)`, the end of `{}`", entry.name)));
        }
        let ty =
            self.graph.infer(&op, &operands).map_err(|mistake| start.error(mistake.message))?;
        if let Some(declared) = declared.filter(|declared| *declared != ty) {
            let message = format!("the type is {declared:?}, but `{}` gives {ty:?}", entry.name);
            return Err(at_type.error(message));
        }
        let count = ty.shape.check_count().map(|()| ty.shape.count(1));
        let count = count.map_err(|mistake| start.error(mistake.message))?;
        let examples = if ty.shape.batched { self.graph.batch() } else { 1 };
        if count.checked_mul(examples).is_none_or(|count| count > MOST_ELEMENTS) {
            return Err(start.error("the batch has too many elements: at most 2³⁶".into()));
        }
        let next = self.graph.len();
        let id = self.graph.insert(op, operands.into(), ty);
        if id.index() < next {
            let message = "a graph has no computation twice, and this one is already defined";
            return Err(start.error(message.into()));
        }
        self.graph.nodes[id].name = name.map(Into::into);
        self.numbers.insert(number, id);
        Ok(())
    }

    fn operation(&mut self) -> Result<&'static Entry, ParseError> {
        self.text.skip_spaces();
        let at = self.text;
        let name = self.text.word();
        if name.is_empty() {
            return Err(at.expected("an operation"));
        }
        ops::ALL.iter().find(|entry| entry.name == name).ok_or_else(|| {
            let names = ops::ALL.iter().map(|entry| entry.name);
            at.error(unknown("operation", name, names))
        })
    }

    /// The operands, which come before all attributes.
    fn operands(&mut self) -> Result<Vec<NodeId>, ParseError> {
        let mut operands = Vec::new();
        loop {
            let mut ahead = self.text;
            if !operands.is_empty() && !ahead.eat(",") {
                return Ok(operands);
            }
            ahead.skip_spaces();
            if ahead.peek() != Some('%') {
                return Ok(operands);
            }
            self.text = ahead;
            operands.push(self.reference()?);
        }
    }

    /// `%3`: a node that is already defined.
    fn reference(&mut self) -> Result<NodeId, ParseError> {
        self.text.skip_spaces();
        let at = self.text;
        self.text.expect("%")?;
        let number: usize = self.text.number("a node's number")?;
        let found = self.numbers.get(&number).copied();
        found.ok_or_else(|| at.error(format!("there is no %{number} before this line")))
    }

    /// `// name`, or `// "name"`.
    fn name(&mut self) -> Result<Option<String>, ParseError> {
        if !self.text.eat("//") {
            return Ok(None);
        }
        self.text.skip_spaces();
        if self.text.peek() == Some('"') {
            return self.text.string().map(Some);
        }
        let name = self.text.take_while(|c| c != '\n').trim();
        match name.is_empty() {
            true => Err(self.text.expected("a name")),
            false => Ok(Some(name.into())),
        }
    }

    /// `output logits = %20`
    fn root(&mut self) -> Result<(), ParseError> {
        let root = self.root_name()?;
        self.text.expect("=")?;
        let id = self.reference()?;
        end_of_line(&mut self.text)?;
        self.graph.add_root(root, id);
        Ok(())
    }

    fn root_name(&mut self) -> Result<Root, ParseError> {
        let at = self.text;
        let text = &mut self.text;
        match text.word() {
            "output" => Ok(Root::Output(word_or_string(text)?)),
            "loss" => Ok(Root::Loss),
            "metric" => Ok(Root::Metric(word_or_string(text)?)),
            "guard" => Ok(Root::Guard),
            "next" => {
                text.expect("parameter")?;
                text.number("a parameter's number").map(Root::Assign)
            }
            "gradient" => {
                text.expect("of")?;
                match text.eat_word("input") {
                    true => text.number("an input's number").map(Root::InputGradient),
                    false if text.eat_word("parameter") => {
                        text.number("a parameter's number").map(Root::Gradient)
                    }
                    false => Err(text.expected("`parameter` or `input`")),
                }
            }
            word @ ("sum" | "weight") => {
                ["of", "term"].into_iter().try_for_each(|word| text.expect(word))?;
                let term = text.number("a term's number")?;
                text.expect("of")?;
                let quantity = match text.eat_word("metric") {
                    true => Quantity::Metric(text.number("a metric's number")?),
                    false => {
                        ["the", "loss"].into_iter().try_for_each(|word| text.expect(word))?;
                        Quantity::Loss
                    }
                };
                Ok(match word {
                    "sum" => Root::Sum(quantity, term),
                    _ => Root::Weight(quantity, term),
                })
            }
            _ => Err(at.expected("a node, as `%3 = …`, or a root, as `output y = %3`")),
        }
    }
}

fn word_or_string(text: &mut Reader<'_>) -> Result<String, ParseError> {
    text.skip_spaces();
    if text.peek() == Some('"') {
        return text.string();
    }
    let at = *text;
    match text.word() {
        "" => Err(at.expected("a name")),
        name => Ok(name.into()),
    }
}

/// Skips the arguments of a call and its `)`.
fn skip_arguments(text: &mut Reader<'_>) -> Result<(), ParseError> {
    let mut depth = 1;
    while depth > 0 {
        match text.peek() {
            Some('"') => {
                text.string()?;
                continue;
            }
            Some('(') => depth += 1,
            Some(')') => depth -= 1,
            Some('\n') | None => return Err(text.expected("`)`")),
            Some(_) => {}
        }
        text.next();
    }
    Ok(())
}

/// `f32 batch×[64]`, `u32 below 10 batch×[]`
fn read_type(text: &mut Reader<'_>) -> Result<Type, ParseError> {
    let dtype = match text.eat_word("f32") {
        true => DType::Real,
        false if text.eat_word("u32") => {
            text.expect("below")?;
            DType::Index { below: Dim::Fixed(text.number("a number")?) }
        }
        false => return Err(text.expected("a type, as `f32 batch×[64]` or `u32 below 10 [4]`")),
    };
    let batched = text.eat("batch×");
    text.expect("[")?;
    let mut dims = Vec::new();
    while !text.eat("]") {
        if !dims.is_empty() {
            text.expect(",")?;
        }
        dims.push(Dim::Fixed(text.number("a size")?));
    }
    Ok(Type { dtype, shape: Shape { batched, dims } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff;
    use crate::ops::constant::Constant;
    use crate::ops::input::Input;
    use crate::ops::parameter::Parameter;
    use crate::ops::step_scalar::StepScalar;
    use crate::ops::{Number, Op};

    fn read(text: &str) -> Graph {
        text.parse().unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    fn assert_round_trip(graph: &Graph) {
        let text = graph.to_string();
        assert!(read(&text) == *graph, "{text}");
    }

    /// Graphs of every operation on its samples, with its gradient.
    fn samples() -> Vec<Graph> {
        let mut graphs = Vec::new();
        for sample in crate::ops::ALL.iter().flat_map(|entry| (entry.samples)(5)) {
            let mut g = Graph::new(3);
            let leaves: Vec<NodeId> = (sample.operands.iter().enumerate())
                .map(|(index, operand)| g.apply(Input { index, ty: operand.ty.clone() }, &[]))
                .collect();
            let y = g.apply(sample.op.clone(), &leaves);
            g.name(y, sample.op.name());
            g.add_root(Root::Output("y".into()), y);
            if g.ty(y).is_real() {
                let loss = g.sum_all(y);
                g.add_root(Root::Loss, loss);
                let real: Vec<NodeId> = leaves.into_iter().filter(|x| g.ty(*x).is_real()).collect();
                for (i, dx) in autodiff::gradients(&mut g, loss, &real).into_iter().enumerate() {
                    g.add_root(Root::InputGradient(i), dx);
                }
            }
            graphs.push(g);
        }
        graphs
    }

    #[test]
    fn every_operation_round_trips() {
        let mut seen = std::collections::BTreeSet::new();
        for graph in samples() {
            for graph in [crate::simplify::decompose(&graph), graph] {
                seen.extend(graph.ids().map(|id| graph.op(id).name()));
                assert_round_trip(&graph);
                assert_round_trip(&crate::simplify::simplify(&graph));
            }
        }
        let names = crate::ops::ALL.iter().map(|entry| entry.name);
        let unseen: Vec<&str> = names.filter(|name| !seen.contains(name)).collect();
        // The next test has these, except for `ramp`, which only tests have.
        assert_eq!(unseen, ["parameter", "step_scalar", "iota", "ramp", "switch"]);
    }

    #[test]
    fn leaves_roots_and_names_round_trip() {
        use crate::ops::all_finite::AllFinite;
        use crate::ops::iota::Iota;
        use crate::ops::materialize::Materialize;
        use crate::ops::switch::{Selector, Switch};
        let mut g = Graph::new(7);
        let index = Type::index(10usize, Shape::batched([2usize, 3]));
        let i = g.apply(Input { index: 4, ty: index }, &[]);
        let p = g.apply(Parameter { index: 12, shape: Shape::unbatched([5]) }, &[]);
        let s = g.apply(StepScalar::real("a \"rate\"\n"), &[]);
        let n = g.apply(StepScalar::integer("random batch"), &[]);
        let positions = g.apply(Iota { shape: Shape::batched([5usize]) }, &[]);
        g.add_root(Root::Output("positions".into()), positions);
        let a = g.apply(Materialize::ROWS, &[p]);
        let b = g.apply(Materialize::BATCH_LAST, &[p]);
        let c = g.apply(Switch { by: Selector::Training }, &[a, b]);
        let d = g.apply(Switch { by: Selector::Declared(3) }, &[c]);
        let e = g.apply(AllFinite { direct: 1 }, &[a, d]);
        for (id, name) in [
            (i, "fc1(image)"),
            (p, "\"quoted\""),
            (s, " spaces "),
            (n, "two\nlines"),
            (a, ""),
            (b, "a // b : f32 [] = %3 \\ é×"),
        ] {
            g.name(id, name);
        }
        for quantity in [Quantity::Loss, Quantity::Metric(2)] {
            g.add_root(Root::Sum(quantity, 0), s);
            g.add_root(Root::Weight(quantity, 1), s);
        }
        for name in ["y", "", "two words", "a=b", "\"", "größe"] {
            g.add_root(Root::Output(name.into()), d);
            g.add_root(Root::Metric(name.into()), s);
        }
        g.add_root(Root::Loss, s);
        g.add_root(Root::Gradient(12), p);
        g.add_root(Root::InputGradient(4), p);
        g.add_root(Root::Assign(12), d);
        g.add_root(Root::Guard, e);
        assert_round_trip(&g);
    }

    #[test]
    fn numbers_round_trip_with_all_their_bits() {
        let mut g = Graph::new(1);
        let quiet = f32::from_bits(0x7fc0_1234);
        for x in [
            0.0,
            -0.0,
            0.1,
            1e-45,
            f32::MIN_POSITIVE,
            f32::MAX,
            f32::MIN,
            1.0 / 3.0,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
            -f32::NAN,
            quiet,
            f32::from_bits(0xff80_0001),
        ] {
            g.apply(Constant(Number(x)), &[]);
        }
        let elements = g.ids().filter_map(|id| match g.op(id) {
            Op::Constant(Constant(x)) => Some(*x),
            _ => None,
        });
        let elements: Vec<Number> = elements.collect();
        g.vector(elements);
        assert_round_trip(&g);
        assert!(g.to_string().contains("constant(-0.0)"), "{g}");
    }

    #[test]
    fn types_and_numbers_may_be_omitted() {
        let text = "
            // A comment.
            graph for batches of 2

            %10 = input(0) : f32 batch×[4]
            %20 = relu( %10 )  // hidden
            output y = %20
        ";
        let mut g = Graph::new(2);
        let ty = Type::real(Shape::batched([4usize]));
        let x = g.apply(Input { index: 0, ty }, &[]);
        let y = g.apply(crate::ops::relu::Relu, &[x]);
        g.name(y, "hidden");
        g.add_root(Root::Output("y".into()), y);
        assert!(read(text) == g);
    }

    #[test]
    fn errors_have_a_location_and_what_was_expected() {
        let cases = [
            ("", "line 1, column 1: expected `graph`, found the end of the text"),
            (
                "graph for batches of 0",
                "line 1, column 22: expected a number of examples, 1 to 2³⁶",
            ),
            (
                "%1 = rleu(%0)",
                "line 3, column 6: there is no operation `rleu`; did you mean `relu`?",
            ),
            ("%1 = relu(%7)", "line 3, column 11: there is no %7 before this line"),
            ("%0 = relu(%0)", "line 3, column 1: %0 is already defined"),
            ("%1 = relu(%0", "line 3, column 13: expected `)`, found the end of the line"),
            ("%1 = relu(%0, %0)", "line 3, column 1: `relu` does not take 2 operands"),
            ("%1 = relu(%0, axis = 1)", "expected `)`, the end of `relu`, found `,`"),
            ("%1 = clamp(%0, max = 1.0)", "column 14: expected `min = …`, found `,`"),
            ("%1 = clamp(%0, min = x)", "column 22: expected a number, found `x`"),
            ("%1 = sum(%0, axis = 1)", "`operand` has one axis, 0, and no axis 1"),
            ("%1 = reduce(%0, mean, axis = 0)", "expected `sum` or `max`, found `mean`"),
            ("%1 = broadcast(%0)", "`broadcast` needs the type of its result after it"),
            ("%1 = relu(%0) : f32 [4]", "the type is f32 [4], but `relu` gives f32 batch×[4]"),
            ("%1 = relu(%0) : i8", "expected a type, as `f32 batch×[64]` or `u32 below 10 [4]`"),
            ("%1 = input(0) : f32 batch×[4]", "a graph has no computation twice"),
            ("%1 = input(1) : f32 [99999999999]", "has too many elements"),
            ("%1 = input(1) : f32 batch×[68719476736]", "the batch has too many elements"),
            ("%1 = relu(%0) // \"open", "expected the string's closing `\"`"),
            ("%1 = relu(%0) relu", "column 15: expected the end of the line, found `relu`"),
            ("result y = %0", "column 1: expected a node, as `%3 = …`, or a root"),
            ("gradient of weight 0 = %0", "expected `parameter` or `input`, found `weight`"),
        ];
        let mut wrong = String::new();
        for (line, expected) in cases {
            let text = match line {
                "" | "graph for batches of 0" => line.into(),
                _ => format!("graph for batches of 2\n%0 = input(0) : f32 batch×[4]\n{line}\n"),
            };
            match text.parse::<Graph>() {
                Err(error) if error.to_string().contains(expected) => {}
                found => {
                    let found = found.map(|graph| graph.to_string());
                    wrong += &format!("{line}\n{found:?}, not {expected}\n");
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    /// Mutated texts are parsed or rejected, without a panic.
    #[test]
    fn mutated_texts_do_not_panic() {
        let mut state = 7u64;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % below
        };
        let graphs = samples();
        let texts: Vec<Vec<char>> =
            graphs.iter().map(|graph| graph.to_string().chars().collect()).collect();
        let (mut read, mut rejected) = (0, 0);
        for _ in 0..20_000 {
            let mut text = texts[draw(texts.len())].clone();
            for _ in 0..=draw(2) {
                let (at, end) = (draw(text.len()), draw(12));
                let end = (at + end).min(text.len());
                let other = &texts[draw(texts.len())];
                let from = draw(other.len());
                match draw(4) {
                    0 => drop(text.drain(at..end)),
                    1 => text[at] = ['9', '-', '"', '(', ')', ',', '%', '\n', '×', ' '][draw(10)],
                    2 => {
                        let piece = other[from..(from + end - at).min(other.len())].to_vec();
                        drop(text.splice(at..end, piece));
                    }
                    _ => {
                        // A duplicated line, or a line of another text.
                        let line = other[from..].iter().take_while(|c| **c != '\n');
                        let line: Vec<char> = line.copied().collect();
                        drop(text.splice(at..at, line));
                    }
                }
            }
            match text.into_iter().collect::<String>().parse::<Graph>() {
                Ok(graph) => {
                    read += 1;
                    // The verifier must not panic on it.
                    let _ = graph.verify();
                    assert_round_trip(&graph);
                }
                Err(_) => rejected += 1,
            }
        }
        assert!(read > 500 && rejected > 5000, "{read} read, {rejected} rejected");
    }
}
